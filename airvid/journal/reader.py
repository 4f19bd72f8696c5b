"""Reading the journal: entries by task, by state, by prompt. Nothing is written."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from airvid.errors import FileError, Interrupted
from airvid.journal.entries import OF_MANIFEST, WITHOUT_POST, Entry, is_number, only_id, read_entry
from airvid.journal.store import Store

T = TypeVar("T")
_log = logging.getLogger(__name__)
# Warnings about the file as a whole: many reads and writes fail for one reason.
FILE = "the file"
_IN_LIST = "IN (SELECT value FROM json_each(?))"


class Reader:
    """The journal at `path`. Where it cannot be read, the answer is empty, with a warning in the log.

    Methods that raise FileError instead say so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._warned: set[str] = set()
        self._store = Store(path)

    def known_ids(self, task_ids: Iterable[str]) -> set[str]:
        """Which of the ids have an entry with their POST, under any base URL."""
        query = f"SELECT task_id FROM clip WHERE task_id {_IN_LIST} AND NOT {WITHOUT_POST}"
        return {row["task_id"] for row in self._rows(query, json.dumps(list(task_ids)))}

    def entry(self, entry_id: int) -> Entry | None:
        return next(iter(self._ask("SELECT * FROM clip WHERE id = ?", entry_id)), None)

    def by_task(self, base_url: str, task_ids: Iterable[str]) -> dict[str, Entry]:
        """The entries of these tasks, by task id."""
        query, task_ids = f"SELECT * FROM clip WHERE base_url = ? AND task_id {_IN_LIST}", list(task_ids)
        if not task_ids:
            return {}
        return {str(entry.task_id): entry for entry in self._ask(query, base_url, json.dumps(task_ids))}

    def with_prefix(self, base_url: str, prefix: str) -> list[str]:
        """Ids of tasks that begin with `prefix`, 20 at most."""
        rows = self._ask(
            "SELECT * FROM clip WHERE base_url = ? AND substr(task_id, 1, ?) = ? LIMIT 20",
            base_url,
            len(prefix),
            prefix,
        )
        return [entry.task_id for entry in rows if entry.task_id]

    def last(self, base_url: str) -> Entry | None:
        """The newest entry that was sent, not refused and not deleted. A damaged row gives only its task's id.

        Raises: FileError where the journal cannot be read.
        """
        rows = self._surely(
            "SELECT * FROM clip WHERE base_url = ? AND sent_at IS NOT NULL AND fate IN ('sent', 'unknown', 'known')"
            " AND deleted_at IS NULL AND coalesce(status, '') <> 'deleted' ORDER BY id DESC LIMIT 100",
            base_url,
        )
        for row in rows:
            if found := next(iter(self._believed([row], read_entry)), None) or only_id(row):
                return found
        return None

    def running(self, base_url: str) -> list[Entry]:
        """Entries of tasks that had not ended when they were last read, oldest first."""
        rows = self._ask(
            "SELECT * FROM clip WHERE base_url = ? AND fate = 'known' AND coalesce(status, '') NOT IN"
            " ('completed', 'failed', 'expired', 'deleted') ORDER BY intended_at, id",
            base_url,
        )
        return [entry for entry in rows if entry.task_id]

    def made_between(self, entry: Entry, earliest: float, latest: float) -> set[str]:
        """The tasks of the entry's service and key that were created then (by the server's clock).

        Deleted ones are left out, except those that can be the entry's.
        """
        rows = self._rows(
            "SELECT task_id FROM clip WHERE base_url = ? AND coalesce(account = ?, 1) AND fate = 'known'"
            " AND task_id IS NOT NULL AND created BETWEEN ? AND ? AND (deleted_at IS NULL OR"
            f" {WITHOUT_POST})",
            *(entry.base_url, entry.account, earliest, latest),
        )
        return {row["task_id"] for row in rows}

    def past_seconds(self, base_url: str, model: str) -> list[float]:
        """Seconds from the POST's answer to the end, for the last clips of this model that were seen to end."""
        rows = self._rows(
            "SELECT ended_at - known_at AS seconds FROM clip WHERE base_url = ? AND model = ? AND ended_at IS NOT NULL"
            " AND status = 'completed' AND NOT adopted AND ended_at > known_at ORDER BY id DESC LIMIT 20",
            base_url,
            model,
        )
        return [row["seconds"] for row in rows if is_number(row["seconds"])]

    def of_manifest(self, base_url: str, manifest: str) -> list[Entry]:
        """Every clip that the rows of a manifest asked for, oldest first. Raises: FileError."""
        query = f"SELECT * FROM clip WHERE base_url = ? AND {OF_MANIFEST} ORDER BY id"
        return self._believed(self._surely(query, base_url, manifest), read_entry)

    def entries(self, *, limit: int, offset: int, **filters: Any) -> list[Entry]:
        """Entries newest first, filtered as `_filter` says. Raises: FileError where the journal cannot be read."""
        where, values = _filter(**filters)
        query = f"SELECT * FROM clip WHERE {where} ORDER BY intended_at DESC, id DESC LIMIT ? OFFSET ?"
        return self._believed(self._surely(query, *values, limit, offset), read_entry)

    def count(self, **filters: Any) -> int:
        """How many entries there are. Raises: FileError where the journal cannot be read."""
        where, values = _filter(**filters)
        return next((row["n"] for row in self._surely(f"SELECT count(*) AS n FROM clip WHERE {where}", *values)), 0)

    def _ask(self, query: str, *values: object) -> list[Entry]:
        return self._believed(self._rows(query, *values), read_entry)

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows; none, with a warning, where they cannot be read."""
        try:
            return self._store.read(query, *values)
        except FileError as error:
            self._warn(error.message, FILE)
        except Interrupted:
            pass  # the event loop has the signal as well
        return []

    def _surely(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows, for a question to which an empty answer would be a wrong one. Raises: FileError."""
        rows = self._store.read(query, *values)
        if self._store.loss:
            raise FileError(self._store.loss, hint="airvid list shows what the server knows")
        return rows

    def _believed(self, rows: Iterable[sqlite3.Row], read: Callable[[sqlite3.Row], T]) -> list[T]:
        """What `read` makes of the rows. A damaged row is left out, with a warning."""
        found = []
        for row in rows:
            try:
                found.append(read(row))
            except ValueError:
                self._warn(f"row {row['id']} of the journal {self.path} is damaged, and passed over")
        return found

    def _warn(self, message: str, about: str = "") -> None:
        """Warn once of each subject: `about`, or else the message itself."""
        if (about or message) not in self._warned:
            self._warned.add(about or message)
            _log.warning(message)


def _filter(
    search: str | None = None, since: float | None = None, states: Iterable[str] = (), model: str | None = None
) -> tuple[str, list[Any]]:
    """A condition on entries and its values; `states` as `Entry.state` says them, `search` in the prompts."""
    state = "CASE fate WHEN 'known' THEN coalesce(status, 'queued') ELSE fate END"
    filters: dict[str, Any] = {
        "instr(folded(CAST(prompt AS BLOB)), ?)": search and search.casefold(),
        "intended_at >= ?": since,
        "model = ?": model or None,
        f"{state} {_IN_LIST}": json.dumps(list(states)) if states else None,
    }
    asked = {each: value for each, value in filters.items() if value is not None}
    return " AND ".join(["1", *asked]), list(asked.values())


def newest_tasks(path: Path, service: str, prefix: str, limit: int) -> list[tuple[str, str, str]]:
    """Ids that begin with `prefix`, states and prompts of a service's newest tasks, for completion. No file is made.

    Raises: sqlite3.Error.
    """
    # Where no other process has the file open, reading it the usual way would make more files.
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
