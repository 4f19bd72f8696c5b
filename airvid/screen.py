"""What a terminal can show: its size, and the best way to a picture that it says it knows.

Asked in two steps. Primary device attributes (`CSI c`) are answered by every terminal, and nearly none that answers as
an old VT100 knows more; only the others are asked for more, which terminals that do not understand could print. The
second question ends with the first, so that nobody waits for what does not come.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Literal, TextIO

from airvid import clock
from airvid.terminal import can_write, dimensions

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
_MULTIPLEXERS = ("TMUX", "STY", "ZELLIJ")
_USUAL_CELL = (10, 20)
# A terminal that answers at all answers at once, over a slow line within so many seconds, and not with more bytes.
_PATIENCE, _LONGEST_ANSWER = 1.0, 4096


@dataclass(frozen=True)
class Screen:
    """Columns and rows in cells, a cell in pixels, and the way to a picture."""

    columns: int
    rows: int
    cell: tuple[int, int] = _USUAL_CELL
    way: Way = "blocks"

    @property
    def dots(self) -> tuple[int, int]:
        """How many dots across and down one cell can show."""
        return {"blocks": (1, 2), "ramp": (1, 1)}.get(self.way, self.cell)


def look(stream: TextIO, *, with_color: bool) -> Screen:
    """The terminal behind `stream`; without colour, or where it has none, pictures are shades of characters."""
    columns, lines = dimensions(stream)
    cell = _sane(_told_cell(stream)) or _USUAL_CELL
    plainest: Way = "blocks" if with_color and can_write(stream, "▀") else "ramp"
    if os.environ.get("TERM", "dumb") == "dumb" or _is_multiplexed():
        return Screen(columns, lines, cell, plainest)
    told = _attributes(_ask(stream, _ASK_ATTRIBUTES, last=_ATTRIBUTES, replies=_REPLY))
    if not told or told[0] < _VT200:
        return Screen(columns, lines, cell, plainest)
    more = _ask(stream, _ASK_MORE, last=_ATTRIBUTES, replies=_REPLY)
    if found := _CELL.search(more):
        cell = _sane((int(found[2]), int(found[1]))) or cell
    return Screen(columns, lines, cell, _best(more, told) or plainest)


def _best(answer: bytes, attributes: list[int]) -> Way | None:
    kitty, name = _KITTY.search(answer), _NAME.search(answer)
    if kitty and kitty[1] == b"OK":
        return "kitty"
    if name and name[1].startswith(b"iTerm2"):
        return "iterm2"
    return "sixel" if _SIXEL in attributes[1:] else None


def _attributes(answer: bytes) -> list[int]:
    found = _ATTRIBUTES.search(answer)
    return [int(each) for each in found[1].split(b";") if each] if found else []


def _is_multiplexed() -> bool:
    """Whether tmux or the like stands between: it may swallow pictures, or draw a word in their place."""
    return os.environ.get("TERM", "").startswith(("tmux", "screen")) or any(map(os.environ.get, _MULTIPLEXERS))


def _sane(cell: tuple[int, int] | None) -> tuple[int, int] | None:
    return cell if cell and all(2 <= each <= 128 for each in cell) else None


# ---------------------------------------------------------------------- asking


def _ask(stream: TextIO, question: bytes, *, last: re.Pattern[bytes], replies: re.Pattern[bytes]) -> bytes:
    """What the terminal answers, up to its `last` reply; empty where it may not be asked.

    It is not asked in the background, which would stop the process, nor while typed input waits, which is for the
    shell; what is typed in the midst of the `replies` is given back where the system allows it. It never waits long.
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
            while not last.search(answer) and len(answer) < _LONGEST_ANSWER:
                if not select.select([terminal], [], [], max(0.0, end - clock.elapsed()))[0]:
                    break
                answer += os.read(terminal, 1)
        finally:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
        _give_back(terminal, replies.sub(b"", answer))
    except (OSError, termios.error):
        return b""
    finally:
        os.close(terminal)
    return answer


def _give_back(terminal: int, typed: bytes) -> None:
    """Put what was typed back in front of the terminal's input; half a reply is none."""
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
    """Width and height of a character cell in pixels, as far as the system knows them."""
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
    return (width // columns, height // rows) if rows and columns and width and height else None
