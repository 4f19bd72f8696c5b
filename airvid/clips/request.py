"""From options to the body of a POST: the request, what is wrong with it, and which model fits.

A complaint is an error that is collected and not raised, so that the user sees all of them at once.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from airvid.api.models import MODES, Caps, Model
from airvid.clips import pictures
from airvid.config import SETTINGS
from airvid.errors import AirvidError, UsageError

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
    # The clip that it goes on from, a task or a file: its last frame is `image`, and `shape` that frame's pixels.
    extends: str | None = None
    shape: tuple[int, int] | None = None
    # Keys of the body with their values: those whose option is sent as it is given, and those of --set.
    plain: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    # The content of pictures that can be read only once, by name; and, once there is a body, warnings about pictures.
    contents: dict[str, bytes] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def effective_mode(self) -> str:
        """The mode that the options mean where --mode is not given."""
        return self.mode or ("image" if self.image is not None else "reference" if self.reference else "text")

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

    def what(self, key: str) -> str:
        """A value of `values` in a message, as the user gave it."""
        if key == "mode":
            option = "--image" if self.image is not None else "--reference" if self.reference else "mode text"
            option = "--extend" if self.extends else option
            return f"--mode {self.mode}" if self.mode else option
        return f"--{key.replace('_', '-')} {getattr(self, key)}"


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
        "--image or --reference": "".join(image for image in request.images if pictures.is_url(image)),
    }
    for what, value in said.items():
        if any("\ud800" <= each <= "\udfff" for each in value or ""):
            complaints.append(UsageError(f"{what} is not valid UTF-8 text"))
    if "\0" in (request.prompt or ""):
        complaints.append(UsageError("the prompt holds NUL characters: it is no text, or UTF-16; save it as UTF-8"))
    if request.duration is not None and request.duration < 1:
        complaints.append(UsageError(f"--duration {request.duration}: at least 1 second"))
    with collected(complaints):
        _check_mode(request)
    for image in request.images if not request.extends else ():
        with collected(complaints):
            pictures.check(image, request.contents)
    return complaints


def _check_mode(request: Request) -> None:
    mode = request.mode
    if request.image is not None and request.reference:
        raise UsageError(
            "--image and --reference contradict each other: a clip begins with a picture, or takes its style from some"
        )
    if mode not in (None, *MODES):
        raise UsageError(f"--mode: {mode!r} is not one of {', '.join(MODES)}")
    if mode == "image" and request.image is None:
        raise UsageError("--mode image needs --image")
    if mode == "reference" and not request.reference:
        raise UsageError("--mode reference needs --reference")
    if mode == "text" and request.images:
        raise UsageError("--mode text contradicts --image and --reference")


def model_complaints(request: Request, model: Model) -> list[AirvidError]:
    """What the model's caps do not allow. A cap that is missing allows everything."""
    found: list[AirvidError] = []
    for key, value, allowed in request.values(model.caps):
        if value is not None and allowed and spelling(value, allowed) is None:
            kind = "mode " if key == "mode" else ""
            takes = f"it takes {kind}{', '.join(allowed)}{_question(value, allowed)}"
            found.append(UsageError(f"{request.what(key)} is not for {model.id}: {takes}"))
    if not _has_seconds(request, model):
        low, high = model.caps.min_seconds, model.caps.max_seconds
        span = " to ".join(f"{each:g}" for each in (low, high) if each is not None)
        bound = "" if low is not None and high is not None else "at least " if high is None else "at most "
        found.append(UsageError(f"--duration {request.duration} is not for {model.id}: it takes {bound}{span} seconds"))
    return found


def _has_seconds(request: Request, model: Model) -> bool:
    low, high = model.caps.min_seconds, model.caps.max_seconds
    asked = request.duration
    return asked is None or ((low is None or low <= asked) and (high is None or asked <= high))


def _question(name: str, known: Iterable[str], most: int = 1) -> str:
    """`; did you mean …?` with at most so many of the nearest names; empty where none is near."""
    import difflib

    by_lower = {each.lower(): each for each in known}
    if exact := by_lower.get(name.lower()):
        return f"; did you mean {exact}?"
    near = difflib.get_close_matches(name.lower(), by_lower, n=most)
    near += [lower for lower in by_lower if name.lower() in lower and lower not in near]
    return f"; did you mean {', '.join(by_lower[lower] for lower in near[:most])}?" if near else ""


