"""airvid watch: several tasks, files, time limits. Following one task is tested in test_follow.py."""

from __future__ import annotations

import json
import re

import pytest
from program import World, fields, json_answer

from airvid.sandbox.emulator import Request, Response
from airvid.sandbox.faults import parse_fault

MISSING = "00000000-0000-4000-8000-000000000000"


def made(world: World, *outcomes: str) -> list[str]:
    """Tasks that were just created, to end as said, in this order."""
    left = iter(outcomes)
    world.emulator.outcome = lambda _: next(left)
    return [world.airvid("create", f"clip {n}", "-m", "wan-2.6").lines[0] for n in range(len(outcomes))]


def test_prints_a_line_as_a_task_ends(world: World) -> None:
    (task,) = made(world, "completed")
    result = world.airvid("watch", task)
    (line,) = map(fields, result.lines)
    assert (result.code, line[:2]) == (0, [task, "completed"])
    assert line[2].startswith(f"http://storage.test/clips/{task}.mp4?")


def test_prints_the_file_where_it_saved_one(world: World) -> None:
    (task,) = made(world, "completed")
    result = world.airvid("watch", task, "-o", "fox.mp4")
    assert [fields(line) for line in result.lines] == [[task, "completed", "fox.mp4"]]
    assert (world.folder / "fox.mp4").read_bytes()[4:8] == b"ftyp"


def test_saves_each_of_several_under_its_number(world: World) -> None:
    tasks = made(world, "completed", "completed")
    result = world.airvid("watch", *tasks, "-o", "fox.mp4")
    assert (result.code, sorted(fields(line)[2] for line in result.lines)) == (0, ["fox-1.mp4", "fox-2.mp4"])


def test_without_an_id_it_takes_all_that_are_running(world: World) -> None:
    (done,) = made(world, "completed")
    world.clock.advance(100)
    running = made(world, "completed", "completed")
    result = world.airvid("watch")
    assert (result.code, sorted(fields(line)[0] for line in result.lines)) == (0, sorted(running))
    assert done not in result.out


def test_without_an_id_it_takes_those_of_other_machines_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = made(world, "completed")
    monkeypatch.setenv("XDG_DATA_HOME", str(world.folder / "other"))
    assert fields(world.airvid("watch").out)[0] == task


def test_without_anything_running_it_says_so(world: World) -> None:
    result = world.airvid("watch")
    assert (result.code, result.out) == (0, "")
    assert "nothing is running" in result.err


def test_what_was_deleted_is_not_running_any_more(world: World) -> None:
    (task,) = made(world, "completed")
    assert world.airvid("delete", "-y", task).code == 0
    assert world.airvid("watch").code == 0


def test_json_is_a_line_a_change(world: World) -> None:
    (task,) = made(world, "completed")
    seen = world.airvid("watch", task, "--json").objects
    assert [each["status"] for each in seen][-2:] == ["processing", "completed"]
    assert {each["task_id"] for each in seen} == {task}
    assert seen[-1]["airvid"]["prompt"] == "clip 0"


def test_json_tells_where_the_clip_was_saved(world: World) -> None:
    made(world, "completed")
    last = world.airvid("watch", "last", "--json", "-o", "fox.mp4").objects[-1]
    file = world.folder / "fox.mp4"
    assert (last["airvid"]["output"], last["airvid"]["bytes"]) == (str(file), file.stat().st_size)


# ---------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["completed"], 0),
        (["failed"], 5),
        (["completed", "completed"], 0),
        (["failed", "failed"], 5),
        (["completed", "failed"], 1),
    ],
)
def test_answers_for_its_tasks(world: World, outcomes: list[str], code: int) -> None:
    tasks = made(world, *outcomes)
    result = world.airvid("watch", *tasks)
    assert result.code == code
    assert {fields(line)[0]: fields(line)[1] for line in result.lines} == dict(zip(tasks, outcomes, strict=True))
    assert result.err.count("not charged") == outcomes.count("failed")


def test_a_failure_never_stops_the_others(world: World) -> None:
    tasks = made(world, "failed", "completed", "completed")
    result = world.airvid("watch", *tasks, "-o", "{n}.mp4")
    assert sorted(each.name for each in world.folder.iterdir()) == ["2.mp4", "3.mp4"]
    assert result.code == 1


def test_an_expired_task_is_6(world: World) -> None:
    (task,) = made(world, "completed")
    world.clock.advance(86_400)
    result = world.airvid("watch", task)
    assert (result.code, fields(result.out)[1]) == (6, "expired")
    assert "expired on 20" in result.err


def test_a_task_that_expires_before_its_day_is_over_names_no_time_to_come(world: World) -> None:
    said = {"task_id": MISSING, "status": "expired", "expires_at": world.clock.now() + 3600}
    world.answer = lambda _: json_answer(200, said)
    result = world.airvid("watch", MISSING)
    assert (result.code, "the task expired\n" in result.err) == (6, True), result.err


@pytest.mark.parametrize("arguments", [[MISSING], ["last"]])
def test_a_task_that_is_not_there_is_4(world: World, arguments: list[str]) -> None:
    assert world.airvid("watch", *arguments).code == 4


def test_what_cannot_be_found_is_told_while_the_rest_is_followed(world: World) -> None:
    (task,) = made(world, "completed")
    result = world.airvid("watch", MISSING, task)
    assert (result.code, fields(result.out)[0]) == (1, task)
    assert MISSING in result.err


