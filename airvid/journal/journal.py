"""SQLite in the user's data folder. The intent is in it before the POST, the id before it is told.

One row is one clip that was asked for. Several processes write at once; every write that money depends on is one
transaction, synced to disk. Money in cents, times in Unix seconds by this machine's clock unless said otherwise.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from airvid import clock, system
from airvid.api.models import Task
from airvid.errors import FileError, Interrupted
from airvid.journal import schema
from airvid.journal.entries import (
    Entry,
    is_number,
    only_id,
    read_entry,
    read_present,
    read_request,
    reread,
    set_task,
    take_task,
    without_images,
)
from airvid.journal.schema import Database
from airvid.journal.store import Store
from airvid.system import SignOfLife

T = TypeVar("T")
# Seconds before and after the moment a POST left (by the server's clock) within which its task can have been made.
SENT_WINDOW = (2.0, 180.0)
# Seconds that a POST and the look-up after it can take at the most, with the longest time-outs that can be set.
LONGEST_POST = 1300.0
# Seconds without a beat after which a process in line is passed by.
AWAKE = 15.0
_IN_LIST = "IN (SELECT value FROM json_each(?))"


class Journal:
    """The journal of one data folder. Raises FileError where it cannot be written."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self.path = path
        self._tell = warn
        self._told: set[str] = set()
        self._store = Store(path, self._warn)
        self._life: SignOfLife | None = None
        # Ids that the server told and the journal could not take yet: they come before anything else.
        self._owed: list[tuple[Entry, Task]] = []

    def close(self) -> None:
        if self._owed:
            try:
                self._write(lambda _: None)
            except FileError as error:
                self._warn(error.message)
        self._store.close()
        if self._life is not None:
            self._life.end()
            self._life = None

    # ------------------------------------------------------------------ a create, step by step

    def intend(
        self,
        *,
        base_url: str,
        request: dict[str, Any],
        targets: Sequence[str | None],
        estimate_cents: float | None,
        budgets: dict[str, float],
    ) -> list[Entry]:
        """Write down that clips are about to be asked for, one for each of `targets` (a path, or None).

        `estimate_cents` is for one clip, `budgets` are USD by period, `day` and `month`. All fit, or none is taken.
        Raises: PaymentError where a budget would be passed; FileError where the journal cannot be written.
        """
        remembered = json.dumps(without_images(request))

        def work(database: Database) -> list[Entry]:
            life = self._sign_of_life()
            self._hold(database, budgets, estimate_cents, len(targets))
            common = (base_url, clock.now(), life, request.get("model"), request.get("prompt"))
            made = [
                database.execute(
                    "INSERT INTO clip (base_url, fate, intended_at, process, model, prompt, request, target,"
                    " estimate_cents) VALUES (?, 'intended', ?, ?, ?, ?, ?, ?, ?)",
                    (*common, remembered, target, estimate_cents),
                )
                for target in targets
            ]
            return [reread(database, cursor.lastrowid) for cursor in made]

        entries = self._vital(work)
        self._store.has_handed_out_rows = True
        return entries

    def check_budgets(self, budgets: dict[str, float], estimate_cents: float | None, count: int) -> None:
        """See that `count` clips would fit; only `intend` holds their place. Raises: PaymentError, FileError."""
        if budgets:
            self._vital(lambda database: self._hold(database, budgets, estimate_cents, count))

    def _hold(self, database: Database, budgets: dict[str, float], estimate_cents: float | None, count: int) -> None:
        self._reap(database)
        for period, dollars in budgets.items():
            schema.hold_budget(database, period, dollars, estimate_cents, count, clock.now())

    def mark_sent(self, entry: Entry, server_time: float, present: Iterable[str] | None) -> Entry:
        """The POST is about to leave. `server_time`: the server's now; `present`: the tasks it had, None if unknown."""
        before = json.dumps(None if present is None else list(present))

        def work(database: Database) -> Entry:
            database.execute(
                "UPDATE clip SET fate = 'sent', sent_at = ?, present = ? WHERE id = ?", (server_time, before, entry.id)
            )
            return reread(database, entry.id)

        return self._vital(work)

    def mark_unsent(self, entry: Entry, *, in_line: bool) -> None:
        """The POST was surely not taken, and will be repeated; `in_line`: when it is its turn for a slot."""
        self._note(
            "UPDATE clip SET fate = ?, present = '[]' WHERE id = ?",
            ("waiting" if in_line else "intended", entry.id),
        )

    def mark_known(self, entry: Entry, task: Task) -> Entry:
        """The POST made this task. The server's own answer goes before what another create inferred from its list.

        Raises: FileError where it cannot be written now; it is tried again with every later write.
        """
        self._owed.append((entry, task))
        try:
            self._vital(lambda _: None)  # what is owed is written first, and this is the last of it
        except Interrupted:
            # The id is told before the signal is heeded, which the event loop has, too.
            raise FileError(f"the journal {self.path} cannot be written: another process holds it") from None
        return self.entry(entry.id) or entry

    def adopt(self, entry: Entry, task: Task) -> Entry | None:
        """Take a task found in the server's list for this entry's, unless another entry has it or could have it."""

        def work(database: Database) -> Entry | None:
            # One server may be spelled in two ways: an id is an id wherever it is said to be.
            taken = database.execute("SELECT 1 FROM clip WHERE task_id = ?", (task.task_id,)).fetchone()
            open_rows = database.execute(
                "SELECT request FROM clip WHERE id <> ? AND fate <> 'known' AND fate IN ('sent', 'unknown')"
                " AND coalesce(? BETWEEN sent_at - ? AND sent_at + ?, 1)",
                (entry.id, task.created, *SENT_WINDOW),
            ).fetchall()
            has_rival = any(task.could_be(read_request(row)) for row in open_rows)
            return None if taken or has_rival else set_task(database, entry, task, adopted=True)

        return self._write(work)

    def mark_refused(self, entry: Entry, why: str) -> None:
        """The server surely did not take the POST."""
        self._note("UPDATE clip SET fate = 'refused', error = ? WHERE id = ?", (why, entry.id))

    def mark_unknown(self, entry: Entry, why: str, candidates: Iterable[str]) -> None:
        """Nobody can say what became of the POST."""
        self._note(
            "UPDATE clip SET fate = 'unknown', error = ?, candidates = ? WHERE id = ? AND fate <> 'known'",
            (why, json.dumps(list(candidates)), entry.id),
        )

    def withdraw(self, entries: Iterable[Entry]) -> None:
        """Forget intents that never left. What was once sent stays, however surely the server did not take it."""
        ids = [(each.id,) for each in entries]
        left = "WHERE id = ? AND fate IN ('intended', 'waiting')"

        def work(database: Database) -> None:
            database.executemany(f"DELETE FROM clip {left} AND sent_at IS NULL", ids)
            database.executemany(f"UPDATE clip SET fate = 'refused', error = 'given up while it waited' {left}", ids)

        self._try(work)

    # ------------------------------------------------------------------ what became of a task

    def note_task(self, base_url: str, *tasks: Task, ended_now: bool = False) -> None:
        """Keep the server's last word on tasks of ours; `ended_now`: they ran until this moment.

        What was seen completed was charged, and stays so when the server calls it expired a day later.
        A journal that cannot be written never stops a paid clip.
        """
        # One that could not be written down yet is ours, too; the next write makes up for it.
        ours = {*self.by_task(base_url, (task.task_id for task in tasks)), *(task.task_id for _, task in self._owed)}
        self._note(
            "UPDATE clip SET status = :status, error = coalesce(:error, error),"
            " cost_cents = coalesce(:cost, cost_cents), created = coalesce(created, :created),"
            " expires_at = coalesce(expires_at, :expires_at), ended_at = coalesce(ended_at, :ended_at)"
            " WHERE base_url = :base_url AND task_id = :task_id"
            " AND (status IS NOT 'completed' OR :status = 'completed')"
            " AND (status IS NOT :status OR cost_cents IS NOT coalesce(:cost, cost_cents))",
            *(
                {
                    "base_url": base_url,
                    "task_id": task.task_id,
                    "status": task.status,
                    "cost": task.cost_cents if task.is_terminal else None,
                    "error": task.error,
                    "created": task.created,
                    "expires_at": task.expires_at,
                    "ended_at": clock.now() if ended_now else None,
                }
                for task in tasks
                if task.task_id in ours
            ),
        )

    def note_deleted(self, base_url: str, task_id: str) -> None:
        """The server has forgotten the task: it is not followed any more, unless it ended before."""
        self._note(
            "UPDATE clip SET status = 'deleted' WHERE base_url = ? AND task_id = ?"
            " AND coalesce(status, '') NOT IN ('completed', 'failed', 'expired')",
            (base_url, task_id),
        )

    def note_saved(self, base_url: str, task_id: str, file: Path, size: int) -> None:
        """The clip is whole on this disk; one that this machine did not ask for gets a row of its own."""
        now = clock.now()
        self._note(
            "INSERT INTO clip (base_url, fate, intended_at, task_id, status, file, bytes, saved_at)"
            " VALUES (?, 'known', ?, ?, 'completed', ?, ?, ?) ON CONFLICT (base_url, task_id) DO UPDATE SET"
            " file = excluded.file, bytes = excluded.bytes, saved_at = excluded.saved_at",
            (base_url, now, task_id, os.path.abspath(file), size, now),
        )

    # ------------------------------------------------------------------ questions

    def known_ids(self, task_ids: Iterable[str]) -> set[str]:
        """Those that belong to an entry, whatever its server was called."""
        query = f"SELECT task_id FROM clip WHERE task_id {_IN_LIST}"
        return {row["task_id"] for row in self._rows(query, json.dumps(list(task_ids)))}

    def unsettled(self, base_url: str) -> list[tuple[Entry, set[str] | None]]:
        """Entries whose POST's fate is open and that no process is looking up, with the tasks there were before it."""
        rows = self._rows("SELECT * FROM clip WHERE base_url = ? AND fate IN ('sent', 'unknown') ORDER BY id", base_url)
        found = []
        for row in rows:
            # A POST and its look-up take minutes; a process that lives for longer is at something else by now.
            sent_at = row["sent_at"] if is_number(row["sent_at"]) else 0.0
            if clock.now() - sent_at > LONGEST_POST or not self._is_worked_on(row):
                found += self._believed([row], lambda row: (read_entry(row), read_present(row)))
        self._store.has_handed_out_rows = bool(found) or self._store.has_handed_out_rows
        return found

    def ahead(self, entry: Entry) -> int:
        """How many creates stand before this one in line for a slot of its API."""
        rows = self._rows(
            "SELECT process FROM clip WHERE base_url = ? AND fate = 'waiting' AND id < ?",
            entry.base_url,
            entry.id,
        )
        return sum(self._is_worked_on(row) and self._is_awake(row["process"]) for row in rows)

    def entry(self, entry_id: int) -> Entry | None:
        return next(iter(self._ask("SELECT * FROM clip WHERE id = ?", entry_id)), None)

    def by_task(self, base_url: str, task_ids: Iterable[str]) -> dict[str, Entry]:
        """The entries of these tasks, by task id."""
        query = f"SELECT * FROM clip WHERE base_url = ? AND task_id {_IN_LIST}"
        return {str(entry.task_id): entry for entry in self._ask(query, base_url, json.dumps(list(task_ids)))}

    def with_prefix(self, base_url: str, prefix: str) -> list[str]:
        """Ids that begin with `prefix`."""
        rows = self._ask(
            "SELECT * FROM clip WHERE base_url = ? AND substr(task_id, 1, ?) = ? LIMIT 20",
            base_url,
            len(prefix),
            prefix,
        )
        return [entry.task_id for entry in rows if entry.task_id]

    def last(self, base_url: str) -> Entry | None:
        """The newest clip that was asked for and not refused; of a damaged row at least its task's id.

        Raises: FileError where the journal cannot be read.
        """
        rows = self._surely(
            "SELECT * FROM clip WHERE base_url = ? AND sent_at IS NOT NULL AND fate IN ('sent', 'unknown', 'known')"
            " ORDER BY id DESC LIMIT 100",
            base_url,
        )
        for row in rows:
            if found := next(iter(self._believed([row], read_entry)), None) or only_id(row):
                return found
        return None

    def running(self, base_url: str) -> list[Entry]:
        """Tasks that had not ended when last heard of, oldest first."""
        rows = self._ask(
            "SELECT * FROM clip WHERE base_url = ? AND fate = 'known' AND coalesce(status, '') NOT IN"
            " ('completed', 'failed', 'expired', 'deleted') ORDER BY intended_at, id",
            base_url,
        )
        return [entry for entry in rows if entry.task_id]

    def past_seconds(self, base_url: str, model: str) -> list[float]:
        """How long this model's last clips took from the POST's answer to their end, as this machine saw it."""
        rows = self._rows(
            "SELECT ended_at - known_at AS seconds FROM clip WHERE base_url = ? AND model = ? AND ended_at IS NOT NULL"
            " AND status = 'completed' AND NOT adopted AND ended_at > known_at ORDER BY id DESC LIMIT 20",
            base_url,
            model,
        )
        return [row["seconds"] for row in rows if is_number(row["seconds"])]

    def saved_ids(self, base_url: str) -> set[str]:
        rows = self._rows("SELECT task_id FROM clip WHERE base_url = ? AND saved_at IS NOT NULL", base_url)
        return {row["task_id"] for row in rows}

    def entries(
        self,
        *,
        search: str | None = None,
        since: float | None = None,
        states: Iterable[str] = (),
        model: str | None = None,
        limit: int,
        offset: int,
    ) -> list[Entry]:
        """Entries newest first, filtered; `states` as `Entry.state` says them, `search` in the prompts.

        Raises: FileError where the journal cannot be read.
        """
        state = "CASE fate WHEN 'known' THEN coalesce(status, 'queued') ELSE fate END"
        filters: dict[str, Any] = {
            "instr(folded(CAST(prompt AS BLOB)), ?)": search and search.casefold(),
            "intended_at >= ?": since,
            "model = ?": model or None,
            f"{state} {_IN_LIST}": json.dumps(list(states)) if states else None,
        }
        asked = {each: value for each, value in filters.items() if value is not None}
        where = " AND ".join(["1", *asked])
        query = f"SELECT * FROM clip WHERE {where} ORDER BY intended_at DESC, id DESC LIMIT ? OFFSET ?"
        return self._believed(self._surely(query, *asked.values(), limit, offset), read_entry)

    # ------------------------------------------------------------------ who is at work

    @property
    def _lives(self) -> Path:
        return self.path.parent / "running"

    def _sign_of_life(self) -> str:
        """By which other processes see that this one still runs."""
        if self._life is None:
            self._life = SignOfLife(self._lives)
            self._life.beat(clock.now())
        return self._life.name

    def beat(self) -> None:
        """Show that this process is awake. One that was stopped, or sleeps for long, is passed by."""
        if self._life is not None:
            self._life.beat(clock.now())

    def _is_awake(self, name: str) -> bool:
        beat = system.last_beat(self._lives, name)
        return beat is not None and abs(clock.now() - beat) < AWAKE

    def _is_worked_on(self, row: sqlite3.Row) -> bool:
        return row["process"] is not None and system.is_alive(self._lives, row["process"])

    def _reap(self, database: Database) -> None:
        """What died before it sent anything holds no budget and no place in line any more."""
        system.bury(self._lives)
        rows = database.execute(
            "SELECT id, process FROM clip WHERE fate <> 'known' AND fate IN ('intended', 'waiting')"
        ).fetchall()
        database.executemany(
            "UPDATE clip SET fate = 'refused', error = 'never sent' WHERE id = ?",
            [(row["id"],) for row in rows if not self._is_worked_on(row)],
        )

    # ------------------------------------------------------------------ the database

    def _write(self, work: Callable[[Database], T], *, is_vital: bool = False) -> T:
        """Raises: FileError; Interrupted, where `is_vital`, by a signal while it waits for another process."""

        def all_work(database: Database) -> T:
            for entry, task in self._owed:
                take_task(database, entry, task)
            return work(database)

        try:
            result = self._store.write(all_work, is_vital=is_vital)
        except Interrupted:
            if is_vital:
                raise
            raise FileError(f"the journal {self.path} cannot be written: another process holds it") from None
        self._owed.clear()
        return result

    def _vital(self, work: Callable[[Database], T]) -> T:
        """A write without which nothing is sent, or a paid id is lost."""
        return self._write(work, is_vital=True)

    def _note(self, query: str, *rows: tuple[Any, ...] | dict[str, Any]) -> None:
        """A write after which the work goes on: where it fails, that is warned about."""
        if rows:
            self._try(lambda database: database.executemany(query, rows))

    def _try(self, work: Callable[[Database], object]) -> None:
        try:
            self._write(work)
        except FileError as error:
            self._warn(error.message)

    def _ask(self, query: str, *values: object) -> list[Entry]:
        return self._believed(self._rows(query, *values), read_entry)

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows of a question without whose answer the work goes on."""
        try:
            return self._store.read(query, *values)
        except FileError as error:
            self._warn(error.message)
        except Interrupted:
            pass  # the event loop has the signal, too
        return []

    def _surely(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows of a question to which nothing is another answer than not knowing. Raises: FileError."""
        rows = self._store.read(query, *values)
        if self._store.loss:
            raise FileError(self._store.loss, hint="airvid list shows what the server knows")
        return rows

    def _believed(self, rows: Iterable[sqlite3.Row], read: Callable[[sqlite3.Row], T]) -> list[T]:
        """What the rows say. A damaged one is passed over, and said."""
        found = []
        for row in rows:
            try:
                found.append(read(row))
            except ValueError:
                self._warn(f"row {row['id']} of the journal {self.path} is damaged, and passed over")
        return found

    def _warn(self, message: str) -> None:
        """Each sentence once: many writes fail for one reason."""
        if message not in self._told:
            self._told.add(message)
            self._tell(message)
