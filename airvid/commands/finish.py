"""The end that create, watch and download share: from a running task to its last word, and to its file."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import aclosing
from pathlib import Path

from airvid import clock, system
from airvid.api.models import COMPLETED, DELETED, MOST_RECORD, Task
from airvid.clips import download, naming
from airvid.clips.follow import Trouble, follow
from airvid.clips.naming import Naming
from airvid.clips.part import DeadLinkError, NotVideoError
from airvid.commands.common import as_told, verdict
from airvid.config import KEY_VARIABLES
from airvid.errors import (
    AirvidError,
    ExpiredError,
    FileError,
    NotFoundError,
    UnavailableError,
    UsageError,
    WaitTimeoutError,
)
from airvid.journal.entries import Entry
from airvid.session import Session
from airvid.ui.progress import Row
from airvid.ui.task_view import TaskView
from airvid.ui.text import length, moment, money, short_id, size
from airvid.ui.views import clip_seconds

# Said once of a task whose record was cut.
CUT = f"the record of this task has grown beyond {MOST_RECORD >> 10} kB; only its newest part is kept"


class Clips:
    """The clips of one command, followed side by side: what is known of each, by its number from 1.

    A command says where its clips go (`_where`), and may say more of what they are called and what is told of them.
    """

    def __init__(
        self,
        session: Session,
        name: Naming | None,
        seen: Iterable[TaskView],
        tell: Callable[..., None],
        *,
        force: bool,
        opens: bool,
    ) -> None:
        """`tell` is `out.finished` or `out.ended`."""
        self._session = session
        self._name = name
        self._tell = tell
        self._force = force
        self._opens = opens
        self._seen = dict(enumerate(seen, 1))
        # What they came to, in the order in which they ended.
        self._outcomes: dict[int, AirvidError | None] = {}
        self._unsaid: dict[int, AirvidError] = {}

    def _say(self, n: int, words: Callable[[], None]) -> None:
        """Tell of a clip. Where that fails, it is this clip's error, no other's, and no reason not to save it."""
        try:
            words()
        except Exception as raised:
            failure = as_told(raised)
            failure.task_id = self._seen[n].task_id
            self._unsaid.setdefault(n, failure)

    def _left(self) -> list[int]:
        return [n for n in self._seen if n not in self._outcomes]

    def _begin(self, n: int, row: Row, *, about: str = "") -> None:
        """Tell a row which task it is for, `about` what, and how long this model's clips took before."""
        seen = self._seen[n]
        known_at = seen.entry and seen.entry.known_at
        began = seen.created if known_at is None else known_at
        past = self._session.journal.past_seconds(self._session.service, seen.model) if seen.model else []
        passed = 0.0 if began is None else max(0.0, clock.now() - began)
        row.named(short_id(seen.task_id), about=about, past=past, passed=passed)

    async def _finish(self, n: int, row: Row, *, is_ours: bool, about: str = "") -> None:
        """Follow one task to its end, save it, and say so; `is_ours`: this very run made it; `about`: as for `_begin`.

        One clip's failure never stops the others: it raises no Exception.
        """
        seen, was_read, began = self._seen[n], is_ours, clock.elapsed()
        try:
            self._begin(n, row, about=about)
            task = await self._follow(n, row, is_ours=is_ours)
            seen, was_read = TaskView(task, seen.entry), True
            error = verdict(self._session, task)
            if error is None:
                seen = await self._save(n, task, row)
        except Exception as raised:
            error = as_told(raised)
            error.task_id = error.task_id or seen.task_id
            if is_ours:
                error.hint = error.hint or self._how_to_go_on(n)
        if not was_read:
            self._say(n, row.drop)  # what the journal knew is no news of the task
        else:
            self._say(n, lambda: row.end(last_word(seen, clock.elapsed() - began), is_good=error is None))
            if self._name is None or self._name.template is not None:
                self._say(n, lambda: self._tell(seen, wants_file=self._name is not None))
        self._outcomes[n] = error or self._unsaid.get(n)
        if self._opens and seen.output:
            open_clip(self._session, seen.output)

    async def _follow(self, n: int, row: Row, *, is_ours: bool) -> Task:
        """The task as it ended, whatever its state. The journal learns each change of state, the row everything."""
        session, entry, task = self._session, self._seen[n].entry, self._seen[n].task
        assert task
        is_fresh = is_ours or (entry and entry.status != DELETED and clock.now() - entry.intended_at < 60)
        ends = [row.began + seconds for seconds in row.past]
        async with aclosing(
            follow(session.api(), task, session.shared, is_fresh=bool(is_fresh), was_seen=is_ours, usual_ends=ends)
        ) as sightings:
            was_running = was_cut = False
            async for seen in sightings:
                if isinstance(seen, Trouble):
                    row.trouble(seen.what)
                    was_running = False
                    continue
                if seen.was_cut and not was_cut:
                    was_cut = True
                    session.out.warn(f"{task.task_id}: {CUT}")
                if seen.facts != task.facts:
                    self._changed(n, TaskView(seen, entry))
                if seen.status != task.status or seen.is_terminal:
                    session.journal.note_task(session.service, seen, ended_now=was_running and seen.is_terminal)
                task, was_running = seen, True
                row.task(task)
        return task

    async def _save(self, n: int, task: Task, row: Row) -> TaskView:
        entry = self._seen[n].entry
        if self._name is None:
            return TaskView(task, entry)
        fields = self._fields(n, task)
        seen = await save(self._session, task, row, self._name, entry=entry, fields=fields, force=self._force)
        self._changed(n, seen)
        return seen

    def _fields(self, n: int, task: Task) -> dict[str, str]:
        return naming.of_task(task, self._seen[n].entry, clock.now(), n)

    def _changed(self, n: int, seen: TaskView) -> None:
        self._seen[n] = seen

    def _where(self, n: int) -> str | None:
        raise NotImplementedError

    def _how_to_go_on(self, *numbers: int) -> str:
        """The one command that goes on from here, with the same file."""
        where = self._where(numbers[0])
        ids = [self._seen[n].task_id for n in numbers]
        return self._session.command("watch", *ids, *(["-o", where] if where else []))

    def _timed_out(self, n: int) -> AirvidError:
        seen = self._seen[n]
        return WaitTimeoutError(
            f"the time was up; the task goes on ({seen.status})", task_id=seen.task_id, hint=self._how_to_go_on(n)
        )


