"""Renders the sandbox's clips: H.264 in MP4, marked as sandbox clips."""

from __future__ import annotations

import colorsys
import hashlib
import re
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from airvid.sandbox.create import ClipSpec

FRAMES_PER_SECOND = 24
SAMPLES_PER_SECOND = 48_000

# One thread, no dates, no version strings: equal specs give equal bytes on every machine.
_MP4 = {"movflags": "+faststart", "fflags": "+bitexact"}
_AAC = {"flags": "+bitexact"}
_X264 = {
    "preset": "ultrafast",
    "crf": "26",
    "g": "48",
    "threads": "1",
    "flags": "+bitexact",
    "x264-params": "colormatrix=smpte170m",  # that of libswscale; players assume another one for HD
}
_COARSE = 8  # the backdrop is drawn smaller by this factor, which is faster
_ZOOM = 0.15  # how much a given picture grows during its clip

_WORD = (
    ".####  .###.  #...#  ####.  ####.  .###.  #...#",
    "#....  #...#  ##..#  #...#  #...#  #...#  #...#",
    "#....  #...#  ##..#  #...#  #...#  #...#  .#.#.",
    ".###.  #####  #.#.#  #...#  ####.  #...#  ..#..",
    "....#  #...#  #..##  #...#  #...#  #...#  .#.#.",
    "....#  #...#  #...#  #...#  #...#  #...#  #...#",
    "####.  #...#  #...#  ####.  ####.  .###.  #...#",
)
_COLUMNS, _ROWS = len(_WORD[0]), len(_WORD)

Step = tuple[str, str]
"""A filter's name and its arguments."""


def render(spec: ClipSpec) -> bytes:
    """The whole MP4, its index in front. Raises: ValueError for a picture that cannot be decoded."""
    pictures = _backdrop(spec) if spec.image is None else _enlarged(spec, read_picture(spec.image))
    with tempfile.TemporaryDirectory(prefix="airvid-") as folder:
        path = Path(folder, "clip.mp4")  # a file: FFmpeg moves the index to the front in a second pass
        with av.open(str(path), "w", format="mp4", options=_MP4) as target:
            video = target.add_stream("libx264", FRAMES_PER_SECOND, options=_X264)
            video.width, video.height, video.pix_fmt = spec.width, spec.height, "yuv420p"
            audio = target.add_stream("aac", SAMPLES_PER_SECOND, options=_AAC) if spec.sound else None
            tone = _tone(spec)
            for _ in range(spec.seconds):
                for _ in range(FRAMES_PER_SECOND):
                    target.mux(video.encode(pictures.vpull()))
                if audio:
                    target.mux(audio.encode(cast(AudioFrame, tone.pull())))
            target.mux(video.encode(None))
            if audio:
                target.mux(audio.encode(None))
        return path.read_bytes()


def read_picture(image: bytes) -> VideoFrame:
    """A decoded PNG, JPEG or WebP. Raises: ValueError for anything else."""
    kinds = {b"\x89PNG\r\n": "png_pipe", b"\xff\xd8\xff": "jpeg_pipe", b"RIFF": "webp_pipe"}
    # Without a named format FFmpeg would also read playlists, and fetch their entries.
    kind = next((kind for start, kind in kinds.items() if image.startswith(start)), None)
    if kind is None:
        raise ValueError("The image is not a PNG, JPEG or WebP.")
    try:
        with av.open(BytesIO(image), "r", format=kind) as source:
            return next(source.decode(video=0)).reformat(format="rgb24")
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise ValueError("The image cannot be decoded.") from error


