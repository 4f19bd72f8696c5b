"""The journal's file: opening it, laying it out, bringing an older one up to date, setting a broken one aside."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from airvid import clock, files, system
from airvid.errors import FileError


def _local_day(row: str) -> str:
    return f"date({row}.intended_at, 'unixepoch', 'localtime')"


def counted_cents(row: str) -> str:
    """SQL for the cents that a row counts for in the budgets."""
    return (
        f"CASE WHEN {row}.fate = 'refused' OR coalesce({row}.status, '') IN ('failed', 'expired') THEN 0"
        f" ELSE max(coalesce({row}.cost_cents, {row}.estimate_cents, 0), 0) END"
    )


def _spending_triggers(day: str) -> str:
    """SQL that keeps what was spent or reserved on each local day, so that a budget is quick to check.

    `day` is the SQL for the day of an older row; `{}` stands for the row.
    """
    old, new = counted_cents("old"), counted_cents("new")
    changes = {
        "INSERT": f"INSERT INTO spending VALUES ({_local_day('new')}, {new})"
        " ON CONFLICT (day) DO UPDATE SET cents = cents + excluded.cents",
        "DELETE": f"UPDATE spending SET cents = cents - {old} WHERE day = {day.format('old')}",
        "UPDATE OF fate, status, cost_cents, estimate_cents": (
            f"UPDATE spending SET cents = cents - {old} + {new} WHERE day = {day.format('old')}"
        ),
    }
    return "".join(
        f"CREATE TRIGGER spending_{event.split()[0].lower()} AFTER {event} ON clip BEGIN {change}; END;\n"
        for event, change in changes.items()
    )


# What each version adds to the one before it.
_LAYOUTS = (
    """
CREATE TABLE clip (
    id INTEGER PRIMARY KEY,
    base_url TEXT NOT NULL,
    fate TEXT NOT NULL,
    intended_at REAL NOT NULL,
    process TEXT,
    sent_at REAL,
    task_id TEXT,
    status TEXT,
    model TEXT,
    prompt TEXT,
    request TEXT NOT NULL DEFAULT '{}',
    target TEXT,
    estimate_cents REAL,
    cost_cents REAL,
    created REAL,
    expires_at REAL,
    file TEXT,
    bytes INTEGER,
    saved_at REAL,
    error TEXT,
    candidates TEXT NOT NULL DEFAULT '[]',
    present TEXT NOT NULL DEFAULT '[]',
    adopted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (base_url, task_id)
);
CREATE INDEX clip_by_time ON clip (intended_at);
CREATE INDEX clip_by_fate ON clip (base_url, fate, status);
CREATE INDEX clip_by_task ON clip (task_id);
CREATE INDEX clip_open ON clip (fate) WHERE fate <> 'known';
CREATE TABLE spending (day TEXT PRIMARY KEY, cents REAL NOT NULL);
"""
    + _spending_triggers(_local_day("{}")),
    # When the POST was answered and when the end was seen, by this machine's clock: how long a model's clips take.
    """
ALTER TABLE clip ADD COLUMN known_at REAL;
ALTER TABLE clip ADD COLUMN ended_at REAL;
CREATE INDEX clip_by_model ON clip (base_url, model, id) WHERE ended_at IS NOT NULL;
""",
    # A row keeps the day for which it was counted when the machine's time zone changes.
    f"""
ALTER TABLE clip ADD COLUMN day TEXT;
UPDATE clip SET day = {_local_day("clip")};
DROP TRIGGER spending_insert;
DROP TRIGGER spending_delete;
DROP TRIGGER spending_update;
CREATE TRIGGER clip_day AFTER INSERT ON clip BEGIN UPDATE clip SET day = {_local_day("new")} WHERE id = new.id; END;
"""
    + _spending_triggers("{}.day"),
    # Where a completed task's clip is, for when the server has forgotten the task; when the task was deleted there; and
    # which key made it, as the limit of running tasks is the key's.
    """
