"""airvid models: the video models, what each can do and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from airvid.api.models import MODES, Model
from airvid.clips import request
from airvid.config import checked
from airvid.errors import NotFoundError, UsageError
from airvid.session import Session
from airvid.ui import views


async def run(
    session: Session,
    *,
    names: Sequence[str],
    mode: str | None,
    aspect_ratio: str | None,
    quality: str | None,
    duration: str | None,
    max_price: str | None,
    sort: str,
) -> None:
    most_usd = None if max_price is None else checked("max-cost", max_price, "--max-price")
    seconds = None if duration is None else checked("duration", duration, "--duration")
    if sort not in ("price", "name"):
        raise UsageError(f"--sort: {sort!r} is not one of price, name")
    if mode is not None and mode not in MODES:
        raise UsageError(f"--mode: {mode!r} is not one of {', '.join(MODES)}")
    models = await session.models(need_key=False)
    if names:
        found = [_named(models, name) for name in names]
        if session.out.as_json or session.out.is_terminal:
            session.out.show(views.models(seconds), found, as_array=True, in_full=True)
        else:
            for model in found:
                session.out.keys(views.models(seconds).record(model))
        return
    asked = {"modes": mode, "aspect_ratios": aspect_ratio, "qualities": quality}
    fitting = [model for model in models if _fits(model, asked, seconds, most_usd)]
    fitting.sort(key=lambda model: model.id)
    if sort == "price":  # models that can be used come first
        fitting.sort(key=lambda model: (not model.is_healthy, _price(model, seconds)))
    session.out.show(views.models(seconds), fitting, as_array=True)
    if not models:
        session.out.note("the server lists no video models")
    elif not any(_tells(model, asked, seconds) for model in fitting):
        longest = max((model.caps.max_seconds or 0 for model in models), default=0)
        why = f": the longest is {longest:g} s" if seconds is not None and seconds > longest > 0 else ""
        fits = "says that it fits" if fitting else "fits"
        session.out.note(f"no video model {fits}{why}")


def _price(model: Model, seconds: float | None) -> float:
    return math.inf if (cents := model.cents(seconds)) is None else cents


def _tells(model: Model, asked: Mapping[str, str | None], seconds: float | None) -> bool:
    """Whether the model's caps name everything that is asked for."""
    named = all(value is None or getattr(model.caps, name) for name, value in asked.items())
    return named and (seconds is None or model.caps.max_seconds is not None)


def _named(models: list[Model], name: str) -> Model:
    """The model of this name. Raises: NotFoundError: nothing was to be made of it, so it is no wrong option."""
    try:
        return request.find_model(models, name)
    except UsageError as error:
        raise NotFoundError(error.message, hint=error.hint) from None


def _fits(model: Model, asked: Mapping[str, str | None], seconds: int | None, most_usd: float | None) -> bool:
    """Whether the model can do all that is asked; where its caps are silent, it may."""
    caps = model.caps
    for name, value in asked.items():
        allowed = getattr(caps, name)
        if value is not None and allowed and request.spelling(value, allowed) is None:
            return False
    least, most = caps.min_seconds, caps.max_seconds
    if seconds is not None and not (least or 0) <= seconds <= (math.inf if most is None else most):
        return False
    cents = model.cents(seconds)
    return most_usd is None or (cents is not None and cents <= most_usd * 100 + 1e-6)
