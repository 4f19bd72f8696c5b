"""From a URL to a whole file. It knows neither tasks nor keys; `part` knows which bytes belong where.

One connection begins. Where the rest would take long, more join it, each for a part of the file, as long as that pays.
One that fails leaves its span to the others; when none is left, the last failure is waited out, and one begins again.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import NamedTuple

from airvid import clock, system
from airvid.api import retry
from airvid.api.http import HttpClient
from airvid.clips.part import DeadLinkError, Part, Span, open_part
from airvid.clips.part_file import file_error
from airvid.errors import FileError, UnavailableError, as_unavailable
from airvid.ui.text import length

# Bytes after which the disk is given something to do while more come in.
SYNC_EVERY = 64 << 20


class Received(NamedTuple):
    """So many bytes of the file are here; `total` where the server told; `trouble`: why none come for a while."""

    done: int
    total: int | None
    trouble: str = ""


def claim(path: Path) -> None:
    """See that a file can be made beside `path`, and its folder, before anything is spent. Raises: FileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".airvid-", suffix=".probe") as probe:
            probe.write(b"\0" * 4096)
            system.sync(probe)
    except OSError as error:
        raise file_error(path, error) from None


async def save(wire: HttpClient, url: str, path: Path, *, clip: str, force: bool) -> AsyncGenerator[Received, None]:
    """Bring the MP4 at `url` to `path`; done when the iterator ends, and only then is anything under that name.

    `clip` names it whatever its link: a validator proves nothing across clips, and links change.

    Raises: DeadLinkError, NotVideoError, FileError (the part is kept), UnavailableError (the part is kept).
    """
    path = Path(os.path.realpath(path))
    with open_part(path, clip) as part:
        patience = retry.Patience(clock.elapsed())
        most = furthest = part.done
        while True:
            try:
                if not part.is_whole:
                    async with aclosing(_filled(wire, url, part)) as steps:
                        async for received in steps:
                            furthest = max(furthest, received.done)
                            yield received
                part.check()
                break
            except (DeadLinkError, FileError, OSError):
                raise
            except Exception as raised:
                error = as_unavailable(raised)
                # What is fetched again after a new start is no gain.
                if furthest > most:
                    patience.renew(clock.elapsed())
                    most = furthest
                pause = patience.pause(clock.elapsed(), error.retry_after, random.random())
                if pause is None or error.is_final:
                    raise error from error.__cause__
            if pause >= retry.TOLD_PAUSE:
                yield Received(part.done, part.total, f"{error.message}; waiting {length(pause)} to ask again")
            await clock.sleep(pause)
        part.publish(force=force)


async def _filled(wire: HttpClient, url: str, part: Part) -> AsyncGenerator[Received, None]:
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
            elif clock.elapsed() - grown_at >= retry.PATIENCE:
                raise UnavailableError(f"no byte of the file has come for {retry.PATIENCE:.0f} s")
            yield Received(part.done, part.total)
            for _ in range(lanes.more(clock.elapsed(), part, len(working))):
                working.add(asyncio.ensure_future(_fill(wire, url, part)))
            if part.done - synced > SYNC_EVERY and (syncing is None or syncing.done()):
                if syncing:
                    syncing.result()
                syncing, synced = asyncio.ensure_future(_sync(part)), part.done
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


async def _sync(part: Part) -> None:
    with suppress(RuntimeError):  # no thread can be started: then the disk has everything to do at the end
        await asyncio.to_thread(part.sync)


async def _fill(wire: HttpClient, url: str, part: Part) -> None:
    """One connection's work. Raises: as `Part.accept`; FileError."""
    while span := part.take():
        try:
            await _fetch(wire, url, part, span)
        finally:
            part.give_back(span)


async def _fetch(wire: HttpClient, url: str, part: Part, span: Span) -> None:
    async with wire.fetch(url, part.headers(span)) as body:
        if part.accept(body, span):
            async for chunk in body.chunks:
                if not part.write(span, chunk) and span.end != span.reach:
                    break  # the rest is another's; else the answer is read to its end, which keeps its connection
    part.finish(span)


# ---------------------------------------------------------------------- how many connections

# Seconds between two looks; two of them are a step, of which the second is measured: the first settles.
TICK = 0.025
MOST, GROWTH = 8, 2
# More connections are worth their while where the rest would take so many seconds, and where a step brought so much.
WORTH, GAIN = 2.0, 1.3
# Bytes a second, of all connections together, that are fast enough.
FAST = 50_000_000


class Lanes:
    """Decides by what is seen of a part at each tick.

    A step paid where more came in than at the one before, or where connections wait for bytes: then the server holds
    back each of them, as one that meters them does. On a line that is simply full all of them flow, and none is added.
    """

    def __init__(self) -> None:
        self._most = MOST
        self._rate = 0.0
        self._seen: tuple[float, int, dict[Span, int]] | None = None
        self._is_settled = False
        self._has_grown = False

    def lost(self, working: int) -> None:
        """A connection failed: the server may not want so many."""
        self._most = max(1, working)

    def more(self, now: float, part: Part, working: int) -> int:
        """How many connections to add. `now`: seconds on a clock that only grows."""
        places = {span: span.at for span in part.spans if span.is_taken}
        before, self._seen = self._seen, (now, part.done, places)
        if before is None or part.total is None or now <= before[0]:
            return 0
        if not all(span.is_flowing for span in places):
            return 0  # on a long way, a connection's first bytes take their time
        if not self._is_settled:
            self._is_settled = True
            return 0
        self._is_settled = False
        rate = (part.done - before[1]) / (now - before[0])
        is_starved = any(before[2].get(span) == at for span, at in places.items())
        if self._has_grown and not is_starved and rate < GAIN * self._rate:
            self._most = working
        self._rate = rate
        is_worth_it = rate < FAST and part.total - part.done > WORTH * rate
        added = max(0, min(self._most, GROWTH * working) - working) if is_worth_it else 0
        self._has_grown = added > 0
        return added
