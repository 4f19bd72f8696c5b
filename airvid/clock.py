"""The one seam for time: what the hour is, and waiting.

`now()` is the wall clock in Unix seconds (it may jump), `elapsed()` only ever grows and is for measuring, and
`sleep()` waits on the running event loop. `use()` puts another clock in their place, for a whole program in a test.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from, and the event loop that waits by it (None: asyncio's own)."""

    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None

    def now(self) -> float: ...

    def elapsed(self) -> float: ...


class SystemClock:
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.monotonic()


_clock: Clock = SystemClock()


def now() -> float:
    """Unix time in seconds."""
    return _clock.now()


def elapsed() -> float:
    """Seconds on a clock that never goes back; only differences mean something."""
    return _clock.elapsed()


async def sleep(seconds: float) -> None:
    await asyncio.sleep(max(0.0, seconds))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    return _clock.loop_factory


@contextmanager
def use(clock: Clock) -> Iterator[None]:
    """Run the body by another clock."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
