"""A folder that goes away under the program. Only a failed write to standard output is told as one."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from program_process import User, make_tasks
from small_files import render_tiny
from terminal import AIRVID, Terminal

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove a folder that is in use")
CREATE = ["create", "fox", "-m", "wan-2.6", "-d", "8"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Emulator(pace=Pace(queued=0, processing=0.5), slots=1, render=render_tiny)) as running:
        yield running


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("status {task}", 0, "completed"),
        ("list", 0, "completed"),
        ("watch {task}", 0, "completed"),
        ("download {task} -o {kept}/fox.mp4", 0, "saved"),
        ("download {task}", 11, "the working folder: No such file or directory"),
        ("create fox -m wan-2.6 -o fox.mp4", 11, "the working folder: No such file or directory"),
    ],
)
def test_a_removed_working_folder(tmp_path: Path, server: Server, command: str, code: int, told: str) -> None:
    user = User(tmp_path, server.api_url, TERM_PROGRAM="vscode")  # a terminal that shows links to files
    server.emulator.pace = Pace(queued=0, processing=0)
    (task,) = make_tasks(server)
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f"{shlex.join(AIRVID)} {command.format(task=task, kept=user.here)}"
    terminal = Terminal(["-c", f"rmdir {gone}; {line}"], cwd=gone, env=user.env, command=["sh"], columns=200)
    assert terminal.end() == code, terminal.text
    assert told in terminal.text
    assert "standard output" not in terminal.text


def test_a_full_disk_behind_the_help_is_a_failed_write(tmp_path: Path) -> None:
    user = User(tmp_path, "http://127.0.0.1:9")
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*AIRVID, "help"], env=user.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (11, "error: standard output cannot be written: No space left on device\n")


def test_the_folder_of_running_processes_is_removed_under_a_create_that_waits(tmp_path: Path, server: Server) -> None:
    user = User(tmp_path, server.api_url)
    with user.running(*CREATE, "-n", "3", "--wait") as process:
        assert process.stderr
        for line in process.stderr:
            if "waiting for a free slot" in line:
                break
        shutil.rmtree(Path(user.env["XDG_DATA_HOME"], "airvid", "running"))
        assert process.wait(30) == 0, process.stderr.read()
    assert len(user.airvid("list", "--local", "--status", "completed", "--ids").stdout.split()) == 3
