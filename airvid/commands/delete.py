"""airvid delete: remove history entries; media and running jobs are not touched."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from airvid import clock
from airvid.api.models import COMPLETED, EXPIRED, FAILED, STATUSES, Task, canonical_status
from airvid.commands import common
from airvid.config import checked
from airvid.errors import AirvidError, NotFoundError, UsageError, settle
from airvid.session import Session
from airvid.ui.task_view import TaskView
from airvid.ui.text import moment, short_id

# Clips not on this disk that get a line each; more of them share one line with their ids.
MOST_NAMED = 3


async def run(
    session: Session, *, ids: Sequence[str], takes_all: bool, statuses: Sequence[str], older_than: str | None, yes: bool
) -> None:
    selects = takes_all or bool(statuses) or older_than is not None
    if not ids and not selects:
        raise UsageError(
            "nothing to delete is named: give an ID, --all, --status or --older-than", hint="airvid delete --help"
        )
    if ids and selects:
        raise UsageError("task ids and --all, --status or --older-than contradict each other")
    may_ask = sys.stdin.isatty() and session.out.stderr.isatty() and "-" not in ids
    if not yes and not may_ask:
        raise UsageError("deleting without being asked needs -y", hint=session.same_command("-y"))
    errors: list[AirvidError] = []
    listed: dict[str, Task] = {}
    if ids:
        found, errors = await common.resolve(session, common.given(ids))
    else:
        listed = await _selected(session, statuses, older_than)
        found = list(listed)
    tasks, unread = await _read(session, found, listed)
    errors += unread
    if not tasks:
        settle(errors)
        session.out.note("nothing to delete")
        return
    _tell_what_is_lost(session, tasks)
    what = f"{len(tasks)} history entries" if len(tasks) > 1 else f"the history entry {short_id(next(iter(tasks)))}"
    if any(tasks.values()):
        session.out.note("only the history is removed: stored media and running jobs are not touched")
    if not yes and not session.out.confirm(f"Delete {what}? [y/N] "):
        raise AirvidError("nothing was deleted")
    outcomes = await common.side_by_side(tasks, lambda task_id: _remove(session, task_id, tasks[task_id]))
    for task_id in [each for each, task in tasks.items() if task is None]:
        session.out.note(f"the server has no task {task_id}")
    settle([*errors, *outcomes])


async def _read(
    session: Session, ids: Sequence[str], listed: Mapping[str, Task]
) -> tuple[dict[str, Task | None], list[AirvidError]]:
    """The tasks with their links (None: the server has no such task), and the errors of those that cannot be read."""
    tasks: dict[str, Task | None] = {}

    async def read(task_id: str) -> None:
        task = listed.get(task_id)
        if task is None or (task.status == COMPLETED and not task.result_url):
            try:
                task = await session.api().task(task_id)
            except NotFoundError:
                task = None
        tasks[task_id] = task

    outcomes = await common.side_by_side(ids, read)
    return {each: tasks[each] for each in ids if each in tasks}, [error for error in outcomes if error]


async def _remove(session: Session, task_id: str, task: Task | None) -> None:
    """Remove one entry of the history; `task` as it was read, None where the server has none."""
    if task and not task.is_terminal:
        with suppress(NotFoundError):
            task = await session.api().task(task_id)  # it may have ended while the question was open
    if task and task.status == COMPLETED and task.result_url:
        session.journal.keep_link(session.service, task)  # the server does not tell it any more afterwards
    try:
        await session.api().delete(task_id)
    except NotFoundError:
        pass  # already gone
    session.journal.note_deleted(session.service, task_id)
    session.out.record({"task_id": task_id, "deleted": True}, [task_id])


def _tell_what_is_lost(session: Session, tasks: Mapping[str, Task | None]) -> None:
    """Name the clips that are paid for and not on this disk, and until when they can be fetched."""
    entries = session.journal.by_task(session.service, tasks)
    left: list[tuple[str, Task]] = []
    for task in filter(None, tasks.values()):
        view = TaskView(task, entries.get(task.task_id))
        what = short_id(task.task_id) + (f", {view.prompt[:60]}," if view.prompt else "")
        is_saved = view.entry and view.entry.is_saved
        if is_saved or task.status in (FAILED, EXPIRED) or session.api().is_past(task.expires_at):
            continue
        if task.status == COMPLETED and task.result_url:
            left.append((what, task))
        else:
            state = "completed, but without a link" if task.status == COMPLETED else "still running"
            session.out.warn(f"{what} is {state}: its clip cannot be fetched after this")
    if len(left) > MOST_NAMED:
        _tell_of_many(session, [task for _, task in left])
        return
    for what, task in left:
        until = "it expires" if task.expires_at is None else moment(task.expires_at)
        how = session.command("download", task.task_id)
        session.out.note(f"{what} is not on this disk; until {until} it can be fetched: {how}")


def _tell_of_many(session: Session, tasks: Sequence[Task]) -> None:
    until = min((moment(task.expires_at) for task in tasks if task.expires_at is not None), default="they expire")
    how, which = session.command("download", "ID"), " ".join(short_id(task.task_id) for task in tasks)
    session.out.note(f"{len(tasks)} clips are not on this disk; until {until} they can be fetched ({how}): {which}")


async def _selected(session: Session, given: Sequence[str], older_than: str | None) -> dict[str, Task]:
    """The tasks that --all, --status and --older-than select."""
    statuses = {canonical_status(each) for each in given}
    if unknown := statuses - set(STATUSES):
        raise UsageError(f"--status: {', '.join(map(repr, sorted(unknown)))} is not one of {', '.join(STATUSES)}")
    before = None
    if older_than is not None:
        before = clock.now() - checked("timeout", older_than, "--older-than")
    return {
        task.task_id: task
        for task in (await session.api().tasks()).tasks
        if (not statuses or task.status in statuses)
        and (before is None or (task.created is not None and task.created < before))
    }
