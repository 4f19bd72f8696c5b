"""What several commands share: which tasks the user means, work on several tasks at once, notes for the journal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from airvid import system
from airvid.api.models import Task, is_task_id
from airvid.api.retry import PATIENCE
from airvid.clips import naming
from airvid.clips.naming import Naming
from airvid.config import checked
from airvid.errors import AirvidError, LimitedError, NotFoundError, UnavailableError, UsageError, as_failure
from airvid.session import Session
from airvid.values import bare

if TYPE_CHECKING:
    from airvid.api.client import Listing

_WHOLE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def given(arguments: Iterable[str]) -> list[str]:
    """The arguments, with those on standard input in the place of `-`, each once. Raises: UsageError."""
    found: list[str] = []
    for argument in arguments:
        more = [argument] if argument != "-" else system.read_stdin().decode("utf-8", "replace").split("\n")
        found += [bare(each) for each in more if each.strip() or argument != "-"]
    if "" in found:
        raise UsageError("an empty task id", hint="airvid list")
    return list(dict.fromkeys(found))


def time_limit(given: str | None) -> float | None:
    """The seconds of --timeout; None for no limit, as for 0. Raises: UsageError."""
    return None if given is None else checked("timeout", given, "--timeout") or None


async def resolve(
    session: Session, names: Iterable[str], *, patience: float = PATIENCE
) -> tuple[list[str], list[AirvidError]]:
    """The task ids that are named, in that order, each once, and the errors for names of no task.

    `patience`: seconds for which a server that does not answer is asked again. Raises: UnavailableError, LimitedError.
    """
    ids: list[str] = []
    errors: list[AirvidError] = []
    for name in names:
        try:
            ids.append(await _resolve(session, name, patience))
        except (UnavailableError, LimitedError):
            raise
        except Exception as raised:
            error = as_failure(raised)
            error.task_id = error.task_id or name
            errors.append(error)
    return list(dict.fromkeys(ids)), errors


async def _resolve(session: Session, name: str, patience: float) -> str:
    if name == "last":
        return await _last(session, patience)
    if not is_task_id(name):
        raise UsageError("that is no task id", hint="airvid list --ids")
    if _WHOLE_ID.fullmatch(name) or session.journal.by_task(session.service, [name]):
        return name
    known = set(session.journal.with_prefix(session.service, name))
    listed = {task.task_id for task in (await session.api().tasks(patience=patience)).tasks}
    if name in listed:
        return name
    if len(name) < 4:
        raise NotFoundError("no such task; the beginning of an id needs 4 characters", hint="airvid list --ids")
    found = sorted(known | {each for each in listed if each.startswith(name)})
    if len(found) > 1:
        raise UsageError(f"{name!r} begins several task ids: {', '.join(found[:5])}", hint="airvid list --ids")
    return found[0] if found else name  # perhaps older than the list reaches: the server knows


async def _last(session: Session, patience: float) -> str:
    """The newest task in the journal. The server's list is not used: its newest task may be another machine's.

    Raises: FileError where the journal cannot be read; NotFoundError where it has no task.
    """
    entry = session.journal.last(session.service)
    if entry is None:
        raise NotFoundError("there is no task in this machine's journal", hint="airvid list")
    if entry.task_id:
        return entry.task_id
    take_note(session, await session.api().tasks(patience=patience))
    if (settled := session.journal.entry(entry.id)) and settled.task_id:
        return settled.task_id
    raise UnavailableError("what became of the last create is unknown", hint="airvid list, before you create it again")


async def naming_for(session: Session, output: str, ids: Sequence[str], listed: Iterable[Task] = ()) -> Naming:
    """The names that -o gives to the clips of these tasks, with a number where two would be the same.

    `listed`: the server's list, which is read where neither it nor the journal has a task. Raises: UsageError.
    """
    name = Naming.parse(output, max(1, len(ids)))
    if not name.may_collide or not name.fields:
        return name
    entries, tasks = session.journal.by_task(session.service, ids), {task.task_id: task for task in listed}
    if any(each not in entries and each not in tasks for each in ids):
        with suppress(AirvidError):  # names that are not known are numbered
            tasks = {task.task_id: task for task in (await session.api().tasks()).tasks}
    name.tell_apart([naming.known_fields(each, tasks.get(each), entries.get(each), n) for n, each in enumerate(ids, 1)])
    return name


async def side_by_side(
    ids: Iterable[str], work: Callable[[str], Awaitable[None]], limit: int = 8
) -> list[AirvidError | None]:
    """Do `work` for each id, `limit` at once; the error of each, or None. A failure does not stop the others."""
    places = asyncio.Semaphore(limit)

    async def one(task_id: str) -> AirvidError | None:
        try:
            async with places:
                await work(task_id)
        except Exception as raised:
            error = as_failure(raised)
            error.task_id = error.task_id or task_id
            return error
        return None

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(task_id)) for task_id in ids]
    return [task.result() for task in running]


def take_note(session: Session, listing: Listing) -> None:
    """Write into the journal how the listed tasks stand, and which of them an earlier create of unknown fate made."""
    session.journal.note_task(session.service, *listing.tasks)
    if unsettled := session.journal.unsettled(session.service):
        from airvid.clips.lookup import settle_unknown

        settle_unknown(session.journal, unsettled, listing, session.out)
