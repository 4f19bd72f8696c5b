"""What create, watch and download share: functions that follow, save and show one clip."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airvid import clock, system
from airvid.api.models import COMPLETED, DELETED, MOST_RECORD, Task
from airvid.clips import finish
from airvid.clips.download import Received
from airvid.clips.follow import Trouble
from airvid.clips.naming import Naming
from airvid.clips.part_file import OtherVideoError
from airvid.config import KEY_VARIABLES
from airvid.destinations.cloud import CloudObject, is_url
from airvid.destinations.local import LocalFile
from airvid.errors import AirvidError, FileError, InUseError, NotSentError, UsageError, WaitTimeoutError, as_failure
from airvid.journal.entries import Entry
from airvid.session import Session
from airvid.ui.progress import SENDING, Row
from airvid.ui.task_view import TaskView
from airvid.ui.text import length, money, short_id, size
from airvid.ui.views import clip_seconds

# A warning, once for each task whose record was cut.
CUT = f"the record of this task has grown beyond {MOST_RECORD >> 10} kB; only its newest part is kept"
# Seconds after a create during which the server may not know the task yet.
FRESH = 60.0


@dataclass(eq=False)
class Clip:
    """One clip of a run: what is known of its task, and the errors it ended with.

    `number` counts from 1. `is_ours`: this run made the task. `was_running`: this run has seen it run; `was_read`: its
    end was read from the server. `trouble`: why it cannot be read at present.
    """

    number: int
    view: TaskView
    is_ours: bool = False
    was_running: bool = False
    was_read: bool = False
    trouble: str = ""
    error: AirvidError | None = None
    unwritten: AirvidError | None = None

    @property
    def outcome(self) -> AirvidError | None:
        """The error that decides the exit code; None for success."""
        return self.error or self.unwritten

    @contextmanager
    def keeping_errors(self, *, hint: str | None = None) -> Iterator[None]:
        """Keep an exception as this clip's error, so that it does not stop the other clips; `hint` for one without."""
        try:
            yield
        except Exception as raised:
            self.error = as_failure(raised)
            self.error.task_id = self.error.task_id or self.view.task_id
            self.error.hint = self.error.hint or hint

    def write(self, write: Callable[..., None], *values: Any, **more: Any) -> None:
        """Write about the clip. Where that fails, it is this clip's error, but the clip is saved all the same."""
        try:
            write(*values, **more)
        except Exception as raised:
            if self.unwritten is None:
                self.unwritten = as_failure(raised)
                self.unwritten.task_id = self.view.task_id


# ---------------------------------------------------------------------- follow


def name_row(session: Session, view: TaskView, row: Row, *, about: str = "", label: str = "") -> None:
    """Give a row its label, else the task's id, what it is about, and how long clips of this model took before."""
    known_at = view.entry and view.entry.known_at
    began = view.created if known_at is None else known_at
    past = session.journal.past_seconds(session.service, view.model) if view.model else []
    # `created` goes by the server's clock.
    now = session.api().http.server_now() if known_at is None else clock.now()
    passed = 0.0 if began is None else max(0.0, now - began)
    row.named(label or short_id(view.task_id), about=about, past=past, passed=passed)


async def follow(session: Session, clip: Clip, row: Row) -> AsyncGenerator[TaskView, None]:
    """Follow a clip's task to its end, in `row` too. Yields what changed; `clip.view` has every reading.

    Raises: as `clips.follow.follow`.
    """
    task, entry = clip.view.task, clip.view.entry
    assert task
    was_cut = is_told = False
    async with aclosing(_readings(session, clip, task, row)) as readings:
        async for reading in readings:
            if isinstance(reading, Trouble):
                clip.trouble = reading.what
                row.trouble(reading.what)
                continue
            clip.trouble = ""
            if reading.was_cut and not was_cut:
                was_cut = True
                session.out.warn(f"{task.task_id}: {CUT}")
            is_news, task = reading.facts != task.facts, reading
            clip.view = TaskView(task, entry)
            clip.was_running |= not task.is_terminal
            if not (entry or is_told):
                is_told = True
                name_row(session, clip.view, row, about=clip.view.prompt or "")
            if is_news:
                yield clip.view
            row.task(task)
    clip.was_read = True


