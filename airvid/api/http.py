"""HTTP requests to the API and to the hosts of its clips, with httpx's errors as ours.

The key goes to the API's own origin only.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, NamedTuple, TypeVar

import httpx

from airvid import __version__, clock, system
from airvid.api import redact, retry
from airvid.api.address import origin, redirected
from airvid.api.answers import Answer, parse_json, refusal
from airvid.api.connections import LOCATION, Clients, unavailable
from airvid.api.deadline import Deadline
from airvid.api.events import read_events
from airvid.api.models import number
from airvid.errors import AirvidError, LimitedError, UnavailableError
from airvid.ui.text import without_secret

T = TypeVar("T")
_log = logging.getLogger(__name__)
USER_AGENT = f"airvid/{__version__} (httpx {httpx.__version__})"
MAX_REDIRECTS = 10
# Seconds for which a request is repeated whose answers cannot be understood: that rarely gets better.
NONSENSE_PATIENCE = 10.0
# Bytes of an answer; the longest listing is shorter.
MAX_ANSWER_BYTES = 64 << 20
# Bytes of a request's body that are sent at once.
PIECE = 1 << 16
# Characters of a body in a line of `--debug`.
LONGEST_SHOWN = 4000


class Timeouts(NamedTuple):
    """Seconds of silence allowed in each phase: connecting, reading, and waiting for a create's answer."""

    connect: float = 10.0
    read: float = 30.0
    create: float = 120.0


