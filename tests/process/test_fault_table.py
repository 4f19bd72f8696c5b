"""Every fault in every phase, on real sockets, the program as a process of its own.

Once directly, and once more over TLS through a CONNECT proxy, whose own faults are one more table.

Each cell of the table in `faults` ends in the clip on disk byte for byte, or in its exit code with nothing under the
clip's name; no task is made twice, and the key never reaches the storage host.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest
from fault_table import CLIP, PROXY_TABLES, TABLES, Cell
from faulty_server import FaultyServer
from forked_run import ForkedRun
from program import KEY
from proxies import certificate, pem
from terminal import environment

from airvid.sandbox.emulator import Emulator, Pace, Request

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork processes")

# Seconds for a cell that ends by itself, with one of these codes, and for one that may have to be ended by --timeout.
LONG, SHORT = 25, 4
# How a run ends whose time was up. A machine that is busy may bring that about too early.
TIME_WAS_UP = "the time was up"
ENDS = {0, 3, 4, 5, 6, 11}
SIDE_BY_SIDE, STARTING = 32, 3
# A machine without root certificates of its own, which take longer to read than many a cell.
NO_ROOTS = """
import ssl
own = ssl.get_default_verify_paths()._replace(openssl_cafile="", openssl_capath="")
ssl.get_default_verify_paths = lambda: own
"""


class Run:
    """One cell being played."""

    def __init__(self, cell: Cell, home: Path, tls: ssl.SSLContext | None, limit: int, **env: str) -> None:
        self._cell, self._folder, self._limit = cell, home / "here", limit
        # Long enough to be followed for a moment.
        self._emulator = Emulator(pace=Pace(queued=0.05, processing=0.3), render=lambda _: CLIP)
        self._rough = FaultyServer(self._emulator, cell.rules, tls)
        self._rough.start()
        env |= {"AIRVID_BASE_URL": self._rough.api_url, "AIRVID_API_KEY": KEY, **cell.env}
        if tls:
            env["HTTPS_PROXY"] = self._rough.proxy_url
        self._process = ForkedRun(self._arguments(), self._folder, environment(home, **env), prelude=NO_ROOTS)
        self.sentinel = self._process.sentinel
        self.deadline = time.monotonic() + LONG + 15

    def _arguments(self) -> list[str]:
        what = ["create", "fox", "-m", "wan-2.6"]
        if self._cell.is_cold:
            body = json.dumps({"model": "wan-2.6", "prompt": "fox"}).encode()
            what = ["watch", self._ask("POST", "/v1/video/generations", body)["task_id"]]
        return [*what, "-o", "fox.mp4", "--timeout", str(self._limit)]

    def _ask(self, method: str, path: str, body: bytes = b"") -> Any:
        request = Request(method, path, {"authorization": f"Bearer {KEY}"}, body)
        return json.loads(self._emulator.handle(request, time.time()).body)

    @property
    def is_starting(self) -> bool:
        return not self._rough.requests

    def end(self) -> list[str]:
        """What is not as it should be."""
        done = self._process.end()
        code, told = done.returncode, done.stderr
        self._rough.close()
        cell, seen = self._cell, self._rough.requests
        posts = sum(request.method == "POST" for request in seen)
        tasks = len(self._ask("GET", "/v1/video/tasks")["data"])
        self._emulator.close()
        left = {path.name: path.read_bytes() for path in self._folder.iterdir()}
        wrong = {
            f"exit code {code}, not {cell.code}": code != cell.code,
            f"{posts} creates": posts != (0 if cell.is_cold else cell.posts),
            f"{tasks} tasks": tasks != cell.tasks,
            f"left {sorted(left)}": cell.code == 0 and set(left) != {"fox.mp4"},
            "a clip of other bytes": cell.code == 0 and left.get("fox.mp4", CLIP) != CLIP,
            "something under the clip's name": cell.code != 0 and "fox.mp4" in left,
            "a traceback": "Traceback" in told,
            "no error told": cell.code != 0 and "error: " not in told,
            "the key at the storage host": any(each.storage and "authorization" in each.headers for each in seen),
        }
        found = [what for what, is_so in wrong.items() if is_so]
        return [*found, *told.splitlines()[-2:]] if found else []


@pytest.mark.parametrize("table", TABLES)
def test_every_cell_ends_in_the_clip_or_in_its_exit_code(table: str, tmp_path: Path) -> None:
    play(TABLES[table], tmp_path)


@pytest.mark.parametrize("table", PROXY_TABLES)
def test_so_does_every_cell_through_a_connect_proxy(table: str, tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()
    play(
        PROXY_TABLES[table],
        tmp_path,
        certificate(authority.issue_cert("localhost")),
        SSL_CERT_FILE=pem(tmp_path, authority),
    )


def play(cells: list[Cell], home: Path, tls: ssl.SSLContext | None = None, **env: str) -> None:
    """Run the cells, many at a time. Those whose time was up are run again with more of it where that is wrong."""
    wrong = side_by_side([(cell, LONG if cell.code in ENDS else SHORT) for cell in cells], home, tls, **env)
    late = {cell.name for cell in cells if cell.code not in ENDS and TIME_WAS_UP in " ".join(wrong.get(cell.name, ()))}
    again = [(cell, LONG) for cell in cells if cell.name in late]
    wrong = {name: found for name, found in wrong.items() if name not in late}
    wrong |= side_by_side(again, home / "again", tls, **env)
    assert not wrong, "\n".join(f"{name}: {'; '.join(found)}" for name, found in wrong.items())


def side_by_side(
    cells: list[tuple[Cell, int]], home: Path, tls: ssl.SSLContext | None, **env: str
) -> dict[str, list[str]]:
    """Run the cells, each with its limit in seconds; what is wrong, by the cell's name."""
    wrong: dict[str, list[str]] = {}
    left = list(enumerate(cells))
    running: dict[Any, tuple[str, Run]] = {}  # by what is ready when they have ended
    try:
        while left or running:
            while (
                left and len(running) < SIDE_BY_SIDE and sum(run.is_starting for _, run in running.values()) < STARTING
            ):
                place, (cell, limit) = left.pop(0)
                run = Run(cell, home / str(place), tls, limit, **env)
                running[run.sentinel] = cell.name, run
            late = [each for each, (_, run) in running.items() if time.monotonic() > run.deadline]
            for each in {*late, *wait(list(running), timeout=0.05)}:
                name, run = running.pop(each)
                if found := run.end():
                    wrong[name] = found
    finally:
        for _, run in running.values():
            run.end()
    return wrong
