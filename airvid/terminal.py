"""What a terminal can do, and how to write on it."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from airvid import system

env = os.environ
ESC = "\x1b"
HIDE_CURSOR, SHOW_CURSOR = f"{ESC}[?25l", f"{ESC}[?25h"
TO_LINE_END, TO_SCREEN_END = f"{ESC}[K", f"{ESC}[J"
# Of the sixteen colours, those that are read on dark grounds and on light ones; what must be read has none.
_STYLES = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
_LONGEST_LINK = 2000  # that terminals take
_SAFE_IN_URL = ":/?#[]@!$&'()*+,;=%-._~"


def styled(text: str, style: str) -> str:
    """The text in a style: `dim`, `bold` and colours, or none."""
    return f"{ESC}[{';'.join(map(_STYLES.__getitem__, style.split()))}m{text}{ESC}[0m" if style and text else text


def linked(text: str, url: str | None) -> str:
    """The text as a link (OSC 8) to a `web_link` or `file_link`."""
    return f"{ESC}]8;;{url}{ESC}\\{text}{ESC}]8;;{ESC}\\" if url else text


def web_link(url: str | None) -> str | None:
    """The address if it is http(s), as ASCII that cannot end a sequence; else None."""
    if not url or len(url) > _LONGEST_LINK or not re.match(r"https?://[^/]", url, re.IGNORECASE):
        return None
    return quote(url, safe=_SAFE_IN_URL, errors="replace")


def file_link(path: str | None) -> str | None:
    """A file's address, with this machine's name: a terminal elsewhere shall not look on its own disk."""
    if not path or len(path) > _LONGEST_LINK:
        return None
    whole = Path(os.path.abspath(path)).as_posix()
    host = "" if system.IS_WINDOWS else quote(socket.gethostname())
    return f"file://{host}{'' if whole.startswith('/') else '/'}{quote(whole, errors='surrogateescape')}"


# ---------------------------------------------------------------------- what it can do


def can_move() -> bool:
    """Whether the cursor can be moved."""
    if system.IS_WINDOWS:
        return bool(env.get("WT_SESSION") or env.get("TERM") or env.get("ConEmuANSI") == "ON")
    return env.get("TERM") not in (None, "", "dumb", "unknown")


def can_link() -> bool:
    """Whether text can be a link. There is no way to ask: others than the known show nothing of it at best."""
    if forced := env.get("FORCE_HYPERLINK"):
        return forced not in ("0", "false")
    if not can_move() or env.get("CI"):
        return False
    known = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio", "WarpTerminal")
    return bool(
        env.get("TERM_PROGRAM") in known
        or env.get("TERM") in ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "foot-extra", "wezterm")
        or env.get("WT_SESSION")
        or env.get("KONSOLE_VERSION")
        or env.get("DOMTERM")
        or _number(env.get("VTE_VERSION")) >= 5000
    )


def shows_progress() -> bool:
    """Whether OSC 9;4 is its progress; elsewhere it would be a notification or nothing."""
    return env.get("TERM") != "dumb" and bool(
        env.get("WT_SESSION")
        or env.get("ConEmuANSI") == "ON"
        or env.get("TERM_PROGRAM") in ("WezTerm", "ghostty")
        or "P" in env.get("TERM_FEATURES", "")  # iTerm2's word for it
        or _number(env.get("VTE_VERSION")) >= 8000
    )


def wraps_anew() -> bool:
    """Whether lines too long after a resize are folded, as by all but xterm and the console."""
    return "XTERM_VERSION" not in env and env.get("TERM") != "linux"


def can_write(stream: TextIO, characters: str) -> bool:
    """Whether a stream's encoding has these characters."""
    try:
        characters.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def dimensions(stream: TextIO) -> tuple[int, int]:
    """Columns and lines: COLUMNS and LINES where they are set, else the terminal's own."""
    columns, lines = _number(env.get("COLUMNS")), _number(env.get("LINES"))
    if not columns or not lines:
        try:
            found = os.get_terminal_size(stream.fileno())
        except (OSError, ValueError):
            found = shutil.get_terminal_size()
        columns, lines = columns or found.columns or 80, lines or found.lines or 24
    return columns, lines


def _number(value: str | None) -> int:
    return int(value) if value and value.isascii() and value.isdigit() else 0


# ---------------------------------------------------------------------- lines that stay


class Block:
    """Lines at a terminal's end that are drawn again and again, others above them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._standing: list[int] = []
        self._columns = 0
        self._progress = ""

    def begin(self) -> None:
        """Hide the cursor until the end, or the process's."""
        self.resume()
        system.before_abort = self._farewell

    def draw(self, lines: Sequence[tuple[str, int]], percent: float | None = None) -> None:
        """Put these lines, each with its width in cells, in place of the last ones."""
        text = self._up() + "".join(f"{line}{TO_LINE_END}\n" for line, _ in lines) + TO_SCREEN_END
        self._standing, self._columns = [width for _, width in lines], dimensions(self._stream)[0]
        self._write(text + self._told(percent))

    def above(self, text: str) -> None:
        """Write in the block's place; it is gone until it is drawn again."""
        self._write(f"{self._up()}{TO_SCREEN_END}{text}")
        self._standing = []

    def end(self) -> None:
        """Leave the terminal as it was."""
        self.suspend()
        system.before_abort = None

    def suspend(self) -> None:
        """Step aside for the shell that stopped the program."""
        self.above(self._farewell_words())
        self._progress = ""

    def resume(self) -> None:
        self._write(HIDE_CURSOR)

    def _up(self) -> str:
        """The way to the block's first cell; after a resize its lines may be folded, and all is wiped."""
        columns, rows = dimensions(self._stream)
        is_folded = columns < self._columns and wraps_anew()
        height = sum(max(1, -(-width // columns)) if is_folded else 1 for width in self._standing)
        up = f"{ESC}[{min(height, rows - 1)}A" if height else ""
        return f"\r{up}{TO_SCREEN_END if columns != self._columns else ''}"

    def _told(self, percent: float | None) -> str:
        """The terminal's own progress, where it is news."""
        if not shows_progress():
            return ""
        word = f"{ESC}]9;4;3;0{ESC}\\" if percent is None else f"{ESC}]9;4;1;{percent:.0f}{ESC}\\"
        told, self._progress = (word if word != self._progress else ""), word
        return told

    def _farewell_words(self) -> str:
        return SHOW_CURSOR + (f"{ESC}]9;4;0;0{ESC}\\" if self._progress else "")

    def _farewell(self) -> None:
        try:
            os.write(self._stream.fileno(), self._farewell_words().encode())
        except (OSError, ValueError):
            pass

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            system.forget(self._stream)  # the work goes on
