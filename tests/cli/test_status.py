"""airvid status, and the ids that all commands take."""

from __future__ import annotations

import json

import pytest
from program import World, fields, json_answer
from virtual_clock import NOON

MISSING = "00000000-0000-4000-8000-000000000000"


def made(world: World, *prompts: str, outcome: str = "completed") -> list[str]:
    """Tasks that were created a while ago."""
    world.emulator.outcome = lambda _: outcome
    return [world.airvid("create", prompt, "-m", "wan-2.6").lines[0] for prompt in prompts or ("fox",)]


def test_prints_a_tab_separated_line_without_a_header(world: World) -> None:
    (task,) = made(world)
    world.clock.advance(35)
    result = world.airvid("status", task)
    assert result.code == 0
    assert [fields(line) for line in result.lines] == [
        [task, "processing", "50", f"{NOON:.0f}", "0.045", "wan-2.6", "fox", ""]
    ]


def test_makes_one_reading_only(world: World) -> None:
    (task,) = made(world)
    world.emulator.requests.clear()
    world.airvid("status", task)
    assert world.calls == [f"GET /v1/video/tasks/{task}"]


def test_json_is_one_object_a_line(world: World) -> None:
    tasks = made(world, "a", "b")
    found = world.airvid("status", *tasks, "--json").objects
    assert [each["task_id"] for each in found] == tasks
    assert [each["airvid"]["prompt"] for each in found] == ["a", "b"]
    assert found[0]["airvid"]["request"]["model"] == "wan-2.6"


def test_keys_that_nobody_knows_survive_into_json(world: World) -> None:
    (task,) = made(world)
    world.answer = lambda _: json_answer(200, {"task_id": task, "status": "queued", "news": [1], "model": None})
    found = world.airvid("status", task, "--json").json
    assert (found["news"], found["model"]) == ([1], None)


@pytest.mark.parametrize("name", ["last", "{0:.4}", "{0:.13}", "{0}"])
def test_takes_an_id_a_prefix_or_last(world: World, name: str) -> None:
    first, second = made(world, "a", "b")
    expected = second if name == "last" else first
    result = world.airvid("status", name.format(first))
    assert (result.code, fields(result.out)[0]) == (0, expected)


def test_last_is_never_the_server_s_newest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made(world)
    monkeypatch.setenv("XDG_DATA_HOME", str(world.folder / "other"))
    result = world.airvid("status", "last")
    assert (result.code, result.out) == (4, "")
    assert result.err.endswith("hint: airvid list\n")


def test_a_prefix_of_several_ids_is_refused_with_their_names(world: World) -> None:
    tasks = [{"task_id": f"abcd-{n}", "status": "queued"} for n in (1, 2)]
    world.answer = lambda _: json_answer(200, {"data": tasks})
    result = world.airvid("status", "abcd")
    assert result.code == 2
    assert "abcd-1" in result.err
    assert "abcd-2" in result.err


def test_an_id_that_is_the_beginning_of_another_is_that_id(world: World) -> None:
    tasks = [{"task_id": name, "status": "queued"} for name in ("abcd", "abcd-1")]
    world.answer = lambda request: json_answer(200, {"data": tasks} if request.path.endswith("/tasks") else tasks[0])
    assert fields(world.airvid("status", "abcd").out)[0] == "abcd"


@pytest.mark.parametrize("text", ["{0}\n{1}\n", "{0}\r\n\r\n {1}", "{0}\n{1}\n{0}\n"])
def test_a_dash_reads_ids_from_standard_input(world: World, text: str) -> None:
    tasks = made(world, "a", "b")
    result = world.airvid("status", "-", stdin=text.format(*tasks).encode())
    assert (result.code, [fields(line)[0] for line in result.lines]) == (0, tasks)


@pytest.mark.parametrize(
    "stdin", [b"\xff\xfe\xfd\xfc", b"\x00\x1b[2J", b"../../models", b"....", "\u202eabcd".encode()]
)
def test_nonsense_on_standard_input_is_no_bug(world: World, stdin: bytes) -> None:
    result = world.airvid("status", "-", stdin=stdin)
    assert result.code in (2, 4)
    assert "bug" not in result.err


@pytest.mark.parametrize("ids", [[], [""]])
def test_no_id_is_a_usage_error(world: World, ids: list[str]) -> None:
    assert world.airvid("status", *ids).code == 2


def test_the_same_id_twice_is_read_once(world: World) -> None:
    (task,) = made(world)
    assert len(world.airvid("status", task, "last", task).lines) == 1


@pytest.mark.parametrize("path", ["a/../../models", "%2e%2e", "a?b=c", "a#b"])
def test_no_id_reaches_another_path(world: World, path: str) -> None:
    assert world.airvid("status", path).code == 2
    assert world.calls == []


# ---------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("outcome", "after", "plain", "answering"),
    [
        ("completed", 0, 0, 10),
        ("completed", 30, 0, 10),
        ("completed", 100, 0, 0),
        ("failed", 100, 0, 5),
        ("completed", 86_400, 0, 6),
    ],
)
def test_the_exit_code_is_the_reading_s_or_the_task_s(
    world: World, outcome: str, after: float, plain: int, answering: int
) -> None:
    made(world, outcome=outcome)
    world.clock.advance(after)
    assert world.airvid("status", "last").code == plain
    assert world.airvid("status", "last", "--exit-status").code == answering


def test_a_task_that_is_not_there_is_4(world: World) -> None:
    result = world.airvid("status", MISSING)
    assert (result.code, result.out) == (4, "")
    assert MISSING in result.err


def test_what_cannot_be_read_is_told_beside_what_can(world: World) -> None:
    (task,) = made(world)
    result = world.airvid("status", MISSING, task)
    assert (result.code, fields(result.out)[0]) == (1, task)
    assert MISSING in result.err


def test_several_of_one_kind_end_with_their_code(world: World) -> None:
    other = MISSING.replace("0", "1")
    result = world.airvid("status", MISSING, other, "--json")
    told = [json.loads(line)["error"] for line in result.err.splitlines()]
    assert result.code == 4
    assert [(each["task_id"], each["exit_code"]) for each in told] == [(MISSING, 4), (other, 4)]


def test_a_task_that_was_just_made_may_be_unknown_for_some_seconds(world: World) -> None:
    (task,) = made(world)
    born = world.clock.now()
    world.answer = lambda _: json_answer(404, {"error": "no"}) if world.clock.now() < born + 5 else None
    assert fields(world.airvid("status", task).out)[0] == task


def test_a_task_of_ours_that_is_gone_after_its_day_is_expired(world: World) -> None:
    (task,) = made(world)
    world.clock.advance(3 * 86_400)
    assert fields(world.airvid("status", task).out)[1] == "expired"
    assert world.airvid("status", task, "--exit-status").code == 6


def test_gives_up_on_a_failing_server_after_about_a_minute(world: World) -> None:
    (task,) = made(world)
    world.answer = lambda _: json_answer(503, {})
    before = world.clock.elapsed()
    assert world.airvid("status", task).code == 9
    assert 30 < world.clock.elapsed() - before < 90


@pytest.mark.parametrize("command", ["status", "watch", "download", "delete"])
@pytest.mark.parametrize("given", ["5", "5e6"])
def test_the_beginning_of_an_id_needs_four_characters(world: World, command: str, given: str) -> None:
    world.airvid("create", "x", "-m", "wan-2.6")
    result = world.airvid(command, given, *(["-y"] if command == "delete" else []))
    assert (result.code, "needs 4 characters" in result.err) == (4, True)
