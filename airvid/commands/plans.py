"""From options and settings to a checked plan: everything that a create does before something is spent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from airvid import clock, local_sandbox, system
from airvid.api.client import Listing
from airvid.api.models import Model
from airvid.clips import request
from airvid.clips.naming import Naming
from airvid.clips.plan import Plan, check_cost, model_for
from airvid.clips.prompt import file_meant
from airvid.clips.request import Request, collected
from airvid.commands import finish, preview
from airvid.config import checked
from airvid.destinations.cloud import is_url
from airvid.errors import AirvidError, AuthError, UsageError, complain
from airvid.session import Session
from airvid.ui.text import money


def chosen_settings(
    session: Session, given: Mapping[str, Any], complaints: list[AirvidError], *, shows_preview: bool
) -> dict[str, Any]:
    """Each setting, from the option where one was given, else from environment or config file; None where none says."""
    saves = given["output"] is not None or shows_preview
    if given["wait"] is False and saves:
        waiting = "-o" if given["output"] is not None else "--preview"
        complaints.append(UsageError(f"--no-wait contradicts {waiting}, which waits for the clip"))
    settings: dict[str, Any] = {}
    for keyword, value in given.items():
        name = keyword.replace("_", "-")
        settings[name] = None
        with collected(complaints):
            settings[name] = session.settings.choose(name, value)
            if value is None and (found := session.settings.find(name)):
                session.stored[name] = found
    if given["wait"] is False and not saves:
        settings["output"] = None  # a stored -o does not overrule --no-wait
    if given["open"] is None and settings["output"] is None:
        settings["open"] = None  # a stored --open is for clips that are saved
    if settings["output"] is not None or shows_preview:
        settings["wait"] = True
    settings["timeout"] = settings["timeout"] or None  # 0 is no limit
    return settings


def request_of(
    settings: Mapping[str, Any],
    image: str | None,
    reference: Sequence[str],
    extra: Sequence[str],
    complaints: list[AirvidError],
) -> Request:
    """What is asked for, without the prompt."""
    plain = request.plain_keys(settings)
    keys, wrong = request.parse_extra(extra, plain)
    complaints += wrong
    return Request(
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


def complaints_of(asked: Request, *, is_play: bool) -> list[AirvidError]:
    """The complaints that hold for any model. `is_play`: the sandbox gets it, with the faults in its prompt."""
    complaints = request.complaints_of(asked)
    if is_play:
        with collected(complaints):
            local_sandbox.check_prompt(asked.prompt or "")
    return complaints


async def extend(session: Session, asked: Request, clip: str) -> None:
    """Have the request go on from the last frame of a clip, a file or a task's. Raises: AirvidError."""
    preview.check_media("--extend")
    if asked.images or asked.mode not in (None, "image"):
        raise UsageError(
            "--extend contradicts --image, --reference and modes other than image: the clip has its first frame"
        )
    async with preview.located(session, clip) as found:
        with preview.opened(found.path) as opened, system.interruptible():
            still = opened.last()
    asked.image = f"the last frame of {clip}"
    asked.contents[asked.image] = still.content
    asked.extends, asked.shape = found.task_id or found.url or str(found.path.absolute()), (still.width, still.height)


def keep_shape(asked: Request, model: Model) -> None:
    """Ask for the shape of the clip that the request goes on from, where no option says another."""
    if asked.shape and not asked.aspect_ratio:
        asked.aspect_ratio = request.nearest_ratio(model.caps.aspect_ratios, asked.shape)


def check_words(session: Session, prompt: str | None, references: Sequence[str]) -> None:
    """See that a prompt on the line is no file's name: on a terminal that is a question. Raises: UsageError."""
    if prompt is None or prompt == "-" or (complaint := file_meant(prompt, references)) is None:
        return
    may_ask = sys.stdin.isatty() and session.out.stderr.isatty() and not session.out.as_json
    if not may_ask or not session.out.confirm(f"{complaint.message}. Make a clip of these words? [y/N] "):
        raise complaint


def offline_plan(
    session: Session,
    asked: Request,
    settings: Mapping[str, Any],
    complaints: list[AirvidError],
    *,
    shows_preview: bool,
) -> Plan:
    """The plan as far as it is known without the server, with the complaints about it."""
    name = None
    with collected(complaints):
        name = _naming(session, asked, settings)
    complaints += complaints_of(asked, is_play=session.is_play)
    if settings["open"] and not settings["output"]:
        complaints.append(UsageError("--open needs -o: a clip that is not saved cannot be opened"))
    if shows_preview:
        with collected(complaints):
            _check_preview(session, settings["output"])
    plan = Plan(
        asked,
        {"model": asked.model},
        settings["output"],
        name,
        settings["count"] or 1,
        clock.now(),
        force=bool(settings["force"]),
    )
    with collected(complaints):
        check_seeds(plan, settings)
    return plan


def check_seeds(plan: Plan, settings: Mapping[str, Any]) -> None:
    """See that the seeds, which count up from the setting, stay in its bounds. Raises: UsageError."""
    if settings["seed"] is not None:
        checked("seed", plan.seed(plan.count), f"the seed of clip {plan.count}")


def check_seed_named(name: Naming, asked: Request) -> None:
    """See that there is a seed for names with {seed}. Raises: UsageError."""
    if name.uses("seed") and asked.effective_seed is None:
        raise UsageError("-o uses {seed}, but no seed is set", hint="--seed NUMBER")


