"""Rows on standard error, one a task or file: live on a terminal, sparse lines in a log, nothing when quiet.

Progress is for the eye only; nothing is decided by it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from airvid import clock
from airvid.api.models import Task
from airvid.ui import terminal
from airvid.ui.output import Output
from airvid.ui.text import length, size

# Seconds between two lines of a log that tell of no change of state.
LOG_EVERY = 10.0
# CI runners kill a job that has been silent for some minutes.
LONGEST_SILENCE = 60.0
SAVING = "saving"


class Row:
    """One thing that is under way, and what is known of it."""

    def __init__(self, owner: Progress) -> None:
        self._owner = owner
        self.state = self.trouble_is = ""
        self.was_followed = False
        self.percent: float | None = None
        self.cents: float | None = None
        self.saving_since = 0.0
        self.done = self.saved_before = 0
        self.total: int | None = None

    def named(self, label: str, *, about: str = "", past: Sequence[float] = (), passed: float = 0.0) -> None:
        """It is this now: `about` says more of it, `past` is how long its like took before, `passed` how long it has
        been under way (seconds).
        """
        self.label, self.about, self.past, self.began = label, about, past, clock.elapsed() - passed
        self._owner.changed(self, is_news=False)

    def phase(self, what: str) -> None:
        """What is done before there is anything to read."""
        self.state = what
        self._owner.changed(self, is_news=False)

    def task(self, task: Task) -> None:
        """A fresh reading of a task."""
        # How it ended is for its last word to say.
        is_news = not task.is_terminal and (task.status != self.state or bool(self.trouble_is))
        self.state, self.percent, self.trouble_is, self.was_followed = task.status, task.progress, "", True
        self.cents = self.cents if task.cost_cents is None else task.cost_cents
        self._owner.changed(self, is_news)

    def trouble(self, what: str) -> None:
        """Something stands in the way, and is waited out."""
        is_news, self.trouble_is = not self.trouble_is, what
        self._owner.changed(self, is_news)

    def bytes(self, done: int, total: int | None) -> None:
        """So much of a file is here."""
        if self.state != SAVING:
            self.state, self.saving_since, self.saved_before = SAVING, clock.elapsed(), done
        self.done, self.total, self.trouble_is = done, total, ""
        self.percent = min(100.0, done * 100 / total) if total else None
        self._owner.changed(self, is_news=False)

    def end(self, word: str, *, is_good: bool = True) -> None:
        """The last word on it."""
        self._owner.ended(self, word, is_good)

    def drop(self) -> None:
        """Nothing is to be said of it."""
        self._owner.dropped(self)

    @property
    def passed(self) -> float:
        """Seconds that it has been under way."""
        return clock.elapsed() - self.began

    @property
    def is_saving(self) -> bool:
        return self.state == SAVING


class Progress:
    """Rows for the length of a `with` block; this one shows nothing."""

    def __init__(self, count: int | None = None) -> None:
        self.began = clock.elapsed()
        self.rows: list[Row] = []
        self.finished = 0
        self._expected = count or 0

    @property
    def count(self) -> int:
        """How many there are to be."""
        return max(self._expected, self.finished + len(self.rows))

    def row(self, label: str, *, about: str = "", past: Sequence[float] = (), passed: float = 0.0) -> Row:
        """Begin a row. What it can be told is in `Row.named`."""
        row = Row(self)
        self.rows.append(row)
        row.named(label, about=about, past=past, passed=passed)
        return row

    def changed(self, row: Row, is_news: bool) -> None:
        """`is_news`: its state is another."""

    def ended(self, row: Row, word: str, is_good: bool) -> None:
        self.finished += 1
        self.dropped(row)

    def dropped(self, row: Row) -> None:
        if row in self.rows:
            self.rows.remove(row)

    def clear(self) -> None:
        """Leave the screen to a line that is about to be written."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None: ...


def choose(output: Output, count: int | None = None) -> Progress:
    """The display for this run. `count`: so many rows are to come."""
    if output.quiet:
        return Progress(count)
    if terminal.can_animate(output.stderr):
        from airvid.ui.live import Live

        return Live(output, count)
    return _Lines(output, count)


class _Lines(Progress):
    def __init__(self, output: Output, count: int | None) -> None:
        super().__init__(count)
        self._output = output
        self._said_at = self.began

    def __enter__(self) -> Progress:
        self._watch = asyncio.create_task(self._break_silence())
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.cancel()

    def changed(self, row: Row, is_news: bool) -> None:
        if is_news:
            self._say(f"{row.label}: {_told(row)}")
        elif row.is_saving and not row.done:
            self._said_at = clock.elapsed()  # a short save is not worth a line
        elif clock.elapsed() - self._said_at >= LOG_EVERY:
            self._say(self._summary())

    def ended(self, row: Row, word: str, is_good: bool) -> None:
        super().ended(row, word, is_good)
        self._say(f"{row.label}: {word}")

    def _summary(self) -> str:
        if len(self.rows) == 1:
            return f"{self.rows[0].label}: {_told(self.rows[0])}"
        after = f"after {length(clock.elapsed() - self.began)}"
        if not self.rows:
            return f"still waiting {after}"
        states = Counter(row.state or "waiting" for row in self.rows)
        told = ", ".join(f"{number} {state}" for state, number in states.most_common())
        return f"{self.finished} of {self.count} done, {told} {after}"

    async def _break_silence(self) -> None:
        while True:
            await clock.sleep(LONGEST_SILENCE - (clock.elapsed() - self._said_at))
            if clock.elapsed() - self._said_at >= LONGEST_SILENCE - 1:
                self._say(self._summary())

    def _say(self, line: str) -> None:
        self._said_at = clock.elapsed()
        self._output.note(line)


def _told(row: Row) -> str:
    if row.trouble_is:
        return row.trouble_is
    if row.is_saving:
        return f"saving {size(row.done)}" + (f" of {size(row.total)}" if row.total else "")
    percent = f" {row.percent:.0f}%" if row.percent else ""
    return f"{row.state or 'waiting'}{percent} {length(row.passed)}"
