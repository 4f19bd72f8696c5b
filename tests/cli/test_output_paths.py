"""Where clips go: -o of create, watch and download."""

from __future__ import annotations

import datetime
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from program import World
from virtual_clock import NOON

from airvid.sandbox.emulator import Fault, Response
from airvid.sandbox.faults import parse_fault

AT = datetime.datetime.fromtimestamp(NOON)
DAY, TIME = AT.strftime("%Y-%m-%d"), AT.strftime("%H%M%S")
DEFAULT = rf"{DAY}-fox-in-snow-[0-9a-f]{{8}}\.mp4"


def files(folder: Path) -> list[str]:
    """All files below a folder, as relative paths."""
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("fox.mp4", r"fox\.mp4"),
        ("./fox.mp4", r"fox\.mp4"),
        ("new/deeper/fox.mp4", r"new/deeper/fox\.mp4"),
        ("there", rf"there/{DEFAULT}"),
        ("new/", rf"new/{DEFAULT}"),
        (".", DEFAULT),
        ("{slug}", "fox-in-snow"),
        ("{model}/{slug}.mp4", r"wan-2\.6/fox-in-snow\.mp4"),
        ("{id}.mp4", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.mp4"),
        ("{short_id}.mp4", r"[0-9a-f]{8}\.mp4"),
        ("{date}_{time}.mp4", rf"{DAY}_{TIME}\.mp4"),
        ("{n}-{seed}.mp4", r"1-7\.mp4"),
        ("{{n}}.mp4", r"{n}\.mp4"),
        ("fox.m4v", r"fox\.m4v"),
        ("fox without suffix", "fox without suffix"),
    ],
)
def test_a_clip_goes_where_o_says(world: World, output: str, expected: str) -> None:
    (world.folder / "there").mkdir()
    result = world.airvid("create", "Fox in snow!", "-m", "wan-2.6", "--seed", "7", "-o", output)
    assert result.code == 0, result.err
    (saved,) = files(world.folder)
    assert re.fullmatch(expected, saved)
    assert Path(result.out.rstrip("\n")).resolve() == (world.folder / saved).resolve()


@pytest.mark.parametrize(
    ("output", "count", "expected"),
    [
        ("fox.mp4", 2, ["fox-1.mp4", "fox-2.mp4"]),
        ("fox", 2, ["fox-1", "fox-2"]),
        ("a.b/fox", 2, ["a.b/fox-1", "a.b/fox-2"]),
        ("{slug}.mp4", 2, ["x-1.mp4", "x-2.mp4"]),
        ("{n}.mp4", 3, ["1.mp4", "2.mp4", "3.mp4"]),
        ("{n}/{n}.mp4", 2, ["1/1.mp4", "2/2.mp4"]),
        ("{n}.mp4", 10, [f"{n:02}.mp4" for n in range(1, 11)]),
    ],
)
def test_several_clips_are_numbered(world: World, output: str, count: int, expected: list[str]) -> None:
    result = world.airvid("create", "x", "-n", str(count), "-o", output)
    assert result.code == 0, result.err
    assert files(world.folder) == sorted(result.lines) == expected


@pytest.mark.parametrize("command", ["watch", "download", "download --all"])
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{slug}.mp4", ["a-1.mp4", "a-3.mp4", "b.mp4"]),
        ("{model}/{slug}.mp4", ["dune-lite/a.mp4", "wan-2.6/a.mp4", "wan-2.6/b.mp4"]),
        ("{short_id}.mp4", None),
        ("fox.mp4", ["fox-1.mp4", "fox-2.mp4", "fox-3.mp4"]),
    ],
)
def test_only_names_that_would_collide_are_numbered(
    world: World, command: str, is_known: bool, template: str, expected: list[str] | None
) -> None:
    order = ["a", "b", "a"][:: -1 if "all" in command else 1]  # the list has the newest first
    models = ["dune-lite", "wan-2.6", "wan-2.6"][:: -1 if "all" in command else 1]
    tasks = [world.airvid("create", each, "-m", model).lines[0] for each, model in zip(order, models, strict=True)]
    world.clock.advance(100)
    if not is_known:
        shutil.rmtree(world.folder.parent / "data")
    result = world.airvid(*command.split(), *([] if "all" in command else tasks), "-o", template)
    assert result.code == 0, result.err
    assert files(world.folder) == (expected or sorted(f"{each[:8]}.mp4" for each in tasks))


