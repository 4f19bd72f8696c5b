"""Whether what was received is an MP4, and whole, or video of another kind. Source: ISO/IEC 14496-12, 4.2."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

HEAD = 377
"""Bytes that tell what kind of video a file is."""
# How files of other kinds begin, and their suffixes.
_OTHERS = (
    (rb"\x1aE\xdf\xa3.{,60}webm", ".webm"),
    (rb"\x1aE\xdf\xa3", ".mkv"),
    (rb"GIF8[79]a", ".gif"),
    (rb"G.{187}G.{187}G", ".ts"),
    (rb".{4}(moov|mdat|wide|pnot)", ".mov"),
    (rb"RIFF.{4}AVI ", ".avi"),
    (rb"RIFF.{4}WEBP", ".webp"),
    (rb"\0\0\x01\xba", ".mpg"),
    (rb"FLV\x01", ".flv"),
    (rb"OggS", ".ogv"),
)
# Boxes without which a video is not whole.
_NEEDED = (b"moov", b"mdat", b"moof")
# More than any clip has; each costs a look.
MOST_BOXES = 20_000
# Bytes of headers, more than an hour of video has; each sample costs a look.
MOST_HEADERS = 8 << 20
# Seconds by which durations that are told in different units may differ, and by which a file may be short of what it
# announces before that counts as cut.
ROUNDING, SHORT = 0.002, 0.1


def begins(head: bytes) -> bool:
    """Whether a file that begins with these bytes (at least 8) can be an MP4."""
    return head[4:8] == b"ftyp"


def other_suffix(head: bytes) -> str | None:
    """The suffix of a file that begins with these bytes (HEAD, or all) and is video of another kind; else None."""
    return next((suffix for how, suffix in _OTHERS if re.match(how, head, re.DOTALL)), None)


def flaw(file: IO[bytes], size: int, *, may_end_anywhere: bool = True) -> str | None:
    """What an MP4 of `size` bytes lacks, None for nothing: `ftyp` first, a `moov`, an `mdat`, boxes that add up.

    `may_end_anywhere`: whether the last box may reach to the end of the file, wherever that is.
    """
    try:
        kinds = {kind for kind, _, _ in _boxes(file, size, may_end_anywhere=may_end_anywhere)}
    except ValueError as error:
        return str(error)
    missing = [kind for kind in ("ftyp", "moov", "mdat") if kind.encode() not in kinds]
    return f"it has no {' and no '.join(missing)}" if missing else None


def _boxes(file: IO[bytes], size: int, *, may_end_anywhere: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """The boxes at the top level: kind, where the content begins, and its length in bytes.

    Raises: ValueError with the flaw where they do not add up.
    """
    at = boxes = 0
    while at < size:
        boxes += 1
        if boxes > MOST_BOXES:
            raise ValueError(f"it has more than {MOST_BOXES:,} boxes")
        file.seek(at)
        head = file.read(16)
        if at == 0 and not begins(head):
            raise ValueError(f"it begins with {head.decode('ascii', 'replace')!r}")
        length, start = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, start = int.from_bytes(head[8:16], "big"), 16
        elif length == 0 and may_end_anywhere:
            length = size - at
        if len(head) < 8 or length < start or at + length > size:
            if head[4:8] in _NEEDED:
                raise ValueError("its end is missing")
            return  # bytes behind the last box: some tools leave them there
        yield head[4:8], at + start, length - start
        at += length


def is_complete(file: IO[bytes], size: int) -> bool | None:
    """Whether an MP4 in which `flaw` finds nothing goes on to where its own headers say that it ends.

    A file in fragments can end after any of them, and every box is whole. None: its headers do not say how long it is.
    """
    try:
        return _is_complete(file, size)
    except (struct.error, LookupError, ArithmeticError, ValueError):
        return None  # headers that cannot be read prove nothing


def _is_complete(file: IO[bytes], size: int) -> bool | None:
    headers: dict[bytes, list[bytes]] = {b"moov": [], b"moof": [], b"sidx": []}
    kind, media, read = b"", 0, 0
    for kind, at, length in _boxes(file, size):
        if kind == b"mdat":
            media += length
        elif kind in headers:
            read += length
            if read > MOST_HEADERS:
                return None
            file.seek(at)
            headers[kind].append(file.read(length))
    movie, fragments = headers[b"moov"][-1], headers[b"moof"]
    tracks = [_Track(content) for content in _find(movie, b"trak")]
    if not fragments and not _find(movie, b"mvex"):
        return sum(track.bytes for track in tracks) <= media
    own = max((track.seconds for track in tracks), default=0.0)
    _add_fragments(tracks, movie, fragments)
    announced = max(_announced_seconds(movie, own), sum(map(_indexed_seconds, headers[b"sidx"])))
    there = [track.seconds for track in tracks]
    if kind == b"moof" or not there or max(there) < announced - SHORT:
        return False
    # The index of all fragments comes last.
    if kind == b"mfra" or (announced and min(there) >= announced - ROUNDING):
        return True
    return None


def presentation(file: IO[bytes], size: int) -> tuple[bool, dict[int, float]]:
    """Whether a player may have to turn a track, and the seconds that it shows of each track, by the track's number.

    The MP4 is one in which `flaw` finds nothing. Headers that cannot be read are left out: FFmpeg refuses them.
    """
    identity = struct.pack(">5i", 1 << 16, 0, 0, 0, 1 << 16)
    is_turned, seconds = False, dict[int, float]()
    for kind, at, length in _boxes(file, size):
        if kind == b"moov":
            file.seek(at)
            movie = file.read(min(length, MOST_HEADERS))
            for header in _find(movie, b"trak", b"tkhd"):
                start = 52 if header[:1] == b"\1" else 40
                is_turned |= header[start : start + len(identity)] != identity
                with suppress(struct.error, LookupError, ArithmeticError):
                    scale, _ = _scale_and_duration(_find(movie, b"mvhd")[0])
                    track, ticks = struct.unpack_from(*((">I4xQ", header, 20) if header[0] else (">I4xI", header, 12)))
                    seconds[track] = _known(ticks) / scale
    return is_turned, seconds


def _find(content: bytes, kind: bytes, *path: bytes) -> list[bytes]:
    """The contents of the boxes that lie in `content` under these kinds, one in the other."""
    found, at = [], 0
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if length < 8:
            break
        if content[at + 4 : at + 8] == kind:
            found.append(content[at + 8 : at + length])
        at += length
    return [inner for each in found for inner in _find(each, *path)] if path else found


class _Track:
    """One `trak`: the seconds and the bytes of its samples, of those in fragments once they are added."""

    def __init__(self, content: bytes) -> None:
        [header] = _find(content, b"tkhd")[:1] or [bytes(24)]
        self.id = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
        self.scale = 0
        for media in _find(content, b"mdia", b"mdhd"):
            self.scale = _scale_and_duration(media)[0]
        ticks = 0
        for times in _find(content, b"mdia", b"minf", b"stbl", b"stts"):
            ticks += sum(count * delta for count, delta in struct.iter_unpack(">II", times[8 : len(times) // 8 * 8]))
        self.seconds = ticks / self.scale if ticks else 0.0
        self.bytes = 0
        for sizes in _find(content, b"mdia", b"minf", b"stbl", b"stsz"):
            same, count = struct.unpack_from(">II", sizes, 4)
            each = struct.iter_unpack(">I", sizes[12 : len(sizes) // 4 * 4])
            self.bytes += same * count or sum(found for (found,) in each)


def _add_fragments(tracks: list[_Track], movie: bytes, fragments: list[bytes]) -> None:
    """Add the durations of fragments (each a `moof`) to their tracks."""
    usual = dict(struct.unpack_from(">4xI4xI", each) for each in _find(movie, b"mvex", b"trex"))
    by_id = {track.id: track for track in tracks}
    for run in [each for fragment in fragments for each in _find(fragment, b"traf")]:
        [header] = _find(run, b"tfhd")
        flags, track = int.from_bytes(header[1:4], "big"), by_id[struct.unpack_from(">I", header, 4)[0]]
        duration = usual.get(track.id, 0)
        if flags & 0x8:
            duration = struct.unpack_from(">I", header, 8 + 8 * bool(flags & 0x1) + 4 * bool(flags & 0x2))[0]
        ticks = sum(_ticks(samples, duration) for samples in _find(run, b"trun"))
        track.seconds += ticks / track.scale


def _ticks(samples: bytes, usual: int) -> int:
    """The duration of the samples of a `trun`, of which each has the `usual` one unless they tell their own."""
    flags, count = struct.unpack_from(">II", samples)
    if not flags & 0x100:
        return int(count * usual)
    fields = bin(flags & 0xF00).count("1")
    start = 8 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)
    end = start + 4 * fields * count
    if end > len(samples):
        raise IndexError("fewer samples than announced")
    return sum(found[0] for found in struct.iter_unpack(f">{fields}I", samples[start:end]))


def _scale_and_duration(header: bytes) -> tuple[int, int]:
    """Ticks a second and ticks in all, of an `mvhd` or `mdhd`; 0 for a duration that is not known."""
    scale, duration = struct.unpack_from(">IQ", header, 20) if header[0] else struct.unpack_from(">II", header, 12)
    return scale, _known(duration)


def _known(duration: int) -> int:
    return 0 if duration in (2**32 - 1, 2**64 - 1) else duration


def _announced_seconds(movie: bytes, own: float) -> float:
    """How long a movie in fragments is by its own word; 0 where it does not say."""
    scale, duration = _scale_and_duration(_find(movie, b"mvhd")[0])
    for whole in _find(movie, b"mvex", b"mehd"):
        return float(struct.unpack_from(">Q" if whole[0] else ">I", whole, 4)[0] / scale)
    seconds = duration / scale
    # A length within that of the samples in `moov` itself is theirs alone.
    return seconds if seconds > own + ROUNDING else 0.0


def _indexed_seconds(index: bytes) -> float:
    """The seconds that a `sidx` covers; 0 for one before each fragment, which covers that fragment alone."""
    scale = struct.unpack_from(">I", index, 8)[0]
    start = 28 if index[0] else 20
    count = struct.unpack_from(">H", index, start + 2)[0]
    durations = struct.iter_unpack(">4xI4x", index[start + 4 : start + 4 + 12 * count])
    return float(sum(found for (found,) in durations) / scale) if count > 1 else 0.0
