"""airvid join and create --extend: what they take, what they refuse, and what they leave behind."""

from __future__ import annotations

import base64
import math
import os
import shutil
import sys
from pathlib import Path

import pytest
from in_process_terminal import run_on_terminal
from program import PACE, STORAGE, World

from airvid.sandbox.emulator import Emulator

av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from pyav_clips import edited, numbered, sound  # noqa: E402 - needs PyAV


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for n in range(2):
        numbered(folder / f"{n}.mp4", level=50 * n, sound="aac")
    numbered(folder / "tall.mp4", size=(96, 160))
    return folder


@pytest.fixture
def here(world: World, clips: Path) -> World:
    shutil.copytree(clips, world.folder, dirs_exist_ok=True)
    return world


def make_task(world: World) -> str:
    """A task that ended a moment ago, with the clip 1.mp4."""
    content = Path("1.mp4").read_bytes()
    world.emulator.close()
    world.emulator = Emulator(storage=STORAGE, pace=PACE, render=lambda _: content)
    task = world.airvid("create", "fox", "-m", "wan-2.6").lines[0]
    world.clock.advance(100)
    return task


# ---------------------------------------------------------------------- join


def test_a_film_of_files(here: World) -> None:
    result = here.airvid("join", "0.mp4", "1.mp4", "-o", "new/film.mp4")
    assert (result.code, result.lines) == (0, ["new/film.mp4"])
    assert "film: saved new/film.mp4 (2 clips, " in result.err
    assert "saved one.mp4 (1 clip, " in here.airvid("join", "0.mp4", "-o", "one.mp4").err
    screen = run_on_terminal(here, "join", "0.mp4", "1.mp4", "-o", "new/once.mp4").screen
    assert (screen.count("once.mp4"), "✓" in screen) == (1, True)
    Path("new/once.mp4").unlink()
    assert [each.name for each in Path("new").iterdir()] == ["film.mp4"]
    told = here.airvid("join", "0.mp4", "1.mp4", "0.mp4", "-o", "new/film.mp4", "--json", "--force").json
    size = Path("new/film.mp4").stat().st_size
    assert told == {"path": "new/film.mp4", "seconds": 6.0, "clips": 3, "reencoded": False, "bytes": size}
    assert here.calls == []


def test_a_film_of_clips_that_differ_says_why(here: World) -> None:
    result = here.airvid("join", "0.mp4", "tall.mp4", "-o", "film.mp4", "--json")
    assert result.json["reencoded"] is True
    assert "tall.mp4 has another size than 0.mp4" in result.err


def test_a_difference_that_is_found_late_is_told_too(here: World) -> None:
    edited(Path("1.mp4"), seconds=1.0)
    result = here.airvid("join", "0.mp4", "1.mp4", "-o", "film.mp4", "--json")
    assert result.json["reencoded"] is True
    assert result.err.count("1.mp4 shows only a part of its frames: it is encoded anew") == 1


def test_a_film_of_tasks(here: World) -> None:
    task = make_task(here)
    result = here.airvid("join", "last", "0.mp4", task[:8], "-o", "film.mp4", "--json")
    assert (result.code, result.json["clips"], result.json["seconds"]) == (0, 3, 6.0)
    assert sorted(each.name for each in here.folder.iterdir()) == ["0.mp4", "1.mp4", "film.mp4", "tall.mp4"]
    names = b"0.mp4\r\n\nlast\n0.mp4\nn\xff.mp4"
    shutil.copy("0.mp4", os.fsdecode(b"n\xff.mp4"))
    assert here.airvid("join", "tall.mp4", "-", "-o", "more.mp4", "--json", stdin=names).json["clips"] == 5
    assert here.airvid("join", "-", "-o", "none.mp4", stdin=b"\n").code == 2


BAD = {
    "missing.mp4": None,
    "text.mp4": b"fox in snow " * 100,
    "empty.mp4": b"",
    "cut.mp4": -500,
    "head.mp4": 40,
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_clip_leaves_no_film(here: World, name: str) -> None:
    content = BAD[name]
    if content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else Path("0.mp4").read_bytes()[:content])
    before = set(here.folder.iterdir())
    result = here.airvid("join", "0.mp4", name, "1.mp4", "-o", "film.mp4")
    assert (result.code, result.out) == (11, "")
    assert name in result.err
    assert "bug" not in result.err
    assert set(here.folder.iterdir()) == before


def test_sound_alone_is_no_clip(here: World) -> None:
    sound(Path("sound.mov"))
    assert here.airvid("join", "0.mp4", "sound.mov", "-o", "film.mp4").code == 11


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["0.mp4"], 2, "-o film.mp4"),
        (["0.mp4", "-o", "-"], 2, "-o film.mp4"),
        (["0.mp4", "-o", "film.webm"], 2, "film.mp4"),
        (["-o", "film.mp4"], 2, "CLIP"),
        (["0.mp4", "1.mp4", "-o", "tall.mp4"], 11, "--force"),
        (["0.mp4", "1.mp4", "-o", "1.mp4", "--force"], 11, "one of the clips"),
        (["0.mp4", "1.mp4", "-o", "link.mp4", "--force"], 11, "one of the clips"),
        (["0.mp4", "-o", "1.mp4/film.mp4"], 11, "not a directory"),
    ],
)
def test_what_join_refuses(here: World, arguments: list[str], code: int, told: str) -> None:
    Path("link.mp4").symlink_to("1.mp4")
    before = {each: each.read_bytes() for each in here.folder.iterdir()}
    result = here.airvid("join", *arguments)
    assert (result.code, result.out) == (code, "")
    assert told in result.err
    assert {each: each.read_bytes() for each in here.folder.iterdir()} == before


