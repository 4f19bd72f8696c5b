"""airvid create: from a prompt to a task, and with --wait to a clip (contract §5).

plan: read the wish, ask for the models, complain about all that is wrong at once
→ intent into the journal → one POST → id into the journal and told → follow → save
"""

from __future__ import annotations

import asyncio
import copy
import tempfile
from pathlib import Path

from airvid import clock
from airvid.api import Listing
from airvid.commands import finish, outcome, plan, preview
from airvid.commands.plan import Options, Plan
from airvid.errors import AirvidError, LimitedError, UnavailableError, UnknownFateError, WaitTimeoutError, settle
from airvid.progress import Progress, Row
from airvid.session import Session
from airvid.submit import UNKNOWN_FATE_HINT, Submitter
from airvid.tasks import Entry, Sighting, Task
from airvid.text import money, short_id

__all__ = ["Options", "run"]


async def run(session: Session, options: Options) -> None:
    began = clock.elapsed()
    checked, listing = await plan.make(session, options)
    if options.dry_run:
        session.out.plan(checked.body, checked.count, checked.total_cents)
        return
    plan.claim(checked)
    entries = session.journal.intend(
        base_url=session.service,
        request=checked.body,
        targets=checked.targets(),
        estimate_cents=checked.cents,
        budgets=plan.budgets(session),
    )
    left = None if checked.timeout is None else max(0.0, checked.timeout - (clock.elapsed() - began))
    clips = _Run(session, options, checked, entries, left)
    try:
        await clips.play(listing)
    except asyncio.CancelledError:
        clips.tell_how_to_go_on()
        raise
    finally:
        clips.close()


