"""The two files of a part: whose they are, who has them open, and how a part gets its final name.

What is not airvid's own is left alone.
"""

from __future__ import annotations

import json
import os
import shlex
from contextlib import suppress
from io import FileIO
from pathlib import Path

from airvid import files, system
from airvid.errors import FileError, InUseError

_LONGEST_SIDECAR = 1 << 20
# The suffix of an MP4 that stays incomplete.
DAMAGED = ".damaged"


class OtherVideoError(FileError):
    """The clip is video of another kind, or incomplete. It is kept as `path` and not as `wanted`."""

    def __init__(self, path: Path, wanted: Path) -> None:
        self.is_whole = not path.name.endswith(DAMAGED)
        self.path = path
        self.what = f"{path.suffix[1:].upper()} and no MP4" if self.is_whole else "no whole video"
        super().__init__(
            f"the result is {self.what}; it is saved as {path}",
            hint=shlex.join(["ffmpeg", "-i", str(path), str(wanted)]),
        )


def check_part(path: Path) -> None:
    """See that `open_part` can take up what stands beside `path`. Nothing is made or changed. Raises: FileError."""
    path = Path(os.path.realpath(path))
    part = beside(path, ".part")
    try:
        with files.open_existing(part) as file:
            with suppress(system.NoLocksError):
                if not system.try_lock(file):
                    raise in_use(path)
            _check_ours(part, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        _check_ours(part, 0)
    except (OSError, ValueError) as error:
        raise _in_the_way(part, error) from None


def open_locked(part: Path) -> FileIO | None:
    """The part, opened and locked; None where another process has it. Raises: FileError, NoLocksError."""
    _check_ours(part, 0)
    while True:
        file = open_file(part)
        try:
            if not system.try_lock(file):
                file.close()
                return None
            # The process that had the lock may have renamed or removed the file: then this is no part any more.
            is_here, found = is_at(part, file), os.fstat(file.fileno())
            if is_here:
                _check_ours(part, found.st_size)
            if is_here and found.st_nlink <= 1:  # some file systems do not count
                return file
        except BaseException as error:
            is_empty = os.fstat(file.fileno()).st_size == 0
            file.close()
            if isinstance(error, system.NoLocksError) and is_empty:
                part.unlink(missing_ok=True)
            raise
        file.close()
        if is_here:
            part.unlink(missing_ok=True)  # it has its final name already, and is not touched


def open_file(part: Path) -> FileIO:
    """Raises: FileError."""
    try:
        return files.open_regular(part)
    except OSError as error:
        raise _in_the_way(part, error) from None


def publish(file: FileIO, part: Path, final: Path, *, force: bool) -> None:
    """Sync an open part, and give it its final name in one step. Without `force` a file under that name is left alone.

    Raises: FileError where the name is taken, or the part is not at its place any more; OSError.
    """
    system.sync(file)
    if not is_at(part, file):
        beside(part, ".json").unlink(missing_ok=True)
        raise FileError(f"{part} was removed or replaced meanwhile")
    if system.IS_WINDOWS:
        file.close()  # an open file cannot be renamed there
    try:
        if force:
            os.replace(part, final)
        else:
            _rename_new(part, final)
    except FileExistsError:
        raise FileError(f"{final} has appeared meanwhile; the clip is whole in {part}") from None
    system.sync_folder(final.parent)
    beside(part, ".json").unlink(missing_ok=True)


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


def _check_ours(part: Path, size: int) -> None:
    """See that a part of `size` bytes, and its sidecar, are airvid's. Raises: FileError."""
    sidecar = beside(part, ".json")
    try:
        content = read_sidecar(sidecar)
        kept = json.loads(content) if content.strip(b" \0") else None
        is_ours = kept is None or {"clip", "validator", "total"} <= set(kept)
    except FileNotFoundError:
        kept, is_ours = None, True
    except OSError as error:
        raise _in_the_way(sidecar, error) from None
    except (ValueError, TypeError, RecursionError):
        is_ours = False
    if not is_ours or (kept is None and size):
        raise _in_the_way(sidecar if not is_ours else part, ValueError("it is not airvid's"))


def _in_the_way(path: Path, error: Exception) -> FileError:
    """What stands where a part goes, or its sidecar."""
    what = getattr(error, "strerror", None) or error
    if not os.path.lexists(path):
        return FileError(f"{path} cannot be written: {what}")
    return FileError(f"{path} is in the way: {what}", hint="move it away, or give another -o")


def in_use(path: Path) -> InUseError:
    return InUseError(f"another airvid is saving to {path} at this moment")


def is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except FileNotFoundError:
        return False


def read_sidecar(path: Path) -> bytes:
    """Raises: OSError."""
    with files.open_existing(path) as file:
        return file.read(_LONGEST_SIDECAR)


def write_sidecar(path: Path, kept: object) -> None:
    """Write `kept` as JSON. Raises: OSError."""
    with files.open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # In place and in one write, which a kill cannot halve; blanks cover what was longer.
        file.write(json.dumps(kept).encode().ljust(size))
        if not size:
            system.sync(file)  # without it the part is not known as airvid's after a power cut


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
