"""Errors: one code for one kind, which of several decides, and how they are printed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from typing import Any

import pytest
from program import World, json_answer

from airvid import errors
from airvid.errors import AirvidError, SeveralErrors, complain, settle
from airvid.sandbox.emulator import Fault, Response

CODES = {
    "failure": 1,
    "usage": 2,
    "auth": 3,
    "not_found": 4,
    "task_failed": 5,
    "expired": 6,
    "payment": 7,
    "limited": 8,
    "unavailable": 9,
    "timeout": 10,
    "file": 11,
}
CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, AirvidError) and each is not SeveralErrors
]
BY_CODE: dict[int, type[AirvidError]] = {each.exit_code: each for each in CLASSES}


def made(codes: Iterable[int | None]) -> list[AirvidError | None]:
    """An error for each exit code, None for 0."""
    return [BY_CODE[code](f"error {code}") if code else None for code in codes]


def told(err: str) -> list[dict[str, Any]]:
    """The error objects on standard error."""
    return [json.loads(line)["error"] for line in err.splitlines() if line.startswith('{"error"')]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_kind_of_error_has_a_code_of_the_contract(kind: type[AirvidError]) -> None:
    assert CODES[kind.code] == kind.exit_code


def test_every_code_of_the_contract_has_an_error() -> None:
    assert BY_CODE.keys() == set(CODES.values())


# ---------------------------------------------------------------------- which of several decides


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([7], 7),
        ([7, 11], 11),
        ([11, 2], 2),
        ([7, 2], 2),
        ([7, 11, 2], 2),
        ([7, 7], 7),
        ([11, 11, 7], 11),
    ],
)
def test_the_first_of_usage_file_and_payment_decides(codes: list[int], expected: int) -> None:
    with pytest.raises(AirvidError) as caught:
        complain([each for each in made(codes) if each])
    assert caught.value.exit_code == expected


def test_no_complaint_is_no_error() -> None:
    complain([])


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([5], 5),
        ([5, 5], 5),
        ([9, 9, 9], 9),
        ([5, 6], 1),
        ([5, 0], 1),
        ([0, 0, 10], 1),
        ([1, 1], 1),
    ],
)
def test_several_outcomes_have_their_common_code_else_1(codes: list[int], expected: int) -> None:
    with pytest.raises(AirvidError) as caught:
        settle(made(codes))
    assert caught.value.exit_code == expected


@pytest.mark.parametrize("codes", [[], [0], [0, 0]])
def test_outcomes_without_an_error_are_none(codes: list[int]) -> None:
    settle(made(codes))


def test_no_error_of_several_is_lost() -> None:
    with pytest.raises(SeveralErrors) as caught:
        settle(made([5, 0, 6, 5]))
    assert [each.exit_code for each in caught.value.errors] == [5, 6, 5]


# ---------------------------------------------------------------------- the program


def test_all_complaints_about_a_create_are_told_at_once(world: World) -> None:
    (world.folder / "there.mp4").write_text("mine")
    options = ["--duration", "99", "--quality", "8k", "--max-cost", "0.01", "-o", "there.mp4"]
    result = world.airvid("--json", "create", "x", "-m", "wan-2.6", *options)
    assert result.code == 2
    assert sorted(each["exit_code"] for each in told(result.err)) == [2, 2, 7, 11]
    assert world.posts == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["-o", "there.mp4", "--max-cost", "0.01"], 11),
        (["--max-cost", "0.01"], 7),
        (["-d", "99", "--max-cost", "0.01"], 2),
        (["-i", "missing.png", "--max-cost", "0.01"], 11),
    ],
)
def test_the_order_of_complaints_holds_for_the_program(world: World, options: list[str], code: int) -> None:
    (world.folder / "there.mp4").write_text("mine")
    assert world.airvid("create", "x", "-m", "wan-2.6", *options).code == code
    assert world.posts == []


@pytest.mark.parametrize(
    ("outcomes", "code"), [(["failed", "failed"], 5), (["failed", "completed"], 1), (["completed", "completed"], 0)]
)
def test_the_program_answers_for_several_tasks_as_settle_says(world: World, outcomes: list[str], code: int) -> None:
    left = iter(outcomes)
    world.emulator.outcome = lambda _: next(left)
    assert world.airvid("create", "x", "-n", "2", "--wait").code == code


REFUSALS: list[tuple[Response, int, str]] = [
    (json_answer(400, {"error": {"message": "bad cfg", "code": "invalid"}}), 1, "bad cfg (invalid)"),
    (json_answer(401, {"error": "no key"}), 3, "no key"),
    (json_answer(402, {"error": "insufficient_balance", "message": "top up"}), 7, "top up (insufficient_balance)"),
    (json_answer(403, {"message": "gated"}), 3, "gated"),
    (json_answer(404, {"error": "unknown"}), 4, "unknown"),
    (json_answer(409, {"error": {"message": "concurrency limit", "code": "409"}}), 8, "concurrency limit"),
    (Response(422, {}, b"plain words"), 1, "plain words"),
    (json_answer(429, {"error": "too many tasks"}), 8, "too many tasks"),
    (Response(413, {}, b"<html><title>Too Large</title></html>"), 1, "Too Large"),
    (Response(400, {}, b""), 1, "HTTP 400"),
]


@pytest.mark.parametrize(("answer", "code", "words"), REFUSALS, ids=lambda each: getattr(each, "status", None))
def test_a_refused_create_is_told_in_the_servers_words(world: World, answer: Response, code: int, words: str) -> None:
    world.emulator.faults = [Fault("POST", answer=answer, before=True)]
    result = world.airvid("--json", "create", "x", "-m", "wan-2.6")
    (error,) = told(result.err)
    assert (result.code, result.out, len(world.posts)) == (code, "", 1)
    assert words in error["message"]
    assert CODES[error["code"]] == error["exit_code"] == code


@pytest.mark.parametrize("place", [0, -1])
def test_an_error_as_json_has_the_contracts_keys(world: World, place: int) -> None:
    world.answer = lambda _: json_answer(404, {"error": "Task not found."}, {"X-Request-ID": "req_9"})
    arguments = ["status", "abcdefgh"]
    arguments.insert(place if place == 0 else len(arguments), "--json")
    result = world.airvid(*arguments)
    (error,) = told(result.err)
    assert (result.code, result.out) == (4, "")
    assert error.keys() == {"code", "message", "hint", "exit_code", "request_id", "task_id"}
    assert (error["request_id"], error["task_id"]) == ("req_9", "abcdefgh")


@pytest.mark.parametrize("as_json", [True, False])
def test_an_unknown_option_is_a_usage_error_with_the_help_to_read(world: World, as_json: bool) -> None:
    result = world.airvid("create", "x", "--durration", "8", *(["--json"] if as_json else []))
    assert (result.code, result.out) == (2, "")
    if as_json:
        (error,) = told(result.err)
        assert (error["code"], error["hint"]) == ("usage", "airvid create --help")
    else:
        assert result.err.splitlines()[-1] == "hint: airvid create --help"


def test_each_failed_id_is_told(world: World) -> None:
    result = world.airvid("--json", "status", "aaaa1111", "bbbb2222")
    assert result.code == 4
    assert sorted(each["task_id"] for each in told(result.err)) == ["aaaa1111", "bbbb2222"]


def test_a_fault_of_our_own_is_a_sentence_and_a_traceback_only_with_debug(world: World) -> None:
    def bug(_: int) -> bytes:
        raise ZeroDivisionError("by our own hand")

    world.env.setattr("os.urandom", bug)  # which each request is named by
    quiet, loud = world.airvid("list"), world.airvid("list", "--debug")
    assert (quiet.code, loud.code) == (1, 1)
    assert quiet.err.startswith("error: ")
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err


def test_a_request_that_is_too_large_says_how_large_its_picture_is_and_what_helps(world: World) -> None:
    # A picture of one pixel, and 3 MB after its end.
    (world.folder / "fox.png").write_bytes(
        bytes.fromhex(
            "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
            "0000000c49444154789c63f8cfc000000301010018dd8db00000000049454e44ae426082"
        )
        + bytes(3_000_000)
    )
    world.emulator.faults.append(Fault("POST /video/generations", json_answer(413, {})))
    result = world.airvid("create", "a fox", "-m", "wan-2.6", "-i", "fox.png")
    assert result.code == 1
    assert "HTTP 413" in result.err
    assert "the pictures in it are 3.0 MB\n" in result.err
    assert "hint: -i with a smaller picture, or with a picture's web address" in result.err
