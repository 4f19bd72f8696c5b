"""A hundred tasks watched at once on a terminal, by polling, while nothing changes."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import httpx

from airvid.sandbox.emulator import Pace

from . import process, servers
from .rows import Line, Sides, Skipped, Theme, at_most

TASKS = 100
# Seconds after which it has settled, and for which it is observed then.
SETTLED, OBSERVED = 20.0, 30.0
BODY = {"model": "wan-2.6", "prompt": "a fox"}

LINES = (
    Line("100 tasks: memory", "memory", None, at_most(80), "httpx, and a row a task", "MB"),
    Line(
        "100 tasks: processor",
        "processor",
        None,
        at_most(3),
        "a line for each task that fits on the screen",
        "% of a core",
    ),
    Line(
        "100 tasks: requests", "requests", None, at_most(1), "one list for all, a poll a task for the truth", "a second"
    ),
)


@contextmanager
def sides() -> Iterator[Sides]:
    """One run, from which all figures are taken. Raises: Skipped."""
    if not Path("/proc/self/stat").exists():
        raise Skipped("there is no /proc to read a process's use from")
    with process.home() as (_, env), servers.emulated(Pace(3600, 60), slots=TASKS, has_streams=False) as server:
        env["AIRVID_BASE_URL"] = server.url
        with httpx.Client(headers={"Authorization": f"Bearer {process.KEY}"}) as client:
            for _ in range(TASKS):
                client.post(f"{server.url}/video/generations", json=BODY).raise_for_status()

        @cache
        def observed() -> dict[str, float]:
            with _on_terminal(process.AIRVID, "watch", env=env) as pid:
                time.sleep(SETTLED)
                spent, began = _spent(pid), time.time()
                time.sleep(OBSERVED)
                seconds, spent = time.time() - began, _spent(pid) - spent
                asked = sum(began <= at <= began + seconds for at, _ in server.requests())
                return {"memory": _peak(pid), "processor": 100 * spent / seconds, "requests": asked / seconds}

        yield {name: lambda name=name: observed()[name] for name in ("memory", "processor", "requests")}  # type: ignore[misc]


@contextmanager
def _on_terminal(*command: str, env: dict[str, str]) -> Iterator[int]:
    """A process on a terminal of 40 rows and 120 columns, which somebody looks at; its id."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        looking = threading.Thread(target=_look, args=(ours,), daemon=True)
        looking.start()
        yield running.pid
        if running.poll() is not None:
            raise RuntimeError(f"it ended by itself, with {running.returncode}")
        running.terminate()
    looking.join()
    os.close(ours)


def _look(terminal: int) -> None:
    with suppress(OSError):  # what a terminal says whose program has ended
        while os.read(terminal, 1 << 16):
            pass


def _spent(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> float:
    """The most memory that it held, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / process.MB


THEME = Theme("watch", 1, LINES, sides)
