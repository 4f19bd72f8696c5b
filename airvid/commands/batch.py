"""airvid batch: the clips of a manifest, some at a time, however often it is interrupted.

In this order: read and check all rows, learn what has become of each clip, show the plan, make the clips side by side.
Each clip goes through the parts that `create` uses, and what becomes of it is in the journal and in `results.jsonl`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from airvid import clock, system
from airvid.api.client import Listing
from airvid.api.models import DELETED, EXPIRED, QUEUED, Model, Task
from airvid.clips import download, naming, request
from airvid.clips.lookup import matches, surely_unmade
from airvid.clips.manifest import Manifest
from airvid.clips.plan import check_cost
from airvid.clips.request import collected
from airvid.clips.results import REFUSED, Results
from airvid.clips.rows import DONE, FAILURE, RUNNING, UNKNOWN, RowClip, clips_of, has_file
from airvid.clips.submit import Submitter
from airvid.commands import batch_plan, finish, plans
from airvid.commands.batch_plan import BatchPlan, Checker, Options
from airvid.commands.finish import Clip
from airvid.config import checked
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
    UsageError,
    WaitTimeoutError,
    as_failure,
    settle,
)
from airvid.journal.entries import Entry
from airvid.journal.journal import SENT_WINDOW
from airvid.session import Session
from airvid.ui import dashboard
from airvid.ui.dashboard import Tally
from airvid.ui.progress import Progress, Row
from airvid.ui.submit_report import SubmitReport
from airvid.ui.task_view import TaskView
from airvid.ui.text import money

# Clips that are made, and clips that are downloaded, at a time.
MOST_AT_ONCE, MOST_DOWNLOADS = 4, 4
# After so many creates of unknown fate in one run no more are sent: what befell them would befall the next.
MOST_UNKNOWN = 3
# Seconds between two looks at the list for a create of unknown fate, and after its time until it stays unknown.
LOOK_EVERY, GIVE_UP = 5.0, 15.0


async def run(
    session: Session,
    /,
    *,
    manifest: str,
    image: str | None,
    reference: Sequence[str],
    extra: Sequence[str],
    only: Sequence[str],
    shard: str | None,
    redo: Sequence[str],
    retry_failed: bool,
    fail_fast: bool,
    max_cost: str | None,
    jobs: str | None,
    dry_run: bool,
    yes: bool,
    results: str | None,
    timeout: str | None,
    **given: Any,
) -> None:
    """Make the clips of a manifest. `given`: the options that a row can say too, by their names in config.SETTINGS."""
    written = Manifest(manifest)
    complaints = written.complaints
    at_once, limit = MOST_AT_ONCE, None
    with collected(complaints):
        at_once = MOST_AT_ONCE if jobs is None else checked("jobs", jobs, "--jobs")
        if at_once > MOST_AT_ONCE:
            raise UsageError(f"--jobs {at_once}: at most {MOST_AT_ONCE} clips are made at a time")
    with collected(complaints):
        limit = (checked("timeout", timeout, "--timeout") or None) if timeout is not None else None
    options = Options.read(session, given, image, reference, extra, complaints)
    batch = None
    try:
        async with asyncio.timeout(limit):
            models, listing = await _ask(session, written, dry_run=dry_run)
            batch = _read(session, written, options, models, listing, (only, shard, redo), results)
            plan = _plan(batch, retry_failed=retry_failed, max_cost=max_cost)
            if _agrees(batch, plan, dry_run=dry_run, yes=yes):
                await _make_all(batch, plan, at_once, fail_fast=fail_fast)
    except TimeoutError:
        if batch and batch.tally and batch.tally.running:
            raise WaitTimeoutError("the time was up; what runs goes on", hint=session.same_command()) from None
        raise UnavailableError("the time was up before the server had answered; nothing was sent") from None
    settle(batch.outcomes)


# ---------------------------------------------------------------------- before anything is spent


@dataclass
class _Batch:
    """The clips of this run. `stopped`: no more are submitted; `outcomes` are the errors of clips that have ended."""

    session: Session
    manifest: Manifest
    results: Results
    clips: Sequence[RowClip]
    listing: Listing | None
    submitter: Submitter
    report: SubmitReport
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))
    downloads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_DOWNLOADS))
    submitting: asyncio.Lock = field(default_factory=asyncio.Lock)
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    looked_at: float = float("-inf")
    tally: Tally | None = None
    fail_fast: bool = False
    retries: bool = False
    stopped: bool = False
    unknown: int = 0
    outcomes: list[AirvidError | None] = field(default_factory=list)

    def hint(self, option: str, clip: RowClip) -> str:
        return f"{self.session.same_command()} {option} {clip.row.id}"


async def _ask(session: Session, manifest: Manifest, *, dry_run: bool) -> tuple[list[Model], Listing | None]:
    """The models, and the tasks that there are. Before an error of the server, what is wrong with the manifest."""
    try:
        if dry_run:
            return await session.models(need_key=False), None
        api = session.api()
        models, listing = await asyncio.gather(session.models(), api.tasks())
        return models, listing
    except AirvidError:
        batch_plan.complain_all(manifest.complaints)
        raise


def _read(
    session: Session,
    manifest: Manifest,
    options: Options,
    models: Sequence[Model],
    listing: Listing | None,
    which: tuple[Sequence[str], str | None, Sequence[str]],
    results_file: str | None,
) -> _Batch:
    """The rows of this run, and what has become of each clip by both witnesses. Raises: all complaints at once."""
    complaints = manifest.complaints
    rows = Checker(manifest, options, models).rows()
    only, shard, redo = which
    wanted, again = batch_plan.chosen(rows, only, shard, redo, complaints)
    if listing:
        session.journal.note_task(session.service, *listing.tasks)
    results, entries = None, list[Entry]()
    with collected(complaints):
        path = batch_plan.results_path(manifest, options, results_file)
        folders = {row.plan.name.folder for row in rows if row.plan.name}
        results = Results(path, manifest.identity, folders, is_play=session.is_play)
        entries = _entries(session, results)
    batch_plan.complain_all(complaints)
    assert results
    clips = clips_of(wanted, manifest.identity, entries)
    for clip in clips:
        clip.redo = clip.row.id in again
        clip.again = clip.redo and _is_to_be_bought_again(session, clip)
    batch_plan.check_clips(manifest, clips)
    batch_plan.complain_all(complaints)
    report = SubmitReport(session.out)
    submitter = Submitter(session.api(need_key=False), session.journal, report, wait_for_slot=True, results=results)
    if listing:
        submitter.learn(listing)
    return _Batch(session, manifest, results, clips, listing, submitter, report)


def _entries(session: Session, results: Results) -> list[Entry]:
    """What the journal has of the manifest, after it has learnt what `results.jsonl` knows. Raises: FileError."""
    entries = session.journal.of_manifest(session.service, results.manifest)
    known = {(entry.row, entry.n, entry.intended_at): entry for entry in entries}
    news = []
    for attempt in results.load():
        entry = known.get((attempt.key.row, attempt.key.n, attempt.intended_at))
        if entry and (has_file(entry) or not has_file(attempt)):
            attempt = attempt._replace(file=None, bytes=None)
        knows_less = entry and ((attempt.task_id and not entry.task_id) or attempt.file)
        if attempt.fate != REFUSED and (entry is None or knows_less):
            news.append(attempt)
    if not news:
        return entries
    if wrong := session.journal.take_over(session.service, news):
        raise FileError(
            f"{results.path} says that row {wrong[0].key.row} is task {wrong[0].task_id}, which is another clip's",
            hint="--results FILE keeps the results elsewhere; or remove that line",
        )
    return session.journal.of_manifest(session.service, results.manifest)


def _is_to_be_bought_again(session: Session, clip: RowClip) -> bool:
    """Whether --redo means a new task. What an interrupted run of the same command has begun is picked up instead."""
    entry = clip.entry
    if entry is None or clip.state != RUNNING:
        return clip.state != UNKNOWN
    was_had = entry.saved_at is not None or entry.asked != clip.row.asked or entry.status == DELETED
    return was_had or session.api(need_key=False).is_past(entry.expires_at)


def _plan(batch: _Batch, *, retry_failed: bool, max_cost: str | None) -> BatchPlan:
    """What is left to do. Raises: PaymentError where --max-cost or a budget would be passed."""
    session, complaints = batch.session, list[AirvidError]()
    plan = BatchPlan(batch.manifest.source, batch.clips, retries=retry_failed)
    total = plan.left_cents
    with collected(complaints):
        check_cost(session.settings.choose("max-cost", max_cost), total if total is None else float(total))
    if budgets := plans.budgets(session) if plan.left else {}:
        with collected(complaints):
            session.journal.check_budgets(budgets, total if total is None else float(total), 1)
    batch_plan.complain_all(complaints)
    return plan


def _agrees(batch: _Batch, plan: BatchPlan, *, dry_run: bool, yes: bool) -> bool:
    """Show the plan, and ask on a terminal; whether the clips are to be made."""
    out = batch.session.out
    if dry_run:
        if out.as_json:
            out.emit({"plan": plan.record()})
        for line in plan.lines() if not out.as_json else ():
            out.line(line)
        return False
    for line in plan.lines():
        out.note(line)
    if not yes and plan.left and batch.manifest.source != "-" and sys.stdin.isatty() and out.stderr.isatty():
        many = "1 clip" if len(plan.left) == 1 else f"{len(plan.left)} clips"
        if not out.confirm(f"Make {many} for {money(plan.left_cents)}? [y/N] "):
            raise AirvidError("nothing was sent")
    return True


# ---------------------------------------------------------------------- run


async def _make_all(batch: _Batch, plan: BatchPlan, at_once: int, *, fail_fast: bool) -> None:
    """Make the clips side by side. What each ended with is in `batch.outcomes`."""
    session = batch.session
    to_run = [*plan.of(RUNNING), *plan.of(UNKNOWN), *plan.new]
    batch.slots, batch.fail_fast = asyncio.Semaphore(at_once), fail_fast
    batch.outcomes = [None] * len(plan.of(DONE))
    batch.outcomes += [_failed_before(batch, clip) for clip in plan.failed]
    batch.retries = plan.retries
    tally = batch.tally = Tally(len(batch.clips), at_once, len(plan.of(DONE)), len(plan.failed))
    tally.waiting, tally.left = len(to_run), plan.left_cents or Decimal(0)
    for model in {str(clip.row.plan.body["model"]) for clip in to_run}:
        tally.past += session.journal.past_seconds(session.service, model)
    for clip in plan.of(DONE):
        _note_saved(batch, clip)
    try:
        if to_run:
            _claim(batch, to_run)
            with dashboard.choose(session.out, tally) as progress:
                async with asyncio.TaskGroup() as group:
                    await _begin_all(batch, to_run, group, progress)
    except asyncio.CancelledError:
        _tell_how_to_go_on(batch)
        raise
    finally:
        order = {(clip.row.id, clip.n): place for place, clip in enumerate(batch.clips)}
        batch.results.rewrite(lambda row, n: (order.get((row, n), len(order)), row, n))
    if batch.stopped and tally.waiting:
        session.out.note(f"{tally.waiting} more {'clips were' if tally.waiting > 1 else 'clip was'} not submitted")


def _claim(batch: _Batch, clips: Sequence[RowClip]) -> None:
    """See that the files can be written, before a clip is paid. Raises: FileError."""
    system.check_thread()
    for folder in {batch.results.path.parent, *(clip.folder for clip in clips)}:
        download.claim(folder / "clip.mp4")


async def _begin_all(batch: _Batch, clips: Sequence[RowClip], group: asyncio.TaskGroup, progress: Progress) -> None:
    """Begin one clip whenever a slot is free."""
    for number, clip in enumerate(clips, 1):
        if clip.state == UNKNOWN:
            group.create_task(_settle_and_make(batch, clip, number, progress))
            continue
        await batch.slots.acquire()
        if batch.stopped and clip.state != RUNNING:
            batch.slots.release()
            continue
        group.create_task(_make(batch, clip, number, progress))


async def _settle_and_make(batch: _Batch, clip: RowClip, number: int, progress: Progress) -> None:
    """Find out what became of an earlier POST, and only then go on with the clip."""
    try:
        await _settle(batch, clip)
    except UnknownFateError as error:
        if not clip.redo:
            _fail(batch, clip, error)
            return
        clip.again = True
    except Exception as raised:
        _fail(batch, clip, raised)
        return
    if clip.state == FAILURE and not batch.retries:
        _fail(batch, clip, _failed_before(batch, clip))
        return
    if clip.state == DONE:  # by an earlier attempt
        _end_without_work(batch, None)
        return
    await batch.slots.acquire()
    if batch.stopped and clip.state != RUNNING:
        batch.slots.release()
        return
    await _make(batch, clip, number, progress)


async def _settle(batch: _Batch, clip: RowClip) -> None:
    """Wait until the server's list tells what became of a clip's POST. Raises: UnknownFateError, InUseError."""
    session, entry = batch.session, clip.entry
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
            session.journal.mark_refused(entry, "no task was made: the server's list shows none")
            entry = session.journal.entry(entry.id) or entry
            break
        age = (listing.server_time or clock.now()) - (entry.sent_at or 0.0)
        if not 0 <= age < SENT_WINDOW[1] + GIVE_UP:
            ids = [task.task_id for task in found]
            could_be = f"it could be {' or '.join(ids)}" if ids else "the task list shows none that surely is its own"
            raise UnknownFateError(
                f"whether a task was made is unknown: {could_be}", candidates=ids, hint=batch.hint("--redo", clip)
            )
        await clock.sleep(LOOK_EVERY)
    clip.learn(entry)
    _note(batch, entry)


async def _look(batch: _Batch) -> Listing:
    """The server's list, read for all that ask at about the same time. Raises: AirvidError."""
    async with batch.looking:
        if batch.listing is None or clock.elapsed() - batch.looked_at >= LOOK_EVERY - 1:
            batch.listing, batch.looked_at = await batch.session.api().tasks(), clock.elapsed()
        return batch.listing