def test_hostile_names(here: World) -> None:
    names = ["-x\x1b[2J.mp4", "concat:0.mp4|1.mp4", "[red]%03d\u202e.mp4", "line\nbreak.mp4"]
    for name in names:
        shutil.copy("0.mp4", name)
    result = here.airvid("join", "-o", "pipe:1 %d\x1b[.mp4", "--", *(f"./{name}" for name in names), "tall.mp4")
    assert (result.code, "\x1b" in result.out + result.err, "\u202e" in result.err) == (0, False, False)
    assert Path("pipe:1 %d\x1b[.mp4").is_file()


@pytest.mark.parametrize("arguments", [["join", "0.mp4", "-o", "f.mp4"], ["create", "x", "--extend", "0.mp4"]])
def test_without_the_extra_it_says_how_to_get_it(here: World, arguments: list[str]) -> None:
    here.env.setitem(sys.modules, "av", None)
    result = here.airvid(*arguments)
    assert (result.code, result.out, here.posts) == (2, "", [])
    assert "pip install 'airvid[media]'" in result.err


# ---------------------------------------------------------------------- create --extend


def test_a_create_goes_on_from_a_file(here: World) -> None:
    result = here.airvid("create", "on", "--extend", "tall.mp4", "-n", "2", "--json")
    assert result.code == 0
    for body in here.posts:
        assert (body["mode"], body["aspect_ratio"]) == ("image", "9:16")
        [picture] = body["input_images"]
        assert base64.b64decode(picture["b64_json"]).startswith(b"\x89PNG")
    assert len(here.posts) == 2
    assert [each["airvid"]["extends"] for each in result.objects] == [str(here.folder / "tall.mp4")] * 2
    assert "tall.mp4" not in str(here.posts)


def test_a_chain_of_tasks_is_in_the_journal(here: World) -> None:
    first = make_task(here)
    second = here.airvid("create", "on", "--extend", "last").lines[0]
    here.clock.advance(100)
    here.airvid("create", "and on", "--extend", second[:8], "-a", "1:1")
    chain = [each["airvid"]["extends"] for each in here.objects("list", "--local", "--json")]
    assert chain == [second, first, None]
    shown = run_on_terminal(here, "list", "--local").screen
    assert f"after {first[:8]}: on" in shown
    assert f"after {second[:8]}: and on" in shown
    assert [body.get("aspect_ratio") for body in here.posts[-2:]] == ["16:9", "1:1"]
    assert sorted(each.name for each in here.folder.iterdir()) == ["0.mp4", "1.mp4", "tall.mp4"]


def test_the_sandbox_begins_with_the_last_frame(world: World) -> None:
    world.emulator.close()
    world.emulator = Emulator(storage=STORAGE, pace=PACE)
    for more in (["-o", "1.mp4"], ["--extend", "1.mp4", "-o", "2.mp4"], ["--extend", "last", "-o", "3.mp4"]):
        assert world.airvid("create", "fox", "-m", "wan-2.6", "-d", "2", "--quality", "480p", *more).code == 0
    for before, after in (("1.mp4", "2.mp4"), ("2.mp4", "3.mp4")):
        assert psnr(pictures(before)[-1], pictures(after)[0]) >= 35


def pictures(path: str) -> list[bytes]:
    """The frames of a clip as RGB."""
    with av.open(path) as clip:
        return [bytes(frame.reformat(format="rgb24").planes[0]) for frame in clip.decode(video=0)]


def psnr(one: bytes, other: bytes) -> float:
    """How near two pictures are, in dB."""
    error = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)
    return 10 * math.log10(255**2 / max(error, 1e-9))


@pytest.mark.parametrize(
    ("clip", "model", "ratio"),
    [("tall.mp4", "hailuo-2.3", "portrait"), ("0.mp4", "hailuo-2.3", "landscape"), ("0.mp4", "seedance-2.0", "16:9")],
)
def test_the_nearest_shape_is_asked_for(here: World, clip: str, model: str, ratio: str) -> None:
    asked = here.airvid("create", "on", "--extend", clip, "-m", model, "--dry-run", "--json").json
    assert asked["request"]["aspect_ratio"] == ratio


def test_extend_chooses_a_model_that_animates_pictures(here: World) -> None:
    here.airvid("create", "on", "--extend", "0.mp4")
    [body] = here.posts
    [model] = [each for each in here.objects("models", "--json") if each["id"] == body["model"]]
    assert "image" in model["video_caps"]["modes"]


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["-i", "https://host.test/fox.png"], 2, "contradicts"),
        (["-r", "https://host.test/fox.png"], 2, "contradicts"),
        (["--mode", "text"], 2, "contradicts"),
        (["--mode", "image", "-d", "999"], 2, "999"),
    ],
)
def test_what_extend_contradicts(here: World, more: list[str], code: int, told: str) -> None:
    result = here.airvid("create", "on", "--extend", "0.mp4", *more)
    assert (result.code, result.out, here.posts) == (code, "", [])
    assert told in result.err


@pytest.mark.parametrize(("clip", "code"), [("missing.mp4", 11), ("text.mp4", 11), ("sound.mov", 11), ("nope1234", 4)])
def test_what_is_no_clip_is_found_before_anything_is_spent(here: World, clip: str, code: int) -> None:
    Path("text.mp4").write_text("fox")
    sound(Path("sound.mov"))
    result = here.airvid("create", "on", "--extend", clip)
    assert (result.code, result.out, here.posts) == (code, "", [])


def test_a_task_that_still_runs_cannot_be_gone_on_from(here: World) -> None:
    make_task(here)
    here.airvid("create", "another")
    count = len(here.posts)
    result = here.airvid("create", "on", "--extend", "last")
    assert (result.code, len(here.posts)) == (10, count)
    assert "airvid watch" in result.err
