"""Objects in S3, Google Cloud Storage and Azure Blob Storage, by the library obstore (the extra `cloud`).

The library's blocking functions are used, in threads. Its async functions sometimes crash the process at its end, when
a thread of the library still holds a Python object.

Credentials, region and endpoint are those of the store's own tools: obstore reads the environment, instance roles and
Google's and Azure's files, and the keys of an AWS profile are read here. None of them is kept, logged or shown.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airvid import places, system
from airvid.destinations.local import claim
from airvid.errors import FileError, UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# What a bucket can be called, by scheme.
_BUCKETS = {
    "s3": r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "gs": r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]",
    "az": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]|\$root|\$web",
}
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}
_LONGEST_KEY = 1024
# Bytes of one part of an upload, parts that are sent at once, and the size from which an upload has several parts.
_PART, _AT_ONCE, _LARGE = 5 << 20, 3, 8 << 20
# Seconds between two reports of an upload.
_REPORT_EVERY = 0.25


class CloudObject:
    """One object. `url`: SCHEME://BUCKET/KEY. Every method that asks the store raises FileError where it refuses."""

    def __init__(self, url: str) -> None:
        """Raises: UsageError for an address that cannot be."""
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

        with self._errors("read"):
            try:
                return obstore.head(self._checked_store, self.key)["size"]
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    async def check_writable(self) -> None:
        """Write an empty object beside this one, and remove it: no other request proves the right to write.

        A rule for single names, a quota or a lock against replacing can still refuse the clip.
        """
        claim(self.local_path(""))
        await asyncio.to_thread(self._check_writable)

    def _check_writable(self) -> None:
        import obstore

        probe = f"{self.key.rpartition('/')[0]}/.airvid-{os.urandom(8).hex()}.probe".lstrip("/")
        with self._errors("written"):
            obstore.put(self._checked_store, probe, b"")
        try:
            obstore.delete(self._checked_store, probe)
        except Exception as error:
            raise FileError(
                f"{self._place} can be written, but not cleaned: {_reason(error)}; {probe} is left there",
                hint="give this key the right to delete",
            ) from None

    async def deliver(self, path: Path, *, force: bool) -> AsyncGenerator[int, None]:
        """Upload a file; yields the bytes that were read of it. At the end the store has confirmed the object.

        Without `force` an existing object is an error, unless it has the same bytes: then it counts as sent. The file's
        name marks the parts of its upload: two files of one name have the same bytes.
        """
        with _Counted(path) as file:
            with suppress(system.NoLocksError):
                if not system.try_lock(file):
                    raise FileError(f"another airvid is sending to {self} at this moment")
            work = asyncio.ensure_future(asyncio.to_thread(self._upload, file, force=force))
            try:
                while not (await asyncio.wait({work}, timeout=_REPORT_EVERY))[0]:
                    yield file.count
                await work
            finally:
                file.is_stopped = True
                await asyncio.wait({work})

    def _upload(self, file: _Counted, *, force: bool) -> None:
        size = os.fstat(file.fileno()).st_size
        with self._errors("written"):
            self._put(file, size, force=force)
        if self._size() != size:
            raise FileError(f"{self} does not hold the {size:,} bytes that were sent")

    def _put(self, file: _Counted, size: int, *, force: bool) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        large: dict[str, Any] = {"use_multipart": True, "chunk_size": _PART, "max_concurrency": _AT_ONCE}
        try:
            if size < _LARGE:
                obstore.put(self._store, self.key, file, mode="overwrite" if force else "create")
            elif force:
                obstore.put(self._store, self.key, file, **large)
            else:
                # No store completes an upload of several parts on a condition, but each copies on one.
                part = f"{self.key}.{Path(file.name).stem}.part"
                obstore.put(self._store, part, file, **large)
                try:
                    obstore.copy(self._store, part, self.key, overwrite=False)
                finally:
                    obstore.delete(self._store, part)
        except AlreadyExistsError:
            if not self._holds(file, size):
                raise FileError(f"{self} exists", hint="--force overwrites it; or give another -o") from None

    def _holds(self, file: _Counted, size: int) -> bool:
        """Whether the object has the same bytes as `file`."""
        import obstore

        found = obstore.get(self._store, self.key)
        file.seek(0)
        return found.meta["size"] == size and all(bytes(chunk) == file.read(len(chunk)) for chunk in found.stream())

    def read(self) -> tuple[bytes, Any]:
        """The whole content, and which version of the object it is; None where there is none yet."""
        import obstore

        with self._errors("read"):
            try:
                found = obstore.get(self._store, self.key)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return b"", None
            told = {"e_tag": found.meta.get("e_tag"), "version": found.meta.get("version")}
            return bytes(found.bytes()), {name: value for name, value in told.items() if value is not None}

    def replace(self, content: bytes, version: Any) -> bool:
        """Write the whole content if the object still is that version; False where it has changed."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._errors("written"):
            try:
                obstore.put(self._store, self.key, content, mode=version or "create")
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    async def fetch(self, path: Path) -> None:
        """Download the object to a new file."""
        await asyncio.to_thread(self._fetch, path)

    def _fetch(self, path: Path) -> None:
        import obstore

        part = path.with_name(f".airvid-{os.urandom(8).hex()}.part")
        try:
            with self._errors("read"), part.open("xb") as file:
                for chunk in obstore.get(self._store, self.key).stream():
                    file.write(chunk)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)

    # ------------------------------------------------------------------ the store

    @property
    def _place(self) -> str:
        return f"{self.scheme}://{self.bucket}"

    @cached_property
    def _store(self) -> ObjectStore:
        return self._open(seconds=60)

    @cached_property
    def _checked_store(self) -> ObjectStore:
        """For what is asked before anything is spent: a store that cannot be reached is given up soon."""
        return self._open(seconds=15)

    def _open(self, *, seconds: float) -> ObjectStore:
        """The store; what it refuses for a while is asked again for so long."""
        try:
            from obstore.store import AzureStore, GCSStore, S3Store
        except ImportError:
            hint = system.install_command("airvid[cloud]")
            raise FileError(f"{self._place} needs one more package", hint=hint) from None
        options: dict[str, Any] = {
            # The time limit for one request, long enough for a part of an upload on a slow line.
            "client_options": {
                "timeout": "120s",
                "connect_timeout": "10s",
                "default_content_type": "video/mp4",
                "allow_http": True,
            },
            "retry_config": {
                "max_retries": 100,
                "retry_timeout": timedelta(seconds=seconds),
                "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 2},
            },
        }
        with self._errors("used"):
            if self.scheme == "gs":
                return GCSStore(self.bucket, **options)
            if self.scheme == "az":
                return AzureStore(self.bucket, **options)
            config: Any = _aws_profile() | {"copy_if_not_exists": "multipart", "checksum_algorithm": "SHA256"}
            return S3Store(self.bucket, config=config, **options)

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        """Turn the store's refusal into a FileError, without the answer's text: it may contain names of keys."""
        try:
            yield
        except (FileError, UsageError, OSError) as error:
            if not isinstance(error, FileNotFoundError):
                raise
            raise FileError(f"there is no {self if 'NoSuchBucket' not in str(error) else self._place}") from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "obstore":
                raise
            hint = _CREDENTIALS[self.scheme] if _is_about_credentials(error) else None
            raise FileError(f"{self._place} cannot be {done}: {_reason(error)}", hint=hint) from None


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
    if not re.fullmatch(_BUCKETS[scheme], bucket):
        raise UsageError(f"{bucket!r} cannot be the name of a bucket", hint=f"{scheme}://BUCKET/KEY")
    if not key.isprintable() or "" in (parts := key.split("/"))[:-1] or {".", ".."} & set(parts):
        raise UsageError(f"{key!r} cannot be a key: it has an empty part, a dot part or control characters")
    return scheme, bucket, key


def _aws_profile() -> dict[str, Any]:
    """The keys, region and endpoint of the AWS profile in use, where the environment has no keys. Raises: FileError."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    import configparser

    home, name = Path.home() / ".aws", os.environ.get("AWS_PROFILE") or "default"
    credentials = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"
    config = os.environ.get("AWS_CONFIG_FILE") or home / "config"
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read([credentials, config], "utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise FileError(f"the AWS configuration cannot be read: {type(error).__name__}") from None
    found = {
        key: value
        for section in (f"profile {name}", name)
        if parser.has_section(section)
        for key, value in parser[section].items()
    }
    if os.environ.get("AWS_PROFILE") and "aws_access_key_id" not in found:
        raise FileError(
            f"the AWS profile {name} has no keys of its own",
            hint='eval "$(aws configure export-credentials --format env)"',
        )
    names = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
        "region": "region",
        "endpoint_url": "endpoint",
    }
    return {ours: found[theirs] for theirs, ours in names.items() if found.get(theirs)}


def _is_about_credentials(error: Exception) -> bool:
    return re.search(r"credential|token|\b40[13]\b|Account must be", str(error), re.IGNORECASE) is not None


def _reason(error: Exception) -> str:
    """Why a store refused. Only the code of its answer is used."""
    text = str(error)
    code = re.search(r"<Code>(\w{1,60})</Code>", text)
    status = re.search(r"status code: (\d{3} [A-Za-z ]{1,40})", text)
    if code or status:
        return " ".join(each[1] for each in (status, code) if each)
    if re.search(r"credential|token request|Account must be", text, re.IGNORECASE):
        return "no credentials for it were found"
    return "it does not answer" if "error sending request" in text.lower() else type(error).__name__
