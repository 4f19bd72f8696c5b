"""Tables and cards on a terminal of any width, drawn by Rich."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from airvid.ui import terminal
from airvid.ui.views import Card, Cell, Column

_GAP = 2
# Characters of a cell at most; width of a column at most if it cannot shrink, and at least if it can.
_LONGEST_CELL, _WIDEST_FIXED, _LEAST_SHRUNK = 1000, 36, 10


class Painter:
    """Draws on one stream. `hide` masks the API key in a text."""

    def __init__(self, stream: TextIO, *, hide: Callable[[str], str], with_color: bool) -> None:
        self._stream = stream
        self._hide = hide
        self._cut = terminal.how_to_cut(stream)
        self._with_links = with_color and terminal.can_link()
        self._console = terminal.console(stream, with_color=with_color, width=terminal.dimensions(stream)[0])

    def table(self, columns: Sequence[Column], rows: Sequence[object]) -> None:
        """A header, and a line for each row."""
        shown: list[tuple[Column, list[Text]]] = []
        for column in columns:
            texts = [self._text(column.cell(row)) for row in rows]
            if column.align == "point":
                _align(texts)
            if any(texts) or column.worth > 7:
                shown.append((column, texts))
        while len(shown) > 1 and sum(_least(*each) + _GAP for each in shown) - _GAP > self._console.width:
            shown.remove(min(shown, key=lambda each: each[0].worth))
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
        for column, texts in shown:
            table.add_column(
                Text(column.name, no_wrap=True),
                justify="right" if column.align == "right" else "left",
                overflow=self._cut,
                no_wrap=not column.shrinks,
                max_width=None if column.shrinks else _WIDEST_FIXED,
            )
            for text in texts:
                # Rich narrows only columns that may wrap; a cell that is cut stays on one line all the same.
                text.no_wrap = column.shrinks != "wrap"
                text.overflow = "fold" if column.shrinks == "wrap" else self._cut
        for row in zip(*(texts for _, texts in shown), strict=True):
            table.add_row(*row)
        self._console.print(table)

    def card(self, card: Card) -> None:
        self._console.print(self._text(card.title), soft_wrap=True)
        facts = [(terminal.tame(self._stream, name, 100), self._text(cell)) for name, cell in card.facts if cell.text]
        width = min(max((cell_len(name) for name, _ in facts), default=0), max(8, self._console.width // 3))
        for name, text in facts:
            if " " not in text.plain:
                # An address or a path stays in one piece, so that it can be copied.
                label = Text(name, "dim")
                label.truncate(width, overflow=self._cut, pad=True)
                self._console.print(Text.assemble(" " * _GAP, label, " " * _GAP, text), soft_wrap=True)
                continue
            fact = Table.grid(padding=(0, _GAP, 0, 0))
            fact.add_column(style="dim", width=width, no_wrap=True, overflow=self._cut)
            fact.add_column(overflow="fold")
            fact.add_row(name, text)
            self._console.print(Padding(fact, (0, 0, 0, _GAP), expand=False))

    def _text(self, cell: Cell) -> Text:
        link = cell.url if self._with_links and cell.url and self._hide(cell.url) == cell.url else None
        shown = terminal.tame(self._stream, self._hide((cell.text or "")[: 2 * _LONGEST_CELL]), _LONGEST_CELL)
        return Text(shown, Style.parse(cell.style) + Style(link=link))


def _least(column: Column, texts: Sequence[Text]) -> int:
    """The least width of a column."""
    widest = max(map(cell_len, [column.name, *(text.plain for text in texts)]))
    return min(widest, max(_LEAST_SHRUNK, cell_len(column.name)) if column.shrinks else _WIDEST_FIXED)


def _align(texts: Sequence[Text]) -> None:
    """Put the decimal points below each other."""
    before = [text.plain.partition(".")[0] for text in texts]
    for text, own in zip(texts, before, strict=True):
        if text:
            text.pad_left(max(map(len, before)) - len(own))