class _Run:
    """The clips of one create, from POST to file."""

    def __init__(
        self, session: Session, options: Options, plan: Plan, entries: list[Entry], seconds: float | None
    ) -> None:
        self._session = session
        self._options = options
        self._plan = plan
        self._entries = entries
        self._seconds = seconds
        self._tasks: dict[int, Task] = {}
        self._outcomes: dict[int, AirvidError | None] = {}
        self._shown: dict[int, Path] = {}
        self._submitting: Row | None = None
        is_for_preview_alone = options.preview and plan.name is None
        self._folder = tempfile.TemporaryDirectory(prefix="airvid-") if is_for_preview_alone else None
        self._submitter = Submitter(
            session.api(),
            session.journal,
            wait_for_slot=bool(options.wait),
            note=session.out.note,
            warn=session.out.alarm,
            waits=self._show_waiting,
        )

    async def play(self, listing: Listing | None) -> None:
        """Submit one after the other, follow side by side. Raises: what the clips came to."""
        if listing:
            self._submitter.learn(listing)
        try:
            async with asyncio.timeout(self._seconds if self._options.wait else None):
                with self._session.progress(len(self._entries)) as progress:
                    async with asyncio.TaskGroup() as group:
                        await self._submit_all(group, progress)
        except TimeoutError:
            for index in range(len(self._entries)):
                if index not in self._outcomes:
                    self._outcomes[index] = self._timed_out(index)
        await self._show_previews()
        settle(self._outcomes.values())

    async def _submit_all(self, group: asyncio.TaskGroup, progress: Progress) -> None:
        for index, entry in enumerate(self._entries):
            row = progress.row("clip" if len(self._entries) == 1 else f"clip {index + 1}")
            row.phase("submitting")
            self._submitting = row
            try:
                self._tasks[index], self._entries[index] = await self._submitter.submit(entry, self._plan.body)
            except AirvidError as error:
                row.drop()
                self._outcomes[index] = error
                self._give_up_after(index)  # what refused this one will not take the next
                return
            seen = Sighting(self._tasks[index], self._entries[index])
            if self._options.wait:
                self._session.out.note(f"task {seen.task_id} submitted, {self._price(seen)}")
                finish.begin_row(self._session, row, seen)
                group.create_task(self._finish(index, row))
                continue
            row.drop()
            try:
                self._session.out.submitted(seen)
                self._outcomes[index] = None
            except AirvidError as error:
                error.task_id = seen.task_id
                self._outcomes[index] = error

    def _show_waiting(self) -> None:
        if self._submitting:
            self._submitting.phase("waiting")

    def _give_up_after(self, index: int) -> None:
        left = range(index + 1, len(self._entries))
        self._tell_unsubmitted(len(left))
        for each in left:
            # The same exit code, for it is the same reason; but this one was never sent.
            told = copy.copy(self._outcomes[index])
            assert told
            told.message, told.request_id = f"not submitted, as the one before could not be: {told.message}", None
            self._outcomes[each] = told

    def _price(self, seen: Sighting) -> str:
        cents = seen.cost_cents
        return f"estimated at {money(cents)}" if cents is not None else "its price is unknown"

    async def _finish(self, index: int, row: Row) -> None:
        """Follow one task to its end, and save it. One clip's failure never stops the others."""
        session, task, entry, began = self._session, self._tasks[index], self._entries[index], clock.elapsed()
        seen = Sighting(task, entry)
        try:
            task = await finish.follow_to_end(
                session,
                task,
                row,
                is_fresh=True,
                was_seen=True,
                changed=lambda task: self._tasks.update({index: task}),
            )
            seen = Sighting(task, entry)
            error = outcome.verdict(session, task)
            if error is None and self._plan.name is not None:
                seen = await finish.save(
                    session,
                    task,
                    row,
                    self._plan.name,
                    entry=entry,
                    force=bool(self._options.force),
                    fields=self._plan.fields(index + 1, task.task_id),
                )
                self._shown[index] = Path(str(seen.output))
            elif error is None and self._folder:
                path = Path(self._folder.name, f"{short_id(task.task_id)}.mp4")
                await finish.fetch(session, task, path, row, force=False)
                self._shown[index] = path
        except (AirvidError, OSError) as raised:
            error = outcome.as_told(raised)
            error.task_id = error.task_id or task.task_id
            error.hint = error.hint or self._how_to_go_on(index, task.task_id)
        row.end(finish.last_word(seen, clock.elapsed() - began), is_good=error is None)
        name = self._plan.name
        if name is None or name.template is not None:
            error = finish.tell(lambda: session.out.finished(seen, wants_file=name is not None), task.task_id, error)
        self._outcomes[index] = error
        if self._options.open and seen.output:
            finish.open_clip(session, seen.output)

    async def _show_previews(self) -> None:
        """Once no bar is live any more. A clip that cannot be shown is made all the same."""
        for _, path in sorted(self._shown.items() if self._options.preview else ()):
            try:
                await preview.show(self._session, path)
            except AirvidError as error:
                self._session.out.warn(f"no preview: {error.message}")

    def _timed_out(self, index: int) -> AirvidError:
        """What --timeout means for one clip: the task goes on, nobody knows, or there is none."""
        entry, task = self._entry(index), self._tasks.get(index)
        if entry.fate in ("sent", "unknown"):
            return UnknownFateError(
                "the time was up before it was known whether a task was made", hint=UNKNOWN_FATE_HINT
            )
        if not entry.task_id:
            trouble = self._submitter.trouble
            if isinstance(trouble, UnavailableError):
                return UnavailableError(f"the time was up before a task could be made: {trouble.message}")
            return LimitedError("the time was up before a task could be made")
        self._session.out.finished(Sighting(task, entry), wants_file=False)
        return WaitTimeoutError(
            f"the time was up; the task goes on ({task.status if task else entry.state})",
            task_id=entry.task_id,
            hint=self._how_to_go_on(index, entry.task_id),
        )

    def _entry(self, index: int) -> Entry:
        """What is known of a clip: what we were told goes before what the journal could take."""
        if index in self._tasks:
            return self._entries[index]
        return self._session.journal.entry(self._entries[index].id) or self._entries[index]

    def _how_to_go_on(self, index: int, task_id: str) -> str:
        """The one command that goes on from here, with the same file."""
        name = self._plan.name
        if name is None or name.template is None:
            where = None if name is None else "-"
        else:
            where = str(self._plan.path(index + 1)) if name.is_known else self._options.output
        return self._session.command("watch", task_id, *(["-o", where] if where else []))

    def tell_how_to_go_on(self) -> None:
        """After an interruption: the one command for each clip that goes on without us."""
        for index in range(len(self._entries)):
            entry = self._entry(index)
            if entry.fate in ("sent", "unknown"):
                self._session.out.warn(f"whether a task was made is unknown; {UNKNOWN_FATE_HINT}")
            elif entry.task_id and index not in self._outcomes and self._options.wait:
                self._session.out.note(f"the task goes on; to pick it up: {self._how_to_go_on(index, entry.task_id)}")
        fates = [self._entry(index).fate for index in range(len(self._entries))]
        self._tell_unsubmitted(fates.count("intended") + fates.count("waiting"))

    def _tell_unsubmitted(self, count: int) -> None:
        if count:
            self._session.out.note(f"{count} more {'clips were' if count > 1 else 'clip was'} not submitted")

    def close(self) -> None:
        """Clips that were for a preview alone go; intents that never left hold no budget."""
        if self._folder:
            self._folder.cleanup()
        self._session.journal.withdraw(self._entries)
