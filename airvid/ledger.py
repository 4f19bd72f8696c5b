"""The journal's file: opening it, laying it out, bringing an older one up to date, setting a broken one aside."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from airvid import clock, system
from airvid.errors import PaymentError


def _local_day(row: str) -> str:
    return f"date({row}.intended_at, 'unixepoch', 'localtime')"


def _cents(row: str) -> str:
    """What a row counts for."""
    return (
        f"CASE WHEN {row}.fate = 'refused' OR coalesce({row}.status, '') IN ('failed', 'expired') THEN 0"
        f" ELSE max(coalesce({row}.cost_cents, {row}.estimate_cents, 0), 0) END"
    )


def _spending_triggers(insert: str, day: str) -> str:
    """What was spent or reserved on each local day: a budget costs the same to check, however long the journal grows.

    `insert` is the day of a new row, `day` that of a row that is there.
    """
    changes = {
        "INSERT": f"INSERT INTO spending VALUES ({insert.format('new')}, {_cents('new')})"
        " ON CONFLICT (day) DO UPDATE SET cents = cents + excluded.cents",
        "DELETE": f"UPDATE spending SET cents = cents - {_cents('old')} WHERE day = {day.format('old')}",
        "UPDATE OF fate, status, cost_cents, estimate_cents": (
            f"UPDATE spending SET cents = cents - {_cents('old')} + {_cents('new')} WHERE day = {day.format('old')}"
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
    + _spending_triggers(_local_day("{}"), _local_day("{}")),
    # When the POST was answered and when the end was seen, by this machine's clock: how long a model's clips take.
    """
ALTER TABLE clip ADD COLUMN known_at REAL;
ALTER TABLE clip ADD COLUMN ended_at REAL;
CREATE INDEX clip_by_model ON clip (base_url, model, id) WHERE ended_at IS NOT NULL;
""",
    # The day that a row was counted on stays its day when the machine has travelled.
    f"""
ALTER TABLE clip ADD COLUMN day TEXT;
UPDATE clip SET day = {_local_day("clip")};
DROP TRIGGER spending_insert;
DROP TRIGGER spending_delete;
DROP TRIGGER spending_update;
CREATE TRIGGER clip_day AFTER INSERT ON clip BEGIN UPDATE clip SET day = {_local_day("new")} WHERE id = new.id; END;
"""
    + _spending_triggers(_local_day("{}"), "{}.day"),
)
VERSION = len(_LAYOUTS)
_BUSY_SECONDS = 10.0


class Database(sqlite3.Connection):
    """SQLite takes no halves of characters, which anybody's text may hold and no UTF-8 has: they are replaced."""

    def execute(self, query: str, values: Any = (), /) -> sqlite3.Cursor:
        return super().execute(query, _storable(values))

    def executemany(self, query: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        return super().executemany(query, map(_storable, rows))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {name: _storable(each) for name, each in value.items()}
    return tuple(map(_storable, value)) if isinstance(value, tuple) else value


def open_or_begin(path: Path, warn: Callable[[str], None]) -> Database:
    """The database at `path`, laid out and readable; a broken one is set aside, and said so. Raises: sqlite3.Error."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if not _is_corrupt(error):
            raise
    kept = _set_aside(path)
    if kept:
        warn(
            f"the journal was broken; it is kept as {kept}, and a new one is begun: airvid list still shows what the "
            "server knows of the last 24 hours"
        )
    return _connect(path)


def _connect(path: Path) -> Database:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds prompts: for its owner alone, from the first byte
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, factory=Database)
    try:
        database.row_factory = sqlite3.Row
        # SQLite's own lower() knows ASCII alone.
        database.create_function("folded", 1, lambda text: text.casefold() if isinstance(text, str) else "")
        _use_wal(database)
        database.execute("PRAGMA synchronous = FULL")
        if database.execute("PRAGMA user_version").fetchone()[0] < VERSION:
            _lay_out(database)
        database.execute("SELECT * FROM clip ORDER BY id DESC LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _use_wal(database: Database) -> None:
    """Readers beside a writer. This pragma alone does not wait for its turn by itself."""
    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _lay_out(database: Database) -> None:
    """Bring an empty or older journal to this version's layout; of several processes, one does."""
    database.execute("BEGIN IMMEDIATE")
    for layout in _LAYOUTS[database.execute("PRAGMA user_version").fetchone()[0] :]:
        for statement in layout.strip().split(";\n"):
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def _set_aside(path: Path) -> Path | None:
    """Keep a broken journal under another name; None where another process was quicker."""
    with path.with_name("journal.lock").open("wb") as lock:
        while not system.try_lock(lock):
            time.sleep(0.05)
        try:
            _connect(path).close()
            return None
        except sqlite3.DatabaseError as error:
            if not _is_corrupt(error):
                raise
        kept = path.with_name(f"journal.broken-{clock.now():.0f}.db")
        for suffix in ("-wal", "-shm", ""):
            if os.path.lexists(path.with_name(path.name + suffix)):
                os.replace(path.with_name(path.name + suffix), kept.with_name(kept.name + suffix))
        return kept


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def hold_budget(
    database: Database, period: str, dollars: float, estimate: float | None, count: int, now: float
) -> None:
    """See that `count` clips of `estimate` cents fit into a budget. Raises: PaymentError."""
    if estimate is None:
        raise PaymentError(
            f"this model's price is unknown, and budget.{period} is set: nothing was sent",
            hint="name a model with a price; airvid models",
        )
    today = datetime.fromtimestamp(now)
    begin = today.replace(day=1) if period == "month" else today
    spent = database.execute(
        "SELECT coalesce(sum(cents), 0) FROM spending WHERE day >= ?", (begin.strftime("%Y-%m-%d"),)
    ).fetchone()[0]
    if spent + estimate * count > dollars * 100 + 1e-6:
        raise PaymentError(
            f"budget.{period} of ${dollars:g} would be passed: ${spent / 100:g} is spent or reserved on this machine,"
            f" this is estimated at ${estimate * count / 100:g}; nothing was sent",
            hint=f"airvid config set budget.{period} USD",
        )


def newest_tasks(path: Path, service: str, prefix: str, limit: int) -> list[tuple[str, str, str]]:
    """Ids that begin with `prefix`, states and prompts of a service's newest tasks. Only reads, and makes no file.

    Raises: sqlite3.Error.
    """
    # Where no other process has the file open, reading it the usual way would make others beside it.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    database = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", timeout=0.2, uri=True)
    try:
        # The `+` has the table read from its end, and not an index whole.
        rows = database.execute(
            "SELECT task_id, coalesce(status, 'queued'), coalesce(substr(prompt, 1, 300), '') FROM clip"
            " WHERE +base_url = ? AND +task_id >= ? AND +task_id < ? AND coalesce(status, '') != 'deleted'"
            " ORDER BY id DESC LIMIT ?",
            (service, prefix, f"{prefix}\U0010ffff", limit),
        )
        return rows.fetchall()
    finally:
        database.close()
