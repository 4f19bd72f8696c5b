"""Never twice, never lost, wherever it is cut: every point of a create at which the server's answer or the process
itself can be lost, walked one by one on a real socket with the program in a process of its own.

The claim at each point: the server got exactly one POST, or none; and afterwards either the task is followed and saved
by `watch last`, or `list --local` shows the create and exit 9 said so.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program import KEY
from small_files import render_tiny
from terminal import AIRVID, environment

from airvid.sandbox.emulator import Emulator, Fault, Pace, Response
from airvid.sandbox.server import Server

# Runs the program, and kills it outright at one call of one of our own functions: before it, or as it returns.
KILLER = textwrap.dedent("""
    import os, signal, sys, threading
    where, when, nth = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seen = 0
    def watch(frame, event, argument):
        global seen
        code = frame.f_code
        if event == when and code.co_qualname == where:
            seen += 1
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)
        return None
    sys.setprofile(watch)
    from airvid.cli.main import main
    sys.exit(main(sys.argv[4:]))
""")
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


@dataclass
class User:
    """A person with a shell, a folder and a server."""

    folder: Path
    server: Server
    env: dict[str, str]

    def airvid(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*AIRVID, *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def killed_at(self, where: str, when: str, nth: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, "-c", KILLER, where, when, str(nth), *arguments])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=90, check=False
        )

    @property
    def posts(self) -> int:
        return sum(request.method == "POST" for _, request in self.server.emulator.requests)

    @property
    def journal(self) -> list[dict[str, Any]]:
        return list(json.loads(self.airvid("list", "--local", "--json").stdout))


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with Server(Emulator(pace=Pace(queued=0.05, processing=0.2), render=render_tiny)) as server:
        env = environment(tmp_path, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)
        yield User(tmp_path, server, env)


@pytest.mark.parametrize("when", ["call", "return"])
@pytest.mark.parametrize("where", STEPS)
def test_killed_at_any_step_nothing_is_paid_twice_and_nothing_is_lost(user: User, where: str, when: str) -> None:
    died = user.killed_at(where, when, 1, "create", "a fox", "-o", "fox.mp4")
    assert died.returncode == -signal.SIGKILL, died.stderr
    made = user.posts
    assert made <= 1
    if not made:
        assert user.journal == [] or {entry["airvid"]["fate"] for entry in user.journal} <= {"intended", "sent"}
        return
    done = user.airvid("watch", "last", "-o", "fox.mp4", "--force")
    assert done.returncode == 0, done.stderr
    assert (user.folder / "fox.mp4").read_bytes()[4:8] == b"ftyp"
    assert user.posts == 1
    assert [entry["airvid"]["fate"] for entry in user.journal] == ["known"]


@pytest.mark.parametrize(("fault", "taken"), [each[1:] for each in LOST], ids=[each[0] for each in LOST])
def test_an_answer_that_is_lost_is_looked_up_and_never_sent_again(user: User, fault: Fault, taken: bool) -> None:
    user.server.emulator.faults.append(fault)
    done = user.airvid("create", "a fox", "-o", "fox.mp4", *([] if taken else ["--timeout", "2"]))
    assert user.posts == 1
    if taken:
        assert (done.returncode, done.stdout) == (0, "fox.mp4\n"), done.stderr
    else:
        assert done.returncode == 9, done.stderr
        assert [entry["airvid"]["fate"] for entry in user.journal] == ["unknown"]
        assert "airvid list" in done.stderr


def test_a_server_that_is_not_there_gets_nothing_and_holds_nothing(user: User) -> None:
    user.server.close()
    done = user.airvid("create", "a fox", "--no-validate", "-m", "wan-2.6", "--wait", "--timeout", "2")
    assert done.returncode in (8, 9), done.stderr
    assert {entry["airvid"]["fate"] for entry in user.journal} <= {"refused"}


def test_twenty_at_once_share_four_slots_and_a_budget_for_ten(user: User) -> None:
    user.server.emulator.pace = Pace(queued=0.05, processing=0.3)
    assert user.airvid("config", "set", "budget.day", "0.45").returncode == 0
    running = [
        subprocess.Popen(
            [*AIRVID, "create", "a fox", "-m", "wan-2.6", "-d", "2", "-o", f"{n}.mp4"],
            cwd=user.folder, env=user.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for n in range(20)
    ]  # fmt: skip
    codes = []
    for process in running:
        process.communicate(timeout=120)
        codes.append(process.returncode)
    assert sorted(codes) == [0] * 10 + [7] * 10
    assert len(list(user.folder.glob("*.mp4"))) == 10
    tasks = [entry for entry in user.journal if entry["task_id"]]
    assert len({entry["task_id"] for entry in tasks}) == 10
    assert user.posts <= 10 + 20
