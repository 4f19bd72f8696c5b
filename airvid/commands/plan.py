"""Before anything is spent: from a create's options to a checked plan, all complaints at once (contract 5.1-5.4)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airvid import clock, naming, request, system, transfer
from airvid.api import Listing
from airvid.commands import finish, preview
from airvid.config import checked
from airvid.errors import AirvidError, AuthError, FileError, PaymentError, UnavailableError, UsageError, complain
from airvid.models import Model
from airvid.naming import Naming
from airvid.request import Wish
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
class Options:
    """The command's options, as typed; `settle` makes them what they mean. None where nothing was said."""

    prompt: str | None = None
    prompt_file: str | None = None
    model: str | None = None
    duration: int | None = None
    aspect_ratio: str | None = None
    quality: str | None = None
    mode: str | None = None
    image: str | None = None
    reference: Sequence[str] = ()
    seed: int | None = None
    sound: bool | None = None
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
        """Check what was said, and take the rest from environment and config file."""
        for name in _DEFAULTS:
            attribute = name.replace("-", "_")
            given = getattr(self, attribute)
            try:
                value = session.settings.get(name) if given is None else checked(name, given, f"--{name}")
            except UsageError as error:
                value = None
                complaints.append(error)
            setattr(self, attribute, value)


@dataclass(frozen=True)
class Plan:
    """A checked request: what is sent for each clip, and where the clips go."""

    wish: Wish
    model: Model | None
    body: dict[str, Any]
    name: Naming | None
    count: int
    cents: float | None
    timeout: float | None
    at: float

    @property
    def total_cents(self) -> float | None:
        return None if self.cents is None else self.cents * self.count

    def targets(self) -> list[str | None]:
        """For the journal: `-o` as a path that holds from any folder."""
        if self.name is None or self.name.template is None:
            return [None] * self.count
        return [
            os.path.abspath(self.path(n)) if self.name.is_known else os.path.abspath(self.name.template)
            for n in range(1, self.count + 1)
        ]

    def fields(self, n: int, task_id: str = "") -> dict[str, str]:
        """What a template may say of clip `n`, counted from 1."""
        return naming.values(
            prompt=self.wish.prompt,
            model=self.body.get("model"),
            at=self.at,
            n=n,
            seed=self.wish.effective_seed,
            task_id=task_id,
        )

    def path(self, n: int) -> Path:
        assert self.name is not None
        return self.name.path(self.fields(n))


async def make(session: Session, options: Options) -> tuple[Plan, Listing | None]:
    """The request, checked in every way; all complaints at once. Raises: AirvidError, nothing sent."""
    complaints: list[AirvidError] = []
    if options.wait is False and (options.output is not None or options.preview):
        complaints.append(UsageError("--no-wait contradicts -o and --preview, which wait for the clip"))
    options.settle(session, complaints)
    wish = _wish(options, complaints)
    name = _naming(session, options, wish, complaints)
    complaints += request.complaints_of(wish)
    if options.open and not options.output:
        complaints.append(UsageError("--open needs -o: a clip that is not saved cannot be opened"))
    complaints += _preview_complaints(session, options)
    plan = Plan(wish, None, {"model": wish.model}, name, options.count or 1, None, options.timeout, clock.now())
    # The model's name may be part of the file's: what can be checked without it is checked before all else.
    checked_early = wish.model is not None or name is None or not name.uses("model")
    if checked_early:
        complaints += _target_complaints(plan, options)
    try:
        async with asyncio.timeout(options.timeout if options.wait else None):
            models, listing = await _ask(session, options)
    except TimeoutError:
        complain(complaints)
        raise UnavailableError("the time was up before the server had told its models; nothing was sent") from None
    except AirvidError:
        complain(complaints)  # what is wrong here goes before what is wrong out there
        raise
    model = _model(models, wish, options, complaints)
    cents = None if model is None else model.cents(wish.seconds(model))
    complaints += _cost_complaints(options, cents)
    plan = replace(plan, model=model, cents=cents, body={"model": model.id} if model else plan.body)
    if not checked_early:
        complaints += _target_complaints(plan, options)
    if model or options.no_validate:
        complaints += _budget_complaints(session, cents, options.count or 1)
    complain(complaints)
    if model and not options.model:
        session.out.note(f"model {model.id}: the cheapest that fits")
    return replace(plan, body=request.body(wish, model)), listing


