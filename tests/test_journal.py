"""The ledger: what is written when, what may be adopted, and what a budget holds (contract 5.6-5.10)."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from datetime import datetime
from typing import Any

import pytest
from conftest import API, NOON
from desk import Desk, task

from airvid.api.client import Listing
from airvid.api.http import Attempt
from airvid.api.models import Task
from airvid.clips.submit import Submitter
from airvid.errors import FileError, PaymentError
from airvid.journal.entries import Entry
from airvid.journal.journal import SENT_WINDOW

DAY = 86_400.0


# ---------------------------------------------------------------------- a create, step by step


def test_a_create_goes_from_intent_to_task(desk: Desk) -> None:
    (entry,) = desk.intend(targets=["/clips/fox.mp4"])
    assert (entry.state, entry.target, entry.prompt, entry.estimate_cents) == (
        "intended",
        "/clips/fox.mp4",
        "a fox",
        10,
    )
    entry = desk.journal.mark_sent(entry, NOON + 5, ["old"])
    assert (entry.state, entry.sent_at) == ("sent", NOON + 5)
    desk.journal.mark_unsent(entry, in_line=True)
    assert desk.state(entry) == "waiting"
    entry = desk.journal.mark_known(entry, task(expires_at=NOON + DAY))
    assert (entry.state, entry.task_id, entry.expires_at) == ("queued", "t-1", NOON + DAY)


def test_an_id_that_could_not_be_written_is_written_with_the_next_word_on_its_task(desk: Desk) -> None:
    entry = desk.sent()
    with contextlib.closing(sqlite3.connect(desk.journal.path, isolation_level=None)) as other:
        layout = other.execute("PRAGMA user_version").fetchone()[0]
        other.execute("PRAGMA user_version = 99")
        with pytest.raises(FileError):
            desk.journal.mark_known(entry, task())
        other.execute(f"PRAGMA user_version = {layout}")
    desk.journal.note_task(entry.base_url, task(status="processing"))
    found = desk.another().entry(entry.id)
    assert found
    assert (found.task_id, found.status) == ("t-1", "processing")


def test_an_id_whose_entry_somebody_removed_is_told_as_one_that_cannot_be_kept(desk: Desk) -> None:
    entry = desk.sent()
    with contextlib.closing(sqlite3.connect(desk.journal.path, isolation_level=None)) as other:
        other.execute("DELETE FROM clip")
    with pytest.raises(FileError, match="cannot be written"):
        desk.journal.mark_known(entry, task())


def test_what_is_written_is_there_for_other_processes_at_once(desk: Desk) -> None:
    (entry,) = desk.intend()
    assert desk.another().entry(entry.id) == entry


def test_a_request_is_remembered_without_its_pictures(desk: Desk) -> None:
    (entry,) = desk.intend(request={"prompt": "x", "input_images": [{"b64_json": "QUJD" * 9}, {"url": "http://h/a"}]})
    assert entry.request["input_images"] == [{"b64_json": "[27 bytes]"}, {"url": "http://h/a"}]


def test_only_what_was_never_sent_is_withdrawn(desk: Desk) -> None:
    entries = [desk.intend()[0], desk.sent(), desk.known("t-1")]
    waiting = desk.sent()
    desk.journal.mark_unsent(waiting, in_line=True)
    desk.journal.withdraw([*entries, waiting])
    assert [entry and entry.state for entry in map(desk.entry, entries)] == [None, "sent", "queued"]
    assert desk.state(waiting) == "refused"  # it left once, whatever was taken for its answer


def test_a_task_belongs_to_one_entry_and_the_servers_own_answer_goes_first(desk: Desk) -> None:
    guessed, told = desk.sent(), desk.sent(prompt="another")
    assert desk.journal.adopt(guessed, task(prompt="a fox"))
    desk.journal.mark_known(told, task())
    assert (desk.state(guessed), desk.state(told)) == ("unknown", "queued")
    assert desk.journal.by_task(API, ["t-1"])["t-1"].id == told.id


def test_the_same_id_at_two_services_is_two_tasks(desk: Desk) -> None:
    here, there = desk.known("t-1"), desk.known("t-1", base_url="sandbox")
    assert desk.journal.by_task(API, ["t-1"])["t-1"].id == here.id
    assert desk.journal.by_task("sandbox", ["t-1"])["t-1"].id == there.id


# ---------------------------------------------------------------------- adoption


def test_a_found_task_is_adopted(desk: Desk) -> None:
    found = desk.journal.adopt(desk.sent(), task(status="processing"))
    assert found
    assert (found.state, found.task_id) == ("processing", "t-1")


def test_a_task_that_another_entry_has_is_not_adopted(desk: Desk) -> None:
    entry = desk.sent()
    desk.known("t-1", prompt="another")
    assert desk.journal.adopt(entry, task()) is None
    assert desk.state(entry) == "sent"


@pytest.mark.parametrize(
    ("rival", "fate", "later", "adopted"),
    [
        ({}, "sent", 0, False),
        ({}, "unknown", 0, False),
        ({}, "refused", 0, True),
        ({}, "waiting", 0, True),
        ({}, "known", 0, True),
        ({"prompt": "another"}, "sent", 0, True),
        ({"base_url": "http://the-same-server/v1"}, "sent", 0, False),
        ({"request": {"model": "veo", "prompt": "a fox"}}, "sent", 0, True),
        ({}, "sent", -SENT_WINDOW[1] - 1, True),
        ({}, "sent", SENT_WINDOW[0] + 1, True),
        ({}, "sent", SENT_WINDOW[0], False),
        ({}, "sent", -SENT_WINDOW[1], False),
    ],
)
def test_a_task_that_another_create_could_have_made_is_not_adopted(
    desk: Desk, rival: dict[str, Any], fate: str, later: float, adopted: bool
) -> None:
    entry = desk.sent()
    other = desk.journal.mark_sent(desk.intend(**rival)[0], NOON + later, [])
    desk.become(other, fate)
    assert (desk.journal.adopt(entry, task(prompt="a fox", model="wan")) is not None) is adopted


def test_a_task_that_does_not_tell_its_prompt_could_be_any_rivals(desk: Desk) -> None:
    entry = desk.sent()
    desk.sent(prompt="another")
    assert desk.journal.adopt(entry, task()) is None


def test_where_the_task_does_not_tell_its_time_any_rival_counts(desk: Desk) -> None:
    entry = desk.sent()
    desk.journal.mark_sent(desk.intend()[0], NOON - DAY, [])
    assert desk.journal.adopt(entry, task(created=None)) is None


@pytest.mark.parametrize(("age", "is_unsettled"), [(0, False), (DAY + 1, True)])
def test_a_post_that_a_living_process_waits_for_is_not_unsettled(desk: Desk, age: float, is_unsettled: bool) -> None:
    entry = desk.journal.mark_sent(desk.intend()[0], NOON, ["old"])
    desk.clock.advance(age)
    expected = [(desk.journal.entry(entry.id), {"old"})] if is_unsettled else []
    assert desk.journal.unsettled(API) == expected


# ---------------------------------------------------------------------- budgets


@pytest.mark.parametrize(
    ("spent", "count", "dollars", "fits"),
    [
        ([], 1, 0.10, True),
        ([], 1, 0.09, False),
        ([10, 10], 1, 0.30, True),
        ([10, 10], 2, 0.30, False),
        ([], 3, 0.3, True),
    ],
)
def test_a_budget_holds_the_sum_of_estimates(
    desk: Desk, spent: list[float], count: int, dollars: float, fits: bool
) -> None:
    for cents in spent:
        desk.intend(cents=cents)
    if fits:
        assert len(desk.intend(count=count, budgets={"day": dollars})) == count
    else:
        with pytest.raises(PaymentError, match=r"budget\.day"):
            desk.intend(count=count, budgets={"day": dollars})


def test_what_would_pass_a_budget_is_not_written_down(desk: Desk) -> None:
    with pytest.raises(PaymentError):
        desk.intend(count=3, budgets={"day": 9, "month": 0.29})
    assert desk.journal.entries(limit=9, offset=0) == []


@pytest.mark.parametrize(
    ("status", "cost", "counted"),
    [("completed", 4, 4), ("completed", 0, 0), ("completed", None, 10), ("failed", 10, 0), ("expired", None, 0),
     ("processing", 4, 10), ("upscaling", None, 10)],
)  # fmt: skip
def test_settled_costs_count_where_known_and_failures_not(
    desk: Desk, status: str, cost: float | None, counted: float
) -> None:
    desk.known("t-1")
    desk.journal.note_task(API, task(status=status, cost_cents=cost))
    desk.intend(cents=20 - counted, budgets={"day": 0.2})
    with pytest.raises(PaymentError):
        desk.intend(cents=0.01, budgets={"day": 0.2})


@pytest.mark.parametrize("later", ["expired", "processing", "failed"])
def test_what_was_seen_completed_stays_charged(desk: Desk, later: str) -> None:
    entry = desk.known("t-1")
    desk.journal.note_task(API, task(status="completed", cost_cents=8))
    desk.journal.note_task(API, task(status=later))
    assert desk.state(entry) == "completed"
    with pytest.raises(PaymentError):
        desk.intend(cents=3, budgets={"day": 0.1})
    desk.journal.note_task(API, task(status="completed", cost_cents=7))
    assert desk.intend(cents=3, budgets={"day": 0.1})


def test_what_fails_after_a_journey_is_taken_off_the_day_it_was_counted_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        monkeypatch.setenv("TZ", "UTC0")
        time.tzset()
        desk.known("t-1")  # at noon
        monkeypatch.setenv("TZ", "XXX-13")  # where it is the next day already
        time.tzset()
        desk.journal.note_task(API, task(status="failed"))
        with contextlib.closing(sqlite3.connect(desk.path)) as database:
            assert database.execute("SELECT cents FROM spending").fetchall() == [(0.0,)]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_a_killed_process_left_of_its_sign_of_life_is_swept_away(desk: Desk) -> None:
    lives = desk.path.parent / "running"
    lives.mkdir(parents=True)
    (lives / "0123").touch()
    desk.intend()
    assert not (lives / "0123").exists()
    assert len(list(lives.iterdir())) == 1  # our own


@pytest.mark.parametrize(
    ("fate", "counted"), [("refused", False), ("unknown", True), ("sent", True), ("intended", True)]
)
def test_a_refused_create_holds_no_budget_and_an_unknown_one_does(desk: Desk, fate: str, counted: bool) -> None:
    desk.become(desk.intend()[0], fate)
    if counted:
        with pytest.raises(PaymentError):
            desk.intend(budgets={"day": 0.1})
    else:
        assert desk.intend(budgets={"day": 0.1})


@pytest.mark.parametrize(
    ("period", "then", "now", "counted"),
    [
        ("day", (2026, 11, 20, 0, 0), (2026, 11, 20, 23, 59), True),
        ("day", (2026, 11, 20, 23, 59), (2026, 11, 21, 0, 0), False),
        ("month", (2026, 11, 1, 0, 0), (2026, 11, 30, 23, 59), True),
        ("month", (2026, 11, 30, 23, 59), (2026, 12, 1, 0, 0), False),
    ],
)
def test_a_budget_begins_anew_at_local_midnight(
    desk: Desk, period: str, then: tuple[int, ...], now: tuple[int, ...], counted: bool
) -> None:
    for moment, budgets in ((then, {}), (now, {period: 0.1})):
        desk.clock.shift_wall(datetime(*moment).timestamp() - desk.clock.now())  # type: ignore[arg-type]
        if budgets and counted:
            with pytest.raises(PaymentError):
                desk.intend(budgets=budgets)
        else:
            desk.known(f"t-{period}-{'-'.join(map(str, moment))}", budgets=budgets)


def test_an_unknown_price_cannot_be_held_against_a_budget(desk: Desk) -> None:
    assert desk.intend(cents=None)
    with pytest.raises(PaymentError, match="unknown"):
        desk.intend(cents=None, budgets={"day": 100})


def test_a_budget_is_kept_over_all_processes_and_services(desk: Desk) -> None:
    desk.intend(base_url="http://elsewhere/v1")
    other = desk.another()
    with pytest.raises(PaymentError):
        other.intend(base_url=API, request={}, targets=[None], estimate_cents=10, budgets={"day": 0.1})


# ---------------------------------------------------------------------- how long clips took


def test_the_journal_knows_how_long_a_model_s_clips_took(desk: Desk) -> None:
    def ran(seconds: float, *, status: str = "completed", watched: bool = True, model: str = "wan") -> None:
        number = len(desk.journal.entries(limit=100, offset=0))
        entry = desk.sent(request={"model": model, "prompt": "x"})
        desk.journal.mark_known(entry, task(f"t-{number}"))
        desk.clock.advance(seconds)
        desk.journal.note_task(entry.base_url, task(f"t-{number}", status=status), ended_now=watched)

    for seconds in (60, 70, 80):
        ran(seconds)
    ran(500, watched=False)
    ran(5, status="failed")
    ran(33, model="other")
    assert desk.journal.past_seconds(API, "wan") == [80, 70, 60]
    assert desk.journal.past_seconds("http://elsewhere/v1", "wan") == []


def test_an_answer_that_comes_after_an_interruption_and_names_an_older_task_is_not_taken(desk: Desk) -> None:
    older, told = task("old", prompt="a fox"), list[str]()

    class Api:
        async def create(self, body: dict[str, Any], attempt: Attempt) -> Task:
            await asyncio.sleep(1)
            return older

    async def interrupted(entry: Entry) -> None:
        api: Any = Api()
        submitter = Submitter(api, desk.journal, wait_for_slot=False, note=told.append, warn=told.append)
        submitter.learn(Listing([older], None))
        submitting = asyncio.ensure_future(submitter.submit(entry, {}))
        await asyncio.sleep(0.5)
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)

    [entry] = desk.intend()
    with asyncio.Runner(loop_factory=desk.clock.loop_factory) as loop:
        loop.run(interrupted(entry))
    found = desk.entry(entry)
    assert found
    assert (found.fate, found.task_id, found.candidates) == ("unknown", None, ("old",))
    assert "was there before" in told[-1]
