"""The summary of a run for a CI: a Markdown table of its clips, appended to a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from airvid.ui.task_view import TaskView
from airvid.ui.text import counted, money, plain, short_id
from airvid.ui.views import clip_seconds

_HEAD = "| clip | prompt | model | state | seconds | cost | file |\n|---|---|---|---|--:|--:|---|\n"
_LONGEST = 200


def append(path: Path, title: str, clips: Sequence[TaskView]) -> None:
    """Append a table of the clips with their total. Raises: OSError."""
    lines = [_row(*_cells(view)) for view in clips]
    seconds = sum(clip_seconds(view) or 0 for view in clips)
    cents = [view.cost_cents for view in clips if not view.is_free and view.cost_cents is not None]
    total = _row("total", counted(len(clips), "clip"), "", "", f"{seconds:g}", money(sum(cents)), "")
    with path.open("a", encoding="utf-8", newline="\n") as file:
        begins = "\n" if file.tell() else ""
        file.write(f"{begins}### {_escaped(title)}\n\n{_HEAD}{''.join(lines)}{total}\n")


def _cells(view: TaskView) -> list[str | None]:
    seconds = clip_seconds(view)
    price = "$0" if view.is_free else money(view.cost_cents)
    about = [short_id(view.task_id), view.prompt, view.model, view.status]
    return [*about, "" if seconds is None else f"{seconds:g}", price, view.file]


def _row(*cells: str | None) -> str:
    return f"| {' | '.join(_escaped(cell or '') for cell in cells)} |\n"


def _escaped(text: str) -> str:
    """Foreign text, escaped for Markdown."""
    return re.sub(r"[^\w\s.,-]|_", lambda found: f"&#{ord(found[0])};", plain(text, _LONGEST))
