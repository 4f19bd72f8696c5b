"""A hundred tasks watched at once: how often the server is asked, on the virtual clock.

What that takes in memory and processor time is measured by tests/bench/watch.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from program import KEY, World

from airvid.api.retry import LEAST
from airvid.clips.follow import TURN
from airvid.sandbox.emulator import Pace, Request, Response

TASKS, SECONDS = 100, 360
# More streams are not tried at the beginning; where one is refused, its task is read.
STREAMS = 8
SSE = {"Content-Type": "text/event-stream"}


def make(world: World, count: int, processing: float) -> list[str]:
    """Tasks that all begin now and take so many seconds."""
    world.emulator.pace, world.emulator.slots = Pace(queued=0, processing=processing), count
    body = b'{"model":"wan-2.6","prompt":"fox"}'
    order = Request("POST", "/v1/video/generations", {"authorization": f"Bearer {KEY}"}, body)
    tasks = [json.loads(world.emulator.handle(order, world.clock.now()).body)["task_id"] for _ in range(count)]
    world.emulator.requests.clear()
    return tasks


def is_stream(request: Request) -> bool:
    return request.path.endswith("/stream")


def test_who_gets_no_stream_is_not_kept_waiting_by_those_who_do(world: World) -> None:
    tasks, began = make(world, STREAMS + 4, 8), world.clock.now()
    assert world.airvid("watch", *tasks).code == 0
    assert world.clock.now() - began < 8 + LEAST * 1.2 + TURN * 4
    assert next(at for at, request in world.emulator.requests if not is_stream(request)) - began <= TURN


def telling(status: str, lasting: float) -> Callable[[World, int], Response]:
    """Streams that tell one event, which is news, and close after so many seconds."""

    def answer(world: World, number: int) -> Response:
        event = f'event: state\ndata: {{"status":"{status}","progress":{number % 90}}}\n\n'.encode()
        return Response(200, SSE, chunks=((world.clock.now() + lasting, event),))

    return answer


@pytest.mark.parametrize(
    # What its stream answers, and how many readings may come before the polls make up for them: one for each place.
    ("stream", "ahead"),
    [
        pytest.param(None, STREAMS, id="streams"),
        pytest.param(lambda *_: Response(501, {}, b"no streams here"), 0, id="refused"),
        pytest.param(lambda *_: Response(404), 0, id="not found"),
        pytest.param(lambda *_: Response(200, SSE, chunks=()), 0, id="end at once"),
        pytest.param(telling("processing", 0), STREAMS, id="end at once with news"),
        pytest.param(telling("processing", 1), STREAMS, id="end soon with news"),
        pytest.param(telling("completed", 0), STREAMS, id="tell of an end that is none"),
    ],
)
def test_a_hundred_tasks_are_asked_for_once_a_second_at_the_most(
    world: World, stream: Callable[[World, int], Response] | None, ahead: int
) -> None:
    tasks = make(world, TASKS, 36_000)
    asked: list[float] = []
    lists: list[float] = []

    def answer(request: Request) -> Response | None:
        asked.append(world.clock.now() - began)
        if request.path.endswith("/tasks"):
            lists.append(asked[-1])
        return stream(world, len(asked)) if stream and is_stream(request) else None

    world.answer = answer
    began = world.clock.now()
    result = world.airvid("watch", *tasks, "--timeout", str(SECONDS))
    assert (result.code, world.clock.now() - began) == (10, SECONDS)
    assert len(asked) <= SECONDS + STREAMS
    # Who has no stream is not forgotten over those who have.
    assert len(lists) >= SECONDS / 60
    for end in range(60, SECONDS + 1, 60):
        beginning = 2 * STREAMS if end == 60 else 0
        assert 0 < sum(end - 60 <= at < end for at in asked) <= 60 + beginning + ahead
