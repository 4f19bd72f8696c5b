"""One declaration of an option brings the option, its variable, its key in the config file, its check and its place."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest
from program import World

from airvid.cli.app import program
from airvid.cli.command import Invocation
from airvid.commands import create
from airvid.config import SETTINGS, variable

# Settings that are no option of a command.
OF_THE_SESSION = {"connect-timeout", "read-timeout", "create-timeout", "budget.day", "budget.month"}
# What each setting that is sent as it is given takes, and what it does not.
SENT = {"seed": ("7", 7, "x"), "sound": ("true", True, "perhaps")}


def flags(command: str) -> set[str]:
    each = program().commands[command]
    each.make_context(command, [], resilient_parsing=True, obj=Invocation())
    return {flag for param in each.params for flag in param.opts}


def test_every_setting_is_an_option_of_a_command() -> None:
    options = flags("create") | flags("download")
    assert {name for name in SETTINGS if f"--{name}" not in options} == OF_THE_SESSION
    assert {name for name, each in SETTINGS.items() if each.sent_as} == set(SENT), "SENT lacks an example of its values"


def test_every_option_of_create_is_a_setting_or_a_keyword_of_its_command() -> None:
    """An option that is neither would be read and then forgotten."""
    flags("create")
    named = {param.name for param in program().commands["create"].params if param.expose_value}
    keywords = set(inspect.signature(create.run).parameters)
    named.remove("summary")  # `run` takes it, for every command that has it
    assert {name for name in named - keywords if name.replace("_", "-") not in SETTINGS} == set()


@pytest.mark.parametrize("name", SENT)
def test_what_is_sent_as_given_is_so_from_everywhere_and_checked_everywhere(world: World, name: str) -> None:
    value, sent, wrong = SENT[name]
    option = ["--sound"] if name == "sound" else [f"--{name}", value]
    create = ["create", "x", "-m", "wan-2.6", "-d", "8", "--dry-run", "--json"]

    def body(*more: str) -> object:
        return world.airvid(*create, *more).json["request"].get(SETTINGS[name].sent_as)

    assert (body(), body(*option)) == (None, sent)
    with world.env.context() as env:
        env.setenv(variable(name), value)
        assert body() == sent
        refused = world.airvid(*create, "--set", f"{SETTINGS[name].sent_as}=5")
        env.setenv(variable(name), wrong)
        assert world.airvid(*create).code == 2
    assert (refused.code, f"--{name}" in refused.err) == (2, True)
    assert world.airvid("config", "set", name, wrong).code == 2
    assert world.airvid("config", "set", name, value).code == 0
    assert body() == sent
    assert world.airvid(*create, "--set", f"{SETTINGS[name].sent_as}=5").code == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [("--duration", "-3"), ("--duration", "x"), ("--duration", "0"), ("--seed", "1.5"), ("--count", "-1"), ("-n", "0")],
)
def test_a_value_is_refused_in_the_same_words_wherever_it_comes_from(world: World, option: str, value: str) -> None:
    name = {"-n": "count"}.get(option, option.removeprefix("--"))
    create = ["create", "x", "-m", "wan-2.6"]
    said = world.airvid(*create, option, value)
    with world.env.context() as env:
        env.setenv(variable(name), value)
        by_variable = world.airvid(*create)
    by_file = world.airvid("config", "set", name, "--", value)
    assert (said.code, by_variable.code, by_file.code, world.posts) == (2, 2, 2, [])
    why = said.err.partition(": ")[2].partition(": ")[2].splitlines()[0]
    assert "is not a whole number" in why
    assert why in by_variable.err
    assert why in by_file.err


@pytest.mark.parametrize("where", ["before", "after", "both"])
def test_common_options_are_read_before_and_after_the_command_s_name(world: World, where: str) -> None:
    before, after = {"before": (["--json"], []), "after": ([], ["--json"]), "both": (["--json"], ["--json"])}[where]
    assert world.airvid(*before, "config", "list", *after).code == 0
    assert world.airvid(*before, "config", *after, "path").json["path"]
    assert world.airvid(*before, "models", *after).json


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("create --bogus", "airvid create --help"),
        ("list --limit", "airvid list --help"),
        ("list -L x", "airvid list --help"),
        ("config set model", "airvid config set --help"),
        ("auth nonsense", "airvid auth status"),
        ("lsit", "airvid list"),
        ("--bogus", "airvid --help"),
        ("create", "airvid create --help"),
        ("download", "airvid download --all"),
        ("delete", "airvid delete --help"),
    ],
)
def test_a_misuse_names_what_helps(world: World, line: str, hint: str) -> None:
    result = world.airvid(*line.split())
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert result.err.endswith(f"hint: {hint}\n")
    assert world.airvid(*hint.split()[1:]).code == 0
    assert '"code":"usage"' in world.airvid(*line.split(), "--json").err


# ---------------------------------------------------------------------- help, and values that are refused


@pytest.mark.parametrize("seed", range(4))
def test_the_help_names_each_option_once_whatever_the_order_of_sets(seed: int) -> None:
    command = [sys.executable, "-m", "airvid", "-h"]
    shown = subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True)
    (line,) = (each for each in shown.stdout.splitlines() if each.startswith("Options: "))
    assert line.split()[1:] == ["-h", "--version", "--install-completion", "--show-completion"]


def test_what_must_be_given_has_no_braces_in_the_usage(world: World) -> None:
    assert world.airvid("config", "set", "-h").lines[0] == "Usage: airvid config set [OPTIONS] KEY VALUE"
    assert world.airvid("join", "-h").lines[0] == "Usage: airvid join [OPTIONS] CLIP..."


@pytest.mark.parametrize(
    "line",
    [
        "create x --mode moving",
        "models --mode moving",
        "models --sort size",
        "list --status good",
        "list --since yesterday",
        "list --limit many",
        "list --page x",
        "delete -y --status good",
        "sandbox --port 99999",
        "create x --count 0",
        "create x --timeout long",
    ],
)
def test_a_refused_value_is_told_in_one_form(world: World, line: str) -> None:
    *_, option, value = line.split()
    result = world.airvid(*line.split())
    assert result.code == 2
    assert result.err.startswith(f"error: {option}: '{value}' is no")
    assert not any(words in result.err for words in ("valid int", "the range"))


@pytest.mark.parametrize(
    ("option", "near"), [("--durration", "--duration"), ("--sund", "--sound"), ("--aspectratio", "--aspect-ratio")]
)
def test_an_option_that_is_misspelt_is_told_with_the_nearest_one(world: World, option: str, near: str) -> None:
    result = world.airvid("create", "x", option, "8")
    assert (result.code, result.err.splitlines()[0]) == (2, f"error: no such option: {option}; did you mean {near}?")


def test_the_faults_come_with_the_form_of_a_spec(world: World) -> None:
    result = world.airvid("sandbox", "faults")
    assert "WHAT[=VALUE][@WHERE][*TIMES]" in result.err
    assert {len(line.split("\t")) for line in result.lines} == {5}
