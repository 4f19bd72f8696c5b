"""`results.jsonl` in a store, shared by all runs that write to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from airvid.clips.results import Key, Results
from airvid.destinations.cloud import CloudObject, is_url
from airvid.errors import FileError

# How often a write is tried while other runs change the object.
_TRIES = 50
# Seconds to wait for a store: at most, and after an interruption of the run.
_LONGEST, _MOMENT = 60.0, 2.0


class StoredResults(Results):
    """A results file in a store.

    It is written whole, and only where it still is the version that was read. So two runs that share it lose no line.
    The store is asked in threads, because it may be slow or silent.
    """

    def __init__(self, place: CloudObject, manifest: str, folders: Iterable[str], *, is_play: bool) -> None:
        super().__init__(place.url, manifest, folders, is_play=is_play)
        self._object = place
        self._content = b""
        self._lock = Lock()

    async def _in_thread(self, work: Callable[[], object]) -> None:
        """Do the work in a thread, one at a time. Raises: FileError, also where it takes too long."""

        def work_alone() -> None:
            with self._lock:
                work()

        task = asyncio.current_task()
        try:
            async with asyncio.timeout(_MOMENT if task and task.cancelling() else _LONGEST):
                await asyncio.to_thread(work_alone)
        except TimeoutError:
            raise FileError(f"{self.place} cannot be used: the store does not answer") from None

    async def _read(self) -> None:
        await self._in_thread(self._read_object)

    def _read_object(self) -> Any:
        """Take the new lines. Returns the version of the object. Raises: FileError."""
        content, version = self._object.read()
        known = self._content if content.startswith(self._content) else b""
        if not known:
            self._others.clear()
        for raw in content[len(known) :].split(b"\n"):
            self._take(raw.rstrip(b"\r"))
        self._content = content
        return version

    async def _append(self, key: Key, line: bytes, *, claims: bool) -> None:
        await self._in_thread(lambda: self._append_line(key, line, claims=claims))

    def _append_line(self, key: Key, line: bytes, *, claims: bool) -> None:
        for _ in range(_TRIES):
            version = self._read_object()
            # An earlier attempt has written the line if only its answer was lost.
            is_there = key in self._lines and self._lines[key].raw == line
            if not is_there:
                self._claim(key, claims=claims)
                end = b"" if self._content.endswith(b"\n") or not self._content else b"\n"
                if not self._object.replace(self._content + end + line + b"\n", version):
                    continue
                self._read_object()
            self._known[key], self._is_untidy = self._lines[key].raw, True
            return
        raise FileError(f"{self.place} keeps changing: other runs write to it")

    async def _write_anew(self, order: Callable[[str, int], tuple[Any, ...]]) -> None:
        """As for a file. Where another run has changed the object meanwhile, the rewriting is left to that run."""

        def write() -> None:
            version = self._read_object()
            self._object.replace(self._tidy(order), version)

        await self._in_thread(write)


def results_at(place: str, manifest: str, folders: Iterable[str], *, is_play: bool) -> Results:
    """The results file of a path or an address. Raises: UsageError for an invalid address."""
    if is_url(place):
        return StoredResults(CloudObject(place), manifest, folders, is_play=is_play)
    return Results(place, manifest, folders, is_play=is_play)
