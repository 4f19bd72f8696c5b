"""Tables on a terminal: what identifies a row stands whole, what describes it gives way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airvid.tasks import COMPLETED, EXPIRED, FAILED

# On a narrow terminal, columns that are cut short (with their share of the room), wrapped at words, or numbers.
_LONG_COLUMNS = {"PROMPT": 2, "FILE": 1}
_WRAPPED_COLUMNS = {"MODES", "ASPECT RATIOS", "QUALITIES", "VALUE", "FROM"}
_NUMBER_COLUMNS = {"%", "AGE", "ESTIMATE", "COST", "$/S", "$/CLIP", "SECONDS"}
_STATUS_STYLE = {COMPLETED: "green", FAILED: "red", EXPIRED: "yellow", "unknown": "red"}


def draw(header: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO, *, with_color: bool) -> None:
    """Print a table. The cells are tame by now (`output.plain`); a status shows by its colour, too."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column, name in enumerate(header):
        table.add_column(
            name,
            justify="right" if name in _NUMBER_COLUMNS else "left",
            no_wrap=name not in _WRAPPED_COLUMNS,
            overflow="ellipsis" if name not in _WRAPPED_COLUMNS else "fold",
            ratio=_LONG_COLUMNS.get(name),
            min_width=_least_width(name, [row[column] for row in rows]),
        )
    for row in rows:
        table.add_row(*(Text(field, style=_STATUS_STYLE.get(field, "")) for field in row))
    table.expand = any(name in _LONG_COLUMNS for name in header)
    console = Console(file=stream, no_color=not with_color, highlight=False, markup=False, emoji=False)
    console.print(table)


def _least_width(name: str, cells: Sequence[str]) -> int | None:
    """What a column never goes below while there is room: its values whole, or their longest word."""
    if name in _LONG_COLUMNS:
        return None
    words = [word for cell in cells for word in cell.split(" ")] if name in _WRAPPED_COLUMNS else cells
    return max(len(name), *(min(24 if name not in _WRAPPED_COLUMNS else 10, len(each)) for each in words))
