"""A contact sheet in a terminal: some frames side by side, as many as fit, their times below them.

Pictures go the terminal's own way: kitty's or iTerm2's protocol or sixels, else half blocks in the colours that it has,
else shades of characters.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.color import Color, ColorSystem
from rich.console import Console

from airvid.frames import Frame
from airvid.screen import Screen

MOST_FRAMES = 9
_GAP = 1
_LEAST_WIDTH = 7  # of a time
# Above the sheet stands the command, or what it is of; below it the next prompt.
_OTHER_ROWS = 2
_RAMP = " .:-=+*#%@"
# Kitty takes at most so many characters of base64 at a time.
_KITTY_CHUNK = 4096
# Ends what was cut short: a picture under way, a colour.
CLOSING = b"\x1b\\\x1b[0m\n"


@dataclass(frozen=True)
class Grid:
    """So many frames across and down, each of `width` by `height` cells and `dots` across and down."""

    across: int
    down: int
    width: int
    height: int
    dots: tuple[int, int]


def arrange(screen: Screen, aspect: float, most: int = MOST_FRAMES) -> Grid:
    """The grid of at most `most` frames that fills the screen best: large pictures, but not few of them."""
    shapes = [(across, down) for across in range(1, most + 1) for down in range(1, most // across + 1)]
    grids = [_grid(screen, aspect, *shape) for shape in shapes if shape == (1, 1) or _has_room(screen, *shape)]
    return max(grids, key=lambda grid: grid.width * grid.height * (grid.across * grid.down) ** 1.5)


def _has_room(screen: Screen, across: int, down: int) -> bool:
    """Whether a row of such a sheet can hold its times, and the screen its rows."""
    return screen.columns >= across * (_LEAST_WIDTH + _GAP) and screen.rows - _OTHER_ROWS >= down * 2


def _grid(screen: Screen, aspect: float, across: int, down: int) -> Grid:
    """The largest frames of this aspect ratio of which so many fit."""
    cell_width, cell_height = screen.cell
    widest = max(1, (screen.columns - _GAP * (across - 1)) // across)
    highest = max(1, (screen.rows - _OTHER_ROWS) // down - 1)
    cells_high = cell_width / cell_height / aspect  # of a picture that is one cell wide
    width = max(1, min(widest, int(highest / cells_high)))
    exact = min(width * cells_high, highest)
    across_dots, down_dots = screen.dots
    dots = width * across_dots, max(1, round(exact * down_dots))
    return Grid(across, down, width, math.ceil(dots[1] / down_dots), dots)


def colors(stream: TextIO) -> str | None:
    """How many colours the terminal has, as Rich calls it: truecolor, 256, standard, windows, or none."""
    return Console(file=stream).color_system


def draw(frames: Sequence[Frame], grid: Grid, screen: Screen, colors: str | None) -> Iterator[bytes]:
    """The sheet, piece by piece."""
    for at in range(0, len(frames), grid.across):
        row = frames[at : at + grid.across]
        if screen.way in ("blocks", "ramp"):
            yield from _text(row, grid, _SYSTEMS.get(colors or "") if screen.way == "blocks" else None)
        else:
            yield from _pictures(row, grid, screen)
        times = (" " * _GAP).join(moment(frame.seconds)[: grid.width].ljust(grid.width) for frame in row)
        yield times.rstrip().encode() + b"\n"


def moment(seconds: float) -> str:
    """A place in a clip, `0:01.5`."""
    tenths = max(0, round(seconds * 10))
    return f"{tenths // 600}:{tenths % 600 // 10:02}.{tenths % 10}"


# ---------------------------------------------------------------------- pictures


def _pictures(row: Sequence[Frame], grid: Grid, screen: Screen) -> Iterator[bytes]:
    """Each picture into room that was made for it, so that none makes the screen scroll; the cursor ends below."""
    yield b"\n" * grid.height + b"\x1b[%dA" % grid.height
    for n, frame in enumerate(row):
        if screen.way == "kitty":
            picture = kitty(frame.png(), grid.width)
        elif screen.way == "iterm2":
            picture = iterm2(frame.png(), grid.width, grid.height)
        else:
            picture = sixel(*frame.paletted())
        yield b"\x1b[%dG\x1b7" % (1 + n * (grid.width + _GAP)) + picture + b"\x1b8"
    yield b"\x1b[%dB\r" % grid.height


def kitty(png: bytes, columns: int) -> bytes:
    """A picture so many cells wide. Source: https://sw.kovidgoyal.net/kitty/graphics-protocol/"""
    data = b64encode(png)
    chunks = [data[at : at + _KITTY_CHUNK] for at in range(0, len(data), _KITTY_CHUNK)]
    keys = b"a=T,f=100,q=2,C=1,c=%d," % columns
    parts = []
    for n, chunk in enumerate(chunks):
        parts.append(b"\x1b_G%sm=%d;%s\x1b\\" % (b"" if n else keys, n < len(chunks) - 1, chunk))
    return b"".join(parts)


