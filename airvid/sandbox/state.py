"""The tasks and clips of the emulator, in SQLite."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from airvid.sandbox.create import ClipSpec
from airvid.sandbox.messages import Chunk, Json

DAY = 86_400
KEPT = 2 * DAY
# The key of a record that the API does not show: the task's faults.
HIDDEN = "sandbox"
LISTED = 100
FAILURE = "The provider could not make this clip."
# Of a stream: per cent between two events, and seconds without an event before a comment.
STEP, KEEPALIVE = 8, 10.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS secret (value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, born REAL NOT NULL,
    starts REAL NOT NULL, ends REAL NOT NULL, outcome TEXT NOT NULL, record TEXT NOT NULL,
    listed INTEGER NOT NULL DEFAULT 1, spec TEXT NOT NULL, image BLOB
);
CREATE TABLE IF NOT EXISTS clips (id TEXT PRIMARY KEY, clip BLOB NOT NULL);
"""
_FIELDS = "id, owner, born, starts, ends, outcome, record"


@dataclass(frozen=True)
class Task:
    """One task. Its times (Unix seconds) are fixed when it is made: nothing runs in the background."""

    id: str
    owner: str
    born: float
    starts: float
    ends: float
    outcome: str
    record: Json

    @property
    def faults(self) -> Json:
        """What is wrong with it: `error`, `word`, `stall` (seconds), `left` (how often each spec still happens)."""
        return self.record.get(HIDDEN) or {}

    @property
    def expires_at(self) -> int:
        """When it expires, with its clip."""
        return int(self.born) + DAY

    def status(self, now: float) -> str:
        """The status at a time."""
        if now >= self.expires_at:
            return "expired"
        if now >= self.ends:
            return self.outcome
        return "processing" if now >= self.starts else "queued"

    def word(self, now: float) -> str:
        """The status as the API spells it."""
        status = self.status(now)
        return self.faults.get("word") or status if status == "processing" else status

    def reached(self, percent: float) -> float:
        """When it has come so far. A task that stalls does so in the middle."""
        stall = self.faults.get("stall") or 0.0
        return self.starts + (self.ends - self.starts - stall) * percent / 100 + (stall if percent > 50 else 0.0)

    def progress(self, now: float) -> int:
        """Per cent; a failed task stops at 99."""
        if now >= self.ends:
            return 100 if self.outcome == "completed" else 99
        if now < self.starts:
            return 0
        passed, stall = now - self.starts, self.faults.get("stall") or 0.0
        if passed > (half := (self.ends - self.starts - stall) / 2):
            passed = max(half, passed - stall)
        return min(99, int(100 * passed / max(2 * half, 0.001)))

    def view(self, now: float, result_url: str) -> Json:
        """The API's object at a time."""
        status = self.status(now)
        failed = self.outcome == "failed" and now >= self.ends
        return {
            "task_id": self.id,
            "status": self.word(now),
            "progress": self.progress(now),
            "created": int(self.born),
            "expires_at": int(self.ends) if self.outcome == "expired" and now >= self.ends else self.expires_at,
            **{key: value for key, value in self.record.items() if key != HIDDEN},
            "cost_cents": 0 if self.outcome != "completed" and now >= self.ends else self.record["cost_cents"],
            "result_url": result_url if status == "completed" else None,
            "error": (self.faults.get("error") or FAILURE) if failed else None,
        }


class StateError(Exception):
    """The file cannot be used: it is broken, of another layout, or on a full disk."""


