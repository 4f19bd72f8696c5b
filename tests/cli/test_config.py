"""Where settings and the key come from, and that the file with the key is safe."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import API, KEY, World

from airvid.config import SETTINGS, Settings
from airvid.sandbox.emulator import Fault, Response
from airvid.values import normal_base_url, seconds

OTHER = "sk-air-other-fedcba9876543210"


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    """Where the config file belongs; the environment says nothing."""
    world.env.delenv("AIRVID_API_KEY")
    world.env.delenv("AIRVID_BASE_URL")
    folder = tmp_path / "config" / "airvid"
    folder.mkdir(parents=True, mode=0o700)
    return folder / "config.toml"


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The most careless of users."""
    before = os.umask(0)
    yield
    os.umask(before)


def write(file: Path, content: str) -> None:
    file.touch(0o600)
    file.write_text(content)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def asked(world: World, *options: str) -> Any:
    """The body that a create would send."""
    write_key = {"AIRVID_API_KEY": KEY, "AIRVID_BASE_URL": API}
    for name, value in write_key.items():
        world.env.setenv(name, value)
    result = world.airvid("--json", "create", "x", "-m", "ltx-2", "--dry-run", *options)
    assert result.code == 0, result.err
    return result.json["request"]


# ---------------------------------------------------------------------- precedence


@pytest.mark.parametrize(
    ("stored", "variable", "options", "expected"),
    [
        ("", None, [], None),
        ('quality = "480p"', None, [], "480p"),
        ('quality = "480p"', "720p", [], "720p"),
        ('quality = "480p"', "720p", ["--quality", "1080p"], "1080p"),
        ('quality = "480p"', "", [], "480p"),
        ('quality = "480p"', "  ", [], "480p"),
        ('quality = "480p"', " 720p\n", [], "720p"),
    ],
)
def test_an_option_goes_before_the_environment_before_the_file(
    world: World, file: Path, stored: str, variable: str | None, options: list[str], expected: str | None
) -> None:
    write(file, stored)
    if variable is not None:
        world.env.setenv("AIRVID_QUALITY", variable)
    assert asked(world, *options).get("quality") == expected


@pytest.mark.parametrize("options", [["--no-sound"], ["--no-sound", "--seed", "0"]])
def test_an_option_that_says_no_goes_before_a_file_that_says_yes(world: World, file: Path, options: list[str]) -> None:
    write(file, "sound = true\nseed = 9")
    body = asked(world, *options)
    assert (body["sound"], body["seed"]) == (False, 0 if "--seed" in options else 9)


@pytest.mark.parametrize(
    ("environment", "source", "last"),
    [
        ({"AIRVID_API_KEY": KEY, "AIRFORCE_API_KEY": OTHER}, "AIRVID_API_KEY", KEY[-4:]),
        ({"AIRVID_API_KEY": " ", "AIRFORCE_API_KEY": f"  {OTHER}\n"}, "AIRFORCE_API_KEY", OTHER[-4:]),
        ({}, "config.toml", "9999"),
    ],
)
def test_the_key_comes_from_our_variable_the_providers_or_the_file(
    world: World, file: Path, environment: dict[str, str], source: str, last: str
) -> None:
    write(file, 'api_key = " sk-air-stored-9999 "')
    for name, value in environment.items():
        world.env.setenv(name, value)
    result = world.airvid("auth", "status")
    assert result.code == 0
    shown, origin, _ = result.out.removesuffix("\n").split("\t")
    assert shown == f"sk-air-…{last}"
    assert origin.endswith(source)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "http://file.test/v1"),
        ({"AIRFORCE_BASE_URL": "http://theirs.test"}, "http://theirs.test/v1"),
        ({"AIRVID_BASE_URL": "http://ours.test", "AIRFORCE_BASE_URL": "http://theirs.test"}, "http://ours.test/v1"),
        ({"AIRVID_BASE_URL": ""}, "http://file.test/v1"),
    ],
)
def test_the_base_url_comes_from_the_same_places(
    world: World, file: Path, environment: dict[str, str], expected: str
) -> None:
    write(file, 'base_url = "http://file.test/"\napi-key = "sk-air-stored-9999"')
    for name, value in environment.items():
        world.env.setenv(name, value)
    assert world.airvid("auth", "status", "--json").json["base_url"] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://api.airforce/v1", "https://api.airforce/v1"),
        ("https://api.airforce", "https://api.airforce/v1"),
        (" https://api.airforce/v1/// ", "https://api.airforce/v1"),
        ("https://api.airforce//", "https://api.airforce/v1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://[::1]:8080/v1/", "http://[::1]:8080/v1"),
        ("https://host/proxy", "https://host/proxy/v1"),
        ("https://host/xv1", "https://host/xv1/v1"),
    ],
)
def test_a_base_url_is_taken_however_it_is_written(given: str, expected: str) -> None:
    assert normal_base_url(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "api.airforce/v1",
        "ftp://h/v1",
        "https://",
        "https://h:99999",
        "https://u:p@h",
        "https://:p@h",
        "https://@h",
        "https://h?x=1",
        "https://h/a b",
        "h\nx",
    ],
)
def test_what_is_no_web_address_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="a web address"):
        normal_base_url(given)


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize(("given", "expected"), [("90", 90), ("1.5s", 1.5), (" 10M ", 600), ("2h", 7200), (90, 90)])
def test_a_length_of_time_has_a_unit_or_is_in_seconds(given: object, expected: float) -> None:
    assert seconds(given) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("duration", "0"),
        ("duration", "8.5"),
        ("duration", "long"),
        ("count", "0"),
        ("jobs", "-1"),
        ("mode", "video"),
        ("max-cost", "-1"),
        ("max-cost", "nan"),
        ("budget.day", "inf"),
        ("sound", "loud"),
        ("timeout", "soon"),
        ("timeout", "9" * 400),
        ("timeout", "-5"),
        ("model", " "),
        ("quality", ""),
        ("seed", "x"),
        ("base-url", "ftp://h"),
    ],
)
def test_a_wrong_value_is_never_stored(world: World, file: Path, name: str, value: str) -> None:
    result = world.airvid("config", "set", "--", name, value)
    assert result.code == 2
    assert result.err.startswith(f"error: {name}")
    assert not file.exists()