@pytest.mark.parametrize("command", ["create x", "watch last", "download last"])
def test_a_tilde_is_the_home_folder_in_every_command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    world.airvid("create", "x")
    world.clock.advance(100)
    assert world.airvid(*command.split(), "-o", "~/clips/fox.mp4").code == 0
    assert (files(tmp_path / "home"), files(world.folder)) == (["clips/fox.mp4"], [])


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("create x --extend ~/none.mp4", "none.mp4 cannot be read: No such"),
        ("create --prompt-file ~/fox.txt --dry-run", "the prompt is empty"),
        ("join ~/fox.mp4 -o film.mp4", "fox.mp4 is no video"),
        ("batch ~/m.jsonl --dry-run", "m.jsonl:1: "),
    ],
)
def test_a_tilde_is_the_home_folder_for_what_is_read_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, told: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name, content in (("fox.txt", ""), ("fox.mp4", "no clip"), ("m.jsonl", "{}\n")):
        (home / name).write_text(content)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    result = world.airvid(*command.split())
    assert told in result.err
    assert "~" not in result.err


@pytest.mark.parametrize("command", ["create x", "watch last", "download last"])
@pytest.mark.parametrize(
    ("output", "right"), [("fox.mov", "fox.mp4"), ("fox.m2ts", "fox.mp4"), ("my {slug}.WEBM", "'my {slug}.mp4'")]
)
def test_a_suffix_of_another_kind_of_video_is_a_usage_error(
    world: World, command: str, output: str, right: str
) -> None:
    world.airvid("create", "x")
    world.clock.advance(100)
    world.emulator.requests.clear()
    result = world.airvid(*command.split(), "-o", output)
    assert (result.code, f"hint: -o {right}" in result.err) == (2, True), result.err
    assert (world.posts, files(world.folder)) == ([], [])


def test_one_clip_is_not_numbered(world: World) -> None:
    assert world.airvid("create", "x", "-n", "1", "-o", "fox.mp4").out == "fox.mp4\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["-o", "{foo}.mp4"], 2, "{short_id}"),
        (["-o", "{n:03}.mp4"], 2, "{"),
        (["-o", "{n!r}.mp4"], 2, "{"),
        (["-o", "{id.real}.mp4"], 2, "{"),
        (["-o", "{0}.mp4"], 2, "{"),
        (["-o", "{}.mp4"], 2, "{"),
        (["-o", "{n.mp4"], 2, "braces"),
        (["-o", "n}.mp4"], 2, "braces"),
        (["-o", ""], 2, "-o"),
        (["-o", "{seed}.mp4"], 2, "--seed"),
        (["-o", "-", "-n", "2"], 2, "-o -"),
        (["-o", "-", "--json"], 2, "--json"),
        (["-o", "there.mp4"], 11, "--force"),
        (["-o", "{slug}.mp4"], 11, "x.mp4 exists"),
        (["-o", "there.mp4/fox.mp4"], 11, "not a directory"),
        (["-o", "dangling.mp4"], 11, "dangling.mp4 exists"),
        (["-o", "fox.mp4", "-n", "3"], 11, "fox-2.mp4 exists"),
        (["-o", "{slug}s", "--force"], 11, "xs is a directory"),
        (["-o", "/dev/null"], 11, "/dev/null"),
        (["-o", "y" * 300], 11, "yyy"),
        (["--open"], 2, "-o"),
        (["--open", "-o", "-"], 2, "-o FILE"),
    ],
)
def test_a_target_that_cannot_be_is_told_before_anything_is_spent(
    world: World, arguments: list[str], code: int, told: str
) -> None:
    for name in ("there.mp4", "x.mp4", "fox-2.mp4"):
        (world.folder / name).write_bytes(b"mine")
    (world.folder / "dangling.mp4").symlink_to("nowhere")
    (world.folder / "xs").mkdir()
    result = world.airvid("create", "x", *arguments)
    assert (result.code, result.out, world.posts) == (code, "", [])
    assert told in result.err
    assert (world.folder / "there.mp4").read_bytes() == b"mine"


