"""What is under way: a row for each task or file. The displays show it; nothing else depends on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from airvid import clock
from airvid.api.models import Task

SAVING, SENDING = "saving", "uploading"


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
        # How much of an upload is sent is not known at first.
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


def states(rows: Sequence[Row], most: int | None = None) -> str:
    """How many rows are in each state, at `most` so many states: `66 queued, 13 processing`."""
    counts = Counter(row.state or "waiting" for row in rows).most_common(most)
    return ", ".join(f"{number} {state}" for state, number in counts)
