"""airvid watch: follow tasks until they end, and with -o save each clip when its task is completed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from airvid import clock
from airvid.api.models import COMPLETED, QUEUED, Task
from airvid.clips import naming
from airvid.clips.naming import Naming
from airvid.commands import common, finish
from airvid.commands.finish import Clip
from airvid.errors import AirvidError, NotFoundError, WaitTimeoutError, settle
from airvid.session import Session
from airvid.ui.progress import Progress, Row
from airvid.ui.task_view import TaskView

# Ids in the command that saves what was watched.
MOST_NAMED = 3


async def run(
    session: Session,
    *,
    ids: Sequence[str],
    output: str | None,
    timeout: str | None,
    bell: bool | None,
    fail_fast: bool,
    force: bool,
    opens: bool,
) -> None:
    limit = common.time_limit(timeout)
    session.bell = bell
    if output is not None:
        finish.check_stdout(session, Naming.parse(output, 1), opens=opens)
    watch = None
    try:
        async with asyncio.timeout(limit):
            found, errors, listed = await _chosen(session, ids)
            if not found and not errors:
                session.out.note("nothing is running")
                return
            name = None if output is None else await common.naming_for(session, output, found, listed)
            watch = _Watch(session, _clips(session, found), output, name, fail_fast, force=force, opens=opens)
            with session.progress(len(found)) as progress:
                await _follow_all(watch, progress)
    except TimeoutError:
        if not watch:
            error = session.time_up("the time was up before the server had told which tasks there are")
            raise (WaitTimeoutError(f"{error.message}; the task goes on") if ids else error) from None
    except asyncio.CancelledError:
        if watch and (left := watch.left()):
            session.out.note(
                f"the tasks go on; to pick them up: {finish.how_to_go_on(session, left, output, force=force)}"
            )
        raise
    finally:
        session.ended += [clip.view for clip in watch.clips] if watch else []
    if output is None:
        _tell_how_to_save(watch)
    settle([*errors, *watch.outcomes()])


async def _chosen(session: Session, ids: Sequence[str]) -> tuple[list[str], list[AirvidError], list[Task]]:
    """The tasks to follow, the errors for names of no task, and the server's list where it was read.

    Without `ids` all that run: those that the server lists, and those that ran when the journal last knew.
    """
    if ids:
        return *await common.resolve(session, common.given(ids), patience=math.inf), []
    listing = await session.api().tasks(patience=math.inf)  # a wait does not give up
    common.take_note(session, listing)
    found = [str(entry.task_id) for entry in session.journal.running(session.service)]
    found += [task.task_id for task in listing.tasks if not task.is_terminal]
    return list(dict.fromkeys(found)), [], listing.tasks


def _clips(session: Session, ids: Sequence[str]) -> list[Clip]:
    """The tasks as the journal knows them, before their first reading."""
    entries = session.journal.by_task(session.service, ids)
    clips = []
    for number, task_id in enumerate(ids, 1):
        entry = entries.get(task_id)
        raw = {"status": (entry and entry.status) or QUEUED, "expires_at": entry and entry.expires_at}
        clips.append(Clip(number, TaskView(Task.parse(raw, task_id), entry)))
    return clips


@dataclass
class _Watch:
    """The clips of this run and its options; `ended` are those that ended, in that order."""

    session: Session
    clips: Sequence[Clip]
    output: str | None
    name: Naming | None
    fail_fast: bool
    force: bool
    opens: bool
    ended: list[Clip] = field(default_factory=list)

    def left(self) -> list[Clip]:
        return [clip for clip in self.clips if clip not in self.ended]

    def is_to_stop(self) -> bool:
        return self.fail_fast and any(clip.outcome for clip in self.ended)

    def outcomes(self) -> list[AirvidError | None]:
        """The errors of the clips. After --fail-fast has stopped the run, only of those that had ended."""
        left = [] if self.is_to_stop() else self.left()
        timed_out = [finish.timed_out(self.session, clip, self.output, force=self.force) for clip in left]
        return [*(clip.outcome for clip in self.ended), *timed_out]


async def _follow_all(watch: _Watch, progress: Progress) -> None:
    running = {asyncio.ensure_future(_follow(watch, clip, progress)) for clip in watch.clips}
    try:
        while running and not watch.is_to_stop():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            # The exception of every task is read, or the event loop would print a second one itself.
            for error in [task.exception() for task in done]:
                if error:
                    raise error
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _follow(watch: _Watch, clip: Clip, progress: Progress) -> None:
    """Follow one task to its end and save its clip. Its failure does not stop the others: no Exception is raised."""
    session, out = watch.session, watch.session.out
    row = progress.row(clip.view.task_id)
    with clip.keeping_errors():
        finish.name_row(session, clip.view, row, about=clip.view.prompt or "")
        async with aclosing(finish.follow(session, clip, row)) as changes:
            async for view in changes:
                clip.write(out.changed, view)
        task = clip.view.task
        assert task
        clip.error = finish.error_of(session, task)
        if clip.error is None and watch.name:
            clip.view = await _save(watch, clip, task, row, watch.name)
            clip.write(out.changed, clip.view)
    if isinstance(clip.error, NotFoundError) and clip.view.entry and clip.view.entry.result_url:
        save_as = ["-o", watch.output] if watch.output else []
        clip.error.hint = session.command("download", clip.view.task_id, *save_as)  # the journal has the clip's link
    if not clip.was_read:
        clip.write(row.drop)  # all that is known is from the journal
    else:
        told = finish.last_word(clip.view, row.passed if clip.was_running else None)
        clip.write(row.end, told, is_good=clip.error is None, path=clip.view.output)
        if watch.name is None or watch.name.template is not None:
            clip.write(out.ended, clip.view, wants_file=watch.name is not None)
    watch.ended.append(clip)
    if watch.opens and clip.view.output:
        finish.open_clip(session, clip.view.output)


def _tell_how_to_save(watch: _Watch) -> None:
    """For a reader at a terminal: the command that saves what was not saved."""
    session = watch.session
    done = [clip.view.task_id for clip in watch.ended if clip.view.status == COMPLETED and not clip.error]
    if done and session.out.shows_both:
        which = done if len(done) <= MOST_NAMED else ["--all"]
        session.out.note(f"to save {'them' if len(done) > 1 else 'it'}: {session.command('download', *which)}")


async def _save(watch: _Watch, clip: Clip, task: Task, row: Row, name: Naming) -> TaskView:
    entry = clip.view.entry
    fields = naming.of_task(task, entry, clock.now(), clip.number)
    return await finish.save(watch.session, task, row, name, entry=entry, fields=fields, force=watch.force)
