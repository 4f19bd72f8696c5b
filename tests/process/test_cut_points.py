"""Never twice, never lost, wherever it is cut: every point of a create at which the server's answer or the process
itself can be lost, walked one by one on a real socket with the program in a process of its own.

The claim at each point: the server got exactly one POST, or none; and afterwards either the task is followed and saved
by `watch last`, or `list --local` shows the create and exit 9 said so.
"""

from __future__ import annotations

import json
import signal
from typing import Any

import forked_run
import pytest
from forked_run import ForkedRun
from program_process import User, posts
from small_files import render_tiny

from airvid.sandbox.emulator import Emulator, Fault, Pace, Response
from airvid.sandbox.server import Server

# Kills the program outright at the first call of one of our own functions: before it, or as it returns.
KILLER = """
import os, signal, sys
def watch(frame, event, argument):
    if event == {when!r} and frame.f_code.co_qualname == {where!r}:
        os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(watch)
"""
STEPS = [
    "Journal.intend",
    "Journal.mark_sent",
    "HttpClient.post",
    "Journal.mark_known",
    "name_row",
    "follow",
    "Part.publish",
    "Journal.note_saved",
    "Output.finished",
]
# What a server or the way to it can do to a POST: (name, fault, whether the task was made).
LOST: list[tuple[str, Fault, bool]] = [
    (f"{name}, {'taken' if taken else 'not taken'}", fault, taken)
    for taken in (True, False)
    for name, fault in (
        ("reset", Fault("POST /video/generations", ending="reset", before=not taken)),
        ("500", Fault("POST /video/generations", Response(500, {}, b'{"error":"oops"}'), before=not taken)),
        ("524 HTML", Fault("POST /video/generations", Response(524, {}, b"<html>timeout</html>"), before=not taken)),
        ("empty 200", Fault("POST /video/generations", Response(200), before=not taken)),
        ("other words", Fault("POST /video/generations", Response(200, {}, b"no such model"), before=not taken)),
        ("half an answer", Fault("POST /video/generations", ending="truncate", before=not taken)),
    )
    if taken or name != "half an answer"
]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(pace=Pace(queued=0.05, processing=0.2), render=render_tiny)


def entries(user: User) -> list[dict[str, Any]]:
    """The journal."""
    return list(json.loads(user.airvid("list", "--local", "--json").stdout))


def fates(user: User) -> list[str]:
    return [entry["airvid"]["fate"] for entry in entries(user)]


@pytest.mark.parametrize("when", ["call", "return"])
@pytest.mark.parametrize("where", STEPS)
def test_killed_at_any_step_nothing_is_paid_twice_and_nothing_is_lost(
    user: User, server: Server, where: str, when: str
) -> None:
    killer = KILLER.format(when=when, where=where)
    died = forked_run.run(["create", "a fox", "-o", "fox.mp4"], user.here, user.env, prelude=killer)
    assert died.returncode == -signal.SIGKILL, died.stderr
    made = posts(server)
    assert made <= 1
    if not made:
        assert set(fates(user)) <= {"intended", "sent"}
        return
    done = user.airvid("watch", "last", "-o", "fox.mp4", "--force")
    assert done.returncode == 0, done.stderr
    assert user.target.read_bytes()[4:8] == b"ftyp"
    assert posts(server) == 1
    assert fates(user) == ["known"]


@pytest.mark.parametrize(("fault", "taken"), [each[1:] for each in LOST], ids=[each[0] for each in LOST])
def test_an_answer_that_is_lost_is_looked_up_and_never_sent_again(
    user: User, server: Server, fault: Fault, taken: bool
) -> None:
    server.emulator.faults.append(fault)
    done = user.airvid("create", "a fox", "-o", "fox.mp4", *([] if taken else ["--timeout", "2"]))
    assert posts(server) == 1
    if taken:
        assert (done.returncode, done.stdout) == (0, "fox.mp4\n"), done.stderr
    else:
        assert done.returncode == 9, done.stderr
        assert fates(user) == ["unknown"]
        assert "airvid list" in done.stderr


def test_a_server_that_is_not_there_gets_nothing_and_holds_nothing(user: User, server: Server) -> None:
    server.close()
    done = user.airvid("create", "a fox", "--no-validate", "-m", "wan-2.6", "--wait", "--timeout", "2")
    assert done.returncode in (8, 9), done.stderr
    assert set(fates(user)) <= {"refused"}


def test_twenty_at_once_share_four_slots_and_a_budget_for_ten(user: User, server: Server) -> None:
    server.emulator.pace = Pace(queued=0.05, processing=0.3)
    assert user.airvid("config", "set", "budget.day", "0.45").returncode == 0
    create = ["create", "a fox", "-m", "wan-2.6", "-d", "2", "-o"]
    running = [ForkedRun([*create, f"{n}.mp4"], user.here, user.env) for n in range(20)]
    for process in running:
        process.join(60)
    assert sorted(process.end().returncode for process in running) == [0] * 10 + [7] * 10
    assert len(list(user.here.glob("*.mp4"))) == 10
    tasks = [entry["task_id"] for entry in entries(user) if entry["task_id"]]
    assert len(tasks) == len(set(tasks)) == 10
    assert posts(server) <= 10 + 20
