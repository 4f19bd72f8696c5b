"""Entries: the rows of the journal. The file may be damaged, so that each value is checked before it is used."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from typing import Any, NamedTuple, get_type_hints

from airvid import clock
from airvid.api.models import QUEUED, Task, is_task_id
from airvid.journal.schema import Database

# Manifests that a clip can belong to, as copies of one manifest do; their names are in one column, a line each.
MOST_MANIFESTS = 16
_NEW_ATTEMPT = (
    "INSERT INTO clip (base_url, fate, intended_at, sent_at, model, prompt, request, created, expires_at, present, row,"
    " n, asked) VALUES (:base_url, :fate, :intended_at, :sent_at, :model, :prompt, :request, :created, :expires_at,"
    " 'null', :row, :n, :asked)"
)
OF_MANIFEST = "instr(char(10) || manifest || char(10), char(10) || ? || char(10))"
# Entries of tasks that were only saved or deleted here by their ids. Another entry may have the POST of such a task.
WITHOUT_POST = "(sent_at IS NULL AND row IS NULL)"


class RowKey(NamedTuple):
    """Which clip of which row of a manifest: the `n`th of `row`; `asked` is a digest of what the row asks for."""

    manifest: str
    row: str
    n: int
    asked: str


class Attempt(NamedTuple):
    """One POST for a clip of a row, as `results.jsonl` has it. `intended_at` differs between the POSTs for one clip."""

    key: RowKey
    intended_at: float
    fate: str
    sent_at: float | None
    task_id: str | None
    status: str | None
    request: dict[str, Any]
    created: float | None
    expires_at: float | None
    file: str | None
    bytes: int | None
    saved_at: float | None


class Entry(NamedTuple):
    """One clip that this machine asked for, as the journal has it.

    `fate` is the column for what became of the POST: intended, waiting (for a slot), sent, known (the task's id is
    here), refused, or unknown (a task may have been made). Cents may be fractional; times are Unix seconds.
    `manifest`, `row`, `n` and `asked` are those of its RowKey.
    """

    id: int
    base_url: str
    fate: str
    intended_at: float
    sent_at: float | None = None
    task_id: str | None = None
    status: str | None = None
    model: str | None = None
    prompt: str | None = None
    request: dict[str, Any] = {}  # noqa: RUF012 – shared, but never changed
    target: str | None = None
    estimate_cents: float | None = None
    cost_cents: float | None = None
    created: float | None = None
    expires_at: float | None = None
    file: str | None = None
    bytes: int | None = None
    saved_at: float | None = None
    error: str | None = None
    candidates: tuple[str, ...] = ()
    known_at: float | None = None
    ended_at: float | None = None
    result_url: str | None = None
    account: str | None = None
    manifest: str | None = None
    row: str | None = None
    n: int | None = None
    asked: str | None = None
    extends: str | None = None

    @property
    def took(self) -> float | None:
        """Seconds from the answer to the POST to the end of the task; None where this machine did not see it end."""
        return None if self.known_at is None or self.ended_at is None else self.ended_at - self.known_at

    @property
    def state(self) -> str:
        """The task's status once there is a task, else the fate of its POST."""
        return (self.status or QUEUED) if self.fate == "known" else self.fate

    @property
    def is_saved(self) -> bool:
        """Whether the clip is on this disk, as long as it was saved; one in a store of the user's counts as saved."""
        if self.file is None or "://" in self.file:
            return self.file is not None
        try:
            return os.path.getsize(self.file) == self.bytes
        except (OSError, ValueError):
            return False


# The columns with text and those with numbers, by the types above.
_KINDS = get_type_hints(Entry)
_TEXTS = [name for name, kind in _KINDS.items() if kind == str | None]
_NUMBERS = [name for name, kind in _KINDS.items() if kind in (float | None, int | None)]


def read_entry(row: sqlite3.Row) -> Entry:
    """The row as an entry. Raises: ValueError where a value is not of the kind that its column holds."""
    values = {name: row[name] for name in Entry._fields}
    request, candidates = _parsed(row["request"]), _parsed(row["candidates"])
    is_sound = (
        all(isinstance(values[name], str) for name in ("base_url", "fate"))
        and all(values[name] is None or isinstance(values[name], str) for name in _TEXTS)
        and is_number(values["intended_at"])
        and all(values[name] is None or is_number(values[name]) for name in _NUMBERS)
        and isinstance(request, dict)
        and isinstance(candidates, list)
        and all(isinstance(each, str) for each in candidates)
    )
    if not is_sound:
        raise ValueError("a damaged row")
    if values["task_id"] is not None and not is_task_id(values["task_id"]):
        # An earlier version took it for an id. A shell or a command could take it for something else.
        why = f"what the server gave is no task id: {json.dumps(values['task_id'])}"
        values |= {"task_id": None, "error": values["error"] or why}
    return Entry(**values | {"request": request, "candidates": tuple(candidates)})


def read_present(row: sqlite3.Row) -> set[str] | None:
    """The tasks that there were before the POST, None where that is unknown. Raises: ValueError."""
    found = _parsed(row["present"])
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError("a damaged row")
    return set(found)


