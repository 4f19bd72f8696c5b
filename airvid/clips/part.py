"""The file under way: `NAME.part`, and beside it `NAME.part.json`, which says which bytes are there and of which file.

Bytes are taken only where they provably belong: to the same clip, the same strong validator, the same length. A part
that one connection fills grows at its end, and its size tells how far it is. Where several fill it, the sidecar tells,
after every write, which segments are still to come. That holds through a kill; a power cut may keep the one and lose
the other, so where the machine was started anew (or does not tell) such a part begins anew, too. Neither file outlives
success.

Only files of airvid's own are taken up: a part with bytes has a sidecar from before its first byte on. What else stands
under these names is another's, and left alone.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from airvid import clock, files, system
from airvid.api import retry
from airvid.api.http import Body
from airvid.clips import part_file
from airvid.clips.part_file import DAMAGED, OtherVideoError, beside
from airvid.errors import FileError, UnavailableError
from airvid.files import file_error, file_errors
from airvid.media import mp4

# Segments of a file, each of which gets a connection of its own; none has fewer bytes when the file is divided.
MOST_SEGMENTS, SHORTEST_SEGMENT = 8, 1 << 18
# The HTTP statuses of a link that is good for nothing.
_DEAD = frozenset({400, 401, 403, 404, 410})
# How a disk says that it takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A strong entity tag, of the characters that every header can carry.
_STRONG = re.compile(r'"[\x20\x21\x23-\x7e]*"')


class DeadLinkError(UnavailableError):
    """The link is no longer good for anything: a fresh one may be."""


class NotVideoError(FileError):
    """The result is no video, or an incomplete one."""


class ChangedError(UnavailableError):
    """The server does not prove that it still sends the file that the part holds: the part has to be restarted."""


@dataclass(eq=False)
class Segment:
    """Bytes still to come, from `at` to before `end` (None: to wherever the file ends)."""

    at: int
    end: int | None

    @property
    def left(self) -> int | None:
        return None if self.end is None else self.end - self.at


class Part:
    """The bytes of one clip, here or still to come. Raises FileError wherever it cannot be written."""

    def __init__(self, final: Path, path: Path, clip: str, file: FileIO) -> None:
        self.final = final
        self.path = path
        self._sidecar = beside(path, ".json")
        self._file = file
        self._clip = clip
        self.total: int | None = None
        self.segments = [Segment(0, None)]
        self._validator: str | None = None
        # Whether this server sends parts of the file; False for good after it failed to do so for several connections.
        self._has_ranges, self._may_divide = False, True
        self._tells_end = True
        # The digest of the last fetch of a file whose end nothing told.
        self._unproved = b""
        # Bytes that the file surely has. Where it has fewer, another program cut it.
        self._size = os.fstat(file.fileno()).st_size
        if not self._recall(self._size):
            self.restart()

    # ------------------------------------------------------------------ what is there

    @property
    def done(self) -> int:
        """Bytes that are here."""
        if self.total is None:
            return self.segments[0].at
        return self.total - sum(segment.left or 0 for segment in self.segments)

    @property
    def is_whole(self) -> bool:
        """Whether all that was announced is here."""
        return self.total is not None and self.done == self.total

    def _recall(self, size: int) -> bool:
        """Continue from what the sidecar says of `size` bytes; False where it proves none of them."""
        try:
            kept = json.loads(part_file.read_sidecar(self._sidecar))
            validator, total, spans = kept["validator"], _length(kept["total"]), kept.get("spans")
            if kept["clip"] != self._clip or not _STRONG.fullmatch(validator):
                return False
            if spans is None:
                spans = [[size, total]]
            elif not kept["boot"] or kept["boot"] != system.boot_id() or total is None or len(spans) > MOST_SEGMENTS:
                return False
            found = [Segment(at, end) for at, end in spans]
            if total is not None and _vouched(sorted(spans), total) > size:
                return False
            self.segments, self._validator, self.total = found, validator, total
            return True
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    @property
    def _grows_at_its_end(self) -> bool:
        return len(self.segments) == 1 and self.segments[0].end == self.total

    def _remember(self) -> None:
        """Write down what is to come: with several segments after every write."""
        kept: dict[str, Any] = {"clip": self._clip, "validator": self._validator, "total": self.total}
        if not self._grows_at_its_end:
            kept |= {"boot": system.boot_id(), "spans": [[each.at, each.end] for each in self.segments]}
        with file_errors(self.final):
            part_file.write_sidecar(self._sidecar, kept)

    def restart(self) -> None:
        """Forget every byte, and begin with one connection. No other may be at work."""
        self._may_divide = self._may_divide and len(self.segments) == 1
        self._begin(Segment(0, None), None)

    def _begin(self, segment: Segment, validator: str | None) -> None:
        """Begin with `segment` for all of the file. The old validator goes first: it vouches for no new byte."""
        self.segments, self.total = [segment], segment.end
        self._validator, self._has_ranges = None, False
        self._remember()
        with file_errors(self.final):
            self._file.seek(0)
            self._file.truncate()
        self._size = 0
        if validator:
            self._validator = validator
            self._remember()

    # ------------------------------------------------------------------ what a connection asks for and gets

    @property
    def is_divisible(self) -> bool:
        """Whether what is still to come is one segment, and several connections can provably fetch it."""
        left = self.segments[0].left or 0
        return self._has_ranges and self._may_divide and self._grows_at_its_end and left >= 2 * SHORTEST_SEGMENT

    def divide(self) -> list[Segment]:
        """Divide the one segment into several of about the same length; the new ones. Its connection goes on."""
        [first] = self.segments
        assert first.left
        count = min(MOST_SEGMENTS, first.left // SHORTEST_SEGMENT)
        edges = [first.at + first.left * n // count for n in range(1, count + 1)]
        first.end = edges[0]
        self.segments += [Segment(at, end) for at, end in itertools.pairwise(edges)]
        self._remember()  # before a byte is written accordingly: a kill must not find a part that the sidecar belies
        return self.segments[1:]

    def headers(self, segment: Segment) -> dict[str, str]:
        """To ask for a segment with."""
        if not self._validator or (segment.at == 0 and self._grows_at_its_end):
            return {}
        last = "" if segment.end in (None, self.total) else str((segment.end or 0) - 1)
        return {"Range": f"bytes={segment.at}-{last}", "If-Range": self._validator}

    def accept(self, body: Body, segment: Segment) -> None:
        """Make ready for the bytes of an answer; none are to be taken where the segment has none left.

        Raises: DeadLinkError; ChangedError where they are of another file or another place; UnavailableError.
        """
        status = body.status
        if status == 206 and self.headers(segment):
            self._accept_segment(body.headers, segment)
        elif status == 200:
            self._accept_whole(body.headers, segment)
        elif status == 416 and segment.at:
            if self.total is not None or body.headers.get("content-range", "").strip() != f"bytes */{segment.at}":
                raise ChangedError("the server's file is another one now")
            segment.end = self.total = segment.at
        elif status in _DEAD:
            raise DeadLinkError(f"the result's link is dead (HTTP {status})")
        else:
            after = retry.server_hint(body.headers, None, "", clock.now())
            raise UnavailableError(f"the result's server answered HTTP {status}", retry_after=after)
        self._check_room()

    def _accept_segment(self, headers: Mapping[str, str], segment: Segment) -> None:
        """A 206 must be of the same file (its ETag must say so: RFC 9110, 15.3.7) and of the place asked for."""
        given = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", headers.get("content-range", "").strip())
        start, total = (int(given[1]), int(given[3])) if given else (None, None)
        is_same = headers.get("etag", "").strip() == self._validator and self.total in (None, total)
        if not is_same or start != segment.at:
            raise ChangedError("the server sent another part of the file than asked")
        if self.total is None:
            self.total = segment.end = total
        self._has_ranges = True

    def _accept_whole(self, headers: Mapping[str, str], segment: Segment) -> None:
        if any(each.left != 0 for each in self.segments if each is not segment):
            raise ChangedError("the server sends no parts of this file, or it is another one now")
        is_encoded = headers.get("content-encoding", "identity") != "identity"
        self._tells_end = any(name in headers for name in ("content-length", "transfer-encoding"))
        segment.at, segment.end = 0, None if is_encoded else _length(headers.get("content-length", ""))
        self._begin(segment, None if is_encoded else _strong_validator(headers))
        self._has_ranges = bool(self._validator) and headers.get("accept-ranges", "") == "bytes"

    def _check_room(self) -> None:
        """See that the disk takes the rest, and has some left. Raises: FileError."""
        with file_errors(self.final):
            room = files.room(self.final.parent)
        if self.total is not None and (left := self.total - self.done) > room:
            raise FileError(f"{self.final} needs {left:,} more bytes, and the disk has {room:,} to spare")

    def write(self, segment: Segment, chunk: bytes) -> None:
        """Put bytes where they belong, up to the segment's end: what is beyond it is another connection's.

        Raises: NotVideoError, FileError.
        """
        began, rest = segment.at, memoryview(chunk)[: segment.left]
        try:
            if self.total is None and len(chunk) > files.room(self.final.parent):
                raise OSError(errno.ENOSPC, "the disk is as full as it may be, and the video has not ended")
            if os.fstat(self._file.fileno()).st_size < self._size:
                self._sidecar.unlink(missing_ok=True)  # which vouches for bytes that are not there any more
                raise FileError(f"{self.path} was cut short meanwhile")
            self._file.seek(segment.at)
            while rest:  # unbuffered: it may take less than all
                count = self._file.write(rest)
                segment.at, rest = segment.at + count, rest[count:]
        except OSError as error:
            if self.total is None and error.errno in _FULL:
                self.restart()  # it may have no end: its room on the disk is freed
            raise file_error(self.final, error) from None
        self._size = max(self._size, segment.at)
        if not self._grows_at_its_end:
            self._remember()
        # What is no video is not worth a disk.
        if began < mp4.HEAD <= segment.at:
            head = self._head()
            if not mp4.begins(head) and not mp4.other_suffix(head):
                self.restart()
                raise NotVideoError(f"the result is no video: it begins with {head[:16].decode('ascii', 'replace')!r}")

    def finish(self, segment: Segment) -> None:
        """An answer has ended. Raises: UnavailableError where it ended too soon."""
        if segment.end is None:
            segment.end = segment.at
        if segment.left:
            raise UnavailableError(f"the file ended at {self.done:,} of {self.total:,} bytes")

    # ------------------------------------------------------------------ the end

    def sync(self) -> None:
        """Have on the disk what is here so far; it may run beside the writing."""
        with file_errors(self.final):
            system.sync(self._file)

    def check(self, *, is_last: bool) -> str:
        """Look at the whole container: the suffix of its kind.

        Raises: UnavailableError; NotVideoError, for a video that is not whole only where no other link `is_last`.
        """
        size, is_announced = os.fstat(self._file.fileno()).st_size, self.total is not None
        if size != self.done:
            self.restart()
            raise UnavailableError(f"{self.path} was changed meanwhile")
        is_told = self._tells_end or is_announced
        head = self._head()
        other = mp4.other_suffix(head)
        flaw = None if other else mp4.flaw(self._file, size, may_end_anywhere=is_told)
        if not flaw and not is_told:
            flaw = self._doubt(size)
        if not flaw:
            return other or ".mp4"
        if is_announced and is_last and mp4.begins(head):
            return DAMAGED  # the clip is paid for, and there is no more of it
        self.restart()
        if is_announced:  # all bytes are here: more attempts change nothing
            raise NotVideoError(f"the result is no video: {flaw}")
        raise UnavailableError(f"the video may not be whole: {flaw}")

    def _head(self) -> bytes:
        self._file.seek(0)
        return self._file.read(mp4.HEAD)

    def _doubt(self, size: int) -> str | None:
        """Why a file whose end the server did not tell may be incomplete; None where it is proved to be whole."""
        is_complete = mp4.is_complete(self._file, size)
        if is_complete is None:
            self._file.seek(0)
            before, self._unproved = self._unproved, hashlib.file_digest(self._file, "sha256").digest()
            return None if before == self._unproved else "nothing told where it ends, and only a second fetch shows it"
        return None if is_complete else "it is shorter than it says"

    def discard(self) -> None:
        self._file.close()  # an open file cannot be removed everywhere
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)

    def publish(self, suffix: str, *, force: bool) -> None:
        """As `part_file.publish`. Raises: also OtherVideoError where the `suffix` is not that of an MP4."""
        if suffix == ".mp4":
            final = self.final
        else:
            has_suffix = self.final.suffix.lower() == ".mp4" and suffix != DAMAGED
            final, force = beside(self.final.with_suffix("") if has_suffix else self.final, suffix), False
        with file_errors(final):
            part_file.publish(self._file, self.path, final, force=force)
        if final != self.final:
            raise OtherVideoError(final, self.final)


@contextmanager
def open_part(path: Path, clip: str) -> Iterator[Part]:
    """The part of `path`, locked against other processes. An empty one is removed at the end. Raises: FileError."""
    with file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    part_path, is_shared = beside(path, ".part"), True
    try:
        file = part_file.open_locked(part_path)
    except system.NoLocksError:
        # Two processes cannot exclude each other, so each has a part of its own, which no later run continues.
        part_path, is_shared = path.with_name(f".airvid-{os.urandom(8).hex()}.part"), False
        file = part_file.open_file(part_path)
    if file is None:
        raise part_file.in_use(path)
    with file:
        part = Part(path, part_path, clip, file)
        try:
            yield part
        finally:
            if not part.done or not (is_shared or part.is_whole):
                part.discard()


def _vouched(spans: list[list[int]], total: int) -> int:
    """Up to where bytes must be there, if all but these are. Raises: ValueError for spans that cannot be."""
    edges = [0, *itertools.chain.from_iterable(spans), total]
    if not spans or edges != sorted(edges) or any(type(edge) is not int for edge in edges):
        raise ValueError("no spans of this file")
    return max((end for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end), default=0)


def _strong_validator(headers: Mapping[str, str]) -> str | None:
    """What proves that a file is still the same, byte for byte: a strong ETag (RFC 9110, 13.1.5)."""
    tag = headers.get("etag", "").strip()
    return tag if _STRONG.fullmatch(tag) and headers.get("accept-ranges", "bytes") != "none" else None


def _length(value: object) -> int | None:
    """Bytes, from a number or a header; None where it is none."""
    return int(str(value)) if re.fullmatch(r"\d{1,18}", str(value)) else None