def iterm2(png: bytes, width: int, height: int) -> bytes:
    """A picture within so many cells. Source: https://iterm2.com/documentation-images.html"""
    keys = b"inline=1;size=%d;width=%d;height=%d;preserveAspectRatio=1" % (len(png), width, height)
    return b"\x1b]1337;File=%s:%s\x07" % (keys, b64encode(png))


def sixel(palette: Sequence[tuple[int, int, int]], rows: Sequence[bytes]) -> bytes:
    """A picture from the numbers of its colours. Source: the VT330/VT340 manual, chapter 14.

    Six rows make a band; in each, every colour in it says of each column which of the six dots are its own.
    """
    width = len(rows[0])
    used = sorted(set(b"".join(rows)))
    registers = "".join("#{};2;{};{};{}".format(n, *(round(part * 100 / 255) for part in palette[n])) for n in used)
    bands = []
    for top in range(0, len(rows), 6):
        dots: dict[int, bytearray] = {}
        for bit, row in enumerate(rows[top : top + 6]):
            value = 1 << bit
            for x, number in enumerate(row):
                line = dots.get(number)
                if line is None:
                    line = dots[number] = bytearray(width)
                line[x] |= value
        bands.append(b"$".join(b"#%d" % number + _packed(line) for number, line in dots.items()))
    return b'\x1bP0;1q"1;1;%d;%d' % (width, len(rows)) + registers.encode() + b"-".join(bands) + b"\x1b\\"


_SIXELS = bytes(63 + value for value in range(64)) + bytes(192)
_RUN = re.compile(rb"(.)\1{3,}", re.DOTALL)


def _packed(line: bytearray) -> bytes:
    """Columns as characters, the empty end left out, runs of four and more counted."""
    shown = bytes(line).rstrip(b"\0").translate(_SIXELS)
    return _RUN.sub(lambda run: b"!%d%c" % (len(run[0]), run[0][0]), shown)


# ---------------------------------------------------------------------- characters

_SYSTEMS = {
    "truecolor": ColorSystem.TRUECOLOR,
    "256": ColorSystem.EIGHT_BIT,
    "standard": ColorSystem.STANDARD,
    "windows": ColorSystem.WINDOWS,
}


def _text(row: Sequence[Frame], grid: Grid, system: ColorSystem | None) -> Iterator[bytes]:
    pictures = [_shades(frame) if system is None else _blocks(frame, system) for frame in row]
    for y in range(grid.height):
        yield (" " * _GAP).join(lines[y] for lines in pictures).rstrip(" ").encode() + b"\n"


def _blocks(frame: Frame, system: ColorSystem) -> list[str]:
    """Lines of upper half blocks: the character's colour is the upper dot, the background's the lower one."""
    rows, lines = frame.rows(), []
    for y in range(0, len(rows), 2):
        line, before = [], ("", "")
        for x in range(0, len(rows[y]), 3):
            upper = _code(rows[y][x : x + 3], system, is_upper=True)
            lower = _code(rows[y + 1][x : x + 3], system, is_upper=False) if y + 1 < len(rows) else "49"
            change = ";".join(now for now, then in zip((upper, lower), before, strict=True) if now != then)
            line.append(f"\x1b[{change}m▀" if change else "▀")
            before = upper, lower
        lines.append("".join(line) + "\x1b[0m")
    return lines


def _code(dot: bytes, system: ColorSystem, *, is_upper: bool) -> str:
    return ";".join(Color.from_rgb(*dot).downgrade(system).get_ansi_codes(foreground=is_upper))


def _shades(frame: Frame) -> list[str]:
    """Lines of characters, the fuller the brighter, as they look on a dark background."""
    lines = []
    for row in frame.rows():
        lights = (row[x] * 299 + row[x + 1] * 587 + row[x + 2] * 114 for x in range(0, len(row), 3))
        lines.append("".join(_RAMP[light * len(_RAMP) // 255_001] for light in lights))
    return lines
