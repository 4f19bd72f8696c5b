"""The pictures of a film: copied from clips that are alike, or encoded anew."""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any, cast

from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

from airvid.errors import FileError
from airvid.media import still
from airvid.media.frames import LONGEST_GAP, Clip, video_errors

PARAMETERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb", "vp9": "", "av1": "", "mpeg4": ""}
"""The codecs that are copied into an MP4, each with the filter that puts a clip's parameters before its key frames."""
_X264 = {"preset": "fast", "crf": "16"}  # no difference to be seen
_BT709, _LIMITED = 1, 1


class NotCopyableError(Exception):
    """The packets of a clip cannot be copied into the film."""


class CopiedPictures:
    """The packets of clips that are alike. `end`: seconds of all clips so far; `shown`: those of all packets so far.

    `lead`: seconds from the decoding of the first frame until it is shown; the same for all clips, as times only grow.
    `has_one_decoder`: all clips have their decoder's parameters in front, and the same ones.
    """

    def __init__(
        self, target: OutputContainer, first: Clip, *, time_base: Fraction, lead: Fraction, has_one_decoder: bool
    ) -> None:
        self._target, self._time_base, self._lead = target, time_base, round(lead / time_base)
        self._stream = cast(Any, target.add_stream_from_template(first.video, opaque=True))
        # Needed even where all clips have the same parameters in front: a film that was joined has others further on.
        self._filters = PARAMETERS[first.codec or ""]
        if self._filters:
            BitStreamFilterContext(self._filters, first.video, self._stream)
        if first.codec == "hevc":
            # Apple's players take only the first; it takes no parameters among the frames.
            self._stream.codec_context.codec_tag = "hvc1" if has_one_decoder else "hev1"
        self._stream.time_base = time_base
        self._latest = -sys.maxsize
        self._shown = 0  # as all times here, in ticks of the film
        self.frames, self.end = 0, Fraction(0)

    @property
    def shown(self) -> Fraction:
        return self._shown * self._time_base

    def begin(self, clip: Clip) -> None:
        self._clip = clip
        self._begin, self._offset = self._shown, self._shown - round(clip.start / self._time_base)
        scale = Fraction(clip.video.time_base or 1) / self._time_base
        self._scale = scale.numerator if scale.denominator == 1 else scale
        self._usual_length = round(clip.step / self._time_base)
        self._later: int | None = None
        self._next = self._begin - self._lead
        self._filter = BitStreamFilterContext(self._filters, clip.video) if self._filters else None

    def add(self, packet: Packet[Any]) -> None:
        """Raises: NotCopyableError, FileError."""
        if not packet.size or packet.pts is None:
            return
        if packet.is_discard:
            raise NotCopyableError(f"{self._clip.name} shows only a part of its frames")
        pts = self._offset + round(packet.pts * self._scale)
        dts = self._next if packet.dts is None else self._offset + round(packet.dts * self._scale)
        if self._later is None:
            self._later = dts - (self._begin - self._lead)
        self._next = dts + self._usual_length
        length = round(packet.duration * self._scale) if packet.duration else self._usual_length
        self._shown = max(self._shown, pts + length)
        self.frames += 1
        for each in self._filter.filter(packet) if self._filter else [packet]:
            each.stream, each.time_base = self._stream, self._time_base
            self._latest = max(dts - self._later, self._latest + 1)
            each.pts, each.dts, each.duration = pts, self._latest, length
            if self._latest > pts:
                raise NotCopyableError(f"the times of {self._clip.name} do not go on from those before it")
            with video_errors("the film cannot be written"):
                self._target.mux(each)

    def finish(self) -> None:
        """The clip has ended. Raises: FileError."""
        if self._shown == self._begin:
            raise FileError(f"{self._clip.name} holds no frames")
        self.end = self.shown

    def close(self) -> None:
        """The film has ended."""


class EncodedPictures:
    """Frames of any clips, fitted into one size and rate, as H.264. The attributes are those of CopiedPictures.

    Each frame of the film shows what a clip shows in the middle of its time: at the same rate each frame once.
    """

    def __init__(self, target: OutputContainer, shape: tuple[int, int], rate: Fraction) -> None:
        self._target, self._rate = target, rate
        self._stream = target.add_stream("libx264", rate, options=_X264)
        self._stream.width, self._stream.height = shape
        self._stream.pix_fmt = "yuv420p"
        code = self._stream.codec_context
        code.colorspace, code.color_primaries, code.color_trc, code.color_range = _BT709, _BT709, _BT709, _LIMITED
        self.frames, self.end, self.shown = 0, Fraction(0), Fraction(0)

    def begin(self, clip: Clip) -> None:
        self._clip = clip
        self._before = self.frames
        self._held: VideoFrame | None = None
        self._fitted: VideoFrame | None = None
        self._length = Fraction(0)

    def add(self, packet: Packet[Any]) -> None:
        """Raises: FileError."""
        for frame in packet.decode():
            at, length = self._length, self._clip.step
            if frame.pts is not None and frame.time_base is not None:
                at = frame.pts * frame.time_base - self._clip.start
                length = frame.duration * frame.time_base or length
            self._show_until(at)
            self._held, self._fitted = frame, None
            self._length = max(self._length, at + length)

    def finish(self) -> None:
        """The clip has ended. Raises: FileError."""
        if self._held is None:
            raise FileError(f"{self._clip.name} holds no frame that can be decoded")
        self._show_until(max(self._length, 1 / self._rate) + Fraction(1, 1000) / self._rate)
        self.end = self.shown

    def close(self) -> None:
        """The film has ended. Raises: FileError."""
        with video_errors("the film cannot be written"):
            self._target.mux(self._stream.encode(None))

    def _show_until(self, end: Fraction) -> None:
        """Encode the frame that is held for the time up to `end`, in seconds from the clip's beginning.

        Raises: FileError.
        """
        if end - (self.frames - self._before) / self._rate > LONGEST_GAP:
            raise FileError(f"{self._clip.name} shows one frame for more than {LONGEST_GAP // 60} minutes")
        while self._held is not None and (self.frames - self._before + Fraction(1, 2)) / self._rate <= end:
            self._fitted = self._fitted or self._fit(self._held)
            self._fitted.pts, self._fitted.time_base = self.frames, 1 / self._rate
            with video_errors("the film cannot be written"):
                self._target.mux(self._stream.encode(self._fitted))
            self.frames += 1
            self.shown = self.frames / self._rate

    def _fit(self, frame: VideoFrame) -> VideoFrame:
        width, height = self._stream.width, self._stream.height
        own_width, own_height = still.shown_size(
            frame.width, frame.height, self._clip.pixel_aspect, still.turn_of(frame)
        )
        scale = min(Fraction(width, own_width), Fraction(height, own_height))
        inner = max(2, round(own_width * scale / 2) * 2), max(2, round(own_height * scale / 2) * 2)
        fitted = still.upright(frame, *inner, "yuv420p")
        if inner == (width, height):
            return fitted
        return still.filtered(fitted, f"pad={width}:{height}:-1:-1")
