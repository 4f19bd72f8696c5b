"""Clips from a real nginx as storage, which each test starts."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pytest
from nginx import Nginx, needs_nginx
from program_process import CLIP, OTHER, LinkedEmulator, User, make_tasks, posts, size, until
from small_files import tiny_mp4

from airvid.clips.download import SYNC_EVERY
from airvid.sandbox.emulator import Pace
from airvid.sandbox.server import Server

pytestmark = needs_nginx


def shelve(nginx: Nginx, server: Server, content: bytes = CLIP, name: str = "clip.mp4") -> Path:
    """Put a clip into the storage, and let the API point there."""
    assert isinstance(server.emulator, LinkedEmulator)
    path = nginx.www / name
    path.write_bytes(content)
    server.emulator.links = [f"{nginx.url}/{name}?signature=abc"]
    return path


def test_a_clip_is_saved_in_one_request_without_the_key(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx") as nginx:
        shelve(nginx, server)
        done = user.airvid("create", "fox", "-m", "wan-2.6", "-o", "fox.mp4")
        assert (done.returncode, done.stdout) == (0, "fox.mp4\n"), done.stderr
        assert [(each["status"], each["key"], each["range"]) for each in nginx.log] == [(200, "", "")]
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


def test_killed_midway_only_the_rest_is_sent(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx") as nginx:
        shelve(nginx, server)
        [task] = make_tasks(server)
        with nginx.metered():
            had = user.kill_midway("download", task, "-o", "fox.mp4")
        assert user.left == {"fox.mp4.part", "fox.mp4.part.json"}
        done = user.airvid("download", task, "-o", "fox.mp4")
        assert done.returncode == 0, done.stderr
        resumed = nginx.log[-1]
        assert (resumed["status"], resumed["range"], resumed["sent"]) == (206, f"bytes={had}-", len(CLIP) - had)
        assert resumed["if_range"].startswith('"')
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


def test_a_metered_server_is_asked_by_several_and_a_kill_wastes_little(
    tmp_path: Path, server: Server, user: User
) -> None:
    clip = tiny_mp4(random.Random(3).randbytes(12_000_000))
    with Nginx(tmp_path / "nginx") as nginx:
        shelve(nginx, server, clip)
        [task] = make_tasks(server)
        notes = user.here / "fox.mp4.part.json"
        with nginx.metered(), user.running("download", task, "-o", "fox.mp4"):
            until(lambda: notes.exists() and b"spans" in notes.read_bytes(), "a second connection")
        missing = sum(end - at for at, end in json.loads(notes.read_bytes())["spans"])
        assert 0 < missing < len(clip)
        done = user.airvid("download", task, "-o", "fox.mp4")
        assert done.returncode == 0, done.stderr
        assert {each["status"] for each in nginx.log} == {200, 206}
        assert missing <= sum(each["sent"] for each in nginx.log) < 1.3 * len(clip)
    assert (user.target.read_bytes(), user.left) == (clip, {"fox.mp4"})


def test_without_range_it_starts_over(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx", "max_ranges 0;") as nginx:
        shelve(nginx, server)
        [task] = make_tasks(server)
        with nginx.metered():
            user.kill_midway("download", task, "-o", "fox.mp4")
        done = user.airvid("download", task, "-o", "fox.mp4")
        assert done.returncode == 0, done.stderr
        assert (nginx.log[-1]["status"], nginx.log[-1]["sent"]) == (200, len(CLIP))
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


@pytest.mark.parametrize(
    "content", [OTHER, tiny_mp4(), OTHER + b"\0\0\0\x08free"], ids=["as long", "shorter", "longer"]
)
def test_a_file_replaced_between_is_never_mixed(tmp_path: Path, server: Server, user: User, content: bytes) -> None:
    with Nginx(tmp_path / "nginx") as nginx:
        path = shelve(nginx, server)
        [task] = make_tasks(server)
        with nginx.metered():
            user.kill_midway("download", task, "-o", "fox.mp4")
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))  # nginx's ETag is the time in seconds and the length
        done = user.airvid("download", task, "-o", "fox.mp4")
        assert done.returncode == 0, done.stderr
        assert [each["status"] for each in nginx.log if each["range"]] == [200]
    assert (user.target.read_bytes(), user.left) == (content, {"fox.mp4"})


def test_a_restart_in_the_middle_heals(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx") as nginx:
        shelve(nginx, server)
        [task] = make_tasks(server)
        with user.running("download", task, "-o", "fox.mp4") as process:
            with nginx.metered():
                until(lambda: size(user.part) > 100_000, "bytes in the part")
                nginx.stop()
            nginx.start()
            assert process.wait(20) == 0
        resumed = nginx.log[-1]  # the one that was cut is not always told
        assert resumed["status"] == 206
        assert resumed["sent"] < len(CLIP) - 100_000
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


def test_a_body_without_length_that_is_cut_starts_over(tmp_path: Path, server: Server, user: User) -> None:
    # What passes a filter has neither length nor validator.
    filtered = "sub_filter_types video/mp4; sub_filter 'no such words' '';"
    with Nginx(tmp_path / "nginx", filtered) as nginx:
        shelve(nginx, server)
        [task] = make_tasks(server)
        with user.running("download", task, "-o", "fox.mp4") as process:
            with nginx.metered():
                until(lambda: size(user.part) > 100_000, "bytes in the part")
                nginx.stop()
            nginx.start()
            assert process.wait(20) == 0
        assert {(each["status"], each["range"]) for each in nginx.log} == {(200, "")}
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


def test_while_nginx_is_down_the_time_out_ends_it_and_the_part_stays(
    tmp_path: Path, server: Server, user: User
) -> None:
    with Nginx(tmp_path / "nginx") as nginx:
        shelve(nginx, server)
        [task] = make_tasks(server)
        with nginx.metered():
            had = user.kill_midway("download", task, "-o", "fox.mp4")
    done = user.airvid("watch", task, "-o", "fox.mp4", "--timeout", "1s")
    assert done.returncode == 10, done.stderr
    assert (user.left, user.part.stat().st_size) == ({"fox.mp4.part", "fox.mp4.part.json"}, had)


def test_an_error_page_with_200_is_no_clip(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx", "error_page 404 =200 /error.html;") as nginx:
        shelve(nginx, server).unlink()
        (nginx.www / "error.html").write_text("<html>This clip is not here.</html>")
        [task] = make_tasks(server)
        done = user.airvid("download", task, "-o", "fox.mp4")
        assert [each["status"] for each in nginx.log] == [200, 200]  # the link is read afresh once
    assert done.returncode == 11
    assert "no video" in done.stderr
    assert user.left == set()


def test_a_page_in_the_place_of_the_rest_is_no_clip(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx", "error_page 404 =200 /error.html;") as nginx:
        path = shelve(nginx, server)
        (nginx.www / "error.html").write_text("<html>This clip is not here.</html>")
        [task] = make_tasks(server)
        with nginx.metered():
            user.kill_midway("download", task, "-o", "fox.mp4")
        path.unlink()
        assert user.airvid("download", task, "-o", "fox.mp4").returncode == 11
    assert user.left == set()


def test_each_clip_comes_on_a_connection_of_its_own(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx") as nginx:
        shelve(nginx, server)
        done = user.airvid("download", *make_tasks(server, 3), "-j", "1", "-o", "clips/{n}.mp4")
        assert done.returncode == 0, done.stderr
        assert len({each["connection"] for each in nginx.log}) == len(nginx.log) == 3
    assert {each.read_bytes() for each in (user.here / "clips").iterdir()} == {CLIP}


def test_redirects_to_a_clip_are_followed_each_on_a_connection_of_its_own(
    tmp_path: Path, server: Server, user: User
) -> None:
    with Nginx(tmp_path / "nginx", "location /a { return 302 /b; } location /b { return 307 /clip.mp4; }") as nginx:
        shelve(nginx, server)
        assert isinstance(server.emulator, LinkedEmulator)
        server.emulator.links = [f"{nginx.url}/a"]
        done = user.airvid("download", *make_tasks(server, 3), "-j", "1", "-o", "clips/{n}.mp4")
        assert done.returncode == 0, done.stderr
        assert [each["path"] for each in nginx.log] == ["/a", "/b", "/clip.mp4"] * 3
        assert len({each["connection"] for each in nginx.log}) == len(nginx.log)
    assert {each.read_bytes() for each in (user.here / "clips").iterdir()} == {CLIP}


@pytest.mark.parametrize("habit", ["keepalive_timeout 0;", "keepalive_requests 1;"])
def test_a_server_that_closes_each_connection_will_do(tmp_path: Path, server: Server, user: User, habit: str) -> None:
    with Nginx(tmp_path / "nginx", habit) as nginx:
        shelve(nginx, server)
        done = user.airvid("download", *make_tasks(server, 2), "-j", "1", "-o", "clips/{n}.mp4")
        assert done.returncode == 0, done.stderr
    assert {each.read_bytes() for each in (user.here / "clips").iterdir()} == {CLIP}


def test_a_limit_of_connections_is_waited_out(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(
        tmp_path / "nginx", "limit_conn all 1; limit_rate 1m;", "limit_conn_zone $server_port zone=all:1m;"
    ) as nginx:
        shelve(nginx, server)
        done = user.airvid("download", *make_tasks(server, 2), "-j", "2", "-o", "clips/{n}.mp4")
        assert done.returncode == 0, done.stderr
        assert {each["status"] for each in nginx.log} == {200, 503}
    assert {each.read_bytes() for each in (user.here / "clips").iterdir()} == {CLIP}


def test_a_clip_is_not_asked_for_in_gzip(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx", "gzip on; gzip_types video/mp4; gzip_min_length 0;") as nginx:
        shelve(nginx, server)
        [task] = make_tasks(server)
        assert user.airvid("download", task, "-o", "fox.mp4").returncode == 0
        assert [(each["encoding"], each["sent"]) for each in nginx.log] == [("", len(CLIP))]
    assert user.target.read_bytes() == CLIP


def test_a_clip_in_gzip_that_nobody_asked_for_is_unpacked(tmp_path: Path, server: Server, user: User) -> None:
    with Nginx(tmp_path / "nginx", "gzip_static always;") as nginx:
        shelve(nginx, server, gzip.compress(CLIP, 1), "clip.mp4.gz")
        assert isinstance(server.emulator, LinkedEmulator)
        server.emulator.links = [f"{nginx.url}/clip.mp4"]
        [task] = make_tasks(server)
        done = user.airvid("download", task, "-o", "fox.mp4")
        assert [each["encoding"] for each in nginx.log][:1] == ["gzip"]
    assert done.returncode == 0, done.stderr
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_the_api_behind_nginx_with_gzip(tmp_path: Path, server: Server, user: User, buffering: str) -> None:
    server.emulator.pace = Pace(queued=0.2, processing=0.5)
    squeeze = "gzip on; gzip_proxied any; gzip_min_length 0; gzip_types application/json text/event-stream;"
    way = f"location /v1/ {{ proxy_pass {server.api_url}/; proxy_buffering {buffering}; {squeeze} }}"
    with Nginx(tmp_path / "nginx", way) as nginx:
        shelve(nginx, server)
        done = user.airvid("create", "fox", "-o", "fox.mp4", AIRVID_BASE_URL=nginx.url)
        assert done.returncode == 0, done.stderr
        assert "gzip" in {each["encoding"] for each in nginx.log}
    assert (user.target.read_bytes(), posts(server)) == (CLIP, 1)


def test_a_deploy_of_the_api_in_the_middle_of_a_wait_heals(tmp_path: Path, server: Server, user: User) -> None:
    server.emulator.pace = Pace(queued=0.1, processing=1.5)
    with Nginx(tmp_path / "nginx", f"location /v1/ {{ proxy_pass {server.api_url}/; proxy_buffering off; }}") as nginx:
        shelve(nginx, server)
        with user.running("create", "fox", "-o", "fox.mp4", AIRVID_BASE_URL=nginx.url) as process:
            assert process.stderr
            for line in process.stderr:
                if "processing" in line:
                    break
            nginx.stop()
            nginx.start()
            process.stderr.read()
            assert process.wait(20) == 0
    assert (user.target.read_bytes(), posts(server)) == (CLIP, 1)


def test_a_disk_that_loses_bytes_on_the_way_is_believed(tmp_path: Path, server: Server, user: User) -> None:
    """It says so once, to whoever syncs first: the next one is told that all is well."""
    user.customise(
        """
import errno, os
real, failures = os.fsync, [OSError(errno.EIO, "Input/output error")]
def fsync(descriptor):
    if failures and os.fstat(descriptor).st_size > 1_000_000:
        raise failures.pop()
    return real(descriptor)
os.fsync = fsync
"""
    )
    with Nginx(tmp_path / "nginx") as nginx:
        shelve(nginx, server, tiny_mp4(bytes(2 * SYNC_EVERY)))
        [task] = make_tasks(server)
        done = user.airvid("download", task, "-o", "fox.mp4")
    assert (done.returncode, "Input/output error" in done.stderr) == (11, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not user.target.exists()
