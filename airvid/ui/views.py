"""The nouns as they are shown: fields of a line for a program, cells of a table or lines of a card for a reader.

A program gets bare numbers (USD, Unix seconds) and everything whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from airvid import clock
from airvid.api.models import COMPLETED, EXPIRED, FAILED, QUEUED, TERMINAL, Model, Task
from airvid.ui.task_view import TaskView
from airvid.ui.terminal import file_link, web_link
from airvid.ui.text import age, dumps, length, moment, money, short_id, size, unix, usd

STATUS_STYLE = {COMPLETED: "green", FAILED: "red", EXPIRED: "yellow", QUEUED: "dim", "unknown": "red"}


class Column(NamedTuple):
    """A column: aligned at an edge or at its decimal `point`, and how it gives way where there is no room.

    Those with the least `worth` are left out first.
    """

    name: str
    worth: int
    align: Literal["left", "right", "point"] = "left"
    gives: Literal["", "cut", "wrap"] = ""


class Cell(NamedTuple):
    """Something to show, its style, and where it leads."""

    text: str | None
    style: str = ""
    url: str | None = None


Card = tuple[Cell, list[tuple[str, Cell]]]

# ---------------------------------------------------------------------- tasks

TASK_COLUMNS = (
    Column("ID", 9),
    Column("STATUS", 8),
    Column("AGE", 6, "right"),
    Column("COST", 3, "point"),
    Column("MODEL", 2),
    Column("PROMPT", 7, gives="cut"),
    Column("FILE", 4, gives="cut"),
)


def task_fields(seen: TaskView) -> list[str | None]:
    """Id, status, percent, creation, USD, model, prompt, file."""
    percent = "" if seen.task is None or seen.task.progress is None else f"{seen.task.progress:.0f}"
    cost = usd(seen.cost_cents)
    return [_id(seen), seen.status, percent, unix(seen.created), cost, seen.model, seen.prompt, seen.file]


def entry_fields(seen: TaskView) -> list[str | None]:
    """Id, status, creation, estimated USD, settled USD, model, prompt, file."""
    entry = seen.entry
    costs = (usd(entry.estimate_cents), usd(entry.cost_cents)) if entry else ("", "")
    return [_id(seen), seen.status, unix(seen.created), *costs, seen.model, seen.prompt, seen.file]


def task_cells(seen: TaskView) -> list[Cell]:
    made = "" if seen.created is None else age(clock.now() - seen.created)
    file = seen.file or ""
    return [
        Cell(short_id(_id(seen)), "", web_link(seen.task.result_url if seen.task else None)),
        Cell(_progress(seen), STATUS_STYLE.get(seen.status, "")),
        Cell(made, "dim"),
        Cell(_cost(seen)),
        Cell(seen.model),
        Cell(seen.prompt),
        Cell(os.path.basename(file), "", file_link(file)),
    ]


def task_card(seen: TaskView) -> Card:
    """One task in full."""
    task, entry = seen.task, seen.entry
    url = task.result_url if task else None
    made = "" if seen.created is None else f"{length(clock.now() - seen.created)} ago"
    took = "" if not entry or entry.took is None else f", took {length(entry.took)}"
    saved = "" if not entry or entry.bytes is None else f" ({size(entry.bytes)})"
    near = seen.file and seen.file.removeprefix(os.path.join(os.getcwd(), ""))
    return Cell(_id(seen), "bold"), [
        ("status", Cell(_progress(seen), STATUS_STYLE.get(seen.status, ""))),
        ("prompt", Cell(seen.prompt)),
        ("model", Cell(", ".join(_wish(seen)))),
        ("cost", Cell(_settled(seen))),
        ("made", Cell(made and made + took)),
        ("expires", Cell(_expiry(task))),
        ("error", Cell((task and task.error) or (entry and entry.error), "red")),
        ("file", Cell(near and near + saved, "", file_link(seen.file))),
        ("url", Cell(url, "", web_link(url))),
    ]


def _id(seen: TaskView) -> str:
    """A create of unknown fate has no id."""
    return seen.task_id or f"(intent {seen.entry.id if seen.entry else ''})"


def _progress(seen: TaskView) -> str:
    task = seen.task
    if not task or task.is_terminal or not task.progress:
        return seen.status
    return f"{seen.status} {task.progress:.0f}%"


def _cost(seen: TaskView) -> str:
    """`~$0.18` as long as it is an estimate."""
    if seen.cost_cents is None or seen.is_free:
        return ""
    return ("" if _is_settled(seen) else "~") + money(seen.cost_cents)


def _is_settled(seen: TaskView) -> bool:
    told = seen.task.cost_cents if seen.task else seen.entry.cost_cents if seen.entry else None
    return seen.status in TERMINAL and told is not None


def _settled(seen: TaskView) -> str:
    if seen.is_free:
        return "not charged"
    if seen.cost_cents is None:
        return "unknown"
    return money(seen.cost_cents) + ("" if _is_settled(seen) else ", estimated")


def _wish(seen: TaskView) -> Iterator[str]:
    asked = seen.entry.request if seen.entry else {}
    told = seen.task.raw if seen.task else {}
    if seen.model:
        yield seen.model
    if seconds := clip_seconds(seen):
        yield f"{seconds:g} s"
    for key in ("aspect_ratio", "quality", "mode"):
        value = told.get(key) or asked.get(key)
        if isinstance(value, str) and value:
            yield value
    if asked.get("seed") is not None:
        yield f"seed {asked['seed']}"


def clip_seconds(seen: TaskView) -> float | None:
    """How long a clip is, as the server says, else as it was asked for."""
    if seen.task and seen.task.duration_seconds is not None:
        return seen.task.duration_seconds
    asked = seen.entry.request.get("duration_seconds") if seen.entry else None
    return float(asked) if isinstance(asked, int | float) else None


def _expiry(task: Task | None) -> str:
    if not task or task.expires_at is None or task.status != COMPLETED:
        return ""
    left = task.expires_at - clock.now()
    return (f"in {length(left)}, " if left > 0 else "") + f"on {moment(task.expires_at)}"


# ---------------------------------------------------------------------- models


def model_columns(seconds: float | None) -> tuple[Column, ...]:
    """`seconds`: of the clip whose price is shown; None: of each model's shortest."""
    return (
        Column("MODEL", 9),
        Column("STATUS", 7),
        Column("FROM" if seconds is None else f"$/{seconds:g} S", 8, "point"),
        Column("$/S", 2, "point"),
        Column("SEC", 6, "right"),
        Column("MODES", 5, gives="wrap"),
        Column("RATIOS", 4, gives="wrap"),
        Column("QUALITIES", 3, gives="wrap"),
    )


