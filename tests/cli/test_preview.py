"""airvid preview: which clip, what it is, and what it refuses; how it looks is in test_preview_terminal.py."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import PACE, STORAGE, World
from terminal import AIRVID, environment

from airvid.sandbox.emulator import Emulator
from airvid.sandbox.faults import parse_fault

av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from pyav_clips import FRAMES, film, growing, red_to_blue, sound  # noqa: E402 - needs PyAV

from airvid.errors import FileError  # noqa: E402
from airvid.media import frames, sheet  # noqa: E402


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return red_to_blue(tmp_path_factory.mktemp("clip") / "fox.mp4").read_bytes()


def facts(size: int) -> dict[str, object]:
    return {"frames": FRAMES, "seconds": 2.0, "width": 320, "height": 180, "codec": "h264", "size": size}


def made(world: World, clip: bytes, outcome: str = "completed") -> str:
    """A task that ended a moment ago, with this clip."""
    world.emulator.close()
    world.emulator = Emulator(storage=STORAGE, pace=PACE, render=lambda _: clip)
    world.emulator.outcome = lambda _: outcome
    task = world.airvid("create", "fox", "-m", "wan-2.6").lines[0]
    world.clock.advance(100)
    return task


# ---------------------------------------------------------------------- which clip


def test_json_tells_what_a_file_is(world: World, clip: bytes) -> None:
    Path("fox.mp4").write_bytes(clip)
    result = world.airvid("preview", "fox.mp4", "--json")
    assert (result.code, result.json) == (0, {"file": "fox.mp4", **facts(len(clip))})
    assert world.calls == []


@pytest.mark.parametrize("name", ["last", "whole", "prefix"])
def test_a_saved_task_is_shown_from_its_file(world: World, clip: bytes, name: str) -> None:
    task = made(world, clip)
    assert world.airvid("download", task, "-o", "fox.mp4").code == 0
    world.emulator.requests.clear()
    found = world.airvid("preview", {"last": "last", "whole": task, "prefix": task[:8]}[name], "--json")
    assert found.json == {"file": str(world.folder / "fox.mp4"), **facts(len(clip))}
    assert not any(
        "/media/" in call or request.storage
        for call, (_, request) in zip(world.calls, world.emulator.requests, strict=True)
    )


@pytest.mark.parametrize("was_saved", [False, True])
def test_a_task_without_its_file_is_fetched_and_nothing_stays(
    world: World, clip: bytes, was_saved: bool, tmp_path: Path
) -> None:
    task = made(world, clip)
    if was_saved:
        assert world.airvid("download", task, "-o", "fox.mp4").code == 0
        Path("fox.mp4").unlink()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    world.env.setattr(tempfile, "tempdir", str(scratch))
    result = world.airvid("preview", task, "--json")
    assert (result.code, result.json) == (0, {"file": None, **facts(len(clip))})
    assert [*scratch.iterdir(), *world.folder.iterdir()] == []
    assert world.objects("list", "--local", "--json")[0]["airvid"]["output"] == (
        str(world.folder / "fox.mp4") if was_saved else None
    )


@pytest.mark.parametrize(
    ("outcome", "after", "code", "told"),
    [("failed", 0, 5, "not charged"), ("completed", 86_400, 6, "expired"), ("completed", -90, 10, "airvid watch")],
)
def test_a_task_without_a_clip_says_why(
    world: World, clip: bytes, outcome: str, after: float, code: int, told: str
) -> None:
    made(world, clip, outcome)
    world.clock.advance(after)
    result = world.airvid("preview", "last", "--json")
    assert (result.code, result.out) == (code, "")
    assert told in result.err


def test_no_such_task_is_4(world: World) -> None:
    assert world.airvid("preview", "00000000-0000-4000-8000-000000000000", "--json").code == 4


@pytest.mark.parametrize("tag", [b"\x1b[2J", b"\xff\xfe\x1b]", b"\0\0\0\0", b"none"])
def test_a_codec_that_nobody_knows_is_no_fault_of_ours(world: World, clip: bytes, tag: bytes) -> None:
    place = clip.rindex(b"avc1")
    Path("fox.mp4").write_bytes(clip[:place] + tag + clip[place + 4 :])
    for command in (["preview", "fox.mp4", "--json"], ["preview", "fox.mp4", "--json", "--debug"]):
        result = world.airvid(*command)
        assert (result.code, result.out) == (11, ""), result.err
        assert "codec" in result.err
        assert "\x1b" not in result.err


def test_ids_from_standard_input_must_be_one(world: World, clip: bytes) -> None:
    task = made(world, clip)
    assert world.airvid("preview", "-", "--json", stdin=f"{task}\n".encode()).code == 0
    assert world.airvid("preview", "-", "--json", stdin=f"{task}\nlast2\n".encode()).code in (2, 4)
    assert world.airvid("preview", "-", "--json").code == 2


def test_a_download_that_fails_leaves_nothing(world: World, clip: bytes) -> None:
    made(world, clip)
    world.emulator.faults.append(parse_fault("dead-link*9"))
    assert world.airvid("preview", "last", "--json").code == 9


# ---------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize("arguments", [["fox.mp4"], ["last"], ["nope"]])
def test_off_a_terminal_it_says_what_else_there_is(world: World, clip: bytes, arguments: list[str]) -> None:
    Path("fox.mp4").write_bytes(clip)
    result = world.airvid("preview", *arguments)
    assert (result.code, result.out, world.calls) == (2, "", [])
    assert "--json" in result.err
    assert "--open" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["preview", "fox.mp4"],
        ["preview", "fox.mp4", "--json"],
        ["create", "x", "--preview"],
        ["--sandbox", "create", "x"],
    ],
)
def test_without_the_extra_it_says_how_to_get_it(world: World, arguments: list[str]) -> None:
    world.env.setitem(sys.modules, "av", None)
    result = world.airvid(*arguments)
    assert (result.code, result.out, world.posts) == (2, "", [])
    assert "pip install 'airvid[media]'" in result.err


def test_create_s_preview_needs_a_terminal_before_anything_is_spent(world: World) -> None:
    result = world.airvid("create", "x", "--preview", "-o", "x.mp4")
    assert (result.code, world.posts) == (2, [])
    assert "terminal" in result.err


@pytest.mark.parametrize("arguments", [["fox.mp4", "--json", "--open"], [], ["a", "b"]])
def test_contradictions_are_usage_errors(world: World, arguments: list[str]) -> None:
    assert world.airvid("preview", *arguments).code == 2


BAD: dict[str, Callable[[bytes, Path], bytes]] = {
    "empty": lambda *_: b"",
    "text": lambda *_: b"fox in snow " * 100,
    "cut": lambda clip, _: clip[:-100],
    "head": lambda clip, _: clip[:40],
    "sound": lambda _, folder: sound(folder / "x.mov").read_bytes(),
    "large": lambda _, folder: red_to_blue(folder / "x.mp4", width=4098, height=2400, frames=1).read_bytes(),
    "playlist": lambda *_: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "concat": lambda *_: b"ffconcat version 1.0\nfile /etc/passwd\n",
    "webp": lambda *_: b"RIFF\x10\0\0\0WEBPVP8 ",
    "flipped": lambda clip, _: bytes(255 - each for each in clip),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_clip_is_an_error_of_the_file(world: World, clip: bytes, kind: str, tmp_path: Path) -> None:
    Path("fox.mp4").write_bytes(BAD[kind](clip, tmp_path))
    result = world.airvid("preview", "fox.mp4", "--json")
    assert (result.code, result.out) == (11, "")
    assert "fox.mp4" in result.err
    assert "bug" not in result.err


@pytest.mark.parametrize(
    "kind", ["missing.mp4", "./missing", "folder", "fifo", "unreadable", "nul\0.mp4", "x" * 300 + ".mp4"]
)
def test_what_is_no_file_is_an_error_of_the_file(world: World, kind: str) -> None:
    if kind == "folder":
        Path(kind).mkdir()
    if kind == "fifo":
        os.mkfifo(kind)
    if kind == "unreadable":
        Path(kind).symlink_to("/proc/self/mem")
    result = world.airvid("preview", kind, "--json")
    assert (result.code, result.out) == (11, "")
    assert "bug" not in result.err


def test_a_hostile_name_is_shown_harmless(world: World) -> None:
    name = "\x1b[2J\u202efox[red].mp4"
    Path(name).write_bytes(b"no clip")
    result = world.airvid("preview", name)
    both = world.airvid("preview", name, "--json")
    assert (result.code, both.code) == (2, 11)
    assert "\x1b" not in result.err + both.err
    assert "\u202e" not in result.err + both.err


# ---------------------------------------------------------------------- the player


def test_open_hands_the_file_to_the_desktop(tmp_path: Path, clip: bytes) -> None:
    (tmp_path / "fox.mp4").write_bytes(clip)
    os.mkfifo(tmp_path / "told")
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/told\n')
    opener.chmod(0o755)
    told: list[str] = []
    listener = threading.Thread(target=lambda: told.append((tmp_path / "told").read_text()), daemon=True)
    listener.start()
    env = environment(tmp_path, DISPLAY=":0")
    env["PATH"] = f"{tmp_path}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        [*AIRVID, "preview", "--open", "fox.mp4"], cwd=tmp_path, env=env, capture_output=True, check=True
    )
    listener.join(30)
    assert (told, done.stdout, done.stderr) == (["fox.mp4\n"], b"", b"")


def test_open_without_a_desktop_says_so(world: World, clip: bytes) -> None:
    world.env.delenv("DISPLAY", raising=False)
    world.env.delenv("WAYLAND_DISPLAY", raising=False)
    Path("fox.mp4").write_bytes(clip)
    result = world.airvid("preview", "--open", "fox.mp4")
    assert (result.code, result.out) == (1, "")
    assert "no desktop" in result.err


def test_open_takes_no_file_that_goes_away_again(world: World, clip: bytes) -> None:
    task = made(world, clip)
    result = world.airvid("preview", "--open", "last")
    assert result.code == 2
    assert f"airvid download {task} --open" in result.err


# ---------------------------------------------------------------------- frames


def picked(path: Path, count: int) -> list[tuple[float, int]]:
    """The times of the frames that are picked, and how red each is."""
    with path.open("rb") as file:
        clip = frames.Clip(file, path.name)
        found = [frame for frame in clip.pick(count, 32, 18) if frame]
        clip.close()
    assert all(len(frame.rows) == 18 and {len(row) for row in frame.rows} == {32 * 3} for frame in found)
    return [(round(frame.seconds, 3), frame.rows[9][48]) for frame in found]


@pytest.mark.parametrize("name", ["fox.mp4", "fox.mkv", "fox.avi", "fox.gif"])
@pytest.mark.parametrize(("count", "times"), [(1, [0.0]), (2, [0.0, 1.9]), (5, [0.0, 0.5, 1.0, 1.4, 1.9])])
def test_frames_are_evenly_spaced_with_first_and_last(
    tmp_path: Path, name: str, count: int, times: list[float]
) -> None:
    path = tmp_path / name
    red_to_blue(path, codec="gif" if name.endswith("gif") else "libx264")
    found = picked(path, count)
    assert [at for at, _ in found] == pytest.approx(times, abs=0.11)
    assert [red for _, red in found] == sorted((red for _, red in found), reverse=True)


def test_a_clip_of_fewer_frames_shows_each_once(tmp_path: Path) -> None:
    assert [at for at, _ in picked(red_to_blue(tmp_path / "fox.mp4"), 100)] == [n / 10 for n in range(FRAMES)]


def test_a_long_film_is_not_decoded_from_end_to_end(tmp_path: Path) -> None:
    """Each of the nine lies far ahead of the one before."""
    with film(tmp_path / "film.mkv").open("rb") as file:
        clip = frames.Clip(file, "film.mkv")
        steps = list(clip.pick(9, 8, 8))
        clip.close()
    shown = [frame.seconds for frame in steps if frame]
    assert shown == pytest.approx([n * 1999 / 8 for n in range(9)], abs=0.6)
    assert len(steps) < 9 * 30


def test_a_stream_that_grows_is_stopped(tmp_path: Path) -> None:
    with growing(tmp_path / "x.mkv").open("rb") as file:
        clip = frames.Clip(file, "x.mkv")
        with pytest.raises(FileError, match="cannot be decoded"):
            list(clip.pick(9, 8, 8))
        clip.close()


# ---------------------------------------------------------------------- the grid


@given(columns=st.integers(1, 500), rows=st.integers(1, 200), aspect=st.floats(0.01, 100), most=st.integers(1, 9))
def test_the_sheet_fits_any_screen(columns: int, rows: int, aspect: float, most: int) -> None:
    grid = sheet.arrange(columns, rows, aspect, most)
    assert 1 <= grid.across * grid.down <= most
    assert grid.across * (grid.width + 1) - 1 <= columns
    assert grid.down * (grid.height + 1) <= max(2, rows - 2)
    assert grid.width > 0
    assert grid.height > 0


@pytest.mark.parametrize(("aspect", "shape"), [(16 / 9, (3, 3)), (1.0, (4, 2)), (9 / 16, (4, 1))])
def test_the_usual_screen_holds_these(aspect: float, shape: tuple[int, int]) -> None:
    grid = sheet.arrange(80, 24, aspect)
    assert (grid.across, grid.down) == shape


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00.0"), (1.46, "0:01.5"), (59.97, "1:00.0"), (754.2, "12:34.2")])
def test_times(seconds: float, text: str) -> None:
    assert sheet.moment(seconds) == text
