"""airvid batch: make the clips of a manifest, several at once. An interrupted batch is run again and goes on.

In this order: read and check all rows, learn what has become of each clip, show the plan, make the clips side by side.
The functions of `create` make each clip. The journal and `results.jsonl` have its state.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from airvid import system
from airvid.api.client import Listing
from airvid.api.models import DELETED, Model
from airvid.clips import part_file
from airvid.clips.manifest import Manifest
from airvid.clips.plan import check_cost
from airvid.clips.request import collected
from airvid.clips.results import REFUSED, Results
from airvid.clips.rows import DONE, RUNNING, UNKNOWN, RowClip, clips_of, has_file
from airvid.clips.stored_results import results_at
from airvid.commands import batch_plan, common, plans
from airvid.commands import join as joining
from airvid.commands.batch_clips import Batch, failed_before, make, settle_and_make
from airvid.commands.batch_costs import BatchPlan
from airvid.commands.batch_plan import Checker, Options
from airvid.commands.join import Film
from airvid.config import checked
from airvid.destinations.cloud import CloudObject, is_url
from airvid.errors import (
    AirvidError,
    FileError,
    UsageError,
    WaitTimeoutError,
    settle,
)
from airvid.journal.entries import Entry
from airvid.session import Session
from airvid.ui import dashboard
from airvid.ui.dashboard import Tally
from airvid.ui.progress import Progress
from airvid.ui.task_view import TaskView
from airvid.ui.text import counted, money

# Clips that are made at a time.
MOST_AT_ONCE = 4
# Objects in a store that are checked side by side.
_LOOKS_AT_ONCE = 8


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
    join: str | None,
    timeout: str | None,
    **given: Any,
) -> None:
    """Make the clips of a manifest. `given`: the options that a row can say too, by their names in config.SETTINGS."""
    written = Manifest(os.path.expanduser(manifest))
    at_once, limit = _bounds(jobs, timeout, written.complaints)
    options = Options.read(session, given, image, reference, extra, written.complaints)
    film = await _film(join, written.complaints, is_part=bool(only or shard))
    batch = None
    try:
        async with asyncio.timeout(limit):
            batch = await _read(session, written, options, (only, shard, redo), results, dry_run=dry_run)
            if film:
                _check_film(film, batch)
            plan = _plan(batch, retry_failed=retry_failed, max_cost=max_cost)
            if _agrees(batch, plan, dry_run=dry_run, yes=yes):
                await _make_all(batch, plan, at_once, film, fail_fast=fail_fast)
    except asyncio.CancelledError:
        _tell_how_to_go_on(session, batch)
        raise
    except TimeoutError:
        raise _time_up(session, batch) from None
    settle(batch.outcomes)


def _bounds(jobs: str | None, timeout: str | None, complaints: list[AirvidError]) -> tuple[int, float | None]:
    """How many clips are made at a time, and within how many seconds; None for no limit."""
    at_once, limit = MOST_AT_ONCE, None
    with collected(complaints):
        at_once = _jobs(jobs)
    with collected(complaints):
        limit = common.time_limit(timeout)
    return at_once, limit


def _jobs(given: str | None) -> int:
    """Raises: UsageError."""
    found = int(checked("jobs", given, "--jobs")) if given is not None else MOST_AT_ONCE
    if found > MOST_AT_ONCE:
        raise UsageError(f"--jobs {found}: at most {MOST_AT_ONCE} clips are made at a time")
    return found


async def _film(join: str | None, complaints: list[AirvidError], *, is_part: bool) -> Film | None:
    """The film of --join; None without the option. `is_part`: rows are left out."""
    if join is not None:
        with collected(complaints):
            if is_part:
                raise UsageError("--join joins the clips of all rows, and contradicts --only and --shard")
            return await joining.of_batch(join)
    return None


def _check_film(film: Film, batch: Batch) -> None:
    """See that the film would replace no clip and not the results. Raises: UsageError."""
    taken = {batch.results.place.absolute, *(clip.any_place.absolute for clip in batch.clips)}
    if film.place.absolute.casefold() in {each.casefold() for each in taken}:
        raise UsageError(f"--join {film.place}: a clip or the results go there", hint="--join FILE, another one")


# ---------------------------------------------------------------------- before anything is spent


async def _ask(session: Session, manifest: Manifest, *, dry_run: bool) -> tuple[list[Model], Listing | None]:
    """The models and the server's tasks. Where the server fails, complaints about the manifest are raised first."""
    try:
        if dry_run:
            return await session.models(need_key=False), None
        api = session.api()
        models, listing = await asyncio.gather(session.models(), api.tasks())
        return models, listing
    except AirvidError:
        batch_plan.complain_all(manifest.complaints)
        raise