def _readings(session: Session, clip: Clip, task: Task, row: Row) -> AsyncGenerator[Task | Trouble, None]:
    entry = clip.view.entry
    # The journal has the link of a task that was seen completed: it is not too new to be known.
    was_there = entry and (entry.status == DELETED or entry.result_url)
    is_fresh = clip.is_ours or bool(entry and not was_there and clock.now() - entry.intended_at < FRESH)
    return finish.track(
        session.api(),
        session.shared,
        session.journal,
        session.service,
        task,
        is_fresh=is_fresh,
        was_seen=clip.is_ours,
        usual_ends=[row.began + seconds for seconds in row.past],
    )


async def end_of(session: Session, clip: Clip, row: Row) -> Task:
    """The task at its end. It is followed until then, and its changes are not yielded. Raises: as `follow`."""
    async with aclosing(follow(session, clip, row)) as changes:
        async for _ in changes:
            pass
    assert clip.view.task
    return clip.view.task


def error_of(session: Session, task: Task) -> AirvidError | None:
    """Why a task that ended has no clip; None where it has one, or where it still runs."""
    return finish.error_of(task, retry=session.command("download", task.task_id))


# ---------------------------------------------------------------------- save


async def save(
    session: Session, task: Task, row: Row, name: Naming, *, entry: Entry | None, fields: dict[str, str], force: bool
) -> TaskView:
    """Bring a completed task's clip to where `name` says. Raises: as `fetch`; FileError."""
    if name.template is not None:
        place, count = name.destination(fields), 0
        async with aclosing(bring(session, task, row, place, force=force)) as steps:
            async for each in steps:
                count = each
        entry = session.journal.by_task(session.service, [task.task_id]).get(task.task_id, entry)
        return TaskView(task, entry, str(place), count)
    with tempfile.TemporaryDirectory(prefix="airvid-") as folder:
        path = Path(folder, "clip.mp4")
        await fetch(session, task, path, row)
        # The clip is checked before its first byte is written: a reader never gets half a clip with exit 0.
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                session.out.raw(chunk)
    return TaskView(task, entry, "-")


async def bring(
    session: Session, task: Task, row: Row, place: LocalFile | CloudObject, *, force: bool
) -> AsyncGenerator[int, None]:
    """Bring a completed task's clip to `place`, where it is when the iterator ends.

    Yields its bytes: before it gets its name there, and when it is there. Raises: as `fetch`; FileError.
    """
    path = place.local_path(f"{session.service} {task.task_id}")
    if not place.waits(path):
        await place.check(force=force)
        try:
            async with aclosing(_received(session, task, path, row, place, force=force)) as steps:
                async for received in steps:
                    if received.is_whole:
                        yield received.done
        except OtherVideoError as error:
            count = error.path.stat().st_size
            session.journal.note_saved(session.service, task.task_id, os.path.abspath(error.path), count)
            raise
    count = path.stat().st_size
    await _deliver(session, task, place, path, row, force=force)
    session.journal.note_saved(session.service, task.task_id, place.absolute, count)
    place.forget(path)
    yield count


async def _deliver(
    session: Session, task: Task, place: LocalFile | CloudObject, path: Path, row: Row, *, force: bool
) -> None:
    """Bring a clip that is whole at `path` to where it belongs. Raises: FileError with the command that goes on."""
    try:
        await send(place, path, row, force=force)
    except FileError as error:
        hint = again = _again(session, task, place, force=force)
        if error.hint:
            hint = f"{again} {error.hint}" if error.hint.startswith("--") else f"{error.hint}; then {again}"
        kind = InUseError if isinstance(error, InUseError) else NotSentError
        raise kind(f"{error.message}; the clip is whole in {path}", hint=hint) from None


async def send(place: LocalFile | CloudObject, path: Path, row: Row, *, force: bool) -> None:
    """Bring a whole file at `path` to its place, shown in `row`. Raises: FileError."""
    size = path.stat().st_size
    async with aclosing(place.deliver(path, force=force)) as steps:
        async for sent in steps:
            row.bytes(sent, size, SENDING)