def read_request(row: sqlite3.Row) -> dict[str, Any]:
    """What was asked for; empty for a damaged row, so that any task fits."""
    try:
        found = _parsed(row["request"])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def only_id(row: sqlite3.Row) -> Entry | None:
    """A damaged row, as far as its task's id can still be read."""
    task_id = row["task_id"]
    return (
        Entry(row["id"], "", "known", 0.0, task_id=task_id)
        if isinstance(task_id, str) and is_task_id(task_id)
        else None
    )


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _parsed(value: object) -> Any:
    """Raises: ValueError, of which what json raises is one."""
    if not isinstance(value, str):
        raise ValueError("a damaged row")
    try:
        return json.loads(value)
    except RecursionError:
        raise ValueError("a damaged row") from None


def without_images(request: dict[str, Any]) -> dict[str, Any]:
    """The request as the journal keeps it: with the size of each picture in place of its bytes."""
    images = [
        {"b64_json": f"[{len(image['b64_json']) * 3 // 4} bytes]"} if "b64_json" in image else image
        for image in request.get("input_images", ())
    ]
    return request | {"input_images": images} if images else request


# ---------------------------------------------------------------------- within a transaction


def take_task(database: Database, entry: Entry, task: Task) -> None:
    """Give a task to the entry whose POST made it, and take it from an entry that only found it in the list."""
    database.execute(
        "UPDATE clip SET fate = 'unknown', task_id = NULL, status = NULL, adopted = 0"
        " WHERE base_url = ? AND task_id = ? AND id <> ? AND adopted",
        (entry.base_url, task.task_id, entry.id),
    )
    try:
        set_task(database, entry, task)
    except sqlite3.IntegrityError:
        # Another create was answered with the same id: the id of what this one made is not known.
        database.execute(
            "UPDATE clip SET fate = 'unknown', error = 'answered with another task', candidates = ? WHERE id = ?",
            (json.dumps([task.task_id]), entry.id),
        )


def take_attempt(database: Database, base_url: str, attempt: Attempt) -> bool:
    """Write down an attempt; False where its task belongs to another clip."""
    key, values = attempt.key, attempt._asdict() | attempt.key._asdict()
    values |= {"base_url": base_url, "model": attempt.request.get("model"), "prompt": attempt.request.get("prompt")}
    values["request"] = json.dumps(attempt.request)
    # The `+` keeps SQLite from the index of the base URL, which all rows share.
    rows = database.execute(
        "SELECT id, row, n, asked, manifest FROM clip WHERE +base_url = :base_url AND (task_id = :task_id"
        f" OR (row = :row AND n = :n AND asked = :asked AND intended_at = :intended_at)) AND NOT {WITHOUT_POST}",
        values,
    ).fetchall()
    if len(rows) > 1 or any((row["row"], row["n"], row["asked"]) != key[1:] for row in rows):
        return False
    if rows:
        entry_id, manifests = rows[0]["id"], (rows[0]["manifest"] or "").split("\n")
    else:
        entry_id, manifests = database.execute(_NEW_ATTEMPT, values).lastrowid, []
    if attempt.task_id:
        _take_known(database, base_url, attempt.task_id, entry_id)
    others = [name for name in manifests if name not in ("", key.manifest)]
    values["manifest"] = "\n".join([*others[1 - MOST_MANIFESTS :], key.manifest])
    database.execute(
        "UPDATE clip SET manifest = :manifest, file = coalesce(:file, file), bytes = coalesce(:bytes, bytes),"
        " saved_at = coalesce(saved_at, :saved_at),"
        " fate = CASE WHEN :task_id IS NULL THEN fate ELSE 'known' END,"
        " status = CASE WHEN task_id IS NULL THEN coalesce(status, :status) ELSE status END,"
        f" task_id = coalesce(task_id, :task_id) WHERE id = {entry_id}",
        values,
    )
    return True


def _take_known(database: Database, base_url: str, task_id: str, entry_id: int | None) -> None:
    """Merge the entry of a task without a POST, if there is one, into the entry with the POST."""
    row = database.execute(
        f"SELECT * FROM clip WHERE base_url = ? AND task_id = ? AND {WITHOUT_POST}", (base_url, task_id)
    ).fetchone()
    if row:
        database.execute("DELETE FROM clip WHERE id = ?", (row["id"],))
        database.execute(
            "UPDATE clip SET file = :file, bytes = :bytes, saved_at = :saved_at, status = :status,"
            f" result_url = :result_url, deleted_at = :deleted_at WHERE id = {entry_id}",
            dict(row),
        )


def set_task(database: Database, entry: Entry, task: Task, *, adopted: bool = False) -> Entry:
    """A create has made a task. Where the server estimates a higher price than we did, its price counts."""
    _take_known(database, entry.base_url, task.task_id, entry.id)
    database.execute(
        "UPDATE clip SET fate = 'known', task_id = ?, status = ?, created = ?, expires_at = ?, candidates = '[]',"
        " present = '[]', adopted = ?, known_at = ?, estimate_cents = nullif(max(coalesce(estimate_cents, 0), ?), 0)"
        " WHERE id = ?",
        (
            task.task_id,
            task.status,
            task.created,
            task.expires_at,
            adopted,
            clock.now(),
            task.cost_cents or 0,
            entry.id,
        ),
    )
    return reread(database, entry.id)


def reread(database: Database, entry_id: int | None) -> Entry:
    """The entry as it stands. (`RETURNING`, as `iif`, is too new for systems in long support.)"""
    row = database.execute("SELECT * FROM clip WHERE id = ?", (entry_id,)).fetchone()
    if row is None:
        raise sqlite3.DatabaseError("another program has removed what was just written")
    try:
        return read_entry(row)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"{error} was just written") from error
