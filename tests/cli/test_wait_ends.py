"""Every wait has an end: states by words that airvid does not know, and keys that are not accepted any more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from creates import CREATE
from program import World, fields, json_answer

from airvid.sandbox.emulator import Request, Response

ENDED = [
    *("aborted", "timed_out", "timeout", "blocked", "moderated", "nsfw"),
    *("content_filtered", "terminated", "killed", "Content-Filtered"),
]
REFUSED = json_answer(401, {"error": {"message": "Invalid API key."}})


def tell(world: World, **edit: Any) -> None:
    """Put these values over every record of a task that the server tells; None takes a key away. No streams."""

    def answer(request: Request) -> Response | None:
        if request.storage or request.method != "GET" or "/video/tasks" not in request.route:
            return None
        if request.route.endswith("/stream"):
            return json_answer(501, {})
        told = world.emulator.handle(request, world.clock.now())
        body = json.loads(told.body)
        for record in body.get("data", [body]):
            record |= edit
        return replace(told, body=json.dumps(body).encode())

    world.answer = answer


@pytest.mark.parametrize("word", ENDED)
def test_a_word_for_an_end_ends_a_wait(world: World, word: str) -> None:
    tell(world, status=word)
    result = world.airvid(*CREATE, "--wait")
    assert (result.code, result.out) == (5, ""), result.err


@pytest.mark.parametrize("word", ["ready", "available", "Upscaled", ""])
def test_an_unknown_word_with_a_result_is_completed(world: World, word: str) -> None:
    task = world.airvid(*CREATE).lines[0]
    world.clock.advance(100)
    tell(world, status=word)
    assert fields(world.airvid("status", task).lines[0])[1] == "completed"
    assert world.airvid("list", "--status", "completed", "--ids").lines == [task]
    assert world.airvid("download", task, "-o", "fox.mp4").code == 0
    assert world.objects("list", "--json")[0]["status"] == word


@pytest.mark.parametrize(
    "times",
    [{}, {"expires_at": None}, {"expires_at": None, "created": None}],
    ids=["expires_at", "created alone", "neither"],
)
def test_an_unknown_word_past_the_task_s_day_is_over(world: World, times: dict[str, Any]) -> None:
    tell(world, status="archiving", result_url=None, **times)
    began = world.clock.now()

    def suspend(_: Request) -> None:
        """Let the middle of the day pass at once, since all of its readings are alike."""
        if 200 < world.clock.now() - began < 80_000:
            world.clock.advance(85_000)

    world.connect = suspend
    result = world.airvid(*CREATE, "--wait")
    assert (result.code, result.out) == (6, ""), result.err
    assert 86_400 <= world.clock.now() - began < 86_400 + 200
    if "created" not in times:
        world.clock.advance(1000)
        bare = world.airvid("watch")
        assert (bare.code, bare.out, bare.err) == (0, "", "nothing is running\n")


def test_a_key_that_is_refused_for_a_minute_ends_a_wait_but_not_the_task(world: World) -> None:
    task = world.airvid(*CREATE).lines[0]
    refused_at = world.clock.now() + 10

    def answer(request: Request) -> Response | None:
        return REFUSED if world.clock.now() >= refused_at or request.route.endswith("/stream") else None

    world.answer = answer
    result = world.airvid("watch", task)
    assert (result.code, result.out) == (3, "")
    assert "the task goes on" in result.err
    assert 60 <= world.clock.now() - refused_at < 100
    world.answer = lambda _: None
    assert world.airvid("watch", task).code == 0


@pytest.mark.parametrize("seconds", [20, 50])
def test_a_key_that_is_refused_for_a_moment_is_waited_out(world: World, seconds: float) -> None:
    made = world.airvid(*CREATE).lines[0]
    until = world.clock.now() + 5 + seconds

    def answer(request: Request) -> Response | None:
        refuses = request.route.endswith("/stream") or until - seconds <= world.clock.now() < until
        return REFUSED if refuses else None

    world.answer = answer
    assert world.airvid("watch", made).code == 0
