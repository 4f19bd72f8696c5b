"""SQLite in the user's data folder. The intent is in it before the POST, the id before it is told.

One row is one clip that was asked for. Several processes write at once; every write that money depends on is one
transaction, synced to disk. Money in cents, times in Unix seconds by this machine's clock unless said otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from airvid import clock
from airvid.api.models import Task
from airvid.errors import FileError, Interrupted
from airvid.journal import schema
from airvid.journal.entries import (
    Entry,
    is_number,
    read_entry,
    read_present,
    read_request,
    reread,
    set_task,
    take_task,
    without_images,
)
from airvid.journal.processes import Processes
from airvid.journal.reader import Reader
from airvid.journal.schema import Database

T = TypeVar("T")
# Seconds before and after the moment a POST left (by the server's clock) within which its task can have been made.
SENT_WINDOW = (2.0, 180.0)
# Seconds that a POST and the look-up after it can take at the most, with the longest time-outs that can be set.
LONGEST_POST = 1300.0


class Journal(Reader):
    """The journal of one data folder, to read and to write. Raises FileError where it cannot be written."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        super().__init__(path, warn)
        self._processes = Processes(path.parent / "running")
        # Ids that the server told and the journal could not take yet: they come before anything else.
        self._owed: list[tuple[Entry, Task]] = []

    def close(self) -> None:
        if self._owed:
            try:
                self._write(lambda _: None)
            except FileError as error:
                self._warn(error.message)
        self._store.close()
        self._processes.close()

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
            process = self._processes.register()
            self._hold(database, budgets, estimate_cents, len(targets))
            common = (base_url, clock.now(), process, request.get("model"), request.get("prompt"))
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

    # ------------------------------------------------------------------ other creates

    def unsettled(self, base_url: str) -> list[tuple[Entry, set[str] | None]]:
        """Entries whose POST's fate is open and that no process is looking up, with the tasks there were before it."""
        rows = self._rows("SELECT * FROM clip WHERE base_url = ? AND fate IN ('sent', 'unknown') ORDER BY id", base_url)
        found = []
        for row in rows:
            # A POST and its look-up take minutes; a process that lives for longer is at something else by now.
            sent_at = row["sent_at"] if is_number(row["sent_at"]) else 0.0
            if clock.now() - sent_at > LONGEST_POST or not self._processes.is_running(row["process"]):
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
        processes = (row["process"] for row in rows)
        return sum(self._processes.is_running(name) and self._processes.is_awake(name) for name in processes)

    # ------------------------------------------------------------------ other processes

    def mark_awake(self) -> None:
        """Show other processes that this one is not stopped: they pass by one that is, or that sleeps for long."""
        self._processes.mark_awake()

    def _reap(self, database: Database) -> None:
        """Give back the budget and the place in line of creates whose process ended before it sent anything."""
        self._processes.remove_ended()
        rows = database.execute(
            "SELECT id, process FROM clip WHERE fate <> 'known' AND fate IN ('intended', 'waiting')"
        ).fetchall()
        database.executemany(
            "UPDATE clip SET fate = 'refused', error = 'never sent' WHERE id = ?",
            [(row["id"],) for row in rows if not self._processes.is_running(row["process"])],
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
