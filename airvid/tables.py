"""Tables and cards on a terminal of any width: what identifies a row stands whole, what describes it gives way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from airvid import terminal
from airvid.cells import Ruler
from airvid.text import plain
from airvid.views import Card, Cell, Column

_GAP = 2
# Characters of a cell, and cells of room for what identifies a row.
_LONGEST_CELL, _LONGEST_NAME = 1000, 36
_LEAST_CUT = 10
_NICE_TO_HAVE = 2


class Painter:
    """Draws on one stream. `hide` leaves out what is secret."""

    def __init__(self, stream: TextIO, *, hide: Callable[[str], str], with_color: bool) -> None:
        self._columns, _ = terminal.dimensions(stream)
        self._hide = hide
        self._ruler = Ruler(stream)
        self._with_links = with_color and terminal.can_link()
        self._console = Console(
            file=stream,
            width=self._columns,
            force_terminal=True,
            color_system="standard" if with_color else None,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """A line a row, under a header."""
        shown = []
        for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
            texts = [self._tame(cell.text or "") for cell in cells]
            if any(texts) or column.worth > 7:
                shown.append((column, cells, _aligned(texts) if column.align == "point" else texts))
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
        drawn = []
        for n, width in self._widths([(column, texts) for column, _, texts in shown]).items():
            column, cells, texts = shown[n]
            name = Text(self._ruler.cut(column.name, width))
            table.add_column(name, width=width, justify="right" if column.align == "right" else "left")
            most = None if column.gives == "wrap" else width
            drawn.append([self._text(cell, text, most) for cell, text in zip(cells, texts, strict=True)])
        for row in zip(*drawn, strict=True):
            table.add_row(*row)
        self._console.print(table)

    def card(self, card: Card) -> None:
        """A title, and a line a fact that there is."""
        title, told = card
        self._console.print(self._text(title, self._tame(title.text or "")), soft_wrap=True)
        facts = [(self._tame(name), self._text(cell, self._tame(cell.text))) for name, cell in told if cell.text]
        width = min(max((self._ruler.width(name) for name, _ in facts), default=0), max(8, self._columns // 3))
        gap = " " * _GAP
        room = max(10, self._columns - width - 2 * _GAP)
        for name, text in facts:
            head = gap + self._ruler.fit(name, width) + gap
            # An address or a path stays in one piece, so that it can be copied.
            for line in text.wrap(self._console, room) if " " in text.plain else [text]:
                self._console.print(Text.assemble((head, "dim"), line), soft_wrap=True)
                head = gap + " " * width + gap

    def _tame(self, text: str) -> str:
        return self._ruler.writable(plain(self._hide(text[: 2 * _LONGEST_CELL]), _LONGEST_CELL))

    def _text(self, cell: Cell, text: str, width: int | None = None) -> Text:
        if width is not None:
            text = self._ruler.cut(text, width)
        link = cell.url if self._with_links and cell.url and self._hide(cell.url) == cell.url else None
        return Text(self._ruler.guarded(text), style=Style.parse(cell.style) + Style(link=link), overflow="fold")

    def _widths(self, shown: Sequence[tuple[Column, Sequence[str]]]) -> dict[int, int]:
        """The numbers of the columns that there is room for, and how wide each is."""
        widths, usual, widest = {}, {}, {}
        columns = [column for column, _ in shown]
        for n, (column, texts) in enumerate(shown):
            texts = [column.name, *texts]
            found = sorted(map(self._ruler.width, texts))
            usual[n], widest[n] = found[len(found) // 2], found[-1]
            least = max(map(self._ruler.width, " ".join(texts).split(" "))) if column.gives == "wrap" else widest[n]
            widths[n] = min(least, _LEAST_CUT if column.gives == "cut" else _LONGEST_NAME)
        # No gap behind the last column, and the last cell of a line is left free.
        room = self._columns + _GAP - 1
        while len(widths) > 1:
            last = min(widths, key=lambda n: columns[n].worth)
            # What is only nice to have makes room for rows of one line.
            is_spare = columns[last].worth <= _NICE_TO_HAVE
            wished = (usual[n] if is_spare and columns[n].gives == "wrap" else 0 for n in widths)
            if sum(map(max, widths.values(), wished)) + _GAP * len(widths) <= room:
                break
            del widths[last]
        free = room - sum(widths.values()) - _GAP * len(widths)
        # First what most rows need, then what the longest does, the narrowest column first.
        for wanted in (usual, widest):
            flexible = [n for n in widths if columns[n].gives]
            while free > 0 and (hungry := [n for n in flexible if widths[n] < wanted[n]]):
                widths[min(hungry, key=widths.__getitem__)] += 1
                free -= 1
        return {n: min(width, self._columns) for n, width in widths.items()}


def _aligned(texts: Sequence[str]) -> list[str]:
    """With the decimal points below each other."""
    before = [len(text.partition(".")[0]) for text in texts]
    return [text and " " * (max(before) - own) + text for text, own in zip(texts, before, strict=True)]
