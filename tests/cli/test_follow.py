"""One task from its id to its end: streams, polling, and failures of both."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from event_streams import DONE, HALFWAY, SSE, Stream, event
from program import World, fields, json_answer

from airvid.sandbox.emulator import Fault, Pace, Request, Response


@pytest.fixture
def stream(world: World) -> Stream:
    return Stream(world)


# ---------------------------------------------------------------------- streams that are understood


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(lambda each: each, id="as documented"),
        pytest.param(lambda each: each.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda each: each.replace(b"\n", b"\r"), id="CR"),
        pytest.param(lambda each: b": keepalive\n\n" + each, id="comment keep-alive"),
        pytest.param(lambda each: b"data: : keepalive\n\n" + each, id="data keep-alive"),
        pytest.param(lambda each: b"data: {}\n\n" + each, id="empty object"),
        pytest.param(lambda each: b"data: null\n\ndata: 7\n\ndata: []\n\ndata\n\n" + each, id="noise"),
        pytest.param(lambda each: b"\xef\xbb\xbf" + each, id="byte order mark"),
        pytest.param(lambda each: each.replace(b"event: state\n", b""), id="no event name"),
        pytest.param(lambda each: each.replace(b": ", b":", 2), id="no space after the colon"),
        pytest.param(lambda each: b"id: 7\nretry: 1\n" + each, id="id and retry"),
        pytest.param(lambda each: each.replace(b'"status"', b'"prompt": "\\u2028", "status"'), id="escaped U+2028"),
        pytest.param(
            lambda each: each.replace(b'"status"', '"prompt": "a\u2028b\x85c", "status"'.encode()),
            id="line separators that are none",
        ),
    ],
)
def test_a_stream_is_read_to_its_end_with_one_reading_to_confirm_it(
    stream: Stream, spelled: Callable[[bytes], bytes]
) -> None:
    first = {"task_id": stream.task, **HALFWAY}
    stream.says((20, spelled(event(first))), (66, spelled(event({"status": "completed"})) + DONE))
    _, said = stream.watch()
    assert "processing 42%" in said
    assert stream.readings == 1


def test_a_wrapper_around_the_payload_is_taken_off(stream: Stream) -> None:
    stream.says(
        (20, b"data: " + json.dumps({"event": "state", "data": HALFWAY}).encode() + b"\n\n"),
        (66, b"data: " + json.dumps({"event": "state", "data": {"status": "completed"}}).encode() + b"\n\n"),
    )
    assert "processing 42%" in stream.watch()[1]
    assert stream.readings == 1


def test_characters_and_events_may_come_in_pieces(stream: Stream) -> None:
    whole = 'event: state\ndata: {"status":"füllt 狐","progress":42}\n\n'.encode()
    pieces = [(20 + n / 100, whole[n : n + 1]) for n in range(len(whole))]
    stream.says(*pieces, (66, event({"status": "completed"})))
    assert "füllt 狐 42%" in stream.watch()[1]
    assert stream.readings == 1


def test_a_partial_payload_takes_nothing_away(world: World, stream: Stream) -> None:
    stream.says((20, event({"progress": 30})), (30, event({"status": "processing", "model": None})), (66, DONE))
    seen = world.airvid("watch", stream.task, "--json").objects
    assert all(each["airvid"]["prompt"] == "fox" for each in seen)
    assert seen[-1]["status"] == "completed"


def test_an_unknown_key_that_changes_is_no_news(world: World, stream: Stream) -> None:
    stream.says(*((due, event({**HALFWAY, "heartbeat": due})) for due in (5, 10, 20, 30)))
    told = [json.loads(line) for line in world.airvid("watch", stream.task, "--json").lines]
    assert {each["heartbeat"] for each in told if each["progress"] == 42} == {5}


def test_a_payload_about_another_task_is_passed_over(stream: Stream) -> None:
    stream.says((20, event({"task_id": "other", "status": "failed"})), (66, event({"status": "completed"})))
    assert "failed" not in stream.watch()[1]


def test_the_end_is_believed_from_the_reading_not_from_the_stream(stream: Stream) -> None:
    """The stream says that it failed, the GET that it did not: a terminal state is confirmed by one GET."""
    stream.says((20, event({"status": "failed", "error": "glitch"})))
    stream.watch()


# ---------------------------------------------------------------------- streams that are no use


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([], id="nothing"),
        pytest.param([(0, DONE)], id="DONE early"),
        pytest.param([(20, DONE)], id="DONE in the middle"),
        pytest.param([(2, event({"error": "boom"}, "error"))], id="event error"),
        pytest.param([(2, event({"error": {"message": "boom"}}))], id="error in a payload"),
        pytest.param([(2, b"event: error\ndata: boom\n\n")], id="error as text"),
        pytest.param([(2, b'data: {"status":"proc')], id="half an event"),
        pytest.param([(2, b"\xff\xfe\x00garbage")], id="garbage"),
        pytest.param([(999_999, b"x")], id="silence"),
        pytest.param([(n * 10, b": keepalive\n\n") for n in range(1000)], id="keep-alives for ever"),
        pytest.param([(n * 10, b"data: : keepalive\n\n") for n in range(1000)], id="data keep-alives for ever"),
        pytest.param([(n * 10, event(HALFWAY)) for n in range(1000)], id="the same for ever"),
        pytest.param([(65, event({"status": "completed"}) + DONE)], id="all held back until the end"),
    ],
)
def test_a_stream_that_is_no_use_is_made_up_for_by_readings(stream: Stream, chunks: list[tuple[float, bytes]]) -> None:
    stream.says(*chunks, is_alive=False)
    stream.watch()
    assert stream.readings < 40


@pytest.mark.parametrize("ending", ["truncate", "cut", "reset", "silence"])
def test_a_stream_that_breaks_is_taken_up_again(stream: Stream, ending: Any) -> None:
    stream.says((20, event(HALFWAY)), is_alive=False, ending=ending)
    stream.watch()


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(404, {"error": "no stream"}),
        json_answer(429, {"error": "slow down"}),
        json_answer(500, {}),
        json_answer(400, {"error": "no"}),
        json_answer(403, {"error": "no"}),
        Response(200, {"Content-Type": "text/html"}, b"<html>"),
        Response(200, {"Content-Type": "application/json"}, b'{"status":"failed"}'),
        Response(302, {"Location": "http://elsewhere.test/"}),
        Response(204),
    ],
)
def test_without_a_stream_it_polls(world: World, stream: Stream, answer: Response) -> None:
    world.answer = lambda request: answer if request.route.endswith("/stream") else None
    stream.watch()
    assert stream.readings > 3


def test_polls_come_every_5_to_15_seconds(world: World) -> None:
    world.emulator.pace = Pace(queued=5, processing=1500)
    task = world.airvid("create", "fox").lines[0]
    world.emulator.requests.clear()
    world.answer = lambda request: json_answer(404, {}) if request.route.endswith("/stream") else None
    assert world.airvid("watch", task).code == 0
    times: list[tuple[float, bool]] = [(at, r.path.endswith(task)) for at, r in world.emulator.requests]
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(times)][4:]
    assert min(gaps) >= 5
    assert max(gaps) <= 15


def test_the_stream_gets_another_try_after_a_while(world: World) -> None:
    world.emulator.pace = Pace(queued=5, processing=900)
    task = world.airvid("create", "fox").lines[0]
    fails_until = world.clock.now() + 60
    world.answer = lambda request: (
        json_answer(503, {}) if request.route.endswith("/stream") and world.clock.now() < fails_until else None
    )
    world.emulator.requests.clear()
    assert world.airvid("watch", task).code == 0
    assert world.calls.count(f"GET /v1/video/tasks/{task}") < 30


# ---------------------------------------------------------------------- readings that fail


@pytest.mark.parametrize(
    "failure",
    [
        *(json_answer(status, {"error": "not now"}) for status in (400, 401, 402, 403, 408, 409, 422)),
        *(json_answer(status, {"error": "not now"}) for status in (429, 500, 503, 524)),
        Response(200, {}, b""),
        Response(200, {"Content-Type": "text/html"}, b"<html><title>Busy</title></html>"),
        json_answer(200, {"data": []}),
        json_answer(200, {"error": "overloaded"}),
        Response(200, {}, b'{"task_id":"x","sta'),
        json_answer(302, {}, {"Location": "http://elsewhere.test/"}),
        httpx.ConnectError("no route"),
        httpx.ReadTimeout("silence"),
    ],
    ids=lambda each: repr(each.status if isinstance(each, Response) else each),
)  # fmt: skip
def test_a_failed_reading_is_never_a_failed_task(world: World, stream: Stream, failure: Response | Exception) -> None:
    asked = itertools.count()

    def answer(request: Request) -> Response | None:
        if request.storage or next(asked) in (0, 1):
            return None if not request.route.endswith("/stream") else Response(200, SSE, chunks=[])
        if world.clock.now() > stream.born + 40:
            return None
        if isinstance(failure, Exception):
            raise failure
        return failure

    world.answer = answer
    stream.watch()


@pytest.mark.parametrize("seconds", [3, 10])
def test_a_task_that_was_just_made_may_be_unknown_at_first(world: World, seconds: float) -> None:
    born = world.clock.now()

    def answer(request: Request) -> Response | None:
        if request.method == "GET" and "/tasks/" in request.path and world.clock.now() < born + seconds:
            return json_answer(404, {"error": "Task not found."})
        return None

    world.answer = answer
    assert world.airvid("create", "fox", "-o", "fox.mp4").out == "fox.mp4\n"


@pytest.mark.parametrize(("header", "most"), [({"Retry-After": "60"}, 12), ({}, 45)])
def test_a_limit_on_polling_widens_the_interval(
    world: World, stream: Stream, header: dict[str, str], most: int
) -> None:
    """Free accounts can be held to one request a minute; the server's hint on when to come back is a floor."""
    calls: list[float] = []

    def answer(_: Request) -> Response | None:
        if world.clock.now() > stream.born + 300:
            return None
        calls.append(world.clock.now())
        return json_answer(429, {"error": "limit"}, header)

    world.answer = answer
    assert world.airvid("watch", stream.task).code == 0
    assert len(calls) <= most


