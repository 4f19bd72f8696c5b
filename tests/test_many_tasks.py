"""A hundred tasks watched at once: how often the server is asked, on the virtual clock (contract 6.1).

What that takes in memory and processor time is measured by tests/bench/watch.py.
"""

from __future__ import annotations

import json

import pytest
from conftest import KEY, World

from airvid.follow import MOST_STREAMS, TURN
from airvid.pace import LEAST
from airvid.sandbox.emulator import Fault, Pace, Request, Response

TASKS, SECONDS = 100, 900
# More streams are not tried at the beginning; where one is refused, its task is read.
STREAMS = MOST_STREAMS
EVER = 10**9
SSE = {"Content-Type": "text/event-stream"}


def make(world: World, count: int, processing: float) -> list[str]:
    """Tasks that all begin now and take so many seconds."""
    world.emulator.pace, world.emulator.slots = Pace(queued=0, processing=processing), count
    body = b'{"model":"wan-2.6","prompt":"fox"}'
    order = Request("POST", "/v1/video/generations", {"authorization": f"Bearer {KEY}"}, body)
    tasks = [json.loads(world.emulator.handle(order, world.clock.now()).body)["task_id"] for _ in range(count)]
    world.emulator.requests.clear()
    return tasks


def test_who_gets_no_stream_is_not_kept_waiting_by_those_who_do(world: World) -> None:
    tasks, began = make(world, STREAMS + 4, 8), world.clock.now()
    assert world.airvid("watch", *tasks).code == 0
    assert world.clock.now() - began < 8 + LEAST * 1.2 + TURN * 4


@pytest.mark.parametrize(
    "streams",
    [
        pytest.param(None, id="streams"),
        pytest.param(Response(501, {}, b"no streams here"), id="refused"),
        pytest.param(Response(404), id="not found"),
        pytest.param(Response(200, SSE, chunks=()), id="end at once"),
    ],
)
def test_a_hundred_tasks_are_asked_for_once_a_second_at_the_most(world: World, streams: Response | None) -> None:
    tasks = make(world, TASKS, 36_000)
    if streams:
        world.emulator.faults.append(Fault("stream", streams, times=EVER))
    began = world.clock.now()
    result = world.airvid("watch", *tasks, "--timeout", str(SECONDS))
    assert (result.code, world.clock.now() - began) == (10, SECONDS)
    asked = [at - began for at, _ in world.emulator.requests]
    for end in range(60, SECONDS + 1, 60):
        beginning = 2 * STREAMS if end == 60 else 0
        assert 0 < sum(end - 60 <= at < end for at in asked) <= 60 + beginning
