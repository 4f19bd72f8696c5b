"""What the server said: a whole answer, the sentence in an error of any shape, and the error that it stands for.

Bodies are decompressed a piece at a time, so that a few bytes never fill the memory.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airvid import clock, redact, retry
from airvid.errors import AirvidError, AuthError, LimitedError, NotFoundError, PaymentError, UnavailableError
from airvid.tasks import error_text

if TYPE_CHECKING:
    import httpx

_CONCURRENCY = (
    r"concurren|too many (?:\w+ )?(?:tasks|jobs|generations|videos)"
    r"|(?:active|running) (?:tasks|jobs|generations|videos)"
)


class Answer(NamedTuple):
    """A whole answer: `data` is its JSON, or None where it is none."""

    status: int
    headers: Mapping[str, str]
    text: str
    data: Any

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")

    @property
    def message(self) -> str:
        return error_message(self.status, self.text, self.data)

    @property
    def server_time(self) -> float | None:
        """The server's own clock, Unix seconds."""
        return retry.http_date(self.headers.get("date", ""))


def parse_json(value: str) -> Any:
    """None where it is no JSON. Infinities and NaN, which no JSON may hold, become null."""
    try:
        return json.loads(value.removeprefix("\ufeff"), parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        return None


def _finite(value: str) -> float | None:
    found = float(value)
    return found if math.isfinite(found) else None


def error_message(status: int, body: str, data: Any) -> str:
    """One sentence from JSON of four kinds, plain text, an HTML page, or nothing."""
    if isinstance(data, dict):
        inner = data.get("error")
        message = error_text(data.get("message")) or error_text(inner) or error_text(data.get("detail"))
        code = inner.get("code") if isinstance(inner, dict) else inner if data.get("message") else data.get("code")
        if message and isinstance(code, str) and not code.isdigit() and code not in message:
            return f"{message[:1000]} ({code[:100]})"
        if message:
            return message[:1000]
    if re.match(r"\s*<(!doctype|html|\?xml)", body, re.IGNORECASE):
        # No part of it may look at a hostile page twice.
        found = re.search(r"<title[^>]{0,100}>([^<]{1,1000})", body[:10_000], re.IGNORECASE)
        title = found[1].strip()[:200] if found else ""
        return f"an HTML page{f', “{title}”' if title else ''} (HTTP {status})"
    return body.strip()[:1000] or f"an empty answer (HTTP {status})"


def refusal(answer: Answer) -> AirvidError:
    """What an answer outside 2xx stands for (the API's description, section 4)."""
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


# ---------------------------------------------------------------------- bodies

# Bytes that one step of decompression may give.
PIECE = 1 << 16
# Bytes of a stream without one event in them; no task has that much to say.
LONGEST_EVENT = 4 << 20
_GZIP = 31  # zlib's word for a gzip header and 32 kB of window


async def inflated(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body's bytes; where it was asked for in bulk and is not encoded, its chunks as they come (`http.Chunk`).

    Raises: UnavailableError where it is encoded otherwise than by gzip, or ends in the midst of it; as the response.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if encoding not in ("gzip", "x-gzip"):
        raise UnavailableError(f"the answer is encoded as {encoding[:50]!r}, which nobody asked for")
    member = zlib.decompressobj(_GZIP)
    try:
        async for chunk in response.aiter_raw():
            while chunk:
                if member.eof:  # several may stand one after the other
                    member = zlib.decompressobj(_GZIP)
                if piece := member.decompress(chunk, PIECE):
                    yield piece
                chunk = member.unconsumed_tail or member.unused_data
    except zlib.error as error:
        raise UnavailableError(f"the answer cannot be decompressed: {error}") from None
    if not member.eof:
        raise UnavailableError("the answer ended in the midst of its compression")


class EventText:
    """The text of a stream of events, as httpx-sse wants to read it: UTF-8, whatever its header says.

    It breaks off where an event does not end; `rested` says that one has.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self._response = response
        self._length = 0

    def rested(self) -> None:
        self._length = 0

    async def aiter_text(self) -> AsyncIterator[str]:
        """Raises: UnavailableError, also as `inflated`."""
        decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        async for chunk in inflated(self._response):
            self._length += len(chunk)
            if self._length > LONGEST_EVENT:
                raise UnavailableError("an event of the stream does not end")
            if text := decoder.decode(chunk):
                yield text
