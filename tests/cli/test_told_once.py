"""What a user sees of results and times: once, of the clip, and as JSON where JSON is asked for."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal

import pytest
from creates import CREATE
from in_process_terminal import run_on_terminal
from program import World, json_answer

from airvid.sandbox.emulator import Pace, Request


@pytest.mark.parametrize(
    "command",
    [[*CREATE, "-o", "fox.mp4"], ["download", "last", "-o", "fox.mp4"], ["watch", "last", "-o", "fox.mp4"]],
    ids=lambda command: command[0],
)
def test_on_a_terminal_a_saved_clip_is_told_once(world: World, command: list[str]) -> None:
    if command[0] != "create":
        world.airvid(*CREATE)
        world.clock.advance(100)
    screen = run_on_terminal(world, *command).screen
    assert screen.count("fox.mp4") == 1
    assert "✓" in screen
    quiet = run_on_terminal(world, *command, "--force", "-q").screen
    assert (quiet.count("fox.mp4"), "✓" in quiet) == (1, False)


def test_on_a_terminal_a_row_of_a_batch_is_told_once(world: World) -> None:
    (world.folder / "clips.jsonl").write_text('{"id": "fox", "prompt": "fox", "model": "wan-2.6"}')
    screen = run_on_terminal(world, "batch", "clips.jsonl", "-y", "-o", "{row}.mp4").screen
    assert (screen.count("fox.mp4"), "✓" in screen) == (1, True)


def test_on_a_terminal_a_failure_is_told_once(world: World) -> None:
    screen = run_on_terminal(world, "create", "fox [[fail: no foxes]]", "-m", "wan-2.6", "--wait").screen
    assert (screen.count("failed"), "✗" in screen) == (1, False)


def test_of_several_clips_one_that_cannot_be_saved_is_not_said_to_be_done(world: World) -> None:
    world.airvid(*CREATE, "-n", "2")
    (world.folder / "fox.mp4").touch()
    screen = run_on_terminal(world, "watch", "-o", "fox.mp4").screen
    assert screen.count("✗") == screen.count("completed after 1m05s, not saved")


def test_on_a_terminal_lines_break_between_words_and_commands_do_not(world: World) -> None:
    world.airvid(*CREATE)
    lines = run_on_terminal(world, "delete", "last", columns=60, typed="y\n").screen.splitlines()
    assert "only the history is removed: stored media and running jobs" in lines
    why = "too many foxes in too much snow for one clip"
    told, command = f"the task failed: {why}; it is not charged", ["create", f"fox [[fail: {why}]]", "--wait"]
    lines = run_on_terminal(world, *command, columns=70).screen.splitlines()
    assert max(map(len, lines)) <= 70
    assert told in " ".join(lines)
    world.env.setenv("CI", "true")
    assert told in run_on_terminal(world, *command, columns=70).screen
    world.env.delenv("CI")
    words = [f"fox{n}" for n in range(30)]
    hint = f'hint: airvid create "{" ".join(words)}"'
    assert hint in run_on_terminal(world, "create", *words, columns=40).screen


def test_a_deletion_says_once_that_only_the_history_goes(world: World) -> None:
    for typed in ([], ["-y"]):
        world.airvid(*CREATE)
        assert run_on_terminal(world, "delete", "last", *typed, typed="y\n").screen.count("not touched") == 1


def test_on_a_terminal_a_watch_of_three_is_a_line_each_and_how_to_save_them(world: World) -> None:
    world.airvid(*CREATE, "-n", "3")
    lines = run_on_terminal(world, "watch").screen.splitlines()
    assert len(lines) == 4
    assert [re.sub(r"\w{8}", "ID", line, count=1) for line in lines[:3]] == ["✓ ID: completed after 1m05s"] * 3
    assert re.fullmatch(r"to save them: airvid download [\w-]{36} [\w-]{36} [\w-]{36}", lines[3])


def test_the_time_is_the_clip_s_and_not_the_command_s(world: World) -> None:
    world.airvid(*CREATE)
    world.clock.advance(50)
    assert "completed after 1m05s" in world.airvid("watch", "last").err
    assert "completed\n" in world.airvid("watch", "last").err
    assert re.search(r"saved fox.mp4 \(8 s, .*\) for ", world.airvid("download", "last", "-o", "fox.mp4").err)


def test_the_time_of_a_task_made_elsewhere_is_its_own_too(world: World) -> None:
    task = world.airvid(*CREATE).lines[0]
    world.clock.advance(50)
    shutil.rmtree(world.folder.parent / "data")
    assert "completed after 1m05s" in world.airvid("watch", task).err


def test_lines_of_several_clips_carry_clock_and_prompt(world: World) -> None:
    world.env.setenv("TZ", "UTC")
    world.airvid(*CREATE)
    world.airvid("create", "a wolf in the mist of a long morning", "-m", "wan-2.6")
    said = world.airvid("watch").err
    assert re.search(r"^\d\d:\d\d:\d\d \w{8} \(fox\): processing", said, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d \w{8} \(a wolf in the mist of a…\): completed after", said, re.MULTILINE)


# ---------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    "command",
    [
        [*CREATE, "-o", "fox.mp4", "--debug"],
        ["watch"],
        ["watch", "last", "--timeout", "3"],
        ["list", "--status", "failed"],
        ["models", "--max-price", "0"],
        ["download", "last"],
        ["delete", "last", "-y"],
        ["status", "nosuchtask"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("rendering", ["pipe", "terminal"])
def test_with_json_standard_error_carries_json_lines_only(world: World, command: list[str], rendering: str) -> None:
    world.airvid(*CREATE)
    failures = iter([1] * 5)
    world.answer = lambda request: json_answer(503, {}) if request.method == "GET" and next(failures, 0) else None
    if rendering == "pipe":
        lines = world.airvid(*command, "--json").err.splitlines()
        assert lines
    else:
        run = run_on_terminal(world, *command, "--json")
        assert "\x1b" not in run.raw
        lines = [line for line in run.raw.splitlines() if line.startswith('{"note') or line[:1] not in '[]{} "']
    assert {next(iter(json.loads(line))) for line in lines} <= {"note", "error"}


def test_amounts_are_exact_and_paths_absolute(world: World) -> None:
    plan = world.airvid("create", "fox", "-m", "dune-lite", "-d", "3", "-n", "7", "--dry-run", "--json").json
    assert plan["airvid"]["estimate_cents"] == 2.1
    made = world.airvid("create", "fox", "-m", "dune-lite", "-d", "3", "-o", "fox.mp4", "--json").objects[-1]["airvid"]
    assert (made["estimate_cents"], made["output"]) == (0.3, str(world.folder / "fox.mp4"))


# ---------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ([], ""),
        (["-o", "fox.mp4"], " -o fox.mp4"),
        (["-o", "{short_id}.mp4"], " -o '{short_id}.mp4'"),
    ],
    ids=["no file", "numbered", "template"],
)
def test_an_interruption_gives_one_hint_for_all_clips(world: World, output: list[str], expected: str) -> None:
    def interrupt(request: Request) -> None:
        if len(world.posts) == 4 and request.method == "GET" and not request.route.endswith("/tasks"):
            os.kill(os.getpid(), signal.SIGINT)

    world.answer = interrupt
    result = world.airvid(*CREATE, "--wait", "-n", "4", *output)
    assert result.code == 130
    (hint,) = [line for line in result.err.splitlines() if "pick" in line]
    assert re.fullmatch(
        rf"the tasks go on; to pick them up: airvid watch( [\w-]{{36}}){{4}}{re.escape(expected)}", hint
    )


# ---------------------------------------------------------------------- the bell


@pytest.mark.parametrize("command", [[*CREATE, "--wait"], ["watch"]], ids=lambda command: command[0])
def test_the_bell_rings_once_when_a_long_wait_ends(world: World, command: list[str]) -> None:
    def rings(*more: str) -> int:
        world.airvid(*CREATE)
        return run_on_terminal(world, *command, *more).raw.count("\a")

    assert (rings(), rings("--bell")) == (0, 1)
    assert world.airvid("config", "set", "bell", "true").code == 0
    assert (rings(), rings("--no-bell")) == (1, 0)
    assert "\a" not in world.airvid(*CREATE, "--wait").err
    world.emulator.pace = Pace(queued=0, processing=5)
    assert rings() == 0
