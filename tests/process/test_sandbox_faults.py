"""Every fault of the sandbox, once met by airvid itself and once by curl; bad specs; random faults under a seed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from program_process import User
from sandbox_process import CREATE, sandbox

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.faults import KINDS, FaultError, parse_fault
from airvid.sandbox.server import Server

pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
KEY = "sk-air-someone"


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path, "http://127.0.0.1:9/v1", AIRVID_READ_TIMEOUT="1")


@dataclass(frozen=True)
class Met:
    """How a command with --wait and -o ends at a fault: exit code, words in its sentence, its hint."""

    spec: str
    code: int
    sentence: str = ""
    hint: str = ""
    options: Sequence[str] = ()


MET = [
    Met("fail=moderation", 5, "the task failed: moderation; it is not charged"),
    Met("expire", 6, "expired"),
    Met("stall=60s", 10, "the time was up; the task goes on", "hint: airvid watch ", ["--timeout", "3"]),
    Met("slow=100", 10, "the time was up; the task goes on", "hint: airvid watch ", ["--timeout", "3"]),
    Met("state=upscaling", 0, "upscaling"),
    Met("state=canceled", 5, "the task failed"),
    Met("status=401@create", 3, "the API key was not accepted", "hint: unset AIRVID_API_KEY"),
    Met("status=402", 7, "Insufficient balance."),
    Met("status=503", 9, "whether a task was made", "hint: "),
    Met("status=404@status*2", 0),
    Met("retry-after=1s", 0, "waiting for the rate limit"),
    Met("reset", 9, "whether a task was made", "hint: "),
    Met("reset@status", 0),
    Met("lost-reply", 0, "looking in the task list"),
    Met("no-stream", 0),
    Met("drop-stream*2", 0),
    Met("silent-stream", 0),
    Met("dead-link", 0),
    Met("dead-link*99", 9, "link", "hint: airvid download "),
    Met("cut=30%", 0),
    Met("cut=0%@list", 0),
]


def test_every_fault_is_met() -> None:
    assert {re.split("[=@*]", met.spec)[0] for met in MET} == set(KINDS) == set(CURLED)
    assert all(parse_fault(kind.example).spec == kind.example for kind in KINDS.values())


@pytest.mark.parametrize("met", MET, ids=lambda met: met.spec)
def test_airvid_meets_a_fault(user: User, met: Met, tmp_path: Path) -> None:
    render = "3" if "upscaling" in met.spec else "1"  # long enough to be seen
    with sandbox(tmp_path, "--render", render, "--fault", met.spec) as (url, log):
        result = user.airvid(*CREATE, "-o", "fox.mp4", "--timeout", "20", *met.options, AIRVID_BASE_URL=url)
    assert result.returncode == met.code, result.stderr
    assert met.sentence in result.stderr
    assert met.hint in result.stderr
    assert user.target.exists() is (met.code == 0)
    is_of_task = not KINDS[re.split("[=@*]", met.spec)[0]].places
    assert is_of_task or any(f"fault: {met.spec}" in line for line in log), log


# ---------------------------------------------------------------------- by curl


def curl(*arguments: str) -> tuple[int, str]:
    """Exit code and output, with the headers; the key goes to the API alone."""
    key = ["-H", f"Authorization: Bearer {KEY}"] if "/v1/" in arguments[-1] else []
    command = ["curl", "-sS", "-i", "-m", "3", *key, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


BODY = json.dumps({"model": "dune-lite", "prompt": "a fox"})
# A fault by its spec: the call that meets it, curl's exit codes, and what it shows.
CURLED = {
    "fail": ("fail=moderation", "{base}/video/tasks/{id}", {0}, r'"status": "failed".*"error": "moderation"'),
    "expire": ("expire", "{base}/video/tasks/{id}", {0}, r'"status": "expired".*"result_url": null'),
    "stall": ("stall=60s", "{base}/video/tasks/{id}", {0}, r'"status": "processing", "progress": 50'),
    "slow": ("slow=1000", "{base}/video/tasks/{id}", {0}, r'"status": "processing", "progress": \d,'),
    "state": ("state=upscaling slow=1000", "{base}/video/tasks/{id}", {0}, r'"status": "upscaling"'),
    "status": ("status=503@list", "{base}/video/tasks", {0}, r"^HTTP/1.1 503 .*sandbox_fault"),
    "retry-after": ("retry-after=20s@status", "{base}/video/tasks/{id}", {0}, r"^HTTP/1.1 429 .*Retry-After: 20\r"),
    "reset": ("reset@list", "{base}/video/tasks", {52, 56}, "^$"),
    "lost-reply": ("lost-reply", "", {52, 56}, "^$"),
    "no-stream": ("no-stream", "{base}/video/tasks/{id}/stream", {0}, r"^HTTP/1.1 404 "),
    "drop-stream": ("drop-stream", "{base}/video/tasks/{id}/stream", {18, 56}, r"^HTTP/1.1 200 .*event: state"),
    "silent-stream": ("silent-stream", "{base}/video/tasks/{id}/stream", {28}, "^$"),
    "dead-link": ("dead-link", "{url}", {0}, r"^HTTP/1.1 403 .*AccessDenied"),
    "cut": ("cut=25%", "{url}", {18, 56}, r"Content-Length: 1000\r\n\r\nc{1,250}$"),
}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("what", CURLED)
def test_curl_meets_a_fault(what: str) -> None:
    spec, address, codes, shows = CURLED[what]
    with Server(
        Emulator(pace=Pace(0, 0.02), faults=map(parse_fault, spec.split()), render=lambda _: b"c" * 1000)
    ) as server:
        code, out = curl("-d", BODY, f"{server.api_url}/video/generations")
        places = {"base": server.api_url}
        if address:
            assert code == 0
            task = json.loads(out.partition("\r\n\r\n")[2])["task_id"]
            time.sleep(0.05)  # it is over by then
            if address == "{url}":
                found = json.loads(curl(f"{server.api_url}/video/tasks/{task}")[1].partition("\r\n\r\n")[2])
                places["url"] = found["result_url"]
            places["id"] = task
            code, out = curl(address.format(**places))
        assert code in codes, out
        assert re.search(shows, out, re.DOTALL), out
        listed = json.loads(curl(f"{server.api_url}/video/tasks")[1].partition("\r\n\r\n")[2])
        assert len(listed["data"]) == 1
        server.emulator.close()


# ---------------------------------------------------------------------- where a fault is asked for


def test_a_fault_beside_the_option_in_the_environment_and_in_a_prompt(user: User) -> None:
    told = [
        user.airvid("--sandbox", "--fault", "status=401", *CREATE),
        user.airvid("--sandbox", *CREATE, "--fault", "no-stream", "--fault", "status=401"),
        user.airvid("--sandbox", *CREATE, AIRVID_SANDBOX_FAULTS="no-stream; status=401@create"),
        user.airvid("--sandbox", "create", "a fox [[status: 401]]", *CREATE[2:]),
    ]
    assert [result.returncode for result in told] == [3, 3, 3, 3], told
    assert user.airvid("--sandbox", "list", "--ids").stdout == ""
    failed = user.airvid("--sandbox", "create", "a fox [[fail: too wild]] [[slow=0.1]]", *CREATE[2:], "--wait")
    assert failed.returncode == 5
    assert "the task failed: too wild" in failed.stderr
    assert user.airvid("--sandbox", *CREATE).returncode == 0


def test_a_task_expires_at_a_time_that_has_passed(user: User) -> None:
    result = user.airvid("--sandbox", "--fault", "expire", "--fault", "slow=0.1", *CREATE, "--wait")
    assert result.returncode == 6
    told = re.search(r"the task expired on (\S+ \S+)$", result.stderr, re.MULTILINE)
    assert told
    assert datetime.fromisoformat(told[1]) <= datetime.now()


def test_a_fault_in_a_prompt_counts_over_all_processes(user: User) -> None:
    task = user.airvid("--sandbox", "create", "fox [[slow=0.1]] [[status=404@status*2]]", *CREATE[2:]).stdout.strip()
    time.sleep(1.2)
    said = [user.airvid("--sandbox", "--fault", "slow=1", "status", "last").returncode for _ in range(2)]
    assert user.airvid("--sandbox", "status", task).returncode == 0, said


def test_a_wrong_key_is_refused(user: User, tmp_path: Path) -> None:
    with sandbox(tmp_path) as (url, log):
        assert user.airvid("list", AIRVID_BASE_URL=url, AIRVID_API_KEY="sk-air-wrong").returncode == 3
        assert user.airvid("list", AIRVID_BASE_URL=url, AIRVID_API_KEY="sk-air-right").returncode == 0
    assert [line for line in log if line.startswith("GET")] == ["GET /v1/video/tasks 401", "GET /v1/video/tasks 200"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--sandbox", "--fault", "fial=x", "list"], 2, "did you mean fail"),
        (["sandbox", "--fault", "drop_stream"], 2, "did you mean drop-stream"),
        (["sandbox", "--fault", "status=9"], 2, "an HTTP status from 200 to 599"),
        (["sandbox", "--fault", "reset@downlod"], 2, "did you mean download"),
        (["sandbox", "--fault", "fail@list"], 2, "takes no @WHERE"),
        (["sandbox", "--fault", "cut=200%"], 2, "a share from 0% to 99%"),
        (["sandbox", "--fault", "stall=long"], 2, "a time up to 24h"),
        (["sandbox", "--fault", "expire=7"], 2, "it takes none"),
        (["sandbox", "--fault", "reset*0"], 2, "a whole number from 1"),
        (["sandbox", "--fault", "reset p=2"], 2, "a probability from 0 to 1"),
        (["list", "--fault", "reset"], 2, "add --sandbox"),
        (["--sandbox", "create", "a fox [[fial=x]]"], 2, "in the prompt, 'fial=x' is no fault: did you mean fail"),
        (
            ["--sandbox", "batch", "{here}/rows.jsonl"],
            2,
            "rows.jsonl:1: in the prompt, 'stal' is no fault: did you mean stall",
        ),
        (["sandbox", "fault"], 2, "reset and faults"),
        (["sandbox", "--render", "soon"], 2, "a length of time"),
        (["sandbox", "--slots", "0"], 2, "a whole number from 1 to 1000"),
        (["sandbox", "--seed", "x"], 2, "--seed"),
        (["sandbox", "--models", "none.json"], 11, "none.json cannot be read"),
        (["sandbox", "--models", "{here}/odd.json"], 11, "no listing of models"),
        (["sandbox", "--models", "{here}/negative.json"], 11, "no listing of models"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_what_cannot_be_asked_for_is_told(user: User, arguments: list[str], code: int, words: str) -> None:
    (user.here / "rows.jsonl").write_text('{"prompt": "a fox [[stal]]"}')
    (user.here / "negative.json").write_text('[{"id": "x", "video_caps": {"min_duration_s": -5}}]')
    (user.here / "odd.json").write_text('{"data": [{"id": "x", "video_caps": {"modes": 7}}]}')
    result = user.airvid(*(each.format(here=user.here) for each in arguments))
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert words in result.stderr


@pytest.mark.parametrize("spec", ["", "=", "fail=" + "x" * 400, "[[", "p=0.2", "status=", "cut=1%@create@list", "é=1"])
def test_an_odd_spec_is_an_error_and_nothing_else(spec: str) -> None:
    with pytest.raises(FaultError):
        parse_fault(spec)


# ---------------------------------------------------------------------- one seed, one run


def outcomes(home: Path, seed: str) -> list[tuple[int, str]]:
    faults = ("--fault", "fail=x p=0.5", "--fault", "status=503@list p=0.4")
    with sandbox(home, "--render", "0.1", "--slots", "99", "--seed", seed, *faults) as (url, log):
        user = User(home, url)
        tasks = [user.airvid("-q", *CREATE).stdout.strip() for _ in range(6)]
        time.sleep(0.3)
        states = [user.airvid("status", task).stdout.split("\t")[1] for task in tasks]
    return [*enumerate(states), *enumerate(line[-60:] for line in log if "video/tasks " in line)]


def test_the_same_seed_has_the_same_faults(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, again = (outcomes(tmp_path / each, "11") for each in "ab")
    assert first == again
    assert {state for _, state in first if state in ("failed", "completed")} == {"failed", "completed"}
