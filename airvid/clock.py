"""Time: what it is, and waiting. Tests replace it here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Clock:
    """The system's time, and what makes the event loop that waits by it (None: asyncio's own)."""

    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.monotonic()

    def block(self, seconds: float) -> None:
        time.sleep(seconds)


_clock = Clock()


def now() -> float:
    """The wall clock in Unix seconds, which may jump."""
    return _clock.now()


def elapsed() -> float:
    """Seconds on a monotonic clock; only differences mean something."""
    return _clock.elapsed()


def block(seconds: float) -> None:
    """Wait, and block the event loop meanwhile."""
    _clock.block(seconds)


async def sleep(seconds: float) -> None:
    """Wait on the running event loop."""
    import asyncio

    await asyncio.sleep(max(0.0, seconds))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop that waits by the clock."""
    return _clock.loop_factory


@contextmanager
def use(clock: Clock) -> Iterator[None]:
    """Run the body, a whole program in a test, by another clock."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
