"""Joining clips that are alike, against FFmpeg's own way of copying them one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import process
from .rows import Line, Sides, Theme, times

OURS, THEIRS, SHORT = "airvid join", "ffmpeg -f concat -c copy -movflags +faststart", "airvid join, of clips of 2 s"
CLIPS = 10
LINES = (
    Line("join", OURS, THEIRS, times(1.5), "the start of Python; each clip is decoded a little, the film is synced"),
)
MEMORY_LINES = (Line("join, memory", OURS, SHORT, times(1.2), "what FFmpeg buffers to interleave", "MB"),)


@contextmanager
def clips() -> Iterator[Sides]:
    with _made(8) as (folder, env):
        (folder / "list.txt").write_text(f"file '{folder}/clip.mp4'\n" * CLIPS)
        theirs = ["-f", "concat", "-safe", "0", "-i", f"{folder}/list.txt", "-c", "copy", "-movflags", "+faststart"]
        yield {
            OURS: process.timed(*_joining(folder), env=env),
            THEIRS: process.timed("ffmpeg", "-v", "error", "-y", *theirs, f"{folder}/theirs.mp4", env=env),
        }


@contextmanager
def memory() -> Iterator[Sides]:
    with _made(8) as (folder, env), _made(2) as (short, _):
        yield {name: process.peak(*_joining(each), env=env) for name, each in ((OURS, folder), (SHORT, short))}


@contextmanager
def _made(seconds: int) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with a clip in 1080p, at the bit rate of a good one, with sound."""
    with process.home() as (folder, env):
        picture = f"testsrc2=size=1920x1080:rate=24:duration={seconds},noise=alls=20:allf=t"
        sources = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=duration={seconds}:sample_rate=48000"]
        codecs = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "16M", "-c:a", "aac"]
        process.run("ffmpeg", "-v", "error", *sources, *codecs, f"{folder}/clip.mp4", env=env)
        yield folder, env


def _joining(folder: Path) -> list[str]:
    film = f"{folder}/ours.mp4"
    return [process.AIRVID, "join", *[f"{folder}/clip.mp4"] * CLIPS, "-o", film, "--force", "--quiet"]


TIME = Theme("join", 5, LINES, clips)
MEMORY = Theme("join, memory", 3, MEMORY_LINES, memory)
