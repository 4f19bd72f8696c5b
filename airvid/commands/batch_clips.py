"""One clip of a batch: its state, its POST, its end, its file. Its failure does not stop the other clips."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airvid import clock
from airvid.api.client import Listing
from airvid.api.models import EXPIRED, QUEUED, Task
from airvid.clips import naming, request
from airvid.clips.lookup import matches, surely_unmade
from airvid.clips.manifest import Manifest
from airvid.clips.part_file import OtherVideoError
from airvid.clips.request import Request
from airvid.clips.results import Results
from airvid.clips.rows import DONE, FAILURE, RUNNING, UNKNOWN, RowClip
from airvid.clips.submit import Submitter
from airvid.commands import batch_costs, download, finish, plans
from airvid.commands.finish import Clip
from airvid.errors import (
    AirvidError,
    AuthError,
    ExpiredError,
    FileError,
    InUseError,
    NotFoundError,
    PaymentError,
    TaskFailedError,
    UnavailableError,
    UnknownFateError,
    as_failure,
)
from airvid.journal.entries import Entry
from airvid.journal.journal import SENT_WINDOW
from airvid.session import Session
from airvid.ui.dashboard import Tally
from airvid.ui.progress import Progress, Row
from airvid.ui.submit_report import SubmitReport
from airvid.ui.task_view import TaskView
from airvid.ui.text import length

MOST_DOWNLOADS = 4
# No more creates are sent after so many of unknown fate in one run, or after so many clips in a row that could not be
# saved: the next would probably end alike.
MOST_UNKNOWN, MOST_UNSAVED = 3, 2
# Seconds between two readings of the list for a create of unknown fate, and after SENT_WINDOW until it is given up.
LOOK_EVERY, GIVE_UP = 5.0, 15.0


@dataclass
class Batch:
    """The clips of this run, and what they share.

    `retries`: failed clips are submitted anew; `fail_fast`: a failure stops the submissions. `stopped`: no more are
    submitted; `outcomes` are the errors of the clips that have ended, None for those that are on the disk.
    """

    session: Session
    manifest: Manifest
    results: Results
    clips: Sequence[RowClip]
    listing: Listing | None
    slots: asyncio.Semaphore = field(default_factory=asyncio.Semaphore)
    downloads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_DOWNLOADS))
    submitting: asyncio.Lock = field(default_factory=asyncio.Lock)
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    looked_at: float = float("-inf")
    tally: Tally = field(default_factory=Tally)
    retries: bool = False
    fail_fast: bool = False
    stopped: bool = False
    unknown: int = 0
    unsaved: int = 0
    outcomes: list[AirvidError | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        session = self.session
        self.report = SubmitReport(session.out)
        self.submitter = Submitter(
            session.api(need_key=False), session.journal, self.report, wait_for_slot=True, results=self.results
        )
        if self.listing:
            self.submitter.learn(self.listing)

    async def take_slot(self, clip: RowClip) -> bool:
        """Wait for a free slot; False where the batch was stopped, and the clip is not to be made."""
        await self.slots.acquire()
        if self.stopped and clip.state != RUNNING:
            self.slots.release()
            return False
        return True

    @property
    def running(self) -> int:
        """How many tasks go on."""
        return sum(clip.state == RUNNING for clip in self.clips)

    def hint(self, *options: str) -> str:
        """This command with other options, and without --redo: what that buys is not bought once more."""
        return self.session.same_command(*options, without="--redo")

    def command_to_retry(self) -> str:
        """The command that submits failed rows anew."""
        return self.hint() if self.retries else self.hint("--retry-failed")

    def command_for_rest(self) -> str:
        """The command that goes on after an interruption; --redo only for rows of which nothing was bought."""
        begun = {clip.row.id for clip in self.clips if not clip.again}
        left = dict.fromkeys(clip.row.id for clip in self.clips if clip.row.id not in begun)
        return self.hint(*(word for row in left for word in ("--redo", row)))


async def settle_and_make(
    batch: Batch, clip: RowClip, number: int, progress: Progress, before: asyncio.Task[None] | None
) -> None:
    """Find out what became of an earlier POST, and only then go on with the clip.

    `before` is the asyncio task that makes the clip which this one goes on from.
    """
    try:
        if clip.state == UNKNOWN:
            await _settle(batch, clip)
            clip.again = clip.redo and clip.state in (DONE, FAILURE)  # no task was made
        if before:
            await asyncio.wait([before])
    except UnknownFateError as error:
        if not clip.redo:
            _fail(batch, clip, error)
            return
        clip.again = True
    except Exception as raised:
        _fail(batch, clip, raised)
        return
    if clip.state == FAILURE and not batch.retries:
        _fail(batch, clip, failed_before(batch, clip))
    elif clip.state == DONE:  # by an earlier attempt
        _end_without_work(batch, None)
    elif clip.parent and not clip.parent.is_ready and clip.state != RUNNING:
        if not batch.stopped or clip.parent.state in (DONE, FAILURE):
            why = f"row {clip.label}: not sent, as there is no clip of row {clip.parent.row.id} to go on from"
            batch.tally.left -= batch_costs.total_cents([clip]) or 0
            _fail(batch, clip, TaskFailedError(why))
    elif await batch.take_slot(clip):
        await make(batch, clip, number, progress)


async def _settle(batch: Batch, clip: RowClip) -> None:
    """Wait until the server's list tells what became of a clip's POST. Raises: UnknownFateError, InUseError."""
    session, entry, is_told = batch.session, clip.entry, False
    assert entry
    while True:
        listing = await _look(batch)
        unsettled = {each.id: (each, present) for each, present in session.journal.unsettled(session.service)}
        if entry.id not in unsettled:
            entry = session.journal.entry(entry.id) or entry
            if entry.fate in ("sent", "unknown"):
                raise InUseError(f"another airvid is making row {clip.label} at this moment")
            break
        entry, present = unsettled[entry.id]
        found = matches(listing, session.journal, entry, entry.request, present)
        if len(found) == 1 and (known := session.journal.adopt(entry, found[0])):
            session.out.note(f"found: row {clip.label} is task {known.task_id}")
            entry = known
            break
        if surely_unmade(listing, session.journal, entry):
            await batch.results.note_unmade(entry)
            session.journal.mark_refused(entry, "no task was made: the server's list shows none")
            entry = session.journal.entry(entry.id) or entry
            break
        age = (listing.server_time or clock.now()) - (entry.sent_at or 0.0)
        if not 0 <= age < SENT_WINDOW[1] + GIVE_UP:
            ids = [task.task_id for task in found]
            could_be = f"it could be {' or '.join(ids)}" if ids else "the task list shows none that surely is its own"
            raise UnknownFateError(
                f"whether a task was made is unknown: {could_be}",
                candidates=ids,
                hint=batch.hint("--redo", clip.row.id),
            )
        if not is_told:
            left = length(SENT_WINDOW[1] + GIVE_UP - age)
            session.out.note(f"row {clip.label}: the task list shows within {left} whether an earlier run made a task")
            is_told = True
        await clock.sleep(LOOK_EVERY)
    clip.learn(entry)
    await _note(batch, entry)


async def _look(batch: Batch) -> Listing:
    """The server's list, read once for all clips that need it at about the same time. Raises: AirvidError."""
    async with batch.looking:
        if batch.listing is None or clock.elapsed() - batch.looked_at >= LOOK_EVERY - 1:
            batch.listing, batch.looked_at = await batch.session.api().tasks(), clock.elapsed()
        return batch.listing


