"""Help as the manual: nothing generated has drifted, help is the same however asked for, man can show its page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import generated_text
import pytest
from program import World

from airvid import config, errors
from airvid.cli import topics
from airvid.clips import naming

Golden = Callable[[Path, str], None]
AIRVID = sorted((generated_text.ROOT / "airvid").rglob("*.py"))
DESCRIBED = generated_text.commands()
by_name = pytest.mark.parametrize("each", DESCRIBED, ids=lambda each: each.name)


def test_the_readme_has_not_drifted(golden: Golden) -> None:
    golden(generated_text.README, generated_text.readme(generated_text.README.read_text("utf-8")))


def test_the_man_page_has_not_drifted(golden: Golden) -> None:
    golden(generated_text.MAN, generated_text.man_page())


@by_name
def test_every_command_has_a_summary_two_examples_and_its_exit_codes(each: generated_text.Described) -> None:
    assert 10 < len(each.summary) <= 66
    if not each.is_group:
        assert len(each.examples) == 2
        assert "\nExit codes:\n" in each.help
    assert max(map(len, each.help.splitlines())) <= 80


def test_the_topics_fit_into_80_columns() -> None:
    for text in topics.TOPICS.values():
        assert max(map(len, text.splitlines())) <= 80
        assert text.endswith("\n")
    assert set(topics.SUMMARIES) == set(topics.TOPICS)


@by_name
@pytest.mark.parametrize("columns", ["80", "200", "60", "nonsense"])
def test_the_help_is_the_same_however_it_is_asked_for(
    each: generated_text.Described, columns: str, world: World
) -> None:
    world.env.setenv("COLUMNS", columns)
    said = [world.airvid(*each.words, "--help"), world.airvid("--json", *each.words, "-h", "-q")]
    said.append(world.airvid("help", *each.words))
    if each.is_group:
        said.append(world.airvid(*each.words))
    assert {(result.code, result.out, result.err) for result in said} == {(0, said[0].out, "")}
    if columns == "80":
        assert said[0].out == each.help


@pytest.mark.parametrize("topic", topics.TOPICS)
def test_a_topic_is_shown_with_options_before_and_after(topic: str, world: World) -> None:
    said = world.airvid("help", topic, "--no-color")
    assert (said.code, said.out, said.err) == (0, topics.TOPICS[topic], "")
    assert world.airvid("--json", "help", topic) == said


@pytest.mark.parametrize("words", [["nonsense"], ["create", "fox"], ["auth", "nonsense"], ["exit-codes", "json"]])
def test_no_help_on_what_is_not_there_but_what_there_is(world: World, words: list[str]) -> None:
    result = world.airvid("help", *words)
    assert (result.code, result.out) == (2, "")
    assert all(name in result.err for name in topics.TOPICS)
    assert "hint: airvid help\n" in result.err


def test_the_exit_codes_are_those_of_the_errors() -> None:
    def below(kind: type[errors.AirvidError]) -> set[type[errors.AirvidError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    told = {(code, name) for code, name, _ in topics.EXIT_CODES if name}
    assert told == {(kind.exit_code, kind.code) for kind in below(errors.AirvidError)}


def test_every_variable_is_in_the_manual() -> None:
    told = topics.TOPICS["environment"]
    assert all(f" {config.variable(name)}" in told for name in config.SETTINGS)
    read = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', "".join(each.read_text("utf-8") for each in AIRVID)))
    assert all(name in told for name in read)


def test_the_json_of_every_command_is_in_the_manual() -> None:
    told = topics.TOPICS["json"].replace("list, get", "list, config get")
    names = [each.name.removeprefix("airvid ") for each in DESCRIBED if not each.is_group]
    assert not [name for name in names if not re.search(rf"\b{name}\b", told)]


def test_every_field_of_a_template_is_in_the_manual() -> None:
    assert all(f"  {{{name}}} " in topics.TOPICS["templates"] for name in naming.FIELDS)
    assert naming.DEFAULT_NAME in topics.TOPICS["templates"]


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_shows_its_page_without_a_warning() -> None:
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFOPT": "-wall"}
    command = ["man", "--warnings", "-l", str(generated_text.MAN)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80
    for each in DESCRIBED:
        assert re.search(rf"^ +{each.name}\b", done.stdout, re.MULTILINE)
        assert all(re.search(rf"^ *{re.escape(example)}$", done.stdout, re.MULTILINE) for example in each.examples)