def model_fields(model: Model, seconds: float | None) -> list[str | None]:
    """Id, modes, seconds, aspect ratios, qualities, USD a second, USD a clip, health."""
    caps = model.caps
    return [
        model.id,
        ",".join(caps.modes),
        _span(model, "-"),
        ",".join(caps.aspect_ratios),
        ",".join(caps.qualities),
        usd(caps.cents_per_second),
        usd(model.cents(seconds)),
        model.status,
    ]


def model_cells(model: Model, seconds: float | None) -> list[Cell]:
    caps = model.caps
    cents = model.cents(seconds)
    return [
        Cell(model.id),
        _health(model),
        Cell(money(cents), "dim" if cents is None else "bold"),
        Cell("" if caps.cents_per_second is None else money(caps.cents_per_second), "dim"),
        Cell(_span(model, "–")),
        Cell(" ".join(caps.modes)),
        Cell(" ".join(caps.aspect_ratios)),
        Cell(" ".join(caps.qualities)),
    ]


def model_card(model: Model, seconds: float | None) -> Card:
    """One model in full, with whatever else the server says of it."""
    caps, span = model.caps, _span(model, "–")
    return Cell(model.id, "bold"), [
        ("status", Cell(model.status or "unknown", _health(model).style)),
        ("modes", Cell(", ".join(caps.modes))),
        ("duration", Cell(span and f"{span} s")),
        ("aspect ratios", Cell(", ".join(caps.aspect_ratios))),
        ("qualities", Cell(", ".join(caps.qualities))),
        ("price", Cell(_prices(model, seconds))),
        *(
            (key, Cell(value if isinstance(value, str) else dumps(value), "dim"))
            for key, value in model.raw.items()
            if key not in ("id", "status", "video_caps") and value not in (None, [], {}, "")
        ),
    ]


def model_record(model: Model, seconds: float | None) -> dict[str, Any]:
    """A model as the API tells it, plus what a clip costs."""
    cents = model.cents(seconds)
    clip = {
        "seconds": seconds if seconds is not None else model.caps.min_seconds,
        "cost_usd": None if cents is None else round(cents / 100, 8),
    }
    return model.raw | {"airvid": {"clip": clip, "healthy": model.is_healthy}}


def _health(model: Model) -> Cell:
    """The server's own word where something is wrong."""
    if model.status is None:
        return Cell("?", "dim")
    return Cell("up", "green") if model.is_healthy else Cell(model.status, "red")


def _span(model: Model, dash: str) -> str:
    """`2-15`, `5`, or nothing where the server does not say."""
    least, most = model.caps.min_seconds, model.caps.max_seconds
    if least == most:
        return "" if least is None else f"{least:g}"
    return f"{'' if least is None else f'{least:g}'}{dash}{'' if most is None else f'{most:g}'}"


def _prices(model: Model, seconds: float | None) -> str:
    """`$0.0225 a second: $0.045 for 2 s, $0.18 for 8 s`."""
    caps = model.caps
    if caps.cents_per_second is None:
        return "unknown"
    lengths = {each for each in (caps.min_seconds, seconds, caps.max_seconds) if each}
    clips = ", ".join(f"{money(model.cents(each))} for {each:g} s" for each in sorted(lengths))
    return f"{money(caps.cents_per_second)} a second" + (f": {clips}" if clips else "")
