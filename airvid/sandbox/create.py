"""The body of a create: how the emulator checks it, and the clip that it asks for."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from airvid.sandbox.catalogue import makes_video
from airvid.sandbox.messages import Json, Refused, refusal

LARGEST_BODY = 20 * 2**20
LONGEST_CLIP = 60
"""Seconds, where a model names no maximum."""


@dataclass(frozen=True)
class ClipSpec:
    """Everything that a clip depends on: equal specs give equal bytes. `image` is its first frame."""

    prompt: str
    seed: int | None
    seconds: int
    width: int
    height: int
    sound: bool
    image: bytes | None


def read_create(body: bytes, models: Sequence[Json]) -> tuple[Json, ClipSpec]:
    """The keys of a task that never change, and its clip. Raises: Refused, which names the wrong key."""
    asked = _read_json(body)
    prompt, model = _text(asked, "prompt"), _model(asked, models)
    caps: Json = model.get("video_caps") or {}
    asked.setdefault("mode", "text")  # also for a model whose only mode is another one
    mode = _allowed(asked, "mode", caps.get("modes") or ("text", "image", "reference"), default="text").lower()
    seconds = _seconds(asked, caps)
    aspect_ratio = _allowed(asked, "aspect_ratio", caps.get("aspect_ratios"), default="16:9")
    quality = _allowed(asked, "quality", caps.get("qualities"), default="720p")
    pictures = _pictures(asked, required=mode in ("image", "reference"))
    price = caps.get("price_per_second_cents")
    width, height = frame_size(aspect_ratio, quality)
    record = {
        "model": model["id"],
        "cost_cents": None if price is None else round(seconds * price, 6),
        "duration_seconds": seconds,
        "prompt": prompt,
        "mode": mode,
        "aspect_ratio": aspect_ratio,
        "quality": quality,
        "input_image_url": next((picture for picture in pictures if isinstance(picture, str)), None),
    }
    first = pictures[0] if mode == "image" else None
    seed = asked.get("seed")
    spec = ClipSpec(
        # Another reference image makes another style.
        prompt="\n".join([prompt, *(each if isinstance(each, str) else sha256(each).hexdigest() for each in pictures)]),
        seed=seed if type(seed) is int else None,
        seconds=seconds,
        width=width,
        height=height,
        sound=asked.get("sound") is True,
        image=first if isinstance(first, bytes) else None,
    )
    return record, spec


def _read_json(body: bytes) -> Json:
    if len(body) > LARGEST_BODY:
        raise Refused(refusal(413, f"The body is larger than {LARGEST_BODY} bytes.", "request_too_large"))
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(refusal(400, "The body is not valid JSON.", "invalid_json")) from None
    if not isinstance(asked, dict):
        raise Refused(refusal(400, "The body must be a JSON object.", "invalid_json"))
    for key, value in asked.items():
        if value is None:
            raise _wrong(key, "must not be null; leave it out instead")
    return asked


def _wrong(field: str, reason: str) -> Refused:
    return Refused(refusal(400, f"'{field}' {reason}.", "invalid_value", field))


def _text(asked: Json, field: str) -> str:
    value = asked.get(field)
    if not isinstance(value, str) or not value.strip():
        raise _wrong(field, "is required and must be a non-empty string")
    return value


def _model(asked: Json, models: Sequence[Json]) -> Json:
    name = _text(asked, "model")
    model = next((model for model in models if model["id"] == name), None)
    if model is None or not makes_video(model):
        reason = "does not make videos" if model else "does not exist"
        raise Refused(refusal(400, f"The model '{name}' {reason}.", "unknown_model", "model"))
    return model


def _allowed(asked: Json, field: str, allowed: Sequence[str] | None, *, default: str) -> str:
    """The value in the model's spelling; the default, or the model's first value, where none is asked for."""
    value = asked.get(field, default)
    if not isinstance(value, str):
        raise _wrong(field, "must be a string")
    spellings = {word.lower(): word for word in allowed or [value]}
    if field in asked and value.lower() not in spellings:
        raise _wrong(field, f"must be one of {', '.join(spellings.values())}")
    return spellings.get(value.lower()) or next(iter(spellings.values()))


def _seconds(asked: Json, caps: Json) -> int:
    least, most = caps.get("min_duration_s") or 1, caps.get("max_duration_s") or LONGEST_CLIP
    value = asked.get("duration_seconds", caps.get("min_duration_s") or 5)
    if type(value) is not int:  # nor a bool
        raise _wrong("duration_seconds", "must be an integer")
    if not least <= value <= most:
        raise _wrong("duration_seconds", f"must be from {least} to {most}")
    return value


def _pictures(asked: Json, *, required: bool) -> list[bytes | str]:
    """Images as bytes, or as addresses."""
    entries = asked.get("input_images", [])
    if not isinstance(entries, list):
        raise _wrong("input_images", "must be a list")
    if required and not entries:
        raise _wrong("input_images", "is required in this mode")
    return [_picture(entry, f"input_images[{place}]") for place, entry in enumerate(entries)]


def _picture(entry: Any, field: str) -> bytes | str:
    if not isinstance(entry, dict) or len({"url", "b64_json"} & entry.keys()) != 1:
        raise _wrong(field, "must be an object with either 'url' or 'b64_json'")
    value = entry.get("url") or entry.get("b64_json")
    if not isinstance(value, str):
        raise _wrong(field, "must hold a non-empty string")
    if value[:5].lower() == "data:":
        raise _wrong(field, "must not begin with 'data:'; send plain base64")
    if "url" in entry:
        if not value.startswith(("http://", "https://")):
            raise _wrong(field, "must be an http or https address")
        return value
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise _wrong(field, "is not valid base64") from None


LONGEST_SIDE = 4096
STEEPEST_RATIO = 4.0
_NAMED_RATIOS = {"landscape": 16 / 9, "portrait": 9 / 16, "square": 1.0}
_NAMED_QUALITIES = {"sd": 480, "hd": 720, "fhd": 1080, "2k": 1440, "4k": 2160}


def frame_size(aspect_ratio: str, quality: str) -> tuple[int, int]:
    """Width and height in pixels, both even. The number of the quality is the short side.

    Unknown words mean 16:9 and 720p.
    """
    shape, lines = aspect_ratio.strip().lower(), quality.strip().lower()
    sides = re.fullmatch(r"([1-9]\d{0,4})[:x/]([1-9]\d{0,4})", shape)
    ratio = int(sides[1]) / int(sides[2]) if sides else _NAMED_RATIOS.get(shape, 16 / 9)
    ratio = min(max(ratio, 1 / STEEPEST_RATIO), STEEPEST_RATIO)
    number = re.match(r"\d{2,5}", lines)
    short = min(max(int(number[0]) if number else _NAMED_QUALITIES.get(lines, 720), 16), 2160)
    long = min(short * max(ratio, 1 / ratio), LONGEST_SIDE)
    width, height = (2 * round(side / 2) for side in ((long, short) if ratio >= 1 else (short, long)))
    return width, height
