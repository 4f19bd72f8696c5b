"""A batch of 40 rows in four slots, and manifests of 10,000 rows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from small_files import tiny_mp4

from airvid.clips.request import Request
from airvid.clips.rows import digest
from airvid.sandbox.emulator import Pace

from . import process, servers
from .rows import Line, Sides, Theme, at_most, times

ROWS, SLOTS, RENDER, MANY = 40, 4, 2.0, 10_000
CLIP = tiny_mp4(b"x" * 200_000)

RUN_LINES = (
    Line("40 rows: time", "run", "ideal", times(1.05), "a start, and ten times a look at the end and a POST", "s"),
    Line("40 rows: at once", "at once", None, at_most(SLOTS), "the key's slots", "clips"),
    Line("40 rows: refused POSTs", "refused", None, at_most(0.05 * ROWS), "none is sent without a slot", "POSTs"),
    Line("40 rows: requests while four render", "requests", None, at_most(1), "streams tell", "a second"),
)


@contextmanager
def run_sides() -> Iterator[Sides]:
    """One run, from which all figures are taken."""
    with process.home() as (folder, env), servers.emulated(Pace(0, RENDER), slots=SLOTS, clip=CLIP) as server:
        env["AIRVID_BASE_URL"] = server.url
        _write(folder, ROWS)

        @cache
        def figures() -> dict[str, float]:
            began = time.perf_counter()
            process.run(process.AIRVID, "batch", str(folder / "m.jsonl"), "-o", str(folder / "{row}.mp4"), env=env)
            seconds = time.perf_counter() - began
            asked = server.requests()
            posts = sorted(at for at, call in asked if call == "POST /video/generations")
            most, spans = _four_at_once(posts)
            inside = sum(low <= at < high for at, _ in asked for low, high in spans)
            observed = sum(high - low for low, high in spans)
            return {
                "run": seconds,
                "at once": most,
                "refused": len(posts) - ROWS,
                "requests": inside / observed if observed else 0.0,
            }

        yield {"ideal": lambda: ROWS / SLOTS * RENDER} | {
            name: lambda name=name: figures()[name] for name in ("run", "at once", "refused", "requests")
        }


def _four_at_once(posts: list[float]) -> tuple[float, list[tuple[float, float]]]:
    """The most clips that rendered at once, and the spans in which four did and nothing began or ended."""
    moments = sorted([(at, 1) for at in posts] + [(at + RENDER, -1) for at in posts])
    running = most = 0
    spans = []
    for (at, change), (following, _) in zip(moments, [*moments[1:], (moments[-1][0], 0)], strict=True):
        running += change
        most = max(most, running)
        # After a POST its stream is opened.
        if running == SLOTS and following - at > 0.5:
            spans.append((at + 0.3, following))
    return most, spans


def _write(folder: Path, count: int) -> None:
    rows = ({"id": f"r{n}", "prompt": f"a fox, number {n}", "duration": 4, "seed": n} for n in range(count))
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


MANIFEST_LINES = (
    Line("10,000 rows: checked", "checked", None, at_most(2000), "a request and a digest a row"),
    Line("10,000 rows: memory", "memory", None, at_most(100), "a request a row", "MB"),
    Line(
        "10,000 done rows: passed over", "done", None, at_most(2000), "journal, results file, and a look at each file"
    ),
)


@contextmanager
def manifest_sides() -> Iterator[Sides]:
    with process.home() as (folder, env), servers.emulated(Pace(0, RENDER)) as server:
        env["AIRVID_BASE_URL"] = server.url
        _write(folder, MANY)
        _write_done(folder)
        new = (process.AIRVID, "batch", str(folder / "m.jsonl"), "-o", str(folder / "new" / "{row}.mp4"), "--dry-run")
        done = (process.AIRVID, "batch", str(folder / "m.jsonl"), "-o", str(folder / "done" / "{row}.mp4"))
        elsewhere = {**env, "XDG_DATA_HOME": str(folder / "other")}
        yield {
            "checked": process.timed(*new, env=elsewhere),
            "memory": process.peak(*new, env=elsewhere),
            "done": process.timed(*done, env=env),
        }


def _write_done(folder: Path) -> None:
    """The clips and the results of an earlier run."""
    (folder / "done").mkdir()
    with (folder / "done" / "results.jsonl").open("w") as results:
        for n in range(MANY):
            (folder / "done" / f"r{n}.mp4").write_bytes(b"x")
            prompt = f"a fox, number {n}"
            asked = digest(Request(prompt=prompt, duration=4, plain={"seed": n}), None, {})
            about = {"row": f"r{n}", "n": 1, "asked": asked, "state": "completed", "intended_at": 1.0, "sent_at": 1.0}
            about |= {
                "output": f"r{n}.mp4",
                "bytes": 1,
                "saved_at": 1.0,
                "request": {"model": "dune-lite", "prompt": prompt},
            }
            task = {"task_id": f"task-{n}", "status": "completed", "model": "dune-lite", "prompt": prompt}
            results.write(json.dumps({"airvid": about, **task}, separators=(",", ":")) + "\n")


RUN = Theme("batch", 1, RUN_LINES, run_sides)
MANIFEST = Theme("batch", 3, MANIFEST_LINES, manifest_sides)