async def save(
    session: Session, task: Task, row: Row, name: Naming, *, entry: Entry | None, fields: dict[str, str], force: bool
) -> TaskView:
    """Bring a completed task's clip to where `name` says. Raises: as `fetch`; FileError."""
    if name.template is not None:
        path = name.path(fields)
        naming.check(path, force=force)
        await fetch(session, task, path, row, force=force)
        count = path.stat().st_size
        session.journal.note_saved(session.service, task.task_id, path, count)
        entry = session.journal.by_task(session.service, [task.task_id]).get(task.task_id, entry)
        return TaskView(task, entry, str(path), count)
    with tempfile.TemporaryDirectory(prefix="airvid-") as folder:
        path = Path(folder, "clip.mp4")
        await fetch(session, task, path, row, force=force)
        # Checked whole before its first byte goes out: a reader never gets half a clip with exit 0.
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                session.out.raw(chunk)
    return TaskView(task, entry, "-")


async def fetch(session: Session, task: Task, path: Path, row: Row, *, force: bool) -> None:
    """The clip, whole, at `path`; a link that is dead or leads to no video is read afresh once (contract 8.3).

    Raises: ExpiredError for a dead link past its time, UnavailableError for one before it, FileError.
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
            if fresh.expires_at is not None and session.api().is_past(fresh.expires_at):
                raise ExpiredError(f"the clip expired on {moment(fresh.expires_at)}", task_id=task.task_id) from None
            raise UnavailableError(
                error.message, task_id=task.task_id, hint=session.command("download", task.task_id)
            ) from None


async def _receive(session: Session, task: Task, path: Path, row: Row, *, force: bool) -> None:
    assert task.result_url
    async with aclosing(
        download.save(session.api().http, task.result_url, path, clip=task.task_id, force=force)
    ) as steps:
        async for received in steps:
            if received.trouble:
                row.trouble(received.trouble)
            else:
                row.bytes(received.done, received.total)


def last_word(seen: TaskView, seconds: float) -> str:
    """The final line on a clip."""
    if seen.bytes is None:
        return f"{seen.status} after {length(seconds)}"
    clip = clip_seconds(seen)
    about = size(seen.bytes) if clip is None else f"{clip:g} s, {size(seen.bytes)}"
    price = "" if seen.cost_cents is None else f" for {money(seen.cost_cents)}"
    return f"saved {seen.output} ({about}) after {length(seconds)}{price}"


def check_stdout(session: Session, name: Naming, *, opens: bool) -> None:
    """See that standard output takes a clip's bytes, where they are to go there. Raises: UsageError, FileError."""
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
    try:
        if not system.open_file(Path(path), without=KEY_VARIABLES):
            session.out.warn(f"there is no desktop here to open {path} on")
    except Exception as error:  # the clip is saved all the same
        session.out.warn(f"{path} cannot be opened: {error}")
