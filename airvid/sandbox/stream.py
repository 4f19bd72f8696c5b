"""A task's event stream, worked out ahead: what is sent, and when."""

from __future__ import annotations

import json
from collections.abc import Iterator

from airvid.sandbox.messages import Chunk, Json
from airvid.sandbox.state import Task

STEP = 8
"""Per cent between two events."""

KEEPALIVE = 10.0
"""Seconds of quiet before a comment is sent."""


def chunks(task: Task, now: float, result_url: str) -> list[Chunk]:
    """The events of a task from now to its end, with keep-alives where nothing else happens."""
    sent, last = [], now
    for due, chunk in _events(task, now, result_url):
        while due - last > KEEPALIVE:
            last += KEEPALIVE
            sent.append((last, b": keepalive\n\n"))
        sent.append((due, chunk))
        last = due
    return sent


def _events(task: Task, now: float, result_url: str) -> Iterator[Chunk]:
    yield now, _event(task.view(now, result_url))
    for percent in range(0, 100, STEP):
        due = task.starts + (task.ends - task.starts) * percent / 100
        if now < due < task.expires_at:
            yield due, _event({"task_id": task.id, "status": "processing", "progress": percent})
    end = min(task.ends, task.expires_at)
    if now < end:
        # No result_url here: the whole record is only to be had by a GET.
        yield end, _event({"task_id": task.id, "status": task.status(end), "progress": task.progress(end)})
    yield max(now, end), b"event: done\ndata: [DONE]\n\n"


def _event(state: Json) -> bytes:
    return b"event: state\ndata: " + json.dumps(state).encode() + b"\n\n"
