"""Several clips, one after the other, as one film: an MP4 with its index in front.

Pictures and sound are copied where all clips are alike in them, and encoded anew otherwise: H.264 in the first clip's
shape and rate, and AAC. Each clip begins where the pictures of the one before end, and its sound with it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from airvid.errors import FileError
from airvid.media import mp4, still
from airvid.media.frames import Clip, video_errors
from airvid.media.pictures_track import PARAMETERS, CopiedPictures, EncodedPictures, NotCopyableError
from airvid.media.sound_track import CopiedSound, EncodedSound, silence

# The share by which equal rates may differ, as times in milliseconds are rounded.
_SAME = Fraction(1, 2000)
_USUAL_RATE, _HIGHEST_RATE = Fraction(24), Fraction(120)  # frames a second
# Ticks a second of a film: the most, and those of a film whose clips have no common ones.
_FINEST, _USUAL_TICKS = 10_000_000, 90_000
# Seconds by which sound and pictures may end apart, the last frame of AAC included.
_APART = 0.05

_MARK = "airvid film"

Pictures = CopiedPictures | EncodedPictures
Sound = CopiedSound | EncodedSound
Opener = Callable[..., AbstractContextManager[Clip]]
"""Opens a clip; its option is `is_known`, as for a Clip."""


class _Facts(NamedTuple):
    """What is known of a clip; whether its pictures are like another's is decided by those from `codec` on."""

    name: str
    seconds: float
    parameters: bytes
    tag: str
    lead: Fraction
    time_base: Fraction
    sound: tuple[object, ...] | None
    has_silence: bool
    rate: Fraction | None
    codec: str | None
    size: tuple[int, int]
    pixel_shape: Fraction
    pixel_format: str
    orientation: still.Turn
    colours: tuple[int, ...]

    def difference(self, other: _Facts) -> str | None:
        """The first thing in which the pictures of two clips differ."""
        if self.rate and other.rate and abs(self.rate - other.rate) > other.rate * _SAME:
            return "frame rate"
        pictures = _Facts._fields[_Facts._fields.index("codec") :]
        return next((each.replace("_", " ") for each in pictures if getattr(self, each) != getattr(other, each)), None)


class Joining:
    """A film of clips, each opened by one of `openers`. Raises: FileError for a clip that cannot be decoded.

    `seconds` is its length, as the clips declare it. `differences` say why it is encoded anew; a last one may be found
    while it is written.
    """

    def __init__(self, openers: Sequence[Opener]) -> None:
        self._openers = openers
        self._clips: list[_Facts] = []
        for opened in openers:
            with opened() as clip:
                self._clips.append(_facts(clip))
        first = self._clips[0]
        width, height = still.shown_size(*first.size, first.pixel_shape, first.orientation)
        self.shape = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self.seconds = sum(clip.seconds for clip in self._clips)
        self.rate = min(next((clip.rate for clip in self._clips if clip.rate), _USUAL_RATE), _HIGHEST_RATE)
        self._pictures_differ = self._difference()
        self._sound_differs = self._difference_in_sound()

    @property
    def differences(self) -> list[str]:
        return [each for each in (self._pictures_differ, self._sound_differs) if each]

    def _difference(self) -> str | None:
        first = self._clips[0]
        if first.codec not in PARAMETERS:
            return f"an MP4 holds no {first.codec}"
        for clip in self._clips[1:]:
            if different := clip.difference(first):
                return f"{clip.name} has another {different} than {first.name}"
        if not PARAMETERS[first.codec] and len({clip.parameters for clip in self._clips}) > 1:
            return "the clips' decoders have different settings"
        return None

    def _difference_in_sound(self) -> str | None:
        heard = [clip for clip in self._clips if clip.sound]
        if len({clip.sound for clip in heard}) > 1:
            return "the clips have different kinds of sound"
        return None if all(clip.has_silence for clip in heard) else f"the sound of {heard[0].name} is no plain AAC"

    def write(self, path: Path) -> Iterator[float]:
        """Write the film to `path` and check it; yields how many seconds are done. Raises: FileError."""
        try:
            yield from self._write(path)
        except NotCopyableError as error:
            self._pictures_differ = str(error)
            yield from self._write(path)
        self._check(path)

    def _write(self, path: Path) -> Iterator[float]:
        with video_errors("the film cannot be written"):
            target = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        target.metadata["comment"] = _MARK
        try:
            yield from self._write_clips(target)
        except BaseException:
            with suppress(Exception):  # it is given up
                target.close()
            raise
        with video_errors("the film cannot be written"):
            target.close()

    def _write_clips(self, target: OutputContainer) -> Iterator[float]:
        first = next((n for n, clip in enumerate(self._clips) if clip.sound), None)
        with self._openers[0]() as clip, self._openers[first or 0]() as heard:
            pictures = self._pictures(target, clip)
            sound = None if first is None else self._sound(target, heard)
            for opened in self._openers:
                with opened(is_known=not self.differences) as clip:
                    yield from _add(clip, pictures, sound)
        pictures.close()
        if sound:
            sound.close()
        self.frames, self.end = pictures.frames, float(pictures.end)

    def _pictures(self, target: OutputContainer, first: Clip) -> Pictures:
        if self._pictures_differ:
            return EncodedPictures(target, self.shape, self.rate)
        ticks = math.lcm(*(clip.time_base.denominator for clip in self._clips))
        return CopiedPictures(
            target,
            first,
            time_base=Fraction(1, ticks if ticks <= _FINEST else _USUAL_TICKS),
            lead=max(clip.lead for clip in self._clips),
            has_one_decoder=len({clip.parameters for clip in self._clips}) == 1
            and {clip.tag for clip in self._clips} == {"hvc1"},
        )

    def _sound(self, target: OutputContainer, heard: Clip) -> Sound:
        template = sound_of(heard)
        assert template
        if not self._sound_differs:
            return CopiedSound(target, template)
        has_stereo = any(clip.sound and clip.sound[2] != 1 for clip in self._clips)
        return EncodedSound(target, template.rate, "stereo" if has_stereo else "mono")

    def _check(self, path: Path) -> None:
        """See that the film has each frame of its clips, and is as long as they are."""
        with path.open("rb") as file, closing(Clip(file, "the film", is_known=True)) as film:
            sound = sound_of(film)
            ends = [film.seconds or 0.0]
            if sound and sound.duration and sound.time_base:
                ends.append(float(sound.duration * sound.time_base))
            is_whole = mp4.is_complete(file, os.fstat(file.fileno()).st_size) is not False
            if film.frames != self.frames or any(abs(end - self.end) > _APART for end in ends) or not is_whole:
                raise FileError(f"the film is not whole: {film.frames} frames of {self.frames}, {ends} s of {self.end}")


