"""airvid download: save results (contract §8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from airvid import clock, naming
from airvid.commands import common, finish, status
from airvid.config import checked
from airvid.errors import AirvidError, FileError, UsageError, WaitTimeoutError, settle
from airvid.naming import DEFAULT_NAME, Naming
from airvid.progress import Progress
from airvid.session import Session
from airvid.tasks import COMPLETED, Sighting, Task
from airvid.text import short_id

SIDE_BY_SIDE = 4
# How often a completed task without a URL is read again, and after how many seconds.
URL_READINGS, URL_PAUSE = 5, 2.0


class Options(NamedTuple):
    ids: Sequence[str] = ()
    output: str = DEFAULT_NAME
    force: bool = False
    skip_existing: bool = False
    all: bool = False
    jobs: int | None = None
    open: bool = False


async def run(session: Session, options: Options) -> None:
    if options.all and options.ids:
        raise UsageError("task ids and --all contradict each other")
    if not options.all and not options.ids:
        raise UsageError("no task id", hint="airvid download last, or --all")
    if options.force and options.skip_existing:
        raise UsageError("--force and --skip-existing contradict each other")
    jobs = session.settings.get("jobs") if options.jobs is None else checked("jobs", options.jobs, "--jobs")
    finish.check_stdout(session, Naming.parse(options.output, 1), opens=options.open)
    errors: list[AirvidError] = []
    if options.all:
        saved = session.journal.saved_ids(session.service)
        listed = (await session.api().tasks()).tasks
        found = [task.task_id for task in listed if task.status == COMPLETED and task.task_id not in saved]
        if not found:
            session.out.note("nothing to download")
            return
    else:
        found, errors = await common.resolve(session, common.given(options.ids))
    name = Naming.parse(options.output, max(1, len(found)))
    with session.progress(len(found)) as progress:

        async def one(task_id: str) -> None:
            await _download(session, options, name, task_id, found.index(task_id) + 1, progress)

        outcomes = await common.side_by_side(found, one, limit=jobs or SIDE_BY_SIDE)
    settle([*errors, *outcomes])


async def _download(session: Session, options: Options, name: Naming, task_id: str, n: int, progress: Progress) -> None:
    began = clock.elapsed()
    task = await completed(session, task_id, "-o", options.output)
    entry = session.journal.by_task(session.service, [task_id]).get(task_id)
    fields = naming.of_task(task, entry, clock.now(), n)
    row = progress.row(short_id(task_id), about=Sighting(task, entry).prompt or "")
    try:
        seen = await finish.save(session, task, row, name, entry=entry, fields=fields, force=options.force)
    except Exception as error:
        passes_over = isinstance(error, FileError) and options.skip_existing and name.template is not None
        if not passes_over or not (path := name.path(fields)).is_file():
            row.drop()
            raise
        row.end(f"{path} is there already")
        seen = Sighting(task, entry, str(path), path.stat().st_size)
    else:
        row.end(finish.last_word(seen, clock.elapsed() - began))
    if name.template is not None:
        session.out.finished(seen, wants_file=True)
    if options.open and seen.output:
        finish.open_clip(session, seen.output)


async def completed(session: Session, task_id: str, *how: str) -> Task:
    """A task that has a clip. `how`: the options with which to watch one that has none yet.

    Raises: what the task came to; WaitTimeoutError for one that goes on.
    """
    task = await status.read(session, task_id)
    for _ in range(URL_READINGS):  # the URL may come a moment after the word
        if task.status != COMPLETED or task.result_url:
            break
        await clock.sleep(URL_PAUSE)
        task = await status.read(session, task_id)
    session.journal.note_task(session.service, task)
    if (error := common.verdict(session, task)) is not None:
        raise error
    if task.status != COMPLETED:
        raise WaitTimeoutError(
            f"the task is {task.status}: there is no clip yet", hint=session.command("watch", task_id, *how)
        )
    return task
