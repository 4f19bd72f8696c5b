"""airvid download: save results (contract §8)."""

from __future__ import annotations

from collections.abc import Sequence

from airvid import clock
from airvid.api.models import COMPLETED, Task
from airvid.clips import naming
from airvid.clips.naming import DEFAULT_NAME, Naming
from airvid.commands import common, finish, status
from airvid.errors import AirvidError, FileError, UsageError, WaitTimeoutError, settle
from airvid.session import Session
from airvid.ui.progress import Progress
from airvid.ui.task_view import TaskView
from airvid.ui.text import short_id

SIDE_BY_SIDE = 4
# How often a completed task without a URL is read again, and after how many seconds.
URL_READINGS, URL_PAUSE = 5, 2.0


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
        raise UsageError("no task id", hint="airvid download last, or --all")
    if force and skip_existing:
        raise UsageError("--force and --skip-existing contradict each other")
    at_once = session.settings.choose("jobs", jobs) or SIDE_BY_SIDE
    output = DEFAULT_NAME if output is None else output
    finish.check_stdout(session, Naming.parse(output, 1), opens=opens)
    errors: list[AirvidError] = []
    if takes_all:
        saved = session.journal.saved_ids(session.service)
        listed = (await session.api().tasks()).tasks
        found = [task.task_id for task in listed if task.status == COMPLETED and task.task_id not in saved]
        if not found:
            session.out.note("nothing to download")
            return
    else:
        found, errors = await common.resolve(session, common.given(ids))
    name = Naming.parse(output, max(1, len(found)))
    with session.progress(len(found)) as progress:

        async def one(task_id: str) -> None:
            await _download(
                session,
                task_id,
                found.index(task_id) + 1,
                progress,
                name=name,
                output=output,
                force=force,
                skip_existing=skip_existing,
                opens=opens,
            )

        outcomes = await common.side_by_side(found, one, limit=at_once)
    settle([*errors, *outcomes])


async def _download(
    session: Session,
    task_id: str,
    n: int,
    progress: Progress,
    *,
    name: Naming,
    output: str,
    force: bool,
    skip_existing: bool,
    opens: bool,
) -> None:
    """Save the n-th task's clip. `output` is what -o says, of which `name` is made."""
    began = clock.elapsed()
    task = await completed(session, task_id, "-o", output)
    entry = session.journal.by_task(session.service, [task_id]).get(task_id)
    fields = naming.of_task(task, entry, clock.now(), n)
    row = progress.row(short_id(task_id), about=TaskView(task, entry).prompt or "")
    try:
        seen = await finish.save(session, task, row, name, entry=entry, fields=fields, force=force)
    except Exception as error:
        passes_over = isinstance(error, FileError) and skip_existing and name.template is not None
        if not passes_over or not (path := name.path(fields)).is_file():
            row.drop()
            raise
        row.end(f"{path} is there already")
        seen = TaskView(task, entry, str(path), path.stat().st_size)
    else:
        row.end(finish.last_word(seen, clock.elapsed() - began))
    if name.template is not None:
        session.out.finished(seen, wants_file=True)
    if opens and seen.output:
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
