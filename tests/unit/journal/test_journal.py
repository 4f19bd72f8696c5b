"""The journal: what is written when, which task may be adopted, and what a budget counts."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sqlite3
import time
from datetime import datetime
from typing import Any

import pytest
from journal_fixture import JournalFixture, task
from program import API
from virtual_clock import NOON

from airvid.api.client import Listing
from airvid.api.http import Attempt
from airvid.api.models import Task
from airvid.clips.submit import Submitter
from airvid.errors import FileError, PaymentError
from airvid.journal.entries import Entry
from airvid.journal.journal import SENT_WINDOW
from airvid.ui.output import Output
from airvid.ui.submit_report import SubmitReport

DAY = 86_400.0


# ---------------------------------------------------------------------- a create, step by step


def test_a_create_goes_from_intent_to_task(journals: JournalFixture) -> None:
    (entry,) = journals.intend(targets=["/clips/fox.mp4"])
    assert (entry.state, entry.target, entry.prompt, entry.estimate_cents) == (
        "intended",
        "/clips/fox.mp4",
        "a fox",
        10,
    )
    entry = journals.journal.mark_sent(entry, NOON + 5, ["old"])
    assert (entry.state, entry.sent_at) == ("sent", NOON + 5)
    journals.journal.mark_unsent(entry, in_line=True)
    assert journals.state(entry) == "waiting"
    entry = journals.journal.mark_known(entry, task(expires_at=NOON + DAY))
    assert (entry.state, entry.task_id, entry.expires_at) == ("queued", "t-1", NOON + DAY)


def test_an_id_that_could_not_be_written_is_written_with_the_next_word_on_its_task(journals: JournalFixture) -> None:
    entry = journals.sent()
    with contextlib.closing(sqlite3.connect(journals.journal.path, isolation_level=None)) as other:
        layout = other.execute("PRAGMA user_version").fetchone()[0]
        other.execute("PRAGMA user_version = 99")
        with pytest.raises(FileError):
            journals.journal.mark_known(entry, task())
        other.execute(f"PRAGMA user_version = {layout}")
    journals.journal.note_task(entry.base_url, task(status="processing"))
    found = journals.another().entry(entry.id)
    assert found
    assert (found.task_id, found.status) == ("t-1", "processing")


def test_an_id_whose_entry_somebody_removed_is_told_as_one_that_cannot_be_kept(journals: JournalFixture) -> None:
    entry = journals.sent()
    with contextlib.closing(sqlite3.connect(journals.journal.path, isolation_level=None)) as other:
        other.execute("DELETE FROM clip")
    with pytest.raises(FileError, match="cannot be written"):
        journals.journal.mark_known(entry, task())


def test_what_is_written_is_there_for_other_processes_at_once(journals: JournalFixture) -> None:
    (entry,) = journals.intend()
    assert journals.another().entry(entry.id) == entry


def test_a_request_is_remembered_without_its_pictures(journals: JournalFixture) -> None:
    (entry,) = journals.intend(
        request={"prompt": "x", "input_images": [{"b64_json": "QUJD" * 9}, {"url": "http://h/a"}]}
    )
    assert entry.request["input_images"] == [{"b64_json": "[27 bytes]"}, {"url": "http://h/a"}]


def test_only_what_was_never_sent_is_withdrawn(journals: JournalFixture) -> None:
    entries = [journals.intend()[0], journals.sent(), journals.known("t-1")]
    waiting = journals.sent()
    journals.journal.mark_unsent(waiting, in_line=True)
    journals.journal.withdraw([*entries, waiting])
    assert [entry and entry.state for entry in map(journals.entry, entries)] == [None, "sent", "queued"]
    assert journals.state(waiting) == "refused"  # it left once, whatever was taken for its answer


def test_a_task_belongs_to_one_entry_and_the_servers_own_answer_goes_first(journals: JournalFixture) -> None:
    guessed, told = journals.sent(), journals.sent(prompt="another")
    assert journals.journal.adopt(guessed, task(prompt="a fox"))
    journals.journal.mark_known(told, task())
    assert (journals.state(guessed), journals.state(told)) == ("unknown", "queued")
    assert journals.journal.by_task(API, ["t-1"])["t-1"].id == told.id


def test_the_same_id_at_two_services_is_two_tasks(journals: JournalFixture) -> None:
    here, there = journals.known("t-1"), journals.known("t-1", base_url="sandbox")
    assert journals.journal.by_task(API, ["t-1"])["t-1"].id == here.id
    assert journals.journal.by_task("sandbox", ["t-1"])["t-1"].id == there.id


# ---------------------------------------------------------------------- adoption


def test_a_found_task_is_adopted(journals: JournalFixture) -> None:
    found = journals.journal.adopt(journals.sent(), task(status="processing"))
    assert found
    assert (found.state, found.task_id) == ("processing", "t-1")


def test_a_task_that_another_entry_has_is_not_adopted(journals: JournalFixture) -> None:
    entry = journals.sent()
    journals.known("t-1", prompt="another")
    assert journals.journal.adopt(entry, task()) is None
    assert journals.state(entry) == "sent"


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
    journals: JournalFixture, rival: dict[str, Any], fate: str, later: float, adopted: bool
) -> None:
    entry = journals.sent()
    other = journals.journal.mark_sent(journals.intend(**rival)[0], NOON + later, [])
    journals.become(other, fate)
    assert (journals.journal.adopt(entry, task(prompt="a fox", model="wan")) is not None) is adopted


def test_a_task_that_does_not_tell_its_prompt_could_be_any_rivals(journals: JournalFixture) -> None:
    entry = journals.sent()
    journals.sent(prompt="another")
    assert journals.journal.adopt(entry, task()) is None


def test_where_the_task_does_not_tell_its_time_any_rival_counts(journals: JournalFixture) -> None:
    entry = journals.sent()
    journals.journal.mark_sent(journals.intend()[0], NOON - DAY, [])
    assert journals.journal.adopt(entry, task(created=None)) is None


@pytest.mark.parametrize(("age", "is_unsettled"), [(0, False), (DAY + 1, True)])
def test_a_post_that_a_living_process_waits_for_is_not_unsettled(
    journals: JournalFixture, age: float, is_unsettled: bool
) -> None:
    entry = journals.journal.mark_sent(journals.intend()[0], NOON, ["old"])
    journals.clock.advance(age)
    expected = [(journals.journal.entry(entry.id), {"old"})] if is_unsettled else []
    assert journals.journal.unsettled(API) == expected


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
    journals: JournalFixture, spent: list[float], count: int, dollars: float, fits: bool
) -> None:
    for cents in spent:
        journals.intend(cents=cents)
    if fits:
        assert len(journals.intend(count=count, budgets={"day": dollars})) == count
    else:
        with pytest.raises(PaymentError, match=r"budget\.day"):
            journals.intend(count=count, budgets={"day": dollars})


def test_what_would_pass_a_budget_is_not_written_down(journals: JournalFixture) -> None:
    with pytest.raises(PaymentError):
        journals.intend(count=3, budgets={"day": 9, "month": 0.29})
    assert journals.journal.entries(limit=9, offset=0) == []


@pytest.mark.parametrize(
    ("status", "cost", "counted"),
    [("completed", 4, 4), ("completed", 0, 0), ("completed", None, 10), ("failed", 10, 0), ("expired", None, 0),
     ("processing", 4, 10), ("upscaling", None, 10)],
)  # fmt: skip
def test_settled_costs_count_where_known_and_failures_not(
    journals: JournalFixture, status: str, cost: float | None, counted: float
) -> None:
    journals.known("t-1")
    journals.journal.note_task(API, task(status=status, cost_cents=cost))
    journals.intend(cents=20 - counted, budgets={"day": 0.2})
    with pytest.raises(PaymentError):
        journals.intend(cents=0.01, budgets={"day": 0.2})


@pytest.mark.parametrize("later", ["expired", "processing", "failed"])
def test_what_was_seen_completed_stays_charged(journals: JournalFixture, later: str) -> None:
    entry = journals.known("t-1")
    journals.journal.note_task(API, task(status="completed", cost_cents=8))
    journals.journal.note_task(API, task(status=later))
    assert journals.state(entry) == "completed"
    with pytest.raises(PaymentError):
        journals.intend(cents=3, budgets={"day": 0.1})
    journals.journal.note_task(API, task(status="completed", cost_cents=7))
    assert journals.intend(cents=3, budgets={"day": 0.1})


def test_what_fails_after_a_journey_is_taken_off_the_day_it_was_counted_on(
    journals: JournalFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        monkeypatch.setenv("TZ", "UTC0")
        time.tzset()
        journals.known("t-1")  # at noon
        monkeypatch.setenv("TZ", "XXX-13")  # where it is the next day already
        time.tzset()
        journals.journal.note_task(API, task(status="failed"))
        with contextlib.closing(sqlite3.connect(journals.path)) as database:
            assert database.execute("SELECT cents FROM spending").fetchall() == [(0.0,)]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_a_killed_process_left_of_its_sign_of_life_is_swept_away(journals: JournalFixture) -> None:
    lives = journals.path.parent / "running"
    lives.mkdir(parents=True)
    (lives / "0123").touch()
    journals.intend()
    assert not (lives / "0123").exists()
    assert len(list(lives.iterdir())) == 1  # our own


@pytest.mark.parametrize(
    ("fate", "counted"), [("refused", False), ("unknown", True), ("sent", True), ("intended", True)]
)
def test_a_refused_create_holds_no_budget_and_an_unknown_one_does(
    journals: JournalFixture, fate: str, counted: bool
) -> None:
    journals.become(journals.intend()[0], fate)
    if counted:
        with pytest.raises(PaymentError):
            journals.intend(budgets={"day": 0.1})
    else:
        assert journals.intend(budgets={"day": 0.1})


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
    journals: JournalFixture, period: str, then: tuple[int, ...], now: tuple[int, ...], counted: bool
) -> None:
    for moment, budgets in ((then, {}), (now, {period: 0.1})):
        journals.clock.shift_wall(datetime(*moment).timestamp() - journals.clock.now())  # type: ignore[arg-type]
        if budgets and counted:
            with pytest.raises(PaymentError):
                journals.intend(budgets=budgets)
        else:
            journals.known(f"t-{period}-{'-'.join(map(str, moment))}", budgets=budgets)


def test_an_unknown_price_cannot_be_held_against_a_budget(journals: JournalFixture) -> None:
    assert journals.intend(cents=None)
    with pytest.raises(PaymentError, match="unknown"):
        journals.intend(cents=None, budgets={"day": 100})


def test_a_budget_is_kept_over_all_processes_and_services(journals: JournalFixture) -> None:
    journals.intend(base_url="http://elsewhere/v1")
    other = journals.another()
    with pytest.raises(PaymentError):
        other.intend(base_url=API, account="", requests=[{}], targets=[None], estimate_cents=10, budgets={"day": 0.1})


# ---------------------------------------------------------------------- how long clips took


def test_the_journal_knows_how_long_a_model_s_clips_took(journals: JournalFixture) -> None:
    def ran(seconds: float, *, status: str = "completed", watched: bool = True, model: str = "wan") -> None:
        number = len(journals.journal.entries(limit=100, offset=0))
        entry = journals.sent(request={"model": model, "prompt": "x"})
        journals.journal.mark_known(entry, task(f"t-{number}"))
        journals.clock.advance(seconds)
        journals.journal.note_task(entry.base_url, task(f"t-{number}", status=status), ended_now=watched)

    for seconds in (60, 70, 80):
        ran(seconds)
    ran(500, watched=False)
    ran(5, status="failed")
    ran(33, model="other")
    assert journals.journal.past_seconds(API, "wan") == [80, 70, 60]
    assert journals.journal.past_seconds("http://elsewhere/v1", "wan") == []


def test_an_answer_that_comes_after_an_interruption_and_names_an_older_task_is_not_taken(
    journals: JournalFixture,
) -> None:
    older, told = task("old", prompt="a fox"), io.StringIO()

    class Api:
        async def create(self, body: dict[str, Any], attempt: Attempt) -> Task:
            await asyncio.sleep(1)
            return older

    async def interrupted(entry: Entry) -> None:
        api: Any = Api()
        submitter = Submitter(api, journals.journal, SubmitReport(Output(stderr=told)), wait_for_slot=False)
        submitter.learn(Listing([older], None))
        submitting = asyncio.ensure_future(submitter.submit(entry, {}))
        await asyncio.sleep(0.5)
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)

    [entry] = journals.intend()
    with asyncio.Runner(loop_factory=journals.clock.loop_factory) as loop:
        loop.run(interrupted(entry))
    found = journals.entry(entry)
    assert found
    assert (found.fate, found.task_id, found.candidates) == ("unknown", None, ("old",))
    assert "was there before" in told.getvalue().splitlines()[-1]
