"""MP4 as a container: whether what was received is one, and whole. Source: ISO/IEC 14496-12, 4.2."""

from __future__ import annotations

from typing import IO

HEAD = 8
"""Bytes that tell whether a file begins as an MP4."""


def begins(head: bytes) -> bool:
    """Whether a file that begins with these bytes (at least HEAD) can be an MP4."""
    return head[4:8] == b"ftyp"


def flaw(file: IO[bytes], size: int) -> str | None:
    """What an MP4 of `size` bytes lacks, None for nothing: `ftyp` first, a `moov`, an `mdat`, boxes that add up."""
    at, kinds = 0, set[bytes]()
    while at < size:
        file.seek(at)
        head = file.read(16)
        if at == 0 and not begins(head):
            return f"it begins with {head.decode('ascii', 'replace')!r}"
        length, kind, least = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, least = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = size - at  # the last box may say "to the end"
        if len(head) < 8 or length < least or at + length > size:
            return "its end is missing"
        kinds.add(kind)
        at += length
    missing = [kind.decode() for kind in (b"ftyp", b"moov", b"mdat") if kind not in kinds]
    return f"it has no {' and no '.join(missing)}" if missing else None
