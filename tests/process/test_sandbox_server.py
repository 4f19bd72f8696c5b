"""`airvid sandbox` as a server: its options, rude clients, browsers, links that outlive a command, and its end."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from program_process import User, free_port
from sandbox_process import CREATE, sandbox

pytest.importorskip("av", reason="PyAV (the extra media) is not installed")


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path, "http://127.0.0.1:9/v1")


def raw(url: str, *pieces: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=20)
    for piece in pieces:
        connection.sendall(piece)
    return connection


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return answer.status, dict(answer.headers), answer.read()


def test_rude_clients_stop_nothing(tmp_path: Path) -> None:
    with sandbox(tmp_path) as (url, log):
        host = b"Host: x\r\n"
        half_open = raw(url)
        slow = raw(url, b"POST /v1/video/generations HTTP/1.1\r\nContent-Le")
        lying = raw(url, b"POST /v1/video/generations HTTP/1.1\r\n", host, b"Content-Length: 100\r\n\r\n{}")
        for spoilt in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500,
            b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
            b"GET /" + b"x" * 100_000,
            b"POST /v1/video/generations HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
            b"POST /v1/video/generations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        ):
            rude = raw(url)
            try:
                rude.sendall(spoilt)
                rude.recv(10)
            except OSError:
                pass
            rude.close()
        start = threading.Barrier(200)

        def one(_: int) -> int:
            start.wait(20)
            return fetch(f"{url}/models")[0]

        with ThreadPoolExecutor(200) as clients:
            assert list(clients.map(one, range(200))) == [200] * 200
        for each in (half_open, slow, lying):
            each.close()
        assert fetch(f"{url}/models")[0] == 200
    assert sum(line == "GET /v1/models 200" for line in log) >= 201
    assert all(line.isprintable() and len(line) < 400 for line in log)


def test_clients_that_hang_do_not_delay_its_end(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--fault", "silent-stream*9", "-q") as (url, log):
        hanging = [raw(url, b"GET /v1/models HTTP/1.1\r\n") for _ in range(20)]
        hanging.append(raw(url, b"GET /v1/video/tasks/x/stream HTTP/1.1\r\n\r\n"))
    for each in hanging:
        each.close()
    assert log == []  # -q


def test_a_browser_may_ask(tmp_path: Path) -> None:
    with sandbox(tmp_path) as (url, _):
        asked = urllib.request.Request(f"{url}/video/tasks", method="OPTIONS", headers={"Origin": "http://a.test"})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            assert answer.status == 204
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert fetch(f"{url}/models", Origin="http://a.test")[1]["Access-Control-Allow-Origin"] == "*"


def test_a_link_outlives_the_command_while_a_server_runs(user: User, tmp_path: Path) -> None:
    with sandbox(tmp_path, "--render", "0.2") as (url, log):
        made = user.airvid("--sandbox", *CREATE, "--wait")
        assert made.returncode == 0, made.stderr
        status, headers, clip = fetch(made.stdout.strip())
        assert (status, headers["Content-Type"], clip[4:8]) == (200, "video/mp4", b"ftyp")
        assert user.airvid("--sandbox", "download", "last", "-o", "a.mp4").returncode == 0
        assert (user.here / "a.mp4").read_bytes() == clip
        refused = user.airvid("sandbox", "reset")
        assert (refused.returncode, refused.stdout) == (11, "")
        assert url in refused.stderr
    assert any(line.startswith("POST /v1/video/generations 200") for line in log)
    assert user.airvid("--sandbox", "list", "--ids").stdout != ""
    assert user.airvid("sandbox", "reset").returncode == 0
    assert user.airvid("--sandbox", "list", "--ids").stdout == ""


def test_a_server_that_was_killed_is_not_looked_for(user: User) -> None:
    folder = user.here.parent / "data" / "airvid" / "sandbox"
    folder.mkdir(parents=True)
    (folder / "server-9-10.lock").touch()
    assert user.airvid("--sandbox", *CREATE).returncode == 0
    assert user.airvid("sandbox", "reset").returncode == 0


def test_a_folder_of_its_own(user: User, tmp_path: Path) -> None:
    here, there = {"AIRVID_SANDBOX_DIR": str(tmp_path / "a")}, {"AIRVID_SANDBOX_DIR": str(tmp_path / "b")}
    task = user.airvid("--sandbox", *CREATE, **here).stdout
    (tmp_path / "a" / "journal.txt").write_text("the user's own")
    assert user.airvid("--sandbox", "list", "--ids", **here).stdout == task
    assert user.airvid("--sandbox", "list", "--ids", **there).stdout == ""
    assert user.airvid("sandbox", "reset", **here).returncode == 0
    assert {each.name for each in (tmp_path / "a").iterdir()} == {"journal.txt"}
    assert not (user.here.parent / "data").exists()
    nowhere = user.airvid("--sandbox", "list", AIRVID_SANDBOX_DIR=str(tmp_path / "a" / "journal.txt" / "x"))
    assert nowhere.returncode == 11
    assert "hint: set AIRVID_SANDBOX_DIR to a folder that can be written" in nowhere.stderr


def test_models_slots_and_times_of_its_own(user: User, tmp_path: Path) -> None:
    caps = {"min_duration_s": 1, "max_duration_s": 2, "price_per_second_cents": 1, "modes": None}
    models = tmp_path / "models.json"
    models.write_text(json.dumps({"data": [{"id": "mine", "media_type": "video", "video_caps": caps}]}))
    with sandbox(tmp_path, "--models", str(models), "--slots", "1", "--render", "600") as (url, _):
        listed = user.airvid("models", "--json", AIRVID_BASE_URL=url)
        assert [each["id"] for each in json.loads(listed.stdout)] == ["mine"]
        made = [user.airvid("create", "a fox", AIRVID_BASE_URL=url).returncode for _ in range(2)]
    assert made == [0, 8]


def test_a_port_in_use_is_told(user: User) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        result = user.airvid("sandbox", "--port", str(port))
    assert (result.returncode, result.stdout) == (11, "")
    assert f"on port {port}: Address already in use" in result.stderr
    assert "hint: airvid sandbox" in result.stderr
