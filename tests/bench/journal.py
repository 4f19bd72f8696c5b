"""What the journal adds to a create: the same call on loopback with and without it, empty and with 100,000 entries."""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from airvid.api.client import Api
from airvid.api.http import HttpClient
from airvid.clips.submit import Submitter
from airvid.journal import schema
from airvid.journal.entries import Entry
from airvid.journal.journal import Journal
from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server
from airvid.ui.output import Output
from airvid.ui.submit_report import SubmitReport

from .rows import Line, Side, Sides, Theme, plus, times

ENTRIES = 100_000
BODY = {"model": "wan-2.6", "prompt": "a fox", "mode": "text", "duration_seconds": 2}
EMPTY, FULL, WITHOUT = "an empty journal", f"{ENTRIES:,} entries", "no journal"

LINES = (
    Line("create with the journal", EMPTY, WITHOUT, plus(5), "three synced writes"),
    Line(f"create with {FULL}", FULL, EMPTY, times(1.25), "an index"),
)


class NoJournal:
    """Takes what the journal takes, and keeps nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda entry, *_, **__: 0 if name == "ahead" else entry


@contextmanager
def sides() -> Iterator[Sides]:
    """A server on loopback, and creates against it."""
    with tempfile.TemporaryDirectory() as folder, Server(Emulator(pace=Pace(0, 0))) as server, asyncio.Runner() as loop:
        wire = HttpClient(server.api_url, "sk-air-bench", use_proxies=False)
        small, large = (Journal(Path(folder) / name / "journal.db", print) for name in ("small", "large"))
        _intend(large)
        fill(large.path, "x")

        def create(journal: Journal | None) -> Side:
            return lambda: loop.run(_create(wire, journal, server.api_url))

        yield {EMPTY: create(small), FULL: create(large), WITHOUT: create(None)}
        loop.run(wire.aclose())
        for each in (small, large):
            each.close()


async def _create(wire: HttpClient, journal: Journal | None, service: str) -> float:
    """Milliseconds from the intent to the id on disk."""
    keeper: Any = journal or NoJournal()
    submitter = Submitter(Api(wire), keeper, SubmitReport(Output(quiet=True)), wait_for_slot=True)
    began = time.perf_counter()
    entry = _intend(journal, service) if journal else Entry(1, service, "intended", time.time())
    await submitter.submit(entry, BODY)
    return (time.perf_counter() - began) * 1000


def _intend(journal: Journal, service: str = "x") -> Entry:
    budgets = {"day": 1e9, "month": 1e9}
    return journal.intend(base_url=service, request=BODY, targets=[None], estimate_cents=1.0, budgets=budgets)[0]


def fill(path: Path, service: str) -> None:
    """A hundred thousand clips of the last year into the journal at `path`."""
    now = time.time()
    rows = ((service, str(uuid.uuid4()), now - n * 300, "a fox in snow, from the left") for n in range(ENTRIES, 0, -1))
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(schema.connect(path)) as database:
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO clip (base_url, fate, task_id, intended_at, prompt, status, cost_cents, estimate_cents, model)"
            " VALUES (?, 'known', ?, ?, ?, 'completed', 10, 10, 'wan-2.6')",
            rows,
        )
        database.execute("COMMIT")


THEME = Theme("journal", 40, LINES, sides)
