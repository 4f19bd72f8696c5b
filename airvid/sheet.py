"""A contact sheet in a terminal: frames side by side, their times below them.

Pictures go the terminal's own way: kitty's or iTerm2's protocol or sixels, else half blocks in the colours that it has,
else shades of characters. It is asked for its way in two steps. Primary device attributes (`CSI c`) are answered by
every terminal, and nearly none that answers as an old VT100 knows more; only the others are asked for more, which
terminals that do not understand could print. The second question ends with the first, so that nobody waits in vain.
"""

from __future__ import annotations

import math
import os
import re
import sys
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TextIO

from rich.color import Color, ColorSystem
from rich.console import COLOR_SYSTEMS, Console

from airvid import clock
from airvid.frames import Frame
from airvid.terminal import can_write, dimensions

MOST_FRAMES = 9
_GAP = 1
_LEAST_WIDTH = 7  # of a time
# Above the sheet stands the command, or what it is of; below it the next prompt.
_OTHER_ROWS = 2
_RAMP = " .:-=+*#%@"
_KITTY_CHUNK = 4096  # characters of base64, at most
# Ends what was cut short: a picture under way, a colour.
CLOSING = b"\x1b\\\x1b[0m\n"

Way = Literal["kitty", "iterm2", "sixel", "blocks", "ramp"]
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]{1,100})c")
_KITTY = re.compile(rb"\x1b_Gi=31;([^\x1b]*)\x1b\\")
_NAME = re.compile(rb"\x1bP>\|([^\x1b]*)\x1b\\")
_CELL = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_REPLY = re.compile(b"|".join(each.pattern for each in (_ATTRIBUTES, _KITTY, _NAME, _CELL)))
_ASK_ATTRIBUTES = b"\x1b[c"
# A kitty picture of one pixel that is only a question, the terminal's name, and the size of a cell. What one that does
# not understand prints is wiped away.
_ASK_MORE = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[>q\x1b[16t" + _ASK_ATTRIBUTES + b"\r\x1b[K"
_VT200 = 60  # attributes begin with the level: 61 is a VT100's successor, 62 a VT200, …
_SIXEL = 4
_USUAL_CELL = (10, 20)
# A terminal answers at once, over a slow line within so many seconds, and not with more bytes.
_PATIENCE, _LONGEST_ANSWER = 1.0, 4096


class Screen(NamedTuple):
    """Columns and rows in cells, a cell in pixels, and the way to a picture."""

    columns: int
    rows: int
    cell: tuple[int, int] = _USUAL_CELL
    way: Way = "blocks"

    @property
    def dots(self) -> tuple[int, int]:
        """How many dots across and down one cell can show."""
        return {"blocks": (1, 2), "ramp": (1, 1)}.get(self.way, self.cell)


class Grid(NamedTuple):
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
    return screen.columns >= across * (_LEAST_WIDTH + _GAP) and screen.rows - _OTHER_ROWS >= down * 2


def _grid(screen: Screen, aspect: float, across: int, down: int) -> Grid:
    cell_width, cell_height = screen.cell
    widest = max(1, (screen.columns - _GAP * (across - 1)) // across)
    highest = max(1, (screen.rows - _OTHER_ROWS) // down - 1)
    cells_high = cell_width / cell_height / aspect  # of a picture that is one cell wide
    width = max(1, min(widest, int(highest / cells_high)))
    across_dots, down_dots = screen.dots
    dots = width * across_dots, max(1, round(min(width * cells_high, highest) * down_dots))
    return Grid(across, down, width, math.ceil(dots[1] / down_dots), dots)


def draw(frames: Sequence[Frame], grid: Grid, screen: Screen, stream: TextIO) -> Iterator[bytes]:
    """The sheet, piece by piece, in the colours that `stream` has."""
    system = COLOR_SYSTEMS.get(Console(file=stream).color_system or "") if screen.way == "blocks" else None
    for at in range(0, len(frames), grid.across):
        row = frames[at : at + grid.across]
        yield from _text(row, grid, system) if screen.way in ("blocks", "ramp") else _pictures(row, grid, screen)
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
    data, keys = b64encode(png), b"a=T,f=100,q=2,C=1,c=%d," % columns
    return b"".join(
        b"\x1b_G%sm=%d;%s\x1b\\" % (b"" if at else keys, at + _KITTY_CHUNK < len(data), data[at : at + _KITTY_CHUNK])
        for at in range(0, len(data), _KITTY_CHUNK)
    )


def iterm2(png: bytes, width: int, height: int) -> bytes:
    """A picture within so many cells. Source: https://iterm2.com/documentation-images.html"""
    keys = b"inline=1;size=%d;width=%d;height=%d;preserveAspectRatio=1" % (len(png), width, height)
    return b"\x1b]1337;File=%s:%s\x07" % (keys, b64encode(png))


def sixel(palette: Sequence[tuple[int, int, int]], rows: Sequence[bytes]) -> bytes:
    """A picture from the numbers of its colours. Source: the VT330/VT340 manual, chapter 14.

    Six rows make a band; in each, every colour in it says of each column which of the six dots are its own.
    """
    width = len(rows[0])
    parts = [b'\x1bP0;1q"1;1;%d;%d' % (width, len(rows))]
    for n in sorted(set(b"".join(rows))):
        parts.append(b"#%d;2;%d;%d;%d" % (n, *(round(part * 100 / 255) for part in palette[n])))
    bands = []
    for top in range(0, len(rows), 6):
        dots = defaultdict[int, bytearray](lambda: bytearray(width))
        for bit, row in enumerate(rows[top : top + 6]):
            value = 1 << bit
            for x, number in enumerate(row):
                dots[number][x] |= value
        bands.append(b"$".join(b"#%d" % number + _packed(line) for number, line in dots.items()))
    return b"".join(parts) + b"-".join(bands) + b"\x1b\\"


_SIXELS = bytes(63 + value for value in range(64)) + bytes(192)
_RUN = re.compile(rb"(.)\1{3,}", re.DOTALL)


def _packed(line: bytearray) -> bytes:
    """Columns as characters, without the empty end, runs counted."""
    shown = bytes(line).rstrip(b"\0").translate(_SIXELS)
    return _RUN.sub(lambda run: b"!%d%c" % (len(run[0]), run[0][0]), shown)


# ---------------------------------------------------------------------- characters


def _text(row: Sequence[Frame], grid: Grid, system: ColorSystem | None) -> Iterator[bytes]:
    pictures = [_shades(frame) if system is None else _blocks(frame, system) for frame in row]
    for y in range(grid.height):
        yield (" " * _GAP).join(lines[y] for lines in pictures).rstrip(" ").encode() + b"\n"


def _blocks(frame: Frame, system: ColorSystem) -> list[str]:
    """Upper half blocks: the character's colour is the upper dot, the background's the lower one."""
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
    """Characters, the fuller the brighter, as they look on a dark background."""
    lines = []
    for row in frame.rows():
        lights = (row[x] * 299 + row[x + 1] * 587 + row[x + 2] * 114 for x in range(0, len(row), 3))
        lines.append("".join(_RAMP[light * len(_RAMP) // 255_001] for light in lights))
    return lines


# ---------------------------------------------------------------------- what the terminal can show


def look(stream: TextIO, *, with_color: bool) -> Screen:
    """The terminal behind `stream`; without colour, or where it has none, pictures are shades of characters."""
    cell = _told_cell(stream) or _USUAL_CELL
    way: Way = "blocks" if with_color and can_write(stream, "▀") else "ramp"
    term = os.environ.get("TERM", "dumb")
    # tmux and the like may swallow pictures, or draw a word in their place.
    is_multiplexed = term.startswith(("tmux", "screen")) or any(map(os.environ.get, ("TMUX", "STY", "ZELLIJ")))
    if term != "dumb" and not is_multiplexed and (found := _ATTRIBUTES.search(_ask(stream, _ASK_ATTRIBUTES))):
        level, *attributes = [int(each) for each in found[1].split(b";") if each] or [0]
        if level >= _VT200:
            answer = _ask(stream, _ASK_MORE)
            if found := _CELL.search(answer):
                cell = _sane(int(found[2]), int(found[1])) or cell
            if (found := _KITTY.search(answer)) and found[1] == b"OK":
                way = "kitty"
            elif (found := _NAME.search(answer)) and found[1].startswith(b"iTerm2"):
                way = "iterm2"
            elif _SIXEL in attributes:
                way = "sixel"
    return Screen(*dimensions(stream), cell, way)


def _sane(width: int, height: int) -> tuple[int, int] | None:
    return (width, height) if all(2 <= each <= 128 for each in (width, height)) else None


def _ask(stream: TextIO, question: bytes) -> bytes:
    """What the terminal answers, up to its attributes; empty where it may not be asked.

    It is not asked in the background, which would stop the process, nor while typed input waits, which is for the
    shell; what is typed in the midst of the replies is given back where the system allows it. It never waits long.
    """
    if sys.platform == "win32":
        return b""
    import select
    import termios
    import tty

    answer = b""
    try:
        terminal = os.open(os.ttyname(stream.fileno()), os.O_RDWR | os.O_NOCTTY)
    except (OSError, ValueError):
        return answer
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return answer
        before = termios.tcgetattr(terminal)
        tty.setcbreak(terminal, termios.TCSANOW)
        try:
            if select.select([terminal], [], [], 0)[0]:
                return answer
            os.write(terminal, question)
            end = clock.elapsed() + _PATIENCE
            # A byte at a time: what follows the last reply stays where it is.
            while not _ATTRIBUTES.search(answer) and len(answer) < _LONGEST_ANSWER:
                if not select.select([terminal], [], [], max(0.0, end - clock.elapsed()))[0]:
                    break
                answer += os.read(terminal, 1)
        finally:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
        _give_back(terminal, _REPLY.sub(b"", answer))
    except (OSError, termios.error):
        return b""
    finally:
        os.close(terminal)
    return answer


def _give_back(terminal: int, typed: bytes) -> None:
    """Put what was typed back in front of the terminal's input; half a reply was not."""
    import fcntl
    import termios

    if b"\x1b" in typed:
        return
    try:
        for at in range(len(typed)):
            fcntl.ioctl(terminal, termios.TIOCSTI, typed[at : at + 1])
    except OSError:
        pass  # newer systems forbid it


def _told_cell(stream: TextIO) -> tuple[int, int] | None:
    """A cell in pixels, where the system knows it."""
    if sys.platform == "win32":
        return None
    import fcntl
    import struct
    import termios

    try:
        told = fcntl.ioctl(stream.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (OSError, ValueError):
        return None
    rows, columns, width, height = struct.unpack("HHHH", told)
    return _sane(width // columns, height // rows) if rows and columns else None
