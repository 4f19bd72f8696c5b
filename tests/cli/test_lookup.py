"""What became of a POST whose answer was lost, where others are at work too: rivals, strangers, other terminals."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from creates import CREATE, DOWN, LISTING, LOST, Lists, journal_of, listed, other_machine, rows, without
from program import API, World

from airvid.api.client import Listing
from airvid.api.models import Task
from airvid.clips.lookup import KEPT_SECONDS, settle_unknown
from airvid.journal.journal import Journal
from airvid.sandbox.emulator import Request, Response
from airvid.ui.output import Output


def another_terminal(tmp_path: Path, act: Callable[[Journal], object]) -> None:
    """What another airvid of the same user does to the journal, at this moment."""
    journal = Journal(journal_of(tmp_path))
    try:
        act(journal)
    finally:
        journal.close()


def tasks_of(raw: list[dict[str, Any]]) -> list[Task]:
    return [task for each in raw if (task := Task.parse(each))]


# ---------------------------------------------------------------------- another terminal


@pytest.mark.parametrize("sees_the_list", [True, False], ids=["list", "list down for us"])
@pytest.mark.parametrize("at", [1, 3, 6])
def test_what_another_terminal_found_out_is_taken_from_it(
    world: World, tmp_path: Path, at: int, sees_the_list: bool
) -> None:
    def adopt(journal: Journal, raw: list[dict[str, Any]]) -> None:
        entry = journal.last(API)
        assert entry
        assert journal.adopt(entry, tasks_of(raw)[0])

    def word(nth: int, raw: list[dict[str, Any]]) -> Response | list[Any]:
        if nth == at:
            another_terminal(tmp_path, lambda journal: adopt(journal, raw))
        return raw if nth == 0 or (nth >= at and sees_the_list) else DOWN

    Lists(world, word)
    world.emulator.faults.append(LOST)
    result = world.airvid(*CREATE)
    assert rows(tmp_path) == [("known", listed(world)[0])]
    assert (result.code, result.lines) == (0, listed(world)), result.err
    assert len(world.posts) == 1


@pytest.mark.parametrize("hours", [-3, 0, 3])
def test_list_in_another_terminal_while_we_look_up_takes_nothing_away(world: World, tmp_path: Path, hours: int) -> None:
    seen: list[int] = []

    def settle(journal: Journal, listing: Listing) -> None:
        heard = io.StringIO()
        settle_unknown(journal, journal.unsettled(API), listing, Output(stderr=heard))
        assert "warning:" not in heard.getvalue()

    def answer(request: Request) -> Response:
        told = world.emulator.handle(request, world.clock.now() + 3600 * hours)
        if f"{request.method} {request.path}" == LISTING and world.posts:
            seen.append(1)
            listing = Listing(tasks_of(json.loads(told.body)["data"]), None)
            another_terminal(tmp_path, lambda journal: settle(journal, listing))
        return told

    world.answer = answer
    world.emulator.faults.append(LOST)
    result = world.airvid(*CREATE)
    assert seen
    assert (result.code, len(result.lines), len(world.posts)) == (0, 1, 1), result.err
    assert rows(tmp_path) == [("known", result.lines[0])]


# ---------------------------------------------------------------------- rivals and strangers


def test_a_task_without_its_prompt_is_not_taken_from_a_rival(world: World, tmp_path: Path) -> None:
    """Another process's POST for a cat was taken, its answer is still out; ours for a fox never arrived."""
    cat: list[str] = []
    request = {"model": "wan-2.6", "prompt": "cat", "duration_seconds": 8}

    def send(journal: Journal) -> None:
        (entry,) = journal.intend(
            base_url=API, account="", requests=[request], targets=[None], estimate_cents=1, budgets={}
        )
        journal.mark_sent(entry, world.clock.now(), [])
        cat.append(other_machine(world, prompt="cat"))

    lists = Lists(world, lambda _, raw: without(raw, "prompt"))

    def answer(each: Request) -> Response | None:
        if each.method == "POST":
            another_terminal(tmp_path, send)
            return DOWN
        return lists(each)

    world.answer = answer
    assert world.airvid(*CREATE).code == 9
    assert rows(tmp_path) == [("unknown", None), ("sent", None)]
    assert len(cat) == 1


def test_a_stranger_s_task_that_shows_first_is_not_taken_for_ours(world: World, tmp_path: Path) -> None:
    """The list tells no prompts; a stranger's task, of the same key, shows at once, ours seconds later."""
    ids: list[str] = []

    def word(nth: int, raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if nth == 1:
            ids.extend([raw[0]["task_id"], other_machine(world, prompt="cat")])
        shown = [each for each in raw if nth > 2 or each["task_id"] not in ids[:1]]
        return without(shown if nth != 1 else [{**raw[0], "task_id": ids[1]}], "prompt")

    Lists(world, word)
    world.emulator.faults.append(LOST)
    result = world.airvid(*CREATE, "--json")
    error = json.loads(result.err.splitlines()[-1])["error"]
    assert (result.code, sorted(error["candidates"])) == (9, sorted(ids))
    assert rows(tmp_path) == [("unknown", None)]


@pytest.mark.parametrize(("hidden", "at_least"), [((), 0.0), (("prompt",), 15.0)])
def test_a_match_that_does_not_tell_its_prompt_is_taken_at_the_last_look_only(
    world: World, hidden: tuple[str, ...], at_least: float
) -> None:
    Lists(world, lambda _, raw: without(raw, *hidden))
    world.emulator.faults.append(LOST)
    began = world.clock.now()
    result = world.airvid(*CREATE)
    assert (result.code, result.lines) == (0, listed(world))
    assert at_least <= world.clock.now() - began < at_least + 5


def test_several_candidates_are_kept_for_later(world: World) -> None:
    Lists(world, lambda nth, raw: [*raw, {**raw[0], "task_id": "twin"}] if nth else raw)
    world.emulator.faults.append(LOST)
    assert world.airvid(*CREATE).code == 9
    (entry,) = world.objects("list", "--local", "--json")
    assert sorted(entry["airvid"]["candidates"]) == sorted(["twin", *listed(world)])


@pytest.mark.parametrize(("has_none", "told"), [(False, "it could be "), (True, "the task list shows none that fits")])
def test_a_create_of_unknown_fate_is_spoken_of_for_as_long_as_its_task_would_be_kept(
    world: World, has_none: bool, told: str
) -> None:
    Lists(world, lambda nth, raw: [] if has_none else [*raw, {**raw[0], "task_id": "twin"}] if nth else raw)
    world.emulator.faults.append(LOST)
    assert world.airvid(*CREATE).code == 9
    for options in ([], ["--json"], ["--ids"]):
        result = world.airvid("list", *options)
        assert result.code == 0
        assert f"warning: whether an earlier create made a task is unknown: {told}" in result.err
    assert "earlier create" not in world.airvid("list", "--quiet").err
    world.clock.advance(KEPT_SECONDS)
    assert "earlier create" not in world.airvid("list").err
