"""What a terminal can do, and text and links that are safe on it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO
from urllib.parse import quote

from airvid import system
from airvid.ui.text import plain

if TYPE_CHECKING:
    from rich.console import Console

env = os.environ
LEFT_TO_RIGHT_MARK = "\u200e"
_LONGEST_LINK = 2000  # that terminals take
_SAFE_IN_URL = ":/?#[]@!$&'()*+,;=%-._~"


def tame(stream: TextIO, text: str, longest: int | None = None) -> str:
    """Foreign text as one harmless line in the characters of a stream, without effect on the text beside it."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = plain(text, longest).encode(encoding, "backslashreplace").decode(encoding)
    # Digits in the next column would join a right-to-left text; a mark without width ends it.
    is_turned = any(unicodedata.bidirectional(each) in ("R", "AL", "AN") for each in shown)
    return shown + LEFT_TO_RIGHT_MARK if is_turned and can_write(stream, LEFT_TO_RIGHT_MARK) else shown


def console(stream: TextIO, *, with_color: bool, **more: Any) -> Console:
    """Rich's view of a stream that takes escapes; foreign text in it is no markup."""
    from rich.console import Console

    color: Literal["standard"] | None = "standard" if with_color else None
    return Console(
        file=stream, force_terminal=True, color_system=color, highlight=False, markup=False, emoji=False, **more
    )


def how_to_cut(stream: TextIO) -> Literal["ellipsis", "crop"]:
    """How Rich shortens text: not every encoding has an ellipsis."""
    return "ellipsis" if can_write(stream, "…") else "crop"


def web_link(url: str | None) -> str | None:
    """An http(s) address in harmless ASCII; None for any other."""
    if not url or len(url) > _LONGEST_LINK or not re.match(r"https?://[^/]", url, re.IGNORECASE):
        return None
    return quote(url, safe=_SAFE_IN_URL, errors="replace")


def file_link(path: str | None) -> str | None:
    """A file's address, with this machine's name, for the terminal may run on another machine."""
    if not path or len(path) > _LONGEST_LINK:
        return None
    try:
        whole = Path(os.path.abspath(path)).as_posix()
    except OSError:
        return None  # the working folder is no more
    host = "" if system.IS_WINDOWS else quote(socket.gethostname())
    return f"file://{host}{'' if whole.startswith('/') else '/'}{quote(whole, errors='surrogateescape')}"


# ---------------------------------------------------------------------- abilities


def can_move() -> bool:
    """Whether the cursor can be moved."""
    if system.IS_WINDOWS:
        return bool(env.get("WT_SESSION") or env.get("TERM") or env.get("ConEmuANSI") == "ON")
    return env.get("TERM") not in (None, "", "dumb", "unknown")


def can_animate(stream: TextIO) -> bool:
    """Whether a stream can show bars: a CI keeps a log, and in the background the screen belongs to the shell."""
    return stream.isatty() and can_move() and not env.get("CI") and not system.is_in_background(stream)


def can_link() -> bool:
    """Whether text can be a link. A terminal cannot be asked, so only known ones get links."""
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
