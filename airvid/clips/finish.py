"""From a task to its end, and from a completed task to its clip on this disk."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from airvid import clock
from airvid.api.client import Api
from airvid.api.connections import HeaderError
from airvid.api.models import COMPLETED, EXPIRED, FAILED, Task
from airvid.clips import download
from airvid.clips.download import Received
from airvid.clips.follow import Shared, Trouble, follow
from airvid.clips.part import DeadLinkError, NotVideoError
from airvid.clips.part_file import OtherVideoError
from airvid.errors import AirvidError, ExpiredError, FileError, NotFoundError, TaskFailedError, UnavailableError
from airvid.journal.journal import Journal
from airvid.ui.text import moment


def error_of(task: Task, *, retry: str) -> AirvidError | None:
    """Why a task that ended has no clip; None where it has one, or where it still runs.

    `retry` is the command that asks again, for the hint.
    """
    why = f": {task.error.rstrip('. ')}" if task.error else ""
    if task.status == FAILED:
        # Without an error, the word for the status may be the reason: `nsfw`.
        word = str(task.raw.get("status", ""))
        why = why or (f": {word}" if word.lower() not in (FAILED, "failure", "error", "errored") else "")
        return TaskFailedError(f"the task failed{why}; it is not charged", task_id=task.task_id)
    if task.status == EXPIRED:
        # For a task that has expired early, the server does not say when.
        when = f" on {moment(task.expires_at)}" if task.expires_at and task.expires_at <= clock.now() else ""
        return ExpiredError(f"the task expired{when}{why}", task_id=task.task_id)
    if task.status == COMPLETED and not task.result_url:
        return UnavailableError(
            "the task is completed, but the server gives no URL for its clip", task_id=task.task_id, hint=retry
        )
    return None


async def track(
    api: Api,
    shared: Shared,
    journal: Journal,
    service: str,
    task: Task,
    *,
    is_fresh: bool,
    was_seen: bool,
    usual_ends: Sequence[float],
) -> AsyncGenerator[Task | Trouble, None]:
    """As `follow`, with each change of state in the journal before it is yielded."""
    was_running = False
    async with aclosing(
        follow(api, task, shared, is_fresh=is_fresh, was_seen=was_seen, usual_ends=usual_ends)
    ) as readings:
        async for reading in readings:
            if isinstance(reading, Task):
                if reading.status != task.status or reading.is_terminal:
                    journal.note_task(service, reading, ended_now=was_running and reading.is_terminal)
                task = reading
            was_running = isinstance(reading, Task)
            yield reading


async def fetch(
    api: Api, task: Task, path: Path, *, force: bool, retry: str, keeps: bool = True
) -> AsyncGenerator[Received, None]:
    """Bring a completed task's clip to `path`; it is whole there when the iterator ends.

    A link that is dead or leads to no video is read again from the task, once. `retry`: as for `error_of`; `keeps`:
    whether the folder stays.
    Raises: ExpiredError for a dead link after its time, UnavailableError before it; FileError; OtherVideoError.
    """
    try:
        for is_last in (False, True):
            try:
                async with aclosing(_received(api, task, path, force=force, is_last=is_last)) as steps:
                    async for received in steps:
                        yield received
                return
            except (DeadLinkError, NotVideoError):
                if is_last:
                    raise
            task = await _with_new_link(api, task, retry)
    except OtherVideoError as error:
        if keeps and error.is_whole:
            raise
        kept = f"{error.message}; the clip" if keeps else f"the result is {error.what}; it"
        raise FileError(f"{kept} is at {task.result_url}", hint=retry) from None
    except FileError as error:
        error.message += f"; the clip is at {task.result_url}"
        error.hint = error.hint or retry
        raise
    except HeaderError as error:
        error.hint = shlex.join(["curl", "-fL", "--create-dirs", "-o", str(path), task.result_url or ""])
        raise
    except DeadLinkError as error:
        if task.expires_at is not None and api.is_past(task.expires_at):
            raise ExpiredError(f"the clip expired on {moment(task.expires_at)}", task_id=task.task_id) from None
        raise UnavailableError(error.message, task_id=task.task_id, hint=retry) from None
    except UnavailableError as error:
        error.message += f"; the clip is at {task.result_url}"
        raise


async def _with_new_link(api: Api, task: Task, retry: str) -> Task:
    """The task, read again; as it was where the server does not know it any more. Raises: AirvidError."""
    try:
        task = await api.task(task.task_id)
    except NotFoundError:
        pass
    if (error := error_of(task, retry=retry)) is not None:
        raise error
    if task.status != COMPLETED:
        raise UnavailableError(f"the link is dead, and the task is {task.status} again")
    return task


def _received(api: Api, task: Task, path: Path, *, force: bool, is_last: bool) -> AsyncGenerator[Received, None]:
    assert task.result_url
    return download.save(api.http, task.result_url, path, clip=task.task_id, force=force, is_last=is_last)
