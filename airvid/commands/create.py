"""airvid create: from a prompt to a task, and with --wait to a clip (contract §5).

plan → intent into the journal → one POST → id into the journal and told → follow → save
"""

from __future__ import annotations

import asyncio
import copy
import tempfile
from pathlib import Path

from airvid import clock
from airvid.api import Listing
from airvid.commands import finish, plan, preview
from airvid.commands.finish import Clips
from airvid.commands.plan import Options, Plan
from airvid.errors import AirvidError, LimitedError, UnavailableError, UnknownFateError, settle
from airvid.progress import Progress, Row
from airvid.session import Session
from airvid.submit import UNKNOWN_FATE_HINT, Submitter
from airvid.tasks import Entry, Sighting, Task
from airvid.text import money, short_id


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
    left = None if options.timeout is None else max(0.0, options.timeout - (clock.elapsed() - began))
    clips = _Run(session, options, checked, entries)
    try:
        await clips.play(listing, left)
    except asyncio.CancelledError:
        clips.tell_how_to_go_on()
        raise
    finally:
        clips.close()


class _Run(Clips):
    """The clips of one create, from POST to file."""

    def __init__(self, session: Session, options: Options, plan: Plan, entries: list[Entry]) -> None:
        seen = [Sighting(None, entry) for entry in entries]
        super().__init__(
            session, plan.name, seen, session.out.finished, force=bool(options.force), opens=bool(options.open)
        )
        self._options = options
        self._plan = plan
        self._entries = entries
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

    async def play(self, listing: Listing | None, seconds: float | None) -> None:
        """Submit one by one, follow side by side. Raises: what the clips came to."""
        if listing:
            self._submitter.learn(listing)
        try:
            async with asyncio.timeout(seconds if self._options.wait else None):
                with self._session.progress(len(self._seen)) as progress:
                    async with asyncio.TaskGroup() as group:
                        await self._submit_all(group, progress)
        except TimeoutError:
            for n in self._left():
                self._outcomes[n] = self._timed_out(n)
        await self._show_previews()
        settle(self._outcomes.values())

    async def _submit_all(self, group: asyncio.TaskGroup, progress: Progress) -> None:
        for n, entry in enumerate(self._entries, 1):
            row = progress.row("clip" if len(self._entries) == 1 else f"clip {n}")
            row.phase("submitting")
            self._submitting = row
            try:
                seen = self._seen[n] = Sighting(*await self._submitter.submit(entry, self._plan.body))
            except AirvidError as error:
                row.drop()
                self._outcomes[n] = error
                self._give_up(error)  # what refused this one will not take the next
                return
            if self._options.wait:
                cents = seen.cost_cents
                price = "its price is unknown" if cents is None else f"estimated at {money(cents)}"
                self._session.out.note(f"task {seen.task_id} submitted, {price}")
                self._begin(n, row)
                group.create_task(self._finish(n, row, is_ours=True))
                continue
            row.drop()
            self._outcomes[n] = None
            try:
                self._session.out.submitted(seen)
            except AirvidError as error:
                error.task_id = seen.task_id
                self._outcomes[n] = error

    def _show_waiting(self) -> None:
        if self._submitting:
            self._submitting.phase("waiting")

    def _give_up(self, error: AirvidError) -> None:
        left = [n for n in self._left() if not self._seen[n].task]
        self._tell_unsubmitted(len(left))
        for n in left:
            # The reason is the same, and so the exit code.
            told = copy.copy(error)
            told.message, told.request_id = f"not submitted, as the one before could not be: {error.message}", None
            self._outcomes[n] = told

    async def _save(self, n: int, task: Task, row: Row) -> Sighting:
        seen = await super()._save(n, task, row)
        if self._folder:
            path = Path(self._folder.name, f"{short_id(task.task_id)}.mp4")
            await finish.fetch(self._session, task, path, row, force=False)
            self._seen[n] = seen._replace(output=str(path))
        return seen

    async def _show_previews(self) -> None:
        """Once no bar is live any more. A clip that cannot be shown is made all the same."""
        for seen in self._seen.values() if self._options.preview else ():
            try:
                if seen.output:
                    await preview.show(self._session, Path(seen.output))
            except AirvidError as error:
                self._session.out.warn(f"no preview: {error.message}")

    def _fields(self, n: int, task: Task) -> dict[str, str]:
        return self._plan.fields(n, task.task_id)

    def _where(self, n: int) -> str | None:
        if self._name is None or self._name.template is None:
            return None if self._name is None else "-"
        return str(self._plan.paths()[n - 1]) if self._name.is_known else self._options.output

    def _timed_out(self, n: int) -> AirvidError:
        """What --timeout means for one clip: the task goes on, nobody knows, or there is none."""
        entry = self._known(n)
        if entry.fate in ("sent", "unknown"):
            return UnknownFateError(
                "the time was up before it was known whether a task was made", hint=UNKNOWN_FATE_HINT
            )
        if not entry.task_id:
            trouble = self._submitter.trouble
            if isinstance(trouble, UnavailableError):
                return UnavailableError(f"the time was up before a task could be made: {trouble.message}")
            return LimitedError("the time was up before a task could be made")
        self._tell(self._seen[n], wants_file=False)
        return super()._timed_out(n)

    def _known(self, n: int) -> Entry:
        """What is known of a clip: what we were told goes before what the journal could take."""
        seen, entry = self._seen[n], self._entries[n - 1]
        if not seen.task:
            seen = self._seen[n] = Sighting(None, self._session.journal.entry(entry.id) or entry)
        return seen.entry or entry

    def tell_how_to_go_on(self) -> None:
        """After an interruption: the one command for each clip that goes on without us."""
        fates = []
        for n in self._seen:
            entry = self._known(n)
            fates.append(entry.fate)
            if entry.fate in ("sent", "unknown"):
                self._session.out.warn(f"whether a task was made is unknown; {UNKNOWN_FATE_HINT}")
            elif entry.task_id and n not in self._outcomes and self._options.wait:
                self._session.out.note(f"the task goes on; to pick it up: {self._how_to_go_on(n)}")
        self._tell_unsubmitted(fates.count("intended") + fates.count("waiting"))

    def _tell_unsubmitted(self, count: int) -> None:
        if count:
            self._session.out.note(f"{count} more {'clips were' if count > 1 else 'clip was'} not submitted")

    def close(self) -> None:
        """Clips that were for a preview alone go; intents that never left hold no budget."""
        if self._folder:
            self._folder.cleanup()
        self._session.journal.withdraw(self._entries)