def test_completed_without_a_url_is_read_again_until_there_is_one(world: World, stream: Stream) -> None:
    done = {"task_id": stream.task, "status": "completed"}
    url_at = stream.born + 10
    world.answer = lambda request: (
        json_answer(200, {**done, "result_url": "http://storage.test/x" if world.clock.now() > url_at else None})
        if request.path.endswith(stream.task)
        else None
    )
    result = world.airvid("watch", stream.task)
    assert fields(result.lines[0]) == [stream.task, "completed", "http://storage.test/x"]


def test_completed_without_a_url_for_good_is_told(world: World, stream: Stream) -> None:
    world.answer = lambda _: json_answer(200, {"task_id": stream.task, "status": "completed"})
    result = world.airvid("watch", stream.task)
    assert result.code == 9
    assert "URL" in result.err
    assert world.clock.now() - stream.born < 90


@pytest.mark.parametrize("tells_its_end", [True, False])
def test_a_task_that_is_gone_after_its_day_is_expired(world: World, stream: Stream, tells_its_end: bool) -> None:
    end = stream.born + 86_400
    world.clock.advance(86_100)
    task = {"task_id": stream.task, "status": "processing", **({"expires_at": end} if tells_its_end else {})}
    world.answer = lambda _: json_answer(200, task) if world.clock.now() < end else json_answer(404, {"error": "no"})
    result = world.airvid("watch", stream.task)
    assert (result.code, fields(result.out)[1:2]) == (6, ["expired"])


