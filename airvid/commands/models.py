"""airvid models: the video models, what each can do and what it costs (contract §4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from airvid import request
from airvid.config import checked
from airvid.errors import NotFoundError, UsageError
from airvid.session import Session
from airvid.tasks import MODES, Model


class Options(NamedTuple):
    names: Sequence[str] = ()
    mode: str | None = None
    aspect_ratio: str | None = None
    quality: str | None = None
    duration: int | None = None
    max_price: str | None = None
    sort: str = "price"


async def run(session: Session, options: Options) -> None:
    max_price = None if options.max_price is None else checked("max-cost", options.max_price, "--max-price")
    if options.duration is not None:
        checked("duration", options.duration, "--duration")
    if options.sort not in ("price", "name"):
        raise UsageError(f"--sort {options.sort!r} is not one of price, name")
    if options.mode is not None and options.mode not in MODES:
        raise UsageError(f"--mode {options.mode!r} is not one of {', '.join(MODES)}")
    models = await session.models(need_key=False)
    if options.names:
        found = [_named(models, name) for name in options.names]
        if session.out.as_json:
            session.out.models(found, options.duration)
        else:
            for model in found:
                session.out.model(model, options.duration)
        return
    fitting = [model for model in models if _fits(model, options, max_price)]
    fitting.sort(key=lambda model: model.id)
    if options.sort == "price":
        fitting.sort(key=lambda model: math.inf if (cents := model.cents(options.duration)) is None else cents)
    session.out.models(fitting, options.duration)
    if not fitting:
        session.out.note("no video model fits" if models else "the server lists no video models")


def _named(models: list[Model], name: str) -> Model:
    """The model of this name. Raises: NotFoundError: nothing was to be made of it, so it is no wrong option."""
    try:
        return request.find_model(models, name)
    except UsageError as error:
        raise NotFoundError(error.message, hint=error.hint) from None


def _fits(model: Model, options: Options, max_price: float | None) -> bool:
    """Whether the model can do all that is asked; where its caps are silent, it may."""
    caps = model.caps
    for asked, allowed in (
        (options.mode, caps.modes),
        (options.aspect_ratio, caps.aspect_ratios),
        (options.quality, caps.qualities),
    ):
        if asked is not None and allowed and request.spelling(asked, allowed) is None:
            return False
    least, most, seconds = caps.min_seconds, caps.max_seconds, options.duration
    if seconds is not None and not (least or 0) <= seconds <= (math.inf if most is None else most):
        return False
    cents = model.cents(seconds)
    return max_price is None or (cents is not None and cents <= max_price * 100 + 1e-6)
