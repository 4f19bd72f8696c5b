"""airvid create: from a prompt to a task, and with --wait to a clip.

In this order: check everything, write the intent into the journal, send one POST, write the id into the journal and
print it, follow the task, save the clip.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airvid import clock
from airvid.api.client import Listing
from airvid.api.models import Task
from airvid.clips import naming
from airvid.clips.lookup import UNKNOWN_FATE_HINT
from airvid.clips.plan import Plan
from airvid.clips.prompt import read_prompt
from airvid.clips.request import Request, collected
from airvid.clips.submit import Submitter
from airvid.commands import finish, plans, preview
from airvid.commands.finish import Clip
from airvid.errors import (
    AirvidError,
    FileError,
    LimitedError,
    PaymentError,
    UnavailableError,
    UnknownFateError,
    UsageError,
    as_failure,
    settle,
)
from airvid.journal.entries import Entry
from airvid.session import Session
from airvid.ui.progress import Progress, Row
from airvid.ui.submit_report import SubmitReport
from airvid.ui.task_view import TaskView
from airvid.ui.text import counted, money


async def run(
    session: Session,
    /,
    *,
    prompt: str | None,
    prompt_file: str | None,
    image: str | None,
    extend: str | None,
    reference: Sequence[str],
    extra: Sequence[str],
    dry_run: bool,
    no_validate: bool,
    shows_preview: bool,
    **given: Any,
) -> None:
    """Submit clips, and follow and save them where that is asked for.

    `given`: the options that are settings too, by their names in config.SETTINGS; None where the line does not say.
    """
    began = clock.elapsed()
    session.bell = given.pop("bell")
    line: dict[str, Any] = {"prompt": prompt, "prompt_file": prompt_file, "image": image, "extend": extend}
    line |= {"reference": reference, "set": extra, **given, "no_validate": no_validate, "preview": shows_preview}
    complaints: list[AirvidError] = []
    settings = plans.chosen_settings(session, given, complaints, shows_preview=shows_preview)
    asked = plans.request_of(settings, image, reference, extra, complaints)
    if extend is not None:
        await _extend(session, asked, extend, settings["timeout"], complaints)
    asked.prompt = ""
    with collected(complaints):
        asked.prompt = read_prompt(prompt, prompt_file, asked.images)
        plans.check_words(session, prompt, reference)
    plan = plans.offline_plan(session, asked, settings, complaints, shows_preview=shows_preview)
    listing = await plans.complete(session, plan, settings, complaints, dry_run=dry_run, no_validate=no_validate)
    if dry_run:
        _show_plan(session, plan)
        return
    await plan.claim(shows_preview=shows_preview)
    entries = _intend(session, plan)
    await _make(session, plan, settings, line, entries, listing, clock.elapsed() - began, shows_preview=shows_preview)


def _show_plan(session: Session, plan: Plan) -> None:
    seconds = None if plan.seconds is None else plan.seconds * plan.count
    seconds = int(seconds) if seconds and seconds == int(seconds) else seconds
    session.out.plan(plan.body, plan.count, seconds, plan.total_cents, plan.first_files())


async def _extend(
    session: Session, asked: Request, clip: str, timeout: float | None, complaints: list[AirvidError]
) -> None:
    """As `plans.extend`, within --timeout. Raises: AirvidError where the server fails: that ends the create at once."""
    try:
        async with session.time_limit(timeout):
            await plans.extend(session, asked, clip)
    except (UsageError, FileError) as error:
        complaints.append(error)


def _intend(session: Session, plan: Plan) -> list[Entry]:
    """Write the clips of a plan into the journal, before the first POST. Raises: as `Journal.intend`."""
    return session.journal.intend(
        base_url=session.service,
        account=session.account,
        requests=[plan.body_of(n + 1) for n in range(plan.count)],
        targets=plan.targets(),
        estimate_cents=plan.cents,
        budgets=plans.budgets(session),
        extends=plan.asked.extends,
    )


# ---------------------------------------------------------------------- submit, follow, save


@dataclass
class _Run:
    """The clips of one create, from POST to file.

    `line` is what was typed, by the names of the parameters; `max_cost` is in USD. `previews` are files to show, by the
    clip's number; where --preview has no -o, they are in `preview_folder`. `ended` are the clips that ended, in that
    order, `unsent` those after a refusal.
    """

    session: Session
    plan: Plan
    clips: Sequence[Clip]
    report: SubmitReport
    submitter: Submitter
    line: Mapping[str, Any]
    max_cost: float | None
    waits: bool
    opens: bool
    shows_preview: bool
    preview_folder: Path | None
    previews: dict[int, Path] = field(default_factory=dict)
    ended: list[Clip] = field(default_factory=list)
    unsent: list[Clip] = field(default_factory=list)

    def left(self) -> list[Clip]:
        return [clip for clip in self.clips if clip not in self.ended and clip not in self.unsent]


async def _make(
    session: Session,
    plan: Plan,
    settings: Mapping[str, Any],
    line: Mapping[str, Any],
    entries: Sequence[Entry],
    listing: Listing | None,
    passed: float,
    *,
    shows_preview: bool,
) -> None:
    """Make the clips within --timeout, of which `passed` seconds are over. Raises: the errors that they ended with."""
    timeout = settings["timeout"]
    left = max(0.0, timeout - passed) if timeout else None
    report, waits = SubmitReport(session.out), bool(settings["wait"])
    submitter = Submitter(session.api(), session.journal, report, wait_for_slot=waits)
    if listing:
        submitter.learn(listing)
    clips = [Clip(n, TaskView(None, entry), is_ours=True, was_read=True) for n, entry in enumerate(entries, 1)]
    with ExitStack() as stack:
        # At the end, entries that were never sent hold no budget any more.
        stack.callback(session.journal.withdraw, entries)
        folder = None
        if shows_preview and plan.name is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airvid-")))
        limit, opens = settings["max-cost"], bool(settings["open"])
        run = _Run(session, plan, clips, report, submitter, line, limit, waits, opens, shows_preview, folder)
        try:
            await _submit_and_follow(run, left)
        except asyncio.CancelledError:
            _tell_how_to_go_on(run)
            raise
        finally:
            for clip in clips:
                _latest_entry(run, clip)
                session.ended.append(clip.view)


async def _submit_and_follow(run: _Run, seconds: float | None) -> None:
    """Submit one clip after the other, follow them side by side. Raises: the errors that they ended with."""
    try:
        async with asyncio.timeout(seconds):
            with run.session.progress(len(run.clips)) as progress:
                async with asyncio.TaskGroup() as group:
                    await _submit_all(run, group, progress)
    except TimeoutError:
        for clip in run.left():
            error = _timed_out(run, clip)
            if not clip.view.task_id:
                _give_up(run, clip, error)
                break
            clip.error = error
            run.ended.append(clip)
    await _show_previews(run)
    # Without --wait a submitted clip has no result yet: the failure of another clip decides.
    settle(clip.outcome for clip in run.ended if run.waits or clip.outcome)


async def _submit_all(run: _Run, group: asyncio.TaskGroup, progress: Progress) -> None:
    out = run.session.out
    for clip in run.clips:
        row = run.report.row = progress.row("clip" if len(run.clips) == 1 else f"clip {clip.number}")
        row.phase("submitting")
        try:
            assert clip.view.entry
            clip.view = TaskView(*await run.submitter.submit(clip.view.entry, run.plan.body_of(clip.number)))
        except Exception as raised:  # clips that are followed already go on
            row.drop()
            _give_up(run, clip, as_failure(raised))  # the next clip would be refused as well
            return
        if run.waits:
            cents = clip.view.cost_cents
            told = "" if cents is None or cents == run.plan.cents else f", for {money(cents)}"
            out.note(f"task {clip.view.task_id} submitted{told}")
            group.create_task(_finish(run, clip, row))
        else:
            row.drop()
            clip.write(out.submitted, clip.view)
            run.ended.append(clip)
        if (passed := _passed_limit(run, clip)) and clip.number < len(run.clips):
            _give_up(run, run.clips[clip.number], PaymentError(f"{passed} would be passed"), hints=False)
            return
    _tell_next_command(run)


def _passed_limit(run: _Run, clip: Clip) -> str | None:
    """The limit that the clips pass by the price that the server told; None where they are within all limits."""
    session, cost = run.session, clip.view.cost_cents
    total = sum((each.view.cost_cents if each.view.task else run.plan.cents) or 0.0 for each in run.clips)
    passed = f"--max-cost {run.max_cost:g}" if run.max_cost is not None and total > run.max_cost * 100 + 1e-6 else None
    try:
        session.journal.check_budgets(plans.budgets(session), 0.0, 0)
    except PaymentError:
        passed = passed or "a budget"
    except FileError:
        pass  # the journal is asked before the next POST leaves
    if passed:
        estimate = f"estimated at {money(run.plan.cents)}" if run.plan.cents is not None else "not estimated"
        session.out.alarm(f"task {clip.view.task_id} costs {money(cost)}, {estimate}: that passes {passed}")
    return passed


def _give_up(run: _Run, clip: Clip, error: AirvidError, *, hints: bool = True) -> None:
    """End a clip that could not be submitted, and those after it: one error, with the command for the rest alone."""
    if len(run.clips) > 1:
        error.message = f"{clip.number - 1} of {len(run.clips)} clips were submitted: {error.message}"
        left = [each for each in run.clips[clip.number - 1 :] if not _is_unknown(run, each)]
        if left and hints and isinstance(error, LimitedError):
            error.hint = _command_for_rest(run, left, waits=True)
        elif hints and 0 < len(left) < len(run.clips):  # the whole command would be refused again
            error.hint = f"{f'{error.hint}; then ' if error.hint else ''}{_command_for_rest(run, left)}"
    clip.error = error
    run.ended.append(clip)
    run.unsent = list(run.clips[clip.number :])


def _command_for_rest(run: _Run, left: Sequence[Clip], *, waits: bool = False) -> str:
    line, first, name = {**run.line}, left[0].number, run.plan.name
    if waits:
        line["wait"] = True
    if name and first > 1 and name.is_known and run.plan.saves_files and not name.uses("seed"):
        # The same -o would number from 1 again, to the names of the clips that are there.
        line["output"] = str(run.plan.output_of(first)).replace("{", "{{").replace("}", "}}")
    return plans.command_for(run.session, line, len(left), run.plan.seed(left[0].number))


def _is_unknown(run: _Run, clip: Clip) -> bool:
    """Whether a clip's POST may have made a task that is not known."""
    return not clip.view.task and _latest_entry(run, clip).fate in ("sent", "unknown")


