"""Bars on a terminal: a row for each clip, as many as fit, and one for all of them together.

Each frame is one of Rich's tables, with Rich's bar in each row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from rich import live
from rich.cells import cell_len
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airvid import clock, system
from airvid.api.models import QUEUED
from airvid.api.retry import is_overdue, seconds_left
from airvid.ui import terminal
from airvid.ui.log import Shown
from airvid.ui.output import Output
from airvid.ui.progress import Progress, Row, states
from airvid.ui.text import length, money, size

# Seconds between two frames while something changes, and while nothing does.
SHORTEST_FRAME, LONGEST_FRAME = 0.25, 1.0
# The columns in their order, with the most cells that each may take. The bar takes what the others leave.
_WIDEST = {"label": 24, "about": 28, "state": 14, "bar": 0, "percent": 4, "passed": 6, "rest": 24, "cost": 12}
_STYLES = {"label": "bold", "about": "dim", "rest": "dim"}
_RIGHT = ("percent", "passed", "cost")
# The columns to leave out, in this order, until a bar fits.
_OPTIONAL = ("about", "cost", "rest", "passed", "percent", "state")
_LEAST_BAR, _LEAST_ABOUT = 8, 10

# The texts of a row by their columns (that of "bar" stands in the bar's place), and the percent that the bar shows.
Line = tuple[dict[str, str], float | None]


class Live(Shown):
    """Rows as bars on standard error."""

    def __init__(self, output: Output, count: int | None, *, rings: bool = False) -> None:
        super().__init__(output, count, rings=rings)
        self._live = live.Live(
            console=output.console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._drawn_at = float("-inf")
        self._is_stale = True
        self._told = ""

    def __enter__(self) -> Progress:
        self._output.bars = self
        self._undo = system.on_stop(self._stop)
        self._drawing = asyncio.create_task(self._keep_drawing())
        return self

    def __exit__(self, *error: object) -> None:
        self._drawing.cancel()
        self._undo()
        self._output.bars = None
        self._stop()
        super().__exit__(*error)

    def changed(self, row: Row, is_news: bool) -> None:
        self._is_stale = True

    def ended(self, row: Row, message: str, is_good: bool, path: str | None) -> None:
        super().ended(row, message, is_good, path)
        if is_good or self.count > 1:  # the error of a single clip comes next and says more
            self._output.last_word(row.label, message, is_good, path)

    def dropped(self, row: Row) -> None:
        super().dropped(row)
        self._is_stale = True

    def tell(self, what: str) -> None:
        self._told, self._is_stale = what, True

    def clear(self) -> None:
        if self._live.is_started:
            self._live.update("", refresh=True)
            self._is_stale = True

    def _stop(self) -> None:
        """Give the screen and the cursor back. Rich can start again at the same place only from an empty frame."""
        self.clear()
        self._live.stop()

    async def _keep_drawing(self) -> None:
        while True:
            is_due = self._is_stale or clock.elapsed() - self._drawn_at >= LONGEST_FRAME
            # After Ctrl-Z and `bg` the screen belongs to the shell, until `fg`.
            if is_due and not system.is_in_background(self._output.stderr):
                self._draw()
            await clock.sleep(SHORTEST_FRAME)

    def _draw(self) -> None:
        stream, console = self._output.stderr, self._output.console
        width, height = console.size
        told = list(Text(terminal.tame(stream, self._told, 400), "yellow").wrap(console, width)) if self._told else []
        lines = [
            ({name: terminal.tame(stream, text, 200) for name, text in texts.items()}, percent)
            for texts, percent in self._lines(height - len(self._below()) - len(told))
        ]
        # The cursor rests on a line of its own: a terminal echoes the keys of Ctrl-C there.
        table = _table(lines, width, terminal.how_to_cut(stream))
        self._live.update(Group(table, *self._below(), *told, ""))
        self._live.start()
        self._live.refresh()
        self._is_stale, self._drawn_at = False, clock.elapsed()

    def _below(self) -> list[Text]:
        """Lines below the rows."""
        return []

    def _lines(self, height: int) -> list[Line]:
        """The rows that fit, the others as one line, and a line for all together."""
        has_total = self.count > 1
        most = max(1, height - 1 - has_total)
        shown = self.rows if len(self.rows) <= most else _most_important(self.rows, most - 1)
        lines = [_line(row) for row in shown]
        if hidden := [row for row in self.rows if row not in shown]:
            lines.append(({"label": f"{len(hidden)} more", "bar": states(hidden, 5)}, None))
        if has_total and height > 2:
            lines.append(self._total())
        return lines

    def _total(self) -> Line:
        saving = [row for row in self.rows if row.total]
        done, total = sum(row.done for row in saving), sum(row.total or 0 for row in saving)
        rest = f"{size(done)} of {size(total)}" if saving else ""
        percent = self._percent()
        state = f"{self.finished} of {self.count}"
        return {"label": "all", "state": state, "rest": rest, "percent": _percent_text(percent)}, percent

    def _percent(self) -> float | None:
        """Percent of everything that is done; None where it is unknown."""
        known = [100.0] * self.finished
        for row in self.rows:
            # Of several clips, one that was followed and is now saved has been rendered; a single clip has a new bar.
            percent = 100.0 if row.is_saving and row.was_followed and self.count > 1 else row.percent
            known += [] if percent is None else [percent]
        return sum(known) / self.count if known else None


def _line(row: Row) -> Line:
    texts = {
        "label": row.label,
        "about": row.about,
        "state": row.state,
        "bar": row.trouble_is,
        "percent": _percent_text(row.percent),
        "passed": length(row.passed),
        "rest": _rest(row),
        "cost": "" if row.cents is None else money(row.cents),
    }
    return texts, row.percent


def _percent_text(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.0f}%"


def _table(lines: Sequence[Line], width: int, cut: Literal["ellipsis", "crop"]) -> Table:
    widths = _widths(lines, width)
    table = Table.grid(padding=(0, 1), expand=True)
    for name, cells in widths.items():
        table.add_column(
            style=_STYLES.get(name, ""),
            justify="right" if name in _RIGHT else "left",
            width=cells or None,
            ratio=None if cells else 1,
            no_wrap=True,
            overflow=cut,
        )
    for texts, percent in lines:
        bar = ProgressBar(completed=percent or 0, style="dim", complete_style="cyan", finished_style="green")
        in_bar = Text(texts["bar"], "yellow") if texts.get("bar") else bar
        table.add_row(*(in_bar if name == "bar" else Text(texts.get(name, "")) for name in widths))
    return table


def _widths(lines: Sequence[Line], width: int) -> dict[str, int]:
    """The columns that fit, with their widths. One cell is between two columns."""
    longest = {name: max((cell_len(texts.get(name, "")) for texts, _ in lines), default=0) for name in _WIDEST}
    widths = {name: min(longest[name], most) for name, most in _WIDEST.items()}
    least_bar = max(_LEAST_BAR, min(longest["bar"], width // 2))
    about, widths["about"] = widths["about"], min(widths["about"], _LEAST_ABOUT)
    for name in ("", *_OPTIONAL):
        widths[name] = 0
        spare = width - least_bar - sum(each + 1 for each in widths.values() if each)
        if spare >= 0:
            break
    if widths["about"]:
        widths["about"] = min(about, widths["about"] + spare)
    return {name: widths[name] for name in _WIDEST if widths[name] or name == "bar"}


def _rest(row: Row) -> str:
    """How much is left: of a file that is saved, or of a task that is followed."""
    if row.is_saving:
        if not row.total:
            return size(row.done)
        seconds, count = clock.elapsed() - row.saving_since, row.done - row.saved_before
        left = f", {_about((row.total - row.done) * seconds / count)}" if seconds >= 1 and count > 0 else ""
        return f"of {size(row.total)}{left}"
    if row.left is not None:
        return _about(row.left)
    if not row.state or not row.past:
        return ""
    left_seconds = seconds_left(row.past, row.passed)
    if left_seconds is not None:
        return _about(left_seconds)
    return "longer than ever" if is_overdue(row.past, row.passed) else ""


def _about(seconds: float) -> str:
    if seconds >= 100:
        return f"~{round(seconds / 60)}m left"
    return f"~{max(1, round(seconds / 5) * 5 if seconds >= 15 else round(seconds))}s left"


def _most_important(rows: Sequence[Row], count: int) -> list[Row]:
    """Running rows before waiting ones, saved ones first, then by percent; in their own order."""
    ranked = sorted(rows, key=lambda row: (row.state in (QUEUED, ""), not row.is_saving, -(row.percent or 0)))[:count]
    return [row for row in rows if row in ranked]
