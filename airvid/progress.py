"""Rows on standard error, one a task or file: live on a terminal, sparse lines in a log, nothing when quiet.

One interface: `row()` begins a row, the row is told what is seen, `end()` leaves its last word. Progress is for the
eye only; nothing is decided by it.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from airvid import clock
from airvid.output import Output, length, money, plain, size
from airvid.tasks import Task

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

# A log gets a line a change of state, and otherwise one in so many seconds, so that a runner sees life.
LOG_EVERY = 10.0


class Row(Protocol):
    """One thing that is under way."""

    def task(self, task: Task) -> None:
        """A fresh reading of a task."""

    def trouble(self, what: str) -> None:
        """Something stands in the way, and is waited out."""

    def bytes(self, done: int, total: int | None) -> None:
        """So much of a file is here."""

    def end(self, word: str) -> None:
        """The last word on it."""


class Progress(Protocol):
    """Rows that live as long as the `with` block."""

    def row(self, label: str) -> Row: ...

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def choose(output: Output) -> Progress:
    """Live bars on a terminal, lines elsewhere, nothing when quiet."""
    if output.quiet:
        return _Silent()
    return _Live(output) if output.stderr.isatty() and output.can_move else _Lines(output)


class _Silent:
    def row(self, label: str) -> _Silent:
        return self

    def task(self, task: Task) -> None: ...

    def trouble(self, what: str) -> None: ...

    def bytes(self, done: int, total: int | None) -> None: ...

    def end(self, word: str) -> None: ...

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None: ...


class _Lines(_Silent):
    """Plain lines for a log."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def row(self, label: str) -> _LineRow:
        return _LineRow(self._output, label)


class _LineRow(_Silent):
    def __init__(self, output: Output, label: str) -> None:
        self._output = output
        self._label = label
        self._began = clock.elapsed()
        self._said_at = float("-inf")
        self._state = ""

    def task(self, task: Task) -> None:
        percent = "" if task.progress is None else f" {task.progress:.0f}%"
        self._say(task.status, f"{task.status}{percent} {length(clock.elapsed() - self._began)}")

    def trouble(self, what: str) -> None:
        self._say("trouble", what)

    def bytes(self, done: int, total: int | None) -> None:
        if not done:
            self._state, self._said_at = "saving", clock.elapsed()  # a short save is not worth a line
        self._say("saving", f"saving {size(done)}" + (f" of {size(total)}" if total else ""))

    def end(self, word: str) -> None:
        self._output.note(f"{self._label}: {word}")

    def _say(self, state: str, line: str) -> None:
        if state != self._state or clock.elapsed() - self._said_at >= LOG_EVERY:
            self._state, self._said_at = state, clock.elapsed()
            self._output.note(f"{self._label}: {line}")


class _Live(_Silent):
    """Rich's bars on a terminal's standard error; what is said meanwhile appears above them."""

    def __init__(self, output: Output) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._output = output
        console = Console(
            file=output.stderr,
            no_color=not output.color,
            highlight=False,
            markup=False,
            emoji=False,
            force_terminal=True,
        )
        columns = (
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[state]}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figure]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[cost]}", markup=False),
        )
        self._bars = Progress(
            *columns, console=console, redirect_stdout=False, redirect_stderr=False, expand=True, transient=True
        )

    def __enter__(self) -> _Live:
        self._bars.start()
        self._output.above_bars = self._above
        return self

    def __exit__(self, *_: object) -> None:
        self._output.above_bars = None
        self._bars.stop()

    def _above(self, line: str) -> None:
        from rich.text import Text

        self._bars.console.print(Text(line), soft_wrap=True)

    def row(self, label: str) -> _LiveRow:
        bar = self._bars.add_task(plain(label), total=100.0, state="", figure="", cost="")
        return _LiveRow(self._output, self._bars, bar, label)


class _LiveRow(_Silent):
    def __init__(self, output: Output, bars: RichProgress, bar: TaskID, label: str) -> None:
        self._output = output
        self._bars = bars
        self._bar = bar
        self._label = label

    def task(self, task: Task) -> None:
        figure = "" if task.progress is None else f"{task.progress:3.0f}%"
        cost = "" if task.cost_cents is None else money(task.cost_cents)
        self._bars.update(
            self._bar,
            completed=task.progress or 0,
            total=100.0,
            state=plain(task.status)[:20],
            figure=figure,
            cost=cost,
        )

    def trouble(self, what: str) -> None:
        self._bars.update(self._bar, state=plain(what)[:60])

    def bytes(self, done: int, total: int | None) -> None:
        figure = f"{done * 100 // total}% of {size(total)}" if total else size(done)
        self._bars.update(self._bar, completed=done, total=total, state="saving", figure=figure)

    def end(self, word: str) -> None:
        self._bars.remove_task(self._bar)
        self._output.note(f"{self._label}: {word}")