def test_a_task_that_was_removed_meanwhile_ends_the_watch_with_4(world: World, stream: Stream) -> None:
    gone = stream.born + 30
    world.answer = lambda _: json_answer(404, {"error": "no"}) if world.clock.now() > gone else None
    assert world.airvid("watch", stream.task).code == 4
    assert world.clock.now() - gone < 120


# ---------------------------------------------------------------------- statuses and progress

ENDS = {
    0: ["completed", "COMPLETED", " Completed ", "succeeded", "success", "done", "finished"],
    5: ["failed", "FAILED", "failure", "error", "canceled", "cancelled", "rejected"],
    6: ["expired", "EXPIRED"],
}


@pytest.mark.parametrize(("code", "status"), [(code, word) for code, words in ENDS.items() for word in words])
def test_ends_in_any_spelling_are_ends(world: World, stream: Stream, code: int, status: str) -> None:
    task = {"task_id": stream.task, "status": status, "result_url": "http://storage.test/x", "error": "why"}
    world.answer = lambda _: json_answer(200, task)
    result = world.airvid("watch", stream.task)
    assert result.code == code
    assert world.clock.now() == stream.born


@pytest.mark.parametrize(
    "status", ["queued", "Pending", "in_progress", "IN-PROGRESS", "running", "upscaling", "", None, 7, [], "complet"]
)
def test_any_other_word_is_still_running(world: World, stream: Stream, status: object) -> None:
    until = stream.born + 300
    task = {"task_id": stream.task, "status": status}
    world.answer = lambda _: json_answer(200, task) if world.clock.now() < until else None
    result = world.airvid("watch", stream.task)
    assert (result.code, fields(result.out)[1]) == (0, "completed")
    assert status not in ("upscaling", "complet") or f"{status}" in result.err


