"""Never twice, never lost: every way in which a POST can end."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import sqlite3
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from creates import CREATE, POST, listed, other_machine, rows
from journal_fixture import JournalFixture
from program import KEY, World, json_answer

from airvid.api.client import Api
from airvid.api.http import HttpClient
from airvid.clips.submit import Submitter
from airvid.journal.entries import Entry
from airvid.sandbox.emulator import Fault, Request, Response
from airvid.sandbox.faults import parse_fault
from airvid.ui.output import Output
from airvid.ui.submit_report import SubmitReport

HTML = Response(524, {"Content-Type": "text/html"}, b"<html><title>524: A timeout occurred</title></html>")

AMBIGUOUS = [
    pytest.param({"ending": "reset"}, id="reset"),
    pytest.param({"ending": "silence"}, id="silence"),
    pytest.param({"ending": "truncate"}, id="truncated body"),
    pytest.param({"answer": json_answer(500, {"error": "oops"})}, id="500"),
    pytest.param({"answer": json_answer(408, {"error": "oops"})}, id="408"),
    pytest.param({"answer": json_answer(502, {"error": {"message": "bad gateway"}})}, id="502"),
    pytest.param({"answer": HTML}, id="524 HTML"),
    pytest.param({"answer": Response(200)}, id="empty 200"),
    pytest.param({"answer": Response(204)}, id="204"),
    pytest.param({"answer": Response(200, {}, b"The model does not exist.")}, id="200 text"),
    pytest.param({"answer": Response(200, {}, b'{"task_id":"f47ac10b-58cc')}, id="truncated JSON"),
    pytest.param({"answer": json_answer(200, {"data": []})}, id="200 data"),
    pytest.param({"answer": json_answer(200, {"error": {"message": "upstream"}})}, id="error in a 200"),
    pytest.param({"answer": json_answer(200, {"task_id": ""})}, id="empty id"),
    pytest.param({"answer": json_answer(201, {"task_id": None, "status": "queued"})}, id="null id"),
    pytest.param({"answer": json_answer(200, [])}, id="200 list"),
]


def test_a_create_that_is_interrupted_while_it_connects_was_not_sent(journals: JournalFixture) -> None:
    notes = io.StringIO()

    class Hanging(asyncio.SelectorEventLoop):
        """No connection comes about, and somebody is tired of waiting."""

        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            self.call_soon(submitting.cancel)
            await self.create_future()

    async def submit(entry: Entry) -> None:
        wire = HttpClient("http://127.0.0.1:9/v1", KEY, use_proxies=False)
        try:
            submitter = Submitter(Api(wire), journals.journal, SubmitReport(Output(stderr=notes)), wait_for_slot=False)
            await submitter.submit(entry, entry.request)
        finally:
            await wire.aclose()

    (entry,) = journals.intend()
    with asyncio.Runner(loop_factory=Hanging) as runner:
        loop = runner.get_loop()
        submitting = loop.create_task(submit(entry))
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(submitting)
    assert (journals.state(entry), notes.getvalue()) == ("intended", "")


@pytest.mark.parametrize("price", [1e308, 2e15])
def test_a_price_that_nobody_can_count_is_unknown_and_stands_in_no_later_create_s_way(
    world: World, price: float
) -> None:
    def models(request: Request) -> Response | None:
        caps = {"modes": ["text"], "min_duration_s": 2, "max_duration_s": 15, "price_per_second_cents": price}
        listing = {"data": [{"id": "wan-2.6", "output_modalities": ["video"], "video_caps": caps}]}
        return json_answer(200, listing) if request.path.endswith("/models") else None

    world.answer = models
    shown = world.airvid("models", "--json", "-d", "15")
    assert json.loads(shown.out, parse_constant=pytest.fail)[0]["airvid"]["clip"]["cost_usd"] is None
    planned = world.airvid(*CREATE, "--dry-run", "--json")
    assert json.loads(planned.out, parse_constant=pytest.fail)["airvid"]["estimate_cents"] is None
    assert world.airvid(*CREATE, "--max-cost", "1").code == 7
    assert world.airvid(*CREATE).code == 0
    world.answer = lambda _: None
    assert world.airvid(*CREATE).code == 0
    assert len(world.posts) == 2


# ---------------------------------------------------------------------- ambiguous answers


@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_an_ambiguous_post_that_was_taken_is_found_in_the_list(
    world: World, tmp_path: Path, fault: dict[str, Any]
) -> None:
    world.emulator.faults.append(Fault(POST, **fault))
    result = world.airvid(*CREATE)
    assert (result.code, result.lines) == (0, listed(world))
    assert len(world.posts) == 1
    assert f"found: the create made task {result.lines[0]}" in result.err
    assert rows(tmp_path) == [("known", result.lines[0])]


@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_an_ambiguous_post_of_which_the_list_knows_nothing_ends_with_9(
    world: World, tmp_path: Path, fault: dict[str, Any]
) -> None:
    if fault.get("ending") == "truncate":
        fault = {"answer": Response(200, {}, b"half a body"), **fault}
    world.emulator.faults.append(Fault(POST, before=True, **fault))
    result = world.airvid(*CREATE)
    assert (result.code, result.out) == (9, "")
    assert len(world.posts) == 1
    assert "hint: airvid list" in result.err
    assert rows(tmp_path) == [("unknown", None)]


def test_a_match_is_adopted_and_followed_to_its_file(world: World) -> None:
    world.emulator.faults.append(parse_fault("lost-reply"))
    result = world.airvid(*CREATE, "-o", "fox.mp4")
    assert (result.code, result.out, len(world.posts)) == (0, "fox.mp4\n", 1)


def test_a_match_that_the_list_shows_late_is_adopted(world: World) -> None:
    world.emulator.faults += [
        parse_fault("lost-reply"),
        Fault("GET /video/tasks$", json_answer(200, {"data": []}), skip=1, times=2),
        parse_fault("status=503@list"),
    ]
    result = world.airvid(*CREATE)
    assert (result.code, len(world.posts)) == (0, 1)


def test_several_matches_are_named_and_none_is_guessed(world: World, tmp_path: Path) -> None:
    twin: list[str] = []

    def twice(request: Request) -> None:
        if request.method == "POST":
            twin.append(other_machine(world))

    world.answer = twice
    world.emulator.faults.append(Fault(POST, ending="reset", skip=1))
    result = world.airvid(*CREATE, "--json")
    error = json.loads(result.err.splitlines()[-1])["error"]
    assert (result.code, result.out, error["exit_code"]) == (9, "", 9)
    assert sorted(error["candidates"]) == sorted(listed(world))
    assert len(error["candidates"]) == 2
    assert rows(tmp_path) == [("unknown", None)]


def test_a_task_that_was_there_before_is_never_adopted(world: World) -> None:
    other_machine(world)
    world.emulator.faults.append(parse_fault("status=503"))
    assert world.airvid(*CREATE).code == 9


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({}, 0),
        ({"prompt": None}, 0),
        ({"prompt": None, "model": None, "duration_seconds": None}, 0),
        ({"model": "WAN-2.6", "prompt": " fox\n"}, 0),
        ({"duration_seconds": "8"}, 0),
        ({"status": "failed"}, 5),
        ({"created": None}, 0),
        ({"prompt": "wolf"}, 9),
        ({"model": "kling-3.0"}, 9),
        ({"duration_seconds": 5}, 9),
        ({"mode": "image"}, 9),
        ({"created": -60}, 9),
        ({"created": 3600}, 9),
    ],
)
def test_only_a_task_that_says_nothing_else_is_adopted(world: World, told: dict[str, Any], code: int) -> None:
    """`created` is told in seconds from the POST."""
    task = {"model": "wan-2.6", "prompt": "fox", "duration_seconds": 8, "created": 1, "status": "queued", **told}
    if task["created"] is not None:
        task["created"] += world.clock.now()
    sent: list[Request] = []

    def answer(request: Request) -> Response | None:
        if request.method == "POST":
            sent.append(request)
            return json_answer(500, {})
        if request.route == "/v1/video/tasks":
            return json_answer(200, {"data": [{"task_id": "theone-1", **task}] if sent else []})
        done = {"status": "completed", "result_url": "http://storage.test/x"} if task["status"] == "queued" else {}
        return json_answer(200, {"task_id": "theone-1", **task, **done}) if "theone-1" in request.path else None

    world.answer = answer
    assert world.airvid(*CREATE, "--wait").code == code
    assert len(sent) == 1


@pytest.mark.parametrize("hours", [-3, 0, 3])
def test_a_match_is_looked_for_by_the_server_s_clock(world: World, hours: int) -> None:
    world.answer = lambda request: world.emulator.handle(request, world.clock.now() + 3600 * hours)
    world.emulator.faults.append(parse_fault("lost-reply"))
    assert world.airvid(*CREATE).code == 0
    assert len(world.posts) == 1


def test_an_unknown_fate_stays_in_view(world: World) -> None:
    world.emulator.faults.append(parse_fault("status=503"))
    world.airvid(*CREATE)
    (known,) = world.airvid("list", "--local", "--status", "unknown", "--json").json
    assert known["airvid"]["prompt"] == "fox"
    assert world.airvid("watch", "last").code == 9


def test_a_create_after_one_of_unknown_fate_is_not_taken_for_it(world: World) -> None:
    world.emulator.faults.append(parse_fault("status=503"))
    assert world.airvid(*CREATE).code == 9
    second = world.airvid(*CREATE)
    assert (second.code, second.lines) == (0, listed(world))


def test_nothing_more_is_sent_after_a_clip_of_unknown_fate(world: World) -> None:
    world.emulator.faults.append(Fault(POST, before=True, skip=1))
    result = world.airvid(*CREATE, "-n", "3")
    assert (len(result.lines), len(world.posts)) == (1, 2)
    assert result.code == 9
    assert "1 of 3 clips were submitted" in result.err
    assert "--count 1" in result.err.splitlines()[-1]


@pytest.mark.parametrize("fate", ["sent", "unknown"])
def test_a_create_that_was_killed_is_picked_up_by_watch_last(world: World, tmp_path: Path, fate: str) -> None:
    """The process died after the server took the POST, and before its answer or any look at the list."""

    class Killed(BaseException): ...

    def kill(request: Request) -> None:
        if request.method == "POST":
            world.emulator.handle(request, world.clock.now())
            raise Killed

    world.answer = kill
    assert world.airvid(*CREATE).out == ""
    world.answer = lambda _: None
    database = sqlite3.connect(tmp_path / "data" / "airvid" / "journal.db")
    with database:
        database.execute("UPDATE clip SET process = NULL, fate = ?", (fate,))  # its process is gone
    database.close()
    assert world.airvid("list", "--local").code == 0
    result = world.airvid("watch", "last")
    assert (result.code, result.out.split("\t")[0]) == (0, listed(world)[0])


# ---------------------------------------------------------------------- what the server surely did not take


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout])
def test_a_connection_that_was_never_made_is_tried_again(world: World, failure: type[Exception]) -> None:
    left = 3

    def refuse(request: Request) -> None:
        nonlocal left
        if request.method == "POST" and left:
            left -= 1
            raise failure("no route")

    world.connect = refuse
    result = world.airvid(*CREATE)
    assert (result.code, len(world.posts), left) == (0, 1, 0)


def test_a_connection_that_is_never_made_ends_with_9_and_no_task(world: World, tmp_path: Path) -> None:
    def refuse(request: Request) -> None:
        if request.method == "POST":
            raise httpx.ConnectError("no route")

    world.connect = refuse
    assert world.airvid(*CREATE).code == 9
    assert rows(tmp_path) == [("refused", None)]
    assert world.clock.elapsed() < 90


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 1), (401, 3), (402, 7), (403, 3), (404, 4), (409, 1), (413, 1), (422, 1)],
)
def test_a_refusal_is_final(world: World, tmp_path: Path, status: int, code: int) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(status, {"error": "No."}), before=True))
    result = world.airvid(*CREATE, "--wait")
    assert (result.code, result.out, len(world.posts)) == (code, "", 1)
    assert rows(tmp_path) == [("refused", None)]


@pytest.mark.parametrize(
    "error",
    [{"error": "No balance", "task_id": None}, {"error": "No", "task_id": ""}, {"error": {"param": "task_id"}}],
    ids=repr,
)
def test_a_refusal_without_an_id_is_none_of_a_task(world: World, tmp_path: Path, error: dict[str, Any]) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(402, error), before=True))
    assert world.airvid(*CREATE).code == 7
    assert rows(tmp_path) == [("refused", None)]


LIMITS = [
    json_answer(429, {"error": {"message": "Rate limit", "code": "429"}}, {"Retry-After": "20"}),
    json_answer(429, {"error": "limit", "retry_after": 20}),
    json_answer(429, {"message": "Try again in 1.0 seconds. Your next guaranteed response is in 20 seconds"}),
    json_answer(403, {"error": "At most 4 concurrent tasks"}, {"Retry-After": "20"}),
    json_answer(400, {"error": "too many running tasks"}, {"Retry-After": "20"}),
]


@pytest.mark.parametrize("limit", [*LIMITS[3:], json_answer(429, {"error": "Rate limit"}, {"Retry-After": "91"})])
def test_without_waiting_a_limit_that_does_not_pass_soon_ends_with_8_at_once(world: World, limit: Response) -> None:
    world.emulator.faults.append(Fault(POST, limit, before=True))
    result = world.airvid(*CREATE)
    assert (result.code, len(world.posts)) == (8, 1)
    assert "--wait" in result.err
    assert world.clock.elapsed() < 5


@pytest.mark.parametrize("limit", LIMITS[:3])
def test_without_waiting_a_rate_limit_that_passes_soon_is_waited_out_and_told(world: World, limit: Response) -> None:
    world.emulator.faults.append(Fault(POST, limit, before=True))
    result = world.airvid(*CREATE)
    assert (result.code, len(result.lines), len(world.posts)) == (0, 1, 2)
    assert "waiting for the rate limit" in result.err
    assert 20 <= world.clock.elapsed() < 30


def test_without_waiting_a_rate_limit_that_stays_is_given_up_after_90_seconds(world: World) -> None:
    world.emulator.faults.append(Fault(POST, json_answer(429, {"error": "Rate limit"}), before=True, times=99))
    result = world.airvid(*CREATE)
    assert (result.code, result.out) == (8, "")
    assert 30 <= world.clock.elapsed() <= 95


@pytest.mark.parametrize("options", [[], ["--wait"]])
def test_an_account_held_to_one_request_a_minute_can_create(world: World, options: list[str]) -> None:
    """Its own reads use the allowance, before the POST and after its refusal."""
    free_at = 0.0

    def answer(request: Request) -> Response | None:
        nonlocal free_at
        left = free_at - world.clock.now()
        if request.storage:
            return None
        if left > 0:
            return json_answer(429, {"error": "1 request a minute"}, {"Retry-After": f"{left + 0.5:.0f}"})
        free_at = world.clock.now() + 60
        return None

    world.answer = answer
    result = world.airvid(*CREATE, *options)
    assert result.code == 0, result.err
    assert len(listed(world)) == 1


@pytest.mark.parametrize("limit", LIMITS)
def test_a_create_that_waits_comes_back_when_the_server_said(world: World, limit: Response) -> None:
    world.emulator.faults.append(Fault(POST, limit, before=True))
    assert world.airvid(*CREATE, "--wait").code == 0
    first, second = [at for at, request in world.emulator.requests if request.method == "POST"]
    assert second - first >= 20


def test_a_create_waits_for_one_of_four_slots(world: World) -> None:
    for _ in range(4):
        other_machine(world, prompt="wolf")
    assert world.airvid(*CREATE).code == 8
    assert world.airvid(*CREATE, "-o", "fox.mp4").out == "fox.mp4\n"
    assert len(listed(world)) == 5


def test_six_clips_are_made_though_only_four_fit(world: World) -> None:
    result = world.airvid(*CREATE, "-n", "6", "-o", "{n}.mp4")
    assert (result.code, len(result.lines), len(listed(world))) == (0, 6, 6)


def test_a_timeout_before_any_slot_was_free_ends_with_8(world: World, tmp_path: Path) -> None:
    world.emulator.faults.append(Fault(POST, LIMITS[0], before=True, times=99))
    assert world.airvid(*CREATE, "--wait", "--timeout", "2m").code == 8
    assert rows(tmp_path) == [("refused", None)]  # it left, and was surely not taken


def test_a_timeout_while_the_post_is_out_leaves_its_fate_unknown(world: World, tmp_path: Path) -> None:
    world.emulator.faults.append(Fault(POST, ending="silence"))
    assert world.airvid(*CREATE, "--wait", "--timeout", "20").code == 9
    assert rows(tmp_path) == [("unknown", None)]


# ---------------------------------------------------------------------- the journal comes first


def test_the_intent_is_on_disk_before_the_post(world: World, tmp_path: Path) -> None:
    seen: list[Any] = []
    world.answer = lambda request: seen.extend(rows(tmp_path)) if request.method == "POST" else None
    world.airvid(*CREATE)
    assert seen == [("sent", None)]


def test_the_id_is_in_the_journal_before_it_is_printed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[Any] = []
    write = sys.stdout.write

    def look(text: str) -> int:
        known.append(rows(tmp_path)[0][1] == text.strip())
        return write(text)

    monkeypatch.setattr(sys.stdout, "write", look)
    assert world.airvid(*CREATE).code == 0
    assert known == [True]


def test_nothing_is_sent_where_the_journal_cannot_be_written(world: World, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("no folder")
    world.env.setenv("XDG_DATA_HOME", str(tmp_path / "blocked"))
    assert world.airvid(*CREATE).code == 11
    assert world.posts == []