def _again(session: Session, task: Task, place: LocalFile | CloudObject | None, *, force: bool = False) -> str:
    """The command that tries to bring a clip to `place` once more."""
    options = ["-o", str(place), *["--force"] * force] if place else []
    return session.command("download", task.task_id, *options)


async def fetch(session: Session, task: Task, path: Path, row: Row) -> None:
    """Download a completed task's clip to `path`, which is not kept. Errors: as `clips.finish.fetch`."""
    async with aclosing(_received(session, task, path, row, None)) as steps:
        async for _ in steps:
            pass


async def _received(
    session: Session, task: Task, path: Path, row: Row, place: LocalFile | CloudObject | None, *, force: bool = False
) -> AsyncGenerator[Received, None]:
    retry = _again(session, task, place, force=force)
    steps = finish.fetch(session.api(), task, path, force=force, retry=retry, keeps=place is not None)
    async with aclosing(steps):
        async for received in steps:
            if received.trouble:
                row.trouble(received.trouble)
            else:
                row.bytes(received.done, received.total)
            yield received


def check_stdout(session: Session, name: Naming, *, opens: bool) -> None:
    """See that standard output takes a clip that goes there, and --open has a file. Raises: UsageError, FileError."""
    if name.template is not None:
        if opens and is_url(name.template):
            raise UsageError("--open shows a file, and -o names an object in a store", hint="-o FILE")
        return
    if session.out.is_terminal:
        raise UsageError("-o - would write the clip's bytes onto the terminal", hint="-o FILE, or a pipe")
    if sys.__stdout__ is None:
        raise FileError("standard output is closed")
    if session.out.as_json:
        raise UsageError("-o - and --json both want standard output")
    if opens:
        raise UsageError("-o - leaves no file that --open could show", hint="-o FILE")


# ---------------------------------------------------------------------- show


def last_word(view: TaskView, seconds: float | None, *, is_good: bool = True) -> str:
    """The last line about a clip.

    `seconds`: how long it took, None where this run has not seen it run; `is_good`: it ended without an error.
    """
    after = "" if seconds is None else f" after {length(seconds)}"
    if view.bytes is None:
        return f"{view.status}{after}" + (", not saved" if view.status == COMPLETED and not is_good else "")
    clip = clip_seconds(view)
    about = size(view.bytes) if clip is None else f"{clip:g} s, {size(view.bytes)}"
    price = "" if view.cost_cents is None else f" for {money(view.cost_cents)}"
    return f"saved {view.output} ({about}){after}{price}"


def how_to_go_on(session: Session, clips: Sequence[Clip], output: str | None, *, force: bool) -> str:
    """The command that follows these clips' tasks; `output`: its -o, with --force or without."""
    ids = [clip.view.task_id for clip in clips]
    return session.command("watch", *ids, *(["-o", output, *["--force"] * force] if output else []))


def timed_out(session: Session, clip: Clip, output: str | None, *, force: bool) -> WaitTimeoutError:
    """The error for a task that goes on after --timeout; `output` and `force`: as for `how_to_go_on`."""
    return WaitTimeoutError(
        f"the time was up; the task goes on ({clip.view.status})" + (f"; {clip.trouble}" if clip.trouble else ""),
        task_id=clip.view.task_id,
        hint=how_to_go_on(session, [clip], output, force=force),
    )


def open_file(path: Path) -> None:
    """Show a file in the desktop's program for it. Raises: AirvidError where there is no desktop; OSError."""
    if not system.open_file(path, without=KEY_VARIABLES):
        raise AirvidError(f"there is no desktop here to open {path} on")


def open_clip(session: Session, path: str) -> None:
    """Show a clip in the desktop's player, where there is one."""
    try:
        open_file(Path(path))
    except AirvidError as error:
        session.out.warn(error.message)
    except Exception as error:  # the clip is saved all the same
        session.out.warn(f"{path} cannot be opened: {error}")
