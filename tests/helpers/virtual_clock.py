"""A clock and an event loop whose time jumps to the next moment that something waits for."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from airvid import clock

NOON = 1_790_000_000.0


# Seconds; no run takes longer. Without a limit a display that ticks would hide that the program waits for nothing.
LONGEST_RUN = 40 * 86_400


class VirtualClock(clock.Clock):
    """Time that jumps to the next moment that something waits for: a ten-minute render takes milliseconds."""

    def __init__(self, start: float = NOON) -> None:
        self._start = start
        self._passed = 0.0
        self.threads = 0  # at work; it takes real time, and no virtual time
        self.loop_factory = lambda: VirtualLoop(self)

    def now(self) -> float:
        return self._start + self._passed

    def elapsed(self) -> float:
        return self._passed

    def block(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    def shift_wall(self, seconds: float) -> None:
        """The wall clock is set, or the machine slept: nothing else moved."""
        self._start += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and self._clock.threads:
            return super().select(1)
        if not ready and timeout is None:
            ready = super().select(1)  # a thread is at work, perhaps
        if not ready and timeout:
            self._clock.advance(timeout)
        if (not ready and timeout is None) or self._clock.elapsed() > LONGEST_RUN:
            raise AssertionError("the program waits for something that never comes")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a virtual time, and a selector that lets it pass."""

    def __init__(self, clock: VirtualClock, selector: selectors.BaseSelector | None = None) -> None:
        self._virtual = clock
        super().__init__(selector or _JumpingSelector(clock))

    def time(self) -> float:
        return self._virtual.elapsed()

    def run_in_executor(self, *work: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = super().run_in_executor(*work)
        self._virtual.threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: asyncio.Future[Any]) -> None:
        self._virtual.threads -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Without a limit: threads take real time, and the virtual time would be over at once."""
        await super().shutdown_default_executor()
