"""A clip and its frames, decoded with PyAV.

The file may be hostile: FFmpeg does not get its name, reads only plain containers (a playlist would make it fetch
files), and has limits for pixels, packets and frames.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import IO, Any, NamedTuple

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from airvid.errors import FileError
from airvid.media import mp4
from airvid.media.still import Still, jpeg, shown_size, still, turn_of

CONTAINERS = "mov,matroska,avi,gif"
MOST_PIXELS = 4096 * 2304
# Packets to decode for one frame, at most: those of a long group of pictures.
_LONGEST_RUN = 1200
_WIDEST = 10  # a pixel, by its height; no camera and no encoder makes wider ones
_FAR = 10.0  # seconds: to a frame further ahead it seeks
# Seconds without a frame or a sound. A longer gap comes from wrong times; filling it would take hours and the disk.
LONGEST_GAP = 600
_NEVER = float("-inf")
_MOST_PACKETS = 100_000
_LIMITS = {"max_pixels": str(MOST_PIXELS)}
# Errors of FFmpeg, and of the file object that it reads.
_FAILURES = (av.FFmpegError, ValueError, OverflowError, OSError)
_UNREAD = {"probesize": "32"}  # opens without decoding
_THREADS = 4  # each thread holds frames in memory


class Frame(NamedTuple):
    """One frame, `seconds` after the clip's beginning. A row has three bytes a pixel (RGB)."""

    seconds: float
    rows: list[bytes]


