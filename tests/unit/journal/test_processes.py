"""Which processes of a journal still run, and which are awake."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airvid import clock
from airvid.journal.processes import AWAKE, Processes


def test_a_process_runs_until_it_closes(tmp_path: Path) -> None:
    own, other = Processes(tmp_path / "running"), Processes(tmp_path / "running")
    name = own.register()
    assert own.register() == name
    assert other.is_running(name)
    assert other.is_awake(name)
    own.close()
    assert not other.is_running(name)
    assert not other.is_awake(name)
    assert list((tmp_path / "running").iterdir()) == []


def test_a_killed_process_does_not_run_and_its_file_is_removed(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from airvid.journal.processes import Processes\n"
        "print(Processes(pathlib.Path(sys.argv[1])).register(), flush=True)\n"
        "os._exit(9)\n"
    )
    folder = tmp_path / "running"
    died = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=False)
    name = died.stdout.strip()
    assert (folder / name).exists(), died.stderr
    processes = Processes(folder)
    processes.remove_ended()
    assert list(folder.iterdir()) == []
    assert not processes.is_running(name)


def test_a_process_that_has_not_marked_itself_for_long_is_not_awake(tmp_path: Path) -> None:
    own = Processes(tmp_path)
    name = own.register()
    long_ago = clock.now() - AWAKE - 1
    os.utime(tmp_path / name, (long_ago, long_ago))
    assert (own.is_running(name), own.is_awake(name)) == (True, False)
    own.mark_awake()
    assert own.is_awake(name)
    own.close()


@pytest.mark.skipif(sys.platform == "win32", reason="locks are another module's on Windows")
def test_where_locks_do_not_work_a_process_counts_as_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    own = Processes(tmp_path)
    assert own.is_running(own.register())
    own.close()


@pytest.mark.parametrize("name", [None, "f" * 32])
def test_an_unknown_process_does_not_run(tmp_path: Path, name: str | None) -> None:
    assert not Processes(tmp_path / "nowhere").is_running(name)
    Processes(tmp_path / "nowhere").remove_ended()
    assert not (tmp_path / "nowhere").exists()
