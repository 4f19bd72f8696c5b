"""From a URL to a whole file. This module knows neither tasks nor keys; `part` knows which bytes belong where.

One connection begins. Where the rest would take longer than two seconds by the speed seen so far, and the server proves
a strong validator and ranges, the rest is divided among up to eight connections, once. A connection that fails leaves
its segment to the next attempt, which begins after the other connections have ended.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import NamedTuple

from airvid import clock
from airvid.api import retry
from airvid.api.connections import HeaderError
from airvid.api.deadline import Deadline
from airvid.api.http import HttpClient
from airvid.clips.part import ChangedError, DeadLinkError, Part, Segment, open_part
from airvid.errors import FileError, UnavailableError, as_unavailable
from airvid.ui.text import length

# The rest is divided where it would take more seconds than these.
LONGEST_REST = 2.0
# Seconds after the first bytes from which on their speed counts.
MEASURED = 0.5
# Seconds between two reports.
REPORT_EVERY = 0.25
# Bytes after which the disk is given something to do while more come in.
SYNC_EVERY = 64 << 20


class Received(NamedTuple):
    """The bytes of the file so far; `total` is None where the server does not tell.

    `trouble`: why no bytes come at present; `is_whole`: the file is checked, and gets its name next.
    """

    done: int
    total: int | None
    trouble: str = ""
    is_whole: bool = False


async def save(
    http: HttpClient, url: str, path: Path, *, clip: str, force: bool, is_last: bool = True
) -> AsyncGenerator[Received, None]:
    """Bring the MP4 at `url` to `path`. The file gets its name when the iterator ends, and not before.

    `clip` identifies the clip: its link may change, and a validator proves nothing for another clip. `is_last`: no
    other link is tried, so a video that is not whole is kept.

    Raises: DeadLinkError, HeaderError, NotVideoError, OtherVideoError, FileError (the part is kept), UnavailableError
    (the part is kept).
    """
    path = Path(os.path.realpath(path))
    with open_part(path, clip) as part:
        patience = retry.Patience(clock.elapsed())
        most = furthest = part.done
        while True:
            try:
                async with aclosing(_fill(http, url, part)) as steps:
                    async for received in steps:
                        furthest = max(furthest, received.done)
                        yield received
                suffix = part.check(is_last=is_last)
                break
            except (FileError, OSError):
                raise
            except Exception as raised:
                error = as_unavailable(raised)
            if isinstance(error, ChangedError):
                part.restart()
            # What is fetched again after a new start is no gain.
            pause = _pause(patience, error, has_gained=furthest > most)
            most = furthest
            if pause >= retry.TOLD_PAUSE:
                yield Received(part.done, part.total, f"{error.message}; waiting {length(pause)} to ask again")
            await clock.sleep(pause)
        yield Received(part.done, part.done, is_whole=True)
        part.publish(suffix, force=force)


def _pause(patience: retry.Patience, error: UnavailableError, *, has_gained: bool) -> float:
    """Seconds until the next attempt. Raises: `error`, where there is none."""
    if has_gained:
        patience.renew(clock.elapsed())
    elif isinstance(error, DeadLinkError):
        raise error  # after bytes have come, the link may only limit connections
    pause = patience.pause(clock.elapsed(), error.retry_after, random.random())
    if pause is None or error.is_final or isinstance(error, HeaderError):
        raise error from error.__cause__
    return pause


async def _fill(http: HttpClient, url: str, part: Part) -> AsyncGenerator[Received, None]:
    """Fetch every segment that is still to come, each by a connection of its own.

    Raises: ChangedError, FileError at once; any other failure when all connections have ended.
    """
    yield Received(part.done, part.total)
    tasks = _start(http, url, part, part.segments)
    failure, speed, syncing, synced = None, Speed(part.done), None, part.done
    try:
        while tasks:
            ended, tasks = await asyncio.wait(tasks, timeout=REPORT_EVERY, return_when=asyncio.FIRST_COMPLETED)
            failure = _failure(ended) or failure
            yield Received(part.done, part.total)
            if speed.seconds_left(part) > LONGEST_REST and part.is_divisible:
                tasks |= _start(http, url, part, part.divide())
            if part.done - synced >= SYNC_EVERY and syncing not in tasks:
                syncing, synced = asyncio.ensure_future(_sync(part)), part.done
                tasks.add(syncing)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failure:
        raise failure


def _start(http: HttpClient, url: str, part: Part, segments: Iterable[Segment]) -> set[asyncio.Future[None]]:
    return {asyncio.ensure_future(_fetch(http, url, part, each)) for each in segments if each.left != 0}


def _failure(ended: Iterable[asyncio.Future[None]]) -> UnavailableError | None:
    """The failure of a connection after which the others go on. Raises: any other one."""
    # All are looked at before one is raised: several can end at the same time.
    errors, failure = [error for task in ended if (error := task.exception())], None
    for error in errors:
        if isinstance(error, ChangedError) or not isinstance(error, UnavailableError):
            raise error
        failure = error
    return failure


async def _fetch(http: HttpClient, url: str, part: Part, segment: Segment) -> None:
    """Fill a segment by one connection. Raises: as `Part.accept` and `Part.write`; UnavailableError."""
    try:
        async with Deadline(retry.PATIENCE) as deadline, http.fetch(url, part.headers(segment)) as body:
            part.accept(body, segment)
            if segment.left == 0:
                return
            async for chunk in body.chunks:
                deadline.restart(retry.PATIENCE)
                part.write(segment, chunk)
                if segment.left == 0:
                    return
    except TimeoutError:
        raise UnavailableError(f"no byte of the file has come for {retry.PATIENCE:.0f} s") from None
    part.finish(segment)


async def _sync(part: Part) -> None:
    with suppress(RuntimeError):  # no thread can be started: then the disk has everything to do at the end
        await asyncio.to_thread(part.sync)


class Speed:
    """How fast bytes of a part come, from the first report of them on; `done`: bytes that were there before."""

    def __init__(self, done: int) -> None:
        self._done = done
        self._began: float | None = None

    def seconds_left(self, part: Part) -> float:
        """How long the rest takes at this speed; 0 as long as too little is seen."""
        now = clock.elapsed()
        if self._began is None and part.done != self._done:
            self._began, self._done = now, part.done
        if part.total is None or self._began is None or now - self._began < MEASURED:
            return 0.0
        gained = part.done - self._done
        return (part.total - part.done) * (now - self._began) / gained if gained else math.inf