def test_a_wrong_value_in_the_environment_is_told_with_its_variable(world: World) -> None:
    world.env.setenv("AIRVID_MAX_COST", "cheap")
    result = world.airvid("config", "get", "max-cost")
    assert (result.code, "AIRVID_MAX_COST: 'cheap'" in result.err) == (2, True)


@pytest.mark.parametrize("line", ["max-cost = 'cheap'", "max_cost = true", "max-cost = [5]", "max-cost = -1"])
def test_a_wrong_value_in_the_file_is_told_with_the_file(world: World, file: Path, line: str) -> None:
    write(file, line)
    result = world.airvid("config", "get", "max-cost")
    assert (result.code, f"{file}: max-cost" in result.err) == (2, True)


@pytest.mark.parametrize("value", ["{nope}.mp4", "{slug.mp4", "{n:3}.mp4", "fox.mov"])
def test_an_output_that_no_create_could_use_is_never_stored(world: World, file: Path, value: str) -> None:
    result = world.airvid("config", "set", "output", value)
    assert (result.code, result.err.splitlines()[-1]) == (2, "hint: airvid help templates")
    assert not file.exists()
    assert world.airvid("config", "set", "output", "clips/{row}-{n}.mp4").code == 0


@pytest.mark.usefixtures("file")
def test_every_setting_can_be_set_read_listed_and_unset(world: World) -> None:
    values = {
        "base-url": "http://h/v1",
        "mode": "text",
        "model": "wan-2.0",
        "sound": "true",
        "wait": "false",
        "bell": "true",
        "force": "true",
    }
    values |= {f"{phase}-timeout": "7" for phase in ("connect", "read", "create")}
    values |= {"open": "false", "timeout": "90", "max-cost": "2.5", "budget.day": "20", "budget.month": "99.5"}
    for name in SETTINGS:
        assert world.airvid("config", "set", name, values.get(name, "7")).code == 0
    listed = {line.split("\t")[0]: line.split("\t")[1] for line in world.airvid("config", "list").lines}
    assert listed == {name: values.get(name, "7") for name in SETTINGS}
    assert all(world.airvid("config", "get", name).out == f"{listed[name]}\n" for name in SETTINGS)
    for name in SETTINGS:
        assert world.airvid("config", "unset", name).code == 0
    assert world.airvid("config", "list").out == ""


@pytest.mark.parametrize("spelling", ["aspect-ratio", "aspect_ratio", "ASPECT_RATIO"])
@pytest.mark.parametrize("stored", ["aspect-ratio", "aspect_ratio"])
def test_a_hyphen_and_an_underscore_are_alike(world: World, file: Path, spelling: str, stored: str) -> None:
    write(file, f'{stored} = "1:1" # square')
    assert world.airvid("config", "set", spelling, "9:16").code == 0
    assert file.read_text() == f'{stored} = "9:16" # square'


