"""airvid delete."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sys

import pytest
from program import World, json_answer

from airvid.sandbox.emulator import Request

MISSING = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def tasks(world: World) -> list[str]:
    """Three tasks, newest first: running; failed, an hour old; completed, two hours old."""
    outcomes = iter(["completed", "failed", "completed"])
    world.emulator.outcome = lambda _: next(outcomes)
    made = []
    for n in range(3):
        made.append(world.airvid("create", f"clip {n}").lines[0])
        world.clock.advance(3600 if n < 2 else 0)
    world.emulator.requests.clear()
    return made[::-1]


def deleted(world: World) -> list[str]:
    """The ids of the requests that deleted something."""
    return sorted(call.rpartition("/")[2] for call in world.calls if call.startswith("DELETE"))


def test_removes_the_entry_and_says_what_that_does_not_touch(world: World, tasks: list[str]) -> None:
    result = world.airvid("delete", "-y", tasks[1])
    assert (result.code, result.lines) == (0, [tasks[1]])
    assert "media and running jobs are not touched" in result.err
    assert world.airvid("list", "--ids").lines == [tasks[0], tasks[2]]


def test_json_is_an_object_a_line(world: World, tasks: list[str]) -> None:
    found = world.airvid("delete", "-y", "--json", *tasks[:2]).objects
    assert sorted(each["task_id"] for each in found) == sorted(tasks[:2])


@pytest.mark.parametrize("chosen", [["last"], ["{0:.6}"], ["-"]])
def test_takes_last_prefixes_and_standard_input(world: World, tasks: list[str], chosen: list[str]) -> None:
    result = world.airvid("delete", "-y", *(each.format(tasks[0]) for each in chosen), stdin=tasks[0].encode())
    assert (result.code, deleted(world)) == (0, [tasks[0]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--all"], [0, 1, 2]),
        (["--status", "failed"], [1]),
        (["--status", "completed", "--status", "FAILED"], [1, 2]),
        (["--older-than", "90m"], [2]),
        (["--older-than", "30m"], [1, 2]),
        (["--older-than", "30m", "--status", "failed"], [1]),
        (["--all", "--status", "failed"], [1]),
        (["--older-than", "7d"], []),
    ],
)
def test_selections_name_what_is_removed(
    world: World, tasks: list[str], options: list[str], expected: list[int]
) -> None:
    assert world.airvid("delete", "-y", *options).code == 0
    assert deleted(world) == sorted(tasks[n] for n in expected)


@pytest.mark.parametrize(
    "arguments",
    [
        [MISSING],
        ["--all"],
        ["-y"],
        [],
        ["-y", "--status", "good"],
        ["-y", "--older-than", "long"],
        ["-y", MISSING, "--all"],
        ["-y", ""],
        ["-y", ".."],
    ],
)
def test_what_is_not_meant_surely_deletes_nothing(world: World, arguments: list[str]) -> None:
    result = world.airvid("delete", *arguments)
    assert (result.code, result.out, deleted(world)) == (2, "", [])
    assert "error: " in result.err


@pytest.mark.parametrize("before", [[], ["--"]])
def test_off_a_terminal_the_hint_is_the_same_line_with_y(world: World, tasks: list[str], before: list[str]) -> None:
    told = world.airvid("delete", *before, "last").err.splitlines()[-1].removeprefix("hint: airvid ")
    assert world.airvid(*told.split()).code == 0
    assert deleted(world) == tasks[:1]


@pytest.mark.parametrize("status", [200, 404])
def test_deleting_what_is_gone_is_no_error(world: World, status: int) -> None:
    answer = json_answer(status, {"deleted": True} if status == 200 else {"error": "no"})
    world.answer = lambda request: answer if request.method == "DELETE" else None
    result = world.airvid("delete", "-y", MISSING)
    assert (result.code, result.lines) == (0, [MISSING])


@pytest.mark.parametrize(("status", "code"), [(401, 3), (403, 3), (400, 1), (429, 8), (503, 9)])
def test_a_refusal_is_told_for_its_task_and_does_not_stop_the_others(
    world: World, tasks: list[str], status: int, code: int
) -> None:
    world.answer = lambda request: json_answer(status, {"error": "No."}) if tasks[0] in request.path else None
    result = world.airvid("delete", "-y", *tasks)
    assert (result.code, sorted(result.lines)) == (1, sorted(tasks[1:]))
    assert f"error: {tasks[0]}" in result.err
    assert world.airvid("delete", "-y", tasks[0]).code == code


@pytest.mark.parametrize(
    ("answer", "code", "count"), [("y", 0, 1), ("YES", 0, 1), ("n", 1, 0), ("", 1, 0), ("x", 1, 0)]
)
def test_asks_on_a_terminal(
    world: World, tasks: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, code: int, count: int
) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    terminal = Terminal(io.BytesIO(f"{answer}\n".encode()), encoding="utf-8")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(io, "TextIOWrapper", lambda *_, **__: terminal)
    result = world.airvid("delete", tasks[0])
    assert (result.code, len(deleted(world))) == (code, count)
    assert f"Delete the history entry {tasks[0][:8]}?" in result.err
    assert f"{tasks[0][:8]}, clip 2, is still running" in result.err


def test_what_was_not_removed_is_not_said_to_be(world: World, tasks: list[str]) -> None:
    world.answer = lambda request: json_answer(400, {"error": "no"}) if request.method == "DELETE" else None
    result = world.airvid("delete", "-y", tasks[1])
    assert result.code == 1
    assert "was removed" not in result.err


# ---------------------------------------------------------------------- clips that are not on this disk


def forget(world: World) -> None:
    """Begin a new journal, which knows none of the tasks."""
    shutil.rmtree(world.folder.parent / "data")


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("selection", [["{}"], ["--status", "completed"]])
def test_a_clip_that_was_never_saved_is_named_and_can_be_fetched_afterwards(
    world: World, tasks: list[str], is_known: bool, selection: list[str]
) -> None:
    if not is_known:
        forget(world)
    result = world.airvid("delete", "-y", *(each.format(tasks[2]) for each in selection))
    assert (result.code, deleted(world)) == (0, [tasks[2]])
    assert f"{tasks[2][:8]}, clip 0, is not on this disk; until 20" in result.err
    assert f"airvid download {tasks[2]}" in result.err
    began = world.clock.elapsed()
    for command, more in (("status", ""), ("watch", ""), ("watch", " -o 'a b.mp4'")):
        again = world.airvid(*shlex.split(f"{command} {tasks[2]}{more}"))
        assert (again.code, f"hint: airvid download {tasks[2]}{more}\n" in again.err) == (4, True), again.err
    assert world.clock.elapsed() - began < 5
    saved = world.airvid("download", tasks[2], "-o", "fox.mp4")
    assert (saved.code, (world.folder / "fox.mp4").read_bytes()) == (0, world.emulator._rendered(tasks[2])), saved.err
    world.clock.advance(86_400)
    expired = world.airvid("download", tasks[2], "-o", "late.mp4")
    assert (expired.code, "expired on 20" in expired.err) == (6, True)


@pytest.mark.parametrize("is_there", [True, False])
def test_only_clips_that_are_not_on_the_disk_now_are_named(world: World, tasks: list[str], is_there: bool) -> None:
    world.airvid("download", tasks[2], "-o", "fox.mp4")
    if not is_there:
        os.unlink(world.folder / "fox.mp4")
    assert ("is not on this disk" in world.airvid("delete", "-y", tasks[2]).err) is not is_there


def test_a_running_task_that_only_the_server_knows_is_named(world: World, tasks: list[str]) -> None:
    forget(world)
    assert f"{tasks[0][:8]}, clip 2, is still running" in world.airvid("delete", "-y", "--all").err


def test_the_link_of_a_task_that_ends_while_one_is_asked_is_kept(world: World, tasks: list[str]) -> None:
    def end(request: Request) -> None:
        if request.call == f"GET /video/tasks/{tasks[0]}":
            world.clock.advance(300)

    world.connect = end
    assert (world.airvid("delete", "-y", "--all").code, deleted(world)) == (0, sorted(tasks))
    assert world.airvid("download", tasks[0], "-o", "fox.mp4").code == 0


def test_where_the_link_cannot_be_kept_the_task_is_not_deleted(world: World, tasks: list[str]) -> None:
    forget(world)
    (world.folder.parent / "data").write_text("in the way")
    assert (world.airvid("delete", "-y", tasks[2]).code, deleted(world)) == (11, [])


def test_last_is_never_a_deleted_task(world: World, tasks: list[str]) -> None:
    for task in tasks:
        assert world.airvid("delete", "-y", "last").lines == [task]
    assert world.airvid("status", "last").code == 4


def test_what_the_server_never_had_is_not_said_to_be_removed(world: World) -> None:
    result = world.airvid("delete", "-y", MISSING)
    assert (result.code, f"the server has no task {MISSING}" in result.err, "was removed" in result.err) == (
        0,
        True,
        False,
    )
