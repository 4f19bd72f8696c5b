"""What a benchmark is: sides that are measured in shuffled rounds, and lines that judge their medians."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from string import Formatter

Side = Callable[[], float]
"""One way of doing a thing: does it once, and tells the figure in its line's unit. Raises: Skipped."""
Sides = Mapping[str, Side]


class Skipped(Exception):
    """Why something cannot be measured here."""


@dataclass(frozen=True)
class Target:
    """The most that a figure may be: `×` what it is set against, `+` beyond that, or by itself."""

    sign: str
    most: float

    def figure(self, ours: float, theirs: float | None) -> float:
        if not self.sign or theirs is None:
            return ours
        if self.sign == "+":
            return ours - theirs
        return ours / theirs if theirs else float("inf")


def times(most: float) -> Target:
    return Target("×", most)


def plus(most: float) -> Target:
    return Target("+", most)


def at_most(most: float) -> Target:
    return Target("", most)


@dataclass(frozen=True)
class Line:
    """What is judged. `ours` and `against` name sides; of several of ours the worst is judged.

    In `limit`, which says what stands in the way of a better figure, `{a side's name}` becomes its median.
    """

    name: str
    ours: str | Sequence[str]
    against: str | None
    target: Target
    limit: str
    unit: str = "ms"

    @property
    def our_sides(self) -> Sequence[str]:
        return [self.ours] if isinstance(self.ours, str) else self.ours

    @property
    def sides(self) -> set[str]:
        told = {name for _, name, _, _ in Formatter().parse(self.limit) if name}
        return {*self.our_sides, *([self.against] if self.against else []), *told}


@dataclass(frozen=True)
class Theme:
    """Lines that share their sides, and how many rounds these are played: a single one needs no warming up."""

    name: str
    rounds: int
    lines: Sequence[Line]
    sides: Callable[[], AbstractContextManager[Sides]]
    warms_up: bool = True


@dataclass(frozen=True)
class Row:
    """One line's outcome: medians, the figure that the target judges, or why there is none."""

    name: str
    ours: float | None
    against: str | None
    theirs: float | None
    unit: str
    figure: float | None
    target: str
    is_met: bool | None
    limit: str
    skipped: str | None = None


def measure(theme: Theme, lines: Sequence[Line], rounds: int | None = None) -> list[Row]:
    """Measure what these lines of a theme need. `rounds` replaces the theme's own, where that has several."""
    wanted = set().union(*(line.sides for line in lines))
    count = rounds if rounds and theme.rounds > 1 else theme.rounds
    try:
        with theme.sides() as sides:
            medians, missing = _play({name: sides[name] for name in wanted}, count, theme.warms_up and count > 1)
    except Skipped as reason:
        medians, missing = {}, dict.fromkeys(wanted, str(reason))
    return [_row(line, medians, missing) for line in lines]


def _play(sides: Sides, rounds: int, warms_up: bool) -> tuple[dict[str, float], dict[str, str]]:
    """The median of each side, and why there is none."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    missing: dict[str, str] = {}
    for number in range(-1 if warms_up else 0, rounds):
        for name in random.sample(sorted(sides), len(sides)):
            if name in missing:
                continue
            try:
                figure = sides[name]()
            except Skipped as reason:
                missing[name] = str(reason)
                continue
            if number >= 0:
                found[name].append(figure)
    return {name: median(each) for name, each in found.items() if each}, missing


def _row(line: Line, medians: Mapping[str, float], missing: Mapping[str, str]) -> Row:
    target = f"≤ {line.target.sign}{line.target.most:g}"
    if reasons := [missing[name] for name in sorted(line.sides) if name in missing]:
        return Row(line.name, None, line.against, None, line.unit, None, target, None, line.limit, reasons[0])
    worst = max(line.our_sides, key=medians.__getitem__)
    ours, theirs = medians[worst], medians[line.against] if line.against else None
    figure = line.target.figure(ours, theirs)
    name = line.name if len(line.our_sides) == 1 else f"{line.name}: {worst}"
    limit = line.limit.format_map(medians)
    is_met = figure <= line.target.most
    return Row(name, ours, line.against, theirs, line.unit, figure, target, is_met, limit)
