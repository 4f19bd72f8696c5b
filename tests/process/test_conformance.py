"""The sandbox answers as the provider documents, and the provider's own loop runs unchanged against it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbox_process import sandbox

from airvid.sandbox.emulator import Emulator, Pace, Request, Response

FOLDER = Path(__file__).with_name("conformance")
DOCUMENTED = json.loads((FOLDER / "documented.json").read_text("utf-8"))
# Keys that the API documents as null at times.
NULLABLE = {"video_caps", "status", "tier", "error", "param", "result_url", "cost_cents", "input_image_url"}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    made = Emulator(pace=Pace(0.2, 1), render=lambda _: b"clip")
    yield made
    made.close()


def ask(emulator: Emulator, asked: dict[str, Any], now: float, task_id: str = "") -> Response:
    body = json.dumps(asked["body"]).encode() if "body" in asked else b""
    headers = {"authorization": f"Bearer {asked.get('key', 'sk-air-someone')}"}
    return emulator.handle(Request(asked["method"], "/v1" + asked["path"].format(id=task_id), headers, body), now)


def check_shape(example: Any, answer: Any, place: str = "answer") -> None:
    """Check that an answer has an example's keys and types; a list's entries are all like the example's first."""
    if isinstance(example, dict):
        assert isinstance(answer, dict), place
        assert example.keys() <= answer.keys(), f"{place}: no {', '.join(example.keys() - answer.keys())}"
        for key, value in example.items():
            if None not in (value, answer[key]) or key not in NULLABLE:
                check_shape(value, answer[key], f"{place}.{key}")
    elif isinstance(example, list):
        assert isinstance(answer, list), place
        assert answer, place
        for entry in answer:
            check_shape(example[0], entry, f"{place}[]")
    else:
        kinds = (int, float) if type(example) in (int, float) else (type(example),)
        assert type(answer) in kinds, f"{place}: {answer!r}"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_an_answer_has_the_documented_keys_and_types(emulator: Emulator, name: str) -> None:
    now, case = time.time(), DOCUMENTED[name]
    made = json.loads(ask(emulator, DOCUMENTED["create"]["request"], now).body)["task_id"]
    response = ask(emulator, case["request"], now + 2, made)
    assert response.status == case.get("status", 200), response.body
    assert response.headers["Content-Type"] == "application/json"
    answer = json.loads(response.body)
    if name == "models":  # others are as irregular as the API's own
        (model,) = (each for each in answer["data"] if each["id"] == case["response"]["data"][0]["id"])
        answer["data"] = [model]
    check_shape(case["response"], answer)
    for key in ("status", "object", "deleted"):
        assert answer.get(key) == case["response"].get(key)
    if "error" in case["response"] and "status" in case:
        error, expected = answer["error"], case["response"]["error"]
        assert {key: error[key] for key in ("type", "param", "code")} == {
            key: expected[key] for key in ("type", "param", "code")
        }


def test_times_and_cost_are_as_documented(emulator: Emulator) -> None:
    now, asked = time.time(), DOCUMENTED["create"]["request"]
    made = json.loads(ask(emulator, asked, now).body)
    assert made["expires_at"] - made["created"] == 86_400
    assert made["cost_cents"] == asked["body"]["duration_seconds"] * 2.25


def test_the_stream_has_the_documented_events(emulator: Emulator) -> None:
    now = time.time()
    made = json.loads(ask(emulator, DOCUMENTED["create"]["request"], now).body)["task_id"]
    response = ask(emulator, {"method": "GET", "path": "/video/tasks/{id}/stream"}, now + 0.5, made)
    text = b"".join(chunk for _, chunk in response.chunks or ()).decode()
    example = (FOLDER / "stream.txt").read_text("utf-8")
    assert text.endswith(example[example.index("event: done") :])
    documented, *sent = (
        [json.loads(data) for data in re.findall(r"^event: state\ndata: (.*)\n\n", each, re.MULTILINE)]
        for each in (example, text)
    )
    for payload in sent[0]:
        check_shape(documented[0], payload)
    assert [payload["status"] for payload in sent[0]][-1] == "completed"


LOOPS = {
    "loop.mjs": ("node", "ftyp completed"),
    "loop.sh": ("sh", "ftyp completed"),
    "events.mjs": ("node", "(queued )?processing completed 100 true true"),
}


@pytest.mark.parametrize("script", LOOPS)
def test_the_providers_loop_runs_unchanged(script: str, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
    program, shows = LOOPS[script]
    for needed in {"sh": ["curl", "jq"], "node": ["node"]}[program]:
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    with sandbox(tmp_path, "--render", "2") as (url, _):
        env = {"PATH": os.environ["PATH"], "AIRFORCE_BASE_URL": url, "AIRFORCE_API_KEY": "sk-air-someone"}
        command = [program, str(FOLDER / script)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(shows, done.stdout.strip()), done.stdout
