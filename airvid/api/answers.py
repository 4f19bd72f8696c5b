"""A whole answer of the server, the sentence in an error of any shape, and our error for it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from airvid import clock
from airvid.api import redact, retry
from airvid.api.models import error_text
from airvid.errors import AirvidError, AuthError, LimitedError, NotFoundError, PaymentError, UnavailableError

_CONCURRENCY = (
    r"concurren|too many (?:\w+ )?(?:tasks|jobs|generations|videos)"
    r"|(?:active|running) (?:tasks|jobs|generations|videos)"
)
# Levels of lists and objects in an answer, and the text that replaces deeper ones.
DEEPEST, TOO_DEEP = 100, "[nested too deep]"


class Answer(NamedTuple):
    """A whole answer. `data`: its JSON, None where it is no JSON. `age`: seconds that a cache kept it."""

    status: int
    headers: Mapping[str, str]
    text: str
    data: Any
    age: float = 0.0

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")

    @property
    def message(self) -> str:
        """The server's sentence, without what is secret in the addresses in it."""
        return redact.text(error_message(self.status, self.text, self.data))

    @property
    def server_time(self) -> float | None:
        """The server's own clock, Unix seconds."""
        return retry.http_date(self.headers.get("date", ""))


def parse_json(value: str) -> Any:
    """The value, None where it is no JSON. Infinities and NaN become None, and what is nested too deep TOO_DEEP."""
    try:
        found = json.loads(value.removeprefix("\ufeff"), parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return _pruned(found, DEEPEST)


def _pruned(value: Any, depth: int) -> Any:
    """The value without its deeper levels, which could be read but not written again."""
    if isinstance(value, dict):
        return {key: _pruned(each, depth - 1) for key, each in value.items()} if depth else TOO_DEEP
    if isinstance(value, list):
        return [_pruned(each, depth - 1) for each in value] if depth else TOO_DEEP
    return value


def _finite(value: str) -> float | None:
    found = float(value)
    return found if math.isfinite(found) else None


def error_message(status: int, body: str, data: Any) -> str:
    """One sentence from an error's body: JSON of four kinds, plain text, an HTML page, or nothing."""
    if isinstance(data, dict):
        inner = data.get("error")
        message = error_text(data.get("message")) or error_text(inner) or error_text(data.get("detail"))
        code = inner.get("code") if isinstance(inner, dict) else inner if data.get("message") else data.get("code")
        if message and isinstance(code, str) and not code.isdigit() and not _says(message, code):
            return f"{message[:1000]} ({code[:100]})"
        if message:
            return message[:1000]
    if re.match(r"\s*<(!doctype|html|\?xml)", body, re.IGNORECASE):
        # Bounded, so that a hostile page takes no more than linear time.
        found = re.search(r"<title[^>]{0,100}>([^<]{1,1000})", body[:10_000], re.IGNORECASE)
        title = found[1].strip()[:200] if found else ""
        return f"an HTML page{f', “{title}”' if title else ''} (HTTP {status})"
    return body.strip()[:1000] or f"an empty answer (HTTP {status})"


def _says(message: str, code: str) -> bool:
    """Whether a message has the words of a code such as `not_found`."""
    return code.replace("_", " ").lower() in message.replace("_", " ").lower()


def refusal(answer: Answer) -> AirvidError:
    """The error for an answer outside 2xx."""
    status, message, request_id = answer.status, answer.message, answer.request_id
    hint_after = retry.server_hint(answer.headers, answer.data, message, clock.now())
    speaks_of_tasks = bool(re.search(_CONCURRENCY, message, re.IGNORECASE))
    if status == 429 or (status in (400, 403, 409) and speaks_of_tasks):
        return LimitedError(
            f"the server's limit: {message}",
            retry_after=hint_after,
            request_id=request_id,
            concurrency=speaks_of_tasks,
            is_guess=status != 429,
        )
    if status == 401:
        return AuthError(f"the API key was not accepted: {message}", hint="airvid auth login", request_id=request_id)
    if status == 403:
        return AuthError(f"not allowed with this key: {message}", hint="airvid auth status", request_id=request_id)
    if status == 402:
        return PaymentError(f"payment required: {message}", request_id=request_id)
    if status in (404, 410):
        told = message if "not found" in message.lower() else f"not found: {message}"
        return NotFoundError(told, hint="airvid list", request_id=request_id)
    if retry.is_transient(status):
        return UnavailableError(
            f"the server failed (HTTP {status}): {message}", retry_after=hint_after, request_id=request_id
        )
    if 300 <= status < 400:
        where = redact.address(answer.headers.get("location", "elsewhere"))[:200]
        return AirvidError(
            f"the API sent us to {where}, and the key is not taken along",
            hint="airvid config set base-url URL",
            request_id=request_id,
        )
    return AirvidError(f"the server refused (HTTP {status}): {message}", request_id=request_id)