def is_film(path: Path) -> bool:
    """Whether a file is a film that was made here."""
    try:
        with av.open(f"file:{path}", container_options={"format_whitelist": "mov"}) as found:
            return found.metadata.get("comment") == _MARK
    except (av.FFmpegError, ValueError):
        return False


def sound_of(clip: Clip) -> AudioStream | None:
    """The clip's sound, where it has one that can be decoded."""
    found = clip.container.streams.best("audio")
    return found if isinstance(found, AudioStream) and found.codec_context and found.rate else None


def _facts(clip: Clip) -> _Facts:
    sound, seen = sound_of(clip), clip.video.codec_context
    frame = clip.first() if clip.may_be_turned or not seen.pix_fmt else None
    code = sound and sound.codec_context
    return _Facts(
        name=clip.name,
        seconds=clip.seconds or 0.0,
        tag=seen.codec_tag,
        parameters=bytes(seen.extradata or b""),
        sound=(code.name, code.sample_rate, code.layout.nb_channels, bytes(code.extradata or b"")) if code else None,
        lead=clip.lead(),
        time_base=Fraction(clip.video.time_base or 1),
        has_silence=bool(sound and silence(sound)),
        rate=clip.rate if clip.frames != 1 and clip.rate > 0 else None,
        codec=clip.codec,
        size=(clip.width, clip.height),
        pixel_shape=clip.pixel_aspect,
        pixel_format=frame.format.name if frame else str(seen.pix_fmt),
        orientation=still.turn_of(frame) if frame else (),
        colours=(seen.colorspace, seen.color_range),
    )


def _add(clip: Clip, pictures: Pictures, sound: Sound | None) -> Iterator[float]:
    """Add one clip's pictures and sound to the film."""
    at, its_sound = pictures.end, sound_of(clip) if sound else None
    pictures.begin(clip)
    if sound:
        sound.begin(its_sound, at, clip.start)
    with video_errors(f"{clip.name} cannot be read"):
        for packet in clip.container.demux([each for each in (clip.video, its_sound) if each]):
            if packet.stream is clip.video:
                pictures.add(packet)
                if sound:
                    sound.advance(pictures.shown)
                yield float(pictures.shown)
            elif sound:
                sound.add(packet)
    pictures.finish()
    if sound:
        sound.finish(pictures.end)
