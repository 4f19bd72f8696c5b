"""A hundred tasks watched at once: memory, processor and requests, as the system and the server count them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import KEY, render_tiny
from terminal import AIRVID, environment

from airvid.sandbox.emulator import Emulator, Fault, Pace, Request, Response
from airvid.sandbox.server import Server

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")

TASKS = 100
MEMORY, LOAD = 80 << 20, 0.10
# Seconds until all is under way, and seconds in which nothing changes any more.
SETTLING, QUIET = 6.0, 8.0
REFUSED = Fault("stream", Response(501, {}, b"no streams here"), times=10**9)
ENDING = Fault("stream", Response(200, {"Content-Type": "text/event-stream"}, chunks=()), times=10**9)


@dataclass(frozen=True)
class Figures:
    """What a watch took: peak memory in bytes, processor seconds a second, and when it asked for what."""

    memory: int
    load: float
    requests: list[tuple[float, Request]]

    @property
    def readings(self) -> list[float]:
        """When it asked for anything but a stream."""
        return [at for at, request in self.requests if not request.route.endswith("/stream")]


def watch(folder: Path, server: Server, tasks: list[str], *, on_terminal: bool) -> Figures:
    env = environment(folder, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)
    with _streams(on_terminal) as (out, err):
        command = [*AIRVID, "watch", *tasks]
        process = subprocess.Popen(command, cwd=folder, env=env, stdin=out, stdout=out, stderr=err)
        try:
            time.sleep(SETTLING)
            began, before = time.monotonic(), _processor_seconds(process.pid)
            time.sleep(QUIET)
            load = (_processor_seconds(process.pid) - before) / (time.monotonic() - began)
            assert process.poll() is None, "it ended"
            return Figures(_peak_memory(process.pid), load, list(server.emulator.requests))
        finally:
            process.kill()
            process.wait()


@contextmanager
def _streams(on_terminal: bool) -> Iterator[tuple[int, int]]:
    """The program's output and its talk: nowhere, or a terminal that is read all the time."""
    if not on_terminal:
        with open(os.devnull, "r+b") as nowhere:
            yield nowhere.fileno(), nowhere.fileno()
        return
    master, slave = pty.openpty()
    reader = threading.Thread(target=_drain, args=(master,))
    reader.start()
    try:
        yield slave, slave
    finally:
        os.close(slave)
        reader.join()
        os.close(master)


def _drain(master: int) -> None:
    try:
        while os.read(master, 65536):
            pass
    except OSError:
        pass  # the other end is closed


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


@pytest.mark.parametrize("on_terminal", [False, True], ids=["log", "terminal"])
@pytest.mark.parametrize("fault", [None, REFUSED, ENDING], ids=["streams", "streams refused", "streams that end"])
def test_a_hundred_tasks_cost_little_while_nothing_changes(
    tmp_path: Path, fault: Fault | None, on_terminal: bool
) -> None:
    emulator = Emulator(pace=Pace(queued=0, processing=36_000), slots=TASKS, render=render_tiny)
    order = Request(
        "POST", "/v1/video/generations", {"authorization": f"Bearer {KEY}"}, b'{"model":"wan-2.6","prompt":"fox"}'
    )
    import json

    tasks = [json.loads(emulator.handle(order, time.time()).body)["task_id"] for _ in range(TASKS)]
    emulator.requests.clear()
    emulator.faults += [fault] if fault else []
    with Server(emulator) as server:
        took = watch(tmp_path, server, tasks, on_terminal=on_terminal)
    gaps = [round(b - a, 2) for a, b in zip(took.readings, took.readings[1:])]
    t0 = took.requests[0][0] if took.requests else 0
    print(
        f"{took.memory >> 20} MB, load {took.load:.3f}, {len(took.requests)} requests, {len(took.readings)} readings, late {len([a for a, _ in took.requests if a - t0 > 5])}, least gap {min(gaps, default=None)}"
    )
    emulator.close()
