"""Time that runs out: how long each command tries by itself, what it says meanwhile, and --timeout everywhere."""

from __future__ import annotations

from typing import NoReturn

import httpx
import pytest
from creates import CREATE
from in_process_terminal import run_on_terminal
from manifests import write
from program import World, json_answer

from airvid.sandbox.emulator import Request, Response

DOWN = json_answer(500, {"error": "the database is on fire"})
LIMIT = json_answer(429, {"error": "slow down"}, {"Retry-After": "20"})
ASKING = [
    ["models"],
    ["status", "last"],
    ["list"],
    ["delete", "last", "-y"],
    ["download", "last"],
    ["auth", "login"],
    ["auth", "status"],
    ["preview", "last", "--json"],
    ["join", "last", "-o", "film.mp4"],
    [*CREATE, "--extend", "last"],
    ["batch", "m.jsonl"],
    CREATE,
    [*CREATE, "--wait"],
]


def refuse(_: Request) -> NoReturn:
    raise httpx.ConnectError("Connection refused")


def ask(world: World, command: list[str], *more: str) -> tuple[int, str, float]:
    """Exit code, standard error and the seconds that it took."""
    began = world.clock.elapsed()
    result = world.airvid(*command, *more, stdin=b"sk-air-another-0123456789" if command[0] == "auth" else None)
    assert result.out == "" or command == ["auth", "status"]
    return result.code, result.err, world.clock.elapsed() - began


@pytest.fixture
def made(world: World) -> World:
    assert world.airvid(*CREATE).code == 0
    write(world.folder, {"prompt": "a fox"})
    return world


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_host_that_cannot_be_reached_is_given_up_after_15_seconds(made: World, command: list[str]) -> None:
    made.connect = refuse
    code, said, seconds = ask(made, command)
    assert (code, 14 <= seconds <= 16) == (9, True), (seconds, said)
    assert "no connection to api.test: Connection refused; trying again in " in said
    assert 1 <= said.count("trying again") <= 2


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_server_that_fails_is_given_up_after_a_minute(made: World, command: list[str]) -> None:
    made.answer = lambda request: None if request.method == "POST" else DOWN
    code, said, seconds = ask(made, command)
    assert (code, 59 <= seconds <= 61) == (9, True), (seconds, said)
    # A line in ten seconds, and pauses of up to 15 s.
    assert said.count("trying again in ") in (3, 4, 5, 6)
    assert "the database is on fire" in next(line for line in said.splitlines()[::-1] if "hint: " not in line)


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
@pytest.mark.parametrize(("answer", "expected", "why"), [(DOWN, 9, "on fire"), (LIMIT, 8, "slow down")])
def test_the_time_that_ran_out_comes_with_the_cause(
    made: World, command: list[str], answer: Response, expected: int, why: str
) -> None:
    made.answer = lambda request: None if request.method == "POST" else answer
    code, said, seconds = ask(made, command, "--timeout", "5")
    assert (code, seconds) == (expected, 5)
    assert why in next(line for line in said.splitlines() if "the time was up" in line)


def test_the_doctor_s_time_is_limited_too_and_its_other_checks_are_told(made: World) -> None:
    made.answer = lambda _: DOWN
    result = made.airvid("doctor", "--timeout", "2")
    assert (result.code, made.clock.elapsed()) == (9, 2)
    assert "wrong\tapi\tthe time was up: the server failed (HTTP 500): the database is on fire" in result.out
    assert "\tjournal\t" in result.out


@pytest.mark.parametrize("limit", ["0", "1h"])
def test_a_time_limit_that_is_long_or_none_changes_nothing(made: World, limit: str) -> None:
    assert made.airvid("status", "last", "--timeout", limit).code == 0
    assert made.airvid("watch", "last", "--timeout", limit).code == 0
    assert made.airvid(*CREATE, "--wait", "--timeout", limit).code == 0


def test_a_time_limit_that_is_none_is_a_usage_error(world: World) -> None:
    result = world.airvid("list", "--timeout", "soon")
    assert result.code == 2
    assert "--timeout: 'soon'" in result.err


def test_a_wait_that_is_over_says_why_the_task_could_not_be_read(made: World) -> None:
    made.answer = lambda _: DOWN
    result = made.airvid("watch", "last", "--timeout", "30")
    assert result.code == 10
    assert "the task goes on (queued); the server failed (HTTP 500): the database is on fire" in result.err


def test_a_bare_watch_that_learns_of_no_task_exits_9(world: World) -> None:
    world.answer = lambda _: DOWN
    assert world.airvid("watch", "--timeout", "3m").code == 9
    assert world.clock.elapsed() == 180


def test_on_a_terminal_the_next_attempt_is_counted_down(made: World) -> None:
    made.answer = lambda _: DOWN
    run = run_on_terminal(made, "list", columns=120)
    for left in (9, 8, 7, 2, 1):
        assert run.at(rf"trying again in {left}s \(Ctrl-C is safe\): the server failed \(HTTP 500\)")
    assert run.screen == "error: the server failed (HTTP 500): the database is on fire"
