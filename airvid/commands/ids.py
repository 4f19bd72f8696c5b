"""What the user calls a task: an id, a unique prefix, `last`, or `-` for more on standard input (contract 1.2)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable

from airvid import system
from airvid.api import PATIENCE
from airvid.commands import outcome
from airvid.errors import AirvidError, LimitedError, NotFoundError, UnavailableError, UsageError
from airvid.session import Session
from airvid.tasks import is_task_id

_WHOLE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def given(arguments: Iterable[str]) -> list[str]:
    """The arguments, with those on standard input in the place of `-`, each once. Raises: UsageError."""
    found: list[str] = []
    for argument in arguments:
        more = [argument] if argument != "-" else system.read_stdin().decode("utf-8", "replace").split("\n")
        found += [each.strip() for each in more if each.strip() or argument != "-"]
    if "" in found:
        raise UsageError("an empty task id", hint="airvid list")
    return list(dict.fromkeys(found))


async def resolve(
    session: Session, names: Iterable[str], *, patience: float = PATIENCE
) -> tuple[list[str], list[AirvidError]]:
    """Task ids in the order named, each once, and the errors of those that name none.

    `patience`: seconds with a server that does not answer. Raises: UnavailableError, LimitedError.
    """
    ids: list[str] = []
    errors: list[AirvidError] = []
    for name in names:
        try:
            ids.append(await _resolve(session, name, patience))
        except (UnavailableError, LimitedError):
            raise
        except AirvidError as error:
            error.task_id = error.task_id or name
            errors.append(error)
    return list(dict.fromkeys(ids)), errors


async def _resolve(session: Session, name: str, patience: float) -> str:
    if name == "last":
        return await _last(session, patience)
    if not is_task_id(name):
        raise UsageError("that is no task id", hint="airvid list --ids")
    if len(name) < 4 or _WHOLE_ID.fullmatch(name) or session.journal.by_task(session.service, [name]):
        return name
    known = set(session.journal.with_prefix(session.service, name))
    listed = {task.task_id for task in (await session.api().tasks(patience=patience)).tasks}
    if name in listed:
        return name
    found = sorted(known | {each for each in listed if each.startswith(name)})
    if len(found) > 1:
        raise UsageError(f"{name!r} begins several task ids: {', '.join(found[:5])}", hint="airvid list --ids")
    return found[0] if found else name  # older than the list reaches, perhaps: the server shall say


async def _last(session: Session, patience: float) -> str:
    entry = session.journal.last(session.service)
    if entry and entry.task_id:
        return entry.task_id
    listing = await session.api().tasks(patience=patience)
    if entry:
        outcome.take_note(session, listing)
        if (settled := session.journal.entry(entry.id)) and settled.task_id:
            return settled.task_id
        raise UnavailableError(
            "what became of the last create is unknown", hint="airvid list, before you create it again"
        )
    if not listing.tasks:
        raise NotFoundError("there is no task yet", hint='airvid create "fox in snow"')
    return listing.tasks[0].task_id


async def side_by_side(
    ids: Iterable[str], work: Callable[[str], Awaitable[None]], limit: int = 8
) -> list[AirvidError | None]:
    """Do `work` for each id; what each came to. One's failure never stops the others."""
    places = asyncio.Semaphore(limit)

    async def one(task_id: str) -> AirvidError | None:
        try:
            async with places:
                await work(task_id)
        except (AirvidError, OSError) as raised:
            error = outcome.as_told(raised)
            error.task_id = error.task_id or task_id
            return error
        return None

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(task_id)) for task_id in ids]
    return [task.result() for task in running]