async def _finish(run: _Run, clip: Clip, row: Row) -> None:
    """Follow one task to its end and save its clip. Its failure does not stop the others: no Exception is raised."""
    session, plan = run.session, run.plan
    with clip.keeping_errors(hint=_how_to_go_on(run, clip)):
        finish.name_row(session, clip.view, row)
        task = await finish.end_of(session, clip, row)
        clip.error = finish.error_of(session, task)
        if clip.error is None:
            await _save(run, clip, task, row)
    if type(clip.error) is FileError:  # its subclasses have hints of their own
        clip.error.hint = session.command("download", clip.view.task_id)  # the same create would pay again
    is_good = clip.error is None
    told = finish.last_word(clip.view, row.passed, is_good=is_good)
    clip.write(row.end, told, is_good=is_good, path=clip.view.output)
    if plan.name is None or plan.saves_files:
        clip.write(session.out.finished, clip.view, wants_file=plan.saves_files)
    run.ended.append(clip)
    if run.opens and clip.view.output:
        finish.open_clip(session, clip.view.output)


async def _save(run: _Run, clip: Clip, task: Task, row: Row) -> None:
    """Save a completed clip as -o says, and for --preview. Raises: as `finish.save`."""
    session, plan = run.session, run.plan
    if plan.name is not None:
        fields = plan.fields(clip.number, task.task_id)
        clip.view = await finish.save(
            session, task, row, plan.name, entry=clip.view.entry, fields=fields, force=plan.force
        )
    if run.preview_folder:
        path = run.preview_folder / naming.file_name(task.task_id)
        await finish.fetch(session, task, path, row)
        run.previews[clip.number] = path
    elif run.shows_preview and clip.view.output:
        run.previews[clip.number] = Path(clip.view.output)