def test_force_overwrites(world: World) -> None:
    (world.folder / "fox.mp4").write_bytes(b"old")
    assert world.airvid("create", "x", "-o", "fox.mp4", "--force").code == 0
    assert (world.folder / "fox.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_file_that_appears_meanwhile_is_left_alone(world: World) -> None:
    def appear(request: Any) -> None:
        if request.storage:
            (world.folder / "fox.mp4").write_bytes(b"mine")

    world.answer = appear
    result = world.airvid("create", "x", "-o", "fox.mp4")
    assert (result.code, (world.folder / "fox.mp4").read_bytes()) == (11, b"mine")


# ---------------------------------------------------------------------- -o -


def test_standard_output_gets_the_clip_s_bytes_and_nothing_else(world: World) -> None:
    result = world.airvid("create", "x", "-o", "-")
    assert result.code == 0
    assert result.bytes_out == world.emulator._rendered(world.calls[-1].split("/")[-1].split(".")[0])
    assert files(world.folder) == []


@pytest.mark.parametrize("command", ["create", "watch", "download"])
@pytest.mark.parametrize("trouble", ["failed", "dead link", "no video"])
def test_standard_output_stays_empty_where_there_is_no_clip(world: World, command: str, trouble: str) -> None:
    if trouble == "failed":
        world.emulator.outcome = lambda _: "failed"
    answer = Response(403) if trouble == "dead link" else Response(200, {}, b'{"error":"gone"}')
    world.emulator.faults.append(Fault("storage", answer, times=99))
    if command == "create":
        result = world.airvid("create", "x", "-o", "-")
    else:
        world.airvid("create", "x")
        world.clock.advance(100)
        result = world.airvid(command, "last", "-o", "-")
    assert result.code == {"failed": 5, "dead link": 9, "no video": 11}[trouble]
    assert result.bytes_out == b""


def test_no_path_and_no_url_is_printed_where_the_clip_could_not_be_saved(world: World) -> None:
    world.emulator.faults.append(parse_fault("dead-link*99"))
    result = world.airvid("create", "x", "-o", "fox.mp4")
    assert (result.code, result.out, files(world.folder)) == (9, "", [])


@pytest.mark.parametrize("command", ["watch", "download"])
def test_bytes_and_json_do_not_share_standard_output(world: World, command: str) -> None:
    world.airvid("create", "x")
    world.clock.advance(100)
    result = world.airvid(command, "last", "-o", "-", "--json")
    assert (result.code, result.bytes_out) == (2, b"")


# ---------------------------------------------------------------------- values that come from elsewhere

HOSTILE = [
    "../../evil",
    "/etc/evil",
    "..",
    ".",
    "a/b",
    "a\\b",
    "-rf",
    "\x1b[31mred",
    "a\nb",
    "\u202ecod",
    "x" * 400,
    "{id}",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("template", ["out/{model}.mp4", "out/{model}/clip.mp4"])
def test_nothing_in_a_model_s_name_leaves_the_folder(world: World, tmp_path: Path, name: str, template: str) -> None:
    world.emulator.models = [{"id": name, "output_modalities": ["video"]}]
    result = world.airvid("create", "x", "-m", name, "-o", template)
    assert result.code == 0, result.err
    (saved,) = [each for each in tmp_path.rglob("*") if each.is_file() and each.read_bytes()[4:8] == b"ftyp"]
    parts = saved.relative_to(world.folder / "out").parts
    assert len(parts) == template.count("/")
    assert all(part.isprintable() and not part.startswith(".") for part in parts)


@pytest.mark.parametrize("prompt", HOSTILE)
def test_nothing_in_a_prompt_leaves_the_folder(world: World, tmp_path: Path, prompt: str) -> None:
    assert world.airvid("create", "-o", "out/{slug}.mp4", "--", prompt).code == 0
    (saved,) = [each for each in tmp_path.rglob("*") if each.is_file() and each.read_bytes()[4:8] == b"ftyp"]
    assert saved.parent == world.folder / "out"
    assert saved.name.isprintable()


@pytest.mark.parametrize("name", [".", "..", "../../../evil", "/evil"])
def test_nothing_in_a_task_s_id_leaves_the_folder(world: World, tmp_path: Path, name: str) -> None:
    def answer(request: Any) -> Response | None:
        if request.method != "POST":
            return None
        made = world.emulator.handle(request, world.clock.now())
        return Response(200, {}, made.body.replace(made.body[13:49], name.encode()))

    world.answer = answer
    world.airvid("create", "x", "-o", "out/{id}-{short_id}.mp4", "--timeout", "5m")
    assert [each for each in tmp_path.rglob("*evil*") if each.parent != world.folder / "out"] == []


@pytest.mark.parametrize(
    ("prompt", "slug"),
    [
        ("Füchse im Schnee", "füchse-im-schnee"),
        ("雪の中の狐", "雪の中の狐"),
        ("हिन्दी", "हिन्दी"),
        ("лиса", "лиса"),
        ("🦊!?", "clip"),
        ("a" * 200, "a" * 50),
        ("狐" * 100, "狐" * 16),
    ],
)
def test_a_slug_keeps_the_letters_of_every_script(world: World, prompt: str, slug: str) -> None:
    world.airvid("create", prompt, "-o", "{slug}.mp4")
    assert files(world.folder) == [f"{slug}.mp4"]


@pytest.mark.parametrize("command", ["create", "download"])
def test_a_name_that_is_no_utf_8_is_a_name_like_any_other(world: World, command: str) -> None:
    """A byte that no UTF-8 has, as Python reads it from the command line."""
    world.airvid("create", "x")
    world.clock.advance(100)
    result = world.airvid(command, "last", "-o", "f\udcfcchse.mp4")
    assert result.code == 0, result.err
    assert files(world.folder) == ["f\udcfcchse.mp4"]


# ---------------------------------------------------------------------- templates of tasks that are already made


@pytest.mark.parametrize("command", ["watch", "download"])
def test_the_journal_fills_in_what_the_api_does_not_tell(world: World, command: str) -> None:
    """The API's task knows no seed; the journal does."""
    world.airvid("create", "x", "--seed", "7")
    world.clock.advance(100)
    assert world.airvid(command, "last", "-o", "{slug}-{seed}.mp4").code == 0
    assert files(world.folder) == ["x-7.mp4"]


@pytest.mark.parametrize("command", ["watch", "download"])
def test_a_seed_that_is_not_known_is_a_usage_error(world: World, command: str) -> None:
    world.airvid("create", "x")
    world.clock.advance(100)
    assert world.airvid(command, "last", "-o", "{seed}.mp4").code == 2
    assert files(world.folder) == []


@pytest.mark.parametrize("command", ["watch", "download"])
@pytest.mark.parametrize("template", ["{foo}.mp4", "{n.mp4", "", "{n:3}"])
def test_a_bad_template_is_a_usage_error(world: World, command: str, template: str) -> None:
    world.airvid("create", "x")
    world.clock.advance(100)
    assert world.airvid(command, "last", "-o", template).code == 2


def test_a_watch_leaves_a_file_in_the_way_alone(world: World) -> None:
    world.airvid("create", "x")
    (world.folder / "fox.mp4").write_bytes(b"mine")
    result = world.airvid("watch", "last", "-o", "fox.mp4")
    assert (result.code, (world.folder / "fox.mp4").read_bytes()) == (11, b"mine")