async def make(batch: Batch, clip: RowClip, number: int, progress: Progress) -> None:
    """Make one clip in a slot that is taken, and give the slot back when its task has ended. No Exception is raised."""
    tally, began, is_paid_now = batch.tally, clock.elapsed(), clip.state != RUNNING
    made = Clip(number, TaskView(None, clip.entry), was_read=True)
    row = progress.row(clip.label, about=clip.row.plan.asked.prompt or "")
    tally.waiting, tally.running = tally.waiting - 1, tally.running + 1
    with made.keeping_errors():
        try:
            task = await _render(batch, clip, made, row)
        finally:
            batch.slots.release()
        if task:
            made.error = finish.error_of(batch.session, task)
        if task and made.error is None:
            async with batch.downloads:
                await _save(batch, clip, made, task, row)
    tally.running -= 1
    if not made.view.task and made.error is None:  # stopped before its turn
        tally.waiting += 1
        row.drop()
        return
    await _end(batch, clip, made, row, clock.elapsed() - began, is_paid_now=is_paid_now)


async def _render(batch: Batch, clip: RowClip, made: Clip, row: Row) -> Task | None:
    """Follow the clip's task, which is submitted where there is none, to its end; None where the batch was stopped."""
    session, entry = batch.session, clip.entry
    if clip.state == RUNNING and entry:
        clip.row.plan.at = entry.intended_at
        raw = {"status": entry.status or QUEUED, "expires_at": entry.expires_at, "created": entry.created}
        made.view = TaskView(Task.parse(raw, entry.task_id), entry)
    elif not await _submit(batch, clip, made, row):
        return None
    finish.name_row(session, made.view, row, about=made.view.prompt or "", label=clip.label)
    try:
        return await finish.end_of(session, made, row)
    except NotFoundError as error:
        session.journal.note_deleted(session.service, made.view.task_id)
        if kept := download.remembered(session, made.view.task_id):
            made.view = TaskView(kept, made.view.entry)
            return kept
        error.hint = batch.hint("--redo", clip.row.id)
        raise


