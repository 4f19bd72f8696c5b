"""What is told can be relied on: hints that can be pasted, one outcome a clip, one object a result, names that fit."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from creates import CREATE, POST, rows
from program import API, World, json_answer
from storage_host import CLIP, HALF, StorageHost, rest, whole

from airvid.config import Common
from airvid.errors import FileError
from airvid.sandbox.emulator import Fault, Pace, Request, Response
from airvid.session import Session
from airvid.ui.output import Output


def hints(told: str) -> list[list[str]]:
    """The commands that a run told to go on with, as a shell reads them."""
    return [shlex.split(line.removeprefix("hint: ")) for line in told.splitlines() if line.startswith("hint: airvid")]


def slow(world: World) -> None:
    world.emulator.pace = Pace(queued=5, processing=600)


# ---------------------------------------------------------------------- hints


@pytest.mark.parametrize("is_replaced", [False, True])
def test_each_clip_s_hint_names_its_own_file(world: World, is_replaced: bool) -> None:
    slow(world)
    replaced = ["--force"] if is_replaced else []
    if is_replaced:
        (world.folder / "fox-2.mp4").write_text("an older one")
    result = world.airvid(*CREATE, "-n", "2", "-o", "fox.mp4", "--timeout", "60", *replaced)
    told = hints(result.err)
    assert (result.code, [each[4:] for each in told]) == (10, [["fox-1.mp4", *replaced], ["fox-2.mp4", *replaced]])
    for command in told:
        assert world.airvid(*command[1:]).code == 0
    assert sorted(each.name for each in world.folder.iterdir()) == ["fox-1.mp4", "fox-2.mp4"]


@pytest.mark.parametrize("command", ["create", "watch", "status", "download"])
def test_a_hint_goes_to_the_same_api(world: World, command: str) -> None:
    slow(world)
    world.env.setenv("AIRVID_BASE_URL", "http://elsewhere.test/v1")
    there = ["--base-url", API]
    made = world.airvid(*CREATE, *there)
    words = {
        "create": [*CREATE, "--wait", "--timeout", "60"],
        "watch": ["watch", *made.lines, "--timeout", "60"],
        "status": ["status", *made.lines, "--exit-status"],
        "download": ["download", *made.lines],
    }
    result = world.airvid(*words[command], *there)
    ((*told,),) = hints(result.err)
    assert result.code == 10
    assert told[1:3] == there


def test_without_an_option_for_the_api_the_hint_has_none(world: World) -> None:
    slow(world)
    result = world.airvid(*CREATE, "--wait", "--timeout", "60")
    (told,) = hints(result.err)
    assert told[:2] == ["airvid", "watch"]


@pytest.mark.usefixtures("world")
def test_a_hint_in_the_sandbox_stays_there() -> None:
    for common, words in ((Common(sandbox=True), "airvid --sandbox watch last"), (Common(), "airvid watch last")):
        assert Session(common, Output()).command("watch", "last") == words


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["create", "fox", "in", "snow", "-d", "8"], 'airvid create "fox in snow" -d 8'),
        (["--sandbox", "create", "-d", "8", "fox", "in", "snow"], 'airvid --sandbox create -d 8 "fox in snow"'),
        (["create", "a", "$5", "fox"], "airvid create 'a $5 fox'"),
        (["create", "x", "-r", "a.png", "b c.png"], 'airvid create x -r a.png -r "b c.png"'),
        (["create", "-r", "a.png", "b c.png", "red", "fox"], 'airvid create -r a.png -r "b c.png" "red fox"'),
        (["create", "-r", "a.png", "b c.png", "c.png"], 'airvid create -r a.png -r "b c.png" -r c.png PROMPT'),
        (["create", "-r", "a.png", "c.png", "c.png"], "airvid create --help"),
        (["--sandbox", "create", "-fox", "-d", "8"], "airvid --sandbox create -d 8 -- -fox; or airvid create --help"),
        (["create", "a", "fox", "in", "a", "snow", "-d", "8"], 'airvid create "a fox in a snow" -d 8'),
        (["create", "fox", "-d", "8", "fox"], "airvid create --help"),
        (["ls", "--local"], "airvid list --local"),
        (["--json", "rm", "abcd", "-y"], "airvid --json delete abcd -y"),
        (["login"], "airvid auth login"),
        (["open", "last"], "airvid preview --open last"),
        (["cancel", "last"], "airvid watch last"),
        (["lst"], "airvid list"),
        (["completion"], "airvid --install-completion"),
        (["config", "sett", "model", "wan-2.6"], "airvid config set model wan-2.6"),
        (["config", "model", "wan-2.6"], "airvid config set model wan-2.6"),
        (["config", "max_cost"], "airvid config get max_cost"),
    ],
)
def test_a_mistaken_line_is_answered_with_the_right_one(world: World, given: list[str], meant: str) -> None:
    for name in ("a.png", "b c.png", "c.png"):
        (world.folder / name).touch()
    result = world.airvid(*given)
    hint = json.loads(result.err)["error"]["hint"] if "--json" in given else result.err.splitlines()[1][len("hint: ") :]
    assert (result.code, world.calls, hint) == (2, [], meant)


@pytest.mark.parametrize("command", [CREATE, ["create", "fox.txt"]], ids=" ".join)
def test_each_command_in_a_hint_goes_to_the_same_api(world: World, command: list[str]) -> None:
    (world.folder / "fox.txt").write_text("a fox")
    world.answer = lambda request: json_answer(500, {}) if request.method == "POST" else None
    told = world.airvid(*command, "--base-url", API).err.partition("hint: ")[2]
    assert told.count("airvid ") == told.count(f"airvid --base-url {API} ") == 2


@pytest.mark.parametrize(("variable", "options"), [("1", []), ("", ["--sandbox"])])
def test_the_variable_is_blamed_only_where_it_asks_for_the_sandbox(
    world: World, variable: str, options: list[str]
) -> None:
    world.env.setenv("AIRVID_SANDBOX", variable)
    result = world.airvid("list", "--base-url", API, *options)
    assert (result.code, "hint: unset AIRVID_SANDBOX" in result.err) == (2, bool(variable))


def test_a_key_that_the_environment_sets_is_not_answered_with_a_login(world: World) -> None:
    world.emulator.keys = {"another"}
    for command in (["list"], ["status", "abcd1234"], ["create", "x", "-m", "wan-2.6"]):
        result = world.airvid(*command)
        assert (result.code, "hint: unset AIRVID_API_KEY" in result.err) == (3, True), result.err
        assert "auth login" not in result.err


@pytest.mark.parametrize("command", [["status", "abcd1234"], ["models", "nosuch"], ["download"], ["delete"]])
def test_a_hint_without_ids_goes_to_the_same_api_too(world: World, command: list[str]) -> None:
    world.env.setenv("AIRVID_BASE_URL", "http://elsewhere.test/v1")
    result = world.airvid(*command, "--base-url", API)
    assert f"hint: airvid --base-url {API} " in result.err


@pytest.mark.parametrize(
    ("options", "api"),
    [(["--base-url", API], ["--base-url", API]), ([f"--base-url={API}"], ["--base-url", API]), ([], [])],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_same_command_again_names_its_api_once(
    world: World, options: list[str], api: list[str], place: int
) -> None:
    line = ["delete", "--all"]
    result = world.airvid(*line[:place], *options, *line[place:])
    assert f"hint: {shlex.join(['airvid', *api, *line, '-y'])}\n" in result.err


@pytest.mark.parametrize("given", ["8s", "8S", " 8 s"])
@pytest.mark.parametrize("place", ["option", "variable", "setting"])
def test_seconds_may_be_written_with_their_unit(world: World, given: str, place: str) -> None:
    options = []
    if place == "option":
        options = ["-d", given]
    elif place == "variable":
        world.env.setenv("AIRVID_DURATION", given)
    else:
        assert world.airvid("config", "set", "duration", given).code == 0
    result = world.airvid("create", "x", "-m", "wan-2.6", *options, "--dry-run", "--json")
    assert result.json["request"]["duration_seconds"] == 8


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize("field", ["id", "short_id"])
def test_a_name_that_is_too_long_with_its_id_is_refused_before_any_post(world: World, field: str) -> None:
    result = world.airvid(*CREATE, "-o", f"{'a' * 240}-{{{field}}}.mp4")
    assert (result.code, world.posts) == (11, [])
    assert "too long" in result.err


def test_a_name_with_its_id_that_just_fits_is_taken(world: World) -> None:
    free = 255 - len("-.mp4.part.json") - 36
    result = world.airvid(*CREATE, "-o", f"{'a' * free}-{{id}}.mp4")
    assert (result.code, len(world.posts)) == (0, 1), result.err
    assert world.airvid(*CREATE, "-o", f"{'b' * (free + 1)}-{{id}}.mp4").code == 11


def test_ids_that_begin_alike_give_several_files(world: World) -> None:
    """A server that counts its tasks, `video_task_0000001` and so on."""
    real: dict[str, str] = {}

    def answer(request: Request) -> Response | None:
        if request.method == "POST":
            made = world.emulator.handle(request, world.clock.now())
            record = json.loads(made.body)
            name = f"video_task_{len(real):07}"
            real[name] = record["task_id"]
            return json_answer(200, {**record, "task_id": name})
        if not (found := re.search(r"video_task_\d{7}", request.path)):
            return None
        if request.path.endswith("/stream"):
            return json_answer(503, {})
        name = found[0]
        told = world.emulator.handle(replace(request, path=request.path.replace(name, real[name])), world.clock.now())
        return json_answer(told.status, {**json.loads(told.body), "task_id": name})

    world.answer = answer
    result = world.airvid(*CREATE, "-n", "3", "-o", "takes/")
    assert result.code == 0, result.err
    assert sorted(result.lines) == sorted(f"takes/{each.name}" for each in (world.folder / "takes").iterdir())
    assert len(set(result.lines)) == 3


# ---------------------------------------------------------------------- outcomes


@pytest.mark.parametrize("options", [["--wait"], ["--wait", "--timeout", "60"]], ids=" ".join)
def test_of_three_clips_one_error_stands_for_the_second_that_is_refused_and_the_third(
    world: World, tmp_path: Path, options: list[str]
) -> None:
    slow(world)
    world.emulator.faults.append(Fault(POST, json_answer(402, {"error": "no balance"}), before=True, skip=1))
    result = world.airvid(*CREATE, "-n", "3", *options, "--json")
    errors = [json.loads(line)["error"] for line in result.err.splitlines() if line.startswith('{"error"')]
    codes = sorted(each["exit_code"] for each in errors)
    assert (result.code, len(world.posts)) == (1, 2)
    assert codes == ([7, 10] if "--timeout" in options else [7])
    assert len([line for line in result.lines if '"completed"' in line]) == (0 if "--timeout" in options else 1)
    fates = [fate for fate, _ in rows(tmp_path)]
    assert (fates[0], {*fates[1:]}) == ("known", {"refused"})


def test_the_journal_can_be_asked_for_who_waits(world: World, tmp_path: Path) -> None:
    world.airvid(*CREATE)
    for fate in ("waiting", "intended", "sent", "unknown", "refused"):
        result = world.airvid("list", "--local", "--status", fate)
        assert (result.code, result.out) == (0, ""), result.err
    waiting: list[str] = []

    def answer(request: Request) -> None:
        if request.method == "GET" and len(world.posts) == 2:
            waiting[:] = [fate for fate, _ in rows(tmp_path)]

    world.answer = answer
    world.emulator.faults.append(Fault(POST, json_answer(429, {"error": "At most 4 concurrent tasks"}), before=True))
    assert world.airvid(*CREATE, "--wait").code == 0
    assert waiting == ["known", "waiting"]


@pytest.mark.parametrize(("most", "code"), [("50", 0), ("0.01", 7)])
def test_a_known_model_s_price_is_known_without_validation_too(world: World, most: str, code: int) -> None:
    result = world.airvid(*CREATE, "--no-validate", "--max-cost", most)
    assert (result.code, len(world.posts)) == (code, 1 if code == 0 else 0), result.err


def test_an_unknown_model_s_price_cannot_be_kept_without_validation(world: World) -> None:
    result = world.airvid("create", "fox", "-m", "brand-new", "-d", "8", "--no-validate", "--max-cost", "50")
    assert (result.code, world.posts) == (7, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "set", "model", "wan-2.6"],
        ["config", "unset", "model"],
        ["auth", "login", "--no-verify"],
        ["auth", "login"],
        ["auth", "logout"],
    ],
    ids=" ".join,
)
def test_what_is_set_and_taken_back_is_one_object_with_json(world: World, arguments: list[str]) -> None:
    key = b"sk-air-another-0123456789"
    result = world.airvid(*arguments, "--json", stdin=key)
    assert result.code == 0, result.err
    (told,) = result.objects
    assert isinstance(told, dict)
    assert key.decode() not in result.out
    assert world.airvid(*arguments, stdin=key).out == ""


# ---------------------------------------------------------------------- parts


@pytest.fixture
def store(tmp_path: Path) -> StorageHost:
    made = StorageHost(tmp_path)
    made.target.parent.mkdir()
    return made


def test_a_part_that_is_the_final_file_itself_is_not_emptied(store: StorageHost) -> None:
    """Killed between the link and the unlink of a rename: two names, one file."""
    store.target.write_bytes(CLIP)
    os.link(store.target, store.part)
    with pytest.raises(FileError):
        store.save(whole(b"no video at all"), force=True)
    assert store.target.read_bytes() == CLIP


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_the_part_s_place_is_not_followed(store: StorageHost, tmp_path: Path, exists: bool) -> None:
    precious = tmp_path / "precious"
    if exists:
        precious.write_text("mine")
    store.part.symlink_to(precious)
    try:
        store.save(whole())
    except FileError:
        assert not store.target.exists()
    else:
        assert store.target.read_bytes() == CLIP
        assert not store.target.is_symlink()
    assert (precious.read_text() if precious.exists() else None) == ("mine" if exists else None)


def test_a_part_of_one_s_own_is_still_resumed(store: StorageHost) -> None:
    store.leave_part()
    store.save(rest())
    assert store.target.read_bytes() == CLIP
    assert store.ranges == [(f"bytes={HALF}-", '"v1"')]
