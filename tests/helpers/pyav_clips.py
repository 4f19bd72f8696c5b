"""Clips that can be decoded, made with PyAV."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

FRAMES = 20


def red_to_blue(
    path: Path, *, codec: str = "libx264", width: int = 320, height: int = 180, frames: int = FRAMES
) -> Path:
    """So many frames from red to blue, ten a second."""
    with av.open(str(path), "w") as target:
        stream: Any = target.add_stream(codec, 10, options={"preset": "ultrafast"} if codec == "libx264" else {})
        stream.width, stream.height = width, height
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        for n in range(frames):
            frame = av.VideoFrame(width, height, "rgb24")
            blue = 255 * n // max(1, frames - 1)
            frame.planes[0].update(bytes((255 - blue, 20, blue)) * (frame.planes[0].buffer_size // 3))
            target.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        target.mux(stream.encode(None))
    return path


def fading(path: Path) -> Path:
    """One frame, white at its top and black at its bottom."""
    with av.open(str(path), "w") as target:
        stream: Any = target.add_stream("libx264", 10)
        stream.width, stream.height, stream.pix_fmt = 320, 256, "yuv420p"
        frame = av.VideoFrame(320, 256, "rgb24")
        frame.planes[0].update(b"".join(bytes([255 - y]) * frame.planes[0].line_size for y in range(256)))
        target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode(None))
    return path


def sound(path: Path) -> Path:
    """A moment of silence, without a picture."""
    with av.open(str(path), "w") as target:
        stream: Any = target.add_stream("pcm_s16le", 48_000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
        frame.sample_rate = 48_000
        target.mux(stream.encode(frame))
    return path


def growing(path: Path) -> Path:
    """A stream whose pictures become too large halfway."""
    parts = [
        red_to_blue(path.with_name(f"{width}.mjpeg"), codec="mjpeg", width=width, height=2400, frames=1)
        for width in (64, 4098)
    ]
    both = path.with_name("both.mjpeg")
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    with av.open(str(both)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for n, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.stream, packet.pts, packet.dts = stream, n * 120_000, n * 120_000
                target.mux(packet)
    return path


def film(path: Path) -> Path:
    """Two thousand small frames, one a second, every twentieth a key frame."""
    with av.open(str(path), "w") as target:
        stream: Any = target.add_stream("mpeg4", 1)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 64, "yuv420p", 20
        for n in range(2000):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts = n
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


def numbered(
    path: Path,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 96),
    rate: int = 10,
    frames: int = 20,
    level: int = 0,
    bframes: int = 0,
    sound: str = "",
    sound_rate: int = 48_000,
    sound_at: int = 0,
    pixel_format: str = "yuv420p",
    aspect: int = 1,
    noise: bool = False,
    times: Sequence[int] = (),
    movflags: str = "",
    **options: str,
) -> Path:
    """Gray frames: the upper half of a brightness of 40 + `level`, the lower half brighter by 8 with every frame.

    `aspect`: how much wider than high a pixel is. `noise` instead of gray. `times`: of the frames, in their usual
    lengths. `sound`: the codec of a sound of the same length, a beep of a tenth of a second and then silence, which
    begins at `sound_at` seconds.
    """
    speed = {"libx264": "ultrafast", "libx265": "ultrafast", "libsvtav1": "12"}.get(codec)
    given = {
        **({"preset": speed} if speed else {}),
        **({"x265-params": "log-level=none"} if codec == "libx265" else {}),
    }
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as target:
        stream: Any = target.add_stream(codec, rate, options=given | options)
        stream.codec_context.sample_aspect_ratio = aspect
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.max_b_frames = bframes
        heard: Any = target.add_stream(sound, sound_rate, layout="mono") if sound else None
        for n, at in enumerate(times or range(frames)):
            frame = av.VideoFrame(*size, "gray")
            upper = size[1] // 2 * frame.planes[0].line_size
            lower = frame.planes[0].buffer_size - upper
            frame.planes[0].update(bytes([40 + level]) * upper + bytes([40 + 8 * n % 200]) * lower)
            if noise:
                frame = av.VideoFrame(*size, "rgb24")
                frame.planes[0].update(random.Random(n).randbytes(frame.planes[0].buffer_size))
            frame = frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = at, Fraction(1, rate)
            target.mux(stream.encode(frame))
            if heard:
                beep = _beep(n * sound_rate // rate, (n + 1) * sound_rate // rate, sound_rate)
                beep.pts = (n + sound_at * rate) * sound_rate // rate
                target.mux(heard.encode(beep))
        target.mux(stream.encode(None))
        if heard:
            target.mux(heard.encode(None))
    return path


def _beep(start: int, end: int, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame(format="s16", layout="mono", samples=end - start)
    samples = [8000 * (1 - 2 * (n // 50 % 2)) if n < rate // 10 else 0 for n in range(start, end)]
    frame.planes[0].update(b"".join(each.to_bytes(2, "little", signed=True) for each in samples))
    frame.sample_rate, frame.pts = rate, start
    return frame


def edited(path: Path, *, seconds: float, start: float = 0.0) -> Path:
    """The same MP4 with another edit list: only `seconds` of its pictures are shown, from `start` on."""
    whole = path.read_bytes()
    place, scale = whole.index(b"elst"), whole.index(b"mdhd")
    (ticks,) = struct.unpack_from(">I", whole, scale + 16)
    (begin,) = struct.unpack_from(">I", whole, place + 16)
    edit = struct.pack(">II", round(seconds * 1000), begin + round(start * ticks))
    path.write_bytes(whole[: place + 12] + edit + whole[place + 20 :])
    return path


def turned(path: Path, matrix: tuple[int, ...]) -> Path:
    """The same MP4 with a matrix that turns its pictures: its upper left four numbers."""
    whole = path.read_bytes()
    place = whole.index(b"tkhd") + 44
    one = 1 << 16
    a, b, c, d = (each * one for each in matrix)
    path.write_bytes(whole[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + whole[place + 36 :])
    return path
