"""The sound of a film: copied from clips that are alike, or encoded anew; silence where a clip has none.

A clip's sound ends where its pictures end.
"""

from __future__ import annotations

import functools
from collections import deque
from fractions import Fraction
from typing import Any, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from airvid.media.frames import LONGEST_GAP, video_errors

_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000)  # samples a second of AAC
_USUAL_RATE, _BITS = 48_000, 256_000
_SAMPLES = 1024  # of each packet of AAC
_SAMPLE_SIZE = 4
_GAP = Fraction(1, 50)  # seconds: a shorter gap in a clip's sound is rounding


class CopiedSound:
    """Packets of AAC in one row without gaps: each stands within half its length (11 ms) of where it belongs.

    The sound of a packet needs the packet before it. A clip has one before its beginning; it replaces the last one of
    the clip before.
    """

    def __init__(self, target: OutputContainer, template: AudioStream) -> None:
        self._target, self._rate = target, template.rate
        self._stream = cast(Any, target.add_stream_from_template(template))
        self._time_base = Fraction(1, self._rate)
        self._silence = silence(template) or b""
        self._place: int | None = None
        self._waiting: deque[tuple[int, Packet[Any]]] = deque()  # each with the sample that it should begin at
        self._held: Packet[Any] | None = None  # the latest packet, not written yet

    def begin(self, stream: AudioStream | None, at: Fraction, start: Fraction) -> None:
        """A clip begins `at` seconds; its pictures begin at its own `start`."""
        self._offset, self._has_begun = round((at - start) * self._rate), False
        scale = Fraction(stream.time_base or 1) * self._rate if stream else Fraction(1)
        self._scale = scale.numerator if scale.denominator == 1 else scale

    def add(self, packet: Packet[Any]) -> None:
        if packet.size and packet.pts is not None:
            self._waiting.append((self._offset + round(packet.pts * self._scale), packet))

    def advance(self, end: Fraction) -> None:
        """Write what belongs to pictures before `end`, in seconds."""
        last = round(end * self._rate) - _SAMPLES // 2
        while self._waiting and self._waiting[0][0] <= last:
            place, packet = self._waiting.popleft()
            if self._place is None:
                # Before the first packet there may be one that only prepares the decoder.
                self._place = max(min(0, place), -2 * _SAMPLES)
            self._fill(place)
            missing = place - self._place
            if not self._has_begun and abs(missing + _SAMPLES) <= _SAMPLES // 2 and self._held:
                self._place -= _SAMPLES
                self._held, missing = None, missing + _SAMPLES
            if missing >= -_SAMPLES // 2:
                self._put(packet)
                self._has_begun = True

    def finish(self, end: Fraction) -> None:
        """The clip ends at `end`: no packet stands beyond it, and silence fills what is missing."""
        self.advance(end)
        self._waiting.clear()
        self._place = self._place or 0
        self._fill(round(end * self._rate))

    def close(self) -> None:
        """The film has ended."""
        self._write_held()

    def _fill(self, place: int) -> None:
        while self._place is not None and self._place + _SAMPLES // 2 < place:
            self._put(Packet(self._silence))

    def _put(self, packet: Packet[Any]) -> None:
        assert self._place is not None
        self._write_held()
        packet.stream, packet.time_base = self._stream, self._time_base
        packet.pts = packet.dts = self._place
        packet.duration = _SAMPLES
        self._place, self._held = self._place + _SAMPLES, packet

    def _write_held(self) -> None:
        if self._held is not None:
            with video_errors("the film cannot be written"):
                self._target.mux(self._held)


class EncodedSound:
    """Any sound as AAC, exact to a sample."""

    def __init__(self, target: OutputContainer, rate: int, layout: str) -> None:
        self._target, self._layout = target, layout
        self._rate = rate if rate in _RATES else _USUAL_RATE
        self._stream = target.add_stream("aac", self._rate, layout=layout, bit_rate=_BITS)
        self._width = _SAMPLE_SIZE * (2 if layout == "stereo" else 1)
        self._written = 0  # samples
        self._waiting = bytearray()

    def begin(self, stream: AudioStream | None, at: Fraction, start: Fraction) -> None:
        """As in CopiedSound."""
        self._offset = at - start
        self._has_begun = False
        self._converter = av.AudioResampler("flt", self._layout, self._rate)

    def add(self, packet: Packet[Any]) -> None:
        for frame in packet.decode():
            self._take(self._converter.resample(cast(AudioFrame, frame)))

    def advance(self, end: Fraction) -> None:
        """As in CopiedSound."""
        count = min(round(end * self._rate) - self._written, len(self._waiting) // self._width)
        if count >= 8 * _SAMPLES:
            self._encode(count)

    def finish(self, end: Fraction) -> None:
        """As in CopiedSound."""
        self._take(self._converter.resample(None))
        missing = round(end * self._rate) - self._written - len(self._waiting) // self._width
        self._waiting += bytes(max(0, missing) * self._width)
        self._encode(round(end * self._rate) - self._written)
        self._waiting.clear()

    def close(self) -> None:
        """The film has ended."""
        with video_errors("the film cannot be written"):
            self._target.mux(self._stream.encode(None))

    def _take(self, frames: list[AudioFrame]) -> None:
        """Keep samples where they belong. A gap becomes silence; what comes too early or far too late is cut."""
        for frame in frames:
            data = bytes(frame.planes[0])[: frame.samples * self._width]
            if frame.pts is not None and frame.time_base is not None:
                due = round((self._offset + frame.pts * frame.time_base) * self._rate)
                late = due - self._written - len(self._waiting) // self._width
                if late > LONGEST_GAP * self._rate:
                    continue
                if not self._has_begun or abs(late) > _GAP * self._rate:
                    data = bytes(max(0, late) * self._width) + data[max(0, -late) * self._width :]
            self._has_begun = self._has_begun or bool(data)
            self._waiting += data

    def _encode(self, count: int) -> None:
        """Encode the first `count` of the samples that wait."""
        while count > 0:
            samples = min(count, self._rate)
            frame = AudioFrame("flt", self._layout, samples)
            frame.planes[0].update(bytes(self._waiting[: samples * self._width]))
            del self._waiting[: samples * self._width]
            frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self._written
            with video_errors("the film cannot be written"):
                self._target.mux(self._stream.encode(frame))
            self._written, count = self._written + samples, count - samples


def silence(stream: AudioStream) -> bytes | None:
    """A packet of silence for a decoder with this stream's parameters; None where it is no plain AAC."""
    code = stream.codec_context
    if code.name != "aac" or not code.extradata:
        return None
    return _silence(code.sample_rate, code.layout.name, bytes(code.extradata)[:2])


@functools.cache
def _silence(rate: int, layout: str, parameters: bytes) -> bytes | None:
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "fltp"
    packets = []
    try:
        for n in range(4):
            frame = AudioFrame("fltp", layout, _SAMPLES)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = rate, n * _SAMPLES
            packets += encoder.encode(frame)
    except (av.FFmpegError, ValueError):
        return None
    is_same = bytes(encoder.extradata or b"")[:2] == parameters
    return bytes(packets[-1]) if is_same and packets else None
