"""One clip's POST, so that it is never paid twice and never lost.

The journal holds each step before it is taken: intended → sent → known, or refused, or unknown. The POST is repeated
only where the server surely did not take it. Where that is unknown, the server's own list decides.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from airvid import clock
from airvid.api import retry
from airvid.api.client import Api, Listing
from airvid.api.http import Attempt
from airvid.api.models import Task
from airvid.clips.lookup import Found, TaskLookup
from airvid.clips.results import Results
from airvid.errors import AirvidError, FileError, LimitedError, UnavailableError, UnknownFateError
from airvid.journal.entries import Entry
from airvid.journal.journal import Journal
from airvid.ui.submit_report import SubmitReport
from airvid.ui.text import length

# Seconds that a signal gives the answer which is already on its way.
GRACE = 5.0
# Seconds between two looks at the creates that wait before this one (in the journal), and at the running tasks (in the
# server's list).
QUEUE_PAUSE, SLOT_PAUSE = 1.0, 5.0
# After so many seconds the POST is tried again although the list shows as many running tasks as before.
LONGEST_SLOT_WAIT = 60.0
# The HTTP status of a create that conflicts with something.
CONFLICT = 409
# Refusals after which some servers have made the task all the same: the list is looked at.
UNSURE_REFUSALS = (400, 402, 422)
# After so many refusals that only sound like a limit, with nothing running, one is a refusal for good.
GUESSES = 3


class Submitter:
    """Submits one clip at a time."""

    def __init__(
        self,
        api: Api,
        journal: Journal,
        report: SubmitReport,
        *,
        wait_for_slot: bool,
        results: Results | None = None,
    ) -> None:
        """`wait_for_slot`: refusals by every limit are waited out; without it only those by a short rate limit.

        `results`: the results file of a batch.
        """
        self._api = api
        self._journal = journal
        self._report = report
        self._wait_for_slot = wait_for_slot
        self._results = results
        self._lookup = TaskLookup(api, journal, report)
        # Seconds that the clip which is being submitted has waited for rate limits.
        self._waited = 0.0
        # Why the last POST was not taken.
        self.trouble: AirvidError | None = None

    def learn(self, listing: Listing) -> None:
        """Remember which tasks there were before."""
        self._lookup.learn(listing)

    async def submit(self, entry: Entry, body: dict[str, Any]) -> Found:
        """The task that `entry` became, in the journal before it is returned.

        Raises: UnknownFateError; the server's refusal; UnavailableError where no connection was made.
        """
        self._waited, self.trouble = 0.0, None
        if self._wait_for_slot:
            await self._wait_in_line(entry)
        began, attempt = clock.elapsed(), 0
        while True:
            entry = self._journal.mark_sent(entry, self._lookup.begin_post(), self._lookup.present)
            await self._note_in_results(entry)
            try:
                task = await self._post(entry, body)
                return task, self._lookup.record(entry, task)
            except LimitedError as error:
                if found := await self._wait_for_limit(entry, body, error, attempt):
                    return found
                began = clock.elapsed()
            except UnknownFateError:
                raise
            except UnavailableError as error:
                self.trouble = error
                if error.sent:
                    return await self._lookup.after_ambiguous(entry, body, error)
                await self._wait_for_connection(entry, error, attempt, clock.elapsed() - began)
            except AirvidError as error:
                # A conflict can be with the very task that this POST made.
                if error.http_status == CONFLICT and (found := (await self._lookup.at_once(entry, body))[0]):
                    return found
                # The entry stays one of a POST that left until the list has told: a batch must not send it again.
                is_unsure = error.http_status in UNSURE_REFUSALS
                if is_unsure and (alike := await self._lookup.new_alike(entry, body)):
                    self._journal.mark_unknown(entry, error.message, [alike])
                    error.message += f"; but the task list shows {alike}, which this create may have made"
                    error.hint = f"airvid watch {alike}, before you create it again"
                else:
                    self._journal.mark_refused(entry, error.message)
                raise
            except Exception as bug:
                # The POST may have left, whatever failed then.
                failure = UnavailableError(f"{type(bug).__name__}: {bug}")
                return await self._lookup.after_ambiguous(entry, body, failure)
            attempt += 1

    async def _note_in_results(self, entry: Entry) -> None:
        """Note the POST in the results file before it is sent. Where that fails or is interrupted, it is not sent."""
        try:
            if self._results:
                await self._results.note(entry)
        except (FileError, asyncio.CancelledError) as error:
            self._journal.mark_refused(entry, str(error) or "it was interrupted before it was sent")
            raise

    async def _post(self, entry: Entry, body: dict[str, Any]) -> Task:
        """One POST. A signal waits a moment for its answer, so that no paid id is thrown away."""
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
                    pass  # a time limit beside the signal, say: the answer has its time all the same
            self._keep_answer(entry, post)
            raise

    def _keep_answer(self, entry: Entry, post: asyncio.Future[Task]) -> None:
        """Write down what an interrupted POST came to."""
        if not post.done() or post.cancelled():
            post.cancel()
            self._journal.mark_unknown(entry, "interrupted before the server answered", ())
        elif (error := post.exception()) is None:
            try:
                self._lookup.record(entry, post.result())
                self._report.note(f"the task was made: {post.result().task_id}")
            except UnknownFateError as unknown:
                self._report.note(unknown.message)
        elif isinstance(error, AirvidError) and not (isinstance(error, UnavailableError) and error.sent):
            self._journal.mark_refused(entry, error.message)
        else:
            self._journal.mark_unknown(entry, str(error), ())

    async def _wait_for_connection(self, entry: Entry, error: UnavailableError, attempt: int, spent: float) -> None:
        """Wait before the next attempt at a connection. Raises: the failure itself after UNREACHABLE seconds."""
        self._journal.mark_unsent(entry, in_line=False)
        pause = retry.next_pause(attempt, spent, retry.UNREACHABLE, None, random.random())
        if pause is None or error.is_final:
            self._journal.mark_refused(entry, error.message)
            raise error
        await self._api.http.wait(error.message, pause)

    # ------------------------------------------------------------------ limits

    async def _wait_for_limit(
        self, entry: Entry, body: dict[str, Any], error: LimitedError, attempt: int
    ) -> Found | None:
        """Wait until the limit that refused a POST may have room again.

        The task that the refused POST made all the same, None where the POST can be sent again.
        Raises: the refusal itself, where nothing waits for a slot or where it is none by a limit; UnknownFateError.
        """
        self.trouble = error
        refused_at = clock.now()
        # The entry stays one of a POST that left until the list has told, however the wait is interrupted.
        found, listing = await self._lookup.at_once(entry, body)
        if found:
            return found
        pause = max(error.retry_after or 0.0, min(LONGEST_SLOT_WAIT, SLOT_PAUSE * 2.0 ** min(attempt, 8)))
        self._waited += pause
        if not self._wait_for_slot and (error.concurrency or self._waited > retry.LIMIT_PATIENCE):
            self._journal.mark_refused(entry, error.message)
            error.hint = "--wait waits for its turn"
            raise error
        if listing is not None:
            self._journal.mark_unsent(entry, in_line=self._wait_for_slot)
        await self._wait_for_slot_or_hint(entry, error, attempt, pause, listing)
        if found := await self._lookup.after_refusal(entry, body, refused_at):
            return found
        if (attempt or listing is None) and not error.concurrency:
            # Where the limit is so low that the look in the list used it up, the POST has to wait once more.
            self._report.note("waiting for the rate limit once more: reading the task list counted too")
            await self._pause(error.retry_after or SLOT_PAUSE)
        if self._wait_for_slot:
            await self._wait_in_line(entry)
        return None

    async def _wait_in_line(self, entry: Entry) -> None:
        """Wait until no create of this user, in any process, has waited for a slot for longer."""
        told = False
        while ahead := self._journal.ahead(entry):
            if not told:
                self._journal.mark_unsent(entry, in_line=True)
                self._report.note(f"waiting for a free slot, with {ahead} more in line before this")
                self._report.waiting()
                told = True
            await self._pause(QUEUE_PAUSE)

    async def _wait_for_slot_or_hint(
        self, entry: Entry, error: LimitedError, attempt: int, pause: float, listing: Listing | None
    ) -> None:
        """Wait for `pause` seconds, and until the server lists one task less than when it refused.

        How many tasks may run at once is unknown. Only the first create in line reads the list.
        Raises: the refusal itself, where it only sounds like a limit and nothing is running.
        """
        most_running = _count_running(listing) if error.concurrency else None
        if error.is_guess and not most_running and attempt >= GUESSES:
            self._journal.mark_refused(entry, error.message)
            raise AirvidError(error.message, request_id=error.request_id)
        what = "a free slot" if error.concurrency else "the rate limit"
        long = error.retry_after and error.retry_after >= retry.TOLD_PAUSE
        after = f"; the server asks to wait {length(error.retry_after or 0.0)}" if long else ""
        self._report.note(f"waiting for {what}; {error.message}{after}")
        self._report.waiting()
        began = clock.elapsed()
        await self._pause(max(error.retry_after or 0.0, SLOT_PAUSE) if most_running else pause)
        while most_running and clock.elapsed() - began < LONGEST_SLOT_WAIT:
            if self._journal.ahead(entry):
                await self._pause(QUEUE_PAUSE)
                continue
            running = _count_running(await self._lookup.list_now())
            if running is not None and running < most_running:
                return
            most_running = max(most_running, running or 0)
            await self._pause(SLOT_PAUSE * (1 + 0.2 * random.random()))

    async def _pause(self, seconds: float) -> None:
        await clock.sleep(seconds)
        self._journal.mark_awake()


def _count_running(listing: Listing | None) -> int | None:
    """How many tasks run; None where the list could not be read."""
    return None if listing is None else sum(not task.is_terminal for task in listing.tasks)
