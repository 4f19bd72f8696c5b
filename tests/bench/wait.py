"""create --wait -o: how much later than the server's completion the file has its name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from small_files import tiny_mp4

from airvid.api.client import Api
from airvid.api.http import Attempt, HttpClient
from airvid.clips import download
from airvid.sandbox.emulator import Pace

from . import process, servers
from .rows import Line, Sides, Theme, plus

SIZE = 5_000_000
# Time enough for the program to start, and to open the stream long before the end.
PACE = Pace(queued=0.3, processing=0.7)
BODY = {"model": "wan-2.6", "prompt": "a fox"}
OURS, ALONE = "airvid create -o", "the transfer alone"

LINES = (
    Line(
        "5 MB clip: completion to file", OURS, ALONE, plus(50),
        "an event, a GET, the sync of the file and of its folder; a poll every 8 s is 4,000 ms late",
    ),
)  # fmt: skip


@contextmanager
def sides() -> Iterator[Sides]:
    """The whole program against an emulator in another process, and the same clip by the same code, nothing else."""
    with (
        process.home() as (folder, env),
        servers.emulated(PACE, clip=tiny_mp4(b"x" * SIZE)) as server,
        asyncio.Runner() as loop,
    ):
        env["AIRVID_BASE_URL"] = server.url
        target = folder / "fox.mp4"
        wire = HttpClient(server.url, process.KEY, use_proxies=False)
        url = loop.run(_result_url(wire))

        def create() -> float:
            target.unlink(missing_ok=True)
            process.run(process.AIRVID, "create", "a fox", "-m", "wan-2.6", "-o", str(target), env=env)
            made = max(at for at, call in server.requests() if call.startswith("POST"))
            # The name's last change is the rename; file systems tell it to about 4 ms.
            return (target.stat().st_ctime - made - PACE.queued - PACE.processing) * 1000

        def alone() -> float:
            target.unlink(missing_ok=True)
            began = time.perf_counter()
            loop.run(_fetch(wire, url, target))
            return (time.perf_counter() - began) * 1000

        yield {OURS: create, ALONE: alone}
        loop.run(wire.aclose())


async def _result_url(wire: HttpClient) -> str:
    api = Api(wire)
    task = await api.create(BODY, Attempt())
    while not task.result_url:
        await asyncio.sleep(0.1)
        task = await api.task(task.task_id)
    return task.result_url


async def _fetch(wire: HttpClient, url: str, target: Path) -> None:
    async with aclosing(download.save(wire, url, target, clip="clip", force=True)) as steps:
        async for _ in steps:
            pass


THEME = Theme("wait", 20, LINES, sides)
