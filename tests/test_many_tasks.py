"""A hundred tasks watched at once: memory, processor and requests, as the system and the server count them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import KEY, render_tiny
from terminal import AIRVID, environment

from airvid.sandbox.emulator import Emulator, Fault, Pace, Request, Response
from airvid.sandbox.server import Server

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")

TASKS = 100
MEMORY, LOAD, REQUESTS = 80 << 20, 0.10, 1.0  # bytes, of one core, a second
# More than so many streams are not tried at the beginning; where one is refused, its task is read.
STREAMS = 8
# Seconds until the first readings are done, and seconds in which nothing changes any more.
SETTLING, QUIET = 5.0, 12.0
EVER = 10**9
SSE = {"Content-Type": "text/event-stream"}
SITUATIONS: dict[str, tuple[list[Fault], bool]] = {
    "streams": ([], False),
    "streams refused": ([Fault("stream", Response(501, {}, b"no streams here"), times=EVER)], False),
    "streams not found": ([Fault("stream", Response(404), times=EVER)], False),
    "streams that end at once": ([Fault("stream", Response(200, SSE, chunks=()), times=EVER)], False),
    "streams, on a terminal": ([], True),
}


@dataclass(frozen=True)
class Figures:
    """What a watch took: peak memory in bytes, processor seconds a second, and requests in all and while quiet."""

    memory: int
    load: float
    requests: int
    quiet_requests: int


class Watch:
    """One run of `airvid watch` with a server of its own whose tasks take hours."""

    def __init__(self, folder: Path, faults: list[Fault], cleanup: ExitStack, *, on_terminal: bool) -> None:
        folder.mkdir()
        emulator = Emulator(pace=Pace(queued=0, processing=36_000), slots=TASKS, render=render_tiny)
        cleanup.callback(emulator.close)
        body = b'{"model":"wan-2.6","prompt":"fox"}'
        order = Request("POST", "/v1/video/generations", {"authorization": f"Bearer {KEY}"}, body)
        tasks = [json.loads(emulator.handle(order, time.time()).body)["task_id"] for _ in range(TASKS)]
        emulator.requests.clear()
        emulator.faults += faults
        self._emulator = emulator
        server = cleanup.enter_context(Server(emulator))
        env = environment(folder, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)
        err = _terminal(cleanup) if on_terminal else cleanup.enter_context((folder / "err").open("wb")).fileno()
        self._process = subprocess.Popen(
            [*AIRVID, "watch", *tasks], cwd=folder, env=env, stdin=err, stdout=err, stderr=err
        )
        cleanup.callback(self._process.wait)
        cleanup.callback(self._process.kill)

    @property
    def requests(self) -> list[float]:
        """When it asked for something, in Unix seconds."""
        return [at for at, _ in self._emulator.requests]

    def until_under_way(self) -> None:
        end = time.monotonic() + 60
        while len(self.requests) < STREAMS:
            assert self._process.poll() is None, "the program ended first"
            assert time.monotonic() < end, "it asked for nothing"
            time.sleep(0.05)

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> int:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def _terminal(cleanup: ExitStack) -> int:
    """A terminal of 120 by 40 that is read all the time."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    reader = threading.Thread(target=_drain, args=(master,))
    reader.start()
    cleanup.callback(os.close, master)
    cleanup.callback(reader.join)
    cleanup.callback(os.close, slave)
    return slave


def _drain(master: int) -> None:
    try:
        while os.read(master, 65536):
            pass
    except OSError:
        pass  # the other end is closed


def test_a_hundred_tasks_cost_little_while_nothing_changes(tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        watches = {
            name: Watch(tmp_path / str(n), faults, cleanup, on_terminal=on_terminal)
            for n, (name, (faults, on_terminal)) in enumerate(SITUATIONS.items())
        }
        for watch in watches.values():
            watch.until_under_way()
        time.sleep(SETTLING)
        began, quiet_at = time.monotonic(), time.time()
        before = {name: watch.processor_seconds() for name, watch in watches.items()}
        time.sleep(QUIET)
        took = {
            name: Figures(
                watch.peak_memory(),
                (watch.processor_seconds() - before[name]) / (time.monotonic() - began),
                len(watch.requests),
                sum(at > quiet_at for at in watch.requests),
            )
            for name, watch in watches.items()
        }
    wrong = {
        name: each
        for name, each in took.items()
        if each.memory > MEMORY
        or each.load > LOAD
        or each.requests > 2 * STREAMS + REQUESTS * (SETTLING + QUIET)
        or each.quiet_requests > REQUESTS * QUIET
    }
    assert wrong == {}
