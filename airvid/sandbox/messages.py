"""What goes in and out of the emulator: requests, responses, faults, the catalogue, and orders from it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import urlsplit

Json = dict[str, Any]
Chunk = tuple[float, bytes]
"""When it is due (Unix seconds), and what is sent."""

Ending = Literal["whole", "reset", "silence", "truncate", "cut"]
"""How a connection goes.

whole     as it should
reset     TCP reset before any byte
silence   the request is read, and nothing is ever answered
truncate  half of what was announced, then closed
cut       half of it, then a TCP reset
"""

_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error", 503: "server_error"}


@dataclass(frozen=True)
class Request:
    """One request: the path with its query, header names in lower case; `storage` for the second host."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    storage: bool = False

    @property
    def route(self) -> str:
        """The path without its query."""
        return urlsplit(self.path).path

    @property
    def call(self) -> str:
        """What a fault is matched against: `POST /video/generations`, `stream …`, `storage …`."""
        call = f"{self.method} {self.route.removeprefix('/v1')}"
        if self.storage:
            return f"storage {call}"
        return f"stream {call}" if call.endswith("/stream") else call


@dataclass(frozen=True)
class Response:
    """One answer; with `chunks` a stream. `delay` seconds pass before its first byte."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: Sequence[Chunk] | None = None
    ending: Ending = "whole"
    delay: float = 0.0


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with the calls that `on`, a regular expression, matches from their start.

    `before` the request is handled it changes nothing (a 503 at the door); otherwise the request is handled,
    and its answer replaced or lost. The first `skip` calls pass, the next `times` are hit.
    """

    on: str
    answer: Response | None = None
    ending: Ending | None = None
    before: bool = False
    times: int = 1
    skip: int = 0
    delay: float = 0.0

    def spoil(self, response: Response | None) -> Response:
        """The answer as the client gets it; None where the request was not handled."""
        response = self.answer or response or refusal(503, "The service is unavailable.", "unavailable")
        chunks, ending = response.chunks, self.ending or response.ending
        if chunks is not None and ending in ("truncate", "cut"):
            chunks = chunks[: (len(chunks) + 1) // 2]
        return replace(response, chunks=chunks, ending=ending, delay=self.delay or response.delay)


def json_response(status: int, payload: object, **headers: str) -> Response:
    """An answer of JSON; underscores in header names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"Content-Type": "application/json", **named}, json.dumps(payload).encode())


def refusal(status: int, message: str, code: str, param: str | None = None, **headers: str) -> Response:
    """An error in the long envelope; the API uses a short one, too: `{"error": "text"}`."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error")
    return json_response(status, {"error": {"message": message, "type": kind, "param": param, "code": code}}, **headers)


@dataclass(eq=False)
class Refused(Exception):
    """A request that is answered with an error."""

    response: Response


# ---------------------------------------------------------------------- the catalogue, in places as odd as the real one


def _listed(name: str, owner: str, media: str, **more: Any) -> Json:
    return {
        "id": name,
        "object": "model",
        "owned_by": owner,
        "status": "operational",
        "tier": "free",
        "input_modalities": ["text"],
        "output_modalities": [media],
        "media_type": media,
        "video_caps": None,
        **more,
    }


def _video(
    name: str,
    owner: str,
    status: str | None,
    cents: float | None,
    seconds: tuple[int | None, int | None],
    ratios: str | None,
    qualities: str | None,
    modes: str | None,
    **more: Any,
) -> Json:
    caps = {
        "aspect_ratios": ratios and ratios.split(),
        "qualities": qualities and qualities.split(),
        "min_duration_s": seconds[0],
        "max_duration_s": seconds[1],
        "modes": modes and modes.split(),
        "price_per_second_cents": cents,
    }
    inputs = ["text"] if modes == "text" else ["text", "image"]
    return _listed(name, owner, "video", status=status, input_modalities=inputs, video_caps=caps, **more)


_UNMARKED = {"output_modalities": None, "media_type": None}
_ANY = "16:9 9:16 1:1"
_ALL = "text image reference"
_HD = "720p 1080p"

