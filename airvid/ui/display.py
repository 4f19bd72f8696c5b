"""How progress is shown on standard error: bars on a terminal, a few lines in a log, or nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

from airvid import clock
from airvid.ui import terminal
from airvid.ui.log import LOG_EVERY, Log
from airvid.ui.output import Output
from airvid.ui.progress import Progress
from airvid.ui.text import length

# Seconds without an answer after which a terminal shows the host.
SILENCE = 3.0


def choose(output: Output, count: int | None = None, *, rings: bool = False) -> Progress:
    """The display for this run. `count`: the number of rows to expect; `rings`: with a bell after a long wait."""
    if output.quiet:
        return Progress(count)
    if has_bars(output):
        from airvid.ui.live import Live

        return Live(output, count, rings=rings)
    return Log(output, count, rings=rings)


def has_bars(output: Output) -> bool:
    return not output.quiet and not output.as_json and terminal.can_animate(output.stderr)


class Countdown:
    """Waits before a request is repeated, and tells why: on a terminal counting down, else by a line now and then."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._told_at = float("-inf")

    async def __call__(self, what: str, seconds: float) -> None:
        output, end = self._output, clock.elapsed() + seconds
        if not output.bars and not has_bars(output):
            if clock.elapsed() - self._told_at >= LOG_EVERY:
                self._told_at = clock.elapsed()
                output.note(f"{what}; trying again in {length(max(1.0, seconds))}")
            await clock.sleep(seconds)
            return
        with self._shown() as progress:
            try:
                while (left := end - clock.elapsed()) > 0:
                    progress.tell(f"trying again in {math.ceil(left)}s (Ctrl-C is safe): {what}")
                    await clock.sleep(min(1.0, left))
            finally:
                progress.tell("")

    @asynccontextmanager
    async def while_silent(self, host: str) -> AsyncIterator[None]:
        """Show on a terminal that a host has been silent for SILENCE seconds, until there is a row or the body ends."""
        if not has_bars(self._output):
            yield
            return
        telling = asyncio.create_task(self._tell_silence(host))
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.wait({telling})

    async def _tell_silence(self, host: str) -> None:
        began = clock.elapsed()
        await clock.sleep(SILENCE)
        with self._shown() as progress:
            try:
                while not progress.rows:
                    passed = length(clock.elapsed() - began)
                    progress.tell(f"waiting for {host}: no answer for {passed} (Ctrl-C is safe)")
                    await clock.sleep(1.0)
            finally:
                progress.tell("")

    def _shown(self) -> AbstractContextManager[Progress]:
        """The bars that are on the screen, else new ones."""
        return nullcontext(self._output.bars) if self._output.bars else choose(self._output)
