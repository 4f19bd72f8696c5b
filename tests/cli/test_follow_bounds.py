"""A wait that nothing ends or floods: streams at full speed, failures of any kind, long hints, endless records."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import idna
import pytest
from creates import CREATE
from event_streams import DONE, SSE, Stream, event
from faulty_server import FaultyServer, Rule
from program import World, fields, json_answer
from program_process import User, make_tasks

from airvid.sandbox.emulator import Emulator, Fault, Pace, Request, Response

FLIP = event({"status": "queued"}) + event({"status": "processing"})


@pytest.fixture
def stream(world: World) -> Stream:
    return Stream(world)


@contextmanager
def served(
    tmp_path: Path, *rules: Rule, rendering: float = 60, count: int = 2
) -> Iterator[tuple[FaultyServer, User, list[str]]]:
    """A server that keeps to these rules, its user, and running tasks."""
    emulator = Emulator(pace=Pace(queued=0, processing=rendering), render=lambda _: b"")
    faulty = FaultyServer(emulator, rules)
    faulty.start()
    try:
        tasks = make_tasks(faulty, count)  # type: ignore[arg-type]
        yield faulty, User(tmp_path, faulty.api_url), tasks
    finally:
        faulty.close()


# ---------------------------------------------------------------------- how often something is told


def test_streams_at_full_speed_cost_a_few_lines_and_are_given_up(tmp_path: Path) -> None:
    floods = [
        FLIP,
        event({"progress": 97}) + event({"progress": 98}),
        b"data: : keepalive\n\n" * 2,
        b'event: state\ndata: {"task_id":"another","status":"failed"}\n\n' * 2,
    ]
    rules = [Rule("stream GET", script=(flood * 500,) * 2000) for flood in floods]
    with served(tmp_path, *rules, count=4) as (faulty, user, tasks):
        result = user.airvid("watch", *tasks, "--json", "--timeout", "3")
        calls = [request.call for request in faulty.requests]
    assert result.returncode == 10, result.stderr
    assert len(result.stdout.splitlines()) <= 4 * 5
    assert len(result.stderr.splitlines()) <= 4 * 7
    for task in tasks:
        # It is given up for a reading, which is not repeated at once.
        own = [call.split()[0] for call in calls if task in call]
        assert own[:2] == ["stream", "GET"]
        assert len(own) <= 4


def test_changes_are_told_once_a_second_and_the_last_one_is_not_lost(world: World, stream: Stream) -> None:
    stream.says(*((20 + n / 10, event({"status": "processing", "progress": n})) for n in range(1, 36)), (66, DONE))
    told = world.airvid("watch", stream.task, "--json").objects
    progress = [each["progress"] for each in told if each["progress"] < 100]
    assert len(progress) <= 6
    assert progress[-1] == 35


def test_the_end_is_told_at_once(world: World, stream: Stream) -> None:
    hasty = [(66 + n / 100, event({"status": "processing", "progress": n})) for n in range(10)]
    stream.says(*hasty, (66.2, event({"status": "completed"})))
    assert world.airvid("watch", stream.task).code == 0
    assert world.clock.now() - stream.born < 66.5


@pytest.mark.parametrize("progress", [[97, 98], [98, 97, 98.5], range(1000)], ids=["97, 98", "jumps", "always more"])
def test_a_stream_that_never_tells_the_end_is_checked_by_readings(stream: Stream, progress: list[float]) -> None:
    told = itertools.cycle(progress)
    stream.says(*((5.0 * n, event({"status": "processing", "progress": next(told)})) for n in range(1, 2000)))
    stream.watch()
    assert stream.readings <= 3


# ---------------------------------------------------------------------- one request's exception

UNFORESEEN = [
    idna.core.InvalidCodepoint("Codepoint U+0080 at position 1 not allowed"),
    OverflowError("timestamp out of range"),
    RuntimeError("can't start new thread"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
]


@pytest.mark.parametrize("failure", UNFORESEEN, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("where", ["reading", "stream", "both"])
def test_any_exception_of_a_reading_is_waited_out(stream: Stream, failure: Exception, where: str) -> None:
    world = stream.world

    def answer(request: Request) -> Response | None:
        hit = where == "both" or (where == "stream") == request.route.endswith("/stream")
        if hit and world.clock.now() < stream.born + 50:
            raise failure
        return Response(200, SSE, chunks=[]) if where == "reading" and request.route.endswith("/stream") else None

    world.answer = answer
    stream.watch()


def test_any_exception_of_the_list_is_waited_out(world: World) -> None:
    world.emulator.slots = 20
    tasks = world.airvid(*CREATE, "-n", "12").lines
    back = world.clock.now() + 100

    def answer(request: Request) -> Response | None:
        if world.clock.now() < back:
            raise RuntimeError("can't start new thread")
        return json_answer(501, {}) if request.route.endswith("/stream") else None

    world.answer = answer
    result = world.airvid("watch", *tasks)
    assert (result.code, len(result.lines)) == (0, 12), result.err


@pytest.mark.parametrize("command", [["watch", "-o", "{id}.mp4"], ["download", "-o", "{id}.mp4"]], ids=lambda c: c[0])
def test_an_exception_of_one_clip_s_file_ends_no_other_s(world: World, command: list[str]) -> None:
    bad, good = world.airvid(*CREATE, "-n", "2").lines
    world.clock.advance(100)

    def answer(request: Request) -> None:
        if request.storage and bad in request.path:
            raise ZeroDivisionError("oops")

    world.answer = answer
    result = world.airvid(command[0], bad, good, *command[1:])
    assert result.code == 1
    assert [each.name for each in world.folder.iterdir() if each.suffix == ".mp4"] == [f"{good}.mp4"]
    assert [line.split(": ")[1] for line in result.err.splitlines() if line.startswith("error: ")] == [bad]


def test_an_exception_of_one_submission_ends_no_other_clip(world: World) -> None:
    def answer(request: Request) -> None:
        if len(world.posts) == 1 and (request.method == "POST" or request.route.endswith("/tasks")):
            raise ZeroDivisionError("oops")

    world.answer = answer
    result = world.airvid(*CREATE, "-n", "2", "-o", "fox.mp4")
    assert (result.code, result.out, len(world.posts)) == (1, "fox-1.mp4\n", 1), result.err
    assert result.err.count("error: ") == 1


def test_an_exception_of_one_file_that_passes_is_waited_out(world: World) -> None:
    asked = itertools.count()

    def answer(request: Request) -> None:
        if request.storage and next(asked) < 2:
            raise idna.core.InvalidCodepoint("no")

    world.answer = answer
    assert world.airvid(*CREATE, "-o", "fox.mp4").out == "fox.mp4\n"


@pytest.mark.parametrize("command", ["status", "delete"])
def test_an_exception_of_one_task_ends_no_other_s(world: World, command: str) -> None:
    bad, good = world.airvid(*CREATE, "-n", "2").lines

    def answer(request: Request) -> None:
        if request.route.endswith(bad):
            raise ZeroDivisionError("oops")

    world.answer = answer
    result = world.airvid(command, *(["-y"] if command == "delete" else []), bad, good)
    assert result.code == 1
    assert [fields(line)[0] for line in result.lines] == [good]
    assert f"error: {bad}: " in result.err


def test_a_bug_of_one_clip_is_told_with_its_traceback_when_asked_for(world: World) -> None:
    tasks = world.airvid(*CREATE, "-n", "2").lines
    real = os.urandom
    named = 0

    def break_down(size: int) -> bytes:
        nonlocal named
        named += 1
        if named == 1:
            raise ZeroDivisionError("oops")
        return real(size)

    world.env.setattr("os.urandom", break_down)  # which each request is named by
    quiet = world.airvid("status", *tasks)
    assert (quiet.code, len(quiet.lines), "Traceback" in quiet.err) == (1, 1, False)
    named = 0
    assert "Traceback" in world.airvid("status", *tasks, "--debug").err


def test_a_reading_that_is_redirected_to_a_name_that_is_none_is_waited_out(stream: Stream) -> None:
    world, asked = stream.world, itertools.count()
    away = Response(302, {"Location": "http://xn--a/"}, b"")
    world.answer = lambda request: away if not request.storage and 0 < next(asked) < 5 else None
    result = world.airvid("watch", stream.task)
    assert (result.code, len(result.lines)) == (0, 1), result.err
    assert "bug" not in result.err


NO_THREADS = """
import threading
real, count = threading.Thread.start, 0

