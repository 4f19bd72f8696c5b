"""Which task a create of unknown fate made: found in the server's list, or not decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airvid import clock
from airvid.api.client import Listing
from airvid.api.models import Task
from airvid.errors import FileError
from airvid.journal.entries import Entry
from airvid.journal.journal import SENT_WINDOW, Journal
from airvid.ui.output import Output

# Seconds that the server keeps a task: for as long, a create that may have made one is mentioned.
KEPT_SECONDS = 86_400.0
UNKNOWN_FATE_HINT = "airvid list, before you create it again; airvid list --local --status unknown keeps it in view"


def settle_unknown(
    journal: Journal,
    unsettled: Sequence[tuple[Entry, set[str] | None]],
    listing: Listing,
    out: Output,
) -> None:
    """Give creates of unknown fate, of this or an earlier run, the one task in the list that each can have made."""
    for entry, present in unsettled:
        candidates = matches(listing, journal, entry, entry.request, present)
        try:
            if len(candidates) == 1 and journal.adopt(entry, candidates[0]):
                out.note(f"found: an earlier create whose fate was unknown made task {candidates[0].task_id}")
                continue
        except FileError as error:
            out.warn(error.message)
            return
        ids = [task.task_id for task in candidates]
        if entry.fate == "sent" or (ids and ids != list(entry.candidates)):
            journal.mark_unknown(entry, entry.error or "the program ended before the server answered", ids)
        if clock.now() - (entry.sent_at or entry.intended_at) < KEPT_SECONDS:
            out.warn(
                f"whether an earlier create made a task is unknown: {likely(ids)}; airvid list --local --status unknown"
            )


def likely(ids: Sequence[str]) -> str:
    """The end of a sentence on a create of unknown fate: which tasks it can have made."""
    return f"it could be {' or '.join(ids)}" if ids else "the task list shows none that fits"


def matches(
    listing: Listing, journal: Journal, entry: Entry, request: dict[str, Any], present: set[str] | None
) -> list[Task]:
    """The listed tasks that this entry's POST can have made.

    Such a task has the request's values, was made at the time of the POST, was not there before it, and belongs to no
    other entry. `present` are the ids that were there before; where that is unknown (None), only a task with a prompt
    and a time counts.
    """
    sent_at = entry.sent_at if entry.sent_at is not None else entry.intended_at
    own = journal.known_ids(task.task_id for task in listing.tasks)

    def can_be_ours(task: Task) -> bool:
        if task.task_id in own or not task.could_be(request):
            return False
        if present is None and (task.prompt is None or task.created is None):
            return False
        in_time = task.created is None or sent_at - SENT_WINDOW[0] <= task.created <= sent_at + SENT_WINDOW[1]
        return in_time and task.task_id not in (present or ())

    return [task for task in listing.tasks if can_be_ours(task)]
