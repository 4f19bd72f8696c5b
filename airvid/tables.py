"""Tables and cards on a terminal: what identifies a row stands whole, what describes it gives way.

At any width: columns that have no room are left out, the least worth first; the others share what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from airvid.cells import Ruler
from airvid.text import plain
from airvid.views import Card, Cell, Column

_GAP = 2
# No cell says more than this, and nothing that identifies a row takes more room than this.
_LONGEST_CELL, _LONGEST_NAME = 1000, 36
_LEAST_CUT = 10
_NICE_TO_HAVE = 2


class Painter:
    """Draws on one stream, `columns` wide, in colour and with links where those are wanted.

    `hide` leaves out of a text what is secret.
    """

    def __init__(
        self, stream: TextIO, columns: int, *, hide: Callable[[str], str], with_color: bool, with_links: bool
    ) -> None:
        self._columns = columns
        self._hide = hide
        self._ruler = Ruler(stream)
        self._with_links = with_links
        self._console = Console(
            file=stream,
            width=columns,
            force_terminal=True,
            color_system="standard" if with_color else None,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=False,
        )

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """A line a row, under a header."""
        tame = [[Cell(self._tame(cell.text), cell.style, cell.url) for cell in row] for row in rows]
        kept = [n for n, column in enumerate(columns) if any(row[n].text for row in tame) or column.worth > 7]
        columns, tame = [columns[n] for n in kept], [[row[n] for n in kept] for row in tame]
        aligned = [_aligned(column, [row[n].text for row in tame]) for n, column in enumerate(columns)]
        widths = self._widths(columns, aligned)
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
        for n, width in widths.items():
            name = Text(self._ruler.cut(columns[n].name, width))
            table.add_column(name, width=width, justify="right" if columns[n].align == "right" else "left")
        for number, row in enumerate(tame):
            table.add_row(
                *(
                    self._text(row[n], aligned[n][number], width if columns[n].gives != "wrap" else None)
                    for n, width in widths.items()
                )
            )
        self._console.print(table)

    def card(self, card: Card) -> None:
        """A title, and a line a fact."""
        title, facts = card
        self._console.print(self._text(title, self._tame(title.text)), soft_wrap=True)
        names = [self._tame(name) for name, _ in facts]
        width = min(max(map(self._ruler.width, names), default=0), max(8, self._columns // 3))
        indent = " " * (width + 2 * _GAP)
        for name, (_, cell) in zip(names, facts, strict=True):
            text = self._text(cell, self._tame(cell.text))
            # An address or a path stays in one piece, so that it can be copied.
            room = max(10, self._columns - len(indent))
            lines = text.wrap(self._console, room) if " " in text.plain else [text]
            for number, line in enumerate(lines):
                head = f"{' ' * _GAP}{self._ruler.fit(name, width)}{' ' * _GAP}" if number == 0 else indent
                self._console.print(Text.assemble((head, "dim"), line), soft_wrap=True)

    def _tame(self, text: str) -> str:
        return self._ruler.writable(plain(self._hide(text[: 2 * _LONGEST_CELL]), _LONGEST_CELL))

    def _text(self, cell: Cell, text: str, width: int | None = None) -> Text:
        if width is not None:
            text = self._ruler.cut(text, width)
        link = cell.url if self._with_links and cell.url and self._hide(cell.url) == cell.url else None
        return Text(self._ruler.guarded(text), style=Style.parse(cell.style) + Style(link=link), overflow="fold")

    def _widths(self, columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> dict[int, int]:
        """The columns that there is room for, by their number, and how wide each is."""
        widths, usual, widest = {}, {}, {}
        for n, column in enumerate(columns):
            found = sorted(map(self._ruler.width, [column.name, *cells[n]]))
            usual[n], widest[n] = found[len(found) // 2], found[-1]
            if column.gives == "wrap":
                longest = max(self._ruler.width(word) for text in [column.name, *cells[n]] for word in text.split(" "))
                widths[n] = min(longest, _LONGEST_NAME)
            else:
                widths[n] = min(widest[n], _LEAST_CUT if column.gives == "cut" else _LONGEST_NAME)
        # The last column has no gap behind it, and the last cell of a line is left free.
        room = self._columns + _GAP - 1
        while len(widths) > 1:
            last = min(widths, key=lambda n: columns[n].worth)
            # What is only nice to have makes room for rows of one line.
            is_spare = columns[last].worth <= _NICE_TO_HAVE
            wished = [usual[n] if is_spare and columns[n].gives == "wrap" else 0 for n in widths]
            if sum(map(max, widths.values(), wished)) + _GAP * len(widths) <= room:
                break
            del widths[last]
        free = room - sum(widths.values()) - _GAP * len(widths)
        # First what most rows need, then what the longest does; the narrowest column's turn is always next.
        for wanted in (usual, widest):
            flexible = [n for n in widths if columns[n].gives]
            while free > 0 and (hungry := [n for n in flexible if widths[n] < wanted[n]]):
                widths[min(hungry, key=widths.__getitem__)] += 1
                free -= 1
        return {n: min(width, self._columns) for n, width in widths.items()}


def _aligned(column: Column, texts: Sequence[str]) -> list[str]:
    """Texts of one column so that their decimal points stand below each other."""
    if column.align != "point":
        return list(texts)
    before = max((len(text.partition(".")[0]) for text in texts), default=0)
    return [f"{' ' * (before - len(text.partition('.')[0]))}{text}" if text else "" for text in texts]
