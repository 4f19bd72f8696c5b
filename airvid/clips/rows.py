"""The rows of a batch: what identifies each, and what has become of its clips."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from airvid.api.models import EXPIRED, FAILED, Model
from airvid.clips import pictures
from airvid.clips.plan import Plan
from airvid.clips.request import Request
from airvid.destinations.cloud import CloudObject, is_url
from airvid.destinations.local import LocalFile
from airvid.journal.entries import Attempt, Entry, RowKey

# What has become of a clip: it is on the disk; a task runs, or its clip is still to be fetched; a POST was sent, and
# whether it made a task is unknown; the task failed; nothing was asked for.
DONE, RUNNING, UNKNOWN, FAILURE, NEW = STATES = ("done", "running", "unknown", "failed", "new")


@dataclass(eq=False)
class Row:
    """A row that was checked. `asked` is the digest of what it asks for."""

    line: int
    id: str
    asked: str
    plan: Plan
    model: Model
    # The row that it goes on from, and the number of rows before it in that chain.
    parent: Row | None = None
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        self.depth = self.parent.depth + 1 if self.parent else 0


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
    # The clip from whose last frame it goes on.
    parent: RowClip | None = None

    @property
    def key(self) -> RowKey:
        return RowKey(self.manifest, self.row.id, self.n, self.row.asked)

    @property
    def label(self) -> str:
        return self.row.id if self.row.plan.count == 1 else f"{self.row.id} {self.n}"

    @property
    def any_place(self) -> LocalFile | CloudObject:
        """Where it goes, or a place in the same folder where that is not known before its task."""
        name = self.row.plan.name
        assert name
        return self.place("") if name.is_known else name.any_destination()

    def place(self, task_id: str) -> LocalFile | CloudObject:
        """The clip's destination."""
        plan = self.row.plan
        assert plan.name
        return plan.name.destination(plan.fields(self.n, task_id))

    @property
    def entry(self) -> Entry | None:
        """The attempt that counts: the newest that may have a clip, else the newest."""
        newest = self.attempts[::-1]
        return next((each for each in newest if state_of(each) not in (NEW, FAILURE)), next(iter(newest), None))

    def learn(self, entry: Entry) -> None:
        """Remember an attempt as it now is."""
        self.attempts = [*(each for each in self.attempts if each.id != entry.id), entry]

    @property
    def state(self) -> str:
        entry = self.entry
        if self.again or entry is None:
            return NEW
        state = state_of(entry)
        # A row that was changed after it failed is a new one: nothing was charged for the old one.
        return NEW if state == FAILURE and entry.asked != self.row.asked else state

    @property
    def is_ready(self) -> bool:
        """Whether another clip can go on from it: it is on the disk, and no older one where it is bought again."""
        return self.state == DONE and not (self.redo and state_of(self.attempts[-1]) != DONE)

    @property
    def changed(self) -> Entry | None:
        """The attempt that asked for something else than the row does now, where that may have been paid for."""
        entry = self.entry
        return entry if entry and entry.asked != self.row.asked and state_of(entry) not in (NEW, FAILURE) else None

    @property
    def replaced(self) -> str | None:
        """The file of an earlier attempt, which a new clip replaces."""
        files = [each.file for each in self.attempts if each is not self.entry or self.again if has_file(each)]
        return files[-1] if files else None


def has_file(entry: Entry | Attempt) -> bool:
    """Whether the clip's file is there, with its size. An object in a store counts once it was saved."""
    if entry.file and is_url(entry.file):
        return entry.saved_at is not None
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


def digest(asked: Request, output: str | None, known: dict[str, str]) -> str:
    """What a row asks for, and its own output, as 64 hexadecimal digits.

    A model that was not named does not count, as the choice changes with prices. A picture counts by its content.
    `known`: the digests of pictures so far, by name. Raises: FileError for a picture that cannot be read.
    """
    for image in asked.images:
        if image not in known:
            known[image] = pictures.digest(image, asked.contents)
    whole = {
        "prompt": asked.prompt,
        "model": asked.model,
        "mode": asked.effective_mode,
        "duration": asked.duration,
        "aspect_ratio": asked.aspect_ratio,
        "quality": asked.quality,
        "images": [known[image] for image in asked.images],
        "more": asked.plain | asked.extra,
        "output": output,
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def short_name(asked: str) -> str:
    """The 8 characters by which a row without an id is called."""
    return base64.b32encode(bytes.fromhex(asked)[:5]).decode().lower()


def clips_of(rows: Sequence[Row], manifest: str, entries: Sequence[Entry]) -> list[RowClip]:
    """Every clip of the rows with what the journal has of it."""
    # A row that one of them goes on from may have been made in an earlier run.
    known = {row.id: row for each in rows for row in (each, each.parent) if row}
    found = {(row.id, n): RowClip(row, n, manifest) for row in known.values() for n in range(1, row.plan.count + 1)}
    for entry in entries:
        if clip := found.get((str(entry.row), entry.n or 0)):
            clip.attempts.append(entry)
    for clip in found.values():
        if clip.row.parent:
            clip.parent = found.get((clip.row.parent.id, 1))
    return [found[row.id, n] for row in rows for n in range(1, row.plan.count + 1)]
