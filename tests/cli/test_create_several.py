"""Several clips of one create: a seed each, one answer where only some are made, and prices that pass a limit."""

from __future__ import annotations

import json
import shlex

import pytest
from creates import POST, rows
from program import World, json_answer

from airvid.sandbox.emulator import Fault, Request, Response

WAN = ["-m", "wan-2.6", "-d", "8"]


def seeds(world: World) -> list[object]:
    return [body.get("seed") for body in world.posts]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (["--seed", "3"], [3, 4, 5]),
        (["--seed", "-1"], [-1, 0, 1]),
        (["--set", "seed=3"], [3, 4, 5]),
        (["--set", 'seed="three"'], ["three"] * 3),
        ([], [None] * 3),
    ],
)
def test_the_seeds_of_several_clips_count_up(world: World, options: list[str], sent: list[object]) -> None:
    assert world.airvid("create", "fox", *WAN, "-n", "3", *options).code == 0
    assert seeds(world) == sent
    assert [made["airvid"]["request"].get("seed") for made in world.objects("list", "--local", "--json")] == sent[::-1]


def test_a_name_has_the_seed_of_its_clip(world: World) -> None:
    result = world.airvid("create", "fox", *WAN, "-n", "3", "--seed", "9", "-o", "{slug}-{seed}-{n}.mp4")
    assert sorted(result.lines) == ["fox-10-2.mp4", "fox-11-3.mp4", "fox-9-1.mp4"]


def test_seeds_that_would_count_beyond_the_largest_are_refused(world: World) -> None:
    result = world.airvid("create", "fox", *WAN, "-n", "2", "--seed", str(2**63 - 1))
    assert (result.code, world.posts) == (2, [])
    assert "the seed of clip 2" in result.err


# ---------------------------------------------------------------------- some are refused


def test_at_the_limit_the_hint_buys_the_rest_alone(world: World) -> None:
    """Six are asked for, four fit: the hint buys two, with the seeds that are missing."""
    asked = ["create", "fox in snow", *WAN, "-n", "6", "--seed", "3", "--set", "steps=30", "--no-sound"]
    result = world.airvid(*asked)
    assert (result.code, len(result.lines)) == (8, 4)
    assert result.err.count("error: ") == 1
    assert "4 of 6 clips were submitted" in result.err
    (hint,) = [line.removeprefix("hint: ") for line in result.err.splitlines() if line.startswith("hint: ")]
    first_refused = len(world.posts)
    assert world.airvid(*shlex.split(hint)[1:]).code == 0
    made = [body for body in world.posts[first_refused:] if body["seed"] > 6]
    assert {body["seed"] for body in made} == {7, 8}
    assert [{**body, "seed": 3} for body in made] == [world.posts[0]] * len(made)
    assert sorted(fate for fate, _ in rows(world.folder.parent)) == ["known"] * 6 + ["refused"]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (402, 7, ["-", "--prompt-file", "p.txt"]),
        (400, 1, ["--", "-fox"]),
        (401, 3, ["a 'fox'"]),
        (413, 1, ["fox", "-r", "http://h/a.png", "-r", "http://h/b.png"]),
    ],
)
def test_any_refusal_of_some_is_told_once(world: World, status: int, code: int, words: list[str]) -> None:
    (world.folder / "p.txt").write_text("fox")
    world.emulator.faults.append(Fault(POST, json_answer(status, {"error": "No."}), before=True, skip=1))
    asked = words[1:] if words[0] == "-" else words
    result = world.airvid("create", "-m", "seedance-2.0", "-n", "3", "--json", *asked)
    (error,) = [json.loads(line)["error"] for line in result.err.splitlines() if line.startswith('{"error"')]
    assert (result.code, error["exit_code"], len(result.lines), len(world.posts)) == (code, code, 1, 2)
    assert "1 of 3 clips were submitted" in error["message"]
    rest = shlex.split(error["hint"][error["hint"].index("airvid create") :])
    assert world.airvid(*rest[1:]).code == 0
    assert world.posts[2:] == [world.posts[0]] * 2


@pytest.mark.parametrize("status", [400, 402])
def test_a_whole_command_that_was_refused_is_no_hint(world: World, status: int) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(status, {"error": "No."}), before=True))
    result = world.airvid("create", "fox", "-n", "3")
    assert ("0 of 3 clips" in result.err, "hint: " in result.err, len(world.posts)) == (True, False, 1)


@pytest.mark.parametrize("output", ["fox.mp4", "{n}-{slug}.mp4", "{seed}.mp4", "{{fox}}.mp4", "new/"])
def test_the_rest_replaces_none_of_the_clips_that_are_there(world: World, output: str) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(402, {"error": "No."}), before=True, skip=2))
    result = world.airvid("create", "fox", "-m", "dune-lite", "-n", "4", "-o", output, "--seed", "5", "--force")
    assert (result.code, len(result.lines)) == (1, 2)
    (hint,) = [line.removeprefix("hint: airvid ") for line in result.err.splitlines() if line.startswith("hint: ")]
    rest = world.airvid(*shlex.split(hint))
    assert (rest.code, len({*result.lines, *rest.lines})) == (0, 4), rest.err


def test_where_the_time_runs_out_the_clips_without_a_task_are_told_once(world: World) -> None:
    result = world.airvid("create", "fox", *WAN, "-n", "7", "--wait", "--timeout", "30", "--seed", "1")
    assert (result.code, len(world.posts)) == (1, 5)
    assert result.err.count("error: ") == 5
    assert result.err.count("4 of 7 clips were submitted") == 1
    assert "hint: airvid create fox --model wan-2.6 --duration 8 --count 3 --wait --timeout 30 --seed 5" in result.err


# ---------------------------------------------------------------------- a price that was not estimated


def dearer(world: World, cents: float) -> None:
    """The server asks more for each clip than its list says."""

    def answer(request: Request) -> Response | None:
        if request.method != "POST":
            return None
        told = world.emulator.handle(request, world.clock.now())
        return json_answer(200, json.loads(told.body) | {"cost_cents": cents})

    world.answer = answer


@pytest.mark.parametrize("limit", ["--max-cost", "budget.day"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_price_above_a_limit_is_said_aloud_and_no_further_clip_is_bought(
    world: World, limit: str, count: int
) -> None:
    """Three for $0.54 are within $0.60; the first alone costs $0.90."""
    options = ["--max-cost", "0.6"] if limit == "--max-cost" else []
    if not options:
        assert world.airvid("config", "set", limit, "0.6").code == 0
    dearer(world, 90)
    result = world.airvid("create", "fox", *WAN, "-n", str(count), "-q", *options)
    assert (result.code, len(result.lines), len(world.posts)) == (7 if count > 1 else 0, 1, 1)
    assert "costs $0.90, estimated at $0.18" in result.err
    assert ("1 of 3 clips were submitted" in result.err) == (count > 1)
    assert "hint:" not in result.err
    again = world.airvid("create", "fox", *WAN, *options)
    assert (again.code, len(world.posts)) == ((7, 1) if limit == "budget.day" else (0, 2))


def test_a_price_within_the_limits_is_no_news(world: World) -> None:
    dearer(world, 20)
    result = world.airvid("create", "fox", *WAN, "-n", "3", "--max-cost", "0.6")
    assert (result.code, len(result.lines)) == (0, 3)
    assert "warning" not in result.err
