"""Whether what was received is an MP4, and whole. Source: ISO/IEC 14496-12, 4.2."""

from __future__ import annotations

from typing import IO

HEAD = 8
"""Bytes that tell whether a file begins as an MP4."""
# More than any clip has; each costs a look.
MOST_BOXES = 20_000


def begins(head: bytes) -> bool:
    """Whether a file that begins with these bytes (at least HEAD) can be an MP4."""
    return head[4:8] == b"ftyp"


def flaw(file: IO[bytes], size: int, *, may_end_anywhere: bool = True) -> str | None:
    """What an MP4 of `size` bytes lacks, None for nothing: `ftyp` first, a `moov`, an `mdat`, boxes that add up.

    `may_end_anywhere`: whether the last box may reach to the end of the file, wherever that is.
    """
    at, missing, boxes = 0, [b"ftyp", b"moov", b"mdat"], 0
    while at < size:
        boxes += 1
        if boxes > MOST_BOXES:
            return f"it has more than {MOST_BOXES:,} boxes"
        file.seek(at)
        head = file.read(16)
        if at == 0 and not begins(head):
            return f"it begins with {head.decode('ascii', 'replace')!r}"
        length, kind, least = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, least = int.from_bytes(head[8:16], "big"), 16
        elif length == 0 and may_end_anywhere:
            length = size - at
        if len(head) < 8 or length < least or at + length > size:
            return "its end is missing"
        if kind in missing:
            missing.remove(kind)
        at += length
    return f"it has no {b' and no '.join(missing).decode()}" if missing else None