async def _make(batch: _Batch, clip: RowClip, number: int, progress: Progress) -> None:
    """Make one clip in a slot that is taken, and give the slot back when its task has ended. No Exception is raised."""
    tally, began = batch.tally, clock.elapsed()
    assert tally
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
    _end(batch, clip, made, row, clock.elapsed() - began)


async def _render(batch: _Batch, clip: RowClip, made: Clip, row: Row) -> Task | None:
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
        async with aclosing(finish.follow(session, made, row)) as changes:
            async for _ in changes:
                pass
    except NotFoundError as error:
        if made.view.entry and made.view.task:
            session.journal.note_deleted(session.service, made.view.task_id)
        error.hint = batch.hint("--redo", clip)
        raise
    return made.view.task


async def _submit(batch: _Batch, clip: RowClip, made: Clip, row: Row) -> bool:
    """Submit one clip, one at a time; False where the batch was stopped meanwhile. Raises: as `Submitter.submit`."""
    session, plan = batch.session, clip.row.plan
    async with batch.submitting:
        if batch.stopped:
            return False
        body = request.body(plan.asked, clip.row.model)
        if isinstance(seed := body.get("seed"), int):
            body["seed"] = seed + clip.n - 1
        batch.report.row = row
        row.phase("submitting")
        try:
            entry = session.journal.intend(
                base_url=session.service,
                request=body,
                targets=[str(clip.path(""))] if plan.name and plan.name.is_known else [None],
                estimate_cents=plan.cents,
                budgets=plans.budgets(session),
                key=clip.key,
                attempts=clip.attempts,
            )[0]
            made.view = TaskView(None, entry)
            clip.again = False
            try:
                task, entry = await batch.submitter.submit(entry, body)
                made.view, made.is_ours = TaskView(task, entry), True
            finally:
                _keep_fate(batch, clip, made.view.entry or entry)
        except AirvidError as error:
            batch.unknown += isinstance(error, UnknownFateError)
            is_common = isinstance(error, AuthError | PaymentError | UnavailableError | FileError)
            is_own = isinstance(error, UnknownFateError | InUseError) and batch.unknown < MOST_UNKNOWN
            batch.stopped |= is_common and not is_own
            raise
        return True


