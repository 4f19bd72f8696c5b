"""The key: how it is stored and shown, and that no output holds it."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from program import API, KEY, World, json_answer

from airvid.sandbox.emulator import Fault, Request, Response


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    """Where the config file belongs; the environment holds no key."""
    world.env.delenv("AIRVID_API_KEY")
    return tmp_path / "config" / "airvid" / "config.toml"


def store(file: Path, content: str = f'api-key = "{KEY}"\n', mode: int = 0o600) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode)
    file.write_text(content)
    file.chmod(mode)


def test_login_in_the_sandbox_names_the_command_for_a_real_key(world: World) -> None:
    assert world.airvid("--sandbox", "auth", "login").err.endswith("hint: airvid auth login\n")
    world.env.setenv("AIRVID_SANDBOX", "1")
    assert world.airvid("auth", "login").err.endswith("hint: unset AIRVID_SANDBOX\n")


@pytest.mark.parametrize("given", [KEY, f"  {KEY}\r\n", f"\n\t{KEY} \n\n"])
def test_login_reads_the_key_from_standard_input_and_strips_it(world: World, file: Path, given: str) -> None:
    result = world.airvid("auth", "login", stdin=given.encode())
    assert (result.code, result.out) == (0, "")
    assert file.read_text() == f'api-key = "{KEY}"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_login_verifies_the_key_by_a_call_that_needs_it(world: World, file: Path) -> None:
    world.emulator.keys = {"another"}
    result = world.airvid("auth", "login", stdin=KEY.encode())
    assert result.code == 3
    assert world.calls == ["GET /v1/video/tasks"]
    assert not file.exists()


def test_login_verifies_the_given_key_and_not_one_that_is_set(world: World, file: Path) -> None:
    world.env.setenv("AIRVID_API_KEY", "sk-air-another-0123456789")
    world.emulator.keys = {KEY}
    result = world.airvid("auth", "login", stdin=KEY.encode())
    assert (result.code, file.exists()) == (0, True)
    assert "AIRVID_API_KEY" in result.err


def test_a_key_that_cannot_be_verified_is_not_stored(world: World, file: Path) -> None:
    world.emulator.faults = [Fault("GET /video/tasks", times=10**6, before=True)]
    result = world.airvid("auth", "login", stdin=KEY.encode())
    assert (result.code, file.exists()) == (9, False)
    assert world.clock.elapsed() < 120
    assert "hint: airvid auth login --no-verify" in result.err


def test_without_verifying_login_makes_no_call(world: World, file: Path) -> None:
    assert world.airvid("auth", "login", "--no-verify", stdin=KEY.encode()).code == 0
    assert (world.calls, KEY in file.read_text()) == ([], True)


@pytest.mark.parametrize(
    ("given", "code"), [(b"", 2), (b" \n", 2), (b"sk-air-a sk-air-b", 3), (b"sk-air-\xff", 3), ("sk-air-é".encode(), 3)]
)
def test_what_is_no_key_is_refused(world: World, file: Path, given: bytes, code: int) -> None:
    result = world.airvid("auth", "login", "--no-verify", stdin=given)
    assert (result.code, file.exists()) == (code, False)
    assert "sk-air-a" not in result.err


@pytest.mark.parametrize("key", ["airf_oat_0123456789", "afk-0123456789"])
def test_the_providers_other_keys_are_taken_without_a_word(world: World, file: Path, key: str) -> None:
    result = world.airvid("auth", "login", stdin=key.encode())
    assert (result.code, "warning" in result.err) == (0, False)
    assert key in file.read_text()


def test_another_kind_of_key_is_warned_about_at_most(world: World, file: Path) -> None:
    result = world.airvid("auth", "login", stdin=b"strange-0123456789")
    assert (result.code, "warning" in result.err, file.exists()) == (0, True, True)


def test_login_keeps_what_else_the_file_says(world: World, file: Path) -> None:
    store(file, '# mine\napi_key = "old" # work\n[budget]\nday = 5\n')
    world.airvid("auth", "login", stdin=KEY.encode())
    assert file.read_text() == f'# mine\napi_key = "{KEY}" # work\n[budget]\nday = 5\n'


def test_a_key_stored_after_a_table_is_not_in_it(world: World, file: Path) -> None:
    store(file, "[budget]\nday = 5\n")
    world.airvid("auth", "login", stdin=KEY.encode())
    assert world.airvid("auth", "status").code == 0
    assert world.airvid("config", "get", "budget.day").out == "5\n"


@pytest.mark.parametrize("name", ["api-key", "api_key"])
def test_logout_removes_the_key_and_nothing_else(world: World, file: Path, name: str) -> None:
    store(file, f'# mine\n{name} = "{KEY}"\nmodel = "wan"\n')
    assert world.airvid("auth", "logout").code == 0
    assert file.read_text() == '# mine\nmodel = "wan"\n'
    assert world.airvid("auth", "status").code == 3


def test_logout_says_where_a_key_still_is(world: World) -> None:
    assert "AIRVID_API_KEY" in world.airvid("auth", "logout").err


def test_status_shows_the_last_four_and_where_the_key_comes_from(world: World, file: Path) -> None:
    store(file)
    assert world.airvid("auth", "status", "--offline").out == f"sk-air-…{KEY[-4:]}\t{file}\tnot checked\n"
    shown = world.airvid("--json", "auth", "status").json
    assert shown == {"source": str(file), "key": f"sk-air-…{KEY[-4:]}", "base_url": API, "accepted": True}


@pytest.mark.parametrize("place", ["variable", "file"])
def test_status_says_whether_the_api_accepts_the_key(world: World, tmp_path: Path, place: str) -> None:
    store(tmp_path / "config" / "airvid" / "config.toml")
    if place == "file":
        world.env.delenv("AIRVID_API_KEY")
    result = world.airvid("auth", "status")
    assert (result.code, result.out.split("\t")[2]) == (0, "accepted\n")
    world.emulator.keys = {"another"}
    result = world.airvid("auth", "status")
    assert (result.code, result.out.split("\t")[2]) == (3, "refused\n")
    # The stored key does not count where the environment has one.
    assert ("unset AIRVID_API_KEY" if place == "variable" else "airvid auth login") in result.err
    assert ("airvid auth login" in result.err) is (place == "file")
    assert world.airvid("auth", "status", "--json").json["accepted"] is False


def test_status_tells_an_api_out_of_reach_from_a_key_that_is_refused(world: World) -> None:
    world.emulator.faults = [Fault("GET /video/tasks", times=10**6, before=True)]
    result = world.airvid("auth", "status", "--json")
    assert (result.code, result.json["accepted"]) == (9, None)
    calls = len(world.calls)
    assert world.airvid("auth", "status", "--offline").code == 0
    assert len(world.calls) == calls


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("command", [["auth", "status"], ["list"], ["create", "a fox"], ["status", "abcd"]])
def test_without_a_key_the_command_to_get_one_is_told(world: World, command: list[str]) -> None:
    result = world.airvid(*command)
    assert (result.code, result.out) == (3, "")
    assert "hint: airvid auth login" in result.err


@pytest.mark.parametrize("command", [["auth", "status"], ["list"], ["create", "a fox"]])
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_with_the_key_that_others_can_read_is_warned_about(
    world: World, file: Path, mode: int, warned: bool, command: list[str]
) -> None:
    store(file, mode=mode)
    result = world.airvid(*command)
    assert result.code == 0
    assert ("warning" in result.err and str(file) in result.err) is warned


# ---------------------------------------------------------------------- the key is never told


def echo(request: Request) -> Response | None:
    """A server that repeats the key wherever it can."""
    said = request.headers.get("authorization", "")
    return json_answer(400, {"error": {"message": said, "code": said}}, {"X-Request-ID": said, "X-Echo": said})


@pytest.mark.parametrize("options", [[], ["--debug"], ["--json"], ["--json", "--debug"]])
@pytest.mark.parametrize("command", [["list"], ["create", "x", "-m", "wan-2.6", "--no-validate"], ["status", "abcd"]])
def test_a_key_that_the_server_repeats_is_not_shown(world: World, command: list[str], options: list[str]) -> None:
    world.answer = echo
    result = world.airvid(*command, *options)
    assert result.code
    assert KEY not in result.out + result.err


def test_a_trace_shows_requests_and_no_secrets(world: World) -> None:
    result = world.airvid("create", "x", "-m", "wan-2.6", "-o", "fox.mp4", "--debug")
    assert result.code == 0
    assert "> POST" in result.err
    assert KEY not in result.err
    assert not re.search(r"signature=[0-9a-f]", result.err)


def test_a_trace_tells_requests_apart_and_names_the_address_of_each_answer(world: World) -> None:
    result = world.airvid("create", "x", "-m", "wan-2.6", "-n", "3", "-o", "{n}.mp4", "--debug")
    sent = dict(re.findall(r"^\[(\d+)\] > (?:GET|POST) (\S+)$", result.err, re.MULTILINE))
    answered = dict(re.findall(r"^\[(\d+)\] < \d+ [\w ]+ (\S+)$", result.err, re.MULTILINE))
    assert sent
    assert answered == sent
    assert re.findall(r"^(?=[<>!] )", result.err, re.MULTILINE) == []


@pytest.mark.parametrize(
    "command",
    [
        ["auth", "login", KEY],
        ["auth", "login", f"--key={KEY}"],
        ["auth", "login", "--api-key", KEY],
        ["config", "set", "api-key", KEY],
        ["config", "set", "api_key", KEY],
        [f"--api-key={KEY}", "list"],
        ["list", "--api-key", KEY],
    ],
)
def test_a_key_given_in_the_wrong_place_is_refused_and_not_repeated(world: World, command: list[str]) -> None:
    result = world.airvid(*command)
    assert result.code == 2
    assert KEY not in result.out + result.err


def test_the_key_is_in_no_file_but_the_one_for_it(world: World, file: Path, tmp_path: Path) -> None:
    store(file)
    assert world.airvid("create", "x", "-o", "fox.mp4").code == 0
    holders = [each for each in tmp_path.rglob("*") if each.is_file() and KEY.encode() in each.read_bytes()]
    assert holders == [file]
