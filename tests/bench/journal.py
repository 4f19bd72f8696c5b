"""What the journal adds to a create: the same call on loopback with and without it, empty and with 100,000 entries."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airvid.api import Api
from airvid.http import Wire
from airvid.journal import Journal
from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server
from airvid.submit import Submitter
from airvid.tasks import Entry

ENTRIES = 100_000
BODY = {"model": "wan-2.6", "prompt": "a fox", "mode": "text", "duration_seconds": 2}


@dataclass(frozen=True, eq=False)
class Case:
    """Two ways of doing one thing; each side runs once and tells its seconds. The target judges medians in ms."""

    name: str
    against: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    target: str
    is_met: Callable[[float, float], bool]
    limit: str


class NoJournal:
    """Takes what the journal takes, and keeps nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda entry, *_, **__: 0 if name == "ahead" else entry


@contextmanager
def cases() -> Iterator[list[Case]]:
    """A server on loopback, and creates against it."""
    with tempfile.TemporaryDirectory() as folder, Server(Emulator(pace=Pace(0, 0))) as server, asyncio.Runner() as loop:
        wire = Wire(server.api_url, "sk-air-bench", use_proxies=False)
        small, large = (Journal(Path(folder) / name / "journal.db", print) for name in ("small", "large"))
        _intend(large)
        _fill(large.path)

        def create(journal: Journal | None) -> Callable[[], float]:
            return lambda: loop.run(_create(wire, journal, server.api_url))

        yield [
            Case("create with the journal", "without it", create(small), create(None), "+5 ms",
                 lambda ours, theirs: ours - theirs <= 5, "three synced writes"),
            Case("create, 100,000 entries", "an empty journal", create(large), create(small), "x1.25",
                 lambda ours, theirs: ours <= 1.25 * theirs, "an index"),
        ]  # fmt: skip
        loop.run(wire.aclose())
        for each in (small, large):
            each.close()


async def _create(wire: Wire, journal: Journal | None, service: str) -> float:
    """Seconds from the intent to the id on disk."""
    keeper: Any = journal or NoJournal()
    submitter = Submitter(Api(wire), keeper, wait_for_slot=True, note=_ignore, warn=print)
    began = time.perf_counter()
    entry = _intend(journal, service) if journal else Entry(1, service, "intended", time.time())
    await submitter.submit(entry, BODY)
    return time.perf_counter() - began


def _intend(journal: Journal, service: str = "x") -> Entry:
    budgets = {"day": 1e9, "month": 1e9}
    return journal.intend(base_url=service, request=BODY, targets=[None], estimate_cents=1.0, budgets=budgets)[0]


def _fill(path: Path) -> None:
    """A hundred thousand clips of the last year."""
    now = time.time()
    rows = ((f"task-{n}", now - n * 300, "a fox in snow, from the left") for n in itertools.count())
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            "INSERT INTO clip (base_url, fate, task_id, intended_at, prompt, status, cost_cents, estimate_cents, model)"
            " VALUES ('x', 'known', ?, ?, ?, 'completed', 10, 10, 'wan-2.6')",
            itertools.islice(rows, ENTRIES),
        )


def _ignore(_: str) -> None: ...
