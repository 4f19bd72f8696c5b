"""A create that a limit refused although it made a task: the POST is not repeated, and the task is not lost."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from faulty_server import FaultyServer, Rule
from manifests import write
from program import KEY
from program_process import User, until
from small_files import render_tiny

from airvid.sandbox.emulator import Emulator, Pace, Request, Response

POST, LIST = "POST /video/generations", "GET /video/tasks$"
CREATE = ("create", "a fox", "-m", "wan-2.6", "-d", "8")
LIMITED = Response(429, {"Retry-After": "1"}, b'{"error":"Slow down."}')


class Refused:
    def __init__(self, home: Path, *rules: Rule) -> None:
        self.server = FaultyServer(Emulator(pace=Pace(queued=0, processing=0.1), render=render_tiny), rules)
        self.server.start()
        self.user = User(home, self.server.api_url)

    @property
    def tasks(self) -> list[str]:
        request = Request("GET", "/v1/video/tasks", {"authorization": f"Bearer {KEY}"})
        listed = json.loads(self.server.emulator.handle(request, time.time()).body)["data"]
        return [task["task_id"] for task in listed]

    @property
    def posts(self) -> int:
        return sum(request.method == "POST" for request in self.server.requests)

    def known(self) -> list[tuple[str | None, str]]:
        listed = json.loads(self.user.airvid("list", "--local", "--json").stdout)
        return [(each["task_id"], each["airvid"]["fate"]) for each in listed]


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Callable[..., Refused]]:
    started: list[Refused] = []

    def start(*rules: Rule) -> Refused:
        started.append(Refused(tmp_path, *rules))
        return started[-1]

    yield start
    for each in started:
        each.server.close()
        each.server.emulator.close()


@pytest.mark.parametrize("seconds", [-60, -4, 4, 60])
def test_a_date_header_beside_created_does_not_hide_the_task(refused: Callable[..., Refused], seconds: int) -> None:
    # Every answer's Date is off from the clock that `created` goes by: an edge server's, or a cache's.
    run = refused()
    handle = run.server.emulator.handle

    def told(request: Request, now: float) -> Response:
        answer = handle(request, now)
        if request.method == "POST" and run.posts == 1:
            answer = LIMITED
        date = formatdate(time.time() + seconds, usegmt=True)
        return replace(answer, headers={**answer.headers, "Date": date})

    run.server.emulator.handle = told  # type: ignore[method-assign]
    result = run.user.airvid(*CREATE, "--wait", "--timeout", "20")
    assert run.posts == 1, result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_during_the_look_does_not_lose_the_task(refused: Callable[..., Refused], number: int) -> None:
    run = refused(Rule(POST, say=LIMITED), Rule(LIST, skip=1, drip=0.5, times=1))
    with run.user.running(*CREATE, "--wait") as process:
        until(lambda: run.posts, "the POST")
        until(lambda: sum(request.call == "GET /video/tasks" for request in run.server.requests) == 2, "the look")
        process.send_signal(number)
        process.wait(20)
    run.user.airvid("list")
    (task,) = run.tasks
    assert run.known() in ([(task, "known")], [(None, "unknown")])


@pytest.mark.parametrize("status", [409, 429])
def test_without_waiting_the_list_is_looked_at_too(refused: Callable[..., Refused], status: int) -> None:
    run = refused(Rule(POST, say=Response(status, {}, b'{"error":"conflict"}')))
    result = run.user.airvid(*CREATE)
    (task,) = run.tasks
    assert run.known() in ([(task, "known")], [(None, "unknown")]), result.stderr


BATCH = ("batch", "clips.jsonl", "-o", "{row}.mp4")


@pytest.mark.parametrize("first", [CREATE, BATCH], ids=["create", "batch"])
def test_a_kill_while_it_waits_loses_no_task_that_the_list_could_not_show(
    refused: Callable[..., Refused], first: tuple[str, ...]
) -> None:
    run = refused(Rule(POST, say=LIMITED), Rule(LIST, before=True, say=LIMITED, skip=1))
    write(run.user.here, {"prompt": "a fox", "model": "wan-2.6", "duration": 8}, name="clips.jsonl")
    assert run.user.first_words(*first, upto="waiting for the rate limit")[0] == -9
    again = run.user.airvid(*(BATCH if first == BATCH else ("watch", "last")))
    assert (again.returncode, run.posts) == (0, 1), again.stderr
    assert run.known() == [(run.tasks[0], "known")]


def test_an_answer_that_comes_just_after_the_time_is_told(refused: Callable[..., Refused]) -> None:
    run = refused(Rule(POST, drip=0.12))
    done = run.user.airvid(*CREATE, "--timeout", "1")
    assert (done.returncode, done.stdout.split(), run.posts) == (10, run.tasks, 1), done.stderr
