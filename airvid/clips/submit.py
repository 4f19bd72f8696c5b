"""One clip's POST, so that it is never paid twice and never lost.

The journal has each step before it is taken: intended, then sent, then known, refused or unknown. The POST is repeated
only where the server surely did not take it. Where that is unknown, the server's task list decides; nothing is guessed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from airvid import clock
from airvid.api import retry
from airvid.api.client import Api, Listing
from airvid.api.http import Attempt
from airvid.api.models import Task
from airvid.clips.lookup import UNKNOWN_FATE_HINT, likely, matches
from airvid.errors import AirvidError, FileError, LimitedError, UnavailableError, UnknownFateError
from airvid.journal.entries import Entry
from airvid.journal.journal import SENT_WINDOW, Journal
from airvid.ui.submit_report import SubmitReport

# Seconds that a signal waits for the answer of a POST that is sent.
GRACE = 5.0
# Seconds after a POST of unknown fate at which the list is read: a new task may not be in it at once.
LOOKUPS = (0.5, 2.0, 4.0, 7.0, 11.0, 15.0)
LOOKUP_LIMIT = 10.0
# Seconds between two looks in the journal, for creates that came first; between two looks in the list, for a free slot;
# and after which the POST is sent again although the list shows no free slot.
LINE_PAUSE, SLOT_PAUSE, ROOM_PATIENCE = 1.0, 5.0, 60.0
# So many times a refusal whose words alone speak of a limit is waited out while no task runs; then it is an error.
GUESSES = 3
# A listing that is older than so many seconds was kept by a cache.
CACHED = 5.0


class Submitter:
    """Submits one clip at a time."""

    def __init__(
        self,
        api: Api,
        journal: Journal,
        report: SubmitReport,
        *,
        wait_for_slot: bool,
    ) -> None:
        """`wait_for_slot`: a limit is waited out and not raised."""
        self._api = api
        self._report = report
        self._journal = journal
        self._wait_for_slot = wait_for_slot
        self._present: set[str] | None = None
        self._clock_offset: float | None = None
        # The error of the last POST that was not taken.
        self.trouble: AirvidError | None = None

    def learn(self, listing: Listing) -> None:
        """Learn from a list before the create which tasks there were, and how far the server's clock is from this one.

        A cache's listing says neither: tasks that were made since would pass for new ones.
        """
        if listing.age > CACHED:
            return
        self._present = {task.task_id for task in listing.tasks}
        if listing.server_time is not None:
            self._clock_offset = listing.server_time - clock.now()

    async def submit(self, entry: Entry, body: dict[str, Any]) -> tuple[Task, Entry]:
        """Send the POST: the task that it made, in the journal before this returns.

        Raises: UnknownFateError; the server's refusal; UnavailableError where no connection was made.
        """
        if self._wait_for_slot:
            await self._stand_in_line(entry)
        began, attempt = clock.elapsed(), 0
        while True:
            entry = self._journal.mark_sent(entry, clock.now() + (self._clock_offset or 0.0), self._present)
            try:
                task = await self._post(entry, body)
                return task, self._remember(entry, task)
            except LimitedError as error:
                self.trouble = error
                if found := await self._refused_by_limit(entry, body, error, attempt):
                    return found
                began = clock.elapsed()
            except UnknownFateError:
                raise
            except UnavailableError as error:
                self.trouble = error
                if error.sent:
                    return await self._look_up(entry, body, error)
                self._journal.mark_unsent(entry, in_line=False)
                pause = retry.next_pause(attempt, clock.elapsed() - began, retry.PATIENCE, None, random.random())
                if pause is None or error.is_final:
                    self._journal.mark_refused(entry, error.message)
                    raise
                await clock.sleep(pause)
            except AirvidError as error:
                self._journal.mark_refused(entry, error.message)
                raise
            except Exception as bug:
                # Whatever it was, the POST was sent.
                return await self._look_up(entry, body, UnavailableError(f"{type(bug).__name__}: {bug}"))
            attempt += 1

    async def _refused_by_limit(
        self, entry: Entry, body: dict[str, Any], error: LimitedError, attempt: int
    ) -> tuple[Task, Entry] | None:
        """Wait until the POST can be sent again; the task, where the refused POST made one all the same.

        Raises: the refusal, where it is not waited out; UnknownFateError.
        """
        if not self._wait_for_slot:
            self._journal.mark_refused(entry, error.message)
            error.hint = "--wait waits for its turn"
            raise error
        answered_at = clock.now() + (self._clock_offset or 0.0)
        self._journal.mark_unsent(entry, in_line=True)
        listing = await self._list()
        if listing and (found := self._made(listing, entry, body, answered_at)[0]):
            return found
        await self._await_room(entry, error, attempt, listing)
        if found := await self._made_all_the_same(entry, body, answered_at):
            return found
        if attempt and not error.concurrency:
            # Where the limit is so low that the look in the list used it up, the POST has to wait once more.
            await self._pause(error.retry_after or SLOT_PAUSE)
        await self._stand_in_line(entry)
        return None

    async def _post(self, entry: Entry, body: dict[str, Any]) -> Task:
        """One POST. A signal waits for its answer for GRACE seconds, so that the id of a paid task is not lost."""
        attempt = Attempt()
        post = asyncio.ensure_future(self._api.create(body, attempt))
        try:
            return await asyncio.shield(post)
        except asyncio.CancelledError:
            if not attempt.may_have_left:
                post.cancel()
                await asyncio.wait({post})
            if not attempt.may_have_left:
                self.trouble = UnavailableError("no connection was made", sent=False)
                self._journal.mark_unsent(entry, in_line=False)
                raise
            if not post.done():
                self._report.note(f"waiting up to {GRACE:.0f} s for the answer of a create that is on its way")
            end = clock.elapsed() + GRACE
            while not post.done() and clock.elapsed() < end:
                try:
                    await asyncio.wait({post}, timeout=end - clock.elapsed())
                except asyncio.CancelledError:
                    pass  # for example a time limit after the signal: the answer is waited for all the same
            self._keep_answer(entry, post)
            raise

    def _keep_answer(self, entry: Entry, post: asyncio.Future[Task]) -> None:
        if not post.done() or post.cancelled():
            post.cancel()
            self._journal.mark_unknown(entry, "interrupted before the server answered", ())
        elif (error := post.exception()) is None:
            try:
                self._remember(entry, post.result())
                self._report.note(f"the task was made: {post.result().task_id}")
            except UnknownFateError as unknown:
                self._report.note(unknown.message)
        elif isinstance(error, AirvidError) and not (isinstance(error, UnavailableError) and error.sent):
            self._journal.mark_refused(entry, error.message)
        else:
            self._journal.mark_unknown(entry, str(error), ())

    def _remember(self, entry: Entry, task: Task) -> Entry:
        """Write the answer's task into the journal. Raises: UnknownFateError where the task was there before."""
        if self._present is not None:
            if task.task_id in self._present:
                why = f"the server answered the create with task {task.task_id}, which was there before"
                self._journal.mark_unknown(entry, why, [task.task_id])
                raise UnknownFateError(why, candidates=[task.task_id], hint=UNKNOWN_FATE_HINT)
            self._present.add(task.task_id)
        try:
            return self._journal.mark_known(entry, task)
        except FileError as error:
            # The task is paid for: it is printed and followed all the same.
            self._report.warn(f"task {task.task_id} was made, but {error.message}; keep its id")
            return entry._replace(fate="known", task_id=task.task_id, status=task.status)

    async def _stand_in_line(self, entry: Entry) -> None:
        """Wait until no create of this user, of any process, has waited longer for a slot."""
        told = False
        while ahead := self._journal.ahead(entry):
            if not told:
                self._journal.mark_unsent(entry, in_line=True)
                self._report.note(f"waiting for a free slot, with {ahead} more in line before this")
                self._report.waiting()
                told = True
            await self._pause(LINE_PAUSE)

    async def _await_room(self, entry: Entry, error: LimitedError, attempt: int, listing: Listing | None) -> None:
        """Wait until the limit that refused the POST may allow it.

        At least for as long as the server's hint says. A limit on running tasks allows it when the list shows one task
        less than at the refusal; only the create that has waited longest reads the list.
        Raises: the refusal itself, where it only sounds like a limit and nothing is running.
        """
        busiest = _busy(listing) if error.concurrency else None
        if error.is_guess and not busiest and attempt >= GUESSES:
            self._journal.mark_refused(entry, error.message)
            raise AirvidError(error.message, request_id=error.request_id)
        self._report.note(f"waiting for {'a free slot' if error.concurrency else 'the rate limit'}: {error.message}")
        self._report.waiting()
        began = clock.elapsed()
        longer = min(ROOM_PATIENCE, SLOT_PAUSE * 2.0 ** min(attempt, 8))
        await self._pause(max(error.retry_after or 0.0, SLOT_PAUSE if busiest else longer))
        while busiest and clock.elapsed() - began < ROOM_PATIENCE:
            if self._journal.ahead(entry):
                await self._pause(LINE_PAUSE)
                continue
            busy = _busy(await self._list())
            if busy is not None and busy < busiest:
                return
            busiest = max(busiest, busy or 0)
            await self._pause(SLOT_PAUSE * (1 + 0.2 * random.random()))

    async def _pause(self, seconds: float) -> None:
        await clock.sleep(seconds)
        self._journal.mark_awake()

    async def _list(self) -> Listing | None:
        """The server's list, None where it cannot be read now."""
        try:
            return await self._api.tasks(patience=0)
        except AirvidError:
            return None

    async def _made_all_the_same(
        self, entry: Entry, body: dict[str, Any], answered_at: float
    ) -> tuple[Task, Entry] | None:
        """The task that a refused POST made all the same; None once a fresh list shows none that fits.

        `answered_at`: when it was refused, Unix seconds by the server's clock.
        """
        began = clock.elapsed()
        while True:
            try:
                listing = await self._api.tasks(patience=0)
            except (UnavailableError, LimitedError) as error:
                await self._pause(max(error.retry_after or 0.0, SLOT_PAUSE))
                continue
            if listing.age > clock.elapsed() - began + CACHED:
                await self._pause(SLOT_PAUSE)
                continue
            found, candidates = self._made(listing, entry, body, answered_at)
            if found or not candidates:
                return found
            if clock.elapsed() - began > ROOM_PATIENCE:
                raise self._unknown(entry, "the create was refused, but a task may have been made", candidates)
            await self._pause(LINE_PAUSE)  # another create may have made it, and writes its id in a moment

    def _made(
        self, listing: Listing, entry: Entry, body: dict[str, Any], answered_at: float
    ) -> tuple[tuple[Task, Entry] | None, list[Task]]:
        """The task that a POST refused at `answered_at` surely made, or None; and all tasks that it can have made."""
        fitting = matches(listing, self._journal, entry, body, self._present)
        candidates = [each for each in fitting if each.created is None or each.created <= answered_at + SENT_WINDOW[0]]
        is_sure = len(candidates) == 1 and candidates[0].prompt is not None
        if is_sure and (known := self._adopted(entry, candidates[0])):
            self._report.note(f"found: the create made task {candidates[0].task_id} although it was refused")
            return (self._take(candidates[0]), known), candidates
        return None, candidates

    async def _look_up(self, entry: Entry, body: dict[str, Any], error: UnavailableError) -> tuple[Task, Entry]:
        """Find the task of a POST of unknown fate in the server's list. Raises: UnknownFateError."""
        self._journal.mark_unknown(entry, error.message, ())
        self._report.note(f"{error.message}; looking in the task list for what became of the create")
        failed_at = clock.elapsed()
        candidates: list[Task] | None = None
        for moment in LOOKUPS:
            await clock.sleep(failed_at + moment - clock.elapsed())
            if found := self._settled_elsewhere(entry):
                return found
            if (listing := await self._fresh_list(clock.elapsed() - failed_at)) is None:
                continue
            entry = self._by_its_clock(entry, listing)
            candidates = matches(listing, self._journal, entry, body, self._present)
            named = [task for task in candidates if task.task_id == error.task_id]
            sure = named or (candidates if len(candidates) == 1 else [])
            # A task without a prompt may be another user's; ours may come into the list later.
            is_sure = sure and (named or sure[0].prompt is not None or moment == LOOKUPS[-1])
            if is_sure and (known := self._adopted(entry, sure[0])):
                self._report.note(f"found: the create made task {sure[0].task_id}")
                return self._take(sure[0]), known
        if found := self._settled_elsewhere(entry):
            return found
        raise self._unknown(entry, error.message, candidates, error.request_id)

    def _take(self, task: Task) -> Task:
        """The task, remembered as one that is there before the next create."""
        if self._present is not None:
            self._present.add(task.task_id)
        return task

    def _unknown(
        self, entry: Entry, why: str, candidates: Sequence[Task] | None, request_id: str | None = None
    ) -> UnknownFateError:
        """Write into the journal that the fate of a POST is unknown. `candidates` None: the list could not be read."""
        ids = [task.task_id for task in candidates or ()]
        self._journal.mark_unknown(entry, why, ids)
        found = "the task list could not be read" if candidates is None else likely(ids)
        return UnknownFateError(
            f"{why}; whether a task was made is unknown{': ' if ids else ', '}{found}",
            candidates=ids,
            request_id=request_id,
            hint=UNKNOWN_FATE_HINT,
        )

    async def _fresh_list(self, since: float) -> Listing | None:
        """The list; None where it cannot be read, or was made more than `since` seconds ago."""
        try:
            async with asyncio.timeout(LOOKUP_LIMIT):
                listing = await self._api.tasks(patience=0)
        except (AirvidError, TimeoutError):
            return None
        return listing if listing.age <= since + CACHED else None

    def _by_its_clock(self, entry: Entry, listing: Listing) -> Entry:
        """The entry with the time of its POST by the clock of a listing that is surely fresh.

        Where that clock is ahead of what an earlier listing told, a cache had answered then: which tasks there were
        before is unknown.
        """
        if listing.server_time is None:
            return entry
        offset = listing.server_time - clock.now()
        if self._clock_offset is not None and offset - self._clock_offset <= CACHED:
            return entry
        if self._clock_offset is not None:
            self._present = None
        before, self._clock_offset = self._clock_offset or 0.0, offset
        return entry._replace(sent_at=(entry.sent_at or entry.intended_at) + offset - before)

    def _settled_elsewhere(self, entry: Entry) -> tuple[Task, Entry] | None:
        """The task, where another process has found it for this create meanwhile."""
        now = self._journal.entry(entry.id)
        if now is None or now.task_id is None:
            return None
        raw = {"task_id": now.task_id, "status": now.status, "model": now.model, "created": now.created}
        task = Task.parse(raw | {"expires_at": now.expires_at}, now.task_id)
        return (task, now) if task else None

    def _adopted(self, entry: Entry, task: Task) -> Entry | None:
        try:
            return self._journal.adopt(entry, task)
        except FileError as error:
            self._report.warn(error.message)  # a task is only taken where the journal can say so
            return None


def _busy(listing: Listing | None) -> int | None:
    """How many tasks run; None where the list could not be read."""
    return None if listing is None else sum(not task.is_terminal for task in listing.tasks)
