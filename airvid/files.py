"""Opening files safely where other users can write: no link is followed, and only this user's regular files count."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO

from airvid.errors import FileError

# Opening a FIFO or a device with these neither waits nor takes over a terminal.
_CAREFUL = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
# Bytes that a clip leaves free on a disk; on a small one a twentieth of it.
_RESERVE = 256 << 20


class NotOursError(OSError):
    """A path leads to no regular file, or to another user's; `strerror` says which."""


def open_regular(path: Path, mode: int = 0o666) -> FileIO:
    """Open a regular file of this user to read and write, unbuffered. It is made where there is none.

    No link is followed, and nothing but a file is opened: a FIFO would wait, and a device may act.
    Raises: NotOursError, OSError.
    """
    while True:
        try:
            return open_existing(path)
        except FileNotFoundError:
            pass
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            return os.fdopen(os.open(path, flags, mode), "r+b", buffering=0)
        except FileExistsError:
            pass  # another process was quicker


def open_existing(path: Path) -> FileIO:
    """As `open_regular`, for a file that exists. Raises: NotOursError, FileNotFoundError, OSError."""
    _check_regular(os.lstat(path))
    file = os.fdopen(os.open(path, os.O_RDWR | _CAREFUL | getattr(os, "O_NOFOLLOW", 0)), "r+b", buffering=0)
    try:
        _check_ours(file, path.parent)
    except BaseException:
        file.close()
        raise
    return file


def read_trusted(path: Path) -> bytes:
    """The content of a regular file of this user or root. Links are followed: many users link their settings.

    Raises: NotOursError, FileNotFoundError, OSError.
    """
    _check_regular(os.stat(path))
    with os.fdopen(os.open(path, os.O_RDONLY | _CAREFUL), "rb") as file:
        _check_ours(file, path.parent, or_roots=True)
        return file.read()


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        what = next((name for is_one, name in _KINDS if is_one(found.st_mode)), "no file")
        raise NotOursError(errno.EEXIST, f"it is {what}")


def _check_ours(file: IO[bytes], folder: Path, *, or_roots: bool = False) -> None:
    """Check that an open file is a regular one of this user, or also of root. Raises: NotOursError."""
    found = os.fstat(file.fileno())
    _check_regular(found)
    is_ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid() or (or_roots and found.st_uid == 0)
    if not (is_ours or _are_all_mine(found, folder)):
        raise NotOursError(errno.EPERM, "it belongs to another user")


def _are_all_mine(found: os.stat_result, folder: Path) -> bool:
    """Whether new files have this owner, too: some file systems show one owner for everything."""
    try:
        with tempfile.TemporaryFile(dir=folder) as new:
            return os.fstat(new.fileno()).st_uid == found.st_uid
    except OSError:
        return False


def room(folder: Path) -> int:
    """Bytes that may still be written in a folder: the free ones less a reserve. Raises: OSError."""
    usage = shutil.disk_usage(folder)
    if not usage.total:
        return sys.maxsize  # the file system does not say
    return max(0, usage.free - min(_RESERVE, usage.total // 20))


def file_error(path: Path, error: OSError) -> FileError:
    """The FileError for a system error on `path`."""
    return FileError(f"{path} cannot be written: {error.strerror or error}")


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn any OSError into a FileError about `path`."""
    try:
        yield
    except OSError as error:
        raise file_error(path, error) from None
