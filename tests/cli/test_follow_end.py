"""How the end of a task is learnt where stream and readings disagree, fail, or never stop."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from creates import CREATE, listed
from event_streams import SSE, event
from program import World, fields, json_answer
from virtual_clock import VirtualClock

from airvid import clock
from airvid.api.client import Listing
from airvid.api.models import Task
from airvid.clips.follow import Shared
from airvid.errors import UnavailableError
from airvid.sandbox.emulator import Request, Response

DOWN = json_answer(503, {"error": "busy"})
DAY = {"Retry-After": "86400"}


def is_reading(request: Request) -> bool:
    """A GET of one task, its stream not among them."""
    path = request.route
    return request.method == "GET" and path.startswith("/v1/video/tasks/") and not path.endswith("/stream")


class Server:
    """The emulator with its streams and readings replaced, and the moments at which it was asked for either."""

    def __init__(
        self,
        world: World,
        reading: Callable[[float], Response | None],
        stream: Callable[[str], Response | None] = lambda _: None,
    ) -> None:
        """`reading` is asked with the seconds since the task was first read."""
        self.world = world
        self.readings: list[float] = []
        self.streams: list[float] = []
        self._reading, self._stream = reading, stream
        world.answer = self

    def __call__(self, request: Request) -> Response | None:
        if request.route.endswith("/stream"):
            self.streams.append(self.world.clock.now())
            return self._stream(request.route.split("/")[-2])
        if is_reading(request):
            self.readings.append(self.world.clock.now())
            return self._reading(self.readings[-1] - self.readings[0])
        return None


def telling(status: str, **more: object) -> Callable[[str], Response]:
    """Streams that tell one state and end."""
    return lambda task_id: Response(200, SSE, event({"task_id": task_id, "status": status, **more}))


# ---------------------------------------------------------------------- told by the stream, not yet by a reading


@pytest.mark.parametrize("options", [["--wait"], ["-o", "fox.mp4"]], ids=" ".join)
@pytest.mark.parametrize("seconds", [1, 20, 90])
def test_completed_in_the_stream_ends_with_the_clip_however_long_readings_fail(
    world: World, options: list[str], seconds: float
) -> None:
    Server(world, lambda passed: DOWN if passed < seconds else None)
    result = world.airvid(*CREATE, *options)
    assert result.code == 0, result.err
    if options == ["--wait"]:
        assert result.out.startswith("http://storage.test/")
    else:
        assert result.out == "fox.mp4\n"
        assert (world.folder / "fox.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("options", [["--wait"], ["-o", "fox.mp4"]], ids=" ".join)
@pytest.mark.parametrize("seconds", [1, 20, 90])
def test_failed_in_the_stream_ends_with_5_however_long_readings_fail(
    world: World, options: list[str], seconds: float
) -> None:
    world.emulator.outcome = lambda _: "failed"
    Server(world, lambda passed: DOWN if passed < seconds else None)
    result = world.airvid(*CREATE, *options)
    assert (result.code, result.out) == (5, "")
    assert "the task failed" in result.err


@pytest.mark.parametrize(("outcome", "code"), [("failed", 5), ("completed", 0)])
def test_a_watch_tells_the_end_however_long_readings_fail(world: World, outcome: str, code: int) -> None:
    world.emulator.outcome = lambda _: outcome
    task = world.airvid(*CREATE).lines[0]
    Server(world, lambda passed: DOWN if passed < 40 else None)
    result = world.airvid("watch", task)
    assert (result.code, fields(result.out)[:2]) == (code, [task, outcome])
    assert ("http://storage.test/" in result.out) is (code == 0)


@pytest.mark.parametrize("status", ["completed", "failed"])
@pytest.mark.parametrize("options", [["--wait"], ["-o", "fox.mp4"]], ids=" ".join)
def test_an_end_that_no_reading_ever_confirms_is_no_success(world: World, options: list[str], status: str) -> None:
    Server(world, lambda _: DOWN, telling(status))
    result = world.airvid(*CREATE, *options, "--timeout", "10m")
    assert result.code not in (0, 1)
    assert result.out == ""
    assert not (world.folder / "fox.mp4").exists()


@pytest.mark.parametrize("status", ["completed", "failed", "expired"])
def test_a_stream_that_ends_a_task_too_early_is_not_believed(world: World, status: str) -> None:
    Server(world, lambda _: None, telling(status))
    result = world.airvid(*CREATE, "-o", "fox.mp4")
    assert (result.code, result.out) == (0, "fox.mp4\n"), result.err


# ---------------------------------------------------------------------- not too seldom, not too often


@pytest.mark.parametrize("limit", [json_answer(429, {"error": "slow"}, DAY), json_answer(503, {"error": "x"}, DAY)])
@pytest.mark.parametrize("where", ["reading", "stream", "both"])
def test_a_server_that_says_to_come_back_tomorrow_is_asked_before(world: World, limit: Response, where: str) -> None:
    count = itertools.count()
    Server(
        world,
        lambda _: limit if where != "stream" and next(count) < 2 else None,
        lambda _: limit if where != "reading" else None,
    )
    began = world.clock.now()
    assert world.airvid(*CREATE, "--wait").code == 0
    assert world.clock.now() - began < 900


@pytest.mark.parametrize("has_news", [True, False])
def test_streams_that_end_at_once_are_asked_no_more_often_than_polling(world: World, has_news: bool) -> None:
    steps = itertools.count(1)

    def brief(task_id: str) -> Response:
        return telling("processing", progress=min(99, next(steps)) if has_news else 5)(task_id)

    server = Server(world, lambda _: None, brief)
    assert world.airvid(*CREATE, "--wait").code == 0
    for moments in (server.readings, server.streams):
        assert min(later - earlier for earlier, later in itertools.pairwise(moments)) >= 4.9
    assert len(server.readings) <= 15


# ---------------------------------------------------------------------- records that are not ours, bodies that drip


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "processing"])
def test_another_task_s_record_is_not_taken_for_ours(world: World, status: str) -> None:
    other = {"task_id": "another", "status": status, "result_url": "http://storage.test/other", "error": "theirs"}
    server = Server(world, lambda passed: json_answer(200, other) if passed < 60 else None, lambda _: DOWN)
    result = world.airvid(*CREATE, "--wait")
    assert result.code == 0, result.err
    assert listed(world)[0] in result.out
    assert "other" not in result.out
    assert server.readings[-1] - server.readings[0] >= 60


def test_status_does_not_show_another_task_s_record(world: World) -> None:
    task = world.airvid(*CREATE).lines[0]
    Server(world, lambda _: json_answer(200, {"task_id": "another", "status": "completed"}))
    result = world.airvid("status", task)
    assert (result.code, result.out) == (9, "")


def dripping(world: World) -> Response:
    """A byte every ten seconds, for a day: never silent for long, never done."""
    began = world.clock.now()
    return Response(200, {"Content-Type": "application/json"}, chunks=[(began + 10 * n, b" ") for n in range(8640)])


def test_a_reading_that_drips_for_ever_ends(world: World) -> None:
    task = world.airvid(*CREATE).lines[0]
    began = world.clock.now()
    Server(world, lambda _: dripping(world))
    result = world.airvid("status", task)
    assert (result.code, result.out) == (9, "")
    assert world.clock.now() - began < 300


def test_a_watch_gets_past_a_reading_that_drips(world: World) -> None:
    count = itertools.count()
    Server(world, lambda _: dripping(world) if next(count) < 2 else None, lambda _: DOWN)
    began = world.clock.now()
    assert world.airvid(*CREATE, "-o", "fox.mp4").out == "fox.mp4\n"
    assert world.clock.now() - began < 400


def test_a_create_s_answer_that_drips_is_looked_up(world: World) -> None:
    def answer(request: Request) -> Response | None:
        if request.method != "POST":
            return None
        world.emulator.handle(request, world.clock.now())
        return dripping(world)

    world.answer = answer
    began = world.clock.now()
    result = world.airvid(*CREATE)
    assert (result.code, result.lines, len(world.posts)) == (0, listed(world), 1), result.err
    assert world.clock.now() - began < 400


def test_a_create_s_answer_that_drips_and_ends_is_taken(world: World) -> None:
    """Slow is not broken: what is whole in its time counts."""
    ids: list[str] = []

    def answer(request: Request) -> Response | None:
        if request.method != "POST":
            return None
        body = world.emulator.handle(request, world.clock.now()).body
        ids.append(json.loads(body)["task_id"])
        now, half = world.clock.now(), len(body) // 2
        return Response(200, {}, chunks=[(now + 50, body[:half]), (now + 100, body[half:])])

    world.answer = answer
    assert world.airvid(*CREATE).lines == ids
    assert len(world.posts) == 1


def test_what_the_list_said_long_ago_is_not_told_after_it_failed() -> None:
    answers = iter(["queued", None, "processing"])

    class Api:
        async def tasks(self, patience: float) -> Listing:
            if (status := next(answers)) is None:
                raise UnavailableError("down")
            return Listing([found for name in "ab" if (found := Task.parse({"status": status}, name))], None)

    async def look(world: VirtualClock) -> None:
        api: Any = Api()
        shared = Shared(api)
        first = await shared.from_list("a")
        world.advance(600)
        for name in "ab":
            with pytest.raises(UnavailableError, match="down"):
                await shared.from_list(name)
        world.advance(600)
        last = await shared.from_list("b")
        assert first
        assert last
        assert (first.status, last.status) == ("queued", "processing")

    world = VirtualClock()
    with clock.use(world), asyncio.Runner(loop_factory=world.loop_factory) as loop:
        loop.run(look(world))
