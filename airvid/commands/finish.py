"""The end that create, watch and download share: from a running task to its last word, and to its file."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from airvid import clock, naming, system, transfer
from airvid.commands.outcome import verdict
from airvid.errors import (
    AirvidError,
    ExpiredError,
    FileError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from airvid.follow import Trouble, follow
from airvid.naming import Naming
from airvid.part import DeadLinkError, NotVideoError
from airvid.progress import Row
from airvid.session import Session
from airvid.tasks import COMPLETED, Entry, Sighting, Task
from airvid.text import length, moment, money, short_id, size
from airvid.views import clip_seconds


async def follow_to_end(
    session: Session,
    task: Task,
    row: Row,
    *,
    is_fresh: bool,
    was_seen: bool = False,
    changed: Callable[[Task], None],
) -> Task:
    """The task as it ended, whatever its state.

    The journal learns each change of state, the row everything, `changed` whatever differs from what it was told.
    """
    usual_ends = [row.began + seconds for seconds in row.past]
    async with aclosing(
        follow(session.api(), task, session.shared(), is_fresh=is_fresh, was_seen=was_seen, usual_ends=usual_ends)
    ) as sightings:
        was_running = False
        async for seen in sightings:
            if isinstance(seen, Trouble):
                row.trouble(seen.what)
                was_running = False
                continue
            if seen.facts != task.facts:
                changed(seen)
            if seen.status != task.status or seen.is_terminal:
                session.journal.note_task(session.service, seen, ended_now=was_running and seen.is_terminal)
            task, was_running = seen, True
            row.task(task)
    return task


def begin_row(session: Session, row: Row, seen: Sighting, *, about: str = "") -> None:
    """Tell a row which task it is for, `about` what that is, and how long this model's clips took before."""
    past, passed = _past(session, seen)
    row.named(short_id(seen.task_id), about=about, past=past, passed=passed)


def _past(session: Session, seen: Sighting) -> tuple[list[float], float]:
    """How long this model's clips took, and for how long this one has been under way, both in seconds."""
    known_at = seen.entry.known_at if seen.entry else None
    began = known_at if known_at is not None else seen.created
    past = session.journal.past_seconds(session.service, seen.model) if seen.model else []
    return past, max(0.0, clock.now() - began) if began is not None else 0.0


async def save(
    session: Session, task: Task, row: Row, name: Naming, *, entry: Entry | None, fields: dict[str, str], force: bool
) -> Sighting:
    """Bring a completed task's clip to where `name` says: a file, or standard output.

    Raises: ExpiredError for a dead link past its time, UnavailableError for one before it, FileError.
    """
    if name.template is not None:
        path = name.path(fields)
        naming.check(path, force=force)
        await fetch(session, task, path, row, force=force)
        count = path.stat().st_size
        session.journal.note_saved(session.service, task.task_id, path, count)
        entry = session.journal.by_task(session.service, [task.task_id]).get(task.task_id, entry)
        return Sighting(task, entry, str(path), count)
    with tempfile.TemporaryDirectory(prefix="airvid-") as folder:
        path = Path(folder) / "clip.mp4"
        await fetch(session, task, path, row, force=force)
        # Checked whole before its first byte goes out: a reader never gets half a clip with exit 0.
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                session.out.raw(chunk)
    return Sighting(task, entry, "-")


async def fetch(session: Session, task: Task, path: Path, row: Row, *, force: bool) -> None:
    """The clip, whole, at `path`; a link that is dead or leads to no video is read afresh once (contract 8.3).

    Raises: as `save`.
    """
    try:
        await _receive(session, task, path, row, force=force)
    except (DeadLinkError, NotVideoError):
        try:
            fresh = await session.api().task(task.task_id)
        except NotFoundError:
            fresh = task
        if (ended := verdict(session, fresh)) is not None:
            raise ended from None
        if fresh.status != COMPLETED:
            raise UnavailableError(f"the link is dead, and the task is {fresh.status} again") from None
        try:
            await _receive(session, fresh, path, row, force=force)
        except DeadLinkError as error:
            if fresh.expires_at is not None and session.api().server_now() >= fresh.expires_at:
                raise ExpiredError(f"the clip expired on {moment(fresh.expires_at)}", task_id=task.task_id) from None
            raise UnavailableError(
                error.message, task_id=task.task_id, hint=session.command("download", task.task_id)
            ) from None


async def _receive(session: Session, task: Task, path: Path, row: Row, *, force: bool) -> None:
    assert task.result_url
    async with aclosing(
        transfer.save(session.api().wire, task.result_url, path, clip=task.task_id, force=force)
    ) as steps:
        async for received in steps:
            row.bytes(received.done, received.total)


def last_word(seen: Sighting, seconds: float) -> str:
    """The final line on a clip: file, length, size, time and price."""
    if seen.bytes is None:
        return f"{seen.status} after {length(seconds)}"
    clip = clip_seconds(seen)
    about = size(seen.bytes) if clip is None else f"{clip:g} s, {size(seen.bytes)}"
    price = "" if seen.cost_cents is None else f" for {money(seen.cost_cents)}"
    return f"saved {seen.output} ({about}) after {length(seconds)}{price}"


def tell(words: Callable[[], None], task_id: str, error: AirvidError | None) -> AirvidError | None:
    """Say the result of one of several clips: where that fails, it is this clip's error, and no other's."""
    try:
        words()
    except AirvidError as failure:
        failure.task_id = task_id
        return error or failure
    return error


def check_stdout(session: Session, name: Naming, *, opens: bool) -> None:
    """See that a clip's bytes may go to standard output, where they are to. Raises: UsageError, FileError."""
    if name.template is not None:
        return
    if session.out.is_terminal:
        raise UsageError("-o - would write the clip's bytes onto the terminal", hint="-o FILE, or a pipe")
    if sys.__stdout__ is None:
        raise FileError("standard output is closed")
    if session.out.as_json:
        raise UsageError("-o - and --json both want standard output")
    if opens:
        raise UsageError("-o - leaves no file that --open could show", hint="-o FILE")


def open_clip(session: Session, path: str) -> None:
    """Show a clip in the desktop's player, where there is one."""
    if not system.open_file(Path(path)):
        session.out.warn(f"there is no desktop here to open {path} on")
