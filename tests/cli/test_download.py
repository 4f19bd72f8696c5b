"""airvid download: which clips, which files, and dead links. The transfer is tested in unit/clips/test_download.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from program import KEY, World, fields, json_answer
from small_files import tiny_mp4
from virtual_clock import NOON

from airvid.sandbox.emulator import Fault, Request, Response

TASK = "00000000-0000-4000-8000-000000000000"
DEAD = [400, 401, 403, 404, 410]


def made(world: World, *prompts: str, outcome: str = "completed") -> list[str]:
    """Tasks that ended a moment ago."""
    world.emulator.outcome = lambda _: outcome
    found = [world.airvid("create", prompt, "-m", "wan-2.6").lines[0] for prompt in prompts or ("fox",)]
    world.clock.advance(100)
    return found


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_saves_the_clip_under_its_default_name_and_prints_the_path(world: World) -> None:
    (task,) = made(world, "Fox in snow!")
    result = world.airvid("download", task)
    assert result.code == 0
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d-fox-in-snow-{task[:8]}\.mp4", result.out.strip())
    assert files(world.folder) == [result.out.strip()]
    assert (world.folder / result.out.strip()).read_bytes() == world.emulator._rendered(task)


def test_json_is_the_task_with_its_file(world: World) -> None:
    (task,) = made(world)
    found = world.airvid("download", task, "-o", "fox.mp4", "--json").json
    assert (found["task_id"], found["airvid"]["output"]) == (task, str(world.folder / "fox.mp4"))
    assert found["airvid"]["bytes"] == (world.folder / "fox.mp4").stat().st_size


def test_the_journal_knows_the_file_afterwards(world: World) -> None:
    made(world)
    world.airvid("download", "last", "-o", "fox.mp4")
    assert fields(world.airvid("list").lines[0])[7] == str(world.folder / "fox.mp4")


def test_saves_several_under_their_numbers(world: World) -> None:
    tasks = made(world, "a", "b")
    result = world.airvid("download", *tasks, "-o", "out/fox.mp4")
    assert (result.code, sorted(result.lines)) == (0, ["out/fox-1.mp4", "out/fox-2.mp4"])
    assert (world.folder / "out" / "fox-1.mp4").read_bytes() == world.emulator._rendered(tasks[0])


@pytest.mark.parametrize(
    "arguments",
    [[], ["--all", "abcd"], ["last", "--force", "--skip-existing"], ["last", "-j", "0"], ["last", "-j", "-1"]],
)
def test_contradictions_are_usage_errors(world: World, arguments: list[str]) -> None:
    result = world.airvid("download", *arguments)
    assert (result.code, world.calls) == (2, [])


# ---------------------------------------------------------------------- files in the way


@pytest.mark.parametrize(
    ("options", "code", "is_kept"), [([], 11, True), (["--skip-existing"], 0, True), (["--force"], 0, False)]
)
def test_a_file_in_the_way(world: World, options: list[str], code: int, is_kept: bool) -> None:
    made(world)
    (world.folder / "fox.mp4").write_bytes(b"mine")
    result = world.airvid("download", "last", "-o", "fox.mp4", *options)
    assert result.code == code
    assert ((world.folder / "fox.mp4").read_bytes() == b"mine") is is_kept
    assert result.out == ("" if code else "fox.mp4\n")
    assert ("--force" in result.err) is bool(code)


def test_a_file_that_is_skipped_is_not_fetched(world: World) -> None:
    made(world)
    (world.folder / "fox.mp4").write_bytes(b"mine")
    world.airvid("download", "last", "-o", "fox.mp4", "--skip-existing")
    assert [request for _, request in world.emulator.requests if request.storage] == []


@pytest.mark.parametrize("output", ["fox.mp4", "{slug}-{date}.mp4", "{id}.mp4", "."])
def test_a_file_that_is_there_is_skipped_without_the_server(world: World, output: str) -> None:
    made(world)
    saved = world.airvid("download", "last", "-o", output).lines
    world.clock.advance(5 * 86_400)
    world.answer = lambda _: json_answer(503, {"error": "down"})
    world.emulator.requests.clear()
    result = world.airvid("download", "last", "-o", output, "--skip-existing")
    assert (result.code, result.lines, world.calls) == (0, saved, [])


# ---------------------------------------------------------------------- --all, several


def test_all_takes_every_completed_task_not_yet_saved(world: World) -> None:
    first, second = made(world, "a", "b")
    made(world, "bad", outcome="failed")
    world.emulator.outcome = lambda _: "completed"
    world.airvid("download", first, "-o", "first.mp4")
    world.airvid("create", "still running")
    result = world.airvid("download", "--all", "-o", "{slug}.mp4")
    assert (result.code, result.lines) == (0, ["b.mp4"])
    assert files(world.folder) == ["b.mp4", "first.mp4"]
    assert second


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"another clip")])
def test_all_takes_a_clip_whose_file_is_gone(world: World, change: Callable[[Path], object]) -> None:
    made(world)
    world.airvid("download", "last", "-o", "fox.mp4")
    change(world.folder / "fox.mp4")
    assert world.airvid("download", "--all", "-o", "again.mp4").lines == ["again.mp4"]


def test_all_of_nothing_is_no_error(world: World) -> None:
    result = world.airvid("download", "--all")
    assert (result.code, result.out) == (0, "")
    assert "nothing to download" in result.err


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_jobs_bounds_how_many_are_fetched_side_by_side(world: World, jobs: str) -> None:
    tasks = made(world, "a", "b", "c", "d")
    world.emulator.faults.append(Fault("storage", delay=10, times=9))
    before = world.clock.elapsed()
    assert world.airvid("download", *tasks, "-j", jobs, "-o", "{n}.mp4").code == 0
    assert world.clock.elapsed() - before == pytest.approx(10 * (4 if jobs == "1" else 2), abs=2)


def test_one_that_cannot_be_had_does_not_stop_the_others(world: World) -> None:
    tasks = made(world, "a", "b")
    result = world.airvid("download", tasks[0], TASK, tasks[1], "-o", "{slug}.mp4")
    assert (result.code, sorted(result.lines)) == (1, ["a.mp4", "b.mp4"])
    assert TASK in result.err


@pytest.mark.parametrize(
    ("outcome", "after", "code", "told"),
    [
        ("failed", 0, 5, "not charged"),
        ("completed", 86_400, 6, "expired on 20"),
        ("completed", 5 * 86_400, 6, "expired on 20"),
        ("completed", -90, 10, "airvid watch"),
    ],
)
def test_a_task_without_a_clip_says_why(world: World, outcome: str, after: float, code: int, told: str) -> None:
    made(world, outcome=outcome)
    world.clock.advance(after)
    result = world.airvid("download", "last")
    assert (result.code, result.out, files(world.folder)) == (code, "", [])
    assert told in result.err


def test_a_completed_task_without_a_url_is_9(world: World) -> None:
    world.answer = lambda _: json_answer(200, {"task_id": TASK, "status": "completed", "result_url": None})
    assert world.airvid("download", TASK).code == 9


# ---------------------------------------------------------------------- dead links


@pytest.mark.parametrize("status", DEAD)
def test_a_dead_link_is_read_afresh_once(world: World, status: int) -> None:
    (task,) = made(world)
    world.emulator.requests.clear()
    world.emulator.faults.append(Fault("storage", Response(status)))
    assert world.airvid("download", task, "-o", "fox.mp4").code == 0
    assert world.calls.count(f"GET /v1/video/tasks/{task}") == 2


@pytest.mark.parametrize("body", [b'{"error":"expired"}', b"<Error/>", b"<html></html>", b""])
def test_a_link_that_leads_to_no_video_is_read_afresh_and_never_saved(world: World, body: bytes) -> None:
    made(world)
    world.emulator.faults.append(Fault("storage", Response(200, {}, body), times=99))
    result = world.airvid("download", "last", "-o", "fox.mp4")
    assert result.code in (9, 11)
    assert (result.out, files(world.folder)) == ("", [])


@pytest.mark.parametrize("status", DEAD)
@pytest.mark.parametrize(("expires", "code"), [(-1, 6), (3600, 9), (None, 9)])
def test_a_link_that_stays_dead(world: World, status: int, expires: float | None, code: int) -> None:
    """6 when past `expires_at`, else 9."""
    due = None if expires is None else NOON + expires
    task = {"task_id": TASK, "status": "completed", "result_url": "http://storage.test/x", "expires_at": due}
    world.answer = lambda request: Response(status) if request.storage else json_answer(200, task)
    result = world.airvid("download", TASK, "-o", "fox.mp4")
    assert (result.code, result.out, files(world.folder)) == (code, "", [])


def test_a_task_that_stops_being_completed_when_read_afresh_is_no_bug(world: World) -> None:
    readings = iter(["completed"])

    def answer(request: Request) -> Response:
        if request.storage:
            return Response(403)
        status = next(readings, "processing")
        url = "http://storage.test/x" if status == "completed" else None
        task = {"task_id": TASK, "status": status, "result_url": url}
        return json_answer(200, task)

    world.answer = answer
    result = world.airvid("download", TASK, "-o", "fox.mp4")
    assert result.code == 9
    assert "bug" not in result.err


# ---------------------------------------------------------------------- the key

LINKS = [
    ("http://storage.test/x.mp4", False),
    ("http://api.test/x.mp4", True),
    ("http://api.test:80/x.mp4", True),
    ("http://api.test:8080/x.mp4", False),
    ("http://api.test.evil.test/x.mp4", False),
    ("http://evil.test/?http://api.test/v1", False),
    ("http://api.test@evil.test/x.mp4", False),
    ("HTTP://API.TEST/x.mp4", True),
]


@pytest.mark.parametrize(("url", "is_sent"), LINKS)
@pytest.mark.parametrize("redirected", [False, True])
def test_the_key_goes_to_the_api_s_origin_only(world: World, url: str, is_sent: bool, redirected: bool) -> None:
    seen: dict[str, bool] = {}

    def answer(request: Request) -> Response:
        if request.path.startswith("/v1/video/tasks"):
            first = "http://api.test/first" if redirected else url
            task = {"task_id": "abcd-1", "status": "completed", "result_url": first}
            return json_answer(200, {"data": [task]} if request.path.endswith("/tasks") else task)
        seen[request.route] = KEY in request.headers.get("authorization", "")
        return Response(302, {"Location": url}) if request.route == "/first" else Response(200, {}, tiny_mp4())

    world.answer = answer
    assert world.airvid("download", "abcd-1", "-o", "fox.mp4").code == 0
    assert seen.pop("/first", True)
    assert list(seen.values()) == [is_sent]


def test_no_request_to_the_storage_host_carries_the_key(world: World) -> None:
    made(world)
    assert world.airvid("download", "last", "-o", "fox.mp4").code == 0
    fetched = [request for _, request in world.emulator.requests if request.storage]
    assert fetched
    assert not any("sk-air" in str(request.headers) for request in fetched)
