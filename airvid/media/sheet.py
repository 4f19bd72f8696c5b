"""A contact sheet in a terminal: frames side by side as half blocks, their times below them.

Rich draws it in the colours of the terminal; without colours a frame is made of characters. textual-image knows more
kinds of pictures, but asks the terminal for them: it takes the keys that the user has typed, stops a job in the
background, and fails where standard input is a pipe.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TextIO

from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from airvid.media.frames import Frame

MOST_FRAMES = 9
RESET = b"\x1b[0m\n"
"""Ends the colours of a sheet that was cut short."""
_GAP = 1
_TIME_WIDTH = 7
# For the command above the sheet, and the prompt below it.
_OTHER_ROWS = 2
# From dark to bright, on a dark background.
_SHADES = " .:-=+*#%@"


class Grid(NamedTuple):
    """The number of frames across and down, and the cells of each. A cell is two pixels, one above the other."""

    across: int
    down: int
    width: int
    height: int


def console(stream: TextIO, *, with_color: bool) -> Console:
    """Rich's view of the terminal behind `stream`."""
    columns, rows = shutil.get_terminal_size()
    system: Literal["auto"] | None = "auto" if with_color else None
    return Console(file=stream, width=columns, height=rows, color_system=system, no_color=not with_color)


def arrange(columns: int, rows: int, aspect: float, most: int = MOST_FRAMES) -> Grid:
    """The grid of at most `most` frames that fills the screen best, with large frames and many of them."""
    shapes = [(across, down) for across in range(1, most + 1) for down in range(1, most // across + 1)]
    grids = [
        _grid(columns, rows, aspect, *shape) for shape in shapes if shape == (1, 1) or _fits(columns, rows, *shape)
    ]
    return max(grids, key=lambda grid: grid.width * grid.height * (grid.across * grid.down) ** 1.5)


def _fits(columns: int, rows: int, across: int, down: int) -> bool:
    return columns >= across * (_TIME_WIDTH + _GAP) and rows - _OTHER_ROWS >= down * 2


def _grid(columns: int, rows: int, aspect: float, across: int, down: int) -> Grid:
    widest = max(1, (columns - _GAP * (across - 1)) // across)
    highest = max(1, (rows - _OTHER_ROWS) // down - 1)
    width = max(1, min(widest, int(highest * 2 * aspect)))
    return Grid(across, down, width, min(highest, max(1, round(width / aspect / 2))))


def draw(frames: Sequence[Frame], grid: Grid, screen: Console) -> Iterator[bytes]:
    """The sheet for `screen`, row by row."""
    for at in range(0, len(frames), grid.across):
        row = frames[at : at + grid.across]
        table = Table.grid(padding=(0, _GAP, 0, 0))
        for _ in row:
            table.add_column(width=grid.width, no_wrap=True, overflow="crop")
        table.add_row(*map(_Picture, row))
        table.add_row(*(Text(moment(frame.seconds)) for frame in row))
        with screen.capture() as drawn:
            screen.print(table)
        yield drawn.get().encode()


def moment(seconds: float) -> str:
    """A place in a clip, `0:01.5`."""
    tenths = max(0, round(seconds * 10))
    return f"{tenths // 600}:{tenths % 600 // 10:02}.{tenths % 10}"


@dataclass(frozen=True)
class _Picture:
    """A frame for Rich: two rows of pixels make a line."""

    frame: Frame

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cell = _shade if console.color_system is None or options.ascii_only else _half_block
        for upper, lower in zip(self.frame.rows[::2], self.frame.rows[1::2], strict=True):
            for x in range(0, len(upper), 3):
                yield cell(upper[x : x + 3], lower[x : x + 3])
            yield Segment.line()


def _half_block(upper: bytes, lower: bytes) -> Segment:
    return Segment("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))


def _shade(upper: bytes, lower: bytes) -> Segment:
    red, green, blue = (sum(both) / 2 for both in zip(upper, lower, strict=True))
    light = red * 0.299 + green * 0.587 + blue * 0.114
    return Segment(_SHADES[int(light * len(_SHADES) / 256)])
