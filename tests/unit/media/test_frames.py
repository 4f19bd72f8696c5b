"""The last frame of a clip, as a player shows it, and the clips that have no usable one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from pyav_clips import edited, fading, numbered, turned  # noqa: E402 - needs PyAV

from airvid.commands.preview import opened  # noqa: E402
from airvid.errors import FileError  # noqa: E402
from airvid.media.still import MOST_PNG, Still  # noqa: E402

PNG = b"\x89PNG"


def last(path: Path) -> Still:
    with opened(path) as clip:
        return clip.last()


def light(still: Still, x: float, y: float) -> Any:
    """How light a picture is at a place from 0 to 1."""
    with av.open(BytesIO(still.content), format="png_pipe" if still.content.startswith(PNG) else "jpeg_pipe") as source:
        frame = next(source.decode(video=0)).reformat(format="gray8", dst_color_range=2)
    assert (frame.width, frame.height) == (still.width, still.height)
    return bytes(frame.planes[0])[int(y * frame.height) * frame.planes[0].line_size + int(x * frame.width)]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"bframes": 3, "frames": 23},
        {"g": "5", "bframes": 2},
        {"codec": "libx265", "bframes": 3},
        {"codec": "libvpx-vp9"},
        {"codec": "libsvtav1"},
        {"frames": 1},
        {"pixel_format": "yuv420p10le"},
        {"suffix": ".mkv"},
        {"codec": "mjpeg", "pixel_format": "yuvj420p", "suffix": ".avi"},
        {"sound": "aac"},
        {"times": (0, 1, 2, 3, 9, 10, 30), "bframes": 2, "frames": 7},
        {"times": (0, 1, 2, 3, 9, 10, 30), "bframes": 2, "frames": 7, "suffix": ".mkv"},
    ],
    ids=str,
)
def test_it_is_the_one_that_is_shown_last(tmp_path: Path, how: dict[str, Any]) -> None:
    asked = {"frames": 20} | how
    clip = numbered(tmp_path / f"clip{asked.pop('suffix', '.mp4')}", **asked)
    still = last(clip)
    count = asked["frames"]
    assert (still.content[:4], still.width, still.height) == (PNG, 160, 96)
    expected = [40, 40 + 8 * (count - 1) % 200]
    found = [light(still, 0.5, 0.25), light(still, 0.5, 0.75)]
    assert found == pytest.approx(expected, abs=6)


def test_what_an_edit_list_hides_is_not_shown(tmp_path: Path) -> None:
    clip = edited(numbered(tmp_path / "clip.mp4", bframes=2), seconds=1.0)
    assert light(last(clip), 0.5, 0.75) == pytest.approx(40 + 8 * 9, abs=6)


@pytest.mark.parametrize(("seconds", "shown"), [(0.9, 3), (1.0, 4), (3.0, 5), (3.1, 6)])
@pytest.mark.parametrize(("matrix", "size"), [((0, 1, -1, 0), (96, 160)), ((-1, 0, 0, -1), (160, 96))])
def test_it_is_the_one_with_unequal_lengths_an_edit_list_and_a_turn_at_once(
    tmp_path: Path, matrix: tuple[int, ...], size: tuple[int, int], seconds: float, shown: int
) -> None:
    """The frames are stored out of order, and the last one that is stored is not the last one that is shown."""
    clip = numbered(tmp_path / "clip.mp4", times=(0, 1, 2, 3, 9, 10, 30), bframes=2)
    still = last(turned(edited(clip, seconds=seconds), matrix))
    assert (still.width, still.height) == size
    beside = (0.25, 0.5) if size[0] < size[1] else (0.5, 0.25)  # where the lower half went
    assert light(still, *beside) == pytest.approx(40 + 8 * shown, abs=6)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_clip_is_as_long_as_its_last_frame_is_shown(tmp_path: Path, suffix: str) -> None:
    with opened(numbered(tmp_path / f"clip{suffix}", times=(0, 1, 2, 3, 4, 30), bframes=2)) as clip:
        assert clip.frames == 6
        assert clip.seconds == pytest.approx(3.1, abs=0.01)


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        ((1, 0, 0, 1), (320, 256), (0.5, 0.05)),
        ((0, 1, -1, 0), (256, 320), (0.95, 0.5)),
        ((-1, 0, 0, -1), (320, 256), (0.5, 0.95)),
        ((0, -1, 1, 0), (256, 320), (0.05, 0.5)),
        ((1, 0, 0, -1), (320, 256), (0.5, 0.95)),
        ((0, 1, 1, 0), (256, 320), (0.05, 0.5)),
    ],
)
def test_it_stands_upright(
    tmp_path: Path, matrix: tuple[int, ...], size: tuple[int, int], corner: tuple[float, float]
) -> None:
    """`corner`: where the side is that was white before the clip was turned."""
    still = last(turned(fading(tmp_path / "clip.mp4"), matrix))
    assert (still.width, still.height) == size
    assert light(still, *corner) > 200
    assert light(still, 1 - corner[0], 1 - corner[1]) < 60


@pytest.mark.parametrize(("aspect", "width"), [(2, 320), (3000, 160)])
def test_pixels_that_are_no_squares_become_squares(tmp_path: Path, aspect: int, width: int) -> None:
    """A shape that no pixel has is damage."""
    clip = numbered(tmp_path / "clip.mp4", aspect=2)
    clip.write_bytes(
        clip.read_bytes().replace(struct.pack(">4sII", b"pasp", 2, 1), struct.pack(">4sII", b"pasp", aspect, 1))
    )
    still = last(clip)
    assert (still.width, still.height) == (width, 96)


def test_a_picture_that_is_too_large_as_png_is_a_jpeg(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "clip.mp4", size=(2560, 1440), frames=1, noise=True, crf="1")
    still = last(clip)
    assert (still.content[:3], still.width, still.height) == (b"\xff\xd8\xff", 2560, 1440)
    assert MOST_PNG / 10 < len(still.content) <= MOST_PNG


def _no_frames(clip: bytes) -> bytes:
    place = clip.index(b"stsz")
    return clip[: place + 8] + struct.pack(">II", 0, 0) + clip[place + 16 :]


def _huge(clip: bytes) -> bytes:
    """A claim of 65,535 times 65,535 pixels, also without the codec's own word for it."""
    place = clip.rindex(b"avc1")
    clip = clip[: place + 28] + b"\xff" * 4 + clip[place + 32 :]
    return clip.replace(b"avcC", b"free")


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda _: b"a text file, named .mp4\n" * 100,
    "empty": lambda _: b"",
    "cut": lambda clip: clip[: len(clip) // 2],
    "no frames": _no_frames,
    "64k x 64k": _huge,
    "no data": lambda clip: clip[: clip.index(b"mdat") + 4] + bytes(len(clip) - clip.index(b"mdat") - 4),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_clip_has_none(tmp_path: Path, kind: str) -> None:
    clip = numbered(tmp_path / "clip.mp4", movflags="+faststart")
    clip.write_bytes(BROKEN[kind](clip.read_bytes()))
    with pytest.raises(FileError, match=r"clip\.mp4"):
        last(clip)
