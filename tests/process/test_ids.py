"""Task ids that are shell words, options or commands of a CI: no answer's, no journal's, no command line's."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
from program_process import User, make_tasks, posts
from terminal import AIRVID

from airvid.api.models import is_task_id
from airvid.sandbox.emulator import Fault, Response
from airvid.sandbox.server import Server

# The first is longer than any line that is shown.
NO_IDS = [
    "x" * 5000,
    "`touch pwned`",
    "7f$AIRVID_API_KEY",
    "::set-output name=x::y",
    "##[error]x",
    "--base-url=http://127.0.0.1:9/v1",
    "--force",
    "-",
    "-x",
    "last",
    "..",
    ".x",
    "x.",
    "x:",
    "a/b",
    "a b",
    " a",
    "a\n::error::b",
    "a\x1b[31m",
    "狐",
    "é",
    "٣",
    "x" * 201,
]
IDS = ["7f", "a", "_x_", "x-", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "task:7f.2", "a..b", "x" * 200]
CREATE = ["create", "a fox", "-m", "wan-2.6"]


def answers(server: Server, on: str, record: object) -> None:
    headers = {"Content-Type": "application/json"}
    server.emulator.faults.append(Fault(on, Response(200, headers, json.dumps(record).encode()), before=True, times=99))


def test_what_an_id_is() -> None:
    assert [each for each in IDS if not is_task_id(each)] == []
    assert [each for each in [*NO_IDS, "", 5, None] if is_task_id(each)] == []


@pytest.mark.parametrize("name", NO_IDS, ids=lambda name: ascii(name)[:30])
def test_a_create_answered_with_what_is_no_id_is_of_unknown_fate(user: User, server: Server, name: str) -> None:
    answers(server, "POST", {"task_id": name, "status": "queued"})
    # What the task list shows would take its time to settle it.
    code, said = user.first_words(*CREATE, upto="no task id")
    assert code == -9
    assert json.dumps(name)[:1000] in said
    assert "\x1b" not in said
    kept = user.airvid("list", "--local", "--json")
    (record,) = json.loads(kept.stdout)
    assert (record["airvid"]["fate"], record["task_id"]) == ("unknown", None)
    (path,) = user.here.parent.rglob("journal.db")
    with closing(sqlite3.connect(path)) as journal:
        (why,) = journal.execute("SELECT error FROM clip").fetchone()
    assert json.dumps(name) in why
    assert len([each for _, each in server.emulator.requests if each.method == "POST"]) == 1


def test_what_is_no_id_is_passed_over_in_a_list(user: User, server: Server) -> None:
    rows = [{"task_id": each, "status": "queued", "created": time.time()} for each in [*NO_IDS, "good"]]
    answers(server, "GET /video/tasks$", {"data": rows})
    assert user.airvid("list", "--ids").stdout == "good\n"
    assert [each["task_id"] for each in json.loads(user.airvid("list", "--json").stdout)] == ["good"]


@pytest.mark.parametrize("command", [["watch"], ["status"], ["download"], ["delete", "-y"]])
def test_an_option_behind_two_dashes_is_no_id_and_nothing_is_sent(
    user: User, server: Server, command: list[str]
) -> None:
    for name in ("--base-url=http://127.0.0.1:9", "--force", "`x`"):
        done = user.airvid(*command, "--", name)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "no task id" in done.stderr
    assert server.emulator.requests == []


def test_ids_from_a_pipe_go_behind_two_dashes(user: User, server: Server) -> None:
    tasks = make_tasks(server, 2)
    airvid = " ".join(AIRVID)
    for line in (f"{airvid} list --ids | xargs -n1 {airvid} status --", f"{airvid} list --ids | {airvid} status -"):
        done = subprocess.run(line, shell=True, cwd=user.here, env=user.env, capture_output=True, text=True, check=True)
        assert sorted(each.split("\t")[0] for each in done.stdout.splitlines()) == sorted(tasks)
    for command in (["watch"], ["download", "-o", "{id}.mp4"], ["delete", "-y"]):
        assert user.airvid(*command, "--", *tasks).returncode == 0
    assert posts(server) == 0


def test_what_an_earlier_version_took_for_an_id_is_told_nowhere_as_one(user: User) -> None:
    assert user.airvid(*CREATE).returncode == 0
    (path,) = user.here.parent.rglob("journal.db")
    with sqlite3.connect(path) as journal:
        journal.execute("UPDATE clip SET task_id = '`touch pwned`'")
    journal.close()
    listed = user.airvid("list", "--local")
    assert (listed.returncode, listed.stdout.split("\t")[0]) == (0, "(no id)")
    assert user.airvid("list", "--local", "--ids").stdout == ""
    assert "pwned" not in user.airvid("watch").stdout
