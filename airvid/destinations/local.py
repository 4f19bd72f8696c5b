"""Files on this disk, as destinations of clips."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from airvid import system
from airvid.errors import FileError
from airvid.files import file_errors

# The longest suffix of the files beside a clip while it is downloaded.
_LONGEST_SUFFIX = ".part.json"


class LocalFile:
    """A file. It has the methods of `CloudObject`, so callers need not tell them apart."""

    def __init__(self, path: Path) -> None:
        self.file = path

    def __str__(self) -> str:
        return str(self.file)

    @property
    def absolute(self) -> str:
        return os.path.abspath(self.file)

    def local_path(self, clip: str) -> Path:
        """The file that is downloaded: the destination itself."""
        return self.file

    def waits(self, path: Path) -> bool:
        """Whether a whole clip waits for its upload: never."""
        return False

    async def size(self) -> int | None:
        """The file's bytes; None where there is none."""
        return self.file.stat().st_size if self.file.is_file() else None

    async def check(self, *, force: bool) -> None:
        """Check that a clip can be saved here, without making anything. Raises: FileError."""
        check_file(self.file, force=force)

    async def check_writable(self) -> None:
        """See that a file can be made here, and its folder, before anything is spent. Raises: FileError."""
        claim(self.file)

    async def deliver(self, path: Path, *, force: bool) -> AsyncGenerator[int, None]:
        """Do nothing: the download has brought the clip to its place."""
        nothing: tuple[int, ...] = ()
        for count in nothing:
            yield count

    def forget(self, path: Path) -> None:
        """Do nothing: the clip itself is kept."""


def check_file(path: Path, *, force: bool) -> None:
    """Check that a clip can be saved at `path`, without making anything. Raises: FileError."""
    if len(os.fsencode(path.name)) + len(_LONGEST_SUFFIX) > 255:
        raise FileError(f"the file name {path.name[:40]}… is too long")
    try:
        found = path.stat() if path.exists() else None
        is_link = path.is_symlink()
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be used: {getattr(error, 'strerror', error)}") from None
    if found and stat.S_ISDIR(found.st_mode):
        raise FileError(f"{path} is a directory", hint=f"-o {path}{os.sep}")
    if found and not stat.S_ISREG(found.st_mode):
        raise FileError(f"{path} is no regular file", hint="-o - writes to standard output")
    if (found or is_link) and not force:
        raise FileError(f"{path} exists", hint="--force overwrites it; or give another -o")
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Check that `folder` can be written, or made. Raises: FileError."""
    try:
        for place in (folder, *folder.parents):
            if place.is_dir():
                if not os.access(place, os.W_OK | os.X_OK):
                    raise FileError(f"the directory {place} is not writable")
                return
            if os.path.lexists(place):
                raise FileError(f"{place} is not a directory")
    except (OSError, ValueError) as error:
        raise FileError(f"the directory {folder} cannot be used: {getattr(error, 'strerror', error)}") from None
    raise FileError(f"there is no directory {folder}, and none to make it in")


def claim(path: Path) -> None:
    """See that a file can be made beside `path`, and its folder, before anything is spent. Raises: FileError."""
    with file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: on a full disk a buffer would make the closing fail and leave the file.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".airvid-", suffix=".probe", buffering=0) as probe:
            left = 4096
            while left:
                left -= probe.write(bytes(left))
            system.sync(probe)