async def _read(
    session: Session,
    manifest: Manifest,
    options: Options,
    which: tuple[Sequence[str], str | None, Sequence[str]],
    results_file: str | None,
    *,
    dry_run: bool,
) -> Batch:
    """The rows of this run, and what has become of each clip by the journal, the results file and the server.

    `which`: the values of --only, --shard and --redo. Raises: all complaints at once.
    """
    models, listing = await _ask(session, manifest, dry_run=dry_run)
    complaints = manifest.complaints
    rows = Checker(manifest, options, models).rows()
    only, shard, redo = which
    wanted, again = batch_plan.chosen(rows, only, shard, redo, complaints)
    if listing:
        session.journal.note_task(session.service, *listing.tasks)
    results, entries = None, list[Entry]()
    with collected(complaints):
        place = batch_plan.results_place(manifest, options, results_file)
        names = {row.plan.name for row in rows if row.plan.name}
        folders = {os.path.dirname(name.any_destination().absolute) for name in names}
        results = results_at(place, manifest.identity, folders, is_play=session.is_play)
        entries = await _present(session, await _entries(session, results, {row.id for row in rows}))
    batch_plan.complain_all(complaints)
    assert results
    clips = clips_of(wanted, manifest.identity, entries)
    for clip in clips:
        clip.redo = clip.row.id in again
        clip.again = clip.redo and _is_to_be_bought_again(session, clip)
    await batch_plan.check_clips(manifest, clips)
    batch_plan.complain_all(complaints)
    return Batch(session, manifest, results, clips, listing)


async def _present(session: Session, entries: Sequence[Entry]) -> list[Entry]:
    """The entries. One whose object in a store is missing or has changed counts as not saved.

    An object that was sent whole counts as saved, also where the run was killed before it wrote that down.
    """
    slots = asyncio.Semaphore(_LOOKS_AT_ONCE)

    async def looked_at(entry: Entry) -> Entry:
        if not entry.task_id or not entry.file or not is_url(entry.file):
            return entry
        async with slots:
            is_there = await CloudObject(entry.file).size() == entry.bytes
        if is_there and entry.saved_at is None:
            session.journal.note_saved(session.service, entry.task_id, entry.file, entry.bytes or 0)
            entry = session.journal.entry(entry.id) or entry
        return entry if is_there else entry._replace(file=None, bytes=None, saved_at=None)

    return await asyncio.gather(*map(looked_at, entries))


async def _entries(session: Session, results: Results, rows: set[str]) -> list[Entry]:
    """The journal's entries for the manifest, with those of `results.jsonl` for `rows` added. Raises: FileError."""
    entries = session.journal.of_manifest(session.service, results.manifest)
    known = {(entry.row, entry.n, entry.intended_at): entry for entry in entries}
    news = []
    for attempt in await results.load():
        entry = known.get((attempt.key.row, attempt.key.n, attempt.intended_at))
        if entry and (has_file(entry) or not has_file(attempt)):
            attempt = attempt._replace(file=None, bytes=None)
        knows_less = entry and ((attempt.task_id and not entry.task_id) or attempt.file)
        if attempt.key.row in rows and attempt.fate != REFUSED and (entry is None or knows_less):
            news.append(attempt)
    if not news:
        return entries
    if wrong := session.journal.take_over(session.service, news):
        raise FileError(
            f"{results.place} says that row {wrong[0].key.row} is task {wrong[0].task_id}, which is another clip's",
            hint=f"{session.command('status', str(wrong[0].task_id))}; --results FILE keeps the results elsewhere",
        )
    return session.journal.of_manifest(session.service, results.manifest)


def _is_to_be_bought_again(session: Session, clip: RowClip) -> bool:
    """Whether --redo means a new task. A task that an interrupted run of this command began is picked up instead."""
    entry = clip.entry
    if entry is None or clip.state != RUNNING:
        return clip.state != UNKNOWN
    was_had = entry.saved_at is not None or entry.asked != clip.row.asked or entry.status == DELETED
    return was_had or session.api(need_key=False).is_past(entry.expires_at)


def _plan(batch: Batch, *, retry_failed: bool, max_cost: str | None) -> BatchPlan:
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


def _agrees(batch: Batch, plan: BatchPlan, *, dry_run: bool, yes: bool) -> bool:
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
    done = plan.of(DONE)
    elsewhere = {os.path.dirname(str(entry.file)) for clip in done if (entry := clip.entry)}
    elsewhere -= {os.path.dirname(clip.any_place.absolute) for clip in done}
    if elsewhere:
        out.note(f"what is done stays where it was saved: {', '.join(sorted(elsewhere))}")
    for clip in done:
        if clip.parent and clip.parent.again:
            out.note(f"row {clip.label} keeps its clip, which goes on from the old one of row {clip.parent.label}")
    asks = not yes and plan.left and batch.manifest.source != "-" and sys.stdin.isatty() and out.stderr.isatty()
    question = f"Make {counted(len(plan.left), 'clip')} for {money(plan.left_cents)}? [y/N] "
    if asks and not out.confirm(question):
        raise AirvidError("nothing was sent")
    return True


