"""One decoded frame as a player shows it: upright, in square pixels, in the right colours; and as PNG or JPEG."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any, NamedTuple, cast

import av
from av.filter import Graph
from av.video.frame import VideoFrame

# A PNG with more bytes than this is replaced by a JPEG: bodies of requests are limited.
MOST_PNG = 8_000_000
# swscale's numbers for the matrices BT.709, BT.601 and BT.2020, by FFmpeg's number for a frame's.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601, _FULL_RANGE, _LIMITED = 1, 5, 2, 1
# FFmpeg's filters that turn a frame as a container's matrix says (its upper left four, by sign).
_TURNS = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): ("hflip",),
    (1, 0, 0, -1): ("vflip",),
    (-1, 0, 0, -1): ("hflip", "vflip"),
    (0, 1, -1, 0): ("transpose=clock",),
    (0, -1, 1, 0): ("transpose=cclock",),
    (0, 1, 1, 0): ("transpose=cclock_flip",),
    (0, -1, -1, 0): ("transpose=clock_flip",),
}

Turn = tuple[str, ...]


class Still(NamedTuple):
    """A picture as PNG or JPEG, and its size in pixels."""

    content: bytes
    width: int
    height: int


def turn_of(frame: VideoFrame) -> Turn:
    """How a player turns the frame: by quarters; another angle is left as it is."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return ()
    a, b, _, c, d = struct.unpack("=5i", bytes(cast(Any, data))[:20])
    return _TURNS.get(tuple((each > 1 << 15) - (each < -(1 << 15)) for each in (a, b, c, d)), ())


def shown_size(width: int, height: int, pixel_aspect: Fraction, turn: Turn) -> tuple[int, int]:
    """A frame's size as a player shows it, `pixel_aspect` being a pixel's width by its height."""
    width = max(1, round(width * pixel_aspect))
    return (height, width) if any("transpose" in each for each in turn) else (width, height)


def upright(frame: VideoFrame, width: int, height: int, pixel_format: str) -> VideoFrame:
    """The frame turned, `width` times `height` pixels large when it is upright. Colours: RGB, or limited BT.709."""
    turn = turn_of(frame)
    if any("transpose" in each for each in turn):
        width, height = height, width
    is_rgb = pixel_format.startswith("rgb")
    scaled = frame.reformat(
        width=width,
        height=height,
        format=pixel_format,
        src_colorspace=_matrix(frame),
        dst_colorspace=_BT601 if pixel_format.startswith("yuvj") else _BT709,
        src_color_range=_FULL_RANGE if frame.color_range == _FULL_RANGE or "yuvj" in frame.format.name else _LIMITED,
        dst_color_range=_FULL_RANGE if is_rgb or pixel_format.startswith("yuvj") else _LIMITED,
        interpolation="BICUBIC" if (width, height) == (frame.width, frame.height) else "LANCZOS",
    )
    return filtered(scaled, *turn)


def filtered(frame: VideoFrame, *steps: str) -> VideoFrame:
    """The frame after FFmpeg's filters, `name=arguments` each."""
    if not steps:
        return frame
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    nodes = [graph.add(name, arguments or None) for name, _, arguments in (step.partition("=") for step in steps)]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
    source.push(frame)
    return graph.vpull()


def still(frame: VideoFrame, pixel_aspect: Fraction) -> Still:
    """The frame at full size as PNG, or as the best JPEG of that size where a PNG is too large."""
    width, height = shown_size(frame.width, frame.height, pixel_aspect, turn_of(frame))
    content = _encoded(upright(frame, width, height, "rgb24"), "png", {})
    for quality in (1, 2, 4, 8):
        if len(content) > MOST_PNG:
            content = jpeg(frame, width, height, quality=quality)
    return Still(content, width, height)


def jpeg(frame: VideoFrame, width: int, height: int, *, quality: int) -> bytes:
    """The frame as JPEG; `quality` from 1 (best) to 31."""
    kind = "yuvj444p" if quality == 1 else "yuvj420p"
    return _encoded(upright(frame, width, height, kind), "mjpeg", {"qmin": "1", "qmax": str(quality)})


def _matrix(frame: VideoFrame) -> int:
    """The matrix of a frame's colours. Where it is not told, players take that of HD for a large frame."""
    if frame.format.is_rgb:
        return _BT709
    return _MATRICES.get(frame.colorspace, _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601)


def _encoded(frame: VideoFrame, codec: str, options: dict[str, str]) -> bytes:
    encoder = cast(Any, av.CodecContext.create(codec, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base, encoder.options = Fraction(1, 1), options
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
