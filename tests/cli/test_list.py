"""airvid list."""

from __future__ import annotations

import datetime
import re

import pytest
from in_process_terminal import run_on_terminal
from program import World, fields, json_answer
from virtual_clock import NOON


@pytest.fixture
def tasks(world: World) -> list[str]:
    """Four tasks an hour apart, newest first: running, failed, completed and saved, completed."""
    made = []
    outcomes = iter(["completed", "completed", "failed", "completed"])
    world.emulator.outcome = lambda _: next(outcomes)
    for n, prompt in enumerate(("old fox", "saved FOX", "a wolf", "Füchse, new")):
        model = ["wan-2.6", "dune-lite"][n % 2]
        made.append(world.airvid("create", prompt, "-m", model, "--no-wait").lines[0])
        if n == 1:
            world.airvid("watch", "last", "-o", "fox.mp4")
        if n < 3:
            world.clock.advance(3600)
    return made[::-1]


def ids(world: World, *options: str) -> list[str]:
    result = world.airvid("list", "--ids", *options)
    assert result.code == 0, result.err
    return result.lines


def test_is_newest_first(world: World, tasks: list[str]) -> None:
    assert [fields(line)[0] for line in world.airvid("list").lines] == tasks


def test_is_newest_first_even_where_the_server_s_list_is_not(world: World) -> None:
    entries = [{"task_id": f"task-{n}", "created": n, "status": "completed"} for n in (2, 9, 5)]
    world.answer = lambda _: json_answer(200, {"data": entries})
    assert ids(world) == ["task-9", "task-5", "task-2"]


def test_a_line_has_the_task_s_columns_and_no_header(world: World, tasks: list[str]) -> None:
    lines = [fields(line) for line in world.airvid("list").lines]
    saved = str(world.folder / "fox.mp4")
    assert lines[2] == [tasks[2], "completed", "100", lines[2][3], "0.002", "dune-lite", "saved FOX", saved]
    assert NOON + 3600 <= float(lines[2][3]) <= NOON + 3700
    assert {len(line) for line in lines} == {8}


def test_a_prompt_stays_on_its_line(world: World) -> None:
    world.airvid("create", "a\tfox\nin  snow" + "w" * 500)
    (line,) = world.airvid("list").lines
    assert fields(line)[6].startswith("a fox in  snow")
    assert fields(line)[6].endswith("w" * 500)


@pytest.mark.parametrize("options", [[], ["--local"]])
def test_json_is_one_array(world: World, tasks: list[str], options: list[str]) -> None:
    found = world.airvid("list", "--json", *options).json
    assert [each["task_id"] for each in found] == tasks
    assert found[2]["airvid"]["output"] == str(world.folder / "fox.mp4")
    assert found[1]["airvid"]["prompt"] == "a wolf"


@pytest.mark.parametrize("options", [[], ["--local"], ["--ids"]])
def test_json_of_nothing_is_an_empty_array(world: World, options: list[str]) -> None:
    assert world.airvid("list", "--json", *options).out == "[]\n"


def test_ids_as_json_are_an_array_too(world: World, tasks: list[str]) -> None:
    assert len(world.airvid("list", "--ids", "--json").json) == len(tasks)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--status", "failed"], [1]),
        (["--status", "FAILED", "--status", "queued"], [0, 1]),
        (["--status", "succeeded"], [2, 3]),
        (["--model", "wan-2.6"], [1, 3]),
        (["-m", "wan-2.6", "--status", "completed"], [3]),
        (["--since", "90m"], [0, 1]),
        (["--since", "2.5h"], [0, 1, 2]),
        (["--since", "1d"], [0, 1, 2, 3]),
        (["-L", "2"], [0, 1]),
        (["--limit", "2", "--page", "2"], [2, 3]),
        (["--limit", "3", "--page", "2"], [3]),
        (["--page", "9"], []),
        (["-L", "1", "--status", "completed", "--page", "2"], [3]),
    ],
)
def test_filters_and_pages(world: World, options: list[str], expected: list[int]) -> None:
    listed = [
        {"task_id": f"task-{n}", "status": status, "model": model, "created": NOON - 3600 * n}
        for n, (status, model) in enumerate(
            [("Queued", "dune-lite"), ("failed", "wan-2.6"), ("completed", "dune-lite"), ("completed", "wan-2.6")]
        )
    ]
    world.answer = lambda _: json_answer(200, {"data": listed})
    assert ids(world, *options) == [f"task-{n}" for n in expected]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--status", "failed"], [1]),
        (["--status", "SUCCEEDED"], [2, 3]),
        (["-m", "wan-2.6", "--status", "completed"], [3]),
        (["--since", "90m"], [0, 1]),
        (["-L", "3", "--page", "2"], [3]),
    ],
)
def test_filters_and_pages_the_journal(world: World, tasks: list[str], options: list[str], expected: list[int]) -> None:
    world.airvid("list")  # it learns how they ended
    assert ids(world, "--local", *options) == [tasks[n] for n in expected]


def test_since_takes_a_local_time(world: World, tasks: list[str]) -> None:
    moment = datetime.datetime.fromtimestamp(world.clock.now() - 1800).strftime("%Y-%m-%d %H:%M")
    assert ids(world, "--since", moment) == tasks[:1]


