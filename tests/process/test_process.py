"""The program as a process on a real socket: in scripts, in pipes, and when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from shell_scripts import Run, emulator, env, sh
from small_files import tiny_mp4
from terminal import AIRVID

from airvid import system
from airvid.sandbox.emulator import Emulator, Fault, Pace
from airvid.sandbox.server import Server

__all__ = ["emulator", "env", "sh"]  # fixtures


def posts(server: Server) -> int:
    return sum(request.method == "POST" for _, request in server.emulator.requests)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('id=$(airvid create x -m wan-2.6); airvid status "$id" | cut -f1; test ${#id} = 36', None),
        ("airvid create x --json | jq -e .task_id >/dev/null && echo good", b"good\n"),
        ("airvid create x -o fox.mp4", b"fox.mp4\n"),
        ("airvid create x -o - > fox.mp4; head -c 8 fox.mp4 | tail -c 4", b"ftyp"),
        ("printf 'a\\nb\\n' | airvid create - --dry-run --json | jq -r .request.prompt", b"a\nb\n"),
        ("airvid create x; airvid list | cut -f1 | xargs -n1 airvid status | cut -f1 | wc -l", None),
        ("airvid create x -n 2 -o out/ && ls out | wc -l", None),
        ("airvid create x --wait > /dev/null; airvid list --json | jq -r '.[0].status'", b"completed\n"),
    ],
)
def test_a_script_can_rely_on_it(sh: Run, script: str, expected: bytes | None) -> None:
    done = sh(script)
    assert done.returncode == 0, done.stderr.decode()
    assert expected is None or done.stdout == expected
    assert b"\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["list"], ["models"], ["--help"], ["list", "--json"], ["create", "y", "-o", "-"]]
)
def test_a_closed_pipe_ends_it_quietly_with_141(tmp_path: Path, env: dict[str, str], arguments: list[str]) -> None:
    subprocess.run([*AIRVID, "-q", "create", "x"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, check=True)
    command = [*AIRVID, "-q", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 141)


def test_a_failure_stops_a_script(sh: Run) -> None:
    done = sh("airvid status 00000000-0000-4000-8000-000000000000; echo not reached")
    assert (done.returncode, done.stdout) == (4, b"")


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_any_locale_will_do(tmp_path: Path, env: dict[str, str], locale: str) -> None:
    command = [*AIRVID, "create", "雪の中のキツネ", "--dry-run"]
    more = {**env, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, cwd=tmp_path, env=more, capture_output=True, timeout=60, check=False)
    assert done.returncode in (0, 2), done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_waiting_and_the_hint_goes_on(
    tmp_path: Path, env: dict[str, str], server: Server, number: int, code: int
) -> None:
    server.emulator.pace = Pace(queued=0.1, processing=3)
    command = [*AIRVID, "create", "x", "-o", "fox.mp4"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr
        for line in process.stderr:
            if b"processing" in line:
                break
        process.send_signal(number)
        rest = process.stderr.read().decode()
        assert process.wait(10) == code
    assert not (tmp_path / "fox.mp4").exists()
    told = next(line for line in rest.splitlines() if "airvid watch" in line).split("airvid ", 1)[1]
    done = subprocess.run([*AIRVID, *told.split()], cwd=tmp_path, env=env, capture_output=True, timeout=60, check=True)
    assert done.stdout.split()[-1] == b"fox.mp4"
    assert posts(server) == 1


@pytest.mark.parametrize("module", ["typer", "typer.core", "airvid.cli.app", "airvid.session"])
def test_ctrl_c_while_modules_are_loaded_ends_it_quietly(tmp_path: Path, env: dict[str, str], module: str) -> None:
    probe = f"""
import signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                pass  # as a module may do that can be without another one
sys.meta_path.insert(0, Finder())
"""
    (tmp_path / "sitecustomize.py").write_text(probe)
    path = os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])
    done = subprocess.run([*AIRVID, "create", "x"], cwd=tmp_path, env=env | {"PYTHONPATH": path}, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_signal_is_heard_where_the_loop_is_about_to_wait() -> None:
    def waking() -> int:
        """What else than a handler, which is called between two steps of the program, wakes it."""
        descriptor = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        return descriptor

    async def story() -> None:
        found.append(waking())
        system.on_stop(print)()
        found.append(waking())

    found: list[int] = []
    system.run(story())
    assert [descriptor for descriptor in found if descriptor < 0] == []


@pytest.mark.parametrize("limit", [[], ["--timeout", "1"]], ids=["", "time limit"])
def test_a_signal_while_the_post_is_out_waits_for_its_answer(
    tmp_path: Path, env: dict[str, str], server: Server, limit: list[str]
) -> None:
    server.emulator.faults.append(Fault("POST /video/generations", delay=1.5))
    command = [*AIRVID, "create", "x", "--wait", *limit]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr
        while not posts(server):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert b"waiting up to" in process.stderr.read()
        assert process.wait(10) == 130
    listed = subprocess.run(
        [*AIRVID, "list", "--local", "--json"], cwd=tmp_path, env=env, capture_output=True, check=True
    )
    assert [entry["airvid"]["fate"] for entry in json.loads(listed.stdout)] == ["known"]
    assert posts(server) == 1


def test_killed_after_the_post_left_it_is_found_again(tmp_path: Path, env: dict[str, str], server: Server) -> None:
    server.emulator.faults.append(Fault("POST /video/generations", delay=20))
    with subprocess.Popen([*AIRVID, "create", "x"], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
        while not posts(server):
            assert process.poll() is None
        process.kill()
    done = subprocess.run(
        [*AIRVID, "watch", "last", "-o", "fox.mp4"], cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert posts(server) == 1
    assert (tmp_path / "fox.mp4").exists()


def test_a_kill_while_a_reader_is_waited_for_leaves_no_clip_behind(tmp_path: Path, env: dict[str, str]) -> None:
    places = tmp_path / "tmp"
    places.mkdir()
    longer_than_a_pipe = tiny_mp4(bytes(4 << 20))
    with Server(Emulator(pace=Pace(queued=0.1, processing=0.4), render=lambda _: longer_than_a_pipe)) as server:
        more = {**env, "TMPDIR": str(places), "AIRVID_BASE_URL": server.api_url}
        command = [*AIRVID, "create", "x", "-o", "-"]
        with subprocess.Popen(command, env=more, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout
            assert process.stdout.read(4096)
            assert list(places.iterdir())
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 143
    assert list(places.iterdir()) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="the file systems of macOS take UTF-8 names only")
def test_a_file_of_any_name_can_be_used_by_a_script(sh: Run) -> None:
    name = r"name=$(printf 'caf\351 au lait.mp4')"
    done = sh(f'{name}; file=$(airvid create x -o "$name"); head -c 8 "$file" | tail -c 4')
    assert (done.returncode, done.stdout) == (0, b"ftyp"), done.stderr


def test_a_prompt_is_utf_8_in_a_locale_that_knows_but_ascii(tmp_path: Path, env: dict[str, str]) -> None:
    more = {**env, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*AIRVID, "create", "雪の中のキツネ", "--dry-run", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=more, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["request"]["prompt"] == "雪の中のキツネ"


def test_the_sandbox_s_own_key_is_shown_though_it_is_in_use(env: dict[str, str]) -> None:
    more = {**env, "AIRVID_API_KEY": "sk-air-sandbox"}
    with subprocess.Popen([*AIRVID, "sandbox", "--json"], env=more, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["api_key"] == "sk-air-sandbox"
        process.send_signal(signal.SIGTERM)
