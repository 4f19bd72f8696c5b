"""airvid watch: follow tasks live until they end, and with -o save each clip as it does (contract §6)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

from airvid import clock, naming
from airvid.commands import finish, ids, outcome
from airvid.config import checked
from airvid.errors import AirvidError, WaitTimeoutError, settle
from airvid.naming import Naming
from airvid.progress import Progress
from airvid.session import Session
from airvid.tasks import DELETED, QUEUED, Entry, Sighting, Task


class Options(NamedTuple):
    ids: Sequence[str] = ()
    output: str | None = None
    timeout: str | None = None
    fail_fast: bool = False
    force: bool = False
    open: bool = False


async def run(session: Session, options: Options) -> None:
    began = clock.elapsed()
    limit = None if options.timeout is None else checked("timeout", options.timeout, "--timeout")
    errors: list[AirvidError] = []
    if options.output is not None:
        finish.check_stdout(session, Naming.parse(options.output, 1), opens=options.open)
    try:
        async with asyncio.timeout(limit):
            if options.ids:
                found, errors = await ids.resolve(session, ids.given(options.ids), patience=math.inf)
            else:
                found = await _running(session)
    except TimeoutError:
        raise WaitTimeoutError("the time was up before the server had told its tasks") from None
    if not found and not errors:
        session.out.note("nothing is running")
        return
    limit = None if limit is None else max(0.0, limit - (clock.elapsed() - began))
    name = Naming.parse(options.output, max(1, len(found))) if options.output is not None else None
    watch = _Watch(session, options, name, found)
    try:
        settle([*errors, *await watch.play(limit)])
    except asyncio.CancelledError:
        watch.tell_how_to_go_on()
        raise


async def _running(session: Session) -> list[str]:
    """All that run: what the server lists, and what the journal last knew to be under way."""
    listing = await session.api().tasks(patience=math.inf)  # a wait gives up on no server
    listed = {task.task_id: task for task in listing.tasks}
    outcome.take_note(session, listing)
    ours = [str(entry.task_id) for entry in session.journal.running(session.service)]
    return list(dict.fromkeys([*ours, *(each for each, task in listed.items() if not task.is_terminal)]))


class _Watch:
    """Several tasks, followed side by side."""

    def __init__(self, session: Session, options: Options, name: Naming | None, found: list[str]) -> None:
        self._session = session
        self._options = options
        self._name = name
        self._entries = session.journal.by_task(session.service, found)
        self._tasks = {each: _as_known(each, self._entries.get(each)) for each in found}
        self._outcomes: dict[str, AirvidError | None] = {}

    async def play(self, limit: float | None) -> list[AirvidError | None]:
        """What each task came to."""
        try:
            async with asyncio.timeout(limit):
                with self._session.progress(len(self._tasks)) as progress:
                    await self._follow_all(progress)
        except TimeoutError:
            pass
        left = [each for each in self._tasks if each not in self._outcomes]
        if any(self._outcomes.values()) and self._options.fail_fast:
            left = []  # stopped on purpose: the failure is the answer
        return [*self._outcomes.values(), *(self._timed_out(each) for each in left)]

    async def _follow_all(self, progress: Progress) -> None:
        running = {asyncio.ensure_future(self._one(each, n, progress)) for n, each in enumerate(self._tasks, 1)}
        try:
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                # Every result is taken, or a second error would be told by the event loop, in its own words.
                for error in [task.exception() for task in done]:
                    if error:
                        raise error
                if any(self._outcomes.values()) and self._options.fail_fast:
                    return
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _one(self, task_id: str, n: int, progress: Progress) -> None:
        """Follow one task to its end, and save it. One clip's failure never stops the others."""
        session, entry, began = self._session, self._entries.get(task_id), clock.elapsed()
        seen = Sighting(self._tasks[task_id], entry)
        row, was_read = progress.row(task_id), False
        finish.begin_row(session, row, seen, about=seen.prompt or "")
        try:
            task = await finish.follow_to_end(
                session,
                self._tasks[task_id],
                row,
                is_fresh=_is_fresh(entry),
                changed=lambda task: self._changed(task, entry),
            )
            seen, was_read = Sighting(task, entry), True
            error = outcome.verdict(session, task)
            if error is None and self._name is not None:
                seen = await finish.save(
                    session,
                    task,
                    row,
                    self._name,
                    entry=entry,
                    force=self._options.force,
                    fields=naming.of_task(task, entry, clock.now(), n),
                )
                session.out.changed(seen)
        except (AirvidError, OSError) as raised:
            error = outcome.as_told(raised)
            error.task_id = error.task_id or task_id
        if was_read:
            row.end(finish.last_word(seen, clock.elapsed() - began), is_good=error is None)
        else:
            row.drop()  # what the journal knew is no news of the task
        name = self._name
        if was_read and (name is None or name.template is not None):
            error = finish.tell(lambda: session.out.ended(seen, wants_file=name is not None), task_id, error)
        if self._options.open and seen.output:
            finish.open_clip(session, seen.output)
        self._outcomes[task_id] = error

    def _changed(self, task: Task, entry: Entry | None) -> None:
        self._tasks[task.task_id] = task
        self._session.out.changed(Sighting(task, entry))

    def _timed_out(self, task_id: str) -> AirvidError:
        return WaitTimeoutError(
            f"the time was up; the task goes on ({self._tasks[task_id].status})",
            task_id=task_id,
            hint=self._how_to_go_on([task_id]),
        )

    def _how_to_go_on(self, task_ids: list[str]) -> str:
        output = self._options.output
        return self._session.command("watch", *task_ids, *(["-o", output] if output else []))

    def tell_how_to_go_on(self) -> None:
        left = [each for each in self._tasks if each not in self._outcomes]
        if left:
            self._session.out.note(f"the tasks go on; to pick them up: {self._how_to_go_on(left)}")


def _as_known(task_id: str, entry: Entry | None) -> Task:
    """The task as far as it is known before its first reading."""
    raw = {"status": (entry and entry.status) or QUEUED, "expires_at": entry and entry.expires_at}
    task = Task.parse(raw, task_id)
    assert task
    return task


def _is_fresh(entry: Entry | None) -> bool:
    return entry is not None and entry.status != DELETED and clock.now() - entry.intended_at < 60
