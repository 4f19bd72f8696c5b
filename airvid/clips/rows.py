"""The rows of a batch: what identifies each, and what has become of its clips."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airvid.api.models import EXPIRED, FAILED, Model
from airvid.clips.plan import Plan
from airvid.clips.request import Request, is_url
from airvid.journal.entries import Attempt, Entry, RowKey

# What has become of a clip: it is on the disk; a task runs, or its clip is still to be fetched; a POST was sent, and
# whether it made a task is unknown; the task failed; nothing was asked for.
DONE, RUNNING, UNKNOWN, FAILURE, NEW = STATES = ("done", "running", "unknown", "failed", "new")


@dataclass(eq=False)
class Row:
    """A row that was checked. `asked` is the digest of what it asks for; `has_id`: the manifest says its `id`."""

    line: int
    id: str
    has_id: bool
    asked: str
    plan: Plan
    model: Model | None


@dataclass(eq=False)
class RowClip:
    """The `n`th clip of a row. `attempts` are the journal's entries for it, oldest first.

    `redo`: the user wants it bought again; `again`: that is still to be done.
    """

    row: Row
    n: int
    manifest: str
    attempts: list[Entry] = field(default_factory=list)
    redo: bool = False
    again: bool = False

    @property
    def key(self) -> RowKey:
        return RowKey(self.manifest, self.row.id, self.n, self.row.asked)

    @property
    def label(self) -> str:
        return self.row.id if self.row.plan.count == 1 else f"{self.row.id} {self.n}"

    @property
    def folder(self) -> Path:
        """The folder of its file, as far as that is known before its task."""
        name = self.row.plan.name
        assert name
        return self.path("").parent if name.is_known else name.folder

    def path(self, task_id: str) -> Path:
        """The file that the row names. A file of an earlier attempt is replaced instead."""
        plan = self.row.plan
        assert plan.name
        return plan.name.path(plan.fields(self.n, task_id))

    @property
    def entry(self) -> Entry | None:
        """The attempt that counts: the newest that may have a clip, else the newest."""
        taken = [each for each in self.attempts if state_of(each) not in (NEW, FAILURE)]
        return next(iter([*taken[::-1], *self.attempts[::-1]]), None)

    def learn(self, entry: Entry) -> None:
        """Remember an attempt as it now is."""
        self.attempts = [*(each for each in self.attempts if each.id != entry.id), entry]

    @property
    def state(self) -> str:
        if self.again or self.entry is None:
            return NEW
        state = state_of(self.entry)
        # A row that was changed after it failed is a new one: nothing was charged for the old one.
        return NEW if state == FAILURE and self.entry.asked != self.row.asked else state

    @property
    def changed(self) -> Entry | None:
        """The attempt that asked for something else than the row does now, where that may have been paid for."""
        entry = self.entry
        return entry if entry and state_of(entry) not in (NEW, FAILURE) and entry.asked != self.row.asked else None

    @property
    def replaced(self) -> Path | None:
        """The file of an earlier attempt, which a new clip replaces."""
        files = [each.file for each in self.attempts if each is not self.entry or self.again if has_file(each)]
        return Path(str(files[-1])) if files else None


def has_file(entry: Entry | Attempt) -> bool:
    """Whether the clip is where it was saved, with as many bytes."""
    try:
        return bool(entry.file) and os.stat(str(entry.file)).st_size == entry.bytes
    except (OSError, ValueError):
        return False


def state_of(entry: Entry) -> str:
    if entry.fate in ("sent", "unknown"):
        return UNKNOWN
    if entry.fate != "known":
        return NEW
    if has_file(entry):
        return DONE
    return FAILURE if entry.status in (FAILED, EXPIRED) else RUNNING


def digest(asked: Request, output: str | None, pictures: dict[str, str]) -> str:
    """What a row asks for, and its own output, as 64 hexadecimal digits.

    The model that is chosen without a name does not count, for prices change; of a picture its content counts, wherever
    it is. `pictures`: the digests so far, by path. Raises: OSError for a picture that cannot be read.
    """
    for image in asked.images:
        if image not in pictures:
            pictures[image] = image if is_url(image) else _file_digest(image)
    whole = {
        "prompt": asked.prompt,
        "model": asked.model,
        "mode": asked.effective_mode,
        "duration": asked.duration,
        "aspect_ratio": asked.aspect_ratio,
        "quality": asked.quality,
        "images": [pictures[image] for image in asked.images],
        "more": asked.plain | asked.extra,
        "output": output,
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _file_digest(path: str) -> str:
    with Path(path).expanduser().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_name(asked: str) -> str:
    """The 8 characters by which a row without an id is called."""
    return base64.b32encode(bytes.fromhex(asked)[:5]).decode().lower()


def clips_of(rows: Sequence[Row], manifest: str, entries: Sequence[Entry]) -> list[RowClip]:
    """Every clip of the rows with what the journal has of it."""
    found = {(row.id, n): RowClip(row, n, manifest) for row in rows for n in range(1, row.plan.count + 1)}
    for entry in entries:
        if clip := found.get((str(entry.row), entry.n or 0)):
            clip.attempts.append(entry)
    return list(found.values())
