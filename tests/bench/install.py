"""What `pip install airvid` brings: our wheel, and whether all it needs is pure Python."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from . import process
from .rows import Line, Sides, Skipped, Theme, at_most

ROOT = Path(__file__).parent.parent.parent
LINES = (
    Line(
        "base install: compiled packages",
        "compiled",
        None,
        at_most(0),
        "of {packages:.0f} that pip resolves",
        "packages",
    ),
    Line(
        "base install: our wheel",
        "wheel",
        None,
        at_most(200),
        "nine tenths of it are the program itself, the rest the archive and what pip keeps",
        "kB",
    ),
)


@contextmanager
def sides() -> Iterator[Sides]:
    """pip resolves afresh what is to be installed, and builds the wheel. Raises: Skipped where it cannot."""

    def wheel() -> float:
        with TemporaryDirectory() as folder:
            _pip("wheel", "--no-deps", "--wheel-dir", folder, str(ROOT))
            return next(Path(folder).glob("airvid-*.whl")).stat().st_size / 1000

    yield {
        "packages": lambda: len(_wheels()),
        "compiled": lambda: sum(not url.endswith("-none-any.whl") for url in _wheels()),
        "wheel": wheel,
    }


@cache
def _wheels() -> list[str]:
    """The addresses of all that comes with airvid."""
    report = _pip("install", "--dry-run", "--ignore-installed", "--report", "-", str(ROOT))
    found = [each["download_info"]["url"] for each in json.loads(report)["install"]]
    return [url for url in found if not url.startswith("file:")]


def _pip(*words: str) -> bytes:
    try:
        return process.run(
            sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words, env=os.environ
        )
    except RuntimeError as error:
        raise Skipped(f"pip cannot: {str(error).splitlines()[-1]}") from None


THEME = Theme("install", 1, LINES, sides)