async def _show_previews(run: _Run) -> None:
    """Show the clips that are there. One that cannot be shown is made all the same."""
    for _, path in sorted(run.previews.items()):
        try:
            await preview.show(run.session, path)
        except Exception as error:  # decoding a file that a server sent may fail in any way
            run.session.out.warn(f"no preview: {getattr(error, 'message', None) or error or 'it failed'}")


# ---------------------------------------------------------------------- stopped before the end


def _timed_out(run: _Run, clip: Clip) -> AirvidError:
    """The error for a clip that had not ended when the time was up."""
    entry, trouble = _latest_entry(run, clip), run.submitter.trouble
    why = f": {trouble.message}" if trouble else ""
    if entry.fate in ("sent", "unknown"):
        return UnknownFateError(
            f"the time was up before it was known whether a task was made{why}", hint=UNKNOWN_FATE_HINT
        )
    if not entry.task_id:
        kind = UnavailableError if isinstance(trouble, UnavailableError) else LimitedError
        return kind(f"the time was up before a task could be made{why}")
    if run.waits:
        clip.write(run.session.out.finished, clip.view, wants_file=False)
    else:
        clip.write(run.session.out.submitted, clip.view)
    return finish.timed_out(run.session, clip, run.plan.output_of(clip.number), force=run.plan.force)


