"""A journal with a year of clips."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from pathlib import Path

from airvid.journal import schema

ENTRIES = 100_000


def fill(path: Path, service: str) -> None:
    """Write a hundred thousand clips of the last year into the journal at `path`."""
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
