"""From a URL to a whole file: `NAME.part`, resumed where that is provably the same file, checked, synced, renamed.

It knows neither tasks nor keys. Beside the part lies a sidecar, `NAME.part.json`, with the validator and the length
that the server gave; neither outlives success.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from airvid import clock, retry, system
from airvid.errors import FileError, UnavailableError
from airvid.http import Body, Wire

# Without a byte gained for so many seconds, a transfer gives up; what it has stays for the next time.
PATIENCE = 60.0
_DEAD = frozenset({400, 401, 403, 404, 410})


class DeadLinkError(UnavailableError):
    """The link is no longer good for anything: a fresh one may be."""


class NotVideoError(FileError):
    """What came is no MP4."""


class _CutError(UnavailableError):
    """The bytes ended before the file did."""


@dataclass(frozen=True)
class Received:
    """So many bytes of the file are here; `total` where the server told."""

    done: int
    total: int | None


def claim(path: Path) -> None:
    """See that a file can be made beside `path`, its folder included, before anything is spent. Raises: FileError."""
    probe = path.with_name(f".{path.name[:100]}.{os.getpid()}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with probe.open("wb") as file:
                file.write(b"\0" * 4096)
                system.sync(file)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise _file_error(path, error) from None


async def save(wire: Wire, url: str, path: Path, *, clip: str, force: bool) -> AsyncGenerator[Received, None]:
    """Bring the MP4 at `url` to `path`; done when the iterator ends, and only then is anything under that name.

    `clip` names it whatever its link: a validator proves nothing across clips, and links change.

    Raises: DeadLinkError, NotVideoError, FileError (the part is kept), UnavailableError (the part is kept).
    """
    path = Path(os.path.realpath(path))
    with _open_part(path, clip) as part:
        gained_at, attempt, most = clock.elapsed(), 0, part.size
        while True:
            try:
                async with wire.fetch(url, part.headers()) as body:
                    async with aclosing(part.receive(body)) as steps:
                        async for received in steps:
                            yield received
                break
            except DeadLinkError:
                raise
            except UnavailableError as error:
                # What is fetched again after a new start is no gain.
                if part.size > most:
                    gained_at, attempt, most = clock.elapsed(), 0, part.size
                spent = clock.elapsed() - gained_at
                pause = retry.next_pause(attempt, spent, PATIENCE, error.retry_after, random.random())
                if pause is None:
                    raise
            attempt += 1
            await clock.sleep(pause)
        part.publish(force=force)


class _Part:
    """The file under way and what is known of its source."""

    def __init__(self, path: Path, clip: str, file: IO[bytes]) -> None:
        self.final = path
        self._clip = clip
        self.path = _beside(path, ".part")
        self._sidecar = _beside(path, ".part.json")
        self._file = file
        self._validator, self._total = self._recall()
        self.size = os.fstat(file.fileno()).st_size
        if self.size and not self._validator:
            self._restart()

    def _recall(self) -> tuple[str | None, int | None]:
        try:
            kept = json.loads(self._sidecar.read_bytes())
            validator, total = kept["validator"], kept["total"]
            if kept["clip"] != self._clip:
                return None, None
        except (OSError, ValueError, KeyError, TypeError):
            return None, None
        return (validator if isinstance(validator, str) else None), (total if isinstance(total, int) else None)

    def _restart(self, validator: str | None = None, total: int | None = None) -> None:
        """Begin from nothing. The old validator goes first: it must never vouch for new bytes."""
        self._validator, self._total = validator, total
        try:
            self._sidecar.unlink(missing_ok=True)
            self._file.seek(0)
            self._file.truncate()
            if validator:
                self._sidecar.write_text(json.dumps({"clip": self._clip, "validator": validator, "total": total}))
        except OSError as error:
            raise _file_error(self.final, error) from None
        self.size = 0

    def headers(self) -> dict[str, str]:
        if not self.size or not self._validator:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator}

    async def receive(self, body: Body) -> AsyncGenerator[Received, None]:
        """Append what comes, after making sure that it belongs where it is put."""
        if self._accept(body):
            yield Received(self.size, self._total)
            async for chunk in body.chunks:
                self._write(chunk)
                yield Received(self.size, self._total)
        if self._total is not None and self.size != self._total:
            raise _CutError(f"the file ended at {self.size} of {self._total} bytes")
        self._check()

    def _accept(self, body: Body) -> bool:
        """Make ready for the answer's bytes; False where there are none to take. Raises: as `save`."""
        status = body.status
        if status == 206 and self.size:
            span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", body.headers.get("content-range", "").strip())
            is_same = body.headers.get("etag", self._validator) == self._validator
            if is_same and span and int(span[1]) == self.size and self._total in (None, int(span[3])):
                self._total = int(span[3])
                self._file.seek(self.size)
                return True
            self._restart()
            raise _CutError("the server sent another part of the file than asked")
        if status == 200:
            encoded = body.headers.get("content-encoding", "identity") != "identity"
            given = "" if encoded else body.headers.get("content-length", "")
            self._restart(None if encoded else _strong_validator(body.headers), int(given) if given.isdigit() else None)
            return True
        if status == 416 and self.size:
            whole = body.headers.get("content-range", "").strip() == f"bytes */{self.size}"
            if whole and self._total in (None, self.size):
                return False
            self._restart()
            raise _CutError("the server's file is another one now")
        if status in _DEAD:
            raise DeadLinkError(f"the result's link is dead (HTTP {status})")
        after = retry.server_hint(body.headers, None, "", clock.now())
        raise UnavailableError(f"the result's server answered HTTP {status}", retry_after=after)

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                written = self._file.write(rest)  # unbuffered: it may take less than all
                self.size += written
                rest = rest[written:]
        except OSError as error:
            raise _file_error(self.final, error) from None

    def _check(self) -> None:
        """Look at the whole file as a container. Raises: NotVideoError, _CutError."""
        try:
            check_mp4(self._file, self.size)
        except NotVideoError:
            self._restart()
            raise
        except _CutError:
            self._restart()
            raise

    def discard(self) -> None:
        self._file.close()  # an open file cannot be removed everywhere
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)

    def publish(self, *, force: bool) -> None:
        """Sync, and give it its name in one step. Without `force` a file that has appeared there is left alone."""
        try:
            system.sync(self._file)
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
            raise _file_error(self.final, error) from None


