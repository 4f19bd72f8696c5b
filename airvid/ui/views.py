"""How tasks, models and settings are shown: as a table or a card for a reader, as fields of a line for a program.

A program gets bare numbers (USD, Unix seconds) and uncut text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airvid import clock
from airvid.api.models import COMPLETED, EXPIRED, FAILED, QUEUED, TERMINAL, Model, Task
from airvid.ui.task_view import TaskView
from airvid.ui.terminal import file_link, web_link
from airvid.ui.text import age, dumps, length, moment, money, short_id, size, unix, usd

if TYPE_CHECKING:
    from airvid.config import Setting

_STATUS_STYLE = {COMPLETED: "green", FAILED: "red", EXPIRED: "yellow", QUEUED: "dim", "unknown": "red"}


class Cell(NamedTuple):
    """A text, its style, and the address of its link."""

    text: str | None
    style: str = ""
    url: str | None = None


class Column(NamedTuple):
    """A column of a table. Where not all columns fit, those with the least `worth` are left out.

    `align` is an edge, or the decimal point; `shrinks` says how a cell gets narrower: not at all, cut, or wrapped.
    """

    name: str
    cell: Callable[[Any], Cell]
    worth: int
    align: Literal["left", "right", "point"] = "left"
    shrinks: Literal["", "cut", "wrap"] = ""


class Card(NamedTuple):
    """One row in full: a title, and a line for each fact. Facts without text are left out."""

    title: Cell
    facts: list[tuple[str, Cell]]


class Table(NamedTuple):
    """Rows of one kind: the columns and the card for a reader, the fields of a line and the JSON for a program."""

    columns: Sequence[Column]
    fields: Callable[[Any], Sequence[object]]
    record: Callable[[Any], dict[str, Any]]
    card: Callable[[Any], Card] | None = None


# ---------------------------------------------------------------------- tasks


def _id(view: TaskView) -> str:
    return view.task_id or "(no id)"


def _status(view: TaskView) -> Cell:
    task = view.task
    percent = f" {task.progress:.0f}%" if task and task.progress and not task.is_terminal else ""
    return Cell(view.status + percent, _STATUS_STYLE.get(view.status, ""))


def _cost(view: TaskView) -> str:
    """`$0.18`, an estimate as `~$0.18`."""
    if view.cost_cents is None or view.is_free:
        return ""
    return ("" if _is_settled(view) else "~") + money(view.cost_cents)


def _is_settled(view: TaskView) -> bool:
    known = view.task or view.entry
    return view.status in TERMINAL and known is not None and known.cost_cents is not None


def _cost_in_words(view: TaskView) -> str:
    if view.is_free:
        return "not charged"
    if view.cost_cents is None:
        return "unknown"
    return money(view.cost_cents) + ("" if _is_settled(view) else ", estimated")


def _request(view: TaskView) -> Iterator[str]:
    asked = view.entry.request if view.entry else {}
    raw = view.task.raw if view.task else {}
    if view.model:
        yield view.model
    if seconds := clip_seconds(view):
        yield f"{seconds:g} s"
    for key in ("aspect_ratio", "quality", "mode"):
        value = raw.get(key) or asked.get(key)
        if isinstance(value, str) and value:
            yield value
    if asked.get("seed") is not None:
        yield f"seed {asked['seed']}"


def clip_seconds(view: TaskView) -> float | None:
    """The length of a clip: the server's, else the requested one."""
    if view.task and view.task.duration_seconds is not None:
        return view.task.duration_seconds
    asked = view.entry.request.get("duration_seconds") if view.entry else None
    return float(asked) if isinstance(asked, int | float) else None


def _expiry(task: Task | None) -> str:
    if not task or task.expires_at is None or task.status != COMPLETED:
        return ""
    left = task.expires_at - clock.now()
    return (f"in {length(left)}, " if left > 0 else "") + f"on {moment(task.expires_at)}"


def _age(view: TaskView) -> str:
    return "" if view.created is None else age(clock.now() - view.created)


def _from_here(path: str | None) -> str:
    """A path as it can be used in the working folder: the shorter of the relative and the absolute one."""
    try:
        return min(os.path.relpath(path), path, key=len) if path and path != "-" else path or ""
    except (OSError, ValueError):  # the folder is gone; another drive of Windows
        return path or ""


