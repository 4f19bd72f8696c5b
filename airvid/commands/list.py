"""airvid list: recent tasks, filtered and paged by this program; with --local the journal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from airvid import clock, model_cache
from airvid.api.models import DELETED, STATUSES, canonical_status
from airvid.commands import common
from airvid.config import checked
from airvid.errors import UsageError
from airvid.session import Session
from airvid.ui import views
from airvid.ui.task_view import TaskView
from airvid.ui.text import counted
from airvid.values import seconds, whole

# States that only the journal knows.
OURS = ("intended", "waiting", "sent", "unknown", "refused", DELETED)
# The highest number of a page, and of tasks on one.
MOST = 1_000_000


async def run(
    session: Session,
    *,
    status: Sequence[str],
    model: str | None,
    since: str | None,
    limit: int,
    page: int,
    ids: bool,
    local: bool,
    search: str | None,
) -> None:
    local = local or search is not None
    states = _states(status, OURS if local else ())
    checked("limit", limit, "--limit", parse=whole(1, MOST))
    checked("page", page, "--page", parse=whole(1, MOST))
    begin = None if since is None else moment(since, clock.now())
    offset = (page - 1) * limit
    if local:
        wanted = {"search": search, "since": begin, "states": states, "model": model}
        found = [TaskView(None, entry) for entry in session.journal.entries(limit=limit, offset=offset, **wanted)]
        total = session.journal.count(**wanted)
    else:
        listed = await _listed(session, states, model, begin)
        found, total = listed[offset : offset + limit], len(listed)
    if ids:
        session.out.ids(view.task_id for view in found if view.task_id)
    else:
        session.out.show(views.ENTRIES if local else views.TASKS, found, as_array=True)
    if total == 0:
        filtered = " like that" if status or since or search or model else ""
        session.out.note(f"no tasks{filtered}{_nearest(session, model) if model else ''}")
    elif total > len(found):
        session.out.note(f"{len(found)} of {total} tasks; {_more(page, -(-total // limit))}-L {total} shows all")
    elif session.out.is_terminal:
        session.out.note(counted(total, "task"))


def _states(given: Sequence[str], ours: Sequence[str]) -> list[str]:
    """The states that --status names, those of the journal as they are. Raises: UsageError."""
    states = [each if each in ours else canonical_status(each) for each in given]
    for each, state in zip(given, states, strict=True):
        if state not in (*STATUSES, *ours):
            raise UsageError(f"--status: {each!r} is not one of {', '.join((*STATUSES, *ours))}")
    return states


def _more(page: int, last: int) -> str:
    """Which pages there are besides this one."""
    if page < last:
        return f"--page {page + 1} shows more, "
    return f"--page {last} is the last, " if page > last else ""


def _nearest(session: Session, model: str) -> str:
    """The nearest names to a model that no task has, among those that the server last listed."""
    from airvid.clips import request

    models = model_cache.kept(session.service)
    try:
        request.find_model(models, model)
    except UsageError as error:
        return f": {error.message}" if models else ""
    return ""


async def _listed(session: Session, states: Sequence[str], model: str | None, begin: float | None) -> list[TaskView]:
    """The server's tasks that fit, newest first, with what the journal knows of them."""
    listing = await session.api().tasks()
    common.take_note(session, listing)
    tasks = [
        task
        for task in listing.tasks
        if (not states or task.status in states)
        and (model is None or task.model == model)
        and (begin is None or (task.created is not None and task.created >= begin))
    ]
    known = session.journal.by_task(session.service, (task.task_id for task in tasks))
    return [TaskView(task, known.get(task.task_id)) for task in tasks]


def moment(given: str, now: float) -> float:
    """`30m`, `2h`, `3d` before now, or a local date or time, as Unix seconds. Raises: UsageError."""
    try:
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*[smhd]\s*", given.lower()):
            return now - seconds(given)
        return datetime.fromisoformat(given.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"--since: {given!r} is no time: 30m, 2h, 3d, 2026-11-20 or 2026-11-20T14:00") from None
