"""`results.jsonl`, beside the clips of a batch: a line for each step of each clip. It backs up the journal.

A line is written and synced before a POST is sent, when the task's id is known, before the clip gets its name, and when
the clip has ended. Of the lines of a POST that tell most, the last one counts. At the end of a run the file is
rewritten with one line for each POST. A kill can leave the last line incomplete. The step of that line has not happened
yet.

Journal and file can disagree. Then everything that either has of a POST counts, as it may have been paid: a task's id
counts more than none, a file on the disk more than a state, and a POST that only one has as much as one that both have.
So no disagreement leads to a second payment.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any, NamedTuple

from airvid import files, system
from airvid.api.models import COMPLETED, Task, is_task_id, number
from airvid.clips.naming import destination
from airvid.clips.part_file import is_at
from airvid.destinations.cloud import is_url
from airvid.errors import FileError, InUseError
from airvid.journal.entries import Attempt, Entry, RowKey, is_number
from airvid.ui.text import dumps

# The beginning of every line: it tells an incomplete line from another program's.
_BEGIN = b'{"airvid":{'
# Seconds that another process may hold the file.
_PATIENCE = 10.0
REFUSED = "refused"
# Bytes of a results file, and the largest number in it that counts something.
LARGEST, MOST = 1 << 30, 1 << 48


# A POST: its row, its number among the row's clips, and when it was intended.
Key = tuple[str, int, float]


class _Line(NamedTuple):
    raw: bytes
    attempt: Attempt
    state: str
    is_play: bool

    @property
    def knowledge(self) -> tuple[bool, bool]:
        """Whether it tells a task's id, and a file."""
        return self.attempt.task_id is not None, self.attempt.file is not None


def _key(entry: Entry) -> Key:
    return str(entry.row), entry.n or 0, entry.intended_at


def _real(path: str) -> str:
    """A path without links, or an address as it is."""
    return path if is_url(path) else os.path.realpath(path)