ALTER TABLE clip ADD COLUMN result_url TEXT;
ALTER TABLE clip ADD COLUMN deleted_at REAL;
ALTER TABLE clip ADD COLUMN account TEXT;
""",
    # Which clip of which row of a manifest it is, and a digest of what the row asked for.
    """
ALTER TABLE clip ADD COLUMN manifest TEXT;
ALTER TABLE clip ADD COLUMN row TEXT;
ALTER TABLE clip ADD COLUMN n INTEGER;
ALTER TABLE clip ADD COLUMN asked TEXT;
CREATE INDEX clip_by_manifest ON clip (manifest);
CREATE INDEX clip_by_row ON clip (row, n);
""",
    # The task or file whose last frame a clip goes on from.
    """
ALTER TABLE clip ADD COLUMN extends TEXT;
""",
)
VERSION = len(_LAYOUTS)
# The columns that the program reads and writes.
_COLUMNS = (
    "id, base_url, fate, intended_at, process, sent_at, task_id, status, model, prompt, request, target,"
    " estimate_cents, cost_cents, created, expires_at, file, bytes, saved_at, error, candidates, present, adopted,"
    " known_at, ended_at, result_url, deleted_at, account, manifest, row, n, asked, extends"
)
# The layout's parts beside the columns. Without a trigger, for example, budgets would miss what is spent.
_PARTS = {"sqlite_autoindex_clip_1", "clip_day", "spending_insert", "spending_delete", "spending_update"}


class Database(sqlite3.Connection):
    """A connection that replaces lone surrogates in texts: SQLite cannot store them."""

    def execute(self, query: str, values: Any = (), /) -> sqlite3.Cursor:
        return super().execute(query, _storable(values))

    def executemany(self, query: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        return super().executemany(query, map(_storable, rows))


class LayoutError(sqlite3.DatabaseError):
    """The file is a database, but not laid out as a journal."""


class LockedError(sqlite3.OperationalError):
    """Another process is mending the journal."""


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {name: _storable(each) for name, each in value.items()}
    return tuple(map(_storable, value)) if isinstance(value, tuple) else value


def connect(path: Path) -> Database:
    """The journal at `path`, made or brought up to date where needed. It never waits for another process.

    Raises: sqlite3.Error, for which see `is_busy` and `is_broken`; OSError.
    """
    files.open_regular(path, 0o600).close()  # it holds prompts: for its owner alone, from the first byte
    database = sqlite3.connect(path, timeout=0, isolation_level=None, factory=Database)
    try:
        database.row_factory = sqlite3.Row
        database.text_factory = _text_or_bytes
        # SQLite's own lower() knows ASCII alone.
        database.create_function("folded", 1, _folded)
        database.execute("PRAGMA journal_mode = WAL")  # readers beside a writer
        database.execute("PRAGMA synchronous = FULL")
        if _version(database) < VERSION:
            _lay_out(database)
        _check_layout(database)
        database.execute("SELECT * FROM clip ORDER BY id DESC LIMIT 1").fetchone()  # fails where the file is damaged
    except BaseException:
        database.close()
        raise
    return database


def _text_or_bytes(raw: bytes) -> str | bytes:
    """Text that is no UTF-8 stays bytes: one damaged row does not hide the others."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _folded(text: object) -> str:
    return text.decode("utf-8", "replace").casefold() if isinstance(text, bytes) else ""


def _version(database: Database) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def check_version(database: Database, path: Path) -> None:
    """Raises: FileError where a newer airvid has laid it out: its rows may mean more than this version knows."""
    if (found := _version(database)) > VERSION:
        raise FileError(
            f"the journal {path} was written by a newer airvid (layout {found}, not {VERSION})",
            hint="upgrade airvid; reading and following go on with this one",
        )


