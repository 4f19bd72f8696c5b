"""What a clip is to be: the renderer's order, and a frame size from an aspect ratio and a quality."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_SIDE = 4096
STEEPEST_RATIO = 4.0

_NAMED_RATIOS = {"landscape": 16 / 9, "portrait": 9 / 16, "square": 1.0}
_NAMED_QUALITIES = {"sd": 480, "hd": 720, "fhd": 1080, "2k": 1440, "4k": 2160}


@dataclass(frozen=True)
class ClipSpec:
    """All that a clip depends on: equal specs give equal bytes. `image` is what its first frame shows."""

    prompt: str
    seed: int | None
    seconds: int
    width: int
    height: int
    sound: bool
    image: bytes | None


def frame_size(aspect_ratio: str, quality: str) -> tuple[int, int]:
    """Width and height in pixels, both even; the quality's number is the short side.

    Words that say nothing of either are 16:9 and 720p.
    """
    ratio, short = _ratio(aspect_ratio), _short_side(quality)
    longest = min(short * max(ratio, 1 / ratio), LONGEST_SIDE)
    width, height = (longest, short) if ratio >= 1 else (short, longest)
    return _even(width), _even(height)


def _ratio(text: str) -> float:
    word = text.strip().lower()
    numbers = re.fullmatch(r"([1-9]\d{0,4})[:x/]([1-9]\d{0,4})", word)
    if numbers is None:
        return _NAMED_RATIOS.get(word, 16 / 9)
    return min(max(int(numbers[1]) / int(numbers[2]), 1 / STEEPEST_RATIO), STEEPEST_RATIO)


def _short_side(text: str) -> int:
    word = text.strip().lower()
    number = re.match(r"\d{2,5}", word)
    side = int(number[0]) if number else _NAMED_QUALITIES.get(word, 720)
    return min(max(side, 16), 2160)


def _even(length: float) -> int:
    return 2 * round(length / 2)
