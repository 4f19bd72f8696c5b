"""Event streams for the random searches: a true one, and random ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import random_answers as odd
from raw_server import Reply, Step

# None of these ends a task.
ODD_STATES: list[Any] = [
    "QUEUED",
    "In-Progress",
    "paused",
    "",
    None,
    7,
    [],
    {},
    "\x1b[2Jup",
    "x" * 5000,
    "\ud800",
    "unknown",
]


def true(task_id: str, passed: float, states: Mapping[float, str]) -> Reply:
    """Each state when it is due, then the end. `states` by the seconds that the task took to them, `passed` of them."""
    steps: list[Step] = [odd.head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])]
    now = next(status for due, status in [*states.items()][::-1] if due <= max(0.0, passed))
    coming = {max(0.0, passed): now} | {due: status for due, status in states.items() if due > passed}
    at = passed
    for due, status in coming.items():
        steps.append(max(0.0, due - at))
        at = max(at, due)
        event = f"event: state\ndata: {json.dumps({'task_id': task_id, 'status': status})}\n\n"
        steps.append(odd.chunks(event.encode(), 1000))
    return Reply((*steps, odd.chunks(b"event: done\ndata: [DONE]\n\n", 1000) + b"0\r\n\r\n"))


def spoilt(rng: Random, told: dict[str, Any]) -> Reply:
    """Events of every kind about a task, of which the record is `told`; none ends it but by telling the truth."""
    events = b"".join(_event(rng, told) for _ in range(rng.choice([0, 1, 5, 100])))[:300_000]
    headers = [("Content-Type", rng.choice(["text/event-stream"] * 6 + ["application/json", "text/html"]))]
    status = rng.choice([200] * 8 + [404, 429, 500, 302, 204])
    if rng.random() < 0.3:
        return odd.framed(rng, status, headers, events)
    end = rng.choice([b"0\r\n\r\n", b"0\r\n\r\n", b"", b"nonsense\r\n"])
    steps: list[Step] = [odd.head(status, [*headers, ("Transfer-Encoding", "chunked")])]
    steps += [odd.chunks(events, len(events) // 50 + 1), rng.choice([0.0, *odd.PAUSES]), end]
    return Reply(tuple(steps), "keep" if end else rng.choice(["close", "reset", "silent"]))


def _event(rng: Random, told: dict[str, Any]) -> bytes:
    partial = {name: told[name] for name in rng.sample(sorted(told), 3)} | {"task_id": told["task_id"]}
    kinds: list[Callable[[], bytes]] = [
        lambda: b"event: state\ndata: " + json.dumps(partial).encode() + b"\n\n",
        lambda: b"data: " + json.dumps(odd.spoilt(rng, told)).encode() + b"\r\n\r\n",
        lambda: b"data: " + json.dumps(partial | {"progress": rng.randrange(120)}).encode() + b"\n\n",
        lambda: b"data: " + json.dumps(partial | {"status": rng.choice(ODD_STATES)}).encode() + b"\n\n",
        lambda: b"data: " + json.dumps({f"key {rng.random()}": "x" * 1000}).encode() + b"\n\n",
        lambda: b"data: " + json.dumps({"event": "state", "data": partial}).encode() + b"\n\n",
        lambda: b'event: error\ndata: {"error": "upstream"}\n\n',
        lambda: b": keepalive\n\n",
        lambda: b"data: : keepalive\n\n",
        lambda: b"data: [DONE]\n\n",
        lambda: b"data: " + odd.noise(rng).replace(b"\n", b"") + b"\n\n",
        lambda: b"data: " + odd.nested(rng, partial) + b"\n\n",
        lambda: rng.randbytes(50),
        lambda: b"retry: 99999999999\nid: \0\ndata\n\n",
    ]
    return rng.choice(kinds)()