class Body(NamedTuple):
    """An answer whose bytes are still to come; `url` is where the redirects ended.

    `headers` hold a Content-Encoding only where httpx decodes it.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    chunks: AsyncIterator[bytes]


class Attempt:
    """Whether one request may have left this machine, by httpx's trace extension."""

    def __init__(self) -> None:
        # None before the first event. That counts as left: only what is surely unsent may be sent again.
        self._has_left: bool | None = None

    @property
    def may_have_left(self) -> bool:
        return self._has_left is not False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take an event of httpx. A CONNECT goes to the proxy alone and is not the request."""
        if event == "connection.connect_tcp.complete":
            system.hold_little(info["return_value"].get_extra_info("socket"))
        if event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            self._has_left = True
        elif self._has_left is None:
            self._has_left = False


async def _wait_silently(_: str, seconds: float) -> None:
    await clock.sleep(seconds)


class HttpClient:
    """Requests to one API and to the hosts of its clips.

    Its logger gets each line of `--debug`, without secrets. `wait` is called before a request is repeated, with
    the reason and the seconds to wait. `while_silent` surrounds a request, and shows a host that does not answer.
    `trouble` is the last failure; it is None after a success.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        timeouts: Timeouts | None = None,
        wait: Callable[[str, float], Awaitable[None]] = _wait_silently,
        while_silent: Callable[[str], AbstractAsyncContextManager[Any]] = nullcontext,
        use_proxies: bool = True,
    ) -> None:
        self.base_url = base_url
        self.timeouts = timeouts or Timeouts()
        self._key = key
        self.wait = wait
        self._while_silent = while_silent
        self.trouble: AirvidError | None = None
        # How far the server's clock is ahead of ours, in seconds, by its last answer.
        self._clock_offset = 0.0
        # The latest `Date` of the API, Unix seconds, less `clock.elapsed` at that moment.
        self._latest_date = -math.inf
        self._clients = Clients(use_proxies)
        # How many requests were made: each has a number in `--debug`.
        self._requests = 0
        # URLs whose answers claim a compression that they do not have.
        self._plain: set[httpx.URL] = set()
        # Seconds for a whole answer, at the most; for the head of a stream or a clip.
        self._longest = 2 * (self.timeouts.connect + self.timeouts.read)

    def check_way(self) -> str | None:
        """The proxy to the API, without its password. Raises: UnavailableError where it cannot be used."""
        url = httpx.URL(self.base_url)
        self._clients.client(url)
        proxy = self._clients.proxy_for(url)
        return redact.proxy(proxy) if proxy else None

    async def aclose(self) -> None:
        await self._clients.aclose()

    async def get(self, path: str, parse: Callable[[Answer], T | None], *, patience: float, method: str = "GET") -> T:
        """The first good answer, read by `parse`; where that returns None, the server has failed.

        `patience`: seconds for which a failing request is repeated. Without a connection they are UNREACHABLE at the
        most, unless `patience` is infinite. Raises: the last failure.
        """
        began, reached, attempt = clock.elapsed(), clock.elapsed(), 0
        while True:
            try:
                request = self._build(method, self.base_url + path, {"Cache-Control": "no-cache"})
                async with self._while_silent(request.url.netloc.decode()):
                    answer = await self._exchange(request, Attempt(), Deadline(self._longest))
                if answer.status // 100 != 2:
                    raise refusal(answer)
                if (parsed := parse(answer)) is not None:
                    self.trouble = None
                    return parsed
                patience = min(patience, NONSENSE_PATIENCE)
                raise UnavailableError(
                    f"the server's answer makes no sense: {answer.message}", request_id=answer.request_id
                )
            except (UnavailableError, LimitedError) as error:
                self.trouble, now, most = error, clock.elapsed(), patience
                if isinstance(error, LimitedError):
                    reached, most = now, max(patience, retry.LIMIT_PATIENCE) if patience else 0.0
                elif error.sent:
                    reached = now
                elif patience != math.inf:
                    most = min(patience, reached - began + retry.UNREACHABLE)
                pause = retry.next_pause(attempt, now - began, most, error.retry_after, random.random())
                if pause is None or (isinstance(error, UnavailableError) and error.is_final):
                    raise
                is_told = attempt or max(pause, now - began) >= retry.TOLD_PAUSE
                wait = self.wait if is_told else _wait_silently
                what = error.message
            attempt += 1
            await wait(what, pause)

    async def post(self, path: str, body: dict[str, Any], attempt: Attempt) -> Answer:
        """One POST, never repeated here; its answer, whatever the status. `attempt` tells whether it has left.

        Raises: UnavailableError, with `sent` False where the server surely did not take it.
        """
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        deadline = Deadline(self._longest)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        request = self._build("POST", self.base_url + path, headers, self._pieces(content, deadline))
        # Only the deadline ends a POST: httpx's own time-outs also count the time in which the program was stopped.
        request.extensions["timeout"] |= {"read": None, "write": None}
        self._show(request, ">", {}, content)
        return await self._exchange(request, attempt, deadline)

    async def _pieces(self, content: bytes, deadline: Deadline) -> AsyncIterator[bytes]:
        """A body in pieces, each with the time of its own that a slow line needs, then the time for the answer."""
        for at in range(0, len(content), PIECE):
            deadline.restart(self.timeouts.read)
            yield content[at : at + PIECE]
        deadline.restart(self.timeouts.create)

    async def events(self, path: str) -> AsyncGenerator[tuple[str, Any], None]:
        """Server-sent events, as name and the JSON of their data (None where it is none), until the stream ends.

        Raises: UnavailableError where it cannot be had, breaks, or no byte comes for the reading time; the server's
        refusal for any other status.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", "Accept-Encoding": "identity"}
        request = self._build("GET", self.base_url + path, headers)
        async with self._send(request) as response:
            if response.status_code // 100 != 2:
                raise refusal(await self._read(response))
            _check_encoding(response, "identity")
            with self._failures_of(request):
                async with aclosing(read_events(response)) as events:
                    async for event in events:
                        yield event.event, self._parsed(self._scrub(event.data))

    @asynccontextmanager
    async def fetch(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Body]:
        """The bytes at `url`, after redirects, whatever the status.

        Raises: UnavailableError, also for redirects without end, to another scheme, or from https to http.
        """
        for _ in range(MAX_REDIRECTS):
            request = self._build("GET", url, {"Accept-Encoding": "identity", **headers})
            async with self._send(request) as response:
                if response.status_code not in (301, 302, 303, 307, 308):
                    yield self._body(request, response)
                    return
                url = redirected(url, response.extensions.get(LOCATION, ""))
        raise UnavailableError(f"more than {MAX_REDIRECTS} redirects on the way to the result", is_final=True)

    def _body(self, request: httpx.Request, response: httpx.Response) -> Body:
        # No encoding was asked for. Stores repeat the name that the uploader gave, and the bytes are plain then.
        headers = response.headers.copy()
        is_packed = headers.get("content-encoding", "").strip().lower() == "gzip" and request.url not in self._plain
        if not is_packed:
            headers.pop("content-encoding", None)
        chunks = response.aiter_bytes() if is_packed else response.aiter_raw()
        return Body(response.status_code, headers, str(request.url), self._chunks(request, chunks))

    async def _chunks(self, request: httpx.Request, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        with self._failures_of(request):
            try:
                async for chunk in chunks:
                    yield chunk
            except httpx.DecodingError as error:
                if "incorrect header" in str(error):  # the answer is not compressed
                    self._plain.add(request.url)  # the next request takes it as it is
                raise

    async def _exchange(self, request: httpx.Request, attempt: Attempt, deadline: Deadline) -> Answer:
        """Send a request and read its whole answer within the deadline."""
        try:
            async with deadline:
                async with self._send(request, attempt) as response:
                    return await self._read(response)
        except TimeoutError:
            where = request.url.netloc.decode("ascii", "replace")
            raise UnavailableError(f"{where} did not finish its answer in time", sent=attempt.may_have_left) from None

    def _build(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: AsyncIterator[bytes] | None = None,
    ) -> httpx.Request:
        """Raises: UnavailableError (not sent) for a URL that no request can be made of."""
        common = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip"}
        common |= {"X-Request-ID": os.urandom(16).hex(), **headers}
        timeout = httpx.Timeout(self.timeouts.read, connect=self.timeouts.connect)
        try:
            if self._key and self._is_api(url):
                common["Authorization"] = f"Bearer {self._key}"
            request = httpx.Request(
                method, url, content=content, headers=common, extensions={"timeout": timeout.as_dict()}
            )
            if request.url.scheme not in ("http", "https") or not request.url.raw_host:
                raise httpx.InvalidURL("an http:// or https:// address is needed")
            if (request.url.port or 0) > 65535:
                raise httpx.InvalidURL("no such port")
        except (httpx.InvalidURL, ValueError):
            raise UnavailableError(f"not a usable address: {redact.address(url)}", sent=False, is_final=True) from None
        self._requests += 1
        request.extensions["number"] = self._requests
        self._show(request, f"> {method} {request.url}", request.headers, None)
        return request

    @asynccontextmanager
    async def _send(self, request: httpx.Request, attempt: Attempt | None = None) -> AsyncIterator[httpx.Response]:
        """The answer, its body still to come. Raises: UnavailableError."""
        attempt = attempt or Attempt()
        request.extensions["trace"] = attempt.trace
        with self._failures_of(request, attempt):
            client = self._clients.client(request.url)
            async with nullcontext() if request.method == "POST" else Deadline(self._longest):  # a head may drip
                response = await client.send(request, stream=True)
        try:
            if (told := retry.http_date(response.headers.get("date", ""))) is not None and self._is_api(request.url):
                self._clock_offset = told - clock.now()
                self._latest_date = max(self._latest_date, told - clock.elapsed())
            head = f"< {response.status_code} {response.reason_phrase} {request.url}"
            self._show(request, head, _all_headers(response), None)
            yield response
        finally:
            with suppress(Exception):  # a connection that is broken anyway
                await response.aclose()

    @contextmanager
    def _failures_of(self, request: httpx.Request, attempt: Attempt | None = None) -> Iterator[None]:
        """Turn any exception of a request into an UnavailableError.

        Libraries below httpx raise errors of their own (idna, ssl, threads that cannot be started), and the failure of
        one request must never end the others.
        """
        try:
            yield
        except AirvidError:
            raise
        except Exception as error:
            self._show(request, f"! {type(error).__name__}: {error}", {}, None)
            sent = attempt is None or attempt.may_have_left
            raise unavailable(error, request.url, self._clients.proxy_for(request.url), sent=sent) from error

    async def _read(self, response: httpx.Response) -> Answer:
        """The whole answer; where the server repeats our key, it is left out."""
        _check_encoding(response, "identity", "gzip")
        content = bytearray()
        with self._failures_of(response.request):
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise UnavailableError("the server's answer does not end")
        answer_text = self._scrub(content.decode("utf-8", "replace"))
        self._show(response.request, "<", {}, answer_text.encode("utf-8", "replace"))
        headers = {name: self._scrub(value) for name, value in _all_headers(response).items()}
        return Answer(response.status_code, headers, answer_text, self._parsed(answer_text), self._age(headers))

    def _age(self, headers: Mapping[str, str]) -> float:
        """Seconds that a cache has kept an answer, by its `Age`, or by its `Date` and those of other answers."""
        date = retry.http_date(headers.get("date", ""))
        by_date = 0.0 if date is None else self._latest_date + clock.elapsed() - date
        return max(0.0, by_date, number(headers.get("age")) or 0.0)

    def _parsed(self, value: str) -> Any:
        """The JSON in an answer, without our key where it was written with escapes."""
        data = parse_json(value)
        if "\\u" in value and (whole := json.dumps(data, ensure_ascii=False)) != self._scrub(whole):
            return parse_json(self._scrub(whole))
        return data

    def _is_api(self, url: str | httpx.URL) -> bool:
        return origin(url) == origin(self.base_url)

    def server_now(self) -> float:
        """Unix seconds by the API's clock, as far as that is known."""
        return clock.now() + self._clock_offset

    @property
    def is_time_known(self) -> bool:
        """Whether an answer of the API has told its clock."""
        return self._latest_date > -math.inf

    def _scrub(self, value: str) -> str:
        return without_secret(self._key, value, "[key]")

    def _show(self, request: httpx.Request, head: str, headers: Mapping[str, str], body: bytes | None) -> None:
        """Log lines of `--debug`, with the request's number, as several requests run at once."""
        if not _log.isEnabledFor(logging.DEBUG):
            return
        lines = [redact.text(head)]
        lines += [f"{head[0]} {name}: {redact.header(name, value)}" for name, value in headers.items()]
        if body:
            lines.append(f"{head[0]} {redact.body(body.decode('utf-8', 'replace'), LONGEST_SHOWN)}")
        for line in lines:
            _log.debug(f"[{request.extensions['number']}] {self._scrub(line)}")


def _check_encoding(response: httpx.Response, *allowed: str) -> None:
    """Raises: UnavailableError for an encoding that was not asked for: a few bytes of it could fill the memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding and encoding not in allowed:
        raise UnavailableError(f"the answer is encoded as {encoding[:50]!r}, which was not asked for")


def _all_headers(response: httpx.Response) -> dict[str, str]:
    location = response.extensions.get(LOCATION)
    return {**response.headers, **({} if location is None else {"location": location})}