def _latest_entry(run: _Run, clip: Clip) -> Entry:
    """A clip's entry. After the POST was answered it is this run's own, as the journal may not have been writable."""
    entry = clip.view.entry
    assert entry
    if clip.view.task:
        return entry
    entry = run.session.journal.entry(entry.id) or entry
    clip.view = TaskView(None, entry)
    return entry


def _how_to_go_on(run: _Run, clip: Clip) -> str:
    return finish.how_to_go_on(run.session, [clip], run.plan.output_of(clip.number), force=run.plan.force)


def _tell_how_to_go_on(run: _Run) -> None:
    """After an interruption: the command that follows each clip that goes on."""
    fates, going = [], []
    for clip in run.clips:
        entry = _latest_entry(run, clip)
        fates.append(entry.fate)
        if entry.fate in ("sent", "unknown"):
            hint = run.session.for_this_api(UNKNOWN_FATE_HINT)
            run.session.out.warn(f"whether a task was made is unknown; {hint}")
        elif entry.task_id and clip not in run.ended and run.waits:
            going.append(clip)
    outputs = {run.plan.output_of(clip.number) for clip in going}
    if len(outputs) > 1 and [clip.number for clip in going] == list(range(1, len(going) + 1)):
        outputs = {run.plan.output}  # `watch` gives them the same numbers
    for output in outputs:
        clips = [clip for clip in going if len(outputs) == 1 or run.plan.output_of(clip.number) == output]
        whom = "the tasks go on; to pick them up" if len(clips) > 1 else "the task goes on; to pick it up"
        run.session.out.note(f"{whom}: {finish.how_to_go_on(run.session, clips, output, force=run.plan.force)}")
    left = [clip for clip, fate in zip(run.clips, fates, strict=True) if fate in ("intended", "waiting")]
    if left:
        count = counted(len(left), "clip")
        run.session.out.note(f"not submitted: {count} of {len(run.clips)}; {_command_for_rest(run, left)}")


def _tell_next_command(run: _Run) -> None:
    """On a terminal: the command that saves what was submitted."""
    out = run.session.out
    if run.waits or out.as_json or not out.is_terminal:
        return
    file = f"{naming.slug(run.plan.asked.prompt or '')}.mp4"
    one = len(run.clips) == 1 and not Path(file).exists()
    words = ["last", "-o", file] if one else ["-o", f".{os.sep}"]
    out.note(f"next: {run.session.command('watch', *words)}")