def _wish(options: Options, complaints: list[AirvidError]) -> Wish:
    extra, wrong = request.parse_extra(
        options.set, has_seed=options.seed is not None, has_sound=options.sound is not None
    )
    complaints += wrong
    prompt = ""
    try:
        prompt = _prompt(options)
    except AirvidError as error:
        complaints.append(error)
    return Wish(
        prompt=prompt,
        model=options.model,
        mode=options.mode,
        duration=options.duration,
        aspect_ratio=options.aspect_ratio,
        quality=options.quality,
        image=options.image,
        references=tuple(options.reference),
        seed=options.seed,
        sound=options.sound,
        extra=extra,
    )


def _prompt(options: Options) -> str:
    """The prompt, from where it was said to be. Raises: UsageError, FileError."""
    hint = 'airvid create "fox in snow"; - reads it from standard input'
    if options.prompt is not None and options.prompt_file is not None:
        raise UsageError("PROMPT and --prompt-file contradict each other")
    if options.prompt is None and options.prompt_file is None:
        raise UsageError("no prompt", hint=hint)
    source = options.prompt_file or options.prompt
    if source == "-":
        prompt = _decoded(system.read_stdin(), "standard input")
    elif options.prompt_file is not None:
        try:
            with system.interruptible():
                prompt = _decoded(Path(options.prompt_file).read_bytes(), options.prompt_file)
        except OSError as error:
            raise FileError(f"the prompt file {options.prompt_file} cannot be read: {error.strerror}") from None
    else:
        prompt = _typed(options.prompt or "")
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


def _naming(session: Session, options: Options, wish: Wish, complaints: list[AirvidError]) -> Naming | None:
    """Where the clips go, if anywhere."""
    if options.output is None:
        return None
    options.wait = True
    try:
        name = Naming.parse(options.output, options.count or 1)
        if name.uses("seed") and wish.effective_seed is None:
            raise UsageError("-o uses {seed}, but no seed is set", hint="--seed NUMBER")
        finish.check_stdout(session, name, opens=bool(options.open))
        return name
    except AirvidError as error:
        complaints.append(error)
        return None


def _preview_complaints(session: Session, options: Options) -> list[AirvidError]:
    """Why --preview could not show anything once the clip is paid for."""
    if not options.preview:
        return []
    options.wait = True
    try:
        preview.check(session)
        if options.output == "-" or session.out.as_json:
            raise UsageError("--preview wants standard output for itself, without -o - and --json")
    except UsageError as error:
        return [error]
    return []


def _target_complaints(plan: Plan, options: Options) -> list[AirvidError]:
    """Why the clips cannot be put where -o says, as far as that can be told before there is an id."""
    if plan.name is None or plan.name.template is None:
        return []
    complaints: list[AirvidError] = []
    for n in range(1, plan.count + 1):
        try:
            # An id that is yet to come is as long as any.
            path = plan.path(n) if plan.name.is_known else plan.name.path(plan.fields(n, "0" * 36))
            naming.check(path, force=bool(options.force))
        except AirvidError as error:
            complaints.append(error)
    return complaints


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


def _model(models: list[Model] | None, wish: Wish, options: Options, complaints: list[AirvidError]) -> Model | None:
    if models is None:
        return None
    try:
        if wish.model is None:
            return request.choose_model(models, wish)
        model = request.find_model(models, wish.model)
    except UsageError as error:
        if not (options.no_validate and wish.model):
            complaints.append(error)
        return None
    if not options.no_validate:
        complaints += request.model_complaints(wish, model)
    return model


def _cost_complaints(options: Options, cents: float | None) -> list[AirvidError]:
    if options.max_cost is None:
        return []
    if cents is None:
        return [
            PaymentError(
                f"the price is unknown, so --max-cost {options.max_cost:g} cannot be kept",
                hint="airvid models shows prices; name a --model and a --duration",
            )
        ]
    total = cents * (options.count or 1)
    if total > options.max_cost * 100 + 1e-6:
        return [
            PaymentError(f"the estimate of {money(total)} passes --max-cost {options.max_cost:g}; nothing was sent")
        ]
    return []


def budgets(session: Session) -> dict[str, float]:
    """The budgets that are set, in USD, by period."""
    found = {period: session.settings.get(f"budget.{period}") for period in ("day", "month")}
    return {period: limit for period, limit in found.items() if limit is not None}


def _budget_complaints(session: Session, cents: float | None, count: int) -> list[AirvidError]:
    try:
        session.journal.check_budgets(budgets(session), cents, count)
    except AirvidError as error:
        return [error]
    return []


def claim(plan: Plan) -> None:
    """Make the folders and see that they take a file, so that a full disk costs nothing. Raises: FileError."""
    if plan.name is None or plan.name.template is None:
        return
    paths = [plan.path(n) for n in range(1, plan.count + 1)] if plan.name.is_known else [plan.name.folder / "clip.mp4"]
    for path in {path.parent: path for path in paths}.values():
        transfer.claim(path)
