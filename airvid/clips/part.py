"""The file under way: `NAME.part`, and beside it `NAME.part.json`, which says what of it is there and of which file.

Bytes are taken only where they provably belong: to the same clip, the same strong validator, the same length. A part
that one connection fills grows at its end, and its size tells how far it is. Where several fill it, the sidecar tells,
after every write, which spans are still to come. That holds through a kill; a power cut may keep the one and lose the
other, so where the machine was started anew (or does not tell) such a part begins anew, too. Neither file outlives
success.

Only files of airvid's own are taken up: a part with bytes has a sidecar from before its first byte on. What else stands
under these names is another's, and left alone.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from airvid import clock, files, system
from airvid.api import retry
from airvid.api.http import Body
from airvid.clips.part_file import beside, file_error, in_use, is_at, open_file, open_locked, read_sidecar
from airvid.errors import FileError, UnavailableError
from airvid.media import mp4

_DEAD = frozenset({400, 401, 403, 404, 410})
# Bytes; a span is split where both halves are at least so long.
SHORTEST_SPAN = 1 << 18
# How a disk says that it takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A strong entity tag, of the characters that every header can carry.
_STRONG = re.compile(r'"[\x20\x21\x23-\x7e]*"')


class DeadLinkError(UnavailableError):
    """The link is no longer good for anything: a fresh one may be."""


class NotVideoError(FileError):
    """What came is no MP4."""


class CutError(UnavailableError):
    """The bytes ended before the file did, or are others than asked for."""


class Span:
    """Bytes still to come, from `at` to before `end` (None: to wherever the file ends); `is_taken`: under way."""

    def __init__(self, at: int, end: int | None) -> None:
        self.at = at
        self.end = end
        self.is_taken = False
        # Some of it has come since.
        self.is_flowing = False
        # Where the answer that fills it ends, of which others may have taken over the rest.
        self.reach: int | None = None

    @property
    def left(self) -> int | None:
        return None if self.end is None else self.end - self.at


class Part:
    """The bytes of one clip, here or still to come. Raises FileError wherever it cannot be written."""

    def __init__(self, final: Path, path: Path, clip: str, file: IO[bytes]) -> None:
        self.final = final
        self.path = path
        self._sidecar = beside(path, ".json")
        self._file = file
        self._clip = clip
        self.total: int | None = None
        self._validator: str | None = None
        self._can_split = False
        self._tells_end = True
        # The last fetch of a file whose end nothing told.
        self._unproved = b""
        self.spans = [Span(0, None)]
        # Bytes that the file surely has: fewer, and somebody has cut it.
        self._size = os.fstat(file.fileno()).st_size
        if not self._recall(self._size):
            self._begin(self.spans[0], None, None)

    # ------------------------------------------------------------------ what is there

    @property
    def done(self) -> int:
        """Bytes that are here."""
        if self.total is None:
            return self.spans[0].at
        return self.total - sum(span.left or 0 for span in self.spans)

    @property
    def is_whole(self) -> bool:
        """Whether all that was announced is here."""
        return self.total is not None and self.done == self.total

    def _recall(self, size: int) -> bool:
        """Take up what the sidecar tells of `size` bytes, if it vouches for any."""
        try:
            kept = json.loads(read_sidecar(self._sidecar))
            validator, total, spans = kept["validator"], _length(kept["total"]), kept.get("spans")
            if kept["clip"] != self._clip or not _STRONG.fullmatch(validator):
                return False
            if spans is None:
                spans = [[size, total]]
            elif not kept["boot"] or kept["boot"] != system.boot_id() or total is None:
                return False
            found = [Span(at, end) for at, end in spans]
            if total is not None and _vouched(sorted(spans), total) > size:
                return False
            self.spans, self._validator, self.total = found, validator, total
            return True
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    @property
    def _grows_at_its_end(self) -> bool:
        return len(self.spans) == 1 and self.spans[0].end == self.total

    def _remember(self) -> None:
        """Write down what is to come: with several spans after every write and split."""
        kept: dict[str, Any] = {"clip": self._clip, "validator": self._validator, "total": self.total}
        if not self._grows_at_its_end:
            kept |= {"boot": system.boot_id(), "spans": [[span.at, span.end] for span in self.spans]}
        with files.open_regular(self._sidecar) as file:
            size = os.fstat(file.fileno()).st_size
            # In place and in one write, which a kill cannot halve; blanks cover what was longer.
            file.write(json.dumps(kept).encode().ljust(size))
            if not size:
                system.sync(file)  # without it the part is nobody's after a power cut

    def _begin(self, span: Span, validator: str | None, total: int | None) -> None:
        """Begin anew, with `span` for all. The old validator goes first: it vouches for no new byte."""
        span.at, span.end, span.reach, self.spans = 0, total, total, [span]
        self._validator, self.total = None, total
        try:
            self._remember()
            self._file.seek(0)
            self._file.truncate()
            self._size = 0
            if validator:
                self._validator = validator
                self._remember()
        except OSError as error:
            raise file_error(self.final, error) from None

    def _check_room(self) -> None:
        """See that the disk takes the rest, and has some left. Raises: FileError."""
        try:
            room = files.room(self.final.parent)
        except OSError as error:
            raise file_error(self.final, error) from None
        if self.total is not None and (left := self.total - self.done) > room:
            raise FileError(f"{self.final} needs {left:,} more bytes, and the disk has {room:,} to spare")

    # ------------------------------------------------------------------ spans and those who fill them

    def take(self) -> Span | None:
        """A span for one who is free: one that nobody works on, else half of the longest; None: no work."""
        span = next((each for each in self.spans if not each.is_taken and each.left != 0), None)
        span = span or self._half_of_longest()
        if span:
            span.is_taken, span.is_flowing, span.reach = True, False, span.end
        return span

    def _half_of_longest(self) -> Span | None:
        longest = max(self.spans, key=lambda span: span.left or 0)
        if not self._can_split or longest.end is None or longest.end - longest.at < 2 * SHORTEST_SPAN:
            return None
        half = Span((longest.at + longest.end) // 2, longest.end)
        longest.end = half.at
        self.spans = [span for span in self.spans if span.left or span.is_taken] + [half]
        self._note_split()
        return half

    def give_back(self, span: Span) -> None:
        """Whoever filled a span stops. Where nothing of it came, the answer before it may take it over."""
        span.is_taken = False
        before = next((each for each in self.spans if each.end == span.at and each is not span), None)
        if before and before.is_taken and before.left and span.left and (before.reach or 0) >= (span.end or 0):
            before.end = span.end
            self.spans.remove(span)
            self._note_split()

    def _note_split(self) -> None:
        """Before a byte is written by it: a kill must never find a part that is filled otherwise than it says."""
        try:
            self._remember()
        except OSError as error:
            raise file_error(self.final, error) from None

    def headers(self, span: Span) -> dict[str, str]:
        """To ask for a span with."""
        if not self._validator or (span.at == 0 and self._grows_at_its_end):
            return {}
        last = "" if span.end in (None, self.total) else str((span.end or 0) - 1)
        return {"Range": f"bytes={span.at}-{last}", "If-Range": self._validator}

    def accept(self, body: Body, span: Span) -> bool:
        """Make ready for the bytes of an answer; False where there are none to take.

        Raises: DeadLinkError; CutError where they are of another file or another place; UnavailableError.
        """
        status = body.status
        is_alone = sum(each.is_taken for each in self.spans) == 1
        if status == 206 and self.headers(span):
            if self._is_continued(body.headers, span):
                self._check_room()
                return True
            self._reject(span, "the server sent another part of the file than asked")
        if status == 200:
            if not is_alone:
                raise CutError("the server sends no parts of this file, or it is another one now")
            encoded = body.headers.get("content-encoding", "identity") != "identity"
            self._tells_end = any(name in body.headers for name in ("content-length", "transfer-encoding"))
            given = "" if encoded else body.headers.get("content-length", "")
            self._begin(span, None if encoded else _strong_validator(body.headers), _length(given))
            self._check_room()
            self._can_split = bool(self._validator) and body.headers.get("accept-ranges", "") == "bytes"
            return True
        if status == 416 and span.at:
            if body.headers.get("content-range", "").strip() == f"bytes */{span.at}" and self.total is None:
                span.end = self.total = span.at
                return False
            self._reject(span, "the server's file is another one now")
        if status in _DEAD:
            raise DeadLinkError(f"the result's link is dead (HTTP {status})")
        after = retry.server_hint(body.headers, None, "", clock.now())
        raise UnavailableError(f"the result's server answered HTTP {status}", retry_after=after)

    def _is_continued(self, headers: Mapping[str, str], span: Span) -> bool:
        """Whether a 206 is of the same file (its ETag must say so: RFC 9110, 15.3.7) and of the place asked for."""
        given = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", headers.get("content-range", "").strip())
        if headers.get("etag", "").strip() != self._validator or not given:
            return False
        start, total = int(given[1]), int(given[3])
        if start != span.at or self.total not in (None, total):
            return False
        if self.total is None:
            self.total = span.end = span.reach = total
        self._can_split = True
        return True

    def _reject(self, span: Span, why: str) -> None:
        """What the server sends is not what it sent before: one that works alone begins anew, one of several stops."""
        if len(self.spans) == 1:
            self._begin(span, None, None)
        else:
            self._validator, self._can_split = None, False
        raise CutError(why)

    def write(self, span: Span, chunk: bytes) -> bool:
        """Put bytes where they belong; False once the span is filled. Raises: NotVideoError, CutError, FileError."""
        began, left, span.is_flowing = span.at, span.left, True
        if left is not None and len(chunk) > left and span.end == self.total:
            self._reject(span, "the server sent more than the file it announced")
        end = began + (len(chunk) if left is None else min(len(chunk), left))
        try:
            if self.total is None and len(chunk) > files.room(self.final.parent):
                raise OSError(errno.ENOSPC, "the disk is as full as it may be, and the video has not ended")
            if os.fstat(self._file.fileno()).st_size < self._size:
                self._sidecar.unlink(missing_ok=True)  # which vouches for bytes that are not there any more
                raise FileError(f"{self.path} was cut short meanwhile")
            self._file.seek(began)
            while span.at < end:  # unbuffered: it may take less than all
                span.at += self._file.write(memoryview(chunk)[span.at - began : end - began])
            self._size = max(self._size, span.at)
            if not self._grows_at_its_end:
                self._remember()
        except OSError as error:
            if self.total is None and error.errno in _FULL:
                self._begin(span, None, None)  # nothing tells that it ever ends: the disk has its room back
            raise file_error(self.final, error) from None
        # What is no video is not worth a disk.
        if began < mp4.HEAD <= span.at and not mp4.begins(head := self._head()):
            self._refuse(f"it begins with {head.decode('ascii', 'replace')!r}")
        return span.left != 0

    def finish(self, span: Span) -> None:
        """An answer has ended. Raises: CutError where it ended too soon."""
        if span.end is None:
            span.end = span.at
        if span.left:
            raise CutError(f"the file ended at {self.done:,} of {self.total:,} bytes")

    def _head(self) -> bytes:
        self._file.seek(0)
        return self._file.read(2 * mp4.HEAD)

    # ------------------------------------------------------------------ the end

    def sync(self) -> None:
        """Have on the disk what is here so far; it may run beside the writing."""
        try:
            system.sync(self._file)
        except OSError as error:
            raise file_error(self.final, error) from None

    def check(self) -> None:
        """Look at the whole container. Raises: NotVideoError, CutError."""
        size = os.fstat(self._file.fileno()).st_size
        if size != self.done:
            self._begin(self.spans[0], None, None)
            raise CutError(f"{self.path} was changed meanwhile")
        is_told = self._tells_end or self.total is not None
        flaw = mp4.flaw(self._file, size, may_end_anywhere=is_told)
        if not flaw and not is_told:
            flaw = self._doubt(size)
        if flaw and self.total is not None:
            self._refuse(flaw)  # all that was announced is here: it will not get better
        if flaw:
            self._begin(self.spans[0], None, None)
            raise CutError(f"the video may not be whole: {flaw}")

    def _doubt(self, size: int) -> str | None:
        """What speaks against a sound file whose end the server did not tell; None where it is proved."""
        is_complete = mp4.is_complete(self._file, size)
        if is_complete is None:
            before, self._unproved = self._unproved, self._digest()
            return None if before == self._unproved else "nothing told where it ends, and only a second fetch shows it"
        return None if is_complete else "it is shorter than it says"

    def _digest(self) -> bytes:
        self._file.seek(0)
        digest = hashlib.sha256()
        while chunk := self._file.read(1 << 20):
            digest.update(chunk)
        return digest.digest()

    def _refuse(self, flaw: str) -> None:
        self._begin(self.spans[0], None, None)
        raise NotVideoError(f"the result is no video: {flaw}")

    def discard(self) -> None:
        self._file.close()  # an open file cannot be removed everywhere
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)

    def publish(self, *, force: bool) -> None:
        """Sync, and give it its name in one step. Without `force` a file that has appeared there is left alone."""
        try:
            system.sync(self._file)
            if not is_at(self.path, self._file):
                self._sidecar.unlink(missing_ok=True)
                raise FileError(f"{self.path} was removed or replaced meanwhile")
            if system.IS_WINDOWS:
                self._file.close()  # an open file cannot be renamed there
            if force:
                os.replace(self.path, self.final)
            else:
                _rename_new(self.path, self.final)
            system.sync_folder(self.final.parent)
            self._sidecar.unlink(missing_ok=True)
        except FileExistsError:
            raise FileError(
                f"{self.final} has appeared meanwhile; the clip is whole in {self.path}",
                hint="--force overwrites it; or give another -o",
            ) from None
        except OSError as error:
            raise file_error(self.final, error) from None


@contextmanager
def open_part(path: Path, clip: str) -> Iterator[Part]:
    """The part of `path`, locked against other processes. Left empty, it goes away again. Raises: FileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(path, error) from None
    part_path, is_shared = beside(path, ".part"), True
    try:
        file = open_locked(part_path)
    except system.NoLocksError:
        # Two processes could not tell each other, so each has a part of its own, and none is gone on with.
        part_path, is_shared = path.with_name(f".airvid-{os.urandom(8).hex()}.part"), False
        file = open_file(part_path)
    if file is None:
        raise in_use(path)
    with file:
        part = Part(path, part_path, clip, file)
        try:
            yield part
        finally:
            if not part.done or not (is_shared or part.is_whole):
                part.discard()