@pytest.mark.parametrize("progress", [None, "42", "42%", 42.5, -5, 250, "soon", True, [], {}, 1e300, "NaN"])
def test_progress_is_never_more_than_decoration(stream: Stream, progress: object) -> None:
    stream.says((20, event({"status": "processing", "progress": progress})), (66, event({"status": "completed"})))
    assert "processing" in stream.watch()[1]


@pytest.mark.parametrize("steps", [[100, 100, 100], [50, 20, 90, 3], [0, 0, 0]])
def test_progress_may_jump_and_go_back(stream: Stream, steps: list[int]) -> None:
    events = [(10.0 + 12 * n, event({"status": "processing", "progress": each})) for n, each in enumerate(steps)]
    stream.says(*events, (66, event({"status": "completed"})))
    assert stream.watch()[1].count("completed") >= 1
    assert stream.readings == 1


def test_a_task_s_own_error_while_it_runs_is_no_failure(stream: Stream) -> None:
    stream.says((20, event({"status": "processing", "error": "retrying upstream"})), (66, DONE))
    stream.watch()


def test_a_failure_gives_the_server_s_reason(world: World, stream: Stream) -> None:
    for error in ("NSFW prompt", {"message": "NSFW prompt", "code": "moderation"}):
        task = {"task_id": stream.task, "status": "failed", "error": error}
        world.answer = lambda _, task=task: json_answer(200, task)  # type: ignore[misc]
        result = world.airvid("watch", stream.task)
        assert result.code == 5
        assert "NSFW prompt" in result.err


def test_a_create_is_followed_by_the_same_rules(world: World) -> None:
    world.emulator.faults += [Fault("stream", ending="cut", times=2), Fault("GET /video/tasks/", times=3, before=True)]
    assert world.airvid("create", "fox", "-o", "fox.mp4").out == "fox.mp4\n"
    assert len(world.posts) == 1


# ---------------------------------------------------------------------- what the machine goes through meanwhile


def test_a_machine_that_slept_does_not_wait_for_a_connection_that_died_meanwhile(stream: Stream) -> None:
    world, heard = stream.world, dict[str, float]()

    def falls_asleep() -> Iterator[tuple[float, bytes]]:
        yield world.clock.now(), event({"status": "processing", "progress": 5})
        world.clock.shift_wall(3600)
        heard["woke"] = world.clock.elapsed()
        yield world.clock.now() + 9e9, b""

    def answer(request: Request) -> Response | None:
        if request.route.endswith("/stream"):
            return Response(200, SSE, chunks=falls_asleep())  # type: ignore[arg-type]
        heard.setdefault("asked", world.clock.elapsed())
        return None

    world.answer = answer
    assert world.airvid("watch", stream.task).code == 0
    assert heard["asked"] - heard["woke"] <= 6


def test_two_minutes_without_a_network_end_no_wait(stream: Stream) -> None:
    world = stream.world
    back_at = world.clock.now() + 120

    def answer(_: Request) -> Response | None:
        if world.clock.now() < back_at:
            raise httpx.ConnectError("Temporary failure in name resolution")
        return None

    world.answer = answer
    assert world.airvid("watch", stream.task).code == 0
    assert world.clock.now() - back_at < 20


# ---------------------------------------------------------------------- many tasks


@pytest.mark.parametrize("refused", [True, False])
def test_many_tasks_share_a_few_streams_and_one_list(world: World, refused: bool) -> None:
    world.emulator.slots = 100
    world.emulator.pace = Pace(queued=5, processing=300)
    ids = world.airvid("create", "fox", "-m", "wan-2.6", "-n", "30").lines
    began, asked = world.clock.now(), list[tuple[float, str]]()

    def answer(request: Request) -> Response | None:
        asked.append((world.clock.now() - began, request.route.rpartition("/")[2]))
        return json_answer(501, {}) if refused and asked[-1][1] == "stream" else None

    world.answer = answer
    assert world.airvid("watch", *ids).code == 0
    streams = [at for at, what in asked if what == "stream"]
    polls = [at for at, what in asked if what != "stream" and 30 < at < 290]
    assert sum(at < 1 for at in streams) == 8
    assert len(streams) < 60
    assert len(polls) < 260
    assert [what for at, what in asked if 30 < at < 290].count("tasks") > 20
