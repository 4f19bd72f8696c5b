"""The processes that use a journal: which of them still run, and which are not stopped or asleep.

Each holds a file locked while it runs, in a folder beside the journal, and sets the file's time while it waits. A
process id is no use: in containers every run has the same, and the system gives an id to another process later.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from airvid import clock, files, system

# A process that has set its file's time within these seconds is awake.
AWAKE = 15.0


class Processes:
    """The processes with a file in `folder`, which is made when the first one is registered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._file: IO[bytes] | None = None

    def register(self) -> str:
        """The name of this process, registered from now on. Raises: OSError."""
        if self._file is None:
            system.make_private_folder(self._folder)
            self._name = os.urandom(16).hex()
            self._file = (self._folder / self._name).open("xb")
            with suppress(system.NoLocksError):
                system.try_lock(self._file)
            self.mark_awake()
        return self._name

    def mark_awake(self) -> None:
        """Set the time of this process's file. Where that fails, others take this process for one that is asleep."""
        if self._file is not None:
            now = clock.now()
            with suppress(OSError):
                os.utime(self._folder / self._name, (now, now))

    def close(self) -> None:
        """Remove this process's file."""
        if self._file is not None:
            self._file.close()
            self._file = None
            (self._folder / self._name).unlink(missing_ok=True)

    def is_running(self, name: str | None) -> bool:
        """Whether a process still runs. The file of one that has ended is removed."""
        if name is None:
            return False
        path = self._folder / name
        try:
            with files.open_existing(path) as file:
                if not system.try_lock(file):
                    return True
            path.unlink(missing_ok=True)
        except system.NoLocksError:
            return True  # where locks do not work, a running process must not be taken for one that ended
        except OSError:
            pass
        return False

    def is_awake(self, name: str) -> bool:
        try:
            marked_at = (self._folder / name).stat().st_mtime
        except OSError:
            return False
        return abs(clock.now() - marked_at) < AWAKE

    def remove_ended(self) -> None:
        """Remove the files of processes that have ended."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        for name in names:
            self.is_running(name)
