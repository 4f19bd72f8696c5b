"""Manifests and results of batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write(folder: Path, *rows: dict[str, Any], name: str = "m.jsonl") -> None:
    """Write a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def results(folder: Path) -> list[dict[str, Any]]:
    """The lines of the folder's results."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
