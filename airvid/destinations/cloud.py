"""Objects in S3, Google Cloud Storage and Azure Blob Storage, by the library obstore (the extra `cloud`).

The library's blocking functions are used, in threads. Its async functions sometimes crash the process at its end, when
a thread of the library still holds a Python object.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airvid import places, system
from airvid.destinations import stores
from airvid.destinations.local import claim
from airvid.errors import FileError, InUseError, UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# What a bucket can be called, by scheme.
_BUCKETS = {
    "s3": r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "gs": r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]",
    "az": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]|\$root|\$web",
}
# Bytes of a key. A store takes 1024; the rest is for the suffix of an upload.
_LONGEST_KEY = 980
# Seconds for which an upload without an answer is repeated.
_PATIENCE = 60.0
# Bytes of one part of an upload, parts that are sent at once, and the size from which an upload has several parts.
_PART, _AT_ONCE, _LARGE = 5 << 20, 3, 8 << 20
# Bytes that obstore may have read and not yet sent. It does not say what it has sent.
_AHEAD = (_AT_ONCE + 1) * _PART
# Seconds between two reports of an upload, and to wait for the end of one that was stopped.
_REPORT_EVERY, _STOPPED = 0.25, 1.0


class CloudObject:
    """One object. `url`: SCHEME://BUCKET/KEY. Every method that asks the store raises FileError where it refuses."""

    def __init__(self, url: str) -> None:
        """Raises: UsageError for an address that cannot be."""
        stores.tidy_environment()  # before a thread opens the store, and reads the environment
        self.url = url
        self.scheme, self.bucket, self.key = split(url)
        if not self.key or self.key.endswith("/"):
            raise UsageError(f"{url} names no object", hint=f"{self.scheme}://{self.bucket or 'BUCKET'}/NAME.mp4")
        if len(self.key.encode()) > _LONGEST_KEY:
            raise UsageError(f"the key {self.key[:40]}… has more than {_LONGEST_KEY} bytes")

    def __str__(self) -> str:
        return self.url

    @property
    def absolute(self) -> str:
        return self.url

    def local_path(self, clip: str) -> Path:
        """The file on this disk that is downloaded before the upload. `clip` identifies the clip."""
        name = hashlib.sha256(clip.encode("utf-8", "replace")).hexdigest()[:32]
        return Path(places.folder("data"), "uploads", f"{name}.mp4")

    def waits(self, path: Path) -> bool:
        """Whether a whole clip is at `path`, as an earlier upload was interrupted."""
        return path.is_file()

    def forget(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    async def check(self, *, force: bool) -> None:
        """See that the object can be made, or replaced with `force`. Raises: FileError."""
        if not force and await self.size() is not None:
            raise FileError(f"{self} exists", hint="--force overwrites it; or give another -o")

    async def size(self) -> int | None:
        """The object's bytes; None where there is none."""
        return await asyncio.to_thread(self._size)

    def _size(self) -> int | None:
        import obstore

        found = self._look(obstore.head, self._checked_store)
        return None if found is None else int(found["size"])

    def _look(self, ask: Callable[[ObjectStore, str], Any], store: ObjectStore) -> Any:
        """What `ask` finds of the object; None where there is none."""
        with self._errors("read"):
            try:
                return ask(store, self.key)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    async def check_writable(self) -> None:
        """Write an empty object beside this one, look at it and remove it: no other request proves these rights.

        A rule for single names, a quota or a lock against replacing can still refuse the clip.
        """
        claim(self.local_path(""))
        await asyncio.to_thread(self._check_writable)

    def _check_writable(self) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        probe = f"{self.key.rpartition('/')[0]}/.airvid-{os.urandom(8).hex()}.probe".lstrip("/")
        with self._errors("written"), suppress(AlreadyExistsError):  # it was written, and the answer was lost
            obstore.put(self._checked_store, probe, b"", mode="create")
        try:
            with self._errors("read"):
                obstore.head(self._checked_store, probe)
        finally:
            with self._errors(f"cleaned, and {probe} is left there"):
                obstore.delete(self._checked_store, probe)

    async def deliver(self, path: Path, *, force: bool) -> AsyncGenerator[int, None]:
        """Upload a file; yields how many of its bytes were surely sent. At the end the store has confirmed the object.

        Without `force` an existing object is an error, unless it has the same bytes: then it counts as sent. The file's
        name marks the parts of its upload: two files of one name have the same bytes.
        """
        with _Counted(path) as file:
            with suppress(system.NoLocksError):
                if not system.try_lock(file):
                    raise InUseError(f"another airvid is sending to {self} at this moment")
            work = asyncio.ensure_future(asyncio.to_thread(self._upload, file, force=force))
            # After a stop, nothing else reads its error.
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                while not (await asyncio.wait({work}, timeout=_REPORT_EVERY))[0]:
                    yield max(0, file.count - _AHEAD)
                await work
            finally:
                file.is_stopped = True
                await asyncio.wait({work}, timeout=_STOPPED)
                work.cancel()

    def _upload(self, file: _Counted, *, force: bool) -> None:
        size = os.fstat(file.fileno()).st_size
        with self._errors("written"):
            self._put(file, size, force=force)
        if self._size() != size:
            raise FileError(f"{self} does not hold the {size:,} bytes that were sent")

    def _put(self, file: _Counted, size: int, *, force: bool) -> None:
        """Upload the file, a large one in parts.

        obstore can send one request on the condition that there is no object yet, but not an upload of parts. So the
        parts become an object beside this one, which the store copies on that condition.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        large: dict[str, Any] = {"use_multipart": True, "chunk_size": _PART, "max_concurrency": _AT_ONCE}
        try:
            if size < _LARGE:
                self._put_small(file, "overwrite" if force else "create")
            elif force:
                obstore.put(self._store, self.key, file, **large)
            else:
                part = f"{self.key}.{Path(file.name).stem}.part"
                obstore.put(self._store, part, file, **large)
                try:
                    obstore.copy(self._store, part, self.key, overwrite=False)
                finally:
                    obstore.delete(self._store, part)
        except (AlreadyExistsError, FileNotFoundError):  # another machine that sends the same clip removes its parts
            if not self._holds(file, size):
                raise FileError(f"{self} exists", hint="--force overwrites it; or give another -o") from None

    def _put_small(self, file: _Counted, mode: Literal["create", "overwrite"]) -> None:
        """Upload the file in one request.

        obstore does not repeat a request on a condition if its connection breaks.
        """
        import obstore
        from obstore.exceptions import GenericError

        end = time.monotonic() + _PATIENCE
        while True:
            file.seek(0)
            file.count = 0
            try:
                obstore.put(self._store, self.key, file, mode=mode)
                return
            except GenericError as error:
                if "HTTP error" not in str(error) or file.is_stopped or time.monotonic() > end:
                    raise
            time.sleep(1)

    def _holds(self, file: _Counted, size: int) -> bool:
        """Whether the object has the same bytes as `file`."""
        import obstore

        found = obstore.get(self._store, self.key)
        file.seek(0)
        return found.meta["size"] == size and all(bytes(chunk) == file.read(len(chunk)) for chunk in found.stream())

    def read(self) -> tuple[bytes, Any]:
        """The whole content, and which version of the object it is; None where there is none yet."""
        import obstore

        if (found := self._look(obstore.get, self._checked_store)) is None:
            return b"", None
        with self._errors("read"):
            told = {"e_tag": found.meta.get("e_tag"), "version": found.meta.get("version")}
            return bytes(found.bytes()), {name: value for name, value in told.items() if value is not None}

    def replace(self, content: bytes, version: Any) -> bool:
        """Replace that version of the object by these lines of JSON; False where the object has changed."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._errors("written"):
            try:
                obstore.put(
                    self._store,
                    self.key,
                    content,
                    mode=version or "create",
                    attributes={"Content-Type": "application/x-ndjson"},
                )
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    async def fetch(self, path: Path) -> None:
        """Download the object to a file, which takes its name once it is whole."""
        await asyncio.to_thread(self._fetch, path)

    def _fetch(self, path: Path) -> None:
        import obstore

        if (found := self._look(obstore.get, self._store)) is None:
            raise FileError(f"there is no {self}")
        part = path.with_name(f".airvid-{os.urandom(8).hex()}.part")
        try:
            with self._errors("read"), part.open("xb") as file:
                for chunk in found.stream():
                    file.write(chunk)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    @cached_property
    def _store(self) -> ObjectStore:
        # The time for one request is enough for a part of an upload on a slow line.
        return stores.open_store(self.scheme, self.bucket, patience=_PATIENCE, timeout=120)

    @cached_property
    def _checked_store(self) -> ObjectStore:
        """For what is asked before anything is spent: a store that cannot be reached is given up soon."""
        return stores.open_store(self.scheme, self.bucket, patience=15, timeout=15)

    def _errors(self, done: str) -> AbstractContextManager[None]:
        return stores.errors(self.scheme, self.bucket, done)


class _Counted(io.FileIO):
    """A file that counts how many of its bytes were read, and gives no more once it is stopped."""

    count, is_stopped = 0, False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.is_stopped:
            raise OSError(errno.ECANCELED, "stopped")
        data = super().read(size)
        self.count += len(data)
        return data


def is_url(output: str) -> bool:
    """Whether `output` is an address, and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", output) is not None


def split(url: str) -> tuple[str, str, str]:
    """Scheme, bucket and key of an address. Raises: UsageError."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in _BUCKETS:
        raise UsageError(
            f"no clip can be sent to {scheme}://; there are {', '.join(f'{each}://' for each in _BUCKETS)}",
            hint="-o takes a file, a directory/, s3://BUCKET/KEY, gs://BUCKET/KEY or az://CONTAINER/KEY",
        )
    if "@" in bucket or re.search(r"[?&][\w-]*sig\w*=", key, re.IGNORECASE):
        raise UsageError("keys and signatures do not belong in an address", hint=stores.CREDENTIALS[scheme])
    if not re.fullmatch(_BUCKETS[scheme], bucket):
        raise UsageError(f"{bucket!r} cannot be the name of a bucket", hint=f"{scheme}://BUCKET/KEY")
    if not key.isprintable() or "" in (parts := key.split("/"))[:-1] or {".", ".."} & set(parts):
        raise UsageError(f"{key!r} cannot be a key: it has an empty part, a dot part or control characters")
    return scheme, bucket, key