async def _submit(batch: Batch, clip: RowClip, made: Clip, row: Row) -> bool:
    """Submit one clip, one at a time; False where the batch was stopped meanwhile. Raises: as `Submitter.submit`."""
    session, plan = batch.session, clip.row.plan
    asked = await _with_first_frame(session, clip) if clip.parent else plan.asked
    async with batch.submitting:
        if batch.stopped:
            return False
        body = request.body(asked, clip.row.model)
        if (seed := plan.seed(clip.n)) is not None:
            body["seed"] = seed
        for warning in asked.warnings:
            session.out.warn(f"row {clip.label}: {warning}")
        batch.report.row = row
        row.phase("submitting")
        try:
            entry = session.journal.intend(
                base_url=session.service,
                account=session.account,
                requests=[body],
                targets=[clip.any_place.absolute if plan.name and plan.name.is_known else None],
                estimate_cents=plan.cents,
                budgets=plans.budgets(session),
                key=clip.key,
                attempts=clip.attempts,
                extends=clip.parent.entry.task_id if clip.parent and clip.parent.entry else None,
            )[0]
            made.view = TaskView(None, entry)
            clip.again = False
            try:
                task, entry = await batch.submitter.submit(entry, body)
                made.view, made.is_ours = TaskView(task, entry), True
            finally:
                await _keep_fate(batch, clip, made.view.entry or entry)
        except AirvidError as error:
            if isinstance(error, UnknownFateError) or clip.state == UNKNOWN:
                batch.unknown, error.hint = batch.unknown + 1, batch.hint()
            is_common = isinstance(error, AuthError | PaymentError | UnavailableError | FileError)
            is_own = isinstance(error, UnknownFateError | InUseError) and batch.unknown < MOST_UNKNOWN
            batch.stopped |= is_common and not is_own
            raise
        return True


async def _with_first_frame(session: Session, clip: RowClip) -> Request:
    """The clip's request, with the last frame of the clip that it goes on from. Raises: AirvidError."""
    parent = clip.parent and clip.parent.entry
    assert parent
    assert parent.task_id
    asked = dataclasses.replace(clip.row.plan.asked, image=None, contents={})
    await plans.extend(session, asked, parent.task_id)
    plans.keep_shape(asked, clip.row.model)
    return asked


async def _keep_fate(batch: Batch, clip: RowClip, entry: Entry) -> None:
    """Write down the fate of a POST, also of an interrupted one."""
    batch.session.journal.withdraw([entry])
    if entry.fate != "known":
        entry = batch.session.journal.entry(entry.id) or entry
    clip.learn(entry)
    if entry.sent_at is not None:
        await _note(batch, entry)