@contextmanager
def _open_part(path: Path, clip: str) -> Iterator[_Part]:
    """The part of `path`, locked against other processes. Left empty, it goes away again. Raises: FileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open_locked(_beside(path, ".part"))
    except OSError as error:
        raise _file_error(path, error) from None
    if file is None:
        raise FileError(f"another airvid is saving to {path} at this moment")
    with file:
        part = _Part(path, clip, file)
        try:
            yield part
        finally:
            if not part.size:
                part.discard()


def _open_locked(part: Path) -> IO[bytes] | None:
    """The part, opened and locked; None where another process has it."""
    while True:
        # Another's link is not followed, and what already has its final name, too, is not touched.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        if os.path.lexists(part) and part.lstat().st_nlink > 1:
            part.unlink()
        descriptor = os.open(part, flags, 0o666)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        if not system.try_lock(file):
            file.close()
            return None
        # Whoever had the lock may have renamed or removed the file meanwhile: then this is no part any more.
        if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
            return file
        file.close()


def check_mp4(file: IO[bytes], size: int) -> None:
    """See that an MP4 of `size` bytes is whole: `ftyp` first, a `moov`, an `mdat`, and top-level boxes that add up.

    Raises: NotVideoError; _CutError where it begins as one but its end is missing. Source: ISO/IEC 14496-12, 4.2.
    """
    at, kinds = 0, set[bytes]()
    while at < size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if at == 0 and kind != b"ftyp":
            shown = head.decode("ascii", "replace")
            raise NotVideoError(f"the result is no video: it begins with {shown!r}")
        least = 8
        if length == 1:
            length, least = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = size - at  # the last box may say "to the end"
        if len(head) < 8 or length < least or at + length > size:
            raise _CutError("the video's end is missing")
        kinds.add(kind)
        at += length
    if not {b"moov", b"mdat"} <= kinds:
        raise _CutError("the video's end is missing" if kinds else "the result is empty")


def _strong_validator(headers: Mapping[str, str]) -> str | None:
    """What proves that a file is still the same, byte for byte: a strong ETag (RFC 9110, 13.1.5)."""
    tag = headers.get("etag", "").strip()
    return tag if re.fullmatch(r'"[^"]*"', tag) and headers.get("accept-ranges", "bytes") != "none" else None


def _rename_new(part: Path, final: Path) -> None:
    """Rename without overwriting. Raises: FileExistsError."""
    try:
        os.link(part, final)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: look, then rename.
        if final.exists():
            raise FileExistsError from None
        os.replace(part, final)
    else:
        os.unlink(part)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _file_error(path: Path, error: OSError) -> FileError:
    reason = error.strerror or str(error)
    return FileError(f"{path} cannot be written: {reason}")
