"""Speed as ratios within one run: `python -m tests.bench [--json] [--rounds N] [NAME…]`.

NAME is a part of a theme's or a line's name. All are on loopback; what needs a program that is not here is skipped.
The program is the one beside this Python, or AIRVID_BENCH_PROGRAM: measure one that was installed without extras.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from . import batch, download, join, polling, start, tab, upload, wait, watch
from .rows import Row, Theme, measure

THEMES: Sequence[Theme] = (
    start.THEME, start.TLS, tab.THEME, wait.THEME, polling.THEME, watch.THEME,
    download.LINE, download.CAPPED, download.MEMORY, upload.TIME, upload.MEMORY, batch.RUN, batch.MANIFEST,
    join.TIME, join.MEMORY,
)  # fmt: skip


def main() -> None:
    read = argparse.ArgumentParser(prog="python -m tests.bench", description="Speed as ratios within one run.")
    read.add_argument("names", nargs="*", metavar="NAME", help="a part of a theme's or a line's name (default: all)")
    read.add_argument("--json", action="store_true", help="one JSON array instead of the table")
    read.add_argument("--rounds", type=int, metavar="N", help="rounds of what is measured several times")
    given = read.parse_args()
    rows: list[Row] = []
    for theme in THEMES:
        lines = [line for line in theme.lines if _is_wanted(f"{theme.name}: {line.name}", given.names)]
        if lines:
            print(f"{theme.name} …", file=sys.stderr)
            rows += measure(theme, lines, given.rounds)
    if given.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        _show(rows)


def _is_wanted(name: str, parts: Sequence[str]) -> bool:
    return not parts or any(part in name for part in parts)


def _show(rows: Sequence[Row]) -> None:
    table = Table("what", "ours", "against", "theirs", "figure", "target", "met", "limited by", show_lines=True)
    for row in rows:
        sign = row.target.removeprefix("≤ ").rstrip("0123456789.")
        met = f"skipped: {row.skipped}" if row.skipped else "yes" if row.is_met else "NO"
        table.add_row(
            row.name, _number(row.ours, row.unit), row.against, _number(row.theirs, row.unit),
            _number(row.figure, "", sign), row.target, met, row.limit,
        )  # fmt: skip
    console = Console(markup=False)
    console.width = max(console.width, 120)
    console.print(table)


def _number(value: float | None, unit: str = "", sign: str = "") -> str:
    if value is None:
        return ""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{sign}{digits} {unit}".rstrip()


if __name__ == "__main__":
    main()