async def _note(batch: Batch, entry: Entry, record: dict[str, Any] | None = None) -> None:
    """Note it in the results file. Where that fails, the journal still has it, and the clip is made all the same."""
    try:
        await batch.results.note(entry, record)
    except FileError as error:
        batch.session.out.warn(error.message)


async def _save(batch: Batch, clip: RowClip, made: Clip, task: Task, row: Row) -> None:
    """Bring a completed task's clip to its place. Raises: as `finish.bring`."""
    session, place, replaced = batch.session, clip.place(task.task_id), clip.replaced
    if replaced and replaced != place.absolute:
        place = naming.destination(replaced)
    count = 0
    async with aclosing(finish.bring(session, task, row, place, force=replaced is not None)) as steps:
        async for each in steps:
            # A file of this size that is there is an earlier clip's, which could not be told from this one.
            if not count and await place.size() != each:
                # Written before the file gets its name: after a kill at any moment, the journal knows whose file it is.
                session.journal.note_saving(session.service, task.task_id, place.absolute, each)
                if entry := session.journal.by_task(session.service, [task.task_id]).get(task.task_id):
                    await _note(batch, entry)
            count = each
    made.view = TaskView(task, made.view.entry, str(place), count)


async def _end(batch: Batch, clip: RowClip, made: Clip, row: Row, seconds: float, *, is_paid_now: bool) -> None:
    """Show how a clip has ended, and write down its record. An earlier run may have paid for it."""
    session, tally = batch.session, batch.tally
    if made.view.entry:
        made.view = made.view._replace(entry=session.journal.entry(made.view.entry.id) or made.view.entry)
    record = made.view.record()
    record["airvid"] |= {"row": clip.row.id, "n": clip.n}
    if made.view.entry and made.view.entry.sent_at is not None:
        clip.learn(made.view.entry)
        await _note(batch, made.view.entry, made.view.record())
    cents = batch_costs.total_cents([clip]) or Decimal(0)
    tally.left -= cents if is_paid_now else 0
    if made.error is None:
        tally.done, batch.unsaved = tally.done + 1, 0
        tally.past.append(seconds)
        if is_paid_now:
            tally.spent += cents if made.view.cost_cents is None else Decimal(str(made.view.cost_cents))
    else:
        tally.failed += 1
        batch.unsaved += isinstance(made.error, FileError) and not isinstance(made.error, InUseError | OtherVideoError)
        batch.stopped |= batch.fail_fast or batch.unsaved >= MOST_UNSAVED
    last = finish.last_word(made.view, seconds) if made.error is None else made.error.message
    made.write(row.end, last, is_good=made.error is None)
    if made.error:
        made.error.message = f"row {clip.label}: {last}"
        if clip.state == FAILURE:
            made.error.hint = batch.command_to_retry()
        elif isinstance(made.error, ExpiredError):  # of a task that was charged
            made.error.hint = batch.hint("--redo", clip.row.id)
    session.ended.append(made.view)
    line = [clip.row.id, made.view.task_id, made.view.status, made.view.output]
    made.write(session.out.record, record, None if session.out.shows_both else line)
    batch.outcomes.append(made.outcome)


def failed_before(batch: Batch, clip: RowClip) -> AirvidError:
    entry = clip.entry
    assert entry
    kind = ExpiredError if entry.status == EXPIRED else TaskFailedError
    return kind(
        f"row {clip.label} {entry.status} before{f': {entry.error}' if entry.error else ''}",
        task_id=entry.task_id,
        hint=batch.command_to_retry(),
    )


def _fail(batch: Batch, clip: RowClip, raised: Exception) -> None:
    """End a clip that is not submitted."""
    error = as_failure(raised)
    if not isinstance(error, TaskFailedError | ExpiredError):
        error.message = f"row {clip.label}: {error.message}"
    _end_without_work(batch, error)


def _end_without_work(batch: Batch, error: AirvidError | None) -> None:
    batch.outcomes.append(error)
    batch.tally.waiting -= 1
    batch.tally.done += error is None
    batch.tally.failed += error is not None
