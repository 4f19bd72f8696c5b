"""From options to the body of a POST: the request, what is wrong with it, and which model fits.

A complaint is an error that is collected and not raised, so that the user sees all of them at once.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airvid.api.models import MODES, Caps, Model
from airvid.config import SETTINGS
from airvid.errors import AirvidError, FileError, UsageError

# Keys of the body that have an option of their own: set there, they are checked and priced.
_OWN_OPTIONS = {
    "model": "--model",
    "prompt": "PROMPT",
    "mode": "--mode",
    "duration_seconds": "--duration",
    "aspect_ratio": "--aspect-ratio",
    "quality": "--quality",
    "input_images": "--image or --reference",
}
# Characters of a value of --set, and lists and objects inside one another in it.
LONGEST_EXTRA, DEEPEST_EXTRA = 100_000, 20
# What the formats that a browser shows begin with.
_IMAGE = rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM|II\*\0|MM\0\*|RIFF.{4}WEBP|.{4}ftyp(avi[fs]|hei[cx]|m[is]f1)"


@contextmanager
def collected(complaints: list[AirvidError]) -> Iterator[None]:
    """Add an error that is raised within to the complaints."""
    try:
        yield
    except AirvidError as error:
        complaints.append(error)


@dataclass
class Request:
    """What the user asks for; None where no option and no setting says."""

    prompt: str | None = None
    model: str | None = None
    mode: str | None = None
    duration: int | None = None
    aspect_ratio: str | None = None
    quality: str | None = None
    image: str | None = None
    reference: Sequence[str] = ()
    # The last frame of another clip, with which this one begins: its file, its size in pixels, and whose it is.
    first_frame: bytes | None = None
    shape: tuple[int, int] | None = None
    extends: str | None = None
    # Keys of the body with their values: those whose option is sent as it is given, and those of --set.
    plain: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def effective_mode(self) -> str:
        """The mode that the options mean where --mode is not given."""
        has_first = self.image is not None or self.first_frame is not None
        return self.mode or ("image" if has_first else "reference" if self.reference else "text")

    @property
    def images(self) -> Sequence[str]:
        return (self.image,) if self.image is not None else self.reference

    @property
    def effective_seed(self) -> object:
        return self.plain.get("seed", self.extra.get("seed"))

    def values(self, caps: Caps) -> list[tuple[str, str | None, tuple[str, ...]]]:
        """For each key of the body whose values the caps name: the key, the value, and the allowed values."""
        return [
            ("mode", self.effective_mode, caps.modes),
            ("aspect_ratio", self.aspect_ratio, caps.aspect_ratios),
            ("quality", self.quality, caps.qualities),
        ]


def plain_keys(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are sent as they are given, by their keys in the body."""
    sent = {SETTINGS[name].sent_as: value for name, value in settings.items() if value is not None}
    return {key: value for key, value in sent.items() if key}


def parse_extra(pairs: Iterable[str], plain: Iterable[str] = ()) -> tuple[dict[str, Any], list[AirvidError]]:
    """`--set KEY=VALUE` pairs as body keys, and the complaints about them. `plain`: keys that an option has set."""
    extra: dict[str, Any] = {}
    complaints: list[AirvidError] = []
    options = {definition.sent_as: f"--{name}" for name, definition in SETTINGS.items()}
    own = _OWN_OPTIONS | {key: options[key] for key in plain}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            complaints.append(UsageError(f"--set takes KEY=VALUE, not {pair[:100]!r}"))
        elif key in own:
            complaints.append(UsageError(f"--set {key} is what {own[key]} is for"))
        elif key in extra:
            complaints.append(UsageError(f"--set {key} is given twice"))
        else:
            with collected(complaints):
                extra[key] = _value(key, value)
    return extra, complaints


