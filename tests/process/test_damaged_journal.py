"""The journal when it is damaged, locked or not there: real processes, and a server on a real socket."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from program import World
from program_process import User, calls, make_tasks, posts, until

from airvid.journal.schema import _LAYOUTS
from airvid.sandbox.emulator import Fault
from airvid.sandbox.faults import parse_fault
from airvid.sandbox.messages import refusal
from airvid.sandbox.server import Server

POST = "POST /video/generations"
CREATE = ("create", "a fox", "-m", "wan-2.6", "-d", "8")


def journal(user: User) -> Path:
    return user.here.parent / "data" / "airvid" / "journal.db"


@contextmanager
def opened(user: User) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(journal(user), isolation_level=None)) as database:
        yield database


def change(user: User, *statements: str) -> None:
    with opened(user) as database:
        for statement in statements:
            database.execute(statement)


def kept(user: User) -> list[Path]:
    """The broken journals that were set aside."""
    return list(journal(user).parent.glob("journal.broken-*.db"))


# ---------------------------------------------------------------------- files that are no journal, or not any more


def spoil_middle(user: User) -> None:
    insert = (
        "INSERT INTO clip (base_url, fate, intended_at, prompt, request)"
        " WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " SELECT base_url, 'refused', intended_at - i, prompt || i, request FROM clip, n WHERE id = 1"
    )
    change(user, insert, "PRAGMA wal_checkpoint(TRUNCATE)")
    size = journal(user).stat().st_size // 4096
    with journal(user).open("r+b") as file:
        file.seek(size // 4 * 4096)
        file.write(b"\xa5" * (size // 2 * 4096))


def spoil_index(user: User) -> None:
    """Every index but the first page of the file, which tells where they are."""
    with opened(user) as database:
        roots = database.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'clip'")
        pages = [page for (page,) in roots]
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with journal(user).open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xa5" * 4096)


def migrate_halfway(user: User) -> None:
    change(user, "DROP TRIGGER clip_day", "PRAGMA user_version = 2")


def forget_version(user: User) -> None:
    change(user, "PRAGMA user_version = 0")


def lose_trigger(user: User) -> None:
    change(user, "DROP TRIGGER spending_insert")


def be_foreign(user: User) -> None:
    journal(user).unlink()
    change(user, "CREATE TABLE clip (id INTEGER PRIMARY KEY, title TEXT)", "INSERT INTO clip VALUES (1, 'home video')")


def be_foreign_of_this_version(user: User) -> None:
    be_foreign(user)
    change(user, f"PRAGMA user_version = {len(_LAYOUTS)}")


BROKEN = [spoil_middle, migrate_halfway, forget_version, lose_trigger, be_foreign, be_foreign_of_this_version]


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_broken_journal_is_set_aside_and_said(user: User, server: Server, spoil: Callable[[User], None]) -> None:
    assert user.airvid(*CREATE).returncode == 0
    spoil(user)
    result = user.airvid("create", "another", "-m", "wan-2.6", "-d", "8")
    assert (result.returncode, posts(server)) == (0, 2), result.stderr
    assert str(kept(user)[0]) in result.stderr
    assert user.airvid("list", "--local", "--ids").stdout == result.stdout


@pytest.mark.parametrize(
    ("spoil", "command"),
    [(spoil, ("list", "--local", "--json")) for spoil in BROKEN]
    + [(spoil, ("delete", "last", "-y")) for spoil in BROKEN if spoil != spoil_middle],
)
def test_what_a_broken_journal_knew_is_not_answered(
    user: User, server: Server, spoil: Callable[[User], None], command: tuple[str, ...]
) -> None:
    assert user.airvid(*CREATE).returncode == 0
    make_tasks(server)  # another machine's
    spoil(user)
    result = user.airvid(*command)
    assert (result.returncode, result.stdout) == (11, "")
    assert str(kept(user)[0]) in result.stderr
    assert not [call for call in calls(server) if call.startswith("DELETE")]


def test_a_broken_index_is_rebuilt(user: User) -> None:
    made = [user.airvid(*CREATE).stdout for _ in range(3)]
    spoil_index(user)
    result = user.airvid("list", "--local", "--ids")
    assert (result.returncode, result.stdout.split()) == (0, "".join(made[::-1]).split()), result.stderr
    assert user.airvid("status", "last").stdout.startswith(made[-1].strip())
    assert str(*kept(user)) in result.stderr
    assert [user.airvid(*CREATE, AIRVID_BUDGET_DAY="0.80").returncode for _ in range(2)] == [0, 7]  # spent: 0.54
    with opened(user) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_migration_that_is_killed_has_changed_nothing_and_is_made_again(user: User) -> None:
    journal(user).parent.mkdir(parents=True)
    with opened(user) as database:
        database.executescript(_LAYOUTS[0])
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "INSERT INTO clip (base_url, fate, intended_at) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            " WHERE i < 150000) SELECT 'http://elsewhere/v1', 'refused', i FROM n"
        )
        database.execute("PRAGMA user_version = 1")
    wal = journal(user).with_name("journal.db-wal")
    with user.running("list", "--local") as process:
        until(lambda: (wal.exists() and wal.stat().st_size > 500_000) or process.poll() is not None, "a migration")
        assert process.poll() is None
    with opened(user) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(clip)")]
        assert (database.execute("PRAGMA user_version").fetchone(), "day" in columns) == ((1,), False)
    assert len(user.airvid("list", "--local", "-L", "7").stdout.splitlines()) == 7
    assert kept(user) == []


# ---------------------------------------------------------------------- no journal


@pytest.mark.parametrize("in_the_way", ["a file for a folder", "a folder for a file"])
@pytest.mark.parametrize("command", [("delete", "last", "-y"), ("status", "last"), ("list", "--local", "--json")])
def test_without_a_journal_that_can_be_read_there_is_no_last(
    user: User, server: Server, in_the_way: str, command: tuple[str, ...]
) -> None:
    make_tasks(server)  # another machine's
    if in_the_way == "a file for a folder":
        journal(user).parent.parent.mkdir()
        journal(user).parent.write_text("")
    else:
        journal(user).mkdir(parents=True)
    result = user.airvid(*command)
    assert (result.returncode, result.stdout, calls(server)) == (11, "", [])


@pytest.mark.parametrize("has_journal", [False, True])
def test_without_an_entry_there_is_no_last(user: User, server: Server, has_journal: bool) -> None:
    if has_journal:
        server.emulator.faults.append(Fault(POST, refusal(422, "No.", "no"), before=True))
        assert user.airvid(*CREATE).returncode == 1
        assert journal(user).exists()
    make_tasks(server)
    result = user.airvid("delete", "last", "-y")
    assert (result.returncode, result.stdout, calls(server)) == (4, "", [])
    assert "airvid list" in result.stderr


# ---------------------------------------------------------------------- damaged rows


@pytest.mark.parametrize(
    "damage",
    [
        "request = '{'",
        "request = '[7]'",
        "request = x'00'",
        "candidates = '{}'",
        "prompt = CAST(x'ff' AS TEXT)",
        "prompt = x'ff'",
        "model = 7.5, error = x'00'",
        "intended_at = 'soon'",
        "intended_at = 9e999",
        "estimate_cents = 'much', cost_cents = x'00'",
        "saved_at = 'once'",
        "known_at = 'then', ended_at = x'ff'",
    ],
)
def test_a_damaged_row_is_passed_over_and_said(user: User, server: Server, damage: str) -> None:
    sound, damaged = (user.airvid(*CREATE).stdout.strip() for _ in range(2))
    change(user, f"UPDATE clip SET {damage} WHERE id = 2")
    result = user.airvid("list", "--local", "--ids")
    assert (result.returncode, result.stdout.split()) == (0, [sound])
    assert result.stderr.count("row 2 of the journal") == 1
    assert user.airvid("list", "--local", "--ids", "--search", "FOX").stdout.split() == [sound]
    for command in (("list",), ("status", sound), ("watch", "last"), ("watch",), ("download", "last", "-o", "fox.mp4")):
        result = user.airvid(*command)
        assert result.returncode == 0, (command, result.stderr)
        assert result.stderr.count("row 2 of the journal") <= 1
    assert user.airvid("status", "last").stdout.startswith(damaged)  # and never the one before it
    assert user.airvid(*CREATE, AIRVID_BUDGET_DAY="10").returncode == 0
    assert posts(server) == 3


@pytest.mark.parametrize("damage", ["request = '{'", "present = '{'", "sent_at = 'x'", "candidates = x'ff'"])
def test_a_damaged_row_of_unknown_fate_stops_nothing_and_takes_no_task(user: User, server: Server, damage: str) -> None:
    server.emulator.faults.append(parse_fault("lost-reply"))
    with user.running(*CREATE) as process:
        until(lambda: posts(server), "a create")
        process.kill()
        process.wait()
    change(user, f"UPDATE clip SET {damage}")
    for command in (("list",), ("create", "another", "-m", "wan-2.6", "-d", "8"), ("watch",)):
        result = user.airvid(*command)
        assert result.returncode == 0, (command, result.stderr)
    with opened(user) as database:
        assert database.execute("SELECT task_id FROM clip WHERE id = 1").fetchone() == (None,)


# ---------------------------------------------------------------------- a journal that another process holds


@contextmanager
def locked(user: User) -> Iterator[None]:
    with closing(sqlite3.connect(journal(user), isolation_level=None, check_same_thread=False)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_heard_while_the_journal_is_locked(
    user: User, server: Server, number: signal.Signals, code: int
) -> None:
    assert user.airvid(*CREATE).returncode == 0
    with locked(user), user.running("create", "another", "-m", "wan-2.6", "-d", "8") as process:
        until(
            lambda: sorted(calls(server)[3:]) == ["GET /models", "GET /video/tasks"], "all questions before the intent"
        )
        time.sleep(0.5)
        process.send_signal(number)
        assert process.wait(20) == code
    assert posts(server) == 1
    with opened(user) as database:
        assert database.execute("SELECT count(*) FROM clip").fetchone() == (1,)


# ---------------------------------------------------------------------- money


def test_a_create_that_left_once_is_never_forgotten(user: User, server: Server) -> None:
    server.emulator.faults.append(Fault(POST, refusal(429, "Slow down.", "rate_limit"), before=True, times=99))
    with user.running(*CREATE, "--wait") as process:
        assert process.stderr
        until(lambda: posts(server), "a create")
        next(line for line in process.stderr if "waiting for" in line)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    [entry] = user.airvid("list", "--local").stdout.splitlines()
    assert "refused" in entry


def test_a_clip_bought_while_the_clock_was_ahead_counts_for_the_day_it_is_noticed(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "0.40")  # two clips
    ahead = 9 * 365 * 86_400
    world.clock.shift_wall(ahead)
    assert world.airvid(*CREATE).code == 0
    world.clock.shift_wall(-ahead)
    assert [world.airvid(*CREATE).code for _ in range(2)] == [0, 7]
    for _ in range(2):
        world.clock.advance(86_400)
        assert [world.airvid(*CREATE).code for _ in range(3)] == [0, 0, 7]
