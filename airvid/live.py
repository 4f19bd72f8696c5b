"""Bars on a terminal: one line a row, as many as fit, and one for all of them together.

Rich's own live display redraws all rows ten times a second and tears where the terminal is resized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from airvid import clock, system, terminal
from airvid.cells import Ruler
from airvid.output import Output
from airvid.progress import Progress, Row, Timer
from airvid.retry import is_overdue, seconds_left
from airvid.tasks import QUEUED
from airvid.terminal import styled
from airvid.text import length, money, plain, size

# Seconds between two frames at least, and at most.
SHORTEST_FRAME, LONGEST_FRAME = 0.2, 1.0
# Seconds that the bars stand aside for a program that shows our standard output on this terminal.
ASIDE = 0.15
LEAST_BAR = 8
# With less room for words and a bar, the words about a row are left out.
LEAST_ABOUT, LEAST_BAR_BESIDE = 10, 14
_GAP = 2
_LONGEST = {"label": 24, "about": 28, "state": 14}
# What gives way first where a line has no room for a bar.
_GIVES_WAY = ("cost", "rest", "label")
_COLUMNS = ("label", "about", "state", "bar", "percent", "passed", "rest", "cost")
_RIGHT = {"percent", "passed", "cost"}
_STYLES = {"label": "bold", "trouble": "yellow", "about": "dim", "rest": "dim"}


class Line(NamedTuple):
    """One line of a frame: what it says, and its bar."""

    cells: dict[str, str]
    percent: float | None
    style: str


class Live(Progress):
    """Rows as bars on standard error."""

    def __init__(self, output: Output, count: int | None) -> None:
        super().__init__(count)
        self._output = output
        self._block = terminal.Block(output.stderr)
        self._frame = Frame(Ruler(output.stderr), with_color=output.color)
        self._timer = Timer(self._draw)
        self._drawn_at = float("-inf")
        self._is_live = False

    def __enter__(self) -> Progress:
        self._block.begin()
        self._is_live = True
        self._output.step_aside = self._step_aside
        self._undo = system.on_screen_change(self._draw, self._block.suspend, self._resume)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_live = False
        self._undo()
        self._timer.stop()
        self._output.step_aside = None
        self._block.end()

    def changed(self, row: Row, is_news: bool) -> None:
        self._draw_soon(self._drawn_at + SHORTEST_FRAME - clock.elapsed())

    def ended(self, row: Row, word: str, is_good: bool) -> None:
        super().ended(row, word, is_good)
        self._output.last_word(row.label, word, is_good)

    def dropped(self, row: Row) -> None:
        super().dropped(row)
        self._draw_soon(0)

    def _step_aside(self, on_same_terminal: bool) -> None:
        self._block.above("")
        self._draw_soon(0 if on_same_terminal else ASIDE)

    def _resume(self) -> None:
        self._block.resume()
        self._draw()

    def _draw_soon(self, seconds: float) -> None:
        if self._is_live:
            self._timer.within(seconds)

    def _draw(self) -> None:
        columns, height = terminal.dimensions(self._output.stderr)
        lines = self._frame.lines(self, columns - 1, max(1, height - 1))
        self._drawn_at = clock.elapsed()
        self._block.draw(lines, overall(self))
        self._timer.within(LONGEST_FRAME)


def overall(progress: Progress) -> float | None:
    """Percent of everything that is done; None where nothing tells."""
    known = [100.0] * progress.finished
    for row in progress.rows:
        # What was followed and is being saved has been rendered, but one clip alone starts its bar anew.
        percent = 100.0 if row.is_saving and row.was_followed and progress.count > 1 else row.percent
        if percent is not None:
            known.append(percent)
    return sum(known) / progress.count if known else None


class Frame:
    """Lays out the lines of a moment."""

    def __init__(self, ruler: Ruler, *, with_color: bool) -> None:
        self._ruler = ruler
        self._with_color = with_color

    def lines(self, progress: Progress, columns: int, height: int) -> list[tuple[str, int]]:
        """At most `height` lines and their widths in cells, at most `columns`."""
        rows = progress.rows
        total = [self._total(progress)] if progress.count > 1 and height > 1 else []
        room = height - len(total)
        shown = rows if len(rows) <= room else _most_telling(rows, max(0, room - 1))
        lines = [*map(self._line, shown), *total]
        widths = self._widths(lines, columns)
        drawn = [self._drawn(line, widths, columns) for line in lines]
        if len(shown) < len(rows):
            drawn.insert(len(shown), self._hidden([row for row in rows if row not in shown], columns))
        return drawn

    def _line(self, row: Row) -> Line:
        return self._told(
            row.percent,
            "green" if row.is_saving else "cyan",
            label=plain(row.label, 60),
            about=plain(row.about, 60),
            state=plain(row.state, 40),
            passed=length(row.passed),
            rest=_rest(row),
            cost="" if row.cents is None else money(row.cents),
            trouble=plain(row.trouble_is, 200),
        )

    def _total(self, progress: Progress) -> Line:
        saving = [row for row in progress.rows if row.total]
        rest = f"{size(sum(row.done for row in saving))} of {size(sum(row.total or 0 for row in saving))}"
        state = f"{progress.finished} of {progress.count}"
        return self._told(overall(progress), "bold", label="all", state=state, rest=rest if saving else "")

    def _told(self, percent: float | None, style: str, **cells: str) -> Line:
        cells["percent"] = "" if percent is None else f"{percent:.0f}%"
        return Line({name: self._ruler.writable(cell) for name, cell in cells.items()}, percent, style)

    def _widths(self, lines: Sequence[Line], columns: int) -> dict[str, int]:
        """The columns that there is room for; the bar takes what they leave."""
        widths = {}
        for name in _COLUMNS:
            widest = max((self._ruler.width(line.cells.get(name, "")) for line in lines), default=0)
            widths[name] = min(widest, _LONGEST.get(name, 60))
        about, widths["about"] = widths["about"], 0
        has_bar = any(line.percent is not None for line in lines)
        for name in (*_GIVES_WAY, ""):
            bar = columns - sum(width + _GAP for width in widths.values() if width)
            if bar >= (LEAST_BAR if has_bar else -_GAP):
                break
            if name != "label" or len(lines) == 1:
                widths[name] = 0
        if (room := bar - LEAST_BAR_BESIDE - _GAP) >= LEAST_ABOUT:
            widths["about"] = min(about, room)
            bar -= widths["about"] + _GAP if about else 0
        widths["bar"] = bar if has_bar and bar >= LEAST_BAR else 0
        return {name: width for name, width in widths.items() if width}

    def _drawn(self, line: Line, widths: dict[str, int], columns: int) -> tuple[str, int]:
        if trouble := line.cells.get("trouble"):
            # Where something stands in the way, that is all that is shown.
            widths = {"label": widths.get("label", 0), "trouble": self._ruler.width(trouble)}
        told, used = list[str](), 0
        for name, width in widths.items():
            gap = _GAP if told else 0
            width = min(width, columns - used - gap)
            if width <= 0:
                break
            used += width + gap
            if name == "bar":
                told.append(self._bar(line, width))
            else:
                style = _STYLES.get(name) or ("dim" if line.cells["state"] == QUEUED else "")
                told.append(self._in(self._ruler.fit(line.cells.get(name, ""), width, right=name in _RIGHT), style))
        return (" " * _GAP).join(told), used

    def _bar(self, line: Line, width: int) -> str:
        filled = width * (line.percent or 0) / 100
        half = self._ruler.half if filled % 1 >= 0.5 else ""
        done = self._ruler.full * int(filled) + half
        return self._in(done, line.style) + self._in(self._ruler.rest * (width - len(done)), "dim")

    def _hidden(self, rows: Sequence[Row], columns: int) -> tuple[str, int]:
        states = Counter(row.state or "waiting" for row in rows)
        counts = ", ".join(f"{number} {plain(state, 20)}" for state, number in states.most_common(5))
        text = self._ruler.cut(self._ruler.writable(f"{self._ruler.more} {len(rows)} more: {counts}"), columns)
        return self._in(text, "dim"), self._ruler.width(text)

    def _in(self, text: str, style: str) -> str:
        return styled(text, style) if self._with_color else text


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