class Results:
    """One results file. `manifest` is that of this run; its clips are in `folders`, or beside the file.

    `is_play` tells the sandbox's clips from paid ones.
    """

    def __init__(self, place: str, manifest: str, folders: Iterable[str], *, is_play: bool) -> None:
        self.place = destination(place)
        self.path = Path("." if is_url(place) else "", os.path.basename(place) if is_url(place) else place)
        self._folders = {os.path.join(_real(each), "") for each in (os.path.dirname(place) or ".", *folders)}
        self.manifest = manifest
        self._is_play = is_play
        # The line of each POST that counts.
        self._lines: dict[Key, _Line] = {}
        # The lines that this run has read at its start or written. Others, also for a POST sent anew, are another
        # process's.
        self._known = dict[Key, bytes]()
        # Lines of the sandbox where this run pays, and of paid runs where it does not: they are kept and ignored.
        self._others: list[bytes] = []
        # Whether a rewritten file would differ.
        self._is_untidy = False
        # The bytes that were read, and the identity of the file.
        self._read_to, self._file = 0, (0, 0)

    async def load(self) -> list[Attempt]:
        """The POSTs in the file. Raises: FileError, also for a file that airvid has not written."""
        await self._read()
        self._known |= {key: line.raw for key, line in self._lines.items()}
        return [line.attempt for line in self._lines.values()]

    async def _read(self) -> None:
        if os.path.lexists(self.path):
            with self._errors(), files.open_existing(self.path) as file:
                self._catch_up(file)

    # ------------------------------------------------------------------ write

    async def note(self, entry: Entry, record: dict[str, Any] | None = None) -> None:
        """Append a line about the POST of `entry`: what the journal has of it, or the clip's whole `record`.

        Raises: FileError where it cannot be written, or where another process has sent a POST for the same clip.
        """
        await self._append(_key(entry), self._written(entry, record), claims=entry.fate == "sent")

    async def note_unmade(self, entry: Entry) -> None:
        """Append that the POST of `entry` has made no task. Raises: as `note`; also where it was sent anew."""
        await self._append(_key(entry), self._written(entry._replace(fate=REFUSED), None), claims=True)

    def remember(self, entry: Entry, record: dict[str, Any]) -> None:
        """As `note`, for a line that can wait until the file is rewritten."""
        if line := self._parsed(self._written(entry, record)):
            self._lines[_key(entry)], self._is_untidy = line, True
            self._known[_key(entry)] = line.raw

    def has_end_of(self, entry: Entry) -> bool:
        """Whether the file has the whole record of a clip that was saved."""
        line = self._lines.get(_key(entry))
        return line is not None and line.attempt.saved_at is not None

    def _written(self, entry: Entry, record: dict[str, Any] | None) -> bytes:
        record = record or {"task_id": entry.task_id, "status": entry.status, "model": entry.model}
        about = record.get("airvid") or {"request": entry.request, "output": entry.file, "bytes": entry.bytes}
        about |= {"row": entry.row, "n": entry.n, "asked": entry.asked, "state": entry.state}
        about |= {"intended_at": entry.intended_at, "sent_at": entry.sent_at, "play": self._is_play}
        about["output"] = self._relative(about.get("output"))
        times = {} if "created" in record else {"created": entry.created, "expires_at": entry.expires_at}
        # `airvid` is the first key.
        return dumps(
            {"airvid": about} | {key: each for key, each in record.items() if key != "airvid"} | times
        ).encode()

    async def _append(self, key: Key, line: bytes, *, claims: bool) -> None:
        with self._errors(), self._opened() as file:
            self._catch_up(file)
            self._claim(key, claims=claims)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - 1))
            is_torn = file.read(1) not in (b"", b"\n")
            left = memoryview((b"\n" if is_torn else b"") + line + b"\n")
            while left:
                left = left[file.write(left) :]
            system.sync(file)
            self._catch_up(file)
        self._known[key], self._is_untidy = self._lines[key].raw, True

    def _claim(self, key: Key, *, claims: bool) -> None:
        """Raises: InUseError where another process has sent a POST for the same clip."""
        others = (other for other, line in self._lines.items() if self._known.get(other) != line.raw)
        if claims and any(other[:2] == key[:2] and self._lines[other].state != REFUSED for other in others):
            raise InUseError(f"another airvid is making row {key[0]} at this moment")

    async def rewrite(self, order: Callable[[str, int], tuple[Any, ...]]) -> None:
        """Write the file anew, one line for each POST that was taken, sorted by `order` of row and number.

        Lines older than a saved clip are left out, as the clip was bought again. Where the rewriting fails, the file
        stays as it is: its lines tell the same.
        """
        if self._is_untidy:
            with suppress(FileError):
                await self._write_anew(order)

    async def _write_anew(self, order: Callable[[str, int], tuple[Any, ...]]) -> None:
        with self._errors(), self._opened() as file:
            self._catch_up(file)
            self._replace(self._tidy(order), file)

    def _tidy(self, order: Callable[[str, int], tuple[Any, ...]]) -> bytes:
        saved = {key[:2]: key for key in sorted(self._lines) if self._lines[key].attempt.saved_at is not None}
        kept = {
            key: line for key, line in self._lines.items() if line.state != REFUSED and key >= saved.get(key[:2], key)
        }
        lines = [kept[key].raw for key in sorted(kept, key=lambda key: (*order(key[0], key[1]), key[2]))]
        return b"".join(line + b"\n" for line in [*lines, *self._others])

    def _replace(self, content: bytes, file: FileIO) -> None:
        descriptor, beside = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as new:
                new.write(content)
                system.sync(new)
            os.chmod(beside, os.fstat(file.fileno()).st_mode & 0o777)
            os.replace(beside, self.path)
        except BaseException:
            os.unlink(beside)
            raise
        system.sync_folder(self.path.parent)

    @contextmanager
    def _opened(self) -> Iterator[FileIO]:
        """The file, locked against other processes, which may replace it while they have it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + _PATIENCE
        while True:
            with files.open_regular(self.path) as file:
                try:
                    is_mine = system.try_lock(file)
                except system.NoLocksError:
                    is_mine = True  # the file system has no locks: two runs at once are not noticed
                if is_mine and is_at(self.path, file):
                    yield file
                    return
            if time.monotonic() > end:
                raise FileError(f"another process holds {self.path}")
            time.sleep(0.002)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileError(
                f"the results {self.path} cannot be used: {error.strerror or error}",
                hint="--results FILE keeps them elsewhere",
            ) from None

    # ------------------------------------------------------------------ read

    def _catch_up(self, file: FileIO) -> None:
        """Read what is new. Raises: FileError for lines that airvid has not written."""
        found = os.fstat(file.fileno())
        if (found.st_dev, found.st_ino) != self._file or found.st_size < self._read_to:
            self._read_to, self._file = 0, (found.st_dev, found.st_ino)
            self._others.clear()
        if found.st_size > LARGEST:
            raise FileError(
                f"{self.place} is larger than {LARGEST >> 20} MB", hint="--results FILE keeps them elsewhere"
            )
        file.seek(self._read_to)
        for raw in BytesIO(file.read()):
            if not raw.endswith(b"\n"):
                self._is_untidy = True  # the line is read again once it is whole
                self._check_ours(raw)
                break
            self._take(raw.rstrip(b"\r\n"))
            self._read_to += len(raw)

    def _take(self, raw: bytes) -> None:
        if not raw.strip():
            return
        if (line := self._parsed(raw)) is None:
            self._is_untidy = True
            self._check_ours(raw)
        elif line.is_play != self._is_play:
            self._others.append(raw)
        else:
            key = (line.attempt.key.row, line.attempt.key.n, line.attempt.intended_at)
            before = self._lines.get(key)
            self._is_untidy |= before is not None
            # Another home may know less of this POST: its line takes no task's id and no file from one that tells them.
            if before is None or line.knowledge >= before.knowledge:
                self._lines[key] = line

    def _check_ours(self, raw: bytes) -> None:
        """Check that an unreadable line is an incomplete one of airvid's. Raises: FileError."""
        if not (raw.startswith(_BEGIN) or _BEGIN.startswith(raw)):
            raise FileError(
                f"{self.place} has lines that airvid has not written, and is left as it is",
                hint="--results FILE keeps the results elsewhere",
            )

    def _parsed(self, raw: bytes) -> _Line | None:
        """The POST of a line; None for an incomplete or foreign one. Each value is checked, as for any file."""
        try:
            record = json.loads(raw)
            about = record["airvid"]
            row, n, asked, intended_at = about["row"], about["n"], about["asked"], float(about["intended_at"])
            request = about.get("request") or {}
            state = str(about.get("state"))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None
        is_sound = (
            isinstance(row, str) and isinstance(asked, str) and isinstance(request, dict) and is_number(intended_at)
        )
        if not (is_sound and type(n) is int and 0 < n < MOST):
            return None
        found = record.get("task_id")
        task = Task.parse(record, found) if isinstance(found, str) and is_task_id(found) else None
        path, count = self._inside(about.get("output")), about.get("bytes")
        if not (path and type(count) is int and 0 < count < MOST):
            path = count = None
        attempt = Attempt(
            RowKey(self.manifest, row, n, asked),
            intended_at,
            "known" if task else REFUSED if state == REFUSED else "sent",
            number(about.get("sent_at")),
            task and task.task_id,
            # A completed task was charged, also where its clip has expired.
            task and (COMPLETED if state == COMPLETED else task.status),
            request,
            task and task.created,
            task and task.expires_at,
            path,
            count,
            number(about.get("saved_at")) if path else None,
        )
        return _Line(raw, attempt, state, about.get("play") is True)

    # ------------------------------------------------------------------ paths

    def _relative(self, path: object) -> str | None:
        """A clip's path as it is written: relative where it is in this folder, which may be moved."""
        if not isinstance(path, str) or is_url(path):
            return path if isinstance(path, str) else None
        relative = os.path.relpath(path, self.path.parent)
        return os.path.abspath(path) if relative.startswith("..") else relative

    def _inside(self, path: object) -> str | None:
        """A written path, if it leads into a folder of clips, else None."""
        if not isinstance(path, str) or not path or "\0" in path:
            return None
        try:
            whole = path if is_url(path) else _real(os.path.join(self.path.parent, path))
        except ValueError:  # a lone surrogate
            return None
        return whole if any(whole.startswith(folder) for folder in self._folders) else None
