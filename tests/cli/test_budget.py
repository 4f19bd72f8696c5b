"""Budgets: a create that would exceed one is not sent."""

from __future__ import annotations

import pytest
from program import World, json_answer

from airvid.sandbox.emulator import Fault
from airvid.sandbox.faults import parse_fault

POST = "POST /video/generations"
CREATE = ["create", "fox", "-m", "wan-2.6", "-d", "8"]  # $0.18


@pytest.mark.parametrize("period", ["DAY", "MONTH"])
def test_a_budget_holds_over_several_runs(world: World, period: str) -> None:
    world.env.setenv(f"AIRVID_BUDGET_{period}", "0.40")
    assert [world.airvid(*CREATE).code for _ in range(3)] == [0, 0, 7]
    assert len(world.posts) == 2
    world.clock.advance(32 * 86_400)
    assert world.airvid(*CREATE).code == 0


def test_a_budget_takes_all_variations_or_none(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "0.40")
    result = world.airvid(*CREATE, "-n", "3")
    assert (result.code, world.posts) == (7, [])
    assert "budget.day" in result.err
    assert world.airvid(*CREATE, "-n", "2").code == 0


def test_what_failed_or_was_refused_leaves_the_budget_alone(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "0.20")
    outcomes = iter(["failed", "completed", "completed"])
    world.emulator.outcome = lambda _: next(outcomes)
    assert world.airvid(*CREATE, "--wait").code == 5
    world.emulator.faults.append(Fault(POST, json_answer(422, {}), before=True))
    assert world.airvid(*CREATE).code == 1
    assert world.airvid(*CREATE).code == 0
    assert world.airvid(*CREATE).code == 7


def test_an_unknown_fate_holds_its_part_of_the_budget(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "0.20")
    world.emulator.faults.append(parse_fault("status=503"))
    assert [world.airvid(*CREATE).code, world.airvid(*CREATE).code] == [9, 7]


def test_deleting_the_history_gives_no_money_back(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "0.20")
    assert world.airvid(*CREATE).code == 0
    world.airvid("delete", "-y", "last")
    assert world.airvid(*CREATE).code == 7


def test_what_was_settled_counts_instead_of_the_estimate(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "0.20")
    task = world.airvid(*CREATE).lines[0]
    settled = {"task_id": task, "status": "completed", "result_url": "http://a.test/x", "cost_cents": 1}
    world.answer = lambda request: json_answer(200, settled) if task in request.path else None
    world.airvid("status", task)
    assert world.airvid(*CREATE).code == 0


def test_a_model_without_a_price_does_not_slip_past_a_budget(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "100")
    assert world.airvid("create", "x", "-m", "mochi-1").code == 7
    assert world.posts == []


def test_what_was_charged_still_counts_when_the_server_calls_it_expired(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_MONTH", "0.20")
    assert world.airvid(*CREATE, "-o", "fox.mp4").code == 0
    world.clock.advance(25 * 3600)
    [task] = world.airvid("list", "--json").json
    assert task["status"] == "expired"
    assert world.airvid(*CREATE).code == 7
    [line] = world.airvid("list", "--local").lines
    assert line.split("\t")[1] == "completed"
