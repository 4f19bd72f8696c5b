"""airvid download: save the clips of completed tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airvid import clock, system
from airvid.api.models import COMPLETED, Task
from airvid.clips import naming
from airvid.clips.naming import DEFAULT_NAME, Naming
from airvid.clips.part import MOST_SEGMENTS
from airvid.commands import common, finish, status
from airvid.errors import AirvidError, FileError, NotFoundError, UsageError, WaitTimeoutError, settle
from airvid.session import Session
from airvid.ui.progress import Progress
from airvid.ui.task_view import TaskView
from airvid.ui.text import short_id

SIDE_BY_SIDE = 4
# Files and connections of one download at most: its segments, the part and what stands beside it.
FILES_A_CLIP = MOST_SEGMENTS + 4
# How often a completed task without a URL is read again, and the seconds between two readings.
URL_READINGS, URL_PAUSE = 5, 2.0


@dataclass(frozen=True)
class _How:
    """The options for every clip. `output` is what -o says, and `name` is made of it."""

    name: Naming
    output: str
    force: bool
    skip_existing: bool
    opens: bool


async def run(
    session: Session,
    *,
    ids: Sequence[str],
    output: str | None,
    force: bool,
    skip_existing: bool,
    takes_all: bool,
    jobs: str | None,
    opens: bool,
) -> None:
    if takes_all and ids:
        raise UsageError("task ids and --all contradict each other")
    if not takes_all and not ids:
        raise UsageError("no task id", hint="airvid download --all")
    if force and skip_existing:
        raise UsageError("--force and --skip-existing contradict each other")
    at_once = _affordable(session, session.settings.choose("jobs", jobs) or SIDE_BY_SIDE)
    output = DEFAULT_NAME if output is None else output
    finish.check_stdout(session, Naming.parse(output, 1), opens=opens)
    errors: list[AirvidError] = []
    listed: list[Task] = []
    if takes_all:
        listed = await _unsaved(session)
        found = [task.task_id for task in listed]
        if not found:
            session.out.note("nothing to download")
            return
    else:
        found, errors = await common.resolve(session, common.given(ids))
    name = await common.naming_for(session, output, found, listed)
    how = _How(name, output, force=force, skip_existing=skip_existing, opens=opens)
    with session.progress(len(found)) as progress:
        outcomes = await common.side_by_side(
            found, lambda each: _download(session, each, found.index(each) + 1, progress, how), limit=at_once
        )
    settle([*errors, *outcomes])


def _affordable(session: Session, at_once: int) -> int:
    """How many clips to fetch side by side: `at_once`, or fewer where the system allows too few open files."""
    most = max(1, (system.most_open_files() - system.LEAST_OPEN_FILES) // FILES_A_CLIP)
    if most < at_once:
        session.out.note(f"{most} at a time, not {at_once}: the system lets the program open few files (ulimit -n)")
    return min(at_once, most)


async def _unsaved(session: Session) -> list[Task]:
    """The completed tasks whose clips are not on this disk now."""
    listed = [task for task in (await session.api().tasks()).tasks if task.status == COMPLETED]
    entries = session.journal.by_task(session.service, (task.task_id for task in listed))
    return [task for task in listed if not (task.task_id in entries and entries[task.task_id].is_saved)]


async def _download(session: Session, task_id: str, n: int, progress: Progress, how: _How) -> None:
    """Save the n-th task's clip."""
    if how.skip_existing and (view := await _present(session, task_id, n, how.name)):
        progress.row(short_id(task_id), about=view.prompt or "").end(f"{view.output} is there already")
        session.out.finished(view, wants_file=True)
        if how.opens:
            finish.open_clip(session, str(view.output))
        session.ended.append(view)
        return
    try:
        task = await completed(session, task_id, "-o", how.output)
    except AirvidError as error:
        session.ended.append(TaskView(Task.parse({"task_id": task_id, "status": error.code})))
        raise
    entry = session.journal.by_task(session.service, [task_id]).get(task_id)
    fields = naming.of_task(task, entry, clock.now(), n)
    row = progress.row(short_id(task_id), about=TaskView(task, entry).prompt or "")
    try:
        view = await finish.save(session, task, row, how.name, entry=entry, fields=fields, force=how.force)
    except Exception as error:
        passes_over = isinstance(error, FileError) and how.skip_existing and how.name.template is not None
        if not passes_over or (count := await (place := how.name.destination(fields)).size()) is None:
            row.drop()
            session.ended.append(TaskView(task, entry))
            raise
        row.end(f"{place} is there already")
        view = TaskView(task, entry, str(place), count)
    else:
        row.end(finish.last_word(view, None), path=view.output)
    session.ended.append(view)
    if how.name.template is not None:
        session.out.finished(view, wants_file=True)
    if how.opens and view.output:
        finish.open_clip(session, view.output)


async def _present(session: Session, task_id: str, n: int, name: Naming) -> TaskView | None:
    """The n-th task with its file, where that is there and its name is known without the server."""
    if name.template is None:
        return None
    entry = session.journal.by_task(session.service, [task_id]).get(task_id)
    try:
        place = name.destination(naming.known_fields(task_id, None, entry, n))
    except UsageError:
        return None
    if (count := await place.size()) is None:
        return None
    return TaskView(None if entry else Task.parse({}, task_id), entry, str(place), count)


async def completed(session: Session, task_id: str, *how: str) -> Task:
    """A completed task. `how`: the options for `watch` in the hint for a task that still runs.

    Raises: the error that the task ended with; WaitTimeoutError where it still runs.
    """
    try:
        task = await status.read(session, task_id)
        for _ in range(URL_READINGS):  # the URL may come a moment after the status
            if task.status != COMPLETED or task.result_url:
                break
            await clock.sleep(URL_PAUSE)
            task = await status.read(session, task_id)
    except NotFoundError:
        if not (kept := remembered(session, task_id)):
            raise
        task = kept
    session.journal.note_task(session.service, task)
    if (error := finish.error_of(session, task)) is not None:
        raise error
    if task.status != COMPLETED:
        raise WaitTimeoutError(
            f"the task is {task.status}: there is no clip yet", hint=session.command("watch", task_id, *how)
        )
    return task


def remembered(session: Session, task_id: str) -> Task | None:
    """A completed task that the server has forgotten, where the journal has its link."""
    entry = session.journal.by_task(session.service, [task_id]).get(task_id)
    if not entry or not entry.result_url:
        return None
    session.out.note(f"the server has no task {short_id(task_id)} any more; the journal has the link of its clip")
    kept = ("task_id", "status", "model", "prompt", "created", "expires_at", "cost_cents", "result_url")
    task = Task.parse({name: getattr(entry, name) for name in kept})
    return task and task._replace(result_url=session.current_link(entry.result_url))