def _keep_fate(batch: _Batch, clip: RowClip, entry: Entry) -> None:
    """Write down what a POST came to, also when it was interrupted."""
    batch.session.journal.withdraw([entry])
    if entry.fate != "known":
        entry = batch.session.journal.entry(entry.id) or entry
    clip.learn(entry)
    if entry.sent_at is not None:
        _note(batch, entry)


def _note(batch: _Batch, entry: Entry, record: dict[str, Any] | None = None) -> None:
    """Tell the second witness. Where that fails, the journal still knows, and the clip is made all the same."""
    try:
        batch.results.note(entry, record)
    except FileError as error:
        batch.session.out.warn(error.message)


async def _save(batch: _Batch, clip: RowClip, made: Clip, task: Task, row: Row) -> None:
    """Bring a completed task's clip to its file. Raises: as `finish.receive`; FileError."""
    session, replaced = batch.session, clip.replaced
    path = clip.path(task.task_id)
    if replaced and replaced != path.absolute():
        path = replaced
    naming.check(path, force=replaced is not None)
    async with aclosing(finish.receive(session, task, path, row, force=replaced is not None)) as steps:
        async for received in steps:
            if received.is_whole:
                # Known before the file has its name: whenever the program is killed, that file is this clip's.
                session.journal.note_saving(session.service, task.task_id, path, received.done)
                if entry := session.journal.by_task(session.service, [task.task_id]).get(task.task_id):
                    _note(batch, entry)
    size = path.stat().st_size
    session.journal.note_saved(session.service, task.task_id, path, size)
    made.view = TaskView(task, made.view.entry, str(path), size)