def _task_fields(view: TaskView) -> list[str | None]:
    """Id, status, percent, creation, USD, model, prompt, file."""
    percent = "" if view.task is None or view.task.progress is None else f"{view.task.progress:.0f}"
    cost = usd(view.cost_cents)
    return [_id(view), view.status, percent, unix(view.created), cost, view.model, view.prompt, view.file]


def _entry_fields(view: TaskView) -> list[str | None]:
    """Id, status, creation, estimated USD, settled USD, model, prompt, file."""
    entry = view.entry
    costs = (usd(entry.estimate_cents), usd(entry.cost_cents)) if entry else ("", "")
    return [_id(view), view.status, unix(view.created), *costs, view.model, view.prompt, view.file]


def _task_card(view: TaskView) -> Card:
    task, entry = view.task, view.entry
    url = task.result_url if task else None
    made = "" if view.created is None else f"{length(clock.now() - view.created)} ago"
    took = "" if not entry or entry.took is None else f", took {length(entry.took)}"
    saved = "" if not entry or entry.bytes is None else f" ({size(entry.bytes)})"
    file = _from_here(view.file)
    facts = [
        ("status", _status(view)),
        ("prompt", Cell(view.prompt)),
        ("model", Cell(", ".join(_request(view)))),
        ("extends", Cell(entry and entry.extends)),
        ("cost", Cell(_cost_in_words(view))),
        ("made", Cell(made and made + took)),
        ("expires", Cell(_expiry(task))),
        ("error", Cell((task and task.error) or (entry and entry.error), "red")),
        ("file", Cell(file and file + saved, url=file_link(view.file))),
        ("url", Cell(url, url=web_link(url))),
    ]
    return Card(Cell(_id(view), "bold"), facts)


def _prompt_and_chain(view: TaskView) -> Cell:
    """The prompt, and before it the clip that this one goes on from."""
    extends = view.entry and view.entry.extends
    before = f"after {os.path.basename(short_id(extends))}: " if extends else ""
    return Cell(before + (view.prompt or "") or None)


_TASK_COLUMNS = (
    Column("ID", lambda view: Cell(short_id(_id(view)), url=web_link(view.task and view.task.result_url)), 9),
    Column("STATUS", _status, 8),
    Column("AGE", lambda view: Cell(_age(view), "dim"), 6, "right"),
    Column("COST", lambda view: Cell(_cost(view)), 3, "point"),
    Column("MODEL", lambda view: Cell(view.model), 2),
    Column("PROMPT", lambda view: Cell(view.prompt), 7, shrinks="cut"),
    Column("FILE", lambda view: Cell(_from_here(view.file), url=file_link(view.file)), 4, shrinks="wrap"),
)
TASKS = Table(_TASK_COLUMNS, _task_fields, TaskView.record, _task_card)
ENTRIES = TASKS._replace(
    columns=[each._replace(cell=_prompt_and_chain) if each.name == "PROMPT" else each for each in _TASK_COLUMNS],
    fields=_entry_fields,
)


# ---------------------------------------------------------------------- models


def _state(model: Model) -> str:
    """`up`, `unknown`, or the server's own word for what is wrong."""
    return "unknown" if model.status is None else "up" if model.is_healthy else model.status


def _health(model: Model) -> Cell:
    return Cell(_state(model), "dim" if model.status is None else "green" if model.is_healthy else "red")


def _price(model: Model, seconds: float | None) -> Cell:
    cents = model.cents(seconds)
    return Cell(money(cents), "dim" if cents is None else "bold")


def _per_second(model: Model) -> str:
    return "" if model.caps.cents_per_second is None else money(model.caps.cents_per_second)


def _span(model: Model, dash: str) -> str:
    """The lengths in seconds: `2-15`, `5`, or nothing where they are unknown."""
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


def _model_fields(model: Model, seconds: float | None) -> list[str | None]:
    """Id, modes, seconds, aspect ratios, qualities, USD a second, USD a clip, health."""
    caps = model.caps
    names = [",".join(caps.modes), _span(model, "-"), ",".join(caps.aspect_ratios), ",".join(caps.qualities)]
    return [model.id, *names, usd(caps.cents_per_second), usd(model.cents(seconds)), _state(model)]