def _naming(session: Session, asked: Request, settings: Mapping[str, Any]) -> Naming | None:
    """Raises: UsageError, FileError."""
    if settings["output"] is None:
        return None
    name = Naming.parse(settings["output"], settings["count"] or 1)
    check_seed_named(name, asked)
    finish.check_stdout(session, name, opens=bool(settings["open"]))
    return name


def _check_preview(session: Session, output: str | None) -> None:
    """See that --preview can show something once the clip is paid for. Raises: UsageError."""
    preview.check(session)
    if output == "-" or session.out.as_json:
        raise UsageError("--preview wants standard output for itself, without -o - and --json")
    if output and is_url(output):
        raise UsageError("--preview shows a file, and -o names an object in a store", hint="-o FILE")


async def complete(
    session: Session,
    plan: Plan,
    settings: Mapping[str, Any],
    complaints: list[AirvidError],
    *,
    dry_run: bool,
    no_validate: bool,
) -> Listing | None:
    """Complete the plan by what the server says; the tasks that there are before the create.

    Raises: AirvidError with all complaints, nothing sent.
    """
    asked = plan.asked
    # A file's name may contain the model's. Where it does not, the files are checked before the server is asked.
    checked_early = asked.model is not None or plan.name is None or not plan.name.uses("model")
    if checked_early:
        await plan.check_places(complaints)
    needs_models = not (no_validate and asked.model)
    try:
        models, listing = await _ask(session, settings, dry_run=dry_run, needs_models=needs_models)
    except AirvidError:
        complain(complaints)  # before an error of the server, the user sees what is wrong with the request
        raise
    model = None if models is None else model_for(asked, models, complaints, no_validate=no_validate)
    if model:
        plan.body["model"], plan.cents = model.id, model.cents(asked.duration)
        keep_shape(asked, model)
    plan.seconds = model.seconds(asked.duration) if model else asked.duration
    if not checked_early:
        await plan.check_places(complaints)
    if model or no_validate:  # without a model, the complaint about it is all
        with collected(complaints):
            check_cost(settings["max-cost"], plan.total_cents)
        with collected(complaints):
            session.journal.check_budgets(budgets(session), plan.cents, plan.count)
    complain(complaints)
    plan.body = request.body(asked, model)
    _tell(session, plan)
    return listing


def _tell(session: Session, plan: Plan) -> None:
    for warning in plan.asked.warnings:
        session.out.warn(warning)
    session.out.note(_bought(session, plan))


def _bought(session: Session, plan: Plan) -> str:
    """What a create buys, as a sentence: model and why, seconds, shape, price."""
    asked, setting = plan.asked, session.settings.find("model")
    is_set = setting is not None and setting.value == asked.model
    why = (
        " (the cheapest that fits)" if not asked.model else f" (as {setting.source} says)" if setting and is_set else ""
    )
    own = "its own length" if plan.seconds is None else f"{plan.seconds:g} s (its shortest)"
    shape = [str(plan.body[key]) for key in ("aspect_ratio", "quality") if key in plan.body] or ["its own shape"]
    price = "price unknown" if plan.total_cents is None else f"estimated at {money(plan.total_cents)}"
    clips = "" if plan.count == 1 else f"{plan.count} clips of "
    parts = [f"{asked.duration} s" if asked.duration else own, *shape, price + (" in all" if clips else "")]
    return f"{clips}{plan.body['model']}{why}: {', '.join(parts)}"


async def _ask(
    session: Session, settings: Mapping[str, Any], *, dry_run: bool, needs_models: bool
) -> tuple[list[Model] | None, Listing | None]:
    """The models, and the tasks that there are before the create: a lost answer is later compared with them."""
    try:
        async with asyncio.timeout(settings["timeout"] or None):
            if dry_run:
                return await session.models(need_key=False), None
            session.api()  # raises AuthError without a key, before anything is asked
            needs_price = settings["max-cost"] is not None or bool(budgets(session))
            if not needs_models and not needs_price:
                return None, await _present(session)
            models, present = await asyncio.gather(session.models(), _present(session))
            return models, present
    except TimeoutError:
        raise session.time_up("nothing was sent: the time was up before the server had told its models") from None


async def _present(session: Session) -> Listing | None:
    """The tasks that there are; None where the server does not answer at once, which does not stop a create."""
    try:
        async with asyncio.timeout(5):
            return await session.api().tasks(patience=0)
    except AuthError:
        raise
    except (AirvidError, TimeoutError):
        return None


def budgets(session: Session) -> dict[str, float]:
    """The budgets that are set, in USD, by period."""
    found = {period: session.settings.get(f"budget.{period}") for period in ("day", "month")}
    return {period: limit for period, limit in found.items() if limit is not None}


def command_for(session: Session, line: Mapping[str, Any], count: int, seed: object) -> str:
    """The command that asks for `count` clips as `line` did, which is what was typed, by the names of the parameters.

    `seed`: that of the first.
    """
    typed = {**line, "prompt": None, "count": count}
    if isinstance(seed, int):
        typed["set"] = [pair for pair in line["set"] if pair.partition("=")[0].strip() != "seed"]
        typed["seed"] = seed
    words: list[str] = []
    for parameter, value in typed.items():
        name = parameter.replace("_", "-")
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, bool):
                words += [f"--{name}"] if each else [f"--no-{name}"] * (name in ("sound", "wait"))
            elif each is not None:
                words += [f"--{name}", str(each)]
    prompt = [] if line["prompt"] is None else [line["prompt"]]
    if prompt and prompt[0].startswith("-") and prompt != ["-"]:
        return session.command("create", *words, "--", *prompt)
    return session.command("create", *prompt, *words)
