"""Speed as ratios within one run: `python -m tests.bench [--json] [NAME…]`.

Each row times two ways of doing the same thing in shuffled rounds and sets their medians against each other.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from . import journal

ROUNDS = 40


@dataclass(frozen=True)
class Row:
    """One comparison: medians in milliseconds, their ratio, and what limits it."""

    name: str
    against: str
    ours_ms: float
    theirs_ms: float
    ratio: float
    target: str
    is_met: bool
    limit: str


def compare(case: journal.Case) -> Row:
    """Time both sides in shuffled rounds, after one round for nothing."""
    times: dict[Callable[[], float], list[float]] = {case.ours: [], case.theirs: []}
    for number in range(ROUNDS + 1):
        for side in random.sample(list(times), 2):
            seconds = side()
            if number:
                times[side].append(seconds)
    ours, theirs = (median(times[side]) * 1000 for side in (case.ours, case.theirs))
    return Row(
        case.name, case.against, round(ours, 3), round(theirs, 3), round(ours / theirs, 3), case.target,
        case.is_met(ours, theirs), case.limit,
    )  # fmt: skip


def main(arguments: list[str]) -> None:
    wanted = [each for each in arguments if not each.startswith("-")]
    with journal.cases() as cases:
        rows = [compare(case) for case in cases if not wanted or any(word in case.name for word in wanted)]
    if "--json" in arguments:
        print(json.dumps([asdict(row) for row in rows]))
        return
    table = Table("what", "against", "ours ms", "theirs ms", "ratio", "target", "met", "limited by")
    for row in rows:
        table.add_row(
            row.name, row.against, f"{row.ours_ms:.2f}", f"{row.theirs_ms:.2f}", f"{row.ratio:.3f}", row.target,
            "yes" if row.is_met else "NO", row.limit,
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
