"""airvid create: from a prompt to a task, and with --wait to a clip (contract §5).

plan, all complaints at once → intent into the journal → one POST → id into the journal and told → follow → save
"""

from __future__ import annotations

import asyncio
import copy
import functools
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airvid import clock, system
from airvid.api.client import Listing
from airvid.api.models import Model, Task
from airvid.clips import download, naming, part_file, request
from airvid.clips.lookup import UNKNOWN_FATE_HINT
from airvid.clips.naming import Naming
from airvid.clips.request import Wish, collected
from airvid.clips.submit import Submitter
from airvid.commands import finish, preview
from airvid.commands.common import as_told
from airvid.commands.finish import Clips
from airvid.errors import (
    AirvidError,
    AuthError,
    FileError,
    LimitedError,
    PaymentError,
    UnavailableError,
    UnknownFateError,
    UsageError,
    complain,
    settle,
)
from airvid.journal.entries import Entry
from airvid.session import Session
from airvid.ui.progress import Progress, Row
from airvid.ui.task_view import TaskView
from airvid.ui.text import money, short_id


async def run(
    session: Session,
    /,
    *,
    prompt: str | None,
    prompt_file: str | None,
    image: str | None,
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
    complaints: list[AirvidError] = []
    if given["wait"] is False and (given["output"] is not None or shows_preview):
        complaints.append(UsageError("--no-wait contradicts -o and --preview, which wait for the clip"))
    settings = _chosen(session, given, complaints)
    if settings["output"] is not None or shows_preview:
        settings["wait"] = True
    if not settings["wait"]:
        settings["timeout"] = None
    wish = _wish(settings, image, reference, extra, complaints)
    wish.prompt = ""
    with collected(complaints):
        wish.prompt = _prompt(prompt, prompt_file)
    plan, listing = await _planned(
        session, wish, settings, complaints, dry_run=dry_run, no_validate=no_validate, shows_preview=shows_preview
    )
    if dry_run:
        session.out.plan(plan.body, plan.count, plan.total_cents)
        return
    _claim(plan, shows_preview=shows_preview)
    entries = session.journal.intend(
        base_url=session.service,
        request=plan.body,
        targets=plan.targets(),
        estimate_cents=plan.cents,
        budgets=_budgets(session),
    )
    timeout = settings["timeout"]
    left = None if timeout is None else max(0.0, timeout - (clock.elapsed() - began))
    clips = _Run(session, plan, entries, shows_preview=shows_preview)
    try:
        await clips.play(listing, left)
    except asyncio.CancelledError:
        clips.tell_how_to_go_on()
        raise
    finally:
        clips.close()


def _chosen(session: Session, given: Mapping[str, Any], complaints: list[AirvidError]) -> dict[str, Any]:
    """Each setting, from the option where one was given, else from environment or config file; None where none says."""
    settings: dict[str, Any] = {}
    for keyword, value in given.items():
        name = keyword.replace("_", "-")
        settings[name] = None
        with collected(complaints):
            settings[name] = session.settings.choose(name, value)
    return settings


def _wish(
    settings: Mapping[str, Any],
    image: str | None,
    reference: Sequence[str],
    extra: Sequence[str],
    complaints: list[AirvidError],
) -> Wish:
    """What is asked for, but for the prompt."""
    plain = request.plain_keys(settings)
    keys, wrong = request.parse_extra(extra, plain)
    complaints += wrong
    return Wish(
        model=settings["model"],
        mode=settings["mode"],
        duration=settings["duration"],
        aspect_ratio=settings["aspect-ratio"],
        quality=settings["quality"],
        image=image,
        reference=reference,
        plain=plain,
        extra=keys,
    )


@dataclass
class _Plan:
    """A checked request: what is sent for each clip, and where the clips go."""

    wish: Wish
    settings: dict[str, Any]
    body: dict[str, Any]
    name: Naming | None
    count: int
    at: float
    cents: float | None = None

    @property
    def total_cents(self) -> float | None:
        return None if self.cents is None else self.cents * self.count

    def targets(self) -> list[str | None]:
        """For the journal: `-o` as a path that holds from any folder."""
        if self.name is None or self.name.template is None:
            return [None] * self.count
        return [os.path.abspath(path if self.name.is_known else self.name.template) for path in self.paths()]

    def fields(self, n: int, task_id: str) -> dict[str, str]:
        """What a template may say of clip `n`."""
        return naming.values(
            prompt=self.wish.prompt,
            model=self.body.get("model"),
            at=self.at,
            n=n,
            seed=self.wish.effective_seed,
            task_id=task_id,
        )

    def paths(self) -> list[Path]:
        """The files that the clips go to, if any. An id that is yet to come is as long as any."""
        if self.name is None or self.name.template is None:
            return []
        return [self.name.path(self.fields(n, "0" * 36)) for n in range(1, self.count + 1)]


async def _planned(
    session: Session,
    wish: Wish,
    settings: dict[str, Any],
    complaints: list[AirvidError],
    *,
    dry_run: bool,
    no_validate: bool,
    shows_preview: bool,
) -> tuple[_Plan, Listing | None]:
    """The request, checked in every way; all complaints at once. Raises: AirvidError, nothing sent."""
    name = None
    with collected(complaints):
        name = _naming(session, wish, settings)
    complaints += request.complaints_of(wish)
    if settings["open"] and not settings["output"]:
        complaints.append(UsageError("--open needs -o: a clip that is not saved cannot be opened"))
    if shows_preview:
        with collected(complaints):
            _check_preview(session, settings["output"])
    plan = _Plan(wish, settings, {"model": wish.model}, name, settings["count"] or 1, clock.now())
    # The model's name may be part of the file's: what can be checked without it is checked before all else.
    checked_early = wish.model is not None or name is None or not name.uses("model")
    if checked_early:
        _check_paths(plan, complaints)
    needs_models = not (no_validate and wish.model)
    try:
        async with asyncio.timeout(settings["timeout"]):
            models, listing = await _ask(session, settings, dry_run=dry_run, needs_models=needs_models)
    except TimeoutError:
        complain(complaints)
        raise UnavailableError("the time was up before the server had told its models; nothing was sent") from None
    except AirvidError:
        complain(complaints)  # what is wrong here goes before what is wrong out there
        raise
    model = None if models is None else _model(models, wish, complaints, no_validate=no_validate)
    if model:
        plan.body["model"], plan.cents = model.id, model.cents(wish.duration)
    with collected(complaints):
        _check_cost(settings["max-cost"], plan.total_cents)
    if not checked_early:
        _check_paths(plan, complaints)
    if model or no_validate:
        with collected(complaints):
            session.journal.check_budgets(_budgets(session), plan.cents, plan.count)
    complain(complaints)
    if model and not wish.model:
        session.out.note(f"model {model.id}: the cheapest that fits")
    plan.body = request.body(wish, model)
    return plan, listing


def _prompt(argument: str | None, file: str | None) -> str:
    """Raises: UsageError, FileError."""
    hint = 'airvid create "fox in snow"; - reads it from standard input'
    if argument is not None and file is not None:
        raise UsageError("PROMPT and --prompt-file contradict each other")
    if argument is None and file is None:
        raise UsageError("no prompt", hint=hint)
    if "-" in (argument, file):
        prompt = _decoded(system.read_stdin(), "standard input")
    elif file is not None:
        try:
            with system.interruptible():
                prompt = _decoded(Path(file).read_bytes(), file)
        except OSError as error:
            raise FileError(f"the prompt file {file} cannot be read: {error.strerror}") from None
    else:
        prompt = _typed(argument or "")
    if not prompt.strip():
        raise UsageError("the prompt is empty", hint=hint)
    return prompt


def _typed(argument: str) -> str:
    """The bytes that were typed as the UTF-8 that they are, in a locale that knows but ASCII, too."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument  # what is wrong with it, the request's own check says


def _decoded(content: bytes, source: str) -> str:
    """Text as it stands, but for the newline at its end. Raises: UsageError."""
    try:
        return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError(f"the prompt in {source} is not UTF-8 text") from None


def _naming(session: Session, wish: Wish, settings: Mapping[str, Any]) -> Naming | None:
    """Raises: UsageError, FileError."""
    if settings["output"] is None:
        return None
    name = Naming.parse(settings["output"], settings["count"] or 1)
    if name.uses("seed") and wish.effective_seed is None:
        raise UsageError("-o uses {seed}, but no seed is set", hint="--seed NUMBER")
    finish.check_stdout(session, name, opens=bool(settings["open"]))
    return name


def _check_preview(session: Session, output: str | None) -> None:
    """See that --preview can show something once the clip is paid for. Raises: UsageError."""
    preview.check(session)
    if output == "-" or session.out.as_json:
        raise UsageError("--preview wants standard output for itself, without -o - and --json")


def _check_paths(plan: _Plan, complaints: list[AirvidError]) -> None:
    for path in plan.paths():
        with collected(complaints):
            naming.check(path, force=bool(plan.settings["force"]))
            part_file.check_part(path)


async def _ask(
    session: Session, settings: Mapping[str, Any], *, dry_run: bool, needs_models: bool
) -> tuple[list[Model] | None, Listing | None]:
    """The models, and the tasks there are before the create: what a lost answer is later looked up against."""
    if dry_run:
        return await session.models(need_key=False), None
    session.api()  # without a key, nothing is asked
    needs_price = settings["max-cost"] is not None or bool(_budgets(session))
    if not needs_models and not needs_price:
        return None, await _present(session)
    models, present = await asyncio.gather(session.models(), _present(session))
    return models, present


async def _present(session: Session) -> Listing | None:
    """The tasks there are; None where the server will not say at once, which must not stop a create."""
    try:
        async with asyncio.timeout(5):
            return await session.api().tasks(patience=0)
    except AuthError:
        raise
    except (AirvidError, TimeoutError):
        return None


def _model(models: list[Model], wish: Wish, complaints: list[AirvidError], *, no_validate: bool) -> Model | None:
    try:
        if wish.model is None:
            return request.choose_model(models, wish)
        model = request.find_model(models, wish.model)
    except UsageError as error:
        if not (no_validate and wish.model):
            complaints.append(error)
        return None
    if not no_validate:
        complaints += request.model_complaints(wish, model)
    return model


def _check_cost(max_cost: float | None, cents: float | None) -> None:
    if max_cost is None:
        return
    if cents is None:
        raise PaymentError(
            f"the price is unknown, so --max-cost {max_cost:g} cannot be kept",
            hint="airvid models shows prices; name a --model and a --duration",
        )
    if cents > max_cost * 100 + 1e-6:
        raise PaymentError(f"the estimate of {money(cents)} passes --max-cost {max_cost:g}; nothing was sent")


def _budgets(session: Session) -> dict[str, float]:
    """The budgets that are set, in USD, by period."""
    found = {period: session.settings.get(f"budget.{period}") for period in ("day", "month")}
    return {period: limit for period, limit in found.items() if limit is not None}


def _claim(plan: _Plan, *, shows_preview: bool) -> None:
    """Make the folders and see that they take a file: a full disk costs nothing. Raises: AirvidError."""
    system.check_thread()
    paths = plan.paths()
    if plan.name and paths and not plan.name.is_known:
        paths = [plan.name.folder / "clip.mp4"]
    if not paths and (plan.name or shows_preview):
        paths = [_temporary()]
    for path in {path.parent: path for path in paths}.values():
        download.claim(path)


def _temporary() -> Path:
    """Where a clip goes that is not kept. Raises: FileError."""
    try:
        return Path(tempfile.gettempdir(), "clip.mp4")
    except OSError as error:
        raise FileError(f"there is no folder for temporary files: {error.strerror}", hint="set TMPDIR") from None


class _Run(Clips):
    """The clips of one create, from POST to file."""

    def __init__(self, session: Session, plan: _Plan, entries: list[Entry], *, shows_preview: bool) -> None:
        settings = plan.settings
        seen = [TaskView(None, entry) for entry in entries]
        super().__init__(
            session, plan.name, seen, session.out.finished, force=bool(settings["force"]), opens=bool(settings["open"])
        )
        self._plan = plan
        self._waits = bool(settings["wait"])
        self._shows_preview = shows_preview
        self._entries = entries
        self._submitting: Row
        is_for_preview_alone = shows_preview and plan.name is None
        self._folder = tempfile.TemporaryDirectory(prefix="airvid-") if is_for_preview_alone else None
        self._submitter = Submitter(
            session.api(),
            session.journal,
            wait_for_slot=self._waits,
            note=session.out.note,
            warn=session.out.alarm,
            waits=lambda: self._submitting.phase("waiting"),
        )

    async def play(self, listing: Listing | None, seconds: float | None) -> None:
        """Submit one by one, follow side by side. Raises: what the clips came to."""
        if listing:
            self._submitter.learn(listing)
        try:
            async with asyncio.timeout(seconds):
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
            row = self._submitting = progress.row("clip" if len(self._entries) == 1 else f"clip {n}")
            row.phase("submitting")
            try:
                seen = self._seen[n] = TaskView(*await self._submitter.submit(entry, self._plan.body))
            except Exception as raised:  # those that are followed already go on
                error = as_told(raised)
                row.drop()
                self._outcomes[n] = error
                self._give_up(error)  # what refused this one will not take the next
                return
            if self._waits:
                cents = seen.cost_cents
                price = "its price is unknown" if cents is None else f"estimated at {money(cents)}"
                self._session.out.note(f"task {seen.task_id} submitted, {price}")
                group.create_task(self._finish(n, row, is_ours=True))
                continue
            row.drop()
            self._say(n, functools.partial(self._session.out.submitted, seen))
            self._outcomes[n] = self._unsaid.get(n)

    def _give_up(self, error: AirvidError) -> None:
        left = [n for n in self._left() if not self._seen[n].task]
        self._tell_unsubmitted(len(left))
        for n in left:
            # The reason is the same, and so the exit code.
            told = copy.copy(error)
            told.message, told.request_id = f"not submitted, as the one before could not be: {error.message}", None
            self._outcomes[n] = told

    async def _save(self, n: int, task: Task, row: Row) -> TaskView:
        seen = await super()._save(n, task, row)
        if self._folder:
            path = Path(self._folder.name, f"{short_id(task.task_id)}.mp4")
            await finish.fetch(self._session, task, path, row, force=False)
            self._seen[n] = seen._replace(output=str(path))
        return seen

    async def _show_previews(self) -> None:
        """A clip that cannot be shown is made all the same."""
        for seen in self._seen.values() if self._shows_preview else ():
            try:
                if seen.output:
                    await preview.show(self._session, Path(seen.output))
            except Exception as error:  # what decodes a stranger's file may fail in any way
                self._session.out.warn(f"no preview: {getattr(error, 'message', None) or error or 'it failed'}")

    def _fields(self, n: int, task: Task) -> dict[str, str]:
        return self._plan.fields(n, task.task_id)

    def _where(self, n: int) -> str | None:
        if self._name is None or self._name.template is None:
            return None if self._name is None else "-"
        return str(self._name.path(self._plan.fields(n, ""))) if self._name.is_known else self._plan.settings["output"]

    def _timed_out(self, n: int) -> AirvidError:
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
        self._say(n, lambda: self._tell(self._seen[n], wants_file=False))
        return super()._timed_out(n)

    def _known(self, n: int) -> Entry:
        """What is known of a clip: what we were told goes before what the journal could take."""
        seen, entry = self._seen[n], self._entries[n - 1]
        if not seen.task:
            seen = self._seen[n] = TaskView(None, self._session.journal.entry(entry.id) or entry)
        return seen.entry or entry

    def tell_how_to_go_on(self) -> None:
        """After an interruption: the one command for each clip that goes on without us."""
        fates = []
        for n in self._seen:
            entry = self._known(n)
            fates.append(entry.fate)
            if entry.fate in ("sent", "unknown"):
                self._session.out.warn(f"whether a task was made is unknown; {UNKNOWN_FATE_HINT}")
            elif entry.task_id and n not in self._outcomes and self._waits:
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
