"""How much room text takes on a terminal: wide characters, joined emoji, right-to-left scripts, poor encodings."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len, set_cell_size

from airvid import terminal

# Ends a right-to-left run, so that digits in the next column do not join it. It takes no room.
_LEFT_TO_RIGHT_MARK = "\u200e"


@dataclass(frozen=True)
class Glyphs:
    """The signs that a stream's encoding has."""

    full: str = "━"
    half: str = "╸"
    rest: str = "─"
    more: str = "…"

    @classmethod
    def of(cls, stream: TextIO) -> Glyphs:
        if terminal.can_write(stream, "━╸─…"):
            return cls()
        return cls(full="#", half="", rest="-", more=".")


class Ruler:
    """Measures and cuts text as one stream shows it."""

    def __init__(self, stream: TextIO) -> None:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        self._narrow = None if encoding.lower().replace("-", "") == "utf8" else encoding
        self.glyphs = Glyphs.of(stream)

    def writable(self, text: str) -> str:
        """The text with escapes where the stream would write them, so that they are measured, too."""
        if self._narrow is None:
            return text
        return text.encode(self._narrow, "backslashreplace").decode(self._narrow)

    def width(self, text: str) -> int:
        return cell_len(text)

    def cut(self, text: str, width: int) -> str:
        """At most `width` cells of it, with a sign where something is missing."""
        if cell_len(text) > width:
            text = set_cell_size(text, max(0, width - 1)).rstrip() + self.glyphs.more if width > 0 else ""
        return text

    def guarded(self, text: str) -> str:
        """The text, kept from turning around what stands beside it."""
        is_turned = any(unicodedata.bidirectional(each) in ("R", "AL", "AN") for each in text)
        return text + _LEFT_TO_RIGHT_MARK if is_turned else text

    def fit(self, text: str, width: int, *, right: bool = False) -> str:
        """Exactly `width` cells of it."""
        text = self.cut(text, width)
        padding = " " * (width - cell_len(text))
        return padding + text if right else self.guarded(text) + padding
