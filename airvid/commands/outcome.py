"""What a task came to, in the words of an error; and what the server's list tells of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airvid.errors import AirvidError, ExpiredError, FileError, TaskFailedError, UnavailableError
from airvid.session import Session
from airvid.tasks import COMPLETED, EXPIRED, FAILED, Task
from airvid.text import moment

if TYPE_CHECKING:
    from airvid.api import Listing


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


def as_told(error: AirvidError | OSError) -> AirvidError:
    """A full disk, say, is a failure of a file."""
    return error if isinstance(error, AirvidError) else FileError(f"{error.filename or 'a file'}: {error.strerror}")


def take_note(session: Session, listing: Listing) -> None:
    """How tasks stand, and what became of creates of unknown fate, for the journal."""
    session.journal.note_task(session.service, *listing.tasks)
    if unsettled := session.journal.unsettled(session.service):
        from airvid.submit import settle_unknown

        settle_unknown(session.journal, unsettled, listing, session.out.note, session.out.warn)
