"""The progress of a batch: the clips under way, and in one line how far the whole is."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median

from rich.text import Text

from airvid import clock
from airvid.ui import terminal
from airvid.ui.display import has_bars
from airvid.ui.live import Live
from airvid.ui.log import Log
from airvid.ui.output import Output
from airvid.ui.progress import Progress
from airvid.ui.text import length, money


@dataclass
class Tally:
    """How far a batch is: clips, cents, and the seconds that each of its clips takes (this machine's past runs).

    `total` are the clips of this run, `done` those that are on the disk, `waiting` those that are still to be begun.
    `spent` and `left` are cents of what this run pays for: not of tasks that an earlier one submitted.
    """

    total: int = 0
    slots: int = 1
    done: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0
    spent: Decimal = Decimal(0)
    left: Decimal = Decimal(0)
    past: list[float] = field(default_factory=list)
    began: float = field(default_factory=clock.elapsed)

    def line(self) -> str:
        """`12 of 40 done, 4 running, 23 waiting, 1 failed; $1.80 spent, $3.20 left; ~6m12s to go`."""
        parts = [f"{self.done} of {self.total} done"]
        parts += [f"{count} {what}" for what in ("running", "waiting", "failed") if (count := getattr(self, what))]
        seconds = self.seconds_left()
        end = "" if seconds is None else f"; ~{length(seconds)} to go"
        return f"{', '.join(parts)}; {money(self.spent)} spent, {money(self.left)} left{end}"

    def seconds_left(self) -> float | None:
        """Seconds until all have ended, if each takes as long as most have; None where nothing is known."""
        if not self.past or not self.running + self.waiting:
            return None
        # A clip that runs is half done, as far as is known. Rows that go on from another one wait without a slot.
        at_once = min(self.slots, self.running) or self.slots
        return median(self.past) * (self.waiting + self.running / 2) / at_once


class Dashboard(Live):
    def __init__(self, output: Output, tally: Tally) -> None:
        super().__init__(output, tally.total)
        self.finished = tally.done + tally.failed  # by earlier runs
        self._tally = tally

    def _below(self) -> list[Text]:
        line = self._tally.line()
        lines = [line] if len(line) <= self._output.console.width else line.split("; ", 1)
        return [Text(terminal.tame(self._output.stderr, each), "dim", no_wrap=True, overflow="crop") for each in lines]


class BatchLog(Log):
    def __init__(self, output: Output, tally: Tally) -> None:
        super().__init__(output, tally.total)
        self._tally = tally

    def _summary(self) -> str:
        return self._tally.line()


def choose(output: Output, tally: Tally) -> Progress:
    """The display for this run."""
    if output.quiet:
        return Progress(tally.total)
    return Dashboard(output, tally) if has_bars(output) else BatchLog(output, tally)