class State:
    """The tasks of one emulator, or of all emulators with the same file. Raises: StateError; OSError for the folder."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        with _state_errors(path):
            self._base = sqlite3.connect(path or ":memory:", timeout=30, isolation_level=None, check_same_thread=False)
        self.close = weakref.finalize(self, self._base.close)
        self._path = path
        try:
            with _state_errors(path):
                self.secret = self._open()
        except StateError:
            self.close()
            raise

    def _open(self) -> bytes:
        """Create missing tables. Returns the secret that signs links."""
        self._base.execute("PRAGMA synchronous = OFF")  # a power cut may lose tasks: they cost nothing
        self._base.executescript(_SCHEMA)
        self._base.execute(f"SELECT number, listed, spec, image, {_FIELDS} FROM tasks LIMIT 0")
        self._base.execute("SELECT id, clip FROM clips LIMIT 0")
        self._run("INSERT INTO secret SELECT ? WHERE NOT EXISTS (SELECT * FROM secret)", secrets.token_bytes(32))
        secret = self._run("SELECT value FROM secret")[0][0]
        if not isinstance(secret, bytes):
            raise ValueError("its secret is not binary")
        return secret

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction, one at a time over all processes. An exception undoes it. Raises: StateError."""
        with self._lock, _state_errors(self._path):
            self._base.execute("BEGIN IMMEDIATE")
            with self._base:
                yield

    def busy_until(self, owner: str, now: float, slots: int) -> float | None:
        """When the key will have a free slot; None where it has one now. Call it within `writing`."""
        # Deleted tasks count too: to delete the history entry of a running task frees no slot.
        rows = self._run(
            "SELECT min(ends, born + ?) AS until FROM tasks WHERE owner = ? AND until > ? "
            "ORDER BY until DESC LIMIT 1 OFFSET ?",
            *(DAY, owner, now, slots - 1),
        )
        return rows[0][0] if rows else None

    def add(self, task: Task, spec: ClipSpec) -> None:
        """Add a task, and remove those that are too old to be read. Call it within `writing`."""
        self._run("DELETE FROM tasks WHERE born <= ?", task.born - KEPT)
        self._run("DELETE FROM clips WHERE id NOT IN (SELECT id FROM tasks)")
        self._run(
            f"INSERT INTO tasks ({_FIELDS}, spec, image) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(task.id, task.owner, task.born, task.starts, task.ends, task.outcome),
            json.dumps(task.record),
            json.dumps(asdict(replace(spec, image=None))),
            spec.image,
        )

    def task(self, task_id: str, now: float, owner: str | None = None) -> Task | None:
        """The task; with an owner only if it is the owner's."""
        found = self._tasks(now, "id = ? AND (? IS NULL OR owner = ? AND listed)", task_id, owner, owner)
        return found[0] if found else None

    def tasks(self, owner: str, now: float) -> list[Task]:
        """A key's newest tasks, the newest first."""
        return self._tasks(now, "owner = ? AND listed ORDER BY born DESC, number DESC LIMIT ?", owner, LISTED)

    def spec(self, task_id: str) -> ClipSpec:
        """The clip that a task makes."""
        spec, image = self._run("SELECT spec, image FROM tasks WHERE id = ?", task_id)[0]
        with _state_errors(self._path):
            return replace(ClipSpec(**json.loads(spec)), image=image)

    def use(self, task_id: str, spec: str) -> bool:
        """Count down one of a task's faults, over all processes. False where it has happened often enough."""
        with self.writing():
            record = json.loads(self._run("SELECT record FROM tasks WHERE id = ?", task_id)[0][0])
            left = record[HIDDEN]["left"]
            if left[spec] < 1:
                return False
            left[spec] -= 1
            self._run("UPDATE tasks SET record = ? WHERE id = ?", json.dumps(record), task_id)
            return True

    def unlist(self, task_id: str, owner: str) -> None:
        """Remove a task from its owner's history."""
        self._run("UPDATE tasks SET listed = 0 WHERE id = ? AND owner = ?", task_id, owner)

    def clip(self, task_id: str) -> bytes | None:
        """The task's clip, if it was rendered."""
        return next((row[0] for row in self._run("SELECT clip FROM clips WHERE id = ?", task_id)), None)

    def keep(self, task_id: str, clip: bytes) -> None:
        """Store a clip. Where the disk is full, the next download renders it again."""
        with suppress(StateError):
            self._run("REPLACE INTO clips VALUES (?, ?)", task_id, clip)

    def _tasks(self, now: float, condition: str, *values: Any) -> list[Task]:
        rows = self._run(f"SELECT {_FIELDS} FROM tasks WHERE born > ? AND {condition}", now - KEPT, *values)
        with _state_errors(self._path):
            return [replace(Task(*row), record=json.loads(row[-1])) for row in rows]

    def _run(self, statement: str, *values: Any) -> list[Any]:
        with self._lock, _state_errors(self._path):
            return self._base.execute(statement, values).fetchall()


@contextmanager
def _state_errors(path: Path | None) -> Iterator[None]:
    """Turns errors of the file and of its content into StateError."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise StateError(f"{path} cannot be used: {error}") from error


def stream(task: Task, now: float, result_url: str) -> list[Chunk]:
    """A task's events from now to its end, with keep-alives between them."""
    sent, last = [], now
    for due, chunk in _events(task, now, result_url):
        while due - last > KEEPALIVE:
            last += KEEPALIVE
            sent.append((last, b": keepalive\n\n"))
        sent.append((due, chunk))
        last = due
    return sent


def _events(task: Task, now: float, result_url: str) -> Iterator[Chunk]:
    yield now, _event(task.view(now, result_url))
    for percent in range(0, 100, STEP):
        due = task.reached(percent)
        if now < due < task.expires_at:
            yield due, _event({"task_id": task.id, "status": task.word(due), "progress": percent})
    end = min(task.ends, task.expires_at)
    if now < end:
        # Without result_url: only a GET has the whole record.
        yield end, _event({"task_id": task.id, "status": task.word(end), "progress": task.progress(end)})
    yield max(now, end), b"event: done\ndata: [DONE]\n\n"


def _event(state: Json) -> bytes:
    return b"event: state\ndata: " + json.dumps(state).encode() + b"\n\n"
