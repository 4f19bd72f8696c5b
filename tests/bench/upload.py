"""Uploads to moto's S3 behind a line of 20 MB/s, by processes of their own: airvid's, and the library's alone."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from object_stores import FailingRelay, s3_environment, store

from . import process
from .rows import Line, Sides, Theme, plus, times

MB = 1_000_000
OURS, THEIRS, SMALL = "airvid", "obstore alone", "airvid, 1 kB"
LINES = (
    Line(
        "100 MB to a store",
        OURS,
        THEIRS,
        times(1.2),
        "a copy at the store: obstore completes no upload of parts on a condition",
    ),
)
MEMORY_LINES = (Line("memory of a 100 MB upload", OURS, SMALL, plus(64), "three parts of 5 MB under way", "MB"),)
_OURS = """
import asyncio, os, sys
from pathlib import Path
from airvid.destinations.cloud import CloudObject

async def main():
    async for _ in CloudObject(f"{sys.argv[1]}/{os.urandom(8).hex()}.mp4").deliver(Path(sys.argv[2]), force=False):
        pass

asyncio.run(main())
"""
_THEIRS = """
import os, sys
from obstore import put
from obstore.store import S3Store

store = S3Store(sys.argv[1].removeprefix("s3://"), client_options={"allow_http": True})
with open(sys.argv[2], "rb") as file:
    put(store, f"{os.urandom(8).hex()}.mp4", file)
"""


class SlowLine(FailingRelay):
    """A relay that lets 20 MB a second through to the store, over all connections."""

    _free_at = 0.0

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        self._free_at = max(self._free_at, time.monotonic()) + len(chunk) / (20 * MB)
        await asyncio.sleep(self._free_at - time.monotonic())
        await super()._pass_on(chunk, writer)


@contextmanager
def upload() -> Iterator[Sides]:
    with _commands() as (commands, env):
        yield {name: process.timed(*command, env=env) for name, command in commands.items()}


@contextmanager
def memory() -> Iterator[Sides]:
    with _commands() as (commands, env):
        yield {name: process.peak(*command, env=env) for name, command in commands.items()}


@contextmanager
def _commands() -> Iterator[tuple[dict[str, list[str]], dict[str, str]]]:
    with process.home() as (folder, env), store("s3", folder) as found:
        large, small = folder / "large.mp4", folder / "small.mp4"
        large.write_bytes(random.Random(1).randbytes(100 * MB))
        small.write_bytes(bytes(1000))
        told = {OURS: (_OURS, large), THEIRS: (_THEIRS, large), SMALL: (_OURS, small)}
        commands = {name: [sys.executable, "-c", code, found.bucket, str(path)] for name, (code, path) in told.items()}
        with SlowLine(found.endpoint) as line:
            yield commands, {**env, **s3_environment(line.url)}


TIME = Theme("upload", 5, LINES, upload)
MEMORY = Theme("upload, memory", 3, MEMORY_LINES, memory)
