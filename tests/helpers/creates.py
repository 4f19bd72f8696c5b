"""A create whose answer was lost: the requests that it makes, the server's task list, and the journal's rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from program import World, json_answer

from airvid.sandbox.emulator import Request, Response
from airvid.sandbox.faults import parse_fault

POST = "POST /video/generations"


CREATE = ["create", "fox", "-m", "wan-2.6", "-d", "8"]


LISTING = "GET /v1/video/tasks"


LOST = parse_fault("lost-reply")


DOWN = json_answer(503, {"error": "down"})


def rows(tmp_path: Path) -> list[tuple[str, str | None]]:
    """Fate and task id of each entry of the journal, read from the file itself."""
    database = sqlite3.connect(tmp_path / "data" / "airvid" / "journal.db")
    try:
        return database.execute("SELECT fate, task_id FROM clip ORDER BY id").fetchall()
    finally:
        database.close()


def listed(world: World) -> list[str]:
    """The ids that the server lists."""
    request = Request("GET", "/v1/video/tasks", {"authorization": "Bearer sk-air-test-0123456789abcdef"})
    return [task["task_id"] for task in json.loads(world.emulator.handle(request, world.clock.now()).body)["data"]]


def other_machine(world: World, **asked: Any) -> str:
    """A task that the same key makes elsewhere; its id."""
    body = {"model": "wan-2.6", "prompt": "fox", "duration_seconds": 8, **asked}
    headers = {"authorization": "Bearer sk-air-test-0123456789abcdef"}
    request = Request("POST", "/v1/video/generations", headers, json.dumps(body).encode())
    answer = world.emulator.handle(request, world.clock.now())
    world.emulator.requests.pop()
    return str(json.loads(answer.body)["task_id"])


class Lists:
    """The server's task list as `word` gives it: `nth` is 0 for the list before the POST, then 1, 2, ..."""

    def __init__(self, world: World, word: Callable[[int, list[dict[str, Any]]], Response | list[Any] | None]) -> None:
        self.nth = -1
        self._world, self._word = world, word
        world.answer = self

    def __call__(self, request: Request) -> Response | None:
        if f"{request.method} {request.path}" != LISTING:
            return None
        self.nth += 1
        told = self._world.emulator.handle(request, self._world.clock.now())
        worded = self._word(self.nth, json.loads(told.body)["data"])
        if isinstance(worded, list):
            return json_answer(200, {"data": worded}, {"Date": told.headers["Date"]})
        return worded


def without(tasks: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in task.items() if key not in keys} for task in tasks]


def journal_of(tmp_path: Path) -> Path:
    return tmp_path / "data" / "airvid" / "journal.db"