def _note_saved(batch: _Batch, clip: RowClip) -> None:
    """Complete what is written of a clip on the disk: a run was killed as it got its name, or a line is gone."""
    session, entry = batch.session, clip.entry
    assert entry
    if entry.saved_at is None and entry.task_id:
        session.journal.note_saved(session.service, entry.task_id, Path(str(entry.file)), entry.bytes or 0)
        entry = session.journal.entry(entry.id) or entry
        clip.learn(entry)
    if not batch.results.has_end_of(entry):
        batch.results.remember(entry, TaskView(None, entry).record())


def _end(batch: _Batch, clip: RowClip, made: Clip, row: Row, seconds: float) -> None:
    """Tell of a clip that has ended, and write down its record."""
    session, tally = batch.session, batch.tally
    assert tally
    if made.view.entry:
        made.view = made.view._replace(entry=session.journal.entry(made.view.entry.id) or made.view.entry)
    record = made.view.record()
    record["airvid"] |= {"row": clip.row.id, "n": clip.n}
    if made.view.entry and made.view.entry.sent_at is not None:
        clip.learn(made.view.entry)
        _note(batch, made.view.entry, made.view.record())
    cents = batch_plan.total_cents([clip]) or Decimal(0)
    tally.left -= cents
    if made.error is None:
        tally.done += 1
        tally.spent += cents if made.view.cost_cents is None else Decimal(str(made.view.cost_cents))
    else:
        tally.failed += 1
        batch.stopped |= batch.fail_fast
        made.error.message = f"row {clip.label}: {made.error.message}"
    made.write(
        row.end,
        finish.last_word(made.view, seconds) if made.error is None else made.error.message,
        is_good=made.error is None,
    )
    made.write(session.out.record, record, [clip.row.id, made.view.task_id, made.view.status, made.view.output])
    batch.outcomes.append(made.outcome)


