"""Faults: what goes wrong with which calls or tasks, and how often; and the language in which a user asks for them.

A spec is `WHAT[=VALUE][@WHERE][*TIMES][ p=SHARE]`: `KINDS` has every WHAT, `PLACES` every WHERE.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from airvid.sandbox.messages import Ending, Json, Request, Response, json_response, refusal

ALWAYS = 10**9
_LONGEST = 86_400.0
_LONGEST_SPEC = 300


class FaultError(ValueError):
    """A text that is no spec. Its message says what is allowed."""


@dataclass(frozen=True)
class Fault:
    """A failure of calls, or with `task` of tasks. `on`: a regular expression for the start of `Request.call`.

    `answer` and `ending` replace those of the real answer, `delay` (seconds) postpones it; `share` of a body is sent
    before it is cut. With `before` the request is not handled at all: no task is made. `task` changes the task that a
    create makes: `fail` (its error), `expire`, `stall` (seconds), `slow` (a factor), `state` (its word).
    The first `skip` calls pass, the next `times` calls fail, each with a probability of `chance`.
    """

    on: str
    answer: Response | None = None
    ending: Ending | None = None
    before: bool = False
    times: int = 1
    skip: int = 0
    delay: float = 0.0
    share: float = 0.5
    task: Json = field(default_factory=dict)
    chance: float = 1.0
    spec: str = ""

    def apply(self, response: Response | None) -> Response:
        """The answer that the client gets instead of `response` (None: the request was not handled)."""
        response = self.answer or response or refusal(503, "The service is unavailable.", "unavailable")
        chunks, ending = response.chunks, self.ending or response.ending
        if chunks is not None and ending in ("truncate", "cut"):
            chunks = chunks[: max(1, round(len(chunks) * self.share))]
        delay = self.delay or response.delay
        return replace(
            response, chunks=chunks, ending=ending, delay=delay, share=self.share, fault=self.spec or self.on
        )

    @property
    def rest(self) -> list[Fault]:
        """What is left of it after it has happened once."""
        return [replace(self, times=self.times - 1)] if self.times > 1 else []


def next_fault(faults: list[Fault], request: Request, draw: Callable[[Fault], bool]) -> Fault | None:
    """The first fault of calls that matches a request, if its turn has come. `faults` counts down.

    `draw` decides on a fault that is random.
    """
    for place, fault in enumerate(faults):
        if fault.task or not re.match(fault.on, request.call):
            continue
        if fault.skip:
            faults[place] = replace(fault, skip=fault.skip - 1)
            return None
        if draw(fault):
            faults[place : place + 1] = fault.rest
            return fault
    return None


# ---------------------------------------------------------------------- the language

PLACES = {
    "create": "POST /video/generations$",
    "status": "GET /video/tasks/[^/]+$",
    "stream": "stream ",
    "list": "GET /video/tasks$",
    "models": "GET /models$",
    "download": "storage ",
}


class Kind(NamedTuple):
    """One WHAT: the fields that its value gives a Fault (raises ValueError), and where it may happen.

    The first of `places` is the default. A kind without places is about a task and lasts for ever; others happen once.
    """

    does: str
    example: str
    fields: Callable[[str], dict[str, Any]]
    places: Sequence[str] = ()


def _number(text: str, least: float, most: float, what: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
        raise ValueError(what)
    return float(text)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9.]+)([smh]?)", text)
    unit = {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 1
    what = "a time up to 24h, such as 20s or 2m"
    return _number(found[1] if found else "", 0, _LONGEST / unit, what) * unit


def _nothing(**fields: Any) -> Callable[[str], dict[str, Any]]:
    def build(text: str) -> dict[str, Any]:
        if text:
            raise ValueError("there: it takes none")
        return fields

    return build


def _word(text: str) -> str:
    if not re.fullmatch(r"\S{1,50}", text):
        raise ValueError("a word of up to 50 characters")
    return text


_REASONS = {
    400: ("The request is not valid.", "invalid_request"),
    401: ("Invalid API key.", "invalid_api_key"),
    402: ("Insufficient balance.", "insufficient_balance"),
    403: ("This key may not do that.", "permission_denied"),
    404: ("Not found.", "not_found"),
    429: ("Too many requests.", "rate_limit_exceeded"),
}
_CDN = b"<!doctype html><html><head><title>%d</title></head><body>The server does not answer.</body></html>"


def _status(text: str) -> dict[str, Any]:
    if not re.fullmatch("[2-5][0-9]{2}", text):
        raise ValueError("an HTTP status from 200 to 599")
    status = int(text)
    message, code = _REASONS.get(status, (f"The sandbox answers with HTTP {status}.", "sandbox_fault"))
    answer = refusal(status, message, code)
    if status in (204, 304):
        answer = Response(status)
    elif status in (502, 504) or status >= 520:
        answer = Response(status, {"Content-Type": "text/html"}, _CDN % status)
    return {"answer": answer, "before": True}


def _retry_after(text: str) -> dict[str, Any]:
    wait = str(round(_seconds(text)))
    return {"answer": refusal(429, *_REASONS[429], Retry_After=wait), "before": True}


def _cut(text: str) -> dict[str, Any]:
    share = _number((text or "50%").removesuffix("%"), 0, 99, "a share from 0% to 99%")
    return {"ending": "cut", "share": share / 100}


_DENIED = Response(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
_NO_STREAM = json_response(404, {"error": "There is no stream."})
KINDS = {
    "fail": Kind(
        "The task fails, with this text as its error.", "fail=moderation", lambda text: {"task": {"fail": text}}
    ),
    "expire": Kind("The task expires instead of being completed.", "expire", _nothing(task={"expire": True})),
    "stall": Kind("The task stands still for so long.", "stall=60s", lambda text: {"task": {"stall": _seconds(text)}}),
    "slow": Kind(
        "The task takes so many times as long.",
        "slow=4",
        lambda text: {"task": {"slow": _number(text, 0.01, 1000, "a factor from 0.01 to 1000")}},
    ),
    "state": Kind(
        "The API has another word for processing.",
        "state=upscaling",
        lambda text: {"task": {"state": _word(text)}},
    ),
    "status": Kind("The call is answered with this HTTP status.", "status=503@list", _status, tuple(PLACES)),
    "retry-after": Kind(
        "The call is refused with HTTP 429, and a hint when to come back.",
        "retry-after=20s",
        _retry_after,
        tuple(PLACES),
    ),
    "reset": Kind(
        "The connection is reset before the call is read.",
        "reset@status*3",
        _nothing(ending="reset", before=True),
        tuple(PLACES),
    ),
    "lost-reply": Kind("The task is made, and the reply is lost.", "lost-reply", _nothing(ending="reset"), ["create"]),
    "no-stream": Kind("There is no event stream.", "no-stream", _nothing(answer=_NO_STREAM, before=True), ["stream"]),
    "drop-stream": Kind("The stream breaks off.", "drop-stream*2", _nothing(ending="cut"), ["stream"]),
    "silent-stream": Kind("The stream never says a word.", "silent-stream", _nothing(ending="silence"), ["stream"]),
    "dead-link": Kind(
        "The link to the clip is refused.", "dead-link*9", _nothing(answer=_DENIED, before=True), ["download"]
    ),
    "cut": Kind("The answer is cut after this share of it.", "cut=50%", _cut, ["download", *PLACES][:-1]),
}
_SUFFIX = re.compile(r"(.*?)\s*(@[a-z-]*|\*\S*|[\s,]p=\S*)", re.DOTALL)


def parse_fault(spec: str) -> Fault:
    """The fault that a spec asks for. Raises: FaultError, which says what is allowed."""
    rest, given = spec.strip()[: _LONGEST_SPEC + 1], dict[str, str]()
    while found := _SUFFIX.fullmatch(rest):
        rest, suffix = found[1], found[2].strip(" ,\t\n")
        if suffix[0] in given:
            raise FaultError(f"{spec!r} says {suffix[0]} twice")
        given[suffix[0]] = suffix[1:].removeprefix("=")
    what, value = (part.strip() for part in [*re.split("[=:]", rest, maxsplit=1), ""][:2])
    kind = KINDS.get(what)
    if kind is None:
        raise FaultError(f"{_shown(spec)} is no fault: {_nearest(what, KINDS)}")
    try:
        if len(spec) > _LONGEST_SPEC:
            raise ValueError(f"a text of up to {_LONGEST_SPEC} characters")
        fields = kind.fields(value)
    except ValueError as error:
        raise FaultError(f"{_shown(spec)}: the value {_shown(value)} is not {error}") from None
    if (where := given.get("@")) is not None and where not in kind.places:
        allowed = f"{what} takes no @WHERE" if not kind.places else _nearest(where, kind.places)
        raise FaultError(f"{_shown(spec)}: {_shown('@' + where)} is no place for it: {allowed}")
    try:
        times = int(_number(given.get("*", "1"), 1, ALWAYS, "a whole number from 1"))
        chance = _number(given.get("p", "1"), 0, 1, "a probability from 0 to 1")
    except ValueError as error:
        raise FaultError(f"{_shown(spec)}: *TIMES or p= is not {error}") from None
    lasts = "*" not in given and (not kind.places or "p" in given)
    on = PLACES[where or (kind.places[0] if kind.places else "create")]
    return Fault(on, times=ALWAYS if lasts else times, chance=chance, spec=" ".join(spec.split()), **fields)


def prompt_faults(prompt: str) -> list[Fault]:
    """The faults that a prompt asks for, each in double brackets. Raises: FaultError."""
    return [parse_fault(each) for each in re.findall(r"\[\[([^\[\]]*)\]\]", prompt)]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:99] + "…")


def _nearest(word: str, known: Sequence[str] | dict[str, Kind]) -> str:
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    also = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{also}there are {', '.join(known)}"
