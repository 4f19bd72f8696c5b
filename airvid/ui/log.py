"""Progress in a log: a few plain lines."""

from __future__ import annotations

import asyncio
import time

from airvid import clock
from airvid.ui.output import Output
from airvid.ui.progress import Progress, Row, states
from airvid.ui.text import length, size

# Seconds between two lines of a log while no state changes.
LOG_EVERY = 10.0
# CI runners kill a job that has been silent for some minutes.
LONGEST_SILENCE = 60.0
# Seconds of a wait whose end the bell rings.
LONG_WAIT = 10.0
# Characters of what a row is about, in a line of a log.
LONGEST_ABOUT = 24


class Shown(Progress):
    """What the displays share: they write on an output, and ring when they end after LONG_WAIT seconds."""

    def __init__(self, output: Output, count: int | None, *, rings: bool) -> None:
        super().__init__(count)
        self._output = output
        self._rings = rings

    def __exit__(self, *_: object) -> None:
        if self._rings and clock.elapsed() - self.began > LONG_WAIT:
            self._output.ring()


class Log(Shown):
    """Rows as plain lines: each change of state, and at most one line in ten seconds otherwise."""

    def __init__(self, output: Output, count: int | None, *, rings: bool = False) -> None:
        super().__init__(output, count, rings=rings)
        self._written_at = self.began

    def __enter__(self) -> Progress:
        self._output.command("group", f"airvid: progress of {self.count}")
        self._breaking_silence = asyncio.create_task(self._break_silence())
        return self

    def __exit__(self, *error: object) -> None:
        self._breaking_silence.cancel()
        self._output.command("endgroup")
        super().__exit__(*error)

    def changed(self, row: Row, is_news: bool) -> None:
        if is_news:
            self._write(self._line(row))
        elif row.is_saving and not row.done:
            self._written_at = clock.elapsed()  # a short save needs no line
        elif clock.elapsed() - self._written_at >= LOG_EVERY:
            self._write(self._summary())

    def ended(self, row: Row, message: str, is_good: bool, path: str | None) -> None:
        super().ended(row, message, is_good, path)
        self._write(f"{self._name(row)}: {message}")

    def _name(self, row: Row) -> str:
        """The row's label; where there are several rows, with the beginning of what it is about."""
        if self.count == 1 or not row.about:
            return row.label
        more = "…" if len(row.about) > LONGEST_ABOUT else ""
        return f"{row.label} ({row.about[:LONGEST_ABOUT].rstrip()}{more})"

    def _line(self, row: Row) -> str:
        name = self._name(row)
        if row.trouble_is:
            return f"{name}: {row.trouble_is}"
        if row.is_saving:
            return f"{name}: {row.state} {size(row.done)}" + (f" of {size(row.total)}" if row.total else "")
        percent = f" {row.percent:.0f}%" if row.percent else ""
        return f"{name}: {row.state or 'waiting'}{percent} {length(row.passed)}"

    def _summary(self) -> str:
        if len(self.rows) == 1:
            return self._line(self.rows[0])
        after = f"after {length(clock.elapsed() - self.began)}"
        if not self.rows:
            return f"still waiting {after}"
        return f"{self.finished} of {self.count} done, {states(self.rows)} {after}"

    async def _break_silence(self) -> None:
        while True:
            await clock.sleep(LONGEST_SILENCE - (clock.elapsed() - self._written_at))
            if clock.elapsed() - self._written_at >= LONGEST_SILENCE - 1:
                self._write(self._summary())

    def _write(self, line: str) -> None:
        self._written_at = clock.elapsed()
        self._output.note(
            f"{time.strftime('%H:%M:%S', time.localtime(clock.now()))} {line}" if self.count > 1 else line
        )
