"""Waiting for a slot: creates of dead processes block nothing, those of living ones are waited for."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from creates import CREATE, POST, other_machine, rows
from program import API, KEY, World, json_answer
from terminal import environment

from airvid.sandbox.emulator import Fault, Pace, Request
from airvid.session import account_of

# A process that asks for a clip and gets as far as `fate`; it lives until its standard input ends.
PERSON = textwrap.dedent("""
    import sys
    from pathlib import Path
    from airvid import clock
    from airvid.journal.journal import Journal

    class At(clock.Clock):
        def now(self):
            return float(sys.argv[4])

    request = {"model": "wan-2.6", "prompt": "fox", "duration_seconds": 8}
    with clock.use(At()):
        journal = Journal(Path(sys.argv[1]))
        given = {"base_url": sys.argv[2], "account": sys.argv[5], "requests": [request]}
        entry, = journal.intend(**given, targets=[None], estimate_cents=40, budgets={})
        if sys.argv[3] == "sent":
            journal.mark_sent(entry, float(sys.argv[4]), [])
        elif sys.argv[3] == "waiting":
            journal.mark_unsent(entry, in_line=True)
        print("there", flush=True)
        sys.stdin.read()
""")


@contextmanager
def somebody(
    world: World, tmp_path: Path, fate: str, base_url: str = API, key: str = KEY
) -> Iterator[subprocess.Popen[bytes]]:
    """Another process with a create of that fate; it is killed at the end, and only reaped rows are rid of it."""
    data = tmp_path / "data" / "airvid"
    command = [sys.executable, "-c", PERSON, str(data / "journal.db"), base_url, fate, str(world.clock.now())]
    command.append(account_of(key))
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(tmp_path), **streams) as process:  # type: ignore[call-overload]
        try:
            assert process.stdout.readline() == b"there\n"
            yield process
        finally:
            process.kill()
            process.wait()


def nothing(_: Path) -> None: ...


def without_signs(data: Path) -> None:
    """The folder of the signs of life was emptied, by whoever cleans up."""
    for each in (data / "running").iterdir():
        each.unlink()


DEAD = pytest.mark.parametrize("then", [nothing, without_signs], ids=["killed", "its sign gone"])


def leave(world: World, tmp_path: Path, fate: str, then: Callable[[Path], None], base_url: str = API) -> None:
    """A create of that fate whose process was killed."""
    with somebody(world, tmp_path, fate, base_url):
        pass
    then(tmp_path / "data" / "airvid")


# ---------------------------------------------------------------------- the dead


@DEAD
@pytest.mark.parametrize("fate", ["waiting", "intended", "sent"])
def test_a_dead_create_does_not_stand_in_line(
    world: World, tmp_path: Path, fate: str, then: Callable[[Path], None]
) -> None:
    leave(world, tmp_path, fate, then)
    began = world.clock.now()
    result = world.airvid(*CREATE, "--wait")
    assert (result.code, len(world.posts)) == (0, 1), result.err
    assert world.clock.now() - began < 100
    assert not {each for each, _ in rows(tmp_path)} & {"waiting", "intended"}


@pytest.mark.parametrize(("fate", "code"), [("waiting", 0), ("intended", 0), ("sent", 7)])
@pytest.mark.parametrize("base_url", [API, "http://other.test/v1"])
def test_a_dead_create_holds_budget_only_if_it_may_have_been_paid(
    world: World, tmp_path: Path, fate: str, code: int, base_url: str
) -> None:
    assert world.airvid("config", "set", "budget.day", "0.50").code == 0
    leave(world, tmp_path, fate, nothing, base_url)
    result = world.airvid(*CREATE)
    assert (result.code, len(world.posts)) == (code, 1 if code == 0 else 0), result.err


@DEAD
def test_what_a_dead_process_sent_is_settled(world: World, tmp_path: Path, then: Callable[[Path], None]) -> None:
    leave(world, tmp_path, "sent", then)
    made = other_machine(world)
    assert world.airvid("list").code == 0
    assert rows(tmp_path) == [("known", made)]


# ---------------------------------------------------------------------- the living


def beats(world: World, tmp_path: Path) -> None:
    """The process in line shows that it is awake."""
    for each in (tmp_path / "data" / "airvid" / "running").iterdir():
        os.utime(each, (world.clock.now(), world.clock.now()))


@pytest.mark.parametrize("base_url", [API, "http://gateway.test/v1"])
def test_a_living_create_is_waited_for_in_line(world: World, tmp_path: Path, base_url: str) -> None:
    with somebody(world, tmp_path, "waiting", base_url):
        beats(world, tmp_path)
        result = world.airvid(*CREATE, "--wait", "--timeout", "10")
        assert (result.code, world.posts) == (8, [])
        assert "1 more in line" in result.err
    assert world.airvid(*CREATE, "--wait").code == 0


def test_a_create_by_another_key_is_not_waited_for(world: World, tmp_path: Path) -> None:
    with somebody(world, tmp_path, "waiting", key="sk-air-another"):
        beats(world, tmp_path)
        assert world.airvid(*CREATE, "--wait", "--timeout", "90").code == 0


def test_a_stopped_create_is_passed_by(world: World, tmp_path: Path) -> None:
    with somebody(world, tmp_path, "waiting"):
        beats(world, tmp_path)
        began = world.clock.now()
        assert world.airvid(*CREATE, "--wait").code == 0
        assert 15 <= world.emulator.requests[-1][0] - began < 200
        assert len(world.posts) == 1


@pytest.mark.parametrize("fate", ["waiting", "intended", "sent"])
def test_a_living_create_holds_its_budget(world: World, tmp_path: Path, fate: str) -> None:
    assert world.airvid("config", "set", "budget.day", "0.50").code == 0
    with somebody(world, tmp_path, fate):
        assert (world.airvid(*CREATE).code, world.posts) == (7, [])


def test_what_a_living_process_sent_is_its_own_to_settle(world: World, tmp_path: Path) -> None:
    with somebody(world, tmp_path, "sent"):
        made = other_machine(world)
        assert world.airvid("list").code == 0
        assert rows(tmp_path) == [("sent", None)]
        world.clock.advance(3600)  # no POST takes that long: it is at something else
        assert world.airvid("list").code == 0
        assert rows(tmp_path) == [("known", made)]


# ---------------------------------------------------------------------- limits, and what sounds like one

GUESSED = ["too many running tasks", "At most 4 concurrent tasks", "active generations: 4 of 4"]


@pytest.mark.parametrize("status", [400, 403, 409])
@pytest.mark.parametrize("words", GUESSED)
def test_a_refusal_that_only_sounds_like_a_limit_is_not_sent_for_ever(
    world: World, tmp_path: Path, status: int, words: str
) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(status, {"error": words}), before=True, times=999))
    result = world.airvid(*CREATE, "--wait", "--timeout", "3h")
    assert result.code == 1
    assert words in result.err
    assert 2 <= len(world.posts) <= 6
    assert not {fate for fate, _ in rows(tmp_path)} - {"refused"}


def test_a_limit_that_was_taken_for_a_refusal_at_last_is_one_in_the_journal(world: World) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(400, {"error": GUESSED[0]}), before=True, times=999))
    assert world.airvid(*CREATE, "--wait").code == 1
    (entry,) = world.objects("list", "--local", "--json")
    assert entry["airvid"]["fate"] == "refused"


@pytest.mark.parametrize("words", ["prompt rejected by policy: 'casino slots'", "limited edition", "no such task"])
def test_a_refusal_that_speaks_of_something_else_is_final_at_once(world: World, words: str) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(400, {"error": words}), before=True, times=999))
    result = world.airvid(*CREATE, "--wait", "--timeout", "1h")
    assert (result.code, len(world.posts)) == (1, 1)


def test_while_others_run_a_refusal_that_sounds_like_a_limit_is_waited_out(world: World) -> None:
    world.emulator.pace = Pace(queued=5, processing=1500)
    other_machine(world, prompt="wolf")
    busy_until = world.clock.now() + 1505
    full = json_answer(400, {"error": GUESSED[0]})
    world.answer = lambda each: full if each.method == "POST" and world.clock.now() < busy_until else None
    result = world.airvid(*CREATE, "--wait")
    assert result.code == 0, result.err


@pytest.mark.parametrize("words", ["Rate limit", "At most 4 concurrent tasks"])
def test_a_limit_without_a_hint_is_asked_less_and_less_often(world: World, words: str) -> None:
    sent: list[float] = []

    def answer(request: Request) -> None:
        if request.method == "POST":
            sent.append(world.clock.now())

    world.answer = answer
    world.emulator.faults.append(Fault(POST, json_answer(429, {"error": words}), before=True, times=999))
    assert world.airvid(*CREATE, "--wait", "--timeout", "10m").code == 8
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= 5
    assert gaps[-1] >= 50
    assert 4 <= len(sent) <= 16