class Clip:
    """An open clip. `name` is its name in errors. Raises: FileError.

    `start` is when its first frame is shown, `step` how long a frame usually is, and `seconds` how long all are;
    `is_known`: its headers are enough, as nothing will be decoded.
    """

    def __init__(self, file: IO[bytes], name: str, *, is_known: bool = False) -> None:
        self.name = name
        with video_errors(f"{name} is no video that can be read (MP4, MOV, MKV, WebM, AVI or GIF)"):
            self.may_be_turned, seconds = _check_whole(file, name)
            self.container = av.open(
                file,
                "r",
                options=dict(_LIMITS),
                container_options={"format_whitelist": CONTAINERS} | (_UNREAD if is_known else {}),
                metadata_errors="replace",
            )
        stream = self.container.streams.best("video")  # a cover picture only where there is nothing else
        if not isinstance(stream, VideoStream):
            raise FileError(f"{name} holds no video")
        self.video = stream
        codec = _read(stream, "codec_context")
        if codec is None:
            raise FileError(f"{name} holds video of an unknown codec")
        self.width, self.height = _read(stream, "width"), _read(stream, "height")
        self.codec: str | None = _read(_read(codec, "codec"), "canonical_name") or _read(codec, "name")
        if not self.width or not self.height:
            raise FileError(f"{name} holds no video that can be decoded")
        if self.width * self.height > MOST_PIXELS:
            raise FileError(f"{name} has {self.width}x{self.height} pixels: more than 4096x2304 are not decoded")
        aspect = Fraction(_read(stream, "sample_aspect_ratio") or 1)
        self.pixel_aspect = aspect if 1 / _WIDEST <= aspect <= _WIDEST else Fraction(1)
        self.aspect = float(self.width * self.pixel_aspect / self.height)
        self.rate = Fraction(_read(stream, "guessed_rate") or _read(stream, "average_rate") or 0)
        self.step = 1 / self.rate if self.rate > 0 else Fraction(0)
        self.start = (_read(stream, "start_time") or 0) * Fraction(_read(stream, "time_base") or 0)
        self.frames: int | None = _read(stream, "frames") or None
        # The sum of its packets' lengths is too small where frames of unequal lengths are stored out of order.
        shown = seconds.get(stream.id, 0.0) - float(self.start)
        self.seconds = max(self._declared_seconds() or 0.0, shown) or None
        if self.frames is None or self.seconds is None:
            self._measure()
        if self.frames == 0:
            raise FileError(f"{name} holds no frames")
        codec.options = dict(_LIMITS)
        codec.thread_type, codec.thread_count = "AUTO", _THREADS

    def close(self) -> None:
        self.container.close()

    def pick(self, count: int, width: int, height: int) -> Iterator[Frame | None]:
        """At most `count` frames, evenly spaced from first to last, scaled; None for each step between two frames.

        Raises: FileError.
        """
        end = max(0.0, (self.seconds or 0.0) - self.step)
        steps, at, shown, latest = self._decoded(), _NEVER, _NEVER, None
        with video_errors(f"{self.name} cannot be decoded"):
            for n in range(count):
                aim = end * n / (count - 1) if count > 1 else 0.0
                if aim - max(at, 0.0) > _FAR:
                    self._seek(aim)
                    steps = self._decoded()
                for step in itertools.islice(steps, _LONGEST_RUN):
                    yield None
                    if step is not None:
                        at, latest = step
                        if at >= aim - self.step / 2:
                            break
                if latest is None or at <= shown:
                    break
                shown = at
                scaled = latest.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
                yield Frame(at, _rows(scaled))
        if shown is _NEVER:
            raise FileError(f"{self.name} holds no frame that can be decoded")

    def lead(self) -> Fraction:
        """Seconds from the decoding of the first packet to the first frame. Raises: FileError."""
        with video_errors(f"{self.name} cannot be read"):
            self.container.seek(self.video.start_time or 0, stream=self.video)
            # Matroska stores no times of decoding. FFmpeg works them out, but not those of the first packets.
            for before, packet in enumerate(self.container.demux(self.video)):
                if packet.dts is not None:
                    return self.start - packet.dts * Fraction(self.video.time_base or 0) + before * self.step
        return Fraction(0)

    def first(self) -> VideoFrame:
        """The first frame of a clip that was opened a moment ago. Raises: FileError."""
        self.video.thread_type = "SLICE"  # frame threads would decode several frames
        with video_errors(f"{self.name} cannot be decoded"):
            frame = next((step[1] for step in self._decoded() if step), None)
        if frame is None:
            raise FileError(f"{self.name} holds no frame that can be decoded")
        return frame

    def poster(self, width: int, quality: int) -> bytes:
        """The key frame at or before the middle, as a JPEG so wide. Raises: FileError."""
        with video_errors(f"{self.name} cannot be decoded"):
            self._seek((self.seconds or 0) / 2)
            frame = self.first()
            own_width, own_height = shown_size(frame.width, frame.height, self.pixel_aspect, turn_of(frame))
            return jpeg(frame, width, max(2, round(width * own_height / own_width / 2) * 2), quality=quality)

    def last(self) -> Still:
        """The frame that a player shows last, as a picture. Frames may be stored out of order. Raises: FileError."""
        latest, at = None, _NEVER
        with video_errors(f"{self.name} cannot be decoded"):
            # The frames from the last key frame on; all where seeking fails.
            for place in (self.seconds or 0, 0):
                self._seek(place)
                for step in self._decoded():
                    if step and step[0] >= at:
                        at, latest = step
                if latest is not None:
                    break
        with video_errors(f"the last frame of {self.name} cannot be decoded"):
            if latest is None or latest.is_corrupt:
                raise ValueError("it is damaged")
            return still(latest, self.pixel_aspect)

    def _seek(self, seconds: float) -> None:
        """Go to the key frame at or before a time."""
        self.container.seek(int((seconds + self.start) / (self.video.time_base or 1)), stream=self.video)

    def _decoded(self) -> Iterator[tuple[float, VideoFrame] | None]:
        """Frames with their times, and None for each packet without a frame."""
        at = 0.0
        for packet in self.container.demux(self.video):
            frames = packet.decode()
            for frame in frames:
                assert isinstance(frame, VideoFrame)
                at = at + self.step if frame.time is None else frame.time - self.start
                yield at, frame
            if not frames:
                yield None

    def _declared_seconds(self) -> float | None:
        duration, time_base = _read(self.video, "duration"), _read(self.video, "time_base")
        if duration and time_base:
            seconds = float(duration * time_base)
        else:
            seconds = (_read(self.container, "duration") or 0) / av.time_base
        return seconds if seconds > 0 else None

    def _measure(self) -> None:
        """Count frames and seconds in the packets, without decoding, where the file does not declare them."""
        count, end = 0, 0.0
        with video_errors(f"{self.name} cannot be read"):
            for packet in self.container.demux(self.video):
                if packet.size and packet.pts is not None and packet.time_base:
                    count += 1
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - self.start)
                if count == _MOST_PACKETS:
                    break
            self.container.seek(0)
        if self.frames is None and count < _MOST_PACKETS:
            self.frames = count
        if self.seconds is None and end > 0:
            self.seconds = end


def _read(source: object, name: str) -> Any:
    """An attribute of a PyAV object; None where it is missing or cannot be read, as with an unknown codec."""
    try:
        return getattr(source, name, None)
    except _FAILURES:
        return None


def _check_whole(file: IO[bytes], name: str) -> tuple[bool, dict[int, float]]:
    """Check that an MP4 is whole: FFmpeg decodes half a file without an error. Returns its `mp4.presentation`.

    Raises: FileError.
    """
    size, presentation = file.seek(0, os.SEEK_END), (True, dict[int, float]())
    file.seek(0)
    if mp4.begins(file.read(mp4.HEAD)):
        if flaw := mp4.flaw(file, size):
            raise FileError(f"{name} is no whole clip: {flaw}")
        presentation = mp4.presentation(file, size)
    file.seek(0)
    return presentation


def _rows(picture: VideoFrame) -> list[bytes]:
    plane = picture.planes[0]
    whole, step = bytes(plane), plane.line_size
    return [whole[y * step : y * step + picture.width * 3] for y in range(picture.height)]


@contextmanager
def video_errors(what: str) -> Iterator[None]:
    """Turns a failure into a FileError with FFmpeg's own words."""
    try:
        yield
    except _FAILURES as error:
        raise FileError(f"{what}: {getattr(error, 'strerror', None) or error}") from None