_VIDEO = [
    _video("wan-2.6", "alibaba", "operational", 2.25, (2, 15), _ANY, "480p 720p 1080p", "text image"),
    _video("dune-lite", "sandbox", "healthy", 0.1, (2, 10), f"{_ANY} 4:3", "480p 720p", _ALL),
    _video("veo-3.1-fast", "google", "operational", 12, (4, 8), "16:9 9:16", _HD, "text image", tier="paid"),
    _video("kling-3.0", "kuaishou", "operational", 8.4, (5, 10), _ANY, _HD, "text image", tier="paid"),
    _video("seedance-2.0", "bytedance", "operational", 4.25, (4, 12), f"2:3 3:2 {_ANY}", "480p 720P", _ALL),
    _video("hailuo-2.3", "minimax", None, 4.5, (6, 10), "portrait landscape square", "768P", "text image"),
    _video("ltx-2", "lightricks", "healthy", 1.2, (None, None), None, None, None),
    _video("mochi-1", "genmo", "operational", None, (2, 5), "16:9", "480p", "text"),
    _video("hunyuan-video", "tencent", "healthy", 0, (3, 5), _ANY, "720p", "text image"),
    _video("pika-2.2", "pika", "down", 0.05, (3, 10), _ANY, "480p 720p", "text image"),
    _video("pixverse-5", "pixverse", "degraded", 0.08, (5, 8), _ANY, "540p 720p", "text"),
    _listed("cogvideox-5b", "zhipu", "video", output_modalities=None, status=None),
    _video("animate-diff", "sandbox", "operational", 0.6, (2, 4), "1:1", "480p", "image", **_UNMARKED),
]

_OTHERS = {
    "text": {
        "openai": "gpt-5 gpt-5-mini o4-mini",
        "anthropic": "claude-opus-4.5 claude-sonnet-4.5 claude-haiku-4.5",
        "google": "gemini-3-pro gemini-3-flash",
        "deepseek": "deepseek-v3.2 deepseek-r1",
        "alibaba": "qwen3-max qwen3-coder",
        "meta": "llama-4-maverick llama-4-scout",
        "mistral": "mistral-large-3 codestral-2",
    },
    "image": {
        "black-forest-labs": "flux-2-pro flux-2-dev flux-schnell",
        "google": "imagen-4 nano-banana",
        "stability": "sdxl sd-3.5-large",
        "alibaba": "qwen-image",
    },
    "audio": {"openai": "whisper-1 tts-1", "suno": "suno-v5", "elevenlabs": "eleven-v3"},
}

MODELS = [
    *_VIDEO,
    *(
        _listed(name, owner, media)
        for media, owners in _OTHERS.items()
        for owner, names in owners.items()
        for name in names.split()
    ),
]


# ---------------------------------------------------------------------- the body of a create

LARGEST_BODY = 20 * 2**20
LONGEST_CLIP = 60
"""Seconds, where a model names no maximum."""


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


def read_order(body: bytes, models: Sequence[Json]) -> tuple[Json, ClipSpec]:
    """A task's record, as far as it never changes, and its clip. Raises Refused, naming the field."""
    asked = _read_json(body)
    prompt, model = _text(asked, "prompt"), _model(asked, models)
    caps: Json = model.get("video_caps") or {}
    asked.setdefault("mode", "text")  # a model's only mode is not taken for granted, unlike its first shape
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
        # A style from a reference differs with it.
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


def _wrong(field: str, complaint: str) -> Refused:
    return Refused(refusal(400, f"'{field}' {complaint}.", "invalid_value", field))


def _text(asked: Json, field: str) -> str:
    value = asked.get(field)
    if not isinstance(value, str) or not value.strip():
        raise _wrong(field, "is required and must be a non-empty string")
    return value


def _model(asked: Json, models: Sequence[Json]) -> Json:
    name = _text(asked, "model")
    model = next((model for model in models if model["id"] == name), None)
    if model is None or not makes_video(model):
        complaint = "does not make videos" if model else "does not exist"
        raise Refused(refusal(400, f"The model '{name}' {complaint}.", "unknown_model", "model"))
    return model


def makes_video(model: Json) -> bool:
    """By whichever of the three marks it carries."""
    outputs = model.get("output_modalities")
    if outputs is not None:
        return "video" in outputs
    return model.get("media_type") == "video" or bool(model.get("video_caps"))


def _allowed(asked: Json, field: str, allowed: Sequence[str] | None, *, default: str) -> str:
    """The model's spelling of what is asked; its default, or first, where nothing is."""
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
    """Bytes where they were sent, an address where that was given."""
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
    """Width and height in pixels, both even; the quality's number is the short side.

    Words that say nothing of either are 16:9 and 720p.
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
