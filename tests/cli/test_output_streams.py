"""Standard output and error: results and notes, common options anywhere, hostile text made harmless."""

from __future__ import annotations

import json

import pytest
from hostile_answers import ALL, HOSTILE, TASK, UNSAFE, model, serve
from program import World, fields, json_answer

from airvid.sandbox.emulator import Response

# ---------------------------------------------------------------------- hostile text


@pytest.mark.parametrize(
    "command",
    [
        ["status", TASK],
        ["list"],
        ["list", "--ids"],
        ["models"],
        ["watch", TASK, "--timeout", "30"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_field_of_the_server_s_reaches_either_stream_raw(world: World, command: list[str], as_json: bool) -> None:
    serve(world, ALL)
    result = world.airvid(*command, *(["--json"] if as_json else []))
    assert result.code in (0, 10), result.err
    assert UNSAFE.findall(result.out + result.err) == []
    assert result.out or command[0] == "watch"
    if command[0] in ("status", "list") and not as_json and "--ids" not in command:
        assert {len(fields(line)) for line in result.lines} == {8}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_json_gives_the_text_back_as_it_was(world: World, text: str) -> None:
    serve(world, text)
    found = world.airvid("status", TASK, "--json").json
    assert found["prompt"] == found[text] == text


def test_a_model_s_record_is_shown_harmless(world: World) -> None:
    world.emulator.models = [{**model(ALL), "id": "mine"}]
    result = world.airvid("models", "mine")
    assert result.code == 0
    assert UNSAFE.findall(result.out + result.err) == []


@pytest.mark.parametrize("options", [[], ["--json"], ["--debug"]], ids=" ".join)
@pytest.mark.parametrize("kind", ["json", "text", "task"])
def test_an_error_of_the_server_s_is_shown_harmless(world: World, options: list[str], kind: str) -> None:
    answers = {
        "json": json_answer(400, {"error": {"message": ALL, "code": ALL}}),
        "text": Response(400, {}, ALL.encode("utf-8", "replace")),
        "task": json_answer(200, {"task_id": TASK, "status": "failed", "error": ALL}),
    }
    world.answer = lambda _: answers[kind]
    result = world.airvid("watch", TASK, *options)
    assert result.code in (1, 5)
    assert UNSAFE.findall(result.out + result.err) == []


@pytest.mark.parametrize("text", ["[bold red]x[/]", "[/nope]", ":warning:"])
def test_rich_markup_is_shown_as_it_stands(world: World, text: str) -> None:
    serve(world, text)
    assert text in world.airvid("list").out
    world.answer = lambda _: json_answer(400, {"error": text})
    assert text in world.airvid("status", TASK).err


def test_what_the_user_typed_is_shown_harmless_too(world: World) -> None:
    text = ALL.replace("\x00", "")
    for command in (["create", "x", "-m", text], ["status", f"x{text}"], ["models", text], [f"x{text}"],
                    ["list", "--since", text], ["create", "x", "-o", f"{{{text}"]):  # fmt: skip
        result = world.airvid(*command)
        assert result.code in (2, 4)
        assert UNSAFE.findall(result.out + result.err) == []


# ---------------------------------------------------------------------- common options


@pytest.mark.parametrize(
    "arguments",
    [["--json", "list"], ["list", "--json"], ["--json", "list", "--json"], ["-q", "list", "--json"]],
    ids=" ".join,
)
def test_json_works_before_and_after_the_command(world: World, arguments: list[str]) -> None:
    assert world.airvid(*arguments).out == "[]\n"


@pytest.mark.parametrize("arguments", [["-q", "list"], ["list", "-q"], ["list", "--quiet"], ["--quiet", "list"]])
def test_quiet_works_before_and_after_the_command(world: World, arguments: list[str]) -> None:
    assert world.airvid("list").err != ""
    assert world.airvid(*arguments).err == ""


@pytest.mark.parametrize("arguments", [["--debug", "list"], ["list", "--debug"]])
def test_debug_works_before_and_after_the_command(world: World, arguments: list[str]) -> None:
    assert "> GET " in world.airvid(*arguments).err


@pytest.mark.parametrize("place", [0, 1])
def test_the_base_works_before_and_after_the_command_and_goes_before_the_environment(world: World, place: int) -> None:
    arguments = ["list"]
    arguments[place:place] = ["--base-url", "http://other.test/v9"]
    world.airvid(*arguments)
    assert world.calls[0] == "GET /v9/v1/video/tasks"


def test_they_work_with_a_group_s_command_too(world: World) -> None:
    for arguments in (["--json", "auth", "status"], ["auth", "--json", "status"], ["auth", "status", "--json"]):
        assert world.airvid(*arguments).json["source"] == "AIRVID_API_KEY"


@pytest.mark.parametrize(
    "address",
    ["ftp://x", "http://", "http://a b", "http://user@x/v1", "http://x/?a=b", "http://x:99999", "http://x\x1b", ""],
)
def test_an_address_that_is_none_is_a_usage_error(world: World, address: str) -> None:
    result = world.airvid("list", "--base-url", address)
    assert (result.code, world.calls) == (2, [])


# ---------------------------------------------------------------------- help and usage


def test_alone_it_prints_the_help(world: World) -> None:
    result = world.airvid()
    assert (result.code, result.err) == (0, "")
    named = "models create status watch list delete download auth config sandbox"
    assert [name for name in named.split() if f"\n  {name} " not in result.out] == []
    # One screen, the commands first.
    assert len(result.lines) <= 30
    assert result.out.index("Commands:") < result.out.index("airvid help exit-codes") < result.out.index("--sandbox")
    assert world.airvid("help").out == result.out


@pytest.mark.parametrize("arguments", [["-h"], ["create", "-h"], ["create", "--help"], ["auth", "login", "-h"]])
def test_h_is_help(world: World, arguments: list[str]) -> None:
    result = world.airvid(*arguments)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Usage: airvid")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--bogus"], "airvid --help"),
        (["bogus"], "airvid --help"),
        (["create", "x", "--bogus"], "airvid create --help"),
        (["create", "x", "x"], 'airvid create "x x"'),
        (["list", "x"], "airvid list --help"),
        (["create", "x", "-d"], "airvid create --help"),
        (["create", "x", "-d", "long"], "airvid create --help"),
        (["create", "--json", "x", "--seed", "1.5"], "airvid create --help"),
        (["list", "-L", "many"], "airvid list --help"),
        (["auth", "bogus"], "airvid auth status"),
        (["config", "bogus"], "airvid config list"),
        (["config", "set", "model"], "airvid config set --help"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_usage_error_is_2_with_the_help_that_there_is(world: World, arguments: list[str], hint: str) -> None:
    result = world.airvid(*arguments)
    assert (result.code, result.out, world.calls) == (2, "", [])
    assert hint in result.err
    assert "Usage:" not in result.err


# ---------------------------------------------------------------------- errors as objects

FAILURES = [
    (["create", "x", "--bogus"], "usage", 2),
    (["create", ""], "usage", 2),
    (["create", "x", "-m", "nope"], "usage", 2),
    (["status", TASK], "not_found", 4),
    (["models", "nope"], "not_found", 4),
    (["create", "x", "-d", "2", "--max-cost", "0"], "payment", 7),
    (["create", "x", "-i", "none.png"], "file", 11),
]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("arguments", "code", "exit_code"), FAILURES, ids=lambda each: str(each))
def test_with_json_an_error_is_one_object(
    world: World, arguments: list[str], code: str, exit_code: int, first: bool
) -> None:
    result = world.airvid(*(["--json", *arguments] if first else [*arguments, "--json"]))
    told = [json.loads(line)["error"] for line in result.err.splitlines() if line.startswith('{"error"')]
    assert (result.code, result.out, len(told)) == (exit_code, "", 1)
    assert (told[0]["code"], told[0]["exit_code"]) == (code, exit_code)
    assert set(told[0]) >= {"code", "message", "hint", "exit_code"}


def test_without_a_key_json_says_so(world: World) -> None:
    world.env.delenv("AIRVID_API_KEY")
    error = json.loads(world.airvid("list", "--json").err)["error"]
    assert (error["code"], error["exit_code"]) == ("auth", 3)
    assert "airvid auth login" in error["hint"]


def test_quiet_leaves_results_and_errors(world: World) -> None:
    result = world.airvid("create", "x", "--wait", "-q")
    assert (result.code, len(result.lines), result.err) == (0, 1, "")


def test_nothing_is_coloured_outside_a_terminal(world: World) -> None:
    world.env.setenv("TERM", "xterm-256color")
    result = world.airvid("create", "x", "--wait")
    assert "\x1b" not in result.out + result.err


def test_an_unforeseen_error_shows_no_traceback_without_debug(world: World) -> None:
    def break_down(_: int) -> bytes:
        raise ZeroDivisionError("oops")

    world.env.setattr("os.urandom", break_down)  # which each request is named by
    quiet, loud = world.airvid("list"), world.airvid("list", "--debug")
    assert (quiet.code, loud.code) == (1, 1)
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err
