"""A create that a limit refused, though it was made: it is looked for before it is sent again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from creates import CREATE, DOWN, LISTING, POST, Lists, listed, other_machine, rows, without
from program import World, json_answer

from airvid.sandbox.emulator import Fault, Request, Response

REFUSED = json_answer(429, {"error": "rate limit"})


@pytest.mark.parametrize("hours", [-3, 3])
def test_it_is_found_by_the_server_s_clock_although_the_list_was_not_to_be_had_before(world: World, hours: int) -> None:
    lists = iter([DOWN])

    def answer(request: Request) -> Response:
        told = world.emulator.handle(request, world.clock.now() + 3600 * hours)
        return next(lists, told) if f"{request.method} {request.path}" == LISTING else told

    world.answer = answer
    world.emulator.faults.append(Fault(POST, REFUSED))
    result = world.airvid(*CREATE, "--wait", "--timeout", "10m")
    assert (result.code, len(world.posts)) == (0, 1), result.err


def test_a_task_that_may_be_its_own_is_not_guessed(world: World, tmp_path: Path) -> None:
    Lists(world, lambda nth, raw: without(raw, "prompt") if nth else DOWN)
    world.emulator.faults.append(Fault(POST, REFUSED))
    result = world.airvid(*CREATE, "--wait")
    assert (result.code, len(world.posts), rows(tmp_path)) == (9, 1, [("unknown", None)]), result.err
    assert listed(world)[0] in result.err


@pytest.mark.parametrize("answer", [DOWN, json_answer(403, {"error": "no"})])
def test_where_the_list_cannot_be_read_its_fate_is_unknown(world: World, tmp_path: Path, answer: Response) -> None:
    lists = 0

    def answered(request: Request) -> Response | None:
        nonlocal lists
        lists += f"{request.method} {request.path}" == LISTING
        return answer if lists > 1 and f"{request.method} {request.path}" == LISTING else None

    world.answer = answered
    world.emulator.faults.append(Fault(POST, REFUSED))
    result = world.airvid(*CREATE, "--wait")
    assert (result.code, len(world.posts), rows(tmp_path)) == (9, 1, [("unknown", None)]), result.err
    assert "the task list could not be read" in result.err
    assert world.clock.elapsed() < 120


def test_an_id_that_another_create_of_this_machine_got_is_not_taken_for_a_new_task(
    world: World, tmp_path: Path
) -> None:
    world.answer = lambda request: DOWN if f"{request.method} {request.path}" == LISTING else None
    first = world.airvid(*CREATE)
    assert first.code == 0
    again = json_answer(200, {"task_id": listed(world)[0], "status": "queued"})
    world.emulator.faults.append(Fault(POST, again))
    second = world.airvid(*CREATE)
    assert (second.code, second.out, len(world.posts)) == (9, "", 2), second.err
    assert [fate for fate, _ in rows(tmp_path)] == ["known", "unknown"]
    assert listed(world)[1] in second.err or json.dumps(listed(world)[0]) in second.err


@pytest.mark.parametrize(("status", "code"), [(400, 1), (402, 7), (422, 1)])
@pytest.mark.parametrize("made_by", ["this create or another machine", "another prompt", "nobody"])
def test_a_refusal_stays_one_and_names_a_task_that_it_may_have_made(
    world: World, tmp_path: Path, status: int, code: int, made_by: str
) -> None:
    posts = 0

    def answer(request: Request) -> Response | None:
        nonlocal posts
        if request.method != "POST":
            return None
        posts += 1
        if made_by != "nobody":
            other_machine(world, prompt="a wolf" if made_by == "another prompt" else "fox")
        return json_answer(status, {"error": "No."})

    world.answer = answer
    result = world.airvid(*CREATE, "--wait")
    is_told = made_by == "this create or another machine"
    fate = "unknown" if is_told else "refused"
    assert (result.code, posts, rows(tmp_path)) == (code, 1, [(fate, None)]), result.err
    assert ("which this create may have made" in result.err) is is_told
    assert not is_told or f"hint: airvid watch {listed(world)[0]}, before you create it again" in result.err
    assert world.clock.elapsed() < 1


def test_a_refusal_does_not_wait_for_a_list_that_does_not_come(world: World) -> None:
    def answer(request: Request) -> Response | None:
        return Response(200, ending="silence") if world.posts and request.path.endswith("/tasks") else None

    world.answer = answer
    world.emulator.faults.append(Fault(POST, json_answer(400, {"error": "No."}), before=True))
    assert world.airvid(*CREATE).code == 1
    assert world.clock.elapsed() <= 2


def test_a_wait_goes_on_where_the_file_of_this_process_was_removed(world: World, tmp_path: Path) -> None:
    def answer(_: Request) -> Response | None:
        for each in (tmp_path / "data" / "airvid" / "running").glob("*"):
            each.unlink()
        return None

    world.answer = answer
    world.emulator.faults.append(Fault(POST, REFUSED, before=True))
    result = world.airvid(*CREATE, "--wait")
    assert (result.code, len(world.posts), rows(tmp_path)) == (0, 2, [("known", listed(world)[0])]), result.err