def _failed_before(batch: _Batch, clip: RowClip) -> AirvidError:
    entry = clip.entry
    assert entry
    kind = ExpiredError if entry.status == EXPIRED else TaskFailedError
    return kind(
        f"row {clip.label} {entry.status} before{f': {entry.error}' if entry.error else ''}",
        task_id=entry.task_id,
        hint=f"{batch.session.same_command()} --retry-failed",
    )


def _fail(batch: _Batch, clip: RowClip, raised: Exception) -> None:
    """End a clip whose earlier POST could not be settled."""
    error = as_failure(raised)
    if not isinstance(error, TaskFailedError | ExpiredError):
        error.message = f"row {clip.label}: {error.message}"
    _end_without_work(batch, error)


def _end_without_work(batch: _Batch, error: AirvidError | None) -> None:
    batch.outcomes.append(error)
    assert batch.tally
    batch.tally.waiting -= 1
    batch.tally.done, batch.tally.failed = batch.tally.done + (error is None), batch.tally.failed + (error is not None)


def _tell_how_to_go_on(batch: _Batch) -> None:
    running = batch.tally.running if batch.tally else 0
    goes_on = f"{running} task{' goes' if running == 1 else 's go'} on; " if running else ""
    batch.session.out.note(f"{goes_on}to pick it up: {batch.session.same_command()}")