def spelling(value: str, allowed: Sequence[str]) -> str | None:
    """The server's own spelling of a value, upper and lower case ignored; None where it is not allowed."""
    return next((each for each in allowed if each.lower() == value.lower()), None)


def find_model(models: Sequence[Model], name: str) -> Model:
    """The model of exactly this name. Raises: UsageError with the nearest names."""
    for model in models:
        if model.id == name:
            return model
    question = _question(name, [model.id for model in models], most=3)
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
        raise UsageError(_missing(healthy, request), hint="airvid models")
    return min(prices, key=lambda each: (each[0] is None, each[0] or 0.0, each[1].id))[1]


def _surely_allows(model: Model, request: Request) -> bool:
    """Whether the caps name what is asked. A model whose caps do not say is never chosen without --model."""
    return all(_named(model, request).values())


def _named(model: Model, request: Request) -> dict[str, bool]:
    """Whether the model's caps name each thing that is asked for, by the user's own words."""
    named = {
        request.what(key): spelling(value, allowed or ("text",) * (key == "mode")) is not None
        for key, value, allowed in request.values(model.caps)
        if value is not None
    }
    if request.duration is not None:
        named[f"--duration {request.duration}"] = model.caps.max_seconds is not None and _has_seconds(request, model)
    return named


def _missing(models: Sequence[Model], request: Request) -> str:
    """Why none of the models can be chosen: what none can do, else the fewest things that none can do together."""
    named = [_named(model, request) for model in models]
    if impossible := [what for what in named[0] if not any(each[what] for each in named)]:
        whats = "; nor ".join(what + _offer(models, request, what) for what in impossible)
        return "no healthy model makes " + whats.replace("?; nor ", "? Nor ")
    together = next(
        whats
        for size in range(2, len(named[0]) + 1)
        for whats in itertools.combinations(named[0], size)
        if not any(all(each[what] for what in whats) for each in named)
    )
    return f"no healthy model makes {' with '.join(together)}, though each alone"


def _offer(models: Sequence[Model], request: Request, what: str) -> str:
    """The nearest to what none of the models can do, else all that they can."""
    for at, (key, value, _) in enumerate(request.values(Caps())):
        if request.what(key) == what:
            known = {each.lower() for model in models for each in request.values(model.caps)[at][2]}
            values = sorted(known, key=lambda each: (len(each), each))
            return _question(str(value), values) or (f" (there is {', '.join(values)})" if values else "")
    ends = [end for model in models for end in (model.caps.min_seconds, model.caps.max_seconds) if end is not None]
    return f" (there is {min(ends):g} to {max(ends):g} seconds)" if ends else ""


def nearest_ratio(ratios: Sequence[str], shape: tuple[int, int]) -> str | None:
    """The aspect ratio, `16:9` or a word, that is nearest to a width and height; None where there is none."""
    words = {"landscape": "16:9", "square": "1:1", "portrait": "9:16"}
    known = {each: re.fullmatch(r"0*([1-9]\d{0,4}):0*([1-9]\d{0,4})", words.get(each.lower(), each)) for each in ratios}
    away = {
        each: abs(math.log(int(found[1]) * shape[1] / int(found[2]) / shape[0]))
        for each, found in known.items()
        if found
    }
    return min(away, key=lambda each: away[each], default=None)


def body(request: Request, model: Model | None) -> dict[str, Any]:
    """The body of the POST: what is asked, in the server's spelling; no other key, and never null.

    `model` None: the caps are not looked at (`--no-validate`). Raises: FileError for a picture that cannot be read.
    """
    sent = [pictures.as_sent(image, request.contents) for image in request.images]
    request.warnings = [warning for _, warning in sent if warning]
    asked: dict[str, Any] = {
        "model": model.id if model else request.model,
        "prompt": request.prompt,
        "mode": request.effective_mode,
        "duration_seconds": request.duration,
        "aspect_ratio": request.aspect_ratio,
        "quality": request.quality,
        "input_images": [image for image, _ in sent] or None,
        **request.plain,
        **request.extra,
    }
    if model:
        for key, value, allowed in request.values(model.caps):
            asked[key] = value and (spelling(value, allowed) or value)
    return {key: value for key, value in asked.items() if value is not None}
