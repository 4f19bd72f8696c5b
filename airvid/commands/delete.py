"""airvid delete: remove history entries; media and running jobs are not touched."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from airvid import clock
from airvid.api.models import PROCESSING, QUEUED, STATUSES, canonical_status
from airvid.commands import common
from airvid.config import checked
from airvid.errors import AirvidError, NotFoundError, UsageError, settle
from airvid.session import Session
from airvid.ui.text import short_id


async def run(
    session: Session, *, ids: Sequence[str], takes_all: bool, statuses: Sequence[str], older_than: str | None, yes: bool
) -> None:
    selects = takes_all or bool(statuses) or older_than is not None
    if not ids and not selects:
        raise UsageError("nothing to delete is named", hint="airvid delete ID, or --all, --status, --older-than")
    if ids and selects:
        raise UsageError("task ids and --all, --status or --older-than contradict each other")
    may_ask = sys.stdin.isatty() and session.out.stderr.isatty() and "-" not in ids
    if not yes and not may_ask:
        raise UsageError("deleting without being asked needs -y", hint="airvid delete -y …")
    errors: list[AirvidError] = []
    if ids:
        found, errors = await common.resolve(session, common.given(ids))
    else:
        found = await _selected(session, statuses, older_than)
    if not found:
        settle(errors)
        session.out.note("nothing to delete")
        return
    _warn_of_running(session, found)
    what = f"{len(found)} history entries" if len(found) > 1 else f"the history entry {short_id(found[0])}"
    if not yes and not session.out.confirm(f"Delete {what}? Stored media and running jobs are not touched. [y/N] "):
        raise AirvidError("nothing was deleted")

    async def remove(task_id: str) -> None:
        try:
            await session.api().delete(task_id)
        except NotFoundError:
            pass  # already gone
        session.journal.note_deleted(session.service, task_id)
        session.out.record({"task_id": task_id, "deleted": True}, [task_id])

    outcomes = await common.side_by_side(found, remove)
    if None in outcomes:
        session.out.note("only the history was removed: stored media and running jobs are not touched")
    settle([*errors, *outcomes])


def _warn_of_running(session: Session, found: list[str]) -> None:
    """Warn of tasks that still run: they are paid for, and their clips can no longer be fetched once deleted."""
    for task_id, entry in session.journal.by_task(session.service, found).items():
        if entry.state in (QUEUED, PROCESSING):
            prompt = f", {entry.prompt[:60]}," if entry.prompt else ""
            session.out.warn(f"{short_id(task_id)}{prompt} is still running: its clip cannot be fetched any more then")


async def _selected(session: Session, given: Sequence[str], older_than: str | None) -> list[str]:
    """The ids of the tasks that --all, --status and --older-than select."""
    statuses = {canonical_status(each) for each in given}
    if unknown := statuses - set(STATUSES):
        raise UsageError(f"--status {', '.join(sorted(unknown))} is not one of {', '.join(STATUSES)}")
    before = None
    if older_than is not None:
        before = clock.now() - checked("timeout", older_than, "--older-than")
    return [
        task.task_id
        for task in (await session.api().tasks()).tasks
        if (not statuses or task.status in statuses)
        and (before is None or (task.created is not None and task.created < before))
    ]