def _model_card(model: Model, seconds: float | None) -> Card:
    """Also every other key that the server sent."""
    caps, span = model.caps, _span(model, "–")
    facts = [
        ("status", _health(model)),
        ("modes", Cell(", ".join(caps.modes))),
        ("duration", Cell(span and f"{span} s")),
        ("aspect ratios", Cell(", ".join(caps.aspect_ratios))),
        ("qualities", Cell(", ".join(caps.qualities))),
        ("price", Cell(_prices(model, seconds))),
    ]
    for key, value in model.raw.items():
        if key not in ("id", "status", "video_caps") and value not in (None, [], {}, ""):
            facts.append((key, Cell(value if isinstance(value, str) else dumps(value), "dim")))
    return Card(Cell(model.id, "bold"), facts)


def _model_record(model: Model, seconds: float | None) -> dict[str, Any]:
    """The API's object with all its keys, and the key `airvid` with what a clip costs."""
    cents = model.cents(seconds)
    clip = {
        "seconds": model.seconds(seconds),
        "cost_usd": None if cents is None else round(cents / 100, 8),
    }
    return model.raw | {"airvid": {"clip": clip, "healthy": model.is_healthy}}


def models(seconds: float | None) -> Table:
    """`seconds`: of the clip whose price is shown; None: of each model's shortest clip."""
    return Table(
        (
            Column("MODEL", lambda model: Cell(model.id), 9),
            Column("STATUS", _health, 7),
            Column("FROM" if seconds is None else f"$/{seconds:g} S", lambda model: _price(model, seconds), 8, "point"),
            Column("$/S", lambda model: Cell(_per_second(model), "dim"), 2, "point"),
            Column("SEC", lambda model: Cell(_span(model, "–")), 6, "right"),
            Column("MODES", lambda model: Cell(" ".join(model.caps.modes)), 5, shrinks="wrap"),
            Column("RATIOS", lambda model: Cell(" ".join(model.caps.aspect_ratios)), 4, shrinks="wrap"),
            Column("QUALITIES", lambda model: Cell(" ".join(model.caps.qualities)), 3, shrinks="wrap"),
        ),
        lambda model: _model_fields(model, seconds),
        lambda model: _model_record(model, seconds),
        lambda model: _model_card(model, seconds),
    )


# ---------------------------------------------------------------------- settings


def setting_value(setting: Setting) -> str:
    """The value as it can be given again: `true`, `20`."""
    value = setting.value
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


SETTINGS = Table(
    (
        Column("SETTING", lambda setting: Cell(setting.name), 9),
        Column("VALUE", lambda setting: Cell(setting_value(setting)), 8, shrinks="wrap"),
        Column("FROM", lambda setting: Cell(setting.source), 5, shrinks="wrap"),
    ),
    lambda setting: [setting.name, setting_value(setting), setting.source],
    lambda setting: setting._asdict(),
)


# ---------------------------------------------------------------------- faults of the sandbox


def _fault_record(row: tuple[str, Any]) -> dict[str, Any]:
    name, kind = row
    often = "once" if kind.places else "always"
    return {"fault": name, "does": kind.does, "example": kind.example, "where": [*kind.places], "default": often}


FAULTS = Table(
    (
        Column("FAULT", lambda row: Cell(row[0]), 9),
        Column("WHAT HAPPENS", lambda row: Cell(row[1].does), 8, shrinks="wrap"),
        Column("EXAMPLE", lambda row: Cell(row[1].example), 7),
        Column("@WHERE", lambda row: Cell(" ".join(row[1].places)), 5, shrinks="wrap"),
        Column("TIMES", lambda row: Cell(_fault_record(row)["default"]), 4),
    ),
    lambda row: [" ".join(each) if isinstance(each, list) else each for each in _fault_record(row).values()],
    _fault_record,
)


# ---------------------------------------------------------------------- what doctor finds


_FINDING_STYLE = {"ok": "green", "note": "yellow", "wrong": "red"}
FINDINGS = Table(
    (
        Column("STATE", lambda row: Cell(row.state, _FINDING_STYLE[row.state]), 9),
        Column("CHECK", lambda row: Cell(row.check), 8),
        Column("FINDING", lambda row: Cell("; hint: ".join(filter(None, (row.message, row.hint)))), 7, shrinks="wrap"),
    ),
    lambda row: [row.state, row.check, row.message, row.hint],
    lambda row: row._asdict(),
)
