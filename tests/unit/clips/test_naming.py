"""From -o to a path: files, folders, templates, and that no value leaves the folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import World

from airvid.api.models import Task
from airvid.clips import naming
from airvid.clips.naming import FIELDS, Naming, slug
from airvid.destinations import local
from airvid.errors import FileError, UsageError
from airvid.journal.entries import Entry

few = settings(max_examples=60, deadline=None, database=None, derandomize=True)
AT = 1_790_000_000.0
ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"


def values(**more: Any) -> dict[str, str]:
    return naming.values(**{"prompt": "A Fox", "model": "wan-2.6", "at": AT, "task_id": ID, "seed": 7, **more})


def path(template: str, count: int = 1, **more: Any) -> str:
    return str(Naming.parse(template, count).destination(values(**more)))


# ---------------------------------------------------------------------- what -o means


@pytest.mark.parametrize(
    ("output", "count", "n", "expected"),
    [
        ("fox.mp4", 1, 1, "fox.mp4"),
        ("fox.mp4", 3, 2, "fox-2.mp4"),
        ("fox.mp4", 10, 2, "fox-02.mp4"),
        ("fox.mp4", 100, 100, "fox-100.mp4"),
        ("out.d/fox", 2, 1, "out.d/fox-1"),
        (".fox", 2, 1, ".fox-1"),
        ("{n}.mp4", 12, 3, "03.mp4"),
        ("{n}/fox.mp4", 2, 1, "1/fox.mp4"),
        ("{slug}.mp4", 2, 1, "a-fox-1.mp4"),
        ("{id}.mp4", 2, 1, f"{ID}.mp4"),
        ("{short_id}-{model}-{seed}.mp4", 1, 1, "f47ac10b-wan-2.6-7.mp4"),
        ("{{x}}.mp4", 1, 1, "{x}.mp4"),
        ("{{x}}.mp4", 2, 1, "{x}-1.mp4"),
        ("a{{x.y}}", 2, 1, "a{x-1.y}"),
        ("/abs/fox.mp4", 1, 1, "/abs/fox.mp4"),
    ],
)
def test_a_file_or_template_becomes_a_path(output: str, count: int, n: int, expected: str) -> None:
    assert path(output, count, n=n) == expected


@pytest.mark.parametrize("output", ["clips/", "there", "there/", ".", "{model}/"])
def test_a_folder_takes_the_default_name(output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    made = Path(path(output, 2))
    assert made.name == f"{values()['date']}-a-fox-f47ac10b.mp4"
    assert str(made.parent) == output.rstrip("/").replace("{model}", "wan-2.6")


def test_a_dash_is_standard_output_for_one_clip_only() -> None:
    assert Naming.parse("-", 1).template is None
    with pytest.raises(UsageError):
        Naming.parse("-", 2)


@pytest.mark.parametrize("output", ["", "  ", "a\0b", "{", "}", "{prompt}", "{id!r}", "{n:03}", "{}", "{0}", "{id.x}"])
def test_an_unsound_template_is_a_usage_error(output: str) -> None:
    with pytest.raises(UsageError):
        Naming.parse(output, 1)


def test_an_unknown_field_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        Naming.parse("{prompt}.mp4", 1)
    assert all(f"{{{field}}}" in caught.value.message for field in FIELDS)


def test_a_seed_field_without_a_seed_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="seed"):
        Naming.parse("{seed}.mp4", 1).destination(values(seed=None))


@pytest.mark.parametrize(
    ("output", "is_known", "place"),
    [
        ("fox.mp4", True, "fox.mp4"),
        ("a/b/{slug}-{n}.mp4", True, "a/b/clip.mp4"),
        ("a/{short_id}/{n}.mp4", False, "a/clip.mp4"),
        ("a/x-{id}.mp4", False, "a/clip.mp4"),
        ("{id}.mp4", False, "clip.mp4"),
        ("a/{{b}}/c.mp4", True, "a/{b}/c.mp4"),
    ],
)
def test_what_can_be_told_before_there_is_an_id(output: str, is_known: bool, place: str) -> None:
    name = Naming.parse(output, 1)
    assert (name.is_known, str(name.any_destination())) == (is_known, place)


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A fox, in  the SNOW!", "a-fox-in-the-snow"),
        ("Füchsin über Ärger", "füchsin-über-ärger"),
        ("Fu\u0308chse", "füchse"),
        ("雪の中の狐", "雪の中の狐"),
        ("हिन्दी", "हिन्दी"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "clip"),
        ("🦊!?", "clip"),
        ("\udcff", "clip"),
        ("x" * 500, "x" * 50),
        ("é" * 500, "é" * 25),
    ],
)
def test_a_slug_keeps_the_letters_of_every_script(prompt: str, expected: str) -> None:
    assert slug(prompt) == expected


@pytest.mark.parametrize(
    ("template", "prompt", "expected"),
    [
        ("{slug}.mp4", "nul", "_nul.mp4"),
        ("{slug}", "CON", "_con"),
        ("{slug}{n}.mp4", "com", "_com1.mp4"),
        ("{slug}.{n}.mp4", "aux", "_aux.1.mp4"),
        ("{slug}/{n}.mp4", "prn", "_prn/1.mp4"),
        ("{slug}.mp4", "lpt¹", "_lpt¹.mp4"),
        ("{slug}.mp4", "nuls", "nuls.mp4"),
        ("{slug}.mp4", "com10", "com10.mp4"),
        ("{slug}. .", "fox", "fox"),
        ("nul-{slug}.mp4", "nul", "nul-nul.mp4"),
        ("../{slug}.mp4", "con", "../_con.mp4"),
    ],
)
def test_a_value_never_makes_a_name_that_windows_does_not_take(template: str, prompt: str, expected: str) -> None:
    assert path(template, prompt=prompt) == expected


def test_a_model_that_ends_in_a_dot_makes_no_such_folder() -> None:
    assert path("{model}/fox.mp4", model="wan.") == "wan/fox.mp4"


def test_a_number_that_makes_another_clip_s_name_is_told_apart() -> None:
    name, prompts = Naming.parse("{slug}.mp4", 3), ["fox", "fox", "fox-1"]
    clips = [values(prompt=prompt, n=n) for n, prompt in enumerate(prompts, 1)]
    name.tell_apart(clips)
    assert [str(name.destination(each)) for each in clips] == ["fox-1.mp4", "fox-2.mp4", "fox-1-3.mp4"]


def test_upper_and_lower_case_are_the_same_for_some_disks() -> None:
    name = Naming.parse("{model}.mp4", 2)
    clips = [values(model=model, n=n) for n, model in enumerate(["Wan", "wan"], 1)]
    name.tell_apart(clips)
    assert [str(name.destination(each)) for each in clips] == ["Wan-1.mp4", "wan-2.mp4"]


@few
@given(st.text(max_size=200))
def test_a_slug_is_a_short_piece_of_a_file_name(prompt: str) -> None:
    made = slug(prompt)
    assert 0 < len(made.encode()) <= 50
    assert "--" not in made
    assert not set(made) & set("/\\.\0 ")


hostile = st.text(max_size=300) | st.sampled_from(
    ["..", ".", "/", "../x", "/etc/x", "\0", "", "-", "a/..", "..\\x", "～"]
)


@few
@given(hostile, hostile, hostile, st.sampled_from(["{id}", "{model}{id}", ".{slug}", "{model}/{short_id}/{seed}.mp4"]))
def test_nothing_in_a_value_can_leave_the_folder(task_id: str, model: str, seed: str, template: str) -> None:
    made = path(f"/clips/{template}", task_id=task_id, model=model, seed=seed)
    assert os.path.normpath(made) == made
    assert made.startswith("/clips/")
    assert made.count("/") == template.count("/") + 2
    assert all(len(part.encode()) <= 220 for part in made.split("/"))
    assert made.isprintable()


@pytest.mark.parametrize("at", [-1e18, 1e18, float("inf"), float("nan")])
def test_a_moment_that_no_calendar_has_breaks_no_name(at: float) -> None:
    assert len(path("{date}-{time}", at=at)) == len("2026-11-20-140300")


def test_a_task_that_is_there_gives_its_own_values() -> None:
    task = Task.parse({"task_id": ID, "model": "m/x", "prompt": "theirs", "seed": 0, "created": None})
    assert task
    assert naming.of_task(task, None, AT, 2) == values(prompt="theirs", model="m/x", seed=0, n=2)
    ours = Entry(1, "http://api.test/v1", "known", AT, prompt="ours", request={"seed": 7})
    assert naming.of_task(task, ours, AT, 2)["slug"] == "ours"
    assert naming.of_task(task, ours, AT, 2)["seed"] == "7"


# ---------------------------------------------------------------------- what is there already


def test_a_place_that_is_free_or_can_be_made_is_good(tmp_path: Path) -> None:
    local.check_file(tmp_path / "a" / "b" / "fox.mp4", force=False)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("folder", "is a directory"),
        ("device", "no regular file"),
        ("file/fox.mp4", "cannot be used|is not a directory"),
        ("x" * 300, "too long"),
    ],
)
def test_a_place_that_takes_no_file_is_refused_even_by_force(
    tmp_path: Path, place: str, words: str, force: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "device").symlink_to("/dev/full")
    with pytest.raises(FileError, match=words):
        local.check_file(tmp_path / place, force=force)


@pytest.mark.parametrize("place", ["file", "link", "dangling", "loop"])
def test_what_exists_is_refused_unless_forced(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    local.check_file(tmp_path / place, force=True)
    with pytest.raises(FileError, match="exists"):
        local.check_file(tmp_path / place, force=False)


@pytest.mark.parametrize("output", ["x" * 300 + ".mp4", "x" * 300 + "/{id}.mp4", "file/{id}.mp4"])
def test_a_name_that_no_disk_takes_is_refused_before_anything_is_sent(world: World, output: str) -> None:
    (world.folder / "file").write_text("x")
    result = world.airvid("create", "a fox", "-o", output)
    assert (result.code, world.posts) == (11, [])


@pytest.mark.parametrize("size", [246, 255])
def test_a_name_as_long_as_the_disk_takes_is_saved_or_refused_before_anything_is_sent(world: World, size: int) -> None:
    """The part beside it needs a longer name: that must not come to light after the money is spent."""
    output = "x" * (size - 4) + ".mp4"
    result = world.airvid("create", "a fox", "-o", output)
    assert (result.code, world.posts) == (11, []) or (result.code, result.out) == (0, f"{output}\n")
