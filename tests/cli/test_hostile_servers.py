"""A hostile API and disk: no money, clip or key is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from program import KEY, World, json_answer
from small_files import tiny_mp4

from airvid.sandbox.emulator import Fault, Pace, Request, Response
from airvid.sandbox.faults import parse_fault

POST = "POST /video/generations"
CREATE = ("create", "a fox", "-m", "wan-2.6", "-d", "8")


def journal(world: World) -> Path:
    return world.folder.parent / "data" / "airvid" / "journal.db"


def rows(world: World, what: str = "fate, task_id") -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(journal(world))) as database:
        return database.execute(f"SELECT {what} FROM clip ORDER BY id").fetchall()


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another process holds the journal."""
    with closing(sqlite3.connect(journal(world), isolation_level=None)) as database:
        database.execute("PRAGMA busy_timeout = 0")
        database.execute("BEGIN IMMEDIATE")
        yield


def test_a_part_of_another_clip_is_not_built_upon(world: World) -> None:
    """Two clips of one length whose storage gives both the same ETag."""
    clips = {0: tiny_mp4(b"a" * 5000), 1: tiny_mp4(b"b" * 5000)}
    cut = True

    def answer(request: Request) -> Response | None:
        if not request.storage:
            return None
        body = clips[len(world.posts) - 1]
        headers = {"ETag": '"v1"', "Accept-Ranges": "bytes"}
        span = request.headers.get("range")
        if span and cut:
            return Response(503)
        if span:
            start = int(span.removeprefix("bytes=").rstrip("-"))
            where = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return Response(206, {**headers, "Content-Range": where}, body[start:])
        return Response(200, {**headers, "Content-Length": str(len(body))}, body, ending="truncate" if cut else "whole")

    world.answer = answer
    assert world.airvid(*CREATE, "-o", "fox.mp4", "--timeout", "100").code in (9, 10)
    assert (world.folder / "fox.mp4.part").exists()
    cut = False
    assert world.airvid(*CREATE, "-o", "fox.mp4").code == 0
    assert (world.folder / "fox.mp4").read_bytes() == clips[1]


def test_a_list_that_lags_for_ever_does_not_hide_the_end(world: World) -> None:
    def answer(request: Request) -> Response | None:
        if request.path.endswith("/stream"):
            return Response(404)
        if request.method == "GET" and request.path.endswith("/video/tasks"):
            listed = world.emulator.handle(request, world.clock.now())
            return Response(200, listed.headers, listed.body.replace(b'"completed"', b'"queued"'))
        return None

    world.answer = answer
    result = world.airvid(*CREATE, "-n", "2", "-o", "f.mp4")
    assert (result.code, sorted(result.lines)) == (0, ["f-1.mp4", "f-2.mp4"])
    assert world.clock.elapsed() < 300


def test_an_id_that_the_locked_journal_cannot_take_is_told_and_written_later(world: World) -> None:
    world.airvid("create", "first")
    lock = locked(world)

    def answer(request: Request) -> Response | None:
        if request.method == "POST":
            made = world.emulator.handle(request, world.clock.now())
            lock.__enter__()
            return made
        if request.path.endswith("/stream"):
            lock.__exit__(None, None, None)
            world.answer = lambda _: None
        return None

    world.answer = answer
    result = world.airvid("-q", *CREATE, "--wait")
    assert result.code == 0
    assert str(rows(world)[-1][1]) in result.err
    assert rows(world)[-1][0] == "known"


def test_a_locked_journal_is_waited_for_once_and_the_paid_clips_are_saved(world: World) -> None:
    world.airvid("create", "first")
    world.emulator.pace = Pace(queued=0, processing=0)
    lock = locked(world)
    began = world.clock.elapsed()

    def answer(request: Request) -> Response | None:
        if request.method == "POST":
            lock.__enter__()
            world.answer = lambda _: None
        return None

    world.answer = answer
    result = world.airvid("create", "a fox", "-n", "3", "-o", "fox.mp4")
    lock.__exit__(None, None, None)
    assert result.code in (0, 1, 11), result.err
    # Ten seconds for the id that is known and for the next intent, and no more for all the notes.
    assert 20 <= world.clock.elapsed() - began < 60
    assert (world.folder / "fox-1.mp4").exists()
    assert result.err.count("cannot be written") <= 4


def test_an_answer_that_names_a_task_of_before_is_no_new_one(world: World) -> None:
    made = world.airvid(*CREATE).out.strip()
    world.emulator.faults.append(Fault(POST, json_answer(200, {"task_id": made, "status": "queued"}), before=True))
    result = world.airvid(*CREATE)
    assert (result.code, result.out) == (9, "")
    assert made in result.err
    assert rows(world) == [("known", made), ("unknown", None)]


def test_one_server_under_two_names_is_one(world: World) -> None:
    world.emulator.faults.append(parse_fault("lost-reply"))
    assert world.airvid(*CREATE).code == 0
    world.emulator.faults.append(parse_fault("reset"))
    assert world.airvid("--base-url", "http://localhost/v1", *CREATE).code == 9
    assert [fate for fate, _ in rows(world)] == ["known", "unknown"]


def test_a_negative_cost_makes_no_room_in_a_budget(world: World) -> None:
    assert world.airvid("config", "set", "budget.day", "0.2").code == 0
    task_id = world.airvid(*CREATE).out.strip()
    told = {"task_id": task_id, "status": "completed", "cost_cents": -100_000}
    world.answer = lambda request: (
        json_answer(200, told) if request.method == "GET" and task_id in request.path else None
    )
    assert world.airvid("status", task_id).code == 0
    world.answer = lambda _: None
    codes = [world.airvid(*CREATE).code for _ in range(3)]
    assert codes == [0, 7, 7]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/video/tasks"])
def test_the_time_runs_from_the_start(world: World, path: str) -> None:
    world.answer = lambda request: Response(ending="silence", status=200) if request.path == path else None
    result = world.airvid(*CREATE, "--wait", "--timeout", "4")
    assert result.code in (9, 10)
    assert world.clock.elapsed() < 20


@pytest.mark.parametrize("where", ["model", "error", "prompt"])
def test_a_key_behind_escapes_is_kept_nowhere(world: World, where: str) -> None:
    hidden = "".join(f"\\u{ord(each):04x}" for each in KEY)
    task_id = world.airvid(*CREATE).out.strip()
    body = f'{{"task_id": "{task_id}", "status": "failed", "{where}": "{hidden}"}}'.encode()
    world.answer = lambda request: Response(200, {}, body) if task_id in request.path else None
    for arguments in (["status", task_id], ["watch", task_id], ["--json", "status", task_id], ["list", "--local"]):
        result = world.airvid(*arguments)
        assert KEY not in result.out + result.err
    assert KEY.encode() not in journal(world).read_bytes()


def test_an_answer_that_breaks_the_reader_is_looked_up(world: World) -> None:
    def answer(request: Request) -> Response | None:
        if request.method == "POST":
            world.emulator.handle(request, world.clock.now())
            raise MemoryError
        return None

    world.answer = answer
    assert world.airvid(*CREATE).code == 0
    assert len(world.posts) == 1
