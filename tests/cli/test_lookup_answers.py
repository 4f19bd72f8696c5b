"""Looking up a lost create by itself: nothing known from before, answers that say little, journals of other kinds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from creates import CREATE, DOWN, LISTING, LOST, POST, Lists, journal_of, listed, other_machine, rows, without
from program import World, fields, json_answer

from airvid.sandbox.emulator import Fault, Request, Response

# ---------------------------------------------------------------------- what was there before is not known


@pytest.mark.parametrize(("hidden", "code"), [((), 0), (("prompt",), 9), (("created",), 9), (("prompt", "created"), 9)])
def test_without_a_list_from_before_only_a_task_that_tells_prompt_and_time_is_taken(
    world: World, hidden: tuple[str, ...], code: int
) -> None:
    Lists(world, lambda nth, raw: without(raw, *hidden) if nth else DOWN)
    world.emulator.faults.append(LOST)
    result = world.airvid(*CREATE)
    assert (result.code, result.lines) == (code, listed(world) if code == 0 else [])


@pytest.mark.parametrize("hours", [-3, 3])
def test_without_a_list_from_before_the_server_s_clock_is_learnt_later(world: World, hours: int) -> None:
    lists = iter([DOWN])

    def answer(request: Request) -> Response:
        told = world.emulator.handle(request, world.clock.now() + 3600 * hours)
        return next(lists, told) if f"{request.method} {request.path}" == LISTING else told

    world.answer = answer
    world.emulator.faults.append(LOST)
    result = world.airvid(*CREATE)
    assert (result.code, len(world.posts)) == (0, 1), result.err


# ---------------------------------------------------------------------- answers that say little


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_list_that_is_refused_while_we_look_up_leaves_it_unknown(world: World, tmp_path: Path, status: int) -> None:
    Lists(world, lambda nth, raw: json_answer(status, {"error": "no"}) if nth else raw)
    world.emulator.faults.append(LOST)
    result = world.airvid(*CREATE)
    assert result.code == 9
    assert "hint: airvid list, before you create it again" in result.err
    assert rows(tmp_path) == [("unknown", None)]


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_create_that_is_sent_to_see_elsewhere_is_looked_up(
    world: World, tmp_path: Path, status: int, taken: bool
) -> None:
    elsewhere = Response(status, {"Location": "/v1/video/tasks/x"})
    world.emulator.faults.append(Fault(POST, elsewhere, before=not taken))
    result = world.airvid(*CREATE)
    assert (result.code, result.lines) == (0 if taken else 9, listed(world))
    assert rows(tmp_path) == [("known", listed(world)[0]) if taken else ("unknown", None)]


@pytest.mark.parametrize("status", [307, 308])
def test_a_create_that_is_sent_elsewhere_is_looked_up(world: World, tmp_path: Path, status: int) -> None:
    answer = Response(status, {"Location": "http://elsewhere.test/v1/video/generations"})
    world.emulator.faults.append(Fault(POST, answer, before=True))
    assert world.airvid(*CREATE).code == 9
    assert rows(tmp_path) == [("unknown", None)]


@pytest.mark.parametrize("told", [12345, 1.5, True, "a\nb", "\x1b[31m", "x" * 201, "..", " "], ids=repr)
def test_an_id_that_can_be_none_is_looked_up(world: World, tmp_path: Path, told: object) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(200, {"task_id": told, "status": "queued"})))
    result = world.airvid(*CREATE)
    assert (result.code, result.lines, len(world.posts)) == (0, listed(world), 1)
    assert rows(tmp_path) == [("known", listed(world)[0])]


# ---------------------------------------------------------------------- the journal's other readers


def test_list_works_beside_a_journal_of_a_newer_airvid(world: World, tmp_path: Path) -> None:
    Lists(world, lambda nth, raw: DOWN if nth else raw)
    world.emulator.faults.append(LOST)
    assert world.airvid(*CREATE).code == 9
    world.answer = lambda _: None
    database = sqlite3.connect(journal_of(tmp_path))
    database.execute("PRAGMA user_version = 99")
    database.close()
    result = world.airvid("list")
    assert (result.code, [fields(line)[0] for line in result.lines]) == (0, listed(world)), result.err
    assert "newer airvid" in result.err
    assert rows(tmp_path) == [("unknown", None)]


def test_a_stranger_s_clip_that_was_saved_here_is_neither_last_nor_running(world: World) -> None:
    own = world.airvid(*CREATE).lines[0]
    world.clock.advance(300)
    foreign = other_machine(world)
    world.clock.advance(300)
    assert world.airvid("download", foreign, "-o", "a.mp4").code == 0
    assert fields(world.airvid("status", "last").out)[0] == own
    world.clock.advance(200_000)
    world.answer = lambda request: json_answer(200, {"data": []}) if request.route == "/v1/video/tasks" else None
    assert foreign not in world.airvid("watch").out + world.airvid("watch").err
