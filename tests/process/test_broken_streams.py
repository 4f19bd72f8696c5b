"""The program as a process whose streams break, whose terminal goes, and which is told to stop at bad moments."""

from __future__ import annotations

import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import KEY, World
from small_files import render_tiny
from terminal import AIRVID, environment

from airvid.sandbox.emulator import Emulator, Fault, Pace
from airvid.sandbox.server import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals and no hang-ups")
# Takes the terminal on its standard input for its own, as a login shell does, and becomes the program.
ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class User:
    """A person with a shell, a folder and a server that answers creates after a second."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.env = environment(folder, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)

    def airvid(self, *arguments: str, **more: object) -> subprocess.CompletedProcess[bytes]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
        command = [*AIRVID, *arguments]
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            command, cwd=self.folder, env=self.env, timeout=60, check=False, **streams
        )

    @contextmanager
    def on_terminal(self, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """The program on a terminal of its own, and the terminal's other end."""
        master, slave = pty.openpty()
        command = [sys.executable, "-c", ON_TERMINAL, *AIRVID, *arguments]
        process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=self.folder, env=self.env, start_new_session=True
        )
        try:
            yield process, master
        finally:
            os.close(slave)
            process.kill()
            process.wait()

    def until_posted(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 20
        while not self.posts:
            assert process.poll() is None, "the program ended first"
            assert time.monotonic() < end
            time.sleep(0.01)

    @property
    def posts(self) -> int:
        return sum(request.method == "POST" for _, request in self.server.emulator.requests)

    @property
    def rows(self) -> list[tuple[str, str | None]]:
        database = sqlite3.connect(self.folder / "data" / "airvid" / "journal.db")
        try:
            return database.execute("SELECT fate, task_id FROM clip ORDER BY id").fetchall()
        finally:
            database.close()


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with Server(Emulator(pace=Pace(queued=0.05, processing=0.2), render=render_tiny)) as server:
        yield User(tmp_path, server)


def shown(master: int, wanted: bytes) -> bytes:
    """What came onto the terminal, up to and with `wanted`."""
    seen, end = b"", time.monotonic() + 20
    while wanted not in seen:
        assert select.select([master], [], [], max(0.0, end - time.monotonic()))[0], f"only {seen!r} came"
        seen += os.read(master, 4096)
    return seen


# ---------------------------------------------------------------------- the terminal goes, signals come twice


@pytest.mark.parametrize("options", [[], ["--wait"]], ids=" ".join)
def test_a_terminal_that_is_closed_during_the_post_loses_nothing(user: User, options: list[str]) -> None:
    user.server.emulator.faults.append(Fault("POST", delay=0.3))
    with user.on_terminal("create", "fox", *options) as (process, master):
        user.until_posted(process)
        os.close(master)
        code = process.wait(15)
    assert user.posts == 1
    ((fate, task_id),) = user.rows
    assert (fate, task_id is None) == ("known", False)
    assert code in (129, -signal.SIGHUP)


def test_a_terminal_that_is_closed_during_a_post_without_answer_leaves_it_unknown(user: User) -> None:
    user.server.emulator.faults.append(Fault("POST", ending="reset", delay=0.3))
    with user.on_terminal("create", "fox", "--wait") as (process, master):
        user.until_posted(process)
        os.close(master)
        code = process.wait(15)
    assert [fate for fate, _ in user.rows] == ["unknown"]
    assert code in (129, -signal.SIGHUP)


@pytest.mark.parametrize("numbers", [(signal.SIGHUP,) * 2, (signal.SIGINT,) * 2])
def test_a_signal_that_comes_twice_at_once_still_keeps_the_answer(user: User, numbers: Sequence[int]) -> None:
    user.server.emulator.faults.append(Fault("POST", delay=0.3))
    command = [*AIRVID, "create", "fox"]
    with subprocess.Popen(command, cwd=user.folder, env=user.env, stderr=subprocess.PIPE) as process:
        assert process.stderr
        user.until_posted(process)
        process.send_signal(numbers[0])
        time.sleep(0.02)
        process.send_signal(numbers[1])
        assert b"the task was made" in process.stderr.read()
        assert process.wait(15) == 128 + numbers[0]
    assert [fate for fate, _ in user.rows] == ["known"]


# ---------------------------------------------------------------------- prompts that are waited at


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("arguments", [["create", "-"], ["status", "-"], ["auth", "login"]], ids=" ".join)
def test_a_program_that_reads_the_terminal_ends_at_the_first_signal(
    user: User, arguments: list[str], number: int, code: int
) -> None:
    with user.on_terminal(*arguments) as (process, master):
        before = termios.tcgetattr(master)[3]
        if arguments == ["auth", "login"]:
            shown(master, b"API key:")
        else:
            wait_until_it_reads(process)
        process.send_signal(number)
        assert process.wait(5) in (code, -number)
        assert termios.tcgetattr(master)[3] == before or number == signal.SIGTERM
        os.close(master)
    assert user.posts == 0


def wait_until_it_reads(process: subprocess.Popen[bytes]) -> None:
    """Until the process sleeps in a read of its standard input."""
    end = time.monotonic() + 20
    while True:
        assert process.poll() is None
        assert time.monotonic() < end
        try:
            call = Path(f"/proc/{process.pid}/syscall").read_text().split()
        except OSError:
            pytest.skip("this system does not show which call a process waits in (/proc/PID/syscall)")
        if call[0] in ("0", "63") and call[1] == "0x0":  # read, on x86-64 and arm64
            return
        time.sleep(0.01)


# ---------------------------------------------------------------------- standard output that takes nothing

FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")


@FULL
@pytest.mark.parametrize("options", [[], ["--json"], ["--wait"], ["-n", "2"]], ids=" ".join)
def test_a_full_disk_behind_standard_output_is_told_in_one_sentence(user: User, options: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = user.airvid("create", "fox", *options, stdout=full)
    told = done.stderr.decode()
    assert done.returncode == 11, told
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    assert [fate for fate, _ in user.rows] == ["known"] * user.posts
    assert told.count("No space left") == user.posts
    assert [task_id for _, task_id in user.rows if str(task_id) not in told] == []


@FULL
@pytest.mark.parametrize("arguments", [["list", "--json"], ["models"], ["--version"]], ids=" ".join)
def test_a_full_disk_behind_any_command_is_11(user: User, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = user.airvid(*arguments, stdout=full)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 11, lines
    assert len([line for line in lines if '"error"' in line or line.startswith("error: ")]) == len(lines) == 1


@FULL
def test_a_full_disk_behind_standard_output_keeps_no_clip_from_its_file(user: User) -> None:
    ids = [user.airvid("create", "fox").stdout.decode().strip() for _ in range(2)]
    with open("/dev/full", "wb") as full:
        done = user.airvid("watch", *ids, "--json", "-o", "fox-{n}.mp4", stdout=full)
    assert done.returncode == 11, done.stderr
    assert [task_id for task_id in ids if task_id not in done.stderr.decode()] == []
    assert sorted(path.name for path in user.folder.glob("fox*")) == ["fox-1.mp4", "fox-2.mp4"]


@FULL
def test_a_full_disk_behind_standard_error_stops_nothing(user: User) -> None:
    with open("/dev/full", "wb") as full:
        done = user.airvid("create", "fox", "-o", "fox.mp4", stderr=full)
    assert (done.returncode, done.stdout) == (0, b"fox.mp4\n")


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"])
def test_streams_that_were_closed_before_it_began_lose_nothing(user: User, closed: str) -> None:
    script = f'exec "$@" {closed}'
    command = ["sh", "-c", script, "sh", *AIRVID, "create", "fox", "-o", "fox.mp4"]
    done = subprocess.run(command, cwd=user.folder, env=user.env, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert (user.folder / "fox.mp4").read_bytes()[4:8] == b"ftyp"
    assert user.posts == 1


@pytest.mark.parametrize("arguments", [["delete", "--all"], ["auth", "login"], ["create", "-"]])
def test_closed_standard_input_is_an_empty_one(user: User, arguments: list[str]) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *AIRVID, *arguments]
    done = subprocess.run(command, cwd=user.folder, env=user.env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert b"bug" not in done.stderr
    assert user.posts == 0


# ---------------------------------------------------------------------- keys of a few letters


@pytest.mark.parametrize("key", ["1", "test", "http", "task_id"])
def test_a_key_of_a_few_letters_corrupts_nothing(world: World, key: str) -> None:
    world.env.setenv("AIRVID_API_KEY", key)
    result = world.airvid("create", "a test fox", "-m", "wan-2.6", "--json", "--wait")
    assert result.code == 0, result.err
    assert result.objects[-1]["airvid"]["prompt"] == "a test fox"
    url = result.objects[-1]["result_url"]
    assert url.startswith("http://storage.test/")
    assert "[key]" not in result.out + result.err
    assert "sk-air-" not in result.out + result.err
