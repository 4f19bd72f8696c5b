"""Every exit code, and a command that ends with it."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable

import pytest
from program import World, json_answer

from airvid.errors import AirvidError
from airvid.sandbox.emulator import Fault, Pace, Request, Response

POST = "POST /video/generations"
CREATE = ("create", "a fox", "-m", "wan-2.6", "-d", "8")
NOBODY = "00000000-0000-4000-8000-000000000000"
Setup = Callable[[World], None]


def nothing(_: World) -> None: ...


def made(*outcomes: str, seconds: float = 100) -> Setup:
    """Tasks that end like this, made so many seconds ago."""

    def setup(world: World) -> None:
        left = iter(outcomes)
        world.emulator.outcome = lambda _: next(left)
        for _ in outcomes:
            assert world.airvid(*CREATE).code == 0
        world.clock.advance(seconds)

    return setup


def answering(status: int, **body: str) -> Setup:
    """A server that answers every call like this."""

    def setup(world: World) -> None:
        world.answer = lambda _: json_answer(status, body or {"error": "no"})

    return setup


def faulty(pattern: str, response: Response | None = None, **more: object) -> Setup:
    def setup(world: World) -> None:
        world.emulator.faults.append(Fault(pattern, response, times=999, **more))  # type: ignore[arg-type]

    return setup


def interrupted(number: int) -> Setup:
    """A signal comes while a task is followed."""

    def setup(world: World) -> None:
        def answer(request: Request) -> None:
            if request.route.endswith("/stream"):
                os.kill(os.getpid(), number)

        world.answer = answer

    return setup


def broken(world: World) -> None:
    def break_down(_: int) -> bytes:
        raise ZeroDivisionError

    world.env.setattr("os.urandom", break_down)  # which each request is named by


def keyless(world: World) -> None:
    world.env.delenv("AIRVID_API_KEY")


def occupied(world: World) -> None:
    (world.folder / "fox.mp4").write_bytes(b"mine")


def endless(world: World) -> None:
    world.emulator.pace = Pace(queued=5, processing=5000)


def old(world: World) -> None:
    made("completed", seconds=90_000)(world)


def unclaimed(world: World) -> None:
    """The clip is gone from its store, though its time has not come."""
    made("completed")(world)
    world.answer = lambda request: Response(403) if request.storage else None


FULL = json_answer(429, {"error": {"message": "at most 4 concurrent tasks", "code": "concurrency_limit"}})
BUSY = json_answer(503, {"error": "busy"})

TABLE: list[tuple[int, Setup, tuple[str, ...]]] = [
    (0, nothing, (*CREATE, "-o", "fox.mp4")),
    (0, nothing, ("list",)),
    (0, made("failed"), ("status", "last")),
    (0, made("completed"), ("status", "last", "--exit-status")),
    (1, broken, ("list",)),
    (1, answering(418), ("list",)),
    (1, made("completed", "failed"), ("status", "--exit-status", "-")),
    (2, nothing, ("create", "--bogus")),
    (2, nothing, ("create", "a fox", "-m", "wan-2.6", "-d", "99")),
    (2, nothing, ("create", "a fox", "-m", "nobody")),
    (3, keyless, ("list",)),
    (3, answering(401), ("list",)),
    (3, answering(403), ("list",)),
    (4, nothing, ("status", NOBODY)),
    (4, nothing, ("models", "nobody")),
    (5, made("failed"), ("watch", "last")),
    (5, made("failed"), ("status", "last", "--exit-status")),
    (6, old, ("download", "last")),
    (6, old, ("status", "last", "--exit-status")),
    (7, answering(402), ("list",)),
    (7, nothing, (*CREATE, "--max-cost", "0.01")),
    (8, faulty(POST, FULL, before=True), CREATE),
    (8, faulty(POST, FULL, before=True), (*CREATE, "--wait", "--timeout", "60")),
    (9, faulty("GET", BUSY, before=True), ("list",)),
    (9, faulty(POST, ending="reset", before=True), CREATE),
    (9, unclaimed, ("download", "last")),
    (10, endless, (*CREATE, "--wait", "--timeout", "60")),
    (10, made("completed", seconds=10), ("status", "last", "--exit-status")),
    (11, occupied, (*CREATE, "-o", "fox.mp4")),
    (11, nothing, ("create", "a fox", "-i", "no-such.png")),
    (130, interrupted(signal.SIGINT), (*CREATE, "--wait")),
    (143, interrupted(signal.SIGTERM), (*CREATE, "--wait")),
]


@pytest.mark.parametrize("more", [(), ("--json",), ("-q",)], ids=["talk", "json", "quiet"])
@pytest.mark.parametrize(
    ("code", "setup", "words"), TABLE, ids=[f"{code}-{' '.join(words)[:40]}" for code, _, words in TABLE]
)
def test_each_exit_code_has_its_command(
    world: World, code: int, setup: Setup, words: tuple[str, ...], more: tuple[str, ...]
) -> None:
    setup(world)
    stdin = "\n".join(world.airvid("list", "--ids").lines).encode() if "-" in words else b""
    result = world.airvid(*words, *more, stdin=stdin)
    assert result.code == code, result.err
    if code in (0, 130, 143):
        return
    if more == ("--json",):
        told = [json.loads(line)["error"] for line in result.err.splitlines() if line.startswith('{"error"')]
        assert {each["exit_code"] for each in told} & {code} or code == 1
        assert all(each["code"] in NAMES for each in told)
    else:
        assert result.err.splitlines()[0 if more else -1].startswith(("error: ", "hint: "))


def test_a_reader_that_left_is_141(world: World) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    with world.env.context() as env:
        made("completed")(world)
        env.setattr(sys, "stdout", Gone())
        assert world.airvid("list").code == 141


def _classes(of: type[AirvidError]) -> set[type[AirvidError]]:
    return {of}.union(*(_classes(each) for each in of.__subclasses__()))


NAMES = {each.code for each in _classes(AirvidError)}


def test_the_table_has_every_code_that_there_is() -> None:
    assert {each.exit_code for each in _classes(AirvidError)} <= {code for code, _, _ in TABLE}