def _lay_out(database: Database) -> None:
    """Bring an empty or older journal to this version's layout, in one transaction, by one process at a time."""
    database.execute("BEGIN IMMEDIATE")
    with _layout_errors():
        for layout in _LAYOUTS[max(0, _version(database)) :]:
            for statement in layout.strip().split(";\n"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def _check_layout(database: Database) -> None:
    """Check that the file holds a journal and no other program's tables. Raises: LayoutError."""
    if _version(database) > VERSION:
        return  # a newer airvid's layout is not known here
    missing = _PARTS - {row["name"] for row in database.execute("SELECT name FROM sqlite_master")}
    if missing:
        raise LayoutError(f"it is not laid out as a journal: there is no {min(missing)}")
    with _layout_errors():
        database.execute(f"SELECT {_COLUMNS}, day FROM clip LIMIT 0")
        database.execute("SELECT day, cents FROM spending LIMIT 0")


@contextmanager
def _layout_errors() -> Iterator[None]:
    """Raise SQLite's error for a statement that does not fit the tables as a LayoutError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if _code(error) == sqlite3.SQLITE_ERROR:
            raise LayoutError(f"it is not laid out as a journal: {error}") from error
        raise


# ---------------------------------------------------------------------- a journal that is broken or in use


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code: the extended ones have it in their low byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the file, so that a later attempt may succeed."""
    return isinstance(error, LockedError) or _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged, or no journal of ours."""
    return isinstance(error, LayoutError) or _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def mend(path: Path) -> tuple[Path | None, bool]:
    """Put a sound journal in a broken one's place: where the broken one is kept, and whether its rows are all saved.

    Damaged indexes are built anew from the rows; a file whose rows cannot be read is replaced by an empty one.
    Raises: sqlite3.Error, LockedError where another process does the same; OSError.
    """
    with files.open_regular(path.with_name("journal.lock"), 0o600) as lock:
        if not system.try_lock(lock):
            raise LockedError("another process is mending it")
        beside = path.with_name("journal.new.db")
        _remove(beside)
        try:
            with closing(connect(path)) as database:
                if _is_sound(database):
                    return None, True  # another process was quicker
                is_ours = _version(database) == VERSION
            is_saved = is_ours and _copy(path, beside)
        except sqlite3.Error as error:
            if not is_broken(error):
                raise
            is_saved = False
        kept = _set_aside(path)
        if is_saved:
            os.replace(beside, path)
        else:
            _remove(beside)
        return kept, is_saved


def _copy(path: Path, beside: Path) -> bool:
    """Copy all rows of a journal, read without its indexes, into a new file. Raises: sqlite3.Error."""
    with closing(connect(beside)) as database:
        database.execute("ATTACH ? AS broken", (os.fspath(path),))
        database.execute("BEGIN IMMEDIATE")
        database.execute(f"INSERT INTO clip ({_COLUMNS}) SELECT {_COLUMNS} FROM broken.clip NOT INDEXED")
        # The triggers have just counted by the present time zone; the old counts stay.
        database.execute(
            "UPDATE clip SET day = (SELECT day FROM broken.clip AS old NOT INDEXED WHERE old.id = clip.id)"
        )
        database.execute("DELETE FROM spending")
        database.execute("INSERT INTO spending SELECT day, cents FROM broken.spending NOT INDEXED")
        database.execute("COMMIT")
        return _is_sound(database)


def _remove(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _is_sound(database: Database) -> bool:
    return [tuple(row) for row in database.execute("PRAGMA main.integrity_check(1)")] == [("ok",)]


def _set_aside(path: Path) -> Path:
    kept = path.with_name(f"journal.broken-{clock.now():.0f}.db")
    while os.path.lexists(kept):
        kept = kept.with_name(f"{kept.stem}-again.db")
    for suffix in ("-wal", "-shm", ""):
        if os.path.lexists(path.with_name(path.name + suffix)):
            os.replace(path.with_name(path.name + suffix), kept.with_name(kept.name + suffix))
    return kept
