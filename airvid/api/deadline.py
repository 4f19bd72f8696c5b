"""A time limit for requests that does not count the time in which the program was stopped."""

from __future__ import annotations

import asyncio
from typing import Any, Self

# Seconds between two checks of a deadline.
_TICK = 1.0
# Less than this many seconds is over at once: a clock may not tell them apart.
_LEAST = 0.001


class Deadline:
    """A time limit for an `async with`, which counts only the time in which the program runs. Raises: TimeoutError.

    After a stop (Ctrl-Z) or a sleep of the machine, there is time to read what has arrived meanwhile.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    def restart(self, seconds: float) -> None:
        """Allow `seconds` from now on."""
        self._left = seconds
        self._schedule()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._limit.__aenter__()
        self._schedule()
        return self

    async def __aexit__(self, *error: Any) -> None:
        if self._timer:
            self._timer.cancel()
        await self._limit.__aexit__(*error)

    def _schedule(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._ticked_at = self._loop.time()
        self._timer = self._loop.call_later(min(_TICK, self._left), self._tick)

    def _tick(self) -> None:
        passed = self._loop.time() - self._ticked_at
        if passed > 2 * _TICK:  # the program was stopped
            self._left = max(self._left - _TICK, _TICK)
        else:
            self._left -= passed
        if self._left > _LEAST:
            self._schedule()
        else:
            self._limit.reschedule(self._loop.time())
