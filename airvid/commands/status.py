"""airvid status: one reading of each task."""

from __future__ import annotations

from collections.abc import Sequence

from airvid import clock
from airvid.api.models import COMPLETED, EXPIRED, FAILED, FRESH_SECONDS, Task
from airvid.commands import common
from airvid.errors import AirvidError, NotFoundError, UsageError, WaitTimeoutError, settle
from airvid.session import Session
from airvid.ui import views
from airvid.ui.task_view import TaskView


async def run(session: Session, *, ids: Sequence[str], exit_status: bool) -> None:
    if not ids:
        raise UsageError("no task id", hint="airvid status last")
    found, errors = await common.resolve(session, common.given(ids))
    tasks: dict[str, Task] = {}

    async def one(task_id: str) -> None:
        tasks[task_id] = await read(session, task_id)

    outcomes = [*errors, *await common.side_by_side(found, one)]
    for task in tasks.values():
        session.journal.note_task(session.service, task)
    entries = session.journal.by_task(session.service, tasks)
    seen = [TaskView(tasks[each], entries.get(each)) for each in found if each in tasks]
    session.out.show(views.TASKS, seen, as_array=False, in_full=len(seen) == 1)
    if exit_status:
        outcomes = [*(each for each in outcomes if each), *(_error_of(session, task) for task in tasks.values())]
    settle(outcomes)


async def read(session: Session, task_id: str) -> Task:
    """One reading. A task that this machine made moments ago may not be known to every server of the API yet."""
    entry = session.journal.by_task(session.service, [task_id]).get(task_id)
    while True:
        try:
            return await session.api().task(task_id)
        except NotFoundError as error:
            if entry and entry.result_url:
                error.hint = session.command("download", task_id)  # the journal knows where the clip is
            if not entry or entry.result_url or clock.now() - entry.intended_at > FRESH_SECONDS:
                if entry and session.api().is_past(entry.expires_at):
                    return Task(task_id, EXPIRED, {"task_id": task_id, "status": EXPIRED}, expires_at=entry.expires_at)
                raise
            await clock.sleep(1.0)


def _error_of(session: Session, task: Task) -> AirvidError | None:
    """The error of --exit-status for a task; None where it is completed."""
    if task.status in (FAILED, EXPIRED):
        from airvid.commands import finish

        return finish.error_of(session, task)
    if task.status == COMPLETED:
        return None
    return WaitTimeoutError(
        f"the task is {task.status}", task_id=task.task_id, hint=session.command("watch", task.task_id)
    )