def _backdrop(spec: ClipSpec) -> Graph:
    """Slowly turning colours that follow from prompt and seed, with the word across them."""
    digest = _digest(spec)
    hue = digest[0] / 256
    arguments = {
        "size": f"{max(2, spec.width // _COARSE)}x{max(2, spec.height // _COARSE)}",
        "rate": str(FRAMES_PER_SECOND),
        "nb_colors": "3",
        **{f"c{place}": _colour(hue + place / 8, lightness) for place, lightness in enumerate((0.2, 0.5, 0.35))},
        "seed": str(int.from_bytes(digest[1:4])),
        "speed": "0.02",
    }
    cell = max(1, min(spec.width * 7 // (10 * _COLUMNS), spec.height // (2 * _ROWS)))
    left, top = (spec.width - cell * _COLUMNS) // 2, (spec.height - cell * _ROWS) // 2
    graph = Graph()
    return _chained(
        graph,
        graph.add("gradients", **arguments),
        ("format", "yuv420p"),
        ("scale", f"{spec.width}:{spec.height}:flags=bilinear+accurate_rnd+bitexact"),
        *_word(cell, left, top, depth=max(1, cell // 5)),
        ("buffersink", ""),
    )


def _enlarged(spec: ClipSpec, picture: VideoFrame) -> Graph:
    """The given picture, cropped to the frame and slowly enlarged, with a small word in its corner."""
    ratio, frames = f"{spec.width}/{spec.height}", spec.seconds * FRAMES_PER_SECOND
    # So small that a clip that goes on from another still begins with its last frame (PSNR of 35 dB and more).
    cell = max(1, min(spec.width, spec.height) // 500)
    left, top = spec.width - cell * (_COLUMNS + 4), spec.height - cell * (_ROWS + 4)
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=Fraction(1, FRAMES_PER_SECOND),
    )
    _chained(
        graph,
        source,
        ("crop", f"max(1,min(iw,ih*{ratio})):max(1,min(ih,iw/({ratio})))"),
        ("scale", f"{spec.width}:{spec.height}:flags=bicubic+accurate_rnd+bitexact"),
        ("format", "yuv420p"),
        (
            "zoompan",
            f"zoom=1+{_ZOOM}*on/{frames}:x=(iw-iw/zoom)/2:y=(ih-ih/zoom)/2"
            f":d={frames}:s={spec.width}x{spec.height}:fps={FRAMES_PER_SECOND}",
        ),
        *_word(cell, left, top, depth=1),
        ("buffersink", ""),
    )
    source.push(picture)
    source.push(None)
    return graph


def _tone(spec: ClipSpec) -> Graph:
    """A soft tone whose pitch follows from prompt and seed, in frames of one second."""
    pitch = 220 * 2 ** (_digest(spec)[8] % 12 / 12)
    graph = Graph()
    return _chained(
        graph,
        graph.add("sine", frequency=f"{pitch:.2f}", sample_rate=str(SAMPLES_PER_SECOND)),
        ("volume", "0.5"),
        ("aformat", "sample_fmts=fltp:channel_layouts=mono"),
        ("asetnsamples", str(SAMPLES_PER_SECOND)),
        ("abuffersink", ""),
    )


def _chained(graph: Graph, source: FilterContext, *steps: Step) -> Graph:
    graph.link_nodes(source, *(graph.add(name, arguments or None) for name, arguments in steps)).configure()
    return graph


def _word(cell: int, left: int, top: int, depth: int) -> Iterator[Step]:
    """The filters that draw the word over its shadow, without a font; a dot has `cell` pixels."""
    for away, colour in ((depth, "black@0.4"), (0, "white")):
        for row, dots in enumerate(_WORD):
            for run in re.finditer("#+", dots):
                x, y, width = left + away + cell * run.start(), top + away + cell * row, cell * len(run[0])
                yield "drawbox", f"{x}:{y}:{width}:{cell}:{colour}:fill"


def _digest(spec: ClipSpec) -> bytes:
    return hashlib.sha256(f"{spec.seed}\0{spec.prompt}".encode(errors="surrogatepass")).digest()


def _colour(hue: float, lightness: float) -> str:
    return "0x" + bytes(round(255 * part) for part in colorsys.hls_to_rgb(hue % 1, lightness, 0.6)).hex()
