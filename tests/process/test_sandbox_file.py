"""The sandbox when its file is broken, of another layout, or on a full disk: a sentence, and the way out of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from program_process import User

pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
CREATE = ("--sandbox", "create", "a fox", "-m", "wan-2.6", "-d", "8")


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path, "http://127.0.0.1:9/v1")


def data(user: User) -> Path:
    return user.here.parent / "data" / "airvid" / "sandbox"


def change(user: User, *statements: str) -> None:
    with closing(sqlite3.connect(data(user) / "server.db", isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def garbage(user: User) -> None:
    (data(user) / "server.db").write_bytes(b"no database at all" * 1000)


def another_layout(user: User) -> None:
    change(user, "DROP TABLE tasks", "CREATE TABLE tasks (id TEXT, title TEXT)")


def another_secret(user: User) -> None:
    change(user, "UPDATE secret SET value = 7")


def a_folder(user: User) -> None:
    (data(user) / "server.db").unlink()
    (data(user) / "server.db").mkdir()


def damaged_middle(user: User) -> None:
    with (data(user) / "server.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096 * 20)


def damaged_row(user: User) -> None:
    change(user, "UPDATE tasks SET record = '{'")


def full_disk(user: User) -> None:
    user.customise("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))")


def full_disk_at_first(user: User) -> None:
    for each in data(user).glob("*.db*"):
        each.unlink()
    full_disk(user)


BROKEN = [garbage, another_layout, another_secret, a_folder, damaged_middle, damaged_row]


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_broken_sandbox_is_told_and_can_be_reset(user: User, spoil: Callable[[User], None]) -> None:
    assert user.airvid(*CREATE).returncode == 0
    (data(user) / "notes.txt").write_text("the user's own")
    spoil(user)
    for command in (("status", "last"), ("list",)):
        result = user.airvid("--sandbox", *command)
        assert (result.returncode, result.stdout) == (11, ""), result.stderr
        assert "airvid sandbox reset" in result.stderr
        assert "Traceback" not in result.stderr
    assert user.airvid("sandbox", "reset").returncode == 0
    assert user.airvid(*CREATE).returncode == 0
    assert len(user.airvid("--sandbox", "list", "--ids").stdout.split()) == 1
    assert len(user.airvid("--sandbox", "list", "--ids", "--local").stdout.split()) == 1
    assert (data(user) / "notes.txt").exists()


@pytest.mark.parametrize("fill", [full_disk, full_disk_at_first])
def test_a_sandbox_on_a_full_disk_is_told(user: User, fill: Callable[[User], None]) -> None:
    assert user.airvid(*CREATE).returncode == 0
    fill(user)
    result = user.airvid(*CREATE)
    assert (result.returncode, result.stdout) == (11, "")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("spoil", BROKEN[:4])
def test_a_broken_sandbox_is_not_served(user: User, spoil: Callable[[User], None]) -> None:
    assert user.airvid(*CREATE).returncode == 0
    spoil(user)
    result = user.airvid("sandbox")
    assert (result.returncode, result.stdout) == (11, "")
    assert "airvid sandbox reset" in result.stderr


def test_resetting_a_sandbox_that_never_was_is_no_error(user: User) -> None:
    result = user.airvid("sandbox", "reset", "--json")
    assert result.returncode == 0, result.stderr
    assert user.airvid("sandbox", "rest").returncode == 2


def test_a_deleted_clip_of_the_sandbox_can_be_fetched_by_a_later_run(user: User) -> None:
    """Its storage host has another port in every run."""
    task = user.airvid("--sandbox", "create", "a fox", "-m", "dune-lite").stdout.strip()
    assert user.airvid("--sandbox", "watch", task).returncode == 0
    assert user.airvid("--sandbox", "delete", "-y", task).returncode == 0
    done = user.airvid("--sandbox", "download", task, "-o", "fox.mp4")
    assert (done.returncode, user.target.exists()) == (0, True), done.stderr
