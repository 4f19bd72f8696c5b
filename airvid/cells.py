"""How much room text takes on a terminal."""

from __future__ import annotations

import unicodedata
from typing import TextIO

from rich.cells import cell_len, set_cell_size

from airvid import terminal

# Ends a right-to-left run, so that digits in the next column do not join it. It takes no room.
_LEFT_TO_RIGHT_MARK = "\u200e"


class Ruler:
    """Measures and cuts text as one stream shows it, whatever its script and encoding."""

    def __init__(self, stream: TextIO) -> None:
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        # Of a bar: a full cell, half of one, the rest; of text: that there is more.
        self.full, self.half, self.rest, self.more = (
            ("━", "╸", "─", "…") if terminal.can_write(stream, "━╸─…") else ("#", "", "-", ".")
        )

    def writable(self, text: str) -> str:
        """The text with escapes where the stream would write them."""
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def width(self, text: str) -> int:
        return cell_len(text)

    def cut(self, text: str, width: int) -> str:
        """At most `width` cells of it."""
        if cell_len(text) > width:
            text = set_cell_size(text, width - 1).rstrip() + self.more if width > 0 else ""
        return text

    def guarded(self, text: str) -> str:
        """The text, kept from turning around what stands beside it."""
        if any(unicodedata.bidirectional(each) in ("R", "AL", "AN") for each in text):
            return text + _LEFT_TO_RIGHT_MARK
        return text

    def fit(self, text: str, width: int, *, right: bool = False) -> str:
        """Exactly `width` cells of it."""
        text = self.cut(text, width)
        padding = " " * (width - cell_len(text))
        return padding + text if right else self.guarded(text) + padding
