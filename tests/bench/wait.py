"""create --wait -o: how much later than the server's completion the file has its name."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from small_files import tiny_mp4

from airvid.sandbox.emulator import Pace

from . import process, servers
from .rows import Line, Sides, Theme, plus

SIZE = 5_000_000
# Time enough for the program to start, and to open the stream long before the end.
PACE = Pace(queued=0.5, processing=1.5)
KEY = {"Authorization": f"Bearer {process.KEY}"}
BODY = {"model": "wan-2.6", "prompt": "a fox"}
OURS, ALONE = "airvid create -o", "the transfer alone"

LINES = (
    Line(
        "5 MB clip: completion to file", OURS, ALONE, plus(60),
        "an event, a GET, the sync of the file and of its folder; a poll every 8 s is 4,000 ms late",
    ),
)  # fmt: skip


@contextmanager
def sides() -> Iterator[Sides]:
    """The whole program against an emulator in another process, and the same clip by httpx, written and synced."""
    with (
        process.home() as (folder, env),
        servers.emulated(PACE, clip=tiny_mp4(b"x" * SIZE)) as server,
        httpx.Client(trust_env=False) as client,
    ):
        env["AIRVID_BASE_URL"] = server.url
        target = folder / "fox.mp4"
        url = _result_url(client, server.url)

        def create() -> float:
            target.unlink(missing_ok=True)
            process.run(process.AIRVID, "create", "a fox", "-m", "wan-2.6", "-o", str(target), env=env)
            made = max(at for at, call in server.requests() if call.startswith("POST"))
            # The name's last change is the rename; file systems tell it to about 4 ms.
            return (target.stat().st_ctime - made - PACE.queued - PACE.processing) * 1000

        def alone() -> float:
            target.unlink(missing_ok=True)
            began = time.perf_counter()
            _fetch(client, url, target)
            return (time.perf_counter() - began) * 1000

        yield {OURS: create, ALONE: alone}


def _result_url(client: httpx.Client, api: str) -> str:
    task = client.post(f"{api}/video/generations", json=BODY, headers=KEY).raise_for_status().json()
    while not task.get("result_url"):
        time.sleep(0.1)
        task = client.get(f"{api}/video/tasks/{task['task_id']}", headers=KEY).raise_for_status().json()
    return str(task["result_url"])


def _fetch(client: httpx.Client, url: str, target: Path) -> None:
    with target.open("wb") as file, client.stream("GET", url) as answer:
        for chunk in answer.raise_for_status().iter_bytes():
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


THEME = Theme("wait", 20, LINES, sides)
