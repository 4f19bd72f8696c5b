"""airvid list: recent tasks, filtered and paged on our side; with --local the journal (contract §7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from airvid import clock
from airvid.commands import common
from airvid.config import checked, seconds, whole
from airvid.errors import UsageError
from airvid.session import Session
from airvid.tasks import DELETED, STATUSES, Sighting, canonical_status

# What only the journal knows of a clip.
OURS = ("intended", "waiting", "sent", "unknown", "refused", DELETED)
# The highest number of a page, and of tasks on one.
MOST = 1_000_000


class Options(NamedTuple):
    status: Sequence[str] = ()
    model: str | None = None
    since: str | None = None
    limit: int = 30
    page: int = 1
    ids: bool = False
    local: bool = False
    search: str | None = None


async def run(session: Session, options: Options) -> None:
    ours = OURS if options.local else ()
    statuses = [each if each in ours else canonical_status(each) for each in options.status]
    for each, status in zip(options.status, statuses, strict=True):
        if status not in (*STATUSES, *ours):
            raise UsageError(f"--status {each!r} is not one of {', '.join((*STATUSES, *ours))}")
    checked("limit", options.limit, "--limit", parse=whole(1, MOST))
    checked("page", options.page, "--page", parse=whole(1, MOST))
    if options.search is not None and not options.local:
        raise UsageError("--search looks through the journal's prompts", hint="airvid list --local --search TEXT")
    since = None if options.since is None else moment(options.since, clock.now())
    offset = (options.page - 1) * options.limit
    if options.local:
        entries = session.journal.entries(
            search=options.search, since=since, states=statuses, model=options.model, limit=options.limit, offset=offset
        )
        found = [Sighting(None, entry) for entry in entries]
    else:
        listing = await session.api().tasks()
        common.take_note(session, listing)
        tasks = [
            task
            for task in listing.tasks
            if (not statuses or task.status in statuses)
            and (options.model is None or task.model == options.model)
            and (since is None or (task.created is not None and task.created >= since))
        ][offset : offset + options.limit]
        known = session.journal.by_task(session.service, (task.task_id for task in tasks))
        found = [Sighting(task, known.get(task.task_id)) for task in tasks]
    if options.ids:
        session.out.ids(seen.task_id for seen in found if seen.task_id)
        return
    if options.local:
        session.out.entries(found)
    else:
        session.out.tasks(found, as_array=True)
    if not found:
        session.out.note("no tasks" + (" like that" if options.status or options.since or options.search else ""))


def moment(given: str, now: float) -> float:
    """`30m`, `2h`, `3d` before now, or a local date or time, as Unix seconds. Raises: UsageError."""
    try:
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*[smhd]\s*", given.lower()):
            return now - seconds(given)
        return datetime.fromisoformat(given.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{given!r} is no time: 30m, 2h, 3d, 2026-11-20 or 2026-11-20T14:00") from None
