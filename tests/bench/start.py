"""Start-up: whole processes, from their start to their end, against the interpreter's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from airvid.cli.app import program

from . import journal, process, servers
from .rows import Line, Sides, Theme, times

FLOOR = "python -I -c pass"
HELP = ["--help", *(f"{name} --help" for name in program().commands)]
TASK_ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
STATUS, LIST = f"status {TASK_ID} --json", "list --json"
_LIMIT = "the interpreter, and the loading of Typer, httpx and sqlite3; a naive program of Typer and httpx: 19.5"

LINES = (
    Line("--version", "--version", FLOOR, times(8), "Typer, and this program's command line"),
    Line("help", HELP, FLOOR, times(8), "as --version"),
    Line("status ID --json", STATUS, FLOOR, times(15), _LIMIT),
    Line("list --json", LIST, FLOOR, times(15), _LIMIT),
)
TLS_LINES = (
    Line("status over https", f"https: {STATUS}", STATUS, times(1.2), "one handshake, and one TLS context"),
    Line("list over https", f"https: {LIST}", LIST, times(1.2), "one handshake, and one TLS context"),
)


@contextmanager
def sides() -> Iterator[Sides]:
    """The interpreter, what needs no network, and single calls of an API on loopback."""
    with process.home() as (folder, env), servers.canned(_answers()) as url:
        env["AIRVID_BASE_URL"] = url
        journal.fill(folder / "data" / "airvid" / "journal.db", url)
        ours = ["--version", *HELP, STATUS, LIST]
        yield {
            FLOOR: process.timed(*process.FLOOR, env=env),
            **{each: process.timed(process.AIRVID, *each.split(), env=env) for each in ours},
        }


@contextmanager
def tls_sides() -> Iterator[Sides]:
    """The same calls over https, whose private authority is trusted beside the system's own."""
    with process.home() as (folder, env):
        tls = servers.certificate(folder)
        env["SSL_CERT_FILE"] = tls.roots
        with servers.canned(_answers()) as plain, servers.canned(_answers(), tls) as secure:
            yield {
                f"{kind}{each}": process.timed(process.AIRVID, *each.split(), env={**env, "AIRVID_BASE_URL": url})
                for kind, url in (("", plain), ("https: ", secure))
                for each in (STATUS, LIST)
            }


def _answers() -> dict[str, object]:
    """What an API says of one task, and of a hundred."""
    tasks = [task(f"{TASK_ID[:-3]}{n:03}") for n in range(99)]
    return {f"/video/tasks/{TASK_ID}": task(TASK_ID), "/video/tasks": {"data": [task(TASK_ID), *tasks]}}


def task(task_id: str, result_url: str = "http://127.0.0.1:1/clip.mp4") -> dict[str, object]:
    """The record of a task that has ended a moment ago."""
    made = int(time.time()) - 60
    return {
        "task_id": task_id, "status": "completed", "model": "wan-2.6", "progress": 100, "created": made,
        "expires_at": made + 86400, "cost_cents": 25, "result_url": result_url, "error": None, "duration_seconds": 5,
    }  # fmt: skip


THEME = Theme("start-up", 40, LINES, sides)
TLS = Theme("start-up over https", 40, TLS_LINES, tls_sides)
