"""A clip's frames, decoded with PyAV, scaled down.

The file may be anybody's: its name never reaches FFmpeg, only plain containers are read (a playlist would make FFmpeg
fetch what it lists), and pixels, packets and frames are bounded.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any

import av
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from airvid import mp4
from airvid.errors import FileError

CONTAINERS = "mov,matroska,avi,gif"
MOST_PIXELS = 4096 * 2304
# Steps to one frame that is shown, at most: what a long group of pictures takes.
_LONGEST_RUN = 1200
_FAR = 10.0  # seconds ahead: sought, not decoded towards
_NEVER = float("-inf")
_MOST_PACKETS = 100_000
_LIMITS = {"max_pixels": str(MOST_PIXELS)}
_TICK = Fraction(1, 25)  # single pictures have no time, but FFmpeg asks
# FFmpeg's own, and those of the file that it reads through us.
_FAILURES = (av.FFmpegError, ValueError, OverflowError, OSError)
_THREADS = 4  # each may hold frames of its own


@dataclass(frozen=True)
class Frame:
    """One frame as it is shown, in RGB, `seconds` after the clip's beginning."""

    seconds: float
    picture: VideoFrame

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.width, self.picture.height

    def rows(self) -> list[bytes]:
        """Three bytes a pixel, a string a row."""
        return _rows(self.picture, 3)

    def png(self) -> bytes:
        width, height = self.size
        encoder: Any = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "rgb24", _TICK
        return b"".join(bytes(packet) for packet in [*encoder.encode(self.picture), *encoder.encode(None)])

    def paletted(self) -> tuple[list[tuple[int, int, int]], list[bytes]]:
        """The 256 colours that suit it best, and a string of their numbers a row."""
        width, height = self.size
        graph = Graph()
        source = graph.add_buffer(width=width, height=height, format=self.picture.format, time_base=_TICK)
        both, colors = graph.add("split"), graph.add("palettegen", "reserve_transparent=0")
        use = graph.add("paletteuse", "dither=bayer:bayer_scale=4")
        graph.link_nodes(source, both, use, graph.add("buffersink"))
        both.link_to(colors, 1)
        colors.link_to(use, 0, 1)
        graph.configure()
        graph.vpush(self.picture)
        graph.vpush(None)
        found = graph.vpull()
        palette = bytes(found.planes[1])
        return [(palette[at + 2], palette[at + 1], palette[at]) for at in range(0, 1024, 4)], _rows(found, 1)


class Clip:
    """An open clip. `name` is what errors call it. Raises: FileError."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._name = name
        with _told(f"{name} is no video"):
            _check_whole(file, name)
            self._container = av.open(
                file,
                "r",
                options=dict(_LIMITS),
                container_options={"format_whitelist": CONTAINERS},
                metadata_errors="replace",
            )
        stream = self._container.streams.best("video")  # a cover picture is none while there is another
        if not isinstance(stream, VideoStream):
            raise FileError(f"{name} holds no video")
        self._video = stream
        codec = _read(stream, "codec_context")
        if codec is None:
            raise FileError(f"{name} holds video of a codec that nothing here can decode")
        self.width, self.height = _read(stream, "width"), _read(stream, "height")
        self.codec: str | None = _read(codec, "name")
        if not self.width or not self.height:
            raise FileError(f"{name} holds no video that can be decoded")
        if self.width * self.height > MOST_PIXELS:
            raise FileError(f"{name} has {self.width}x{self.height} pixels: more than the 4096x2304 a preview decodes")
        self.aspect = float(self.width * (_read(stream, "sample_aspect_ratio") or 1) / self.height)
        rate = float(_read(stream, "average_rate") or 0)
        self._step = 1 / rate if rate > 0 else 0.0
        self._start = float((_read(stream, "start_time") or 0) * (_read(stream, "time_base") or 0))
        self.frames: int | None = _read(stream, "frames") or None
        self.seconds = self._told_seconds()
        if self.frames is None or self.seconds is None:
            self._measure()
        if self.frames == 0:
            raise FileError(f"{name} holds no frames")
        codec.options = dict(_LIMITS)
        codec.thread_type, codec.thread_count = "AUTO", _THREADS

    def close(self) -> None:
        self._container.close()

    def pick(self, count: int, width: int, height: int) -> Iterator[Frame | None]:
        """At most `count` frames, evenly spaced from the first to the last, scaled; None while one is under way.

        Raises: FileError.
        """
        end = max(0.0, (self.seconds or 0.0) - self._step)
        steps, at, shown, latest = self._decoded(), _NEVER, _NEVER, None
        with _told(f"{self._name} cannot be decoded"):
            for n in range(count):
                aim = end * n / (count - 1) if count > 1 else 0.0
                if aim - max(at, 0.0) > _FAR:
                    place = int((aim + self._start) / (self._video.time_base or 1))
                    self._container.seek(place, stream=self._video)
                    steps = self._decoded()
                for step in itertools.islice(steps, _LONGEST_RUN):
                    yield None
                    if step is not None:
                        at, latest = step
                        if at >= aim - self._step / 2:
                            break
                if latest is None or at <= shown:
                    break
                shown = at
                yield Frame(at, latest.reformat(width=width, height=height, format="rgb24", interpolation="AREA"))
        if shown is _NEVER:
            raise FileError(f"{self._name} holds no frame that can be decoded")

    def _decoded(self) -> Iterator[tuple[float, VideoFrame] | None]:
        """Frames with their times, and None for each packet that gave none."""
        at = 0.0
        for packet in self._container.demux(self._video):
            frames = packet.decode()
            for frame in frames:
                assert isinstance(frame, VideoFrame)
                at = at + self._step if frame.time is None else frame.time - self._start
                yield at, frame
            if not frames:
                yield None

    def _told_seconds(self) -> float | None:
        duration, time_base = _read(self._video, "duration"), _read(self._video, "time_base")
        if duration and time_base:
            seconds = float(duration * time_base)
        else:
            seconds = (_read(self._container, "duration") or 0) / av.time_base
        return seconds if seconds > 0 else None

    def _measure(self) -> None:
        """What the file does not tell, from its packets, undecoded."""
        count, end = 0, 0.0
        with _told(f"{self._name} cannot be read"):
            for packet in self._container.demux(self._video):
                if packet.size and packet.pts is not None and packet.time_base:
                    count += 1
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._start)
                if count == _MOST_PACKETS:
                    break
            self._container.seek(0)
        if self.frames is None and count < _MOST_PACKETS:
            self.frames = count
        if self.seconds is None and end > 0:
            self.seconds = end


def _read(source: object, name: str) -> Any:
    """An attribute of PyAV's; None where it is missing or cannot be read, as most are of an unknown codec."""
    try:
        return getattr(source, name, None)
    except _FAILURES:
        return None


def _check_whole(file: IO[bytes], name: str) -> None:
    """Half an MP4 would show half its frames, and nobody would know."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if mp4.begins(file.read(mp4.HEAD)) and (flaw := mp4.flaw(file, size)):
        raise FileError(f"{name} is no whole clip: {flaw}")
    file.seek(0)


def _rows(picture: VideoFrame, depth: int) -> list[bytes]:
    plane = picture.planes[0]
    whole, step = bytes(plane), plane.line_size
    return [whole[y * step : y * step + picture.width * depth] for y in range(picture.height)]


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tells of a failure in FFmpeg's own words, without what Python puts around them. Raises: FileError."""
    try:
        yield
    except _FAILURES as error:
        raise FileError(f"{what}: {getattr(error, 'strerror', None) or error}") from None
