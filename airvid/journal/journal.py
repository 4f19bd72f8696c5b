"""The journal: a SQLite file in the user's data folder, with a row for each clip that was asked for.

The intent is in it before the POST, and the task's id before it is printed. Several processes write at once; every
write that money depends on is one transaction, synced to disk. Money is in cents, times are Unix seconds by this
machine's clock unless another is named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from airvid import clock
from airvid.api.models import COMPLETED, Task
from airvid.errors import FileError, Interrupted, InUseError
from airvid.journal.budgets import hold_budget
from airvid.journal.entries import (
    OF_MANIFEST,
    WITHOUT_POST,
    Attempt,
    Entry,
    RowKey,
    is_number,
    read_entry,
    read_present,
    read_request,
    reread,
    set_task,
    take_attempt,
    take_task,
    without_images,
)
from airvid.journal.processes import Processes
from airvid.journal.reader import FILE, Reader
from airvid.journal.schema import Database

T = TypeVar("T")
# Seconds before and after a POST was sent (by the server's clock) within which its task can have been made.
SENT_WINDOW = (2.0, 180.0)
# The most seconds that a POST and the look-up after it can take, with the longest time-outs that can be set.
LONGEST_POST = 1300.0
_NEW_ENTRY = (
    "INSERT INTO clip (base_url, account, fate, intended_at, process, model, prompt, request, target, estimate_cents,"
    " extends, manifest, row, n, asked) VALUES (?, ?, 'intended', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Journal(Reader):
    """The journal of one data folder, to read and to write. Raises FileError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._processes = Processes(path.parent / "running")
        # Answers of the server that could not be written yet: they are written before anything else.
        self._owed: list[tuple[Entry, Task]] = []

    def close(self) -> None:
        if self._owed:
            try:
                self._write(lambda _: None)
            except FileError as error:
                self._warn(error.message, FILE)
        self._store.close()
        self._processes.close()

    # ------------------------------------------------------------------ a create, step by step

    def intend(
        self,
        *,
        base_url: str,
        account: str,
        requests: Sequence[dict[str, Any]],
        targets: Sequence[str | None],
        estimate_cents: float | None,
        budgets: dict[str, float],
        key: RowKey | None = None,
        attempts: Sequence[Entry] = (),
        extends: str | None = None,
    ) -> list[Entry]:
        """Write down that clips are about to be asked for, one for each of `requests`.

        Each has a target (a path, or None). `account` tells keys apart; `extends`: the task or file that they go on
        from; `estimate_cents` is for one clip; `budgets` are USD by period, `day` and `month`. All fit, or none is
        taken. `key`: the clip of a manifest, of which `attempts` are the earlier entries.
        Raises: PaymentError where a budget would be passed; FileError where the journal cannot be written, or where
        another process has begun the same clip.
        """
        asked = [(each.get("model"), each.get("prompt"), json.dumps(without_images(each))) for each in requests]
        # The newest attempt has the latest time, also where the clock was set back.
        at = max([clock.now(), *(each.intended_at + 0.001 for each in attempts)])

        def work(database: Database) -> list[Entry]:
            process = self._processes.register()
            self._hold(database, budgets, estimate_cents, len(targets))
            if key:
                self._claim(database, base_url, key, attempts)
            common = (base_url, account, at, process)
            made = [
                database.execute(_NEW_ENTRY, (*common, *each, target, estimate_cents, extends, *(key or (None,) * 4)))
                for each, target in zip(asked, targets, strict=True)
            ]
            return [reread(database, cursor.lastrowid) for cursor in made]

        entries = self._vital(work)
        self._store.has_handed_out_rows = True
        return entries

    def _claim(self, database: Database, base_url: str, key: RowKey, attempts: Sequence[Entry]) -> None:
        """See that no other process has begun this clip since its `attempts` were read. Raises: FileError."""
        seen = {entry.id for entry in attempts}
        rows = database.execute(
            "SELECT id, fate FROM clip WHERE +base_url = ? AND fate <> 'refused' AND row = ? AND n = ?"
            f" AND {OF_MANIFEST}",
            (base_url, key.row, key.n, key.manifest),
        )
        if any(row["id"] not in seen or row["fate"] in ("intended", "waiting") for row in rows):
            raise InUseError(f"another airvid is making row {key.row} at this moment")

    def check_budgets(self, budgets: dict[str, float], estimate_cents: float | None, count: int) -> None:
        """See that `count` clips fit into the budgets; nothing is reserved. Raises: PaymentError, FileError."""
        if budgets:
            self._vital(lambda database: self._hold(database, budgets, estimate_cents, count))

    def _hold(self, database: Database, budgets: dict[str, float], estimate_cents: float | None, count: int) -> None:
        self._reap(database)
        for period, dollars in budgets.items():
            hold_budget(database, period, dollars, estimate_cents, count, clock.now())

    def mark_sent(self, entry: Entry, server_time: float, present: Iterable[str] | None) -> Entry:
        """The POST is about to be sent. `server_time`: now, by its clock; `present`: its tasks, None if unknown."""
        before = json.dumps(None if present is None else list(present))

        def work(database: Database) -> Entry:
            database.execute(
                "UPDATE clip SET fate = 'sent', sent_at = ?, present = ? WHERE id = ?", (server_time, before, entry.id)
            )
            return reread(database, entry.id)

        return self._vital(work)

    def mark_unsent(self, entry: Entry, *, in_line: bool) -> None:
        """The POST was surely not taken and will be repeated; `in_line`: it waits for a slot."""
        self._note(
            "UPDATE clip SET fate = ?, present = '[]' WHERE id = ?",
            ("waiting" if in_line else "intended", entry.id),
        )

    def mark_known(self, entry: Entry, task: Task) -> Entry:
        """The POST made this task. An entry that only found it in the list loses it.

        Raises: FileError where it cannot be written now; it is tried again with every later write.
        """
        self._owed.append((entry, task))
        try:
            self._vital(lambda _: None)  # writes all of `_owed`
        except Interrupted:
            # The id is printed first; the event loop has the signal as well, and ends the program.
            raise FileError(f"the journal {self.path} cannot be written: another process holds it") from None
        return self.entry(entry.id) or entry._replace(fate="known", task_id=task.task_id, status=task.status)

    def adopt(self, entry: Entry, task: Task) -> Entry | None:
        """Give this entry a task found in the list, unless another entry has it or could have made it."""

        def work(database: Database) -> Entry | None:
            # One server may have two URLs: the id alone decides.
            query = f"SELECT 1 FROM clip WHERE task_id = ? AND NOT {WITHOUT_POST}"
            taken = database.execute(query, (task.task_id,)).fetchone()
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
        """It is unknown whether the POST made a task; `candidates` are ids of tasks that it can have made."""
        self._note(
            "UPDATE clip SET fate = 'unknown', error = ?, candidates = ? WHERE id = ? AND fate <> 'known'",
            (why, json.dumps(list(candidates)), entry.id),
        )

    def withdraw(self, entries: Iterable[Entry]) -> None:
        """Delete entries that were never sent. One that was sent before and waits to be sent again becomes refused."""
        ids = [(each.id,) for each in entries]
        left = "WHERE id = ? AND fate IN ('intended', 'waiting')"

        def work(database: Database) -> None:
            database.executemany(f"DELETE FROM clip {left} AND sent_at IS NULL", ids)
            database.executemany(f"UPDATE clip SET fate = 'refused', error = 'given up while it waited' {left}", ids)

        self._try(work)

    # ------------------------------------------------------------------ a task, after its create

    def note_task(self, base_url: str, *tasks: Task, ended_now: bool = False) -> None:
        """Write down how tasks of this journal stand; `ended_now`: they ran until this moment.

        A completed task was charged: it stays completed when the server calls it expired a day later.
        Where the journal cannot be written, that is a warning.
        """
        # Tasks whose ids could not be written yet belong to this journal as well.
        ours = {*self.by_task(base_url, (task.task_id for task in tasks)), *(task.task_id for _, task in self._owed)}
        self._note(
            "UPDATE clip SET status = :status, error = coalesce(:error, error),"
            " cost_cents = coalesce(:cost, cost_cents), created = coalesce(created, :created),"
            " expires_at = coalesce(expires_at, :expires_at), ended_at = coalesce(ended_at, :ended_at),"
            " result_url = coalesce(:result_url, result_url)"
            " WHERE base_url = :base_url AND task_id = :task_id"
            " AND (status IS NOT 'completed' OR :status = 'completed')"
            " AND (status IS NOT :status OR cost_cents IS NOT coalesce(:cost, cost_cents)"
            " OR result_url IS NOT coalesce(:result_url, result_url))",
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
                    "result_url": task.result_url if task.status == COMPLETED else None,
                }
                for task in tasks
                if task.task_id in ours
            ),
        )

    def keep_link(self, base_url: str, task: Task) -> None:
        """Write down a completed task with its link, before it is deleted. Raises: FileError."""
        values = (task.task_id, task.status, task.model, task.prompt, task.created, task.expires_at, task.result_url)
        self._write(
            lambda database: database.execute(
                "INSERT INTO clip (base_url, fate, intended_at, task_id, status, model, prompt, created, expires_at,"
                " result_url) VALUES (?, 'known', ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (base_url, task_id) DO UPDATE SET"
                " status = excluded.status, expires_at = coalesce(expires_at, excluded.expires_at),"
                " result_url = excluded.result_url",
                (base_url, clock.now(), *values),
            )
        )

    def note_deleted(self, base_url: str, task_id: str) -> None:
        """The task was deleted on the server: it is not followed any more. A task that had ended keeps its status."""
        self._note(
            "UPDATE clip SET deleted_at = ?, status = CASE WHEN coalesce(status, '') IN"
            " ('completed', 'failed', 'expired') THEN status ELSE 'deleted' END WHERE base_url = ? AND task_id = ?",
            (clock.now(), base_url, task_id),
        )

    def note_saving(self, base_url: str, task_id: str, file: str, size: int) -> None:
        """The whole clip is about to get its name: a kill in between leaves a file that is known as this task's."""
        self._note(
            "UPDATE clip SET file = ?, bytes = ? WHERE base_url = ? AND task_id = ?", (file, size, base_url, task_id)
        )

    def note_saved(self, base_url: str, task_id: str, file: str, size: int) -> None:
        """The clip is saved at `file` (absolute); one that this machine did not ask for gets a new row."""
        now = clock.now()
        self._note(
            "INSERT INTO clip (base_url, fate, intended_at, task_id, status, file, bytes, saved_at)"
            " VALUES (?, 'known', ?, ?, 'completed', ?, ?, ?) ON CONFLICT (base_url, task_id) DO UPDATE SET"
            " file = excluded.file, bytes = excluded.bytes, saved_at = excluded.saved_at",
            (base_url, now, task_id, file, size, now),
        )

    def take_over(self, base_url: str, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Write down what `results.jsonl` has and this journal lacks. Returns the attempts with another clip's task.

        An existing entry gets the task's id and the file, and belongs to this run's manifest, too. A missing one is
        added.
        """

        def work(database: Database) -> list[Attempt]:
            return [each for each in attempts if not take_attempt(database, base_url, each)]

        return self._vital(work)

    # ------------------------------------------------------------------ other creates

    def unsettled(self, base_url: str) -> list[tuple[Entry, set[str] | None]]:
        """Entries of unknown fate that no process looks up, with the ids of the tasks before the POST (or None)."""
        rows = self._rows("SELECT * FROM clip WHERE base_url = ? AND fate IN ('sent', 'unknown') ORDER BY id", base_url)
        found = []
        for row in rows:
            # A process that runs for longer than a POST and its look-up can take does something else by now.
            sent_at = row["sent_at"] if is_number(row["sent_at"]) else 0.0
            if clock.now() - sent_at > LONGEST_POST or not self._processes.is_running(row["process"]):
                found += self._believed([row], lambda row: (read_entry(row), read_present(row)))
        self._store.has_handed_out_rows = bool(found) or self._store.has_handed_out_rows
        return found

    def ahead(self, entry: Entry) -> int:
        """How many creates by this key, at any address, wait for a slot and came before this one."""
        rows = self._rows(
            "SELECT process FROM clip WHERE account = ? AND fate = 'waiting' AND id < ?", entry.account, entry.id
        )
        processes = (row["process"] for row in rows)
        return sum(self._processes.is_running(name) and self._processes.is_awake(name) for name in processes)

    # ------------------------------------------------------------------ other processes

    def mark_awake(self) -> None:
        """Show other processes that this one is not stopped: they do not wait for one that is."""
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
        """A write that money depends on. Raises: FileError, Interrupted."""
        return self._write(work, is_vital=True)

    def _note(self, query: str, *rows: tuple[Any, ...] | dict[str, Any]) -> None:
        """A write whose failure is a warning: the work goes on."""
        if rows:
            self._try(lambda database: database.executemany(query, rows))

    def _try(self, work: Callable[[Database], object]) -> None:
        try:
            self._write(work)
        except FileError as error:
            self._warn(error.message, FILE)