def _value(key: str, given: str) -> Any:
    """JSON where it parses, else the text itself; NaN and infinities, which are no JSON, stay text.

    Raises: UsageError for null, and for a value so long or deep that the journal could not keep it.
    """
    if len(given) > LONGEST_EXTRA:
        raise UsageError(f"--set {key} takes at most {LONGEST_EXTRA:,} characters")
    try:
        found = json.loads(given)
        if _is_deeper(found, DEEPEST_EXTRA):
            raise RecursionError
        json.dumps(found, allow_nan=False)
    except ValueError:
        return given
    except RecursionError:
        raise UsageError(f"--set {key} takes at most {DEEPEST_EXTRA} lists or objects inside one another") from None
    if found is None:
        raise UsageError(f"--set {key}=null: null is never sent; leave the key out")
    return found


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether more than `depth` lists and objects are inside one another."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not depth or any(_is_deeper(each, depth - 1) for each in inner)


def complaints_of(request: Request) -> list[AirvidError]:
    """What is wrong with a request for any model."""
    complaints: list[AirvidError] = []
    said = {
        "the prompt": request.prompt,
        "--model": request.model,
        "--aspect-ratio": request.aspect_ratio,
        "--quality": request.quality,
        "--set": json.dumps(request.extra, ensure_ascii=False),
        "--image or --reference": "".join(image for image in request.images if is_url(image)),
    }
    for what, value in said.items():
        if any("\ud800" <= each <= "\udfff" for each in value or ""):
            complaints.append(UsageError(f"{what} is not valid UTF-8 text"))
    if request.duration is not None and request.duration < 1:
        complaints.append(UsageError(f"--duration {request.duration}: at least 1 second"))
    with collected(complaints):
        _check_mode(request)
    for image in request.images:
        with collected(complaints):
            check_image(image)
    return complaints


def _check_mode(request: Request) -> None:
    mode = request.mode
    if request.image is not None and request.reference:
        raise UsageError(
            "--image and --reference contradict each other: a clip begins with a picture, or takes its style from some"
        )
    if mode not in (None, *MODES):
        raise UsageError(f"--mode {mode!r} is not one of {', '.join(MODES)}")
    if mode == "image" and request.image is None and request.first_frame is None:
        raise UsageError("--mode image needs --image")
    if mode == "reference" and not request.reference:
        raise UsageError("--mode reference needs --reference")
    if mode == "text" and request.images:
        raise UsageError("--mode text contradicts --image and --reference")


def is_url(image: str) -> bool:
    return image.lower().startswith(("http://", "https://"))


def check_image(image: str) -> None:
    """See that a picture is a URL or an image file. Raises: FileError."""
    if is_url(image):
        return
    try:
        path = Path(image).expanduser()
        if path.exists() and not path.is_file():
            raise FileError(f"{image!r} is no regular file, and so no image")
        with path.open("rb") as file:
            head = file.read(32)
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"the image {image} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not re.match(_IMAGE, head, re.DOTALL):
        raise FileError(f"{image} is not an image (PNG, JPEG, WebP, GIF, BMP, TIFF, HEIC or AVIF)")


def model_complaints(request: Request, model: Model) -> list[AirvidError]:
    """What the model's caps do not allow. A cap that is missing allows everything."""
    found: list[AirvidError] = []
    for key, value, allowed in request.values(model.caps):
        if value is not None and allowed and spelling(value, allowed) is None:
            option = key.replace("_", "-")
            found.append(UsageError(f"--{option} {value} is not for {model.id}: it takes {', '.join(allowed)}"))
    if request.duration is not None:
        low, high = model.caps.min_seconds, model.caps.max_seconds
        if (low is not None and request.duration < low) or (high is not None and request.duration > high):
            span = " to ".join(f"{each:g}" for each in (low, high) if each is not None)
            bound = "" if low is not None and high is not None else "at least " if high is None else "at most "
            found.append(
                UsageError(f"--duration {request.duration} is not for {model.id}: it takes {bound}{span} seconds")
            )
    return found


def spelling(value: str, allowed: Sequence[str]) -> str | None:
    """The server's own spelling of a value, upper and lower case ignored; None where it is not allowed."""
    return next((each for each in allowed if each.lower() == value.lower()), None)