def start(self):
    global count
    count += 1
    if 0 < count <= 4:
        raise RuntimeError("can't start new thread")
    real(self)

threading.Thread.start = start
"""


def test_a_machine_without_threads_to_spare_ends_no_wait(tmp_path: Path) -> None:
    with served(tmp_path, rendering=0.5) as (_, user, tasks):
        user.customise(NO_THREADS)
        address = user.env["AIRVID_BASE_URL"].replace("127.0.0.1", "localhost")
        result = user.airvid("watch", *tasks, "--timeout", "25", AIRVID_BASE_URL=address)
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 2), result.stderr


# ---------------------------------------------------------------------- what the server asks to wait


def test_a_storage_that_asks_for_90_seconds_is_given_them_and_that_is_told(world: World) -> None:
    world.emulator.faults.append(Fault("storage", Response(503, {"Retry-After": "90"}), times=2))
    result = world.airvid(*CREATE, "-o", "fox.mp4")
    assert (result.code, result.out) == (0, "fox.mp4\n"), result.err
    assert "waiting 1m30s" in result.err


def test_a_storage_that_asks_for_years_is_asked_again_after_ten_minutes(world: World) -> None:
    world.emulator.faults.append(Fault("storage", Response(429, {"Retry-After": "99999999"})))
    began = world.clock.now()
    result = world.airvid(*CREATE, "-o", "fox.mp4")
    assert result.code == 0, result.err
    assert "waiting 10m00s" in result.err
    assert 600 <= world.clock.now() - began < 800


@pytest.mark.parametrize("seconds", ["20", "90", "99999999"])
def test_a_storage_that_asks_to_wait_for_ever_is_given_up(world: World, seconds: str) -> None:
    world.emulator.faults.append(Fault("storage", Response(503, {"Retry-After": seconds}), times=10**6))
    began = world.clock.now()
    assert world.airvid(*CREATE, "-o", "fox.mp4").code == 9
    assert 600 < world.clock.now() - began < 1500


def test_a_limit_on_readings_is_told_with_how_long_it_is_waited_for(stream: Stream) -> None:
    world, asked = stream.world, itertools.count()
    limit = json_answer(429, {"error": "slow down"}, {"Retry-After": "99999999"})
    world.answer = lambda request: limit if not request.storage and next(asked) < 2 else None
    result = world.airvid("watch", stream.task)
    assert (result.code, fields(result.out)[:2]) == (0, [stream.task, "completed"])
    assert "waiting 2m00s" in result.err


def test_a_list_that_asks_for_years_is_asked_again_after_ten_minutes(stream: Stream) -> None:
    world = stream.world
    limit = json_answer(429, {"error": "slow down"}, {"Retry-After": "99999999"})
    world.emulator.faults.append(Fault("GET /video/tasks", limit))
    began = world.clock.now()
    assert world.airvid("watch").code == 0
    assert 600 <= world.clock.now() - began < 800


# ---------------------------------------------------------------------- how much is kept of a task


def growing(task: str, most: int) -> Iterator[tuple[float, bytes]]:
    for n in range(most):
        yield 5 + n / 2, event({"task_id": task, "status": "processing", f"key{n}": "x" * 20_000})


def test_a_record_that_grows_for_ever_is_cut_and_that_is_said_once(world: World, stream: Stream) -> None:
    stream.says(*growing(stream.task, 100), (66, event({"status": "completed"})))
    result = world.airvid("watch", stream.task, "--json")
    assert result.code == 0
    assert max(map(len, result.lines)) < 300_000
    last = result.objects[-1]
    assert (last["status"], last["model"], last["prompt"]) == ("completed", "wan-2.6", "fox")
    assert last["result_url"]
    assert result.err.count("kB") == 1
    assert "key99" in {key for each in result.objects for key in each}


def test_a_record_that_is_long_by_its_own_words_alone_is_bounded_too(world: World, stream: Stream) -> None:
    words = ("prompt", "model", "error", "quality", "mode")
    told = [(5.0 + n, event({"status": "processing", word: "y" * 100_000})) for n, word in enumerate(words)]
    stream.says(*told, (66, event({"status": "completed"})))
    result = world.airvid("watch", stream.task, "--json")
    assert result.code == 0
    assert max(map(len, result.lines)) < 300_000


@pytest.mark.parametrize("levels", [101, 500, 900])
@pytest.mark.parametrize("command", ["status", "watch", "list"])
def test_a_record_that_is_nested_too_deep_is_shown_without_that(
    world: World, stream: Stream, levels: int, command: str
) -> None:
    nested: Any = "x"
    for n in range(levels):
        nested = [nested] if n % 2 else {"in": nested}
    task: dict[str, Any] = {"task_id": stream.task, "status": "completed", "result_url": "http://storage.test/x"}
    task |= {"deep": nested, "flat": [[1]]}
    world.answer = lambda request: json_answer(200, {"data": [task]} if request.route.endswith("/tasks") else task)
    result = world.airvid(command, *([] if command == "list" else [stream.task]), "--json")
    assert result.code == 0, result.err
    (found,) = result.json if command == "list" else result.objects[-1:]
    assert found["flat"] == [[1]]
    assert json.dumps(found["deep"]).count("[nested too deep]") == 1


def test_a_model_that_is_nested_too_deep_is_shown_without_that(world: World) -> None:
    nested: Any = "x"
    for _ in range(500):
        nested = [nested]
    world.emulator.models = [{"id": "mine", "output_modalities": ["video"], "deep": nested}]
    (found,) = world.airvid("models", "--json").json
    assert json.dumps(found["deep"]).count("[nested too deep]") == 1
