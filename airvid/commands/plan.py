"""Before anything is spent: from a create's options to a checked plan, all complaints at once (contract 5.1-5.4)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airvid import clock, naming, request, system, transfer
from airvid.api import Listing
from airvid.commands import finish, preview
from airvid.config import checked
from airvid.errors import AirvidError, AuthError, FileError, PaymentError, UnavailableError, UsageError, complain
from airvid.models import Model
from airvid.naming import Naming
from airvid.request import Wish, collected
from airvid.session import Session
from airvid.text import money

# Options that environment and config file may set, too.
_DEFAULTS = (
    "model",
    "duration",
    "aspect-ratio",
    "quality",
    "mode",
    "seed",
    "sound",
    "count",
    "max-cost",
    "wait",
    "output",
    "timeout",
    "force",
    "open",
)


@dataclass
class Options(Wish):
    """The command's options, as typed; `settle` makes them what they mean."""

    prompt_file: str | None = None
    set: Sequence[str] = ()
    count: int | None = None
    max_cost: Any = None
    dry_run: bool = False
    no_validate: bool = False
    wait: bool | None = None
    output: str | None = None
    timeout: Any = None
    force: bool | None = None
    open: bool | None = None
    preview: bool = False

    def settle(self, session: Session, complaints: list[AirvidError]) -> None:
        """Check what was said, take the rest from environment and config file, and read the prompt."""
        for name in _DEFAULTS:
            attribute = name.replace("-", "_")
            given, value = getattr(self, attribute), None
            try:
                value = session.settings.get(name) if given is None else checked(name, given, f"--{name}")
            except UsageError as error:
                complaints.append(error)
            setattr(self, attribute, value)
        if self.output is not None or self.preview:
            self.wait = True
        self.extra, wrong = request.parse_extra(
            self.set, has_seed=self.seed is not None, has_sound=self.sound is not None
        )
        complaints += wrong
        prompt = ""
        with collected(complaints):
            prompt = _prompt(self.prompt, self.prompt_file)
        self.prompt = prompt


@dataclass
class Plan:
    """A checked request: what is sent for each clip, and where the clips go."""

    wish: Wish
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
        """What a template may say of clip `n`, counted from 1."""
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


async def make(session: Session, options: Options) -> tuple[Plan, Listing | None]:
    """The request, checked in every way; all complaints at once. Raises: AirvidError, nothing sent."""
    complaints: list[AirvidError] = []
    if options.wait is False and (options.output is not None or options.preview):
        complaints.append(UsageError("--no-wait contradicts -o and --preview, which wait for the clip"))
    options.settle(session, complaints)
    name = None
    with collected(complaints):
        name = _naming(session, options)
    complaints += request.complaints_of(options)
    if options.open and not options.output:
        complaints.append(UsageError("--open needs -o: a clip that is not saved cannot be opened"))
    with collected(complaints):
        _check_preview(session, options)
    plan = Plan(options, {"model": options.model}, name, options.count or 1, clock.now())
    # The model's name may be part of the file's: what can be checked without it is checked before all else.
    checked_early = options.model is not None or name is None or not name.uses("model")
    if checked_early:
        _check_paths(plan, options, complaints)
    try:
        async with asyncio.timeout(options.timeout if options.wait else None):
            models, listing = await _ask(session, options)
    except TimeoutError:
        complain(complaints)
        raise UnavailableError("the time was up before the server had told its models; nothing was sent") from None
    except AirvidError:
        complain(complaints)  # what is wrong here goes before what is wrong out there
        raise
    model = None if models is None else _model(models, options, complaints)
    if model:
        plan.body["model"], plan.cents = model.id, model.cents(options.seconds(model))
    with collected(complaints):
        _check_cost(options, plan.total_cents)
    if not checked_early:
        _check_paths(plan, options, complaints)
    if model or options.no_validate:
        with collected(complaints):
            session.journal.check_budgets(budgets(session), plan.cents, plan.count)
    complain(complaints)
    if model and not options.model:
        session.out.note(f"model {model.id}: the cheapest that fits")
    plan.body = request.body(options, model)
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
    """Text as it stands, newlines kept, but for the one that ends the last line. Raises: UsageError."""
    try:
        return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError(f"the prompt in {source} is not UTF-8 text") from None


def _naming(session: Session, options: Options) -> Naming | None:
    """Raises: UsageError, FileError."""
    if options.output is None:
        return None
    name = Naming.parse(options.output, options.count or 1)
    if name.uses("seed") and options.effective_seed is None:
        raise UsageError("-o uses {seed}, but no seed is set", hint="--seed NUMBER")
    finish.check_stdout(session, name, opens=bool(options.open))
    return name


def _check_preview(session: Session, options: Options) -> None:
    """See that --preview can show something once the clip is paid for. Raises: UsageError."""
    if options.preview:
        preview.check(session)
        if options.output == "-" or session.out.as_json:
            raise UsageError("--preview wants standard output for itself, without -o - and --json")


def _check_paths(plan: Plan, options: Options, complaints: list[AirvidError]) -> None:
    for path in plan.paths():
        with collected(complaints):
            naming.check(path, force=bool(options.force))


async def _ask(session: Session, options: Options) -> tuple[list[Model] | None, Listing | None]:
    """The models, and the tasks there are before the create: what a lost answer is later looked up against."""
    if options.dry_run:
        return await session.models(need_key=False), None
    session.api()  # without a key, nothing is asked
    needs_price = options.max_cost is not None or bool(budgets(session))
    if options.no_validate and options.model and not needs_price:
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


def _model(models: list[Model], options: Options, complaints: list[AirvidError]) -> Model | None:
    try:
        if options.model is None:
            return request.choose_model(models, options)
        model = request.find_model(models, options.model)
    except UsageError as error:
        if not (options.no_validate and options.model):
            complaints.append(error)
        return None
    if not options.no_validate:
        complaints += request.model_complaints(options, model)
    return model


def _check_cost(options: Options, cents: float | None) -> None:
    if options.max_cost is None:
        return
    if cents is None:
        raise PaymentError(
            f"the price is unknown, so --max-cost {options.max_cost:g} cannot be kept",
            hint="airvid models shows prices; name a --model and a --duration",
        )
    if cents > options.max_cost * 100 + 1e-6:
        raise PaymentError(f"the estimate of {money(cents)} passes --max-cost {options.max_cost:g}; nothing was sent")


def budgets(session: Session) -> dict[str, float]:
    """The budgets that are set, in USD, by period."""
    found = {period: session.settings.get(f"budget.{period}") for period in ("day", "month")}
    return {period: limit for period, limit in found.items() if limit is not None}


def claim(plan: Plan) -> None:
    """Make the folders and see that they take a file: a full disk costs nothing. Raises: FileError."""
    paths = plan.paths()
    if plan.name and paths and not plan.name.is_known:
        paths = [plan.name.folder / "clip.mp4"]
    for path in {path.parent: path for path in paths}.values():
        transfer.claim(path)
