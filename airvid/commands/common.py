"""What several stories share: which tasks the user means (contract 1.2), and what tasks came to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from airvid import system
from airvid.api.models import COMPLETED, EXPIRED, FAILED, Task, is_task_id
from airvid.api.retry import PATIENCE
from airvid.errors import (
    AirvidError,
    BugError,
    ExpiredError,
    FileError,
    LimitedError,
    NotFoundError,
    TaskFailedError,
    UnavailableError,
    UsageError,
)
from airvid.session import Session
from airvid.ui.text import moment

if TYPE_CHECKING:
    from airvid.api.client import Listing

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
        except Exception as raised:
            error = as_told(raised)
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
    """The newest task of this machine's journal, never of the server's list: that may be another machine's.

    Raises: FileError without a journal that can be read; NotFoundError where it has none.
    """
    entry = session.journal.last(session.service)
    if entry is None:
        raise NotFoundError("this machine's journal has no task yet", hint="airvid list shows the server's")
    if entry.task_id:
        return entry.task_id
    take_note(session, await session.api().tasks(patience=patience))
    if (settled := session.journal.entry(entry.id)) and settled.task_id:
        return settled.task_id
    raise UnavailableError("what became of the last create is unknown", hint="airvid list, before you create it again")


async def side_by_side(
    ids: Iterable[str], work: Callable[[str], Awaitable[None]], limit: int = 8
) -> list[AirvidError | None]:
    """Do `work` for each id, at most `limit` at once; what each came to. One's failure never stops the others."""
    places = asyncio.Semaphore(limit)

    async def one(task_id: str) -> AirvidError | None:
        try:
            async with places:
                await work(task_id)
        except Exception as raised:
            error = as_told(raised)
            error.task_id = error.task_id or task_id
            return error
        return None

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(task_id)) for task_id in ids]
    return [task.result() for task in running]


def verdict(session: Session, task: Task) -> AirvidError | None:
    """The error that a task which ended stands for; None for a clip that can be had."""
    why = f": {task.error.rstrip('. ')}" if task.error else ""
    if task.status == FAILED:
        return TaskFailedError(f"the task failed{why}; it is not charged", task_id=task.task_id)
    if task.status == EXPIRED:
        when = f" on {moment(task.expires_at)}" if task.expires_at is not None else ""
        return ExpiredError(f"the task expired{when}{why}", task_id=task.task_id)
    if task.status == COMPLETED and not task.result_url:
        return UnavailableError(
            "the task is completed, but the server gives no URL for its clip",
            task_id=task.task_id,
            hint=session.command("download", task.task_id),
        )
    return None


def as_told(error: Exception) -> AirvidError:
    """What one clip's exception is told as: a full disk, say, is a failure of a file, and what nobody foresaw a bug."""
    if isinstance(error, AirvidError):
        return error
    if isinstance(error, OSError) and not isinstance(error, TimeoutError | ConnectionError):
        return FileError(f"{error.filename or 'a file'}: {error.strerror or error}")
    return BugError.of(error)


def take_note(session: Session, listing: Listing) -> None:
    """How tasks stand, and what became of creates of unknown fate, for the journal."""
    session.journal.note_task(session.service, *listing.tasks)
    if unsettled := session.journal.unsettled(session.service):
        from airvid.clips.lookup import settle_unknown

        settle_unknown(session.journal, unsettled, listing, session.out.note, session.out.warn)
