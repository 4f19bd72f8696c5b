"""Requests to the emulator and its responses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

Json = dict[str, Any]
Chunk = tuple[float, bytes]
"""When to send it (Unix seconds), and the bytes."""

Ending = Literal["whole", "reset", "silence", "truncate", "cut"]
"""How an answer ends.

whole     complete
reset     with a TCP reset before any byte
silence   never: the request is read and not answered
truncate  after a share of the announced bytes, with a close
cut       after a share of them, with a TCP reset
"""

_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error", 503: "server_error"}


@dataclass(frozen=True)
class Request:
    """One request: the path with its query, header names in lower case; `storage`: it is for the storage host."""

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
        """The text that faults match: `POST /video/generations`, `stream GET …`, `storage GET …`."""
        call = f"{self.method} {self.route.removeprefix('/v1')}"
        if self.storage:
            return f"storage {call}"
        return f"stream {call}" if call.endswith("/stream") else call


@dataclass(frozen=True)
class Response:
    """One answer, with `chunks` a stream. Its first byte is sent after `delay` seconds.

    `share` of the body is sent where it is cut; `fault` is what went wrong with it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: Sequence[Chunk] | None = None
    ending: Ending = "whole"
    delay: float = 0.0
    share: float = 0.5
    fault: str = ""


def json_response(status: int, payload: object, **headers: str) -> Response:
    """An answer of JSON. Underscores in header names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"Content-Type": "application/json", **named}, json.dumps(payload).encode())


def refusal(status: int, message: str, code: str, param: str | None = None, **headers: str) -> Response:
    """An error with details. The API also sends short ones: `{"error": "text"}`."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error")
    return json_response(status, {"error": {"message": message, "type": kind, "param": param, "code": code}}, **headers)


@dataclass(eq=False)
class Refused(Exception):
    """Raised where a request is answered with an error."""

    response: Response
