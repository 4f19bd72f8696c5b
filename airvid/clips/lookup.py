"""Finding the task that a create made, in the server's list, where the create's own answer does not tell.

One task that fits is adopted. Where none fits, or several do, the create's fate is unknown: nothing is guessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from airvid import clock
from airvid.api.client import Api, Listing
from airvid.api.models import Task
from airvid.errors import AirvidError, FileError, LimitedError, UnavailableError, UnknownFateError
from airvid.journal.entries import Entry
from airvid.journal.journal import SENT_WINDOW, Journal
from airvid.ui.output import Output
from airvid.ui.submit_report import SubmitReport

# When the list is read after a POST of unknown fate, in seconds after it: the server gets time to show a task.
LOOKUPS = (0.5, 2.0, 4.0, 7.0, 11.0, 15.0)
LOOKUP_LIMIT = 10.0
# Seconds for the look at the list after a refusal that has nothing to do with a limit.
SOON = 2.0
# Seconds by which an answer of the list has to be older than now to count as a cache's.
CACHED = 5.0
# After a refusal: seconds between two looks at the list where it cannot be read, and where a task in it may be another
# create's; and after how many seconds the create's fate is unknown.
UNREADABLE_PAUSE, RIVAL_PAUSE, REFUSED_LIMIT = 5.0, 1.0, 60.0
# Seconds that the server keeps a task, and that a create which may have made one is mentioned.
KEPT_SECONDS = 86_400.0
# The length of a full list. A shorter one has all tasks.
MOST_LISTED = 100
UNKNOWN_FATE_HINT = "airvid list, before you create it again; airvid list --local --status unknown keeps it in view"

Found = tuple[Task, Entry]


class TaskLookup:
    """Looks up creates in the server's list.

    `present` are the ids of the tasks that were there before, None where that is unknown.
    """

    def __init__(self, api: Api, journal: Journal, report: SubmitReport) -> None:
        self.present: set[str] | None = None
        self._api = api
        self._journal = journal
        self._report = report
        # Seconds by which the server's clock is ahead of ours.
        self._clock_offset: float | None = None
        # When the last POST left, Unix seconds by our clock.
        self._sent_at = clock.now()

    def learn(self, listing: Listing) -> None:
        """Remember which tasks there were before, and how far the server's clock is from ours.

        A cache's listing tells neither: tasks that were made since would pass for new ones.
        """
        if listing.age > CACHED:
            return
        self.present = {task.task_id for task in listing.tasks}
        if listing.server_time is not None:
            self._clock_offset = listing.server_time - clock.now()

    def begin_post(self) -> float:
        """A POST is about to leave: the time by the server's clock, Unix seconds, as far as that is known."""
        self._sent_at = clock.now()
        return self._server_time(self._sent_at)

    async def list_now(self) -> Listing | None:
        """The server's list; None where it cannot be read now."""
        try:
            return await self._api.tasks(patience=0)
        except AirvidError:
            return None

    def record(self, entry: Entry, task: Task) -> Entry:
        """Write down the task that a create was answered with.

        Raises: UnknownFateError for a task that was there before, or that another create was answered with.
        """
        if self.present is not None and task.task_id in self.present:
            raise self._not_new(entry, task)
        self._is_present_now(task)
        try:
            known = self._journal.mark_known(entry, task)
        except FileError as error:
            # It is paid for: the user gets its id, and it is followed all the same.
            self._report.warn(f"task {task.task_id} was made, but {error.message}; keep its id")
            return entry._replace(fate="known", task_id=task.task_id, status=task.status)
        if known.fate == "unknown":
            raise self._not_new(entry, task)
        return known

    def _not_new(self, entry: Entry, task: Task) -> UnknownFateError:
        why = f"the server answered the create with task {task.task_id}, which was there before"
        self._journal.mark_unknown(entry, why, [task.task_id])
        return UnknownFateError(why, candidates=[task.task_id], hint=UNKNOWN_FATE_HINT)

    # ------------------------------------------------------------------ after an ambiguous answer

    async def after_ambiguous(self, entry: Entry, body: dict[str, Any], error: UnavailableError) -> Found:
        """The task of a create whose answer was lost or tells no id. Raises: UnknownFateError."""
        self._journal.mark_unknown(entry, error.message, ())
        self._report.note(f"{error.message}; looking in the task list for what became of the create")
        failed_at = clock.elapsed()
        candidates: list[Task] | None = None
        for moment in LOOKUPS:
            await clock.sleep(failed_at + moment - clock.elapsed())
            if found := self._settled_elsewhere(entry):
                return found
            if (listing := await self._fresh_list(clock.elapsed() - failed_at, LOOKUP_LIMIT)) is None:
                continue
            candidates = self._fitting(listing, entry, body, needs_prompt=True)
            named = [task for task in candidates if task.task_id == error.task_id]
            sure = named or (candidates if len(candidates) == 1 else [])
            # A task that does not tell its prompt may be another user's, which the list shows sooner than ours.
            is_sure = sure and (named or sure[0].prompt is not None or moment == LOOKUPS[-1])
            if is_sure and (known := self._adopted(entry, sure[0])):
                self._report.note(f"found: the create made task {sure[0].task_id}")
                return sure[0], known
        if found := self._settled_elsewhere(entry):
            return found
        raise self._unknown(entry, error.message, candidates, error.request_id)

    async def _fresh_list(self, since: float, limit: float) -> Listing | None:
        """The list; None where it is not read within `limit` seconds, or a cache made it over `since` seconds ago."""
        try:
            async with asyncio.timeout(limit):
                listing = await self.list_now()
        except TimeoutError:
            return None
        return listing if listing and listing.age <= since + CACHED else None

    def _settled_elsewhere(self, entry: Entry) -> Found | None:
        """What another airvid found out about this very create meanwhile."""
        now = self._journal.entry(entry.id)
        if now is None or now.task_id is None:
            return None
        raw = {"task_id": now.task_id, "status": now.status, "model": now.model, "created": now.created}
        task = Task.parse(raw | {"expires_at": now.expires_at}, now.task_id)
        return (task, now) if task else None

    # ------------------------------------------------------------------ after a refusal by a limit

    async def at_once(self, entry: Entry, body: dict[str, Any]) -> tuple[Found | None, Listing | None]:
        """The task that a POST refused just now made all the same, if the list shows it; and the list."""
        listing = await self.list_now()
        found = self.in_listing(listing, entry, body)[0] if listing and listing.age <= CACHED else None
        return found, listing

    async def new_alike(self, entry: Entry, body: dict[str, Any]) -> str | None:
        """The id of a new task with the same prompt as the refused POST; None where the list shows none within SOON.

        Another machine with the same key may have made it: it is named and not adopted.
        """
        if (listing := await self._fresh_list(0.0, SOON)) is None:
            return None
        found = self._fitting(listing, entry, body, needs_prompt=True, at_any_time=True)
        return next((task.task_id for task in found if task.prompt is not None), None)

    def in_listing(
        self, listing: Listing, entry: Entry, body: dict[str, Any], refused_at: float | None = None
    ) -> tuple[Found | None, list[Task]]:
        """The task that a refused create surely made, and all it can have made.

        `refused_at` (by our clock) is None for a listing that was asked for at once: a task that was not there before
        was made just now, whatever a clock says. Later, tasks of other machines have to be told apart by their time.
        """
        candidates = self._fitting(listing, entry, body, needs_prompt=False, at_any_time=refused_at is None)
        if refused_at is not None:
            latest = self._server_time(refused_at) + SENT_WINDOW[0]
            candidates = [each for each in candidates if each.created is None or each.created <= latest]
        is_sure = len(candidates) == 1 and candidates[0].prompt is not None
        if is_sure and (known := self._adopted(entry, candidates[0])):
            self._report.note(f"found: the create made task {candidates[0].task_id} although it was refused")
            return (candidates[0], known), candidates
        return None, candidates

    async def after_refusal(self, entry: Entry, body: dict[str, Any], refused_at: float) -> Found | None:
        """The task that a refused create made all the same; None once a fresh list shows none that fits.

        `refused_at` is by our clock, Unix seconds. Raises: UnknownFateError where the list cannot be read, or where
        a task in it may be this create's or another's.
        """
        began = clock.elapsed()
        candidates: list[Task] | None = None
        while True:
            pause = UNREADABLE_PAUSE
            if found := self._settled_elsewhere(entry):
                return found
            try:
                listing = await self._api.tasks(patience=0)
            except LimitedError as error:
                await self._pause(max(error.retry_after or 0.0, UNREADABLE_PAUSE))
                continue
            except UnavailableError as error:
                pause = max(error.retry_after or 0.0, UNREADABLE_PAUSE)
            except AirvidError:
                pass  # it is refused: that may pass, too
            else:
                if listing.age <= clock.elapsed() - began + CACHED:
                    found, candidates = self.in_listing(listing, entry, body, refused_at)
                    if not found and not candidates:
                        self.learn(listing)  # the next POST can have made none of these
                    if found or not candidates:
                        return found
                    pause = RIVAL_PAUSE  # it may be another create's, which writes down its id in a moment
            if clock.elapsed() - began + pause > REFUSED_LIMIT:
                raise self._unknown(entry, "the create was refused, but a task may have been made", candidates)
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        await clock.sleep(seconds)
        self._journal.mark_awake()

    # ------------------------------------------------------------------ what both share

    def _fitting(
        self,
        listing: Listing,
        entry: Entry,
        body: dict[str, Any],
        *,
        needs_prompt: bool,
        at_any_time: bool = False,
    ) -> list[Task]:
        """What `matches` finds, by the clock of the listing, which may show that `present` is unknown."""
        self._learn_clock(listing)
        entry = entry._replace(sent_at=self._server_time(self._sent_at))
        return matches(
            listing,
            self._journal,
            entry,
            body,
            self.present,
            needs_prompt=needs_prompt,
            at_any_time=at_any_time and self.present is not None,
        )

    def _learn_clock(self, listing: Listing) -> None:
        """Learn how far the server's clock is from ours.

        Where it is further ahead than an earlier listing told, a cache had answered then: which tasks there were before
        is unknown.
        """
        if listing.server_time is None or listing.age > LOOKUPS[-1] + CACHED:
            return
        offset = listing.server_time + listing.age - clock.now()
        if self._clock_offset is None:
            self._clock_offset = offset
        elif offset - self._clock_offset > CACHED:
            self._clock_offset, self.present = offset, None

    def _server_time(self, moment: float) -> float:
        return moment + (self._clock_offset or 0.0)

    def _adopted(self, entry: Entry, task: Task) -> Entry | None:
        try:
            known = self._journal.adopt(entry, task)
        except FileError as error:
            self._report.warn(error.message)  # what cannot be claimed for good is not claimed at all
            return None
        if known:
            self._is_present_now(task)
        return known

    def _is_present_now(self, task: Task) -> None:
        """No later create can have made it."""
        if self.present is not None:
            self.present.add(task.task_id)

    def _unknown(
        self, entry: Entry, why: str, candidates: Sequence[Task] | None, request_id: str | None = None
    ) -> UnknownFateError:
        """Write down that a create's fate is unknown. `candidates` None: the list could not be read."""
        ids = [task.task_id for task in candidates or ()]
        self._journal.mark_unknown(entry, why, ids)
        likely = "the task list could not be read" if candidates is None else _likely(ids)
        return UnknownFateError(
            f"{why}; whether a task was made is unknown{': ' if ids else ', '}{likely}",
            candidates=ids,
            request_id=request_id,
            hint=UNKNOWN_FATE_HINT,
        )


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
                f"whether an earlier create made a task is unknown: {_likely(ids)};"
                " airvid list --local --status unknown"
            )