def _vouched(spans: list[list[int]], total: int) -> int:
    """Up to where bytes must be there, if all but these are. Raises: ValueError for spans that cannot be."""
    if not spans or any(type(each) is not int for span in spans for each in span):
        raise ValueError("no spans")
    edges = [edge for span in spans for edge in span]
    if edges != sorted(edges) or edges[0] < 0 or edges[-1] > total:
        raise ValueError("spans that overlap")
    bound = total
    for at, end in reversed(spans):
        if end != bound:
            break
        bound = at
    return bound


def _strong_validator(headers: Mapping[str, str]) -> str | None:
    """What proves that a file is still the same, byte for byte: a strong ETag (RFC 9110, 13.1.5)."""
    tag = headers.get("etag", "").strip()
    return tag if _STRONG.fullmatch(tag) and headers.get("accept-ranges", "bytes") != "none" else None


def _length(value: object) -> int | None:
    """Bytes, from a number or a header; None where it is none."""
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,18}", str(value)):
        return None
    return int(str(value))


def _rename_new(part: Path, final: Path) -> None:
    """Rename without overwriting. Raises: FileExistsError."""
    try:
        os.link(part, final)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: look, then rename.
        if os.path.lexists(final):
            raise FileExistsError from None
        os.replace(part, final)
    else:
        part.unlink(missing_ok=True)  # another process that finds it may have been quicker
