"""From a URL to a whole file. It knows neither tasks nor keys; `part` knows which bytes belong where.

One connection begins. Where the rest would take long, more join it, each for a part of the file, as long as that pays.
One that fails leaves its span to the others; when none is left, the last failure is waited out, and one begins again.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

from airvid import clock, retry, system
from airvid.errors import UnavailableError
from airvid.http import Wire
from airvid.lanes import TICK, Lanes
from airvid.part import DeadLinkError, Part, Span, file_error, open_part

# Without a byte gained for so many seconds, a transfer gives up; what it has stays for the next time.
PATIENCE = 60.0
# Bytes after which the disk is given something to do while more come in.
SYNC_EVERY = 64 << 20


class Received(NamedTuple):
    """So many bytes of the file are here; `total` where the server told."""

    done: int
    total: int | None


def claim(path: Path) -> None:
    """See that a file can be made beside `path`, its folder included, before anything is spent. Raises: FileError."""
    probe = path.with_name(f".{path.name[:100]}.{os.getpid()}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with probe.open("wb") as file:
                file.write(b"\0" * 4096)
                system.sync(file)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise file_error(path, error) from None


async def save(wire: Wire, url: str, path: Path, *, clip: str, force: bool) -> AsyncGenerator[Received, None]:
    """Bring the MP4 at `url` to `path`; done when the iterator ends, and only then is anything under that name.

    `clip` names it whatever its link: a validator proves nothing across clips, and links change.

    Raises: DeadLinkError, NotVideoError, FileError (the part is kept), UnavailableError (the part is kept).
    """
    path = Path(os.path.realpath(path))
    with open_part(path, clip) as part:
        gained_at, attempt, most = clock.elapsed(), 0, part.done
        while True:
            try:
                if not part.is_whole:
                    async with aclosing(_filled(wire, url, part)) as steps:
                        async for received in steps:
                            yield received
                part.check()
                break
            except DeadLinkError:
                raise
            except UnavailableError as error:
                # What is fetched again after a new start is no gain.
                if part.done > most:
                    gained_at, attempt, most = clock.elapsed(), 0, part.done
                spent = clock.elapsed() - gained_at
                pause = retry.next_pause(attempt, spent, PATIENCE, error.retry_after, random.random())
                if pause is None or error.is_final:
                    raise
            attempt += 1
            await clock.sleep(pause)
        part.publish(force=force)


async def _filled(wire: Wire, url: str, part: Part) -> AsyncGenerator[Received, None]:
    """Fill the part by as many connections as pay. Raises: the last one's failure where they left it incomplete."""
    yield Received(part.done, part.total)
    lanes, working, failure = Lanes(), {asyncio.ensure_future(_fill(wire, url, part))}, None
    syncing, synced = None, part.done
    grown_at, seen, was_whole = clock.elapsed(), part.done, False
    try:
        # Who goes on after the last byte is heard for one more look, and no longer.
        while working and not was_whole:
            was_whole = part.is_whole
            done, working = await asyncio.wait(working, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
            # All of them are looked at before one is told: several can end in one turn.
            errors = [error for lane in done if (error := lane.exception())]
            for error in errors:
                if not isinstance(error, UnavailableError):
                    raise error
                failure = error
                lanes.lost(len(working))
            if part.done != seen:
                grown_at, seen = clock.elapsed(), part.done
            elif clock.elapsed() - grown_at >= PATIENCE:
                raise UnavailableError(f"no byte of the file has come for {PATIENCE:.0f} s")
            yield Received(part.done, part.total)
            for _ in range(lanes.more(clock.elapsed(), part, len(working))):
                working.add(asyncio.ensure_future(_fill(wire, url, part)))
            if part.done - synced > SYNC_EVERY and (syncing is None or syncing.done()):
                if syncing:
                    syncing.result()
                syncing, synced = asyncio.ensure_future(asyncio.to_thread(part.sync)), part.done
        if syncing:
            # A disk tells of bytes that it lost once, and not to the next who asks.
            await asyncio.wait({syncing})
            syncing.result()
    finally:
        for lane in working:
            lane.cancel()
        # The file is closed next, which a sync under way must not live to see.
        await asyncio.gather(*working, *([syncing] if syncing else []), return_exceptions=True)
    if failure and not part.is_whole:
        raise failure


async def _fill(wire: Wire, url: str, part: Part) -> None:
    """One connection's work: span after span, until none is left to take. Raises: as `Part.accept`; FileError."""
    while span := part.take():
        try:
            await _fetch(wire, url, part, span)
        finally:
            part.give_back(span)


async def _fetch(wire: Wire, url: str, part: Part, span: Span) -> None:
    async with wire.fetch(url, part.headers(span)) as body:
        if part.accept(body, span):
            async for chunk in body.chunks:
                if not part.write(span, chunk) and span.end != span.reach:
                    break  # the rest is another's; else the answer is read to its end, which keeps its connection
    part.finish(span)
