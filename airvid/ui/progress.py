"""Progress on standard error, a row for each task or file: bars on a terminal, a few lines in a log, or nothing.

Progress is only shown: nothing depends on it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext

from airvid import clock
from airvid.api.models import Task
from airvid.ui import terminal
from airvid.ui.output import Output
from airvid.ui.text import length, size

# Seconds between two lines of a log while no state changes.
LOG_EVERY = 10.0
# CI runners kill a job that has been silent for some minutes.
LONGEST_SILENCE = 60.0
# Seconds of a wait whose end the bell rings.
LONG_WAIT = 10.0
SAVING, SENDING = "saving", "uploading"
# Characters of what a row is about, in a line of a log.
LONGEST_ABOUT = 24


class Row:
    """One task or file, and what is known of it."""

    def __init__(self, owner: Progress) -> None:
        self._owner = owner
        self.state = self.trouble_is = ""
        self.was_followed = False
        self.percent: float | None = None
        self.left: float | None = None  # seconds, of work on this machine
        self.cents: float | None = None
        self.saving_since = 0.0
        self.done = self.saved_before = 0
        self.total: int | None = None

    def named(self, label: str, *, about: str = "", past: Sequence[float] = (), passed: float = 0.0) -> None:
        """Name the row. In seconds: how long similar tasks took in the `past`, how long this one has `passed`."""
        self.label, self.about, self.past, self.began = label, about, past, clock.elapsed() - passed
        self._owner.changed(self, is_news=False)

    def phase(self, what: str) -> None:
        """A state before the first reading of a task."""
        self.state = what
        self._owner.changed(self, is_news=False)

    def task(self, task: Task) -> None:
        """A new reading of a task."""
        # The row's last line tells how the task ended.
        is_news = not task.is_terminal and (task.status != self.state or bool(self.trouble_is))
        self.state, self.percent, self.trouble_is, self.was_followed = task.status, task.progress, "", True
        self.cents = self.cents if task.cost_cents is None else task.cost_cents
        self._owner.changed(self, is_news)

    def trouble(self, what: str) -> None:
        """A failure that a retry may mend."""
        is_news, self.trouble_is = not self.trouble_is, what
        self._owner.changed(self, is_news)

    def bytes(self, done: int, total: int | None, state: str = SAVING) -> None:
        """How much of a file is where it goes."""
        if self.state != state:
            self.state, self.saving_since, self.saved_before = state, clock.elapsed(), done
        self.done, self.total, self.trouble_is = done, total, ""
        self.percent = min(100.0, done * 100 / total) if total and (done or state == SAVING) else None
        self._owner.changed(self, is_news=False)

    def part(self, what: str, done: float) -> None:
        """How much of some work on this machine is done, from 0 to 1."""
        self.state, self.percent = what, min(100.0, done * 100)
        self.left = self.passed / done - self.passed if done and self.passed >= 1 else None
        self._owner.changed(self, is_news=False)

    def end(self, message: str, *, is_good: bool = True, path: str | None = None) -> None:
        """End the row with a last line, which is a link to the file at `path` where it can be one."""
        self._owner.ended(self, message, is_good, path)

    def drop(self) -> None:
        """End the row without a line."""
        self._owner.dropped(self)

    @property
    def passed(self) -> float:
        """Seconds since its start."""
        return clock.elapsed() - self.began

    @property
    def is_saving(self) -> bool:
        return self.state in (SAVING, SENDING)


class Progress:
    """Rows for the length of a `with` block; this class shows nothing."""

    def __init__(self, count: int | None = None) -> None:
        self.began = clock.elapsed()
        self.rows: list[Row] = []
        self.finished = 0
        self._expected = count or 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def count(self) -> int:
        """How many rows there are in all: ended, shown and expected."""
        return max(self._expected, self.finished + len(self.rows))

    def row(self, label: str, *, about: str = "", past: Sequence[float] = (), passed: float = 0.0) -> Row:
        """Begin a row; the arguments are those of `Row.named`."""
        row = Row(self)
        self.rows.append(row)
        row.named(label, about=about, past=past, passed=passed)
        return row

    def changed(self, row: Row, is_news: bool) -> None:
        """`is_news`: its state is a new one."""

    def ended(self, row: Row, message: str, is_good: bool, path: str | None) -> None:
        self.finished += 1
        self.dropped(row)

    def dropped(self, row: Row) -> None:
        if row in self.rows:
            self.rows.remove(row)

    def tell(self, what: str) -> None:
        """Show what is waited for, below the bars; an empty text ends that."""

    def clear(self) -> None:
        """Remove the bars from the screen before a line of results."""


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
        return f"{row.label} {row.about[:LONGEST_ABOUT]}".rstrip() if self.count > 1 else row.label

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
        with nullcontext(output.bars) if output.bars else choose(output) as progress:
            try:
                while (left := end - clock.elapsed()) > 0:
                    progress.tell(f"trying again in {math.ceil(left)}s (Ctrl-C is safe): {what}")
                    await clock.sleep(min(1.0, left))
            finally:
                progress.tell("")


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


def states(rows: Sequence[Row], most: int | None = None) -> str:
    """How many rows are in each state, at `most` so many states: `66 queued, 13 processing`."""
    counts = Counter(row.state or "waiting" for row in rows).most_common(most)
    return ", ".join(f"{number} {state}" for state, number in counts)
