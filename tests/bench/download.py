"""Downloads from nginx on loopback, by whole processes: airvid, whose API has its answer ready, and curl."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from small_files import tiny_mp4

from . import process, servers, start
from .rows import Line, Side, Sides, Theme, at_most, times

MIB = 1 << 20
LENGTHS = {"1GiB": 1024 * MIB, "200MB": 200_000_000, "64MB": 64_000_000, "20MB": 20_000_000}
OURS, CURL = "airvid", "curl -s -o"

LINES = (
    Line("200 MB at 1 Gbit/s", OURS, CURL, times(1.15), "the program's start and the reading of the task included"),
)
CAPPED_LINES = (
    Line("64 MB at 2 MB/s a connection", OURS, CURL, times(0.2), "eight connections: 1/8, and the time before them"),
)
MEMORY_LINES = (
    Line("memory of a 20 MB download", "20 MB", None, at_most(40), "Python, httpx and Rich", "MB"),
    Line("memory of a 1 GiB download", "1 GiB", None, at_most(40), "Python, httpx and Rich", "MB"),
    Line("memory of 1 GiB against 20 MB", "1 GiB", "20 MB", times(1.1), "one chunk, whatever the length", "MB"),
)


class Setting(NamedTuple):
    """A user with a folder on a disk, whose API knows a task for every file of the storage."""

    env: dict[str, str]
    folder: Path
    storage: str

    def download(self, path: str) -> tuple[list[str], Path]:
        """The command, and the file that it makes."""
        target = self.folder / "airvid.mp4"
        return [process.AIRVID, "download", _task_id(f"{self.storage}/{path}"), "-o", str(target)], target

    def airvid(self, path: str) -> Side:
        command, target = self.download(path)
        return process.timed(*command, env=self.env, before=_clearing(target))

    def curl(self, path: str) -> Side:
        target = self.folder / "curl.mp4"
        command = ("curl", "-sf", "-o", str(target), f"{self.storage}/{path}")
        return process.timed(*command, env=self.env, before=_clearing(target))


@contextmanager
def gigabit() -> Iterator[Sides]:
    """A server that sends 125 MB/s, as a line of 1 Gbit/s does."""
    with _setting() as setting:
        yield {OURS: setting.airvid("gigabit/200MB.mp4"), CURL: setting.curl("gigabit/200MB.mp4")}


@contextmanager
def capped() -> Iterator[Sides]:
    """A server that gives each connection 2 MB/s."""
    with _setting() as setting:
        yield {OURS: setting.airvid("capped/64MB.mp4"), CURL: setting.curl("capped/64MB.mp4")}


@contextmanager
def memory() -> Iterator[Sides]:
    """The most memory that the program holds."""
    with _setting() as setting:
        found = {}
        for name, file in (("20 MB", "20MB"), ("1 GiB", "1GiB")):
            command, target = setting.download(f"{file}.mp4")
            found[name] = process.peak(*command, env=setting.env, before=_clearing(target))
        yield found


@contextmanager
def _setting() -> Iterator[Setting]:
    with process.home() as (folder, env):
        (folder / "www").mkdir()
        for name, length in LENGTHS.items():
            _make_clip(folder / "www" / f"{name}.mp4", length)
        with servers.nginx(folder) as storage:
            urls = [f"{storage}/{place}{name}.mp4" for place in ("", "capped/", "gigabit/") for name in LENGTHS]
            answers = {f"/video/tasks/{_task_id(url)}": start.task(_task_id(url), url) for url in urls}
            with servers.canned(answers) as api:
                yield Setting({**env, "AIRVID_BASE_URL": api}, folder, storage)


def _make_clip(path: Path, length: int) -> None:
    """An MP4 of boxes that add up, most of it one random megabyte over and over."""
    head, block = tiny_mp4(b""), random.Random(1).randbytes(MIB)
    with path.open("wb") as file:
        file.write(head[:-8] + (length - len(head) + 8).to_bytes(4, "big") + b"mdat")
        while left := length - file.tell():
            file.write(block[:left])


def _task_id(url: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, url))


def _clearing(target: Path) -> Callable[[], None]:
    """Before each run: remove the last run's file, and wait until the disk has nothing left to write."""

    def clear() -> None:
        target.unlink(missing_ok=True)
        os.sync()

    return clear


LINE = Theme("download", 7, LINES, gigabit)
CAPPED = Theme("download, capped", 3, CAPPED_LINES, capped, warms_up=False)
MEMORY = Theme("download, memory", 3, MEMORY_LINES, memory)
