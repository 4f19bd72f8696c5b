"""What goes in and out of the emulator: requests, responses, and faults as data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