def test_a_wrong_key_is_told_at_once(world: World) -> None:
    (task,) = made(world, "completed")
    world.emulator.keys = {"another"}
    before = world.clock.elapsed()
    assert world.airvid("watch", task).code == 3
    assert world.clock.elapsed() - before < 5


def test_a_clip_that_cannot_be_saved_is_told_by_its_own_code(world: World) -> None:
    (task,) = made(world, "completed")
    world.emulator.faults.append(parse_fault("dead-link*99"))
    result = world.airvid("watch", task, "-o", "fox.mp4")
    assert result.code == 9
    assert f"hint: airvid download {task} -o fox.mp4\n" in result.err
    assert not (world.folder / "fox.mp4").exists()
    (world.folder / "fox.mp4").write_bytes(b"an older one")
    forced = world.airvid("watch", task, "-o", "fox.mp4", "--force")
    assert f"hint: airvid download {task} -o fox.mp4 --force\n" in forced.err


# ---------------------------------------------------------------------- --timeout, --fail-fast


def test_a_timeout_is_10_and_says_how_to_go_on(world: World) -> None:
    (task,) = made(world, "completed")
    result = world.airvid("watch", task, "--timeout", "30", "-o", "my fox.mp4")
    assert (result.code, result.out) == (10, "")
    assert f"hint: airvid watch {task} -o 'my fox.mp4'" in result.err
    assert not re.search("try again|create", result.err)


def test_a_timeout_of_some_and_the_end_of_others_is_1(world: World) -> None:
    (first,) = made(world, "completed")
    world.clock.advance(50)
    (second,) = made(world, "completed")
    result = world.airvid("watch", first, second, "--timeout", "30s", "--json")
    assert result.code == 1
    assert json.loads(result.err.splitlines()[-1])["error"]["task_id"] == second


@pytest.mark.parametrize("limit", ["", "soon", "-5", "5x"])
def test_a_timeout_that_is_no_time_is_a_usage_error(world: World, limit: str) -> None:
    made(world, "completed")
    assert world.airvid("watch", "last", "--timeout", limit).code == 2


@pytest.mark.parametrize(("options", "followed"), [(["--fail-fast"], 1), ([], 2)])
def test_fail_fast_stops_following_at_the_first_failure(world: World, options: list[str], followed: int) -> None:
    (first,) = made(world, "failed")
    world.clock.advance(30)
    (second,) = made(world, "completed")
    result = world.airvid("watch", second, first, *options)
    assert len(result.lines) == followed
    assert result.code == (5 if options else 1)


def test_a_server_that_fails_for_an_hour_does_not_end_the_watch(world: World) -> None:
    (task,) = made(world, "completed")
    back = world.clock.now() + 3600

    def answer(request: Request) -> Response | None:
        return json_answer(503, {}) if world.clock.now() < back and not request.storage else None

    world.answer = answer
    assert world.airvid("watch", task, "-o", "fox.mp4").code == 0


# ---------------------------------------------------------------------- what is said meanwhile


def test_progress_is_a_line_a_change_and_at_most_one_every_ten_seconds(world: World) -> None:
    (task,) = made(world, "completed")
    lines = [line for line in world.airvid("watch", task).err.splitlines() if line.startswith(task[:8])]
    assert len([line for line in lines if "processing" in line]) <= 7
    assert len([line for line in lines if "queued" in line]) == 1


def test_quiet_says_nothing_but_results_and_errors(world: World) -> None:
    tasks = made(world, "completed", "failed")
    result = world.airvid("watch", "-q", *tasks)
    assert len(result.lines) == 2
    assert all(line.startswith("error: ") for line in result.err.splitlines())


def test_four_are_followed_side_by_side(world: World) -> None:
    made(world, *["completed"] * 4)
    before = world.clock.elapsed()
    assert len(world.airvid("watch").lines) == 4
    assert world.clock.elapsed() - before < 80


@pytest.mark.parametrize("name", ["\ud800", "A" * 300, "..", "a\tb"])
def test_what_cannot_be_an_id_is_a_usage_error(world: World, name: str) -> None:
    for command in ("watch", "status", "download"):
        result = world.airvid(command, name)
        assert (result.code, world.calls) == (2, []), result.err
        assert "no task id" in result.err


def test_a_task_that_is_not_there_has_no_state(world: World) -> None:
    result = world.airvid("watch", "00000000-0000-4000-8000-000000000000")
    assert (result.code, result.out) == (4, "")
    assert "queued" not in result.err
    assert "hint: airvid list" in result.err


def test_what_the_journal_remembers_of_a_task_that_is_gone_is_no_result(world: World) -> None:
    [task] = world.airvid("create", "fox", "--wait", "--json").objects[-1:]
    world.airvid("delete", "-y", task["task_id"])
    began = world.clock.now()
    result = world.airvid("watch", task["task_id"])
    assert (result.code, result.out) == (4, "")
    assert world.clock.now() - began < 5
    [entry] = world.airvid("list", "--local", "--json", "--status", "completed").json
    assert entry["task_id"] == task["task_id"]


def test_a_task_that_was_deleted_while_it_ran_is_found_as_such(world: World) -> None:
    [task] = world.airvid("create", "fox").lines
    world.airvid("delete", "-y", task)
    began = world.clock.now()
    assert world.airvid("watch", task).code == 4
    assert world.clock.now() - began < 5
    assert [each["task_id"] for each in world.objects("list", "--local", "--json", "--status", "deleted")] == [task]