def find_model(models: Sequence[Model], name: str) -> Model:
    """The model of exactly this name. Raises: UsageError with the nearest names."""
    for model in models:
        if model.id == name:
            return model
    import difflib

    by_lower = {model.id.lower(): model.id for model in models}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    near += [lower for lower in by_lower if name.lower() in lower and lower not in near]
    question = f"; did you mean {', '.join(by_lower[lower] for lower in near[:3])}?" if near else ""
    raise UsageError(f"there is no video model {name!r}{question}", hint="airvid models")


def choose_model(models: Sequence[Model], request: Request) -> Model:
    """The cheapest healthy model whose caps allow the request; unknown prices last, ties by id.

    Raises: UsageError that says what the healthy models allow.
    """
    healthy = [model for model in models if model.is_healthy]
    if not healthy:
        raise UsageError("no video model is up at the moment", hint="airvid models")
    prices = [(model.cents(request.duration), model) for model in healthy if _surely_allows(model, request)]
    if not prices:
        raise UsageError(f"no healthy model allows all of this{_offers(healthy, request)}", hint="airvid models")
    return min(prices, key=lambda each: (each[0] is None, each[0] or 0.0, each[1].id))[1]


def _surely_allows(model: Model, request: Request) -> bool:
    """Whether the caps name what is asked. A model whose caps do not say is never chosen without --model."""
    silent = any(
        value is not None and not allowed and (key, value) != ("mode", "text")
        for key, value, allowed in request.values(model.caps)
    ) or (request.duration is not None and model.caps.max_seconds is None)
    return not silent and not model_complaints(request, model)


def _offers(models: Sequence[Model], request: Request) -> str:
    offers = []
    for same in zip(*(request.values(model.caps) for model in models), strict=True):
        key, asked, _ = same[0]
        values = sorted({each for _, _, allowed in same for each in allowed})
        if asked is not None and values:
            offers.append(f"{key.replace('_', ' ')} {asked} (there is {', '.join(values)})")
    lows = [model.caps.min_seconds for model in models if model.caps.min_seconds is not None]
    highs = [model.caps.max_seconds for model in models if model.caps.max_seconds is not None]
    if request.duration is not None and lows and highs:
        offers.append(f"duration {request.duration} (there is {min(lows):g} to {max(highs):g})")
    return ": " + "; ".join(offers) if offers else ""


def body(request: Request, model: Model | None) -> dict[str, Any]:
    """The body of the POST: what is asked, in the server's spelling; no other key, and never null.

    `model` None: the caps are not looked at (`--no-validate`). Raises: FileError for a picture that cannot be read.
    """
    asked: dict[str, Any] = {
        "model": model.id if model else request.model,
        "prompt": request.prompt,
        "mode": request.effective_mode,
        "duration_seconds": request.duration,
        "aspect_ratio": request.aspect_ratio,
        "quality": request.quality,
        "input_images": [_picture(image) for image in (request.first_frame, *request.images) if image] or None,
        **request.plain,
        **request.extra,
    }
    if model:
        for key, value, allowed in request.values(model.caps):
            asked[key] = value and (spelling(value, allowed) or value)
    return {key: value for key, value in asked.items() if value is not None}


def nearest_ratio(ratios: Sequence[str], shape: tuple[int, int]) -> str | None:
    """The aspect ratio, `16:9`, that is nearest to a width and height; None where there is none."""
    known = {
        each: (int(found[1]), int(found[2]))
        for each in ratios
        if (found := re.fullmatch(r"0*([1-9]\d{0,4}):0*([1-9]\d{0,4})", each))
    }
    return min(
        known, key=lambda each: abs(math.log(known[each][0] * shape[1] / known[each][1] / shape[0])), default=None
    )


def _picture(image: str | bytes) -> dict[str, str]:
    if isinstance(image, bytes):
        return {"b64_json": base64.b64encode(image).decode("ascii")}
    if is_url(image):
        return {"url": image}
    try:
        content = Path(image).expanduser().read_bytes()
    except OSError as error:
        raise FileError(f"the image {image} cannot be read: {error.strerror}") from None
    return {"b64_json": base64.b64encode(content).decode("ascii")}