def test_since_takes_a_local_day(world: World, tasks: list[str]) -> None:
    today = datetime.datetime.fromtimestamp(NOON)
    assert ids(world, "--since", f"{today - datetime.timedelta(days=1):%Y-%m-%d}") == tasks
    assert ids(world, "--since", f"{today + datetime.timedelta(days=2):%Y-%m-%d}") == []


def test_shows_thirty_where_nothing_is_said(world: World) -> None:
    entries = [{"task_id": f"task-{n}", "created": n} for n in range(100)]
    world.answer = lambda _: json_answer(200, {"data": entries})
    assert len(ids(world)) == 30
    assert len(ids(world, "-L", "1000")) == 100


@pytest.mark.parametrize(
    "options",
    [["--status", "good"], ["--since", "soon"], ["-L", "0"], ["-L", "-1"], ["--page", "0"],
     ["--status", "unknown"], ["--since", "9" * 400 + "d"]],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_a_usage_error(world: World, options: list[str]) -> None:
    result = world.airvid("list", *options)
    assert (result.code, world.calls) == (2, [])


@pytest.mark.parametrize(("text", "expected"), [("fox", [2, 3]), ("FÜCHSE", [0]), ("%", []), ("old fox", [3])])
def test_search_looks_through_the_journal_s_prompts(
    world: World, tasks: list[str], text: str, expected: list[int]
) -> None:
    assert ids(world, "--search", text) == ids(world, "--local", "--search", text) == [tasks[n] for n in expected]


def test_local_asks_nobody_and_outlives_the_api(world: World, tasks: list[str]) -> None:
    world.clock.advance(30 * 86_400)
    world.env.delenv("AIRVID_API_KEY")
    world.emulator.requests.clear()
    result = world.airvid("list", "--local")
    assert [fields(line)[0] for line in result.lines] == tasks
    assert world.calls == []
    assert "saved FOX" in result.out


def test_the_journal_s_prompt_stands_beside_a_task_that_does_not_tell_it(world: World) -> None:
    task = world.airvid("create", "fox").lines[0]
    world.answer = lambda _: json_answer(200, {"data": [{"task_id": task, "status": "queued"}]})
    assert fields(world.airvid("list").out)[6] == "fox"
    assert world.airvid("list", "--json").json[0]["airvid"]["prompt"] == "fox"


@pytest.mark.parametrize(
    "entry",
    [{}, {"task_id": None}, {"task_id": ""}, None, "x", 7, [{"task_id": "x"}]],
)
def test_entries_that_are_no_task_are_passed_over(world: World, entry: object) -> None:
    world.answer = lambda _: json_answer(200, {"data": [entry, {"task_id": "good", "status": None}]})
    assert ids(world) == ["good"]


@pytest.mark.parametrize("local", [[], ["--local"]])
def test_a_page_beyond_all_is_empty(world: World, local: list[str]) -> None:
    assert ids(world, "--page", "1000000", "-L", "1000000", *local) == []


@pytest.mark.parametrize("command", [["list"], ["list", "--local"], ["status", "last"]])
@pytest.mark.parametrize(
    ("folder", "shown"), [(".", "takes/fox.mp4"), ("takes", "fox.mp4"), ("beside", "../takes/fox.mp4")]
)
def test_a_file_is_shown_as_a_path_from_here(world: World, command: list[str], folder: str, shown: str) -> None:
    world.airvid("create", "x", "-m", "wan-2.6", "-o", "takes/fox.mp4")
    (world.folder / "beside").mkdir()
    world.env.chdir(world.folder / folder)
    found = run_on_terminal(world, *command, columns=120)
    assert re.search(rf"\s{re.escape(shown)}\s", found.screen)


@pytest.mark.parametrize("local", [[], ["--local"]])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], ""),
        (["-L", "3"], "3 of 4 tasks; --page 2 shows more, -L 4 shows all"),
        (["-L", "3", "--page", "2"], "1 of 4 tasks; -L 4 shows all"),
        (["-L", "3", "--page", "7"], "0 of 4 tasks; --page 2 is the last, -L 4 shows all"),
        (["-L", "1", "-m", "wan-2.6"], "1 of 2 tasks; --page 2 shows more, -L 2 shows all"),
        (["-m", "wan2.6"], "did you mean wan-2.6"),
    ],
)
@pytest.mark.usefixtures("tasks")
def test_says_how_many_there_are_and_how_to_see_the_rest(
    world: World, local: list[str], options: list[str], said: str
) -> None:
    result = world.airvid("list", *options, *local)
    assert (result.code, said in result.err, bool(result.err)) == (0, True, bool(said))


def test_no_task_is_said_on_standard_error(world: World) -> None:
    result = world.airvid("list")
    assert (result.code, result.out) == (0, "")
    assert "no tasks" in result.err


def test_without_a_key_it_is_3(world: World) -> None:
    world.env.delenv("AIRVID_API_KEY")
    result = world.airvid("list")
    assert result.code == 3
    assert "airvid auth login" in result.err
