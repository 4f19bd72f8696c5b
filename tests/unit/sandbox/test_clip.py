"""The rendered clips, read back: shape, length, motion, the given picture, equal bytes for equal specs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from typing import Any

import pytest

av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")

from airvid.sandbox.clip import read_picture, render  # noqa: E402 - needs PyAV
from airvid.sandbox.create import ClipSpec  # noqa: E402

SMALL = ClipSpec("a fox in snow", 7, 2, 64, 64, sound=False, image=None)


def frames(clip: bytes) -> list[Any]:
    with av.open(BytesIO(clip)) as source:
        return list(source.decode(video=0))


def pixels(frame: Any) -> list[bytes]:
    """Its rows in grey, without the padding of lines in memory."""
    plane = frame.reformat(format="gray").planes[0]
    rows = bytes(plane)
    return [rows[y * plane.line_size :][: frame.width] for y in range(frame.height)]


def difference(one: list[bytes], other: list[bytes]) -> float:
    """The mean difference of two pictures, 0 to 255."""
    pairs = [(a, b) for row, twin in zip(one, other, strict=True) for a, b in zip(row, twin, strict=True)]
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def picture(codec: str, width: int, height: int) -> bytes:
    """An encoded picture: dark on the left, light on the right, a light bar on top."""
    frame = av.VideoFrame(width, height, "gray")
    plane = frame.planes[0]
    row = bytes(x * 200 // width for x in range(width)).ljust(plane.line_size, b"\0")
    plane.update(b"\xf0" * plane.line_size * (height // 4) + row * (height - height // 4))
    formats = {"png": "rgb24", "mjpeg": "yuvj420p", "libwebp": "yuv420p"}
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, formats[codec]
    encoder.time_base = Fraction(1)
    if codec == "mjpeg":
        encoder.color_range = 2
    packets = [*encoder.encode(frame.reformat(format=formats[codec])), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


@pytest.mark.parametrize(("seconds", "width", "height"), [(2, 64, 64), (3, 96, 54), (1, 480, 854)])
def test_a_clip_has_the_shape_and_length_asked_for(seconds: int, width: int, height: int) -> None:
    clip = render(replace(SMALL, seconds=seconds, width=width, height=height))
    assert clip[4:8] == b"ftyp"
    assert clip.index(b"moov") < clip.index(b"mdat")
    with av.open(BytesIO(clip)) as source:
        (video,) = source.streams
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height, video.average_rate) == (width, height, 24)
        assert source.duration == seconds * av.time_base
        assert sum(1 for _ in source.decode(video=0)) == seconds * 24


def test_sound_is_as_long_as_the_picture() -> None:
    with av.open(BytesIO(render(replace(SMALL, sound=True)))) as source:
        video, audio = source.streams
        assert audio.codec_context.name == "aac"
        assert abs(source.duration / av.time_base - 2) < 0.05
        assert abs(float(audio.duration * audio.time_base) - 2) < 0.05
        assert video.frames == 48
        heard = [bytes(frame.planes[0]) for frame in source.decode(audio=0)]
    assert any(any(samples) for samples in heard)


def test_the_picture_moves_and_bears_the_mark() -> None:
    shown = frames(render(replace(SMALL, width=320, height=180)))
    first, last = pixels(shown[0]), pixels(shown[-1])
    assert difference(first, last) > 5
    band = [row[48:272] for row in first[70:110]]
    assert max(max(row) for row in band) > 225
    assert max(max(row) for row in first[:60]) < 225


def test_the_look_follows_prompt_and_seed() -> None:
    specs = [SMALL, replace(SMALL, prompt="a dog"), replace(SMALL, seed=8), replace(SMALL, seed=None)]
    assert len({render(spec) for spec in specs}) == 4
    assert render(replace(SMALL, prompt="odd \ud800 text"))


@pytest.mark.parametrize(("sound", "with_image"), [(True, False), (False, True)])
def test_equal_specs_give_equal_bytes_in_every_process(sound: bool, with_image: bool) -> None:
    spec = replace(SMALL, sound=sound, image=picture("png", 90, 60) if with_image else None)
    here = hashlib.sha256(render(spec)).hexdigest()
    script = (
        "import hashlib\n"
        "from airvid.sandbox.clip import render\n"
        "from airvid.sandbox.create import ClipSpec\n"
        f"print(hashlib.sha256(render({spec!r})).hexdigest())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Asia/Tokyo"}
    there = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


@pytest.mark.parametrize("codec", ["png", "mjpeg", "libwebp"])
@pytest.mark.parametrize(("width", "height"), [(96, 54), (150, 50), (40, 90)])
def test_a_clip_begins_with_the_given_picture_and_moves_on(codec: str, width: int, height: int) -> None:
    image = picture(codec, width, height)
    shown = frames(render(replace(SMALL, width=192, height=108, image=image)))
    ratio = 192 / 108
    cut_width, cut_height = min(width, height * ratio), min(height, width / ratio)
    given = pixels(read_picture(image))
    left, top = (width - cut_width) / 2, (height - cut_height) / 2
    expected = [
        bytes(
            given[int(top + (y + 0.5) * cut_height / 108)][int(left + (x + 0.5) * cut_width / 192)] for x in range(192)
        )
        for y in range(90)  # the mark is below
    ]
    first, last = pixels(shown[0])[:90], pixels(shown[-1])[:90]
    assert difference(first, expected) < 8
    assert difference(first, last) > 2
    assert len(shown) == 48


def test_the_mark_on_a_given_picture_is_small() -> None:
    shown = pixels(frames(render(replace(SMALL, width=192, height=108, image=picture("png", 192, 108))))[0])
    marked = [row for row in shown[50:] if max(row) > 225]
    assert 5 <= len(marked) <= 12


@pytest.mark.parametrize("broken", [b"", b"no picture", b"\x89PNG\r\n\x1a\nrest", b"\xff\xd8\xff\xe0", b"RIFF----WAVE"])
def test_an_undecodable_picture_is_a_value_error(broken: bytes) -> None:
    with pytest.raises(ValueError, match="image"):
        render(replace(SMALL, image=broken))


def test_a_sliver_of_a_picture_fills_the_frame() -> None:
    assert len(frames(render(replace(SMALL, image=picture("png", 2, 900))))) == 48
