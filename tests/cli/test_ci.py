"""In a CI: nothing foreign commands its runner, errors are annotations, groups fold the log; the summary."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hostile_answers import TASK, model, task
from in_process_terminal import run_on_terminal
from program import World, json_answer
from small_files import tiny_mp4

from airvid.sandbox.emulator import Request, Response
from airvid.ui.text import dumps, plain

EVIL = "::add-mask::x\n::set-env name=A::b\r\n \u00a0::error::e 100% ##[add-matcher]m ##vso[task.x]v ##VSO[t]w"
# What a runner obeys: GitHub's at the beginning of a line, the older form and Azure's anywhere in one.
OBEYED = re.compile(r"^\s*::|##\[|##vso\[", re.IGNORECASE)
OWN = re.compile(r"::(group::airvid: progress of \d+|endgroup::|error title=airvid::[^\r\n]*)")
FILE = "::set-output name=x::y ##[group]z.mp4"
COMMANDS: list[Sequence[str]] = [
    ["models"],
    ["models", EVIL],
    ["create", "a fox", "-m", "mine", "--wait", "--timeout", "40"],
    ["create", EVIL, "-m", "mine", "-o", FILE, "--timeout", "40"],
    ["create", EVIL, "-m", "mine", "--dry-run"],
    ["create", "a fox", "-m", "mine", "-i", EVIL],
    ["status", TASK],
    ["watch", TASK, "--timeout", "40"],
    ["list"],
    ["list", "--local"],
    ["delete", "-y", TASK],
    ["download", TASK, "-o", FILE, "--force"],
    ["config", "set", EVIL, EVIL],
    ["config", "list"],
    ["doctor"],
    [EVIL],
]
RENDERINGS = {"pipe": [], "json": ["--json"], "quiet": ["-q"], "debug": ["--debug"], "terminal": []}


def telling(text: str, status: int) -> object:
    def answer(request: Request) -> Response | None:
        said = {**task(text), "task_id": TASK, "model": "mine", "error": text}
        if request.storage:
            return Response(200, {}, tiny_mp4())
        if request.route.endswith("/models"):
            return json_answer(200, {"data": [{**model(text), "id": "mine"}, model(text)]})
        if status != 200 and request.method == "POST":
            return json_answer(status, {"error": {"message": text, "code": text}}, {"X-Request-ID": "##[x]"})
        if request.route.endswith("/stream"):
            return json_answer(404, {"error": text})
        if request.route.endswith("/tasks"):
            return json_answer(200, {"data": [said]})
        return json_answer(200, said)

    return answer


@pytest.mark.parametrize("rendering", RENDERINGS)
@pytest.mark.parametrize("status", [200, 400])
def test_no_foreign_line_commands_a_runner(world: World, rendering: str, status: int) -> None:
    world.env.setenv("GITHUB_ACTIONS", "true")
    world.env.setenv("AIRVID_MODEL", EVIL.replace("\n", " ").replace("\r", " "))
    world.answer = telling(EVIL, status)  # type: ignore[assignment]
    (world.folder / FILE).write_bytes(b"")
    for command in COMMANDS:
        if rendering == "terminal":
            said = run_on_terminal(world, *command).raw
        else:
            result = world.airvid(*RENDERINGS[rendering], *command)
            said = result.out + result.err
        for line in re.split(r"[\r\n]", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", said)):
            assert not OBEYED.search(line) or OWN.fullmatch(line), (command, line)


@pytest.mark.parametrize("name", ["CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD"])
def test_text_is_tamed_under_every_ci_and_stays_as_it_is_elsewhere(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for each in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD"):
        monkeypatch.delenv(each, raising=False)
    assert plain("::x ##[y") == "::x ##[y"
    monkeypatch.setenv(name, "true")
    assert not OBEYED.search(plain(EVIL))
    assert plain("http://[::1]:80/#[x] a::b") == "http://[::1]:80/#[x] a::b"
    whole = dumps({EVIL: [EVIL]})
    assert not OBEYED.search(whole)
    assert json.loads(whole) == {EVIL: [EVIL]}


def test_an_error_is_an_annotation_and_a_group_folds_the_log(world: World) -> None:
    world.env.setenv("GITHUB_ACTIONS", "true")
    world.emulator.outcome = lambda _: "failed"
    result = world.airvid("create", "a fox", "--wait")
    assert result.code == 5
    lines = result.err.splitlines()
    commands = [line.split("::")[1] for line in lines if line.startswith("::")]
    assert commands == ["group", "endgroup", "error title=airvid"]
    assert "the task failed" in next(line for line in lines if line.startswith("::error"))
    for quiet in ("-q", "--json"):
        silent = world.airvid(quiet, "create", "a fox", "--wait").err
        assert "::group" not in silent
    assert "::" not in world.airvid("--json", "status", "nothing-like-it").err
    world.env.delenv("GITHUB_ACTIONS")
    assert "::" not in world.airvid("create", "a fox", "--wait").err


# ---------------------------------------------------------------------- the summary


def rows(path: Path) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| clip")
    ]


def test_every_command_that_makes_clips_summarises_them(world: World) -> None:
    made = world.airvid(
        "create", "a fox | <b>", "-n", "2", "-d", "4", "-m", "wan-2.6", "-o", "f.mp4", "--summary", "s.md"
    )
    assert made.code == 0, made.err
    first, second, total = rows(world.folder / "s.md")
    assert first[1:3] == ["a fox &#124; &#60;b&#62;", "wan-2.6".replace("_", "")]
    assert first[3:6] == ["completed", "4", "&#36;0.09"]
    assert (first[6], second[6]) == ("f-1.mp4", "f-2.mp4")
    assert total == ["total", "2 clips", "", "", "8", "&#36;0.18", ""]
    tasks = [each["task_id"] for each in world.objects("list", "--json")]
    assert world.airvid("watch", *tasks, "--summary", "w.md").code == 0
    assert world.airvid("download", *tasks, "-o", "new/", "--summary", "s.md").code == 0
    assert len(rows(world.folder / "w.md")) == 3
    assert len(rows(world.folder / "s.md")) == 6
    world.emulator.outcome = lambda _: "failed"
    assert world.airvid("create", "a bear", "--wait", "--summary", "b.md").code == 5
    failure, total = rows(world.folder / "b.md")
    assert (failure[3:6], total[1], total[3:6]) == (["failed", "2", "&#36;0"], "1 clip", ["", "2", "&#36;0.00"])
    failed = world.airvid("list", "--ids", "--status", "failed").lines[0]
    assert world.airvid("download", failed, "--summary", "d.md").code == 5
    assert rows(world.folder / "d.md")[0][3] == "task&#95;failed"


def test_github_gets_its_summary_unasked(world: World) -> None:
    world.env.setenv("GITHUB_STEP_SUMMARY", "step.md")
    assert world.airvid("create", "a fox", "--wait").code == 0
    assert not os.path.exists("step.md")
    world.env.setenv("GITHUB_ACTIONS", "true")
    assert world.airvid("list").code == 0
    assert not os.path.exists("step.md")
    assert world.airvid("create", "a fox", "--wait").code == 0
    assert len(rows(Path("step.md"))) == 2
    world.env.setenv("GITHUB_STEP_SUMMARY", "no/such/step.md")
    result = world.airvid("create", "a fox", "--wait")
    assert (result.code, result.out.count("http")) == (0, 1)
    assert "warning: the summary" in result.err


def test_a_summary_that_cannot_be_written_is_found_before_anything_is_spent(world: World) -> None:
    result = world.airvid("create", "a fox", "--summary", "no/such/summary.md")
    assert (result.code, result.out) == (11, "")
    assert "--summary no/such/summary.md: No such file" in result.err
    assert world.posts == []
