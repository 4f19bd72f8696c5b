"""Bars on a terminal, drawn by Rich: a row a clip, as many as fit, and one for all of them together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from rich import progress as rich_progress
from rich.cells import cell_len
from rich.console import RenderableType
from rich.progress import BarColumn, ProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from airvid import clock, system
from airvid.api.models import QUEUED
from airvid.api.retry import is_overdue, seconds_left
from airvid.ui import terminal
from airvid.ui.output import Output
from airvid.ui.progress import Progress, Row
from airvid.ui.text import length, money, size

# Seconds between two frames where something changes, and where nothing does.
SHORTEST_FRAME, LONGEST_FRAME = 0.25, 1.0
# The columns of text in their order, the bar between them, with the most cells that each may take.
_WIDEST = {"label": 24, "about": 28, "state": 14, "bar": 0, "percent": 4, "passed": 6, "rest": 24, "cost": 12}
_STYLES = {"label": "bold", "about": "dim", "rest": "dim"}
_RIGHT = {"percent", "passed", "cost"}
# What is left out first where there is no room for a bar, and how much room that and a prompt take at least.
_GIVES_WAY = ("about", "cost", "rest", "passed", "percent", "state")
_LEAST_BAR, _LEAST_ABOUT = 8, 10


class Live(Progress):
    """Rows as bars on standard error."""

    def __init__(self, output: Output, count: int | None) -> None:
        super().__init__(count)
        self._output = output
        self._bars = _Bars(
            console=output.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            expand=True,
        )
        self._hidden, self._total = (self._bars.add_task("", visible=False, place=place) for place in (1, 2))
        self._ids: dict[Row, rich_progress.TaskID] = {}
        self._drawn_at = float("-inf")
        self._is_stale = True

    def __enter__(self) -> Progress:
        self._output.bars = self
        system.before_abort = self._stop
        self._undo = system.on_stop(self._stop)
        self._drawing = asyncio.create_task(self._draw_on())
        return self

    def __exit__(self, *_: object) -> None:
        self._drawing.cancel()
        self._undo()
        self._output.bars = system.before_abort = None
        self._stop()

    def changed(self, row: Row, is_news: bool) -> None:
        if row not in self._ids:
            self._ids[row] = self._bars.add_task("", visible=False, place=0)
        self._is_stale = True

    def ended(self, row: Row, word: str, is_good: bool) -> None:
        super().ended(row, word, is_good)
        self._output.last_word(row.label, word, is_good)

    def dropped(self, row: Row) -> None:
        super().dropped(row)
        if row in self._ids:
            self._bars.remove_task(self._ids.pop(row))
        self._is_stale = True

    def clear(self) -> None:
        if self._bars.live.is_started:
            for each in self._bars.task_ids:
                self._bars.update(each, visible=False)
            self._bars.refresh()
            self._is_stale = True

    def _stop(self) -> None:
        """Give the screen and the cursor back. Rich begins anew where it stopped only with nothing on the screen."""
        self.clear()
        self._bars.stop()

    async def _draw_on(self) -> None:
        while True:
            # After Ctrl-Z and `bg` the screen is the shell's, until `fg`.
            is_due = self._is_stale or clock.elapsed() - self._drawn_at >= LONGEST_FRAME
            if is_due and not system.is_in_background(self._output.stderr):
                self._draw()
            await clock.sleep(SHORTEST_FRAME)

    def _draw(self) -> None:
        (width, height), many = self._bars.console.size, self.count > 1
        # One line is the cursor's.
        most = max(1, height - 1 - many)
        shown = self.rows if len(self.rows) <= most else _most_telling(self.rows, most - 1)
        lines = {self._ids[row]: self._line(row) for row in shown}
        if len(shown) < len(self.rows):
            lines[self._hidden] = self._summary([row for row in self.rows if row not in shown])
        if many and height > 2:
            lines[self._total] = self._overall()
        cut = terminal.how_to_cut(self._output.stderr)
        self._bars.columns = tuple(_columns(list(lines.values()), width, cut))
        for each in self._bars.task_ids:
            self._bars.update(each, visible=each in lines, **lines.get(each, {}))
        self._is_stale, self._drawn_at = False, clock.elapsed()
        if self._bars.live.is_started:
            self._bars.refresh()
        else:
            self._bars.start()

    def _line(self, row: Row) -> dict[str, Any]:
        return self._told(
            row.percent,
            label=row.label,
            about=row.about,
            state=row.state,
            passed=length(row.passed),
            rest=_rest(row),
            cost="" if row.cents is None else money(row.cents),
            # Where something stands in the way, it is told in the bar's place.
            words=row.trouble_is,
        )

    def _summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        states = Counter(row.state or "waiting" for row in rows).most_common(5)
        counts = ", ".join(f"{number} {state}" for state, number in states)
        return self._told(None, label=f"{len(rows)} more", words=counts)

    def _overall(self) -> dict[str, Any]:
        saving = [row for row in self.rows if row.total]
        rest = f"{size(sum(row.done for row in saving))} of {size(sum(row.total or 0 for row in saving))}"
        state = f"{self.finished} of {self.count}"
        return self._told(overall(self), label="all", state=state, rest=rest if saving else "")

    def _told(self, percent: float | None, **cells: str) -> dict[str, Any]:
        """What a line says in each column, harmless and writable there."""
        cells["percent"] = "" if percent is None else f"{percent:.0f}%"
        stream = self._output.stderr
        told = {name: terminal.tame(stream, cells.get(name, ""), 200) for name in (*_WIDEST, "words")}
        return {"completed": percent or 0.0, **told}


class _Bars(rich_progress.Progress):
    def get_renderables(self) -> Iterable[RenderableType]:
        """The rows in their order; what stands for several of them comes last.

        The cursor rests on a line of its own below them: a terminal shows the keys of Ctrl-C there, and nothing folds.
        """
        yield self.make_tasks_table(sorted(self.tasks, key=lambda task: task.fields["place"]))
        yield ""


class _BarOrWords(BarColumn):
    def render(self, task: rich_progress.Task) -> Any:
        words = task.fields["words"]
        return Text(words, style="yellow") if words else super().render(task)


def _columns(lines: Sequence[dict[str, Any]], width: int, cut: Literal["ellipsis", "crop"]) -> Iterator[ProgressColumn]:
    """The columns that there is room for, one cell between them. The bar takes what they leave."""
    widths = {
        name: min(max((cell_len(line[name]) for line in lines), default=0), most) for name, most in _WIDEST.items()
    }
    longest = max((cell_len(line["words"]) for line in lines), default=0)
    least = max(_LEAST_BAR, min(longest, width // 2))
    about, widths["about"] = widths["about"], min(widths["about"], _LEAST_ABOUT)
    for name in ("", *_GIVES_WAY):
        widths[name] = 0
        spare = width - least - sum(each + 1 for each in widths.values() if each)
        if spare >= 0:
            break
    if widths["about"]:
        widths["about"] = min(about, widths["about"] + spare)
    for name in _WIDEST:
        if name == "bar":
            column = Column(ratio=1, no_wrap=True, overflow=cut)
            yield _BarOrWords(None, "dim", "cyan", "green", table_column=column)
        elif widths[name]:
            side: Literal["left", "right"] = "right" if name in _RIGHT else "left"
            column = Column(width=widths[name], no_wrap=True, overflow=cut)
            format = f"{{task.fields[{name}]}}"
            yield TextColumn(format, _STYLES.get(name, "none"), side, markup=False, table_column=column)


def overall(progress: Progress) -> float | None:
    """Percent of everything that is done; None where nothing tells."""
    known = [100.0] * progress.finished
    for row in progress.rows:
        # What was followed and is being saved has been rendered, but one clip alone starts its bar anew.
        percent = 100.0 if row.is_saving and row.was_followed and progress.count > 1 else row.percent
        if percent is not None:
            known.append(percent)
    return sum(known) / progress.count if known else None


def _rest(row: Row) -> str:
    if row.is_saving:
        if not row.total:
            return size(row.done)
        seconds, count = clock.elapsed() - row.saving_since, row.done - row.saved_before
        rest = f", {_about((row.total - row.done) * seconds / count)}" if seconds >= 1 and count > 0 else ""
        return f"of {size(row.total)}{rest}"
    if not row.state or not row.past:
        return ""
    left = seconds_left(row.past, row.passed)
    return _about(left) if left is not None else "longer than ever" if is_overdue(row.past, row.passed) else ""


def _about(seconds: float) -> str:
    if seconds >= 100:
        return f"~{round(seconds / 60)}m left"
    return f"~{max(1, round(seconds / 5) * 5 if seconds >= 15 else round(seconds))}s left"


def _most_telling(rows: Sequence[Row], count: int) -> list[Row]:
    ranked = sorted(rows, key=lambda row: (row.state in (QUEUED, ""), not row.is_saving, -(row.percent or 0)))[:count]
    return [row for row in rows if row in ranked]