# ---------------------------------------------------------------------- run


async def _make_all(batch: Batch, plan: BatchPlan, at_once: int, film: Film | None, *, fail_fast: bool) -> None:
    """Make the clips side by side, and of them the film. What each ended with is in `batch.outcomes`."""
    session = batch.session
    # A clip stands after the one that it goes on from.
    to_run = sorted([*plan.of(RUNNING), *plan.of(UNKNOWN), *plan.new], key=lambda clip: clip.row.depth)
    batch.slots, batch.fail_fast = asyncio.Semaphore(at_once), fail_fast
    batch.outcomes = [None] * len(plan.of(DONE))
    batch.outcomes += [failed_before(batch, clip) for clip in plan.failed]
    batch.retries = plan.retries
    tally = batch.tally = Tally(len(batch.clips), at_once, len(plan.of(DONE)), len(plan.failed))
    tally.waiting, tally.left = len(to_run), plan.left_cents or Decimal(0)
    for model in {str(clip.row.plan.body["model"]) for clip in to_run}:
        tally.past += session.journal.past_seconds(session.service, model)
    for clip in plan.of(DONE):
        _note_saved(batch, clip)
    try:
        if to_run:
            await _claim(batch, to_run, film)
            with dashboard.choose(session.out, tally) as progress:
                async with asyncio.TaskGroup() as group:
                    await _begin_all(batch, to_run, group, progress)
    finally:
        order = {(clip.row.id, clip.n): place for place, clip in enumerate(batch.clips)}
        await batch.results.rewrite(lambda row, n: (order.get((row, n), len(order)), row, n))
    if batch.stopped and tally.waiting:
        session.out.note(f"{tally.waiting} more {'clips were' if tally.waiting > 1 else 'clip was'} not submitted")
    if film and not any(batch.outcomes) and all(clip.state == DONE for clip in batch.clips):
        files = [str(clip.entry.file) for clip in batch.clips if clip.entry]
        await joining.write(session, files, film)


def _note_saved(batch: Batch, clip: RowClip) -> None:
    """Complete the records of a clip on the disk, where an earlier run was killed or a line is missing."""
    session, entry = batch.session, clip.entry
    assert entry
    if entry.saved_at is None and entry.task_id:
        session.journal.note_saved(session.service, entry.task_id, str(entry.file), entry.bytes or 0)
        entry = session.journal.entry(entry.id) or entry
        clip.learn(entry)
        part_file.beside(Path(str(entry.file)), ".part.json").unlink(missing_ok=True)
    if not batch.results.has_end_of(entry):
        batch.results.remember(entry, TaskView(None, entry).record())


async def _claim(batch: Batch, clips: Sequence[RowClip], film: Film | None) -> None:
    """See that the clips and the film can be saved, before one is paid. Raises: FileError."""
    system.check_thread()
    places = [batch.results.place, *(clip.any_place for clip in clips), *([film.place] if film else [])]
    for place in {os.path.dirname(place.absolute): place for place in places}.values():
        await place.check_writable()


async def _begin_all(batch: Batch, clips: Sequence[RowClip], group: asyncio.TaskGroup, progress: Progress) -> None:
    """Begin one clip whenever a slot is free."""
    tasks: dict[RowClip, asyncio.Task[None]] = {}
    for number, clip in enumerate(clips, 1):
        before = tasks.get(clip.parent) if clip.parent else None
        if clip.state == UNKNOWN or (clip.parent and clip.state != RUNNING):
            tasks[clip] = group.create_task(settle_and_make(batch, clip, number, progress, before))
        elif await batch.take_slot(clip):
            tasks[clip] = group.create_task(make(batch, clip, number, progress))


def _time_up(session: Session, batch: Batch | None) -> AirvidError:
    error = session.time_up("the time was up", batch.submitter.trouble if batch else None)
    if batch:
        error.hint = batch.command_for_rest()
        if batch.running:
            return WaitTimeoutError(f"{error.message}; what runs goes on", hint=error.hint)
    return error


def _tell_how_to_go_on(session: Session, batch: Batch | None) -> None:
    if batch is None:  # nothing was sent
        return
    some = f"{batch.running} tasks go on; to pick them up"
    told = {0: "to go on", 1: "1 task goes on; to pick it up"}.get(batch.running, some)
    session.out.note(f"{told}: {batch.command_for_rest()}")
