"""A plain command line is read without Typer, and just as Typer reads it; whatever is not plain is left to Typer."""

from __future__ import annotations

import shlex
from itertools import chain
from typing import Any

import pytest
from conftest import World
from hypothesis import given, settings
from hypothesis import strategies as st

from airvid import cli, stage
from airvid.grammar import COMMANDS, COMMON
from airvid.parse import parse

FLAGS = sorted({flag for options, _ in COMMANDS.values() for flag in options} | set(COMMON))
VALUES = [
    "5",
    "05",
    "-5",
    "+5",
    "1_0",
    " 5",
    "٣",
    "9" * 25,
    "",
    "-",
    "--",
    "a b",
    "=",
    "-x",
    "wan-2.6",
    "a=b",
    "雪",
    "\udcff",
]
ODD = ["--help", "-h", "--version", "-qy", "-d8", "--dur", "-o=x", "--json=1", "--port", "last", "nonsense", "-?"]


def words() -> st.SearchStrategy[list[str]]:
    """Command lines that are mostly right: a command's own flags with values, common ones, arguments, and oddities."""

    def of(command: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
        own = sorted(COMMANDS[command][0]) or ["--json"]
        value = st.sampled_from(VALUES) | st.text(max_size=3)
        chunk = st.one_of(
            st.sampled_from(own).map(lambda flag: [flag]),
            st.tuples(st.sampled_from(own), value).map(list),
            st.tuples(st.sampled_from(own), value).map(lambda pair: ["=".join(pair)]),
            st.sampled_from(sorted(COMMON)).map(lambda flag: [flag]),
            value.map(lambda each: [each]),
            st.sampled_from([*ODD, *FLAGS]).map(lambda each: [each]),
        )
        before = st.lists(
            st.sampled_from([["--json"], ["-q"], ["--base-url", "u"], ["--base-url=u"], ["--bad"]]), max_size=2
        )
        return st.tuples(before, st.lists(chunk, max_size=5)).map(
            lambda parts: [*chain(*parts[0]), *command, *chain(*parts[1])]
        )

    return st.sampled_from(sorted(COMMANDS)).flatmap(of)


def as_typer_reads(arguments: list[str]) -> tuple[tuple[str, ...], Any, Any]:
    """Command, its story's Options, common options. Raises: whatever Typer raises."""
    ctx = cli.tree().make_context("airvid", list(arguments))
    while hasattr(ctx.command, "commands"):
        name, command, rest = ctx.command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        ctx = command.make_context(name, rest, parent=ctx)
    return meaning((tuple(ctx.command_path.split(" ")[1:]), ctx.params, ctx.meta.get("airvid", {})))


def meaning(parsed: Any) -> tuple[tuple[str, ...], Any, Any]:
    command, values, common = parsed
    return command, stage.options_of(stage.module_of(command), values) if values else None, common


@settings(max_examples=800, deadline=None)
@given(words())
def test_both_read_the_same_wherever_the_door_reads(arguments: list[str]) -> None:
    parsed = parse(arguments)
    if parsed is not None:
        assert meaning(parsed) == as_typer_reads(arguments)


@pytest.mark.parametrize(
    "line",
    [
        "status abcd --json",
        "--json status abcd efgh",
        "--sandbox --base-url http://h status -q - last --exit-status",
        "list --json",
        "list --status completed --status=failed -L 5 --page 2 --ids",
        "models",
        "models wan-2.6 --sort name -d 8 --max-price=2.5",
        'create "fox in snow" --duration 8 -o fox.mp4 --wait --no-sound --set a=1 --set b=2 -r x -r y',
        "create - -o -",
        "create",
        "watch",
        "delete last -y",
        "download --all -o clips/ --jobs 8",
        "auth status",
        "auth login --no-verify",
        "config list",
        "config set model wan-2.6",
        "--debug config get --no-color model",
    ],
)
def test_plain_command_lines_are_read_without_typer(line: str) -> None:
    arguments = shlex.split(line)
    parsed = parse(arguments)
    assert parsed is not None
    assert meaning(parsed) == as_typer_reads(arguments)


@pytest.mark.parametrize(
    "line",
    [
        "statsu abcd",
        "status abcd --jsn",
        "status --json=1",
        "status --",
        "list -L5",
        "list -L x",
        "list -L -5",
        "list --limit",
        "list --limit 1 --limit 2",
        "list more",
        "create a b",
        "create --sound --no-sound",
        "create x -qw",
        "create x -o=y",
        "config",
        "config set model",
        "config set a b c",
        "auth nonsense",
        "delete last -y --help",
        "sandbox --port 8080",
        "help json",
        "",
    ],
)
def test_what_is_not_plain_is_left_to_typer(line: str) -> None:
    assert parse(shlex.split(line)) is None


@pytest.mark.parametrize("line", ["list -L x", "statsu", "config set model", "create a b", "list --limit"])
def test_what_is_wrong_is_told_in_typers_words(world: World, line: str) -> None:
    result = world.airvid(*shlex.split(line))
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert "hint: airvid" in result.err
