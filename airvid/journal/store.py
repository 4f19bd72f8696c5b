"""The journal's file as this process has it open: transactions, waiting for other processes, a broken file."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from airvid import clock, system
from airvid.errors import FileError, Interrupted
from airvid.journal import schema
from airvid.journal.schema import Database

T = TypeVar("T")
_log = logging.getLogger(__name__)
# Seconds that one run waits in all while other processes hold the journal. A write that money depends on may always
# wait that long.
PATIENCE = 10.0
# Seconds between two attempts: the first, and the longest.
_PAUSES = (0.001, 0.05)


class Store:
    """One file, opened when first needed. A broken one is mended or set aside, with a warning in the log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: Database | None = None
        self._patience = PATIENCE
        # Whether callers know rows by their numbers. Then no new file is begun: it would give them to other rows.
        self.has_handed_out_rows = False
        # Why nothing can be said of what was in the journal before this run.
        self.loss: str | None = None

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def read(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows; none where there is no journal yet. Raises: FileError; Interrupted while it waits."""
        try:
            if self._open is None and not self._exists():
                return []
            return self._mending(lambda: self._database().execute(query, values).fetchall(), self._patience)
        except (sqlite3.Error, OSError) as error:
            raise FileError(
                f"the journal {self.path} cannot be read: {_why(error)}", hint="airvid list shows what the server knows"
            ) from error

    def write(self, work: Callable[[Database], T], *, is_vital: bool = False) -> T:
        """Do `work`, once more where it was undone, in one transaction that is on disk when this returns.

        `is_vital`: money depends on it. Raises: what `work` raises; FileError; Interrupted while it waits.
        """

        def transaction() -> T:
            database = self._database()
            schema.check_version(database, self.path)
            database.execute("BEGIN IMMEDIATE")
            try:
                result = work(database)
                database.execute("COMMIT")
                return result
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

        try:
            return self._mending(transaction, PATIENCE if is_vital else self._patience)
        except (sqlite3.Error, OSError) as error:
            raise FileError(
                f"the journal {self.path} cannot be written: {_why(error)}",
                hint="nothing is sent without it; free some space or mend its folder",
            ) from error

    def _exists(self) -> bool:
        """Raises: OSError where there can be none: a file in the way of a folder, a folder that is read-only."""
        try:
            self.path.stat()
        except FileNotFoundError:
            folder = next(each for each in self.path.absolute().parents if each.exists())
            if not os.access(folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder)) from None
            return False
        return True

    def _database(self) -> Database:
        if self._open is None:
            system.make_private_folder(self.path.parent)
            self._open = schema.connect(self.path)
        return self._open

    def _mending(self, act: Callable[[], T], patience: float) -> T:
        try:
            return self._waiting(act, patience)
        except sqlite3.DatabaseError as error:
            if not schema.is_broken(error) or self.has_handed_out_rows:
                raise
        self.close()
        kept, is_saved = self._waiting(lambda: schema.mend(self.path), patience)
        if kept and is_saved:
            _log.warning(f"the journal was damaged; all its rows are in a new one, and it is kept as {kept}")
        elif kept:
            self.loss = f"the journal was broken; it is kept as {kept}, and a new one is begun"
            _log.warning(f"{self.loss}: airvid list still shows what the server knows of the last 24 hours")
        return self._waiting(act, patience)

    def _waiting(self, act: Callable[[], T], patience: float) -> T:
        """Do `act`, again and again while another process holds the journal. Raises: Interrupted by a signal."""
        try:
            return act()
        except sqlite3.OperationalError as error:
            if not schema.is_busy(error):
                raise
        began = clock.elapsed()
        try:
            with system.noted_signals() as received:
                return self._retrying(act, began + patience, received)
        finally:
            self._patience = max(0.0, self._patience - (clock.elapsed() - began))

    def _retrying(self, act: Callable[[], T], end: float, signals: list[int]) -> T:
        pause, longest = _PAUSES
        while True:
            clock.block(pause)
            pause = min(2 * pause, longest)
            try:
                return act()
            except sqlite3.OperationalError as error:
                if signals:
                    raise Interrupted(signals[0]) from None
                if not schema.is_busy(error) or clock.elapsed() >= end:
                    raise


def _why(error: Exception) -> str:
    """The error in words, without a number."""
    return str(getattr(error, "strerror", None) or error)