@pytest.mark.parametrize("command", [["set", "aspct_ratio", "x"], ["get", "aspct_ratio"], ["unset", "aspct_ratio"]])
def test_an_unknown_setting_is_answered_with_the_nearest(world: World, file: Path, command: list[str]) -> None:
    result = world.airvid("config", *command)
    assert result.code == 2
    assert "did you mean aspect-ratio?" in result.err
    assert not file.exists()


def test_a_setting_under_a_quoted_name_can_be_set_and_unset(world: World, file: Path) -> None:
    write(file, '"budget.day" = 20')
    assert world.airvid("config", "set", "budget.day", "30").code == 0
    assert file.read_text() == '"budget.day" = 30.0'
    assert world.airvid("config", "unset", "budget.day").code == 0
    assert file.read_text() == ""


@pytest.mark.parametrize(("name", "value"), [("model", "caf\udce9"), ("output", "\udcff.mp4")])
def test_what_the_file_cannot_hold_is_refused(world: World, file: Path, name: str, value: str) -> None:
    result = world.airvid("config", "set", name, value)
    assert (result.code, file.exists()) == (2, False)
    assert "UTF-8" in result.err


@pytest.mark.parametrize(("given", "is_allowed"), [("300", True), ("5m", True), ("301", False), ("0", False)])
def test_a_time_out_has_its_bounds(world: World, given: str, is_allowed: bool) -> None:
    result = world.airvid("config", "set", "create-timeout", given)
    assert result.code == (0 if is_allowed else 2)
    assert is_allowed or "up to 5m" in result.err


def test_a_setting_in_the_file_that_means_nothing_is_warned_about(world: World, file: Path) -> None:
    write(file, "modle = 5")
    assert "modle" in world.airvid("config", "list").err


# ---------------------------------------------------------------------- the file


def test_comments_and_everything_else_are_kept(world: World, file: Path) -> None:
    write(file, '# mine\nmodel = "wan" # cheap\n\n[budget] # USD\nday = 5\n')
    world.airvid("config", "set", "budget.day", "20")
    world.airvid("config", "set", "quality", "720p")
    text = file.read_text()
    assert all(part in text for part in ("# mine\n", 'model = "wan" # cheap\n', "[budget] # USD\n", "day = 20.0\n"))
    assert world.airvid("config", "get", "quality").out == "720p\n"


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("before", [None, 0o600, 0o644])
def test_the_file_with_the_key_is_for_its_owner_alone(world: World, file: Path, before: int | None) -> None:
    if before is not None:
        file.touch(before)
    assert world.airvid("auth", "login", "--no-verify", stdin=KEY.encode()).code == 0
    assert mode(file) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["config.toml"]


@pytest.mark.usefixtures("open_umask")
def test_a_folder_that_has_to_be_made_is_private(world: World, tmp_path: Path) -> None:
    world.airvid("config", "set", "model", "wan")
    assert mode(tmp_path / "config" / "airvid") == 0o700


def test_the_file_is_replaced_in_one_step(world: World, file: Path) -> None:
    write(file, 'model = "old"')
    with file.open() as reader:
        world.airvid("config", "set", "model", "new")
        assert reader.read() == 'model = "old"'
    assert file.read_text() == 'model = "new"'


def test_a_link_to_the_file_is_followed_and_kept(world: World, file: Path, tmp_path: Path) -> None:
    write(tmp_path / "dotfile", "")
    file.symlink_to(tmp_path / "dotfile")
    world.airvid("config", "set", "model", "new")
    assert file.is_symlink()
    assert (tmp_path / "dotfile").read_text() == 'model = "new"\n'


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (f'api-key = "{KEY}\n', "line 1, column 40"),
        ("model = 'wan\n\n", "line 1, column 13"),
        (f'model = "x"\napi-key = {KEY}\n', "line 2, column 11"),
        ('model = "x"\nmodel = "y"\n', "line 2"),
        ('model = "x"\nquality = "\udcff"\n', "line 2"),
    ],
)
@pytest.mark.parametrize("command", [["auth", "status"], ["config", "list"], ["config", "set", "model", "z"]])
def test_a_broken_file_is_an_error_that_names_the_place_and_not_the_key(
    world: World, file: Path, content: str, place: str, command: list[str]
) -> None:
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    result = world.airvid(*command)
    assert result.code == 11
    assert str(file) in result.err
    assert place in result.err
    assert KEY not in result.out + result.err
    assert file.read_bytes() == content.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("content", ["budget = 5", '"budget.day" = 5', "budget = { day = 5 }", "budget.day = 5"])