def surely_unmade(listing: Listing, journal: Journal, entry: Entry) -> bool:
    """Whether the POST of an entry surely made no task; the process that sent it has ended.

    That holds where the list is fresh, is newer than the last moment at which the POST can have made a task, reaches
    back to before the POST, shows all tasks that are known of that time, and has no task that fits. A task that leaves
    facts out may fit. A list without any task tells nothing: some servers answer so when they fail.
    """
    if entry.sent_at is None or listing.server_time is None or listing.age > CACHED:
        return False
    if not entry.sent_at + SENT_WINDOW[1] < listing.server_time < entry.sent_at + KEPT_SECONDS:
        return False
    reaches_back = len(listing.tasks) < MOST_LISTED or any(
        task.created is not None and task.created < entry.sent_at - SENT_WINDOW[0] for task in listing.tasks
    )
    others = journal.made_between(entry, entry.sent_at - SENT_WINDOW[0], entry.sent_at + SENT_WINDOW[1])
    shown = {task.task_id for task in listing.tasks}
    is_complete = bool(shown) and reaches_back and others <= shown
    return is_complete and not matches(listing, journal, entry, entry.request, set(), at_any_time=True)


def _likely(ids: Sequence[str]) -> str:
    return f"it could be {' or '.join(ids)}" if ids else "the task list shows none that fits"


def matches(
    listing: Listing,
    journal: Journal,
    entry: Entry,
    request: dict[str, Any],
    present: set[str] | None,
    *,
    needs_prompt: bool = True,
    at_any_time: bool = False,
) -> list[Task]:
    """The listed tasks that this entry's POST can have made.

    They are alike in all that both tell, were made in its time, were not there before it, and belong to no other entry.
    Where it is unknown what was there before (`present` None), only a task that tells its time fits, and with
    `needs_prompt` only one that tells its prompt, too. `at_any_time`: their own time does not matter.
    """
    sent_at = entry.sent_at if entry.sent_at is not None else entry.intended_at
    earliest = sent_at - SENT_WINDOW[0]
    own = journal.known_ids(task.task_id for task in listing.tasks)

    def can_be_ours(task: Task) -> bool:
        if task.task_id in own or not task.could_be(request):
            return False
        if present is None and (task.created is None or (needs_prompt and task.prompt is None)):
            return False
        in_time = at_any_time or task.created is None or earliest <= task.created <= sent_at + SENT_WINDOW[1]
        return in_time and task.task_id not in (present or ())

    return [task for task in listing.tasks if can_be_ours(task)]
