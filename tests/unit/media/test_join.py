"""Films: which frames and which sound they have, of clips of every kind."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from pyav_clips import edited, numbered, turned  # noqa: E402 - needs PyAV

from airvid.commands.preview import opened  # noqa: E402
from airvid.errors import FileError  # noqa: E402
from airvid.media.join import Joining  # noqa: E402
from airvid.media.still import shown_size, turn_of  # noqa: E402


def joined(folder: Path, *clips: Path) -> tuple[Path, Joining]:
    joining = Joining([partial(opened, clip) for clip in clips])
    film = folder / "film.part"
    for _ in joining.write(film):
        pass
    if shutil.which("ffmpeg"):
        decoded = subprocess.run(
            ["ffmpeg", "-v", "error", "-xerror", "-i", film, "-f", "null", "-"], capture_output=True, check=False
        )
        assert (decoded.returncode, decoded.stderr) == (0, b"")
    return film, joining


def frames(path: Path) -> list[tuple[float, int, int]]:
    """Each frame in the order shown: its time, and how light its upper and its lower half are, in the middle."""
    found = []
    with av.open(str(path)) as source:
        for frame in source.decode(video=0):
            gray = frame.reformat(format="gray8")
            plane, step = bytes(gray.planes[0]), gray.planes[0].line_size
            upper, lower = (plane[gray.height * part // 8 * step + gray.width // 2] for part in (3, 5))
            found.append((float(frame.time), upper, lower))
    return found


def beeps(path: Path) -> list[float]:
    """When a sound begins after a silence, in seconds."""
    found, quiet = [], 10_000
    with av.open(str(path)) as source:
        converter = av.AudioResampler("s16", "mono")
        for frame in source.decode(audio=0):
            for each in converter.resample(frame):
                values = memoryview(bytes(each.planes[0])[: each.samples * 2]).cast("h")
                for n, value in enumerate(values):
                    if abs(value) > 2000 and quiet > each.sample_rate // 20:
                        found.append(float(each.time) + n / each.sample_rate)
                    quiet = 0 if abs(value) > 2000 else quiet + 1
    return found


def has_index_in_front(path: Path) -> bool:
    content = path.read_bytes()
    return content.index(b"moov") < content.index(b"mdat")


HD = (192, 108)
# Clips, and why they are encoded anew ("": they are copied).
CLIPS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "alike": ([{}, {}, {}], ""),
    "one": ([{}], ""),
    "two encoders": ([{"crf": "18"}, {"crf": "40", "profile": "baseline"}], ""),
    "B-frames": ([{"bframes": 2}] * 3, ""),
    "B-frames in some": ([{}, {"bframes": 2}, {}], ""),
    "one frame long": ([{"frames": 1}, {}, {"frames": 1}], ""),
    "hevc": ([{"codec": "libx265"}] * 2, ""),
    "hevc by two encoders": ([{"codec": "libx265"}, {"codec": "libx265", "crf": "40", "bframes": 2}], ""),
    "vp9": ([{"codec": "libvpx-vp9", "suffix": ".webm"}] * 2, ""),
    "av1": ([{"codec": "libsvtav1"}] * 2, ""),
    "vp8": ([{"codec": "libvpx", "suffix": ".webm"}] * 2, "vp8"),
    "another codec": ([{}, {"codec": "libx265"}, {"codec": "libvpx-vp9"}, {"codec": "libsvtav1"}], "codec"),
    "another size": ([{}, {"size": (96, 160)}, {"size": (320, 96)}], "size"),
    "odd size": ([{"size": (161, 97), "pixel_format": "yuv444p"}, {}], "size"),
    "another rate": ([{}, {"rate": 30, "frames": 24}, {"rate": 5, "frames": 10}], "frame rate"),
    "another format": ([{}, {"pixel_format": "yuv444p"}, {"pixel_format": "yuv420p10le"}], "pixel format"),
    "containers": ([{"suffix": ".mkv"}, {}, {"suffix": ".mov"}], ""),
    "B-frames in containers": (
        [{"suffix": ".mkv", "bframes": 2}, {"bframes": 2}, {"suffix": ".mkv", "bframes": 3}],
        "",
    ),
}


@pytest.mark.parametrize("kind", CLIPS)
def test_a_film_has_all_frames_of_its_clips_in_order(tmp_path: Path, kind: str) -> None:
    given, why = CLIPS[kind]
    asked = [{"frames": 20, "rate": 10} | each for each in given]
    clips = [
        numbered(tmp_path / f"{n}{each.pop('suffix', '.mp4')}", level=50 * n, **each) for n, each in enumerate(asked)
    ]
    film, joining = joined(tmp_path, *clips)
    assert why in "".join(joining.differences)
    assert bool(joining.differences) == bool(why)
    rate = asked[0]["rate"]
    expected = [
        (40 + 50 * n, 40 + 8 * (shown * each["rate"] // rate) % 200)
        for n, each in enumerate(asked)
        for shown in range(each["frames"] * rate // each["rate"])
    ]
    found = frames(film)
    assert len(found) == len(expected) == joining.frames
    for at, ((time, upper, lower), (level, count)) in enumerate(zip(found, expected, strict=True)):
        assert time == pytest.approx(at / rate, abs=0.001)
        assert abs(upper - level) < 8, (kind, at)
        assert abs(lower - count) < 8 + 8 * (each_rate(asked, at) != rate), (kind, at)
    assert has_index_in_front(film)


def each_rate(asked: list[dict[str, Any]], at: int) -> int:
    """The rate of the clip that frame `at` of the film is of."""
    for each in asked:
        at -= each["frames"] * asked[0]["rate"] // each["rate"]
        if at < 0:
            return int(each["rate"])
    raise IndexError(at)


SOUNDS: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "alike": ([{"sound": "aac"}] * 10, False),
    "some without": ([{}, {"sound": "aac"}, {}, {"sound": "aac"}, {}], False),
    "of odd lengths": ([{"sound": "aac", "frames": 7 + n % 3} for n in range(10)], False),
    "44.1 kHz": ([{"sound": "aac", "sound_rate": 44_100, "frames": 9}] * 10, False),
    "of other rates": ([{"sound": "aac"}, {"sound": "aac", "sound_rate": 22_050}, {}, {"sound": "aac"}], True),
    "opus": ([{"sound": "libopus"}] * 10, True),
    "mp3": ([{"sound": "aac"}, {"sound": "libmp3lame", "sound_rate": 44_100}] * 5, True),
}


@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize("other_size", [False, True])
def test_the_sound_stays_in_step(tmp_path: Path, kind: str, other_size: bool) -> None:
    given, is_encoded = SOUNDS[kind]
    asked = [{"frames": 10} | each for each in given]
    asked += [asked[0] | {"size": (96, 96)}] if other_size else []
    film, joining = joined(tmp_path, *(numbered(tmp_path / f"{n}.mp4", **each) for n, each in enumerate(asked)))
    assert any("sound" in why for why in joining.differences) == is_encoded
    begins = [sum(each["frames"] for each in asked[:n]) / 10 for n in range(len(asked))]
    expected = [begin for begin, each in zip(begins, asked, strict=True) if "sound" in each]
    assert beeps(film) == pytest.approx(expected, abs=0.02)
    with av.open(str(film)) as source:
        picture, heard = source.streams.video[0], source.streams.audio[0]
        ends = [float(each.duration * each.time_base) for each in (picture, heard)]
    assert ends[0] == pytest.approx(sum(each["frames"] for each in asked) / 10, abs=0.001)
    assert ends[1] == pytest.approx(ends[0], abs=0.05)


def test_a_clip_of_which_only_a_part_is_shown_gives_that_part(tmp_path: Path) -> None:
    clips = [numbered(tmp_path / f"{n}.mp4", bframes=2, sound="aac") for n in range(3)]
    edited(clips[1], seconds=1.0, start=0.3)
    film, joining = joined(tmp_path, *clips)
    assert "part" in joining.differences[0]
    shown = [lower for _, _, lower in frames(film)]
    assert shown == pytest.approx([40 + 8 * n for n in (*range(20), *range(3, 13), *range(20))], abs=6)


def test_a_gap_that_comes_from_wrong_times_is_not_filled(tmp_path: Path) -> None:
    clips = [
        numbered(tmp_path / "0.mp4", sound="aac"),
        numbered(tmp_path / "1.mkv", sound="aac", sound_rate=44_100, sound_at=100_000),
        numbered(tmp_path / "2.mp4", times=(0, 1, 10_000), size=(96, 160)),
    ]
    film, joining = joined(tmp_path, *clips[:2])
    assert (joining.end, len(beeps(film))) == (4.0, 1)
    with pytest.raises(FileError, match=r"2\.mp4 shows one frame for more than 10 minutes"):
        joined(tmp_path, clips[0], clips[2])


@pytest.mark.parametrize("bframes", [0, 2])
def test_frames_of_other_lengths_keep_their_times(tmp_path: Path, bframes: int) -> None:
    clips = [numbered(tmp_path / f"{n}.mp4", times=(0, 1, 3, 9, 10, 14), bframes=bframes) for n in range(2)]
    film, joining = joined(tmp_path, *clips)
    assert not joining.differences
    assert [time for time, _, _ in frames(film)] == pytest.approx(
        [begin + each / 10 for begin in (0, joining.end / 2) for each in (0, 1, 3, 9, 10, 14)], abs=0.001
    )


@pytest.mark.parametrize(("count", "is_encoded"), [(2, False), (1, True)])
def test_clips_that_are_turned(tmp_path: Path, count: int, is_encoded: bool) -> None:
    clips = [numbered(tmp_path / f"{n}.mp4") for n in range(2)]
    for clip in clips[:count]:
        turned(clip, (0, 1, -1, 0))
    film, joining = joined(tmp_path, *clips)
    assert bool(joining.differences) == is_encoded
    with opened(film) as whole:
        frame = whole.first()
    assert (frame.rotation != 0) != is_encoded
    assert shown_size(frame.width, frame.height, whole.pixel_aspect, turn_of(frame)) == (96, 160)


def test_a_film_of_films(tmp_path: Path) -> None:
    clips = [numbered(tmp_path / f"{n}.mp4", sound="aac", frames=7, bframes=n) for n in range(3)]
    film, _ = joined(tmp_path, *clips)
    film.rename(tmp_path / "film.mp4")
    again, joining = joined(tmp_path, tmp_path / "film.mp4", clips[0], tmp_path / "film.mp4")
    assert (joining.differences, len(frames(again))) == ([], 49)
    assert beeps(again) == pytest.approx([n * 0.7 for n in range(7)], abs=0.02)
