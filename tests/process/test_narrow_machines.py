"""Machines that give little: few open files, a home that cannot be written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from program_process import CLIP, LinkedEmulator, User, make_tasks, posts
from terminal import AIRVID

from airvid.sandbox.server import Server

# A folder that is read-only for root as well.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 77; exec "$@"'


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(LinkedEmulator()) as running:
        yield running


@pytest.fixture
def user(server: Server, tmp_path: Path) -> User:
    return User(tmp_path, server.api_url)


def run(user: User, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=user.here, env=user.env, capture_output=True, text=True, timeout=60, check=False)


def with_files(user: User, most: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program where it may open so many files at once."""
    return run(user, "sh", "-c", f'ulimit -n {most}; exec "$@"', "sh", *AIRVID, *arguments)


def with_read_only_home(user: User, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    data = user.here.parent / "data"
    data.mkdir(exist_ok=True)
    if os.geteuid():
        data.chmod(0o500)
        return user.airvid(*arguments)
    done = run(user, "unshare", "-m", "sh", "-c", READ_ONLY, str(data), *AIRVID, *arguments)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no folder can be made read-only here")
    return done


@pytest.mark.parametrize(("most", "told"), [(1024, None), (256, "18 at a time, not 32"), (64, "2 at"), (32, "1 at a")])
def test_downloads_side_by_side_are_as_many_as_files_can_be_open(
    server: Server, user: User, most: int, told: str | None
) -> None:
    make_tasks(server, 40)
    done = with_files(user, most, "download", "--all", "-j", "32", "-o", "{id}.mp4")
    assert done.returncode == 0, done.stderr
    assert (told or "at a time") in done.stderr or told is None
    assert [each.read_bytes() == CLIP for each in user.here.iterdir()] == [True] * 40


@pytest.mark.parametrize("command", [["download", "--all"], ["create", "x", "-m", "wan-2.6"], ["list"]])
def test_too_few_files_are_an_error_that_says_so(server: Server, user: User, command: list[str]) -> None:
    done = with_files(user, 16, *command)
    assert (done.returncode, done.stdout, posts(server)) == (1, "", 0)
    assert "only 16 files at once" in done.stderr
    assert "hint: ulimit -n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("has_journal", [True, False])
def test_a_home_that_cannot_be_written_is_told_once(server: Server, user: User, has_journal: bool) -> None:
    task = make_tasks(server, 3)[0]
    if has_journal:
        assert user.airvid("create", "x", "-m", "wan-2.6").returncode == 0
    listed = with_read_only_home(user, ["list"])
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 4 if has_journal else 3)
    assert listed.stderr.count("cannot be read") == 1
    saved = with_read_only_home(user, ["download", task, "-o", "fox.mp4"])
    assert (saved.returncode, saved.stderr.count("warning:")) == (0, 1), saved.stderr
    local = with_read_only_home(user, ["list", "--local"])
    assert (local.returncode, local.stdout) == (11, "")
    assert "cannot be read" in local.stderr
    assert "no tasks" not in local.stderr
    last = with_read_only_home(user, ["status", "last"])
    assert (last.returncode, last.stderr.count("cannot be read")) == (11, 1)
    before = posts(server)
    assert with_read_only_home(user, ["create", "x", "-m", "wan-2.6"]).returncode == 11
    assert posts(server) == before


def test_without_a_journal_there_are_no_tasks(user: User) -> None:
    done = user.airvid("list", "--local")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no tasks\n")