def test_a_budget_can_be_set_however_the_file_spells_it(world: World, file: Path, content: str) -> None:
    write(file, content)
    result = world.airvid("config", "set", "budget.day", "20")
    assert result.code == 0 or (result.code in (2, 11) and "budget" in result.err)
    assert result.code or Settings().get("budget.day") == 20.0


def test_a_file_that_cannot_be_written_is_a_file_error(world: World, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("in the way")
    assert world.airvid("config", "set", "model", "x").code == 11


# ---------------------------------------------------------------------- what set and unset say


@pytest.mark.parametrize(
    ("given", "near"), [("modle", ["mode", "model"]), ("budget.dya", ["budget.day"]), ("time-out", ["timeout"])]
)
@pytest.mark.parametrize("command", ["set", "unset", "get"])
def test_a_wrong_name_is_answered_with_the_nearest_settings(
    world: World, command: str, given: str, near: list[str]
) -> None:
    result = world.airvid("config", command, given, *(["1"] if command == "set" else []))
    assert result.code == 2
    said = result.err.splitlines()[0].split("; ")[1]
    assert all(each in said for each in near)
    assert "jobs" not in said


@pytest.mark.parametrize(("model", "warned"), [("wan-2.6", False), ("no-such", True), ("Wan-2.6", True)])
@pytest.mark.parametrize("is_cached", [True, False])
def test_setting_a_model_that_there_is_not_warns(world: World, model: str, warned: bool, is_cached: bool) -> None:
    if is_cached:
        world.airvid("models")
    result = world.airvid("config", "set", "model", model)
    assert (result.code, "warning: there is no video model" in result.err) == (0, warned)
    assert world.airvid("config", "get", "model").out == f"{model}\n"


def test_a_model_is_set_without_a_server(world: World) -> None:
    world.emulator.faults = [Fault("GET /models", times=10**6, before=True)]
    result = world.airvid("config", "set", "model", "no-such")
    assert (result.code, "warning" in result.err) == (0, False)
    assert world.clock.elapsed() < 20


def test_a_model_is_set_beside_a_server_that_is_silent(world: World) -> None:
    world.emulator.faults = [Fault("GET /models", Response(200, ending="silence"), times=10**6, before=True)]
    assert world.airvid("config", "set", "model", "no-such").code == 0
    assert world.clock.elapsed() < 6


@pytest.mark.parametrize("value", ["-5", "-123456789", "5"])
def test_a_negative_number_is_a_value(world: World, value: str) -> None:
    assert world.airvid("config", "set", "seed", value).code == 0
    assert world.airvid("config", "get", "seed", "--json").json["value"] == int(value)


@pytest.mark.parametrize("arguments", [["seed", "-x"], ["count", "-5"], ["seed", "5", "--jsn"]])
def test_a_wrong_option_is_no_value(world: World, file: Path, arguments: list[str]) -> None:
    assert (world.airvid("config", "set", *arguments).code, file.exists()) == (2, False)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[budget]\nday = 5\n", ""),
        ("budget = { day = 5 }\nseed = 1\n", "seed = 1\n"),
        ("[budget] # USD\nday = 5\n", "[budget] # USD\n"),
        ("[budget]\nday = 5\nmonth = 9\n", "[budget]\nmonth = 9\n"),
        ("budget.day = 5\nbudget.month = 9\n", "budget.month = 9\n"),
    ],
)
def test_the_last_setting_of_a_table_takes_the_table_with_it(world: World, file: Path, before: str, after: str) -> None:
    write(file, before)
    assert (world.airvid("config", "unset", "budget.day").code, file.read_text()) == (0, after)


def test_unset_says_what_it_did(world: World, file: Path) -> None:
    world.airvid("config", "set", "seed", "5")
    assert f"seed is removed from {file}" in world.airvid("config", "unset", "seed").err
    assert f"seed was not set in {file}" in world.airvid("config", "unset", "seed").err


@pytest.mark.parametrize("command", [["set", "seed", "5"], ["unset", "seed"]])
@pytest.mark.parametrize("value", ["7", "broken"])
def test_a_variable_that_goes_before_the_file_is_named(world: World, command: list[str], value: str) -> None:
    world.env.setenv("AIRVID_SEED", value)
    result = world.airvid("config", *command)
    assert (result.code, "AIRVID_SEED" in result.err) == (0, True)


def test_a_model_is_set_with_a_broken_address_too(world: World, file: Path) -> None:
    world.env.setenv("AIRVID_BASE_URL", "nowhere")
    assert world.airvid("config", "set", "model", "wan-2.6").code == 0
    assert "wan-2.6" in file.read_text()
