"""The wire: one place that speaks HTTP, turns httpx's errors into ours, and holds the key.

The key goes to the API's own origin only.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, NamedTuple, TypeVar

# httpx brings a command line of its own: with click about, it would load rich and pygments for nothing.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx

from airvid import __version__, clock, redact, retry
from airvid.answers import Answer, EventText, inflated, parse_json, refusal
from airvid.errors import LimitedError, UnavailableError
from airvid.system import Pipe
from airvid.text import without_secret
from airvid.transport import CONNECTING, IN_BULK, Routes, unavailable

T = TypeVar("T")
Chunk = bytes | memoryview | Pipe
USER_AGENT = f"airvid/{__version__} (httpx {httpx.__version__})"
MAX_REDIRECTS = 10
# A server that answers beside the point is asked again for so many seconds: it seldom gets better.
NONSENSE_PATIENCE = 10.0
# More than any listing; an answer that goes on beyond this is no answer.
MAX_ANSWER_BYTES = 64 << 20
# Characters of a body in a line of `--debug`.
LONGEST_SHOWN = 4000


class Timeouts(NamedTuple):
    """Seconds of silence allowed in each phase: connecting, reading, and waiting for a create's answer."""

    connect: float = 10.0
    read: float = 30.0
    create: float = 120.0


class Body(NamedTuple):
    """An answer whose bytes are still to come, each chunk good until the next; `url` is where the redirects ended.

    A chunk is bytes, a view of some, or the system's pipe that holds them.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    chunks: AsyncIterator[Chunk]


class Wire:
    """One API. `trace` takes each line of `--debug`, cleaned of secrets, `note` what is waited for."""

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        timeouts: Timeouts | None = None,
        trace: Callable[[str], None] | None = None,
        note: Callable[[str], None] = lambda _: None,
        use_proxies: bool = True,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.timeouts = timeouts or Timeouts()
        self._key = key
        self._trace = trace
        self._note = note
        # How far the server's clock is ahead of ours, in seconds, by its last answer.
        self._clock_offset = 0.0
        self._routes = Routes(use_proxies)
        self._posted: httpx.Request | None = None

    async def aclose(self) -> None:
        await self._routes.aclose()

    async def get(self, path: str, parse: Callable[[Answer], T | None], *, patience: float, method: str = "GET") -> T:
        """`parse` of the first good answer; an answer that it refuses (None) counts as a server failure.

        Raises: the last failure when the next attempt would come after `patience` seconds.
        """
        began, attempt = clock.elapsed(), 0
        while True:
            try:
                answer = await self._exchange(self._build(method, self.base_url + path, self.timeouts.read))
                if answer.status // 100 != 2:
                    raise refusal(answer)
                if (parsed := parse(answer)) is not None:
                    return parsed
                patience = min(patience, NONSENSE_PATIENCE)
                raise UnavailableError(
                    f"the server's answer makes no sense: {answer.message}", request_id=answer.request_id
                )
            except (UnavailableError, LimitedError) as error:
                if isinstance(error, UnavailableError) and error.is_final:
                    raise
                spent = clock.elapsed() - began
                pause = retry.next_pause(attempt, spent, patience, error.retry_after, random.random())
                if pause is None:
                    raise
                if attempt == 1:
                    self._note(f"{error.message}; trying again")
            attempt += 1
            await clock.sleep(pause)

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        """One POST, never repeated here; any 2xx answer.

        Raises: UnavailableError with `sent` False where the server surely did not take it; any other UnavailableError
        is ambiguous; everything else is the server's refusal.
        """
        self._posted = self._build("POST", self.base_url + path, self.timeouts.create, body=body)
        answer = await self._exchange(self._posted)
        if answer.status in (301, 302, 303):
            # "See elsewhere" may come from before the work or from after it.
            raise UnavailableError(f"the create was answered with a redirect (HTTP {answer.status})")
        if answer.status // 100 != 2:
            raise refusal(answer)
        return answer

    @property
    def is_connecting(self) -> bool:
        """Whether surely nothing of the last POST has left yet."""
        return self._posted is not None and CONNECTING in self._posted.extensions

    async def events(self, path: str) -> AsyncGenerator[tuple[str, Any], None]:
        """Server-sent events, as name and the JSON of their data (None where it is none), until the stream ends.

        Raises: UnavailableError where it cannot be had, breaks, or is silent for the reading time (keep-alives count as
        life); the server's refusal for any other status.
        """
        import httpx_sse

        request = self._build(
            "GET",
            self.base_url + path,
            self.timeouts.read,
            headers={"Accept": "text/event-stream", "Cache-Control": "no-store", "Accept-Encoding": "identity"},
        )
        async with self._send(request) as response:
            if response.status_code // 100 != 2:
                raise refusal(await self._read(response))
            source: Any = EventText(response)
            try:
                async with aclosing(httpx_sse.EventSource(source).aiter_sse()) as events:
                    async for event in events:
                        source.rested()
                        yield event.event, self._parsed(self._scrub(event.data))
            except httpx_sse.SSEError:
                raise UnavailableError("the server does not stream this task's progress") from None

    @asynccontextmanager
    async def fetch(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Body]:
        """The bytes at `url`, redirects followed; any status is the caller's to judge.

        Raises: UnavailableError, also for redirects without end, to another scheme, or from https down to http.
        """
        for _ in range(MAX_REDIRECTS):
            request = self._build("GET", url, self.timeouts.read, headers={"Accept-Encoding": "identity", **headers})
            request.extensions[IN_BULK] = True
            async with self._send(request) as response:
                if response.status_code not in (301, 302, 303, 307, 308):
                    yield Body(response.status_code, response.headers, url, inflated(response))
                    return
                url = _redirected(url, response.headers.get("location", ""))
                await _finish(response)
        raise UnavailableError(f"more than {MAX_REDIRECTS} redirects on the way to the result", is_final=True)

    async def _exchange(self, request: httpx.Request) -> Answer:
        try:
            # However slowly it drips, an answer has its time; a connection that does not come about ends by its own.
            async with asyncio.timeout(_longest(request)), self._send(request) as response:
                return await self._read(response)
        except TimeoutError:
            raise UnavailableError(f"{request.url.host} did not finish its answer in time") from None

    def _build(
        self,
        method: str,
        url: str,
        read_timeout: float,
        *,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        """Raises: UnavailableError (not sent) for a URL that no request can be made of."""
        common = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip", "X-Request-ID": os.urandom(16).hex()}
        common |= headers or {}
        timeout = httpx.Timeout(self.timeouts.read, connect=self.timeouts.connect, read=read_timeout)
        try:
            if self._key and self._is_api(url):
                common["Authorization"] = f"Bearer {self._key}"
            request = self._routes.client(url).build_request(method, url, json=body, headers=common, timeout=timeout)
            if not 0 < (request.url.port or 80) < 65536:
                raise httpx.InvalidURL("no such port")
        except (httpx.InvalidURL, ValueError) as error:
            raise UnavailableError(
                f"not a usable address: {_without_query(url)} ({error})", sent=False, is_final=True
            ) from None
        self._show(f"> {method} {request.url}", request.headers, request.content)
        return request

    @asynccontextmanager
    async def _send(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """The answer, its body still to come; what httpx raises inside comes out as ours."""
        response: httpx.Response | None = None
        try:
            client = self._routes.client(str(request.url), fresh=request.method == "POST")
            async with asyncio.timeout(_longest(request)):  # a head that drips is none
                response = await client.send(request, stream=True)
            if (told := retry.http_date(response.headers.get("date", ""))) is not None and self._is_api(request.url):
                self._clock_offset = told - clock.now()
            self._show(f"< {response.status_code} {response.reason_phrase}", response.headers, None)
            yield response
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, TimeoutError) as error:
            self._show(f"! {type(error).__name__}: {error}", {}, None)
            raise unavailable(error, request.url, self._routes.proxy_of(str(request.url))) from error
        finally:
            if response is not None:
                await response.aclose()

    async def _read(self, response: httpx.Response) -> Answer:
        """The whole answer, without our own key, should the server repeat it."""
        content = bytearray()
        async for chunk in inflated(response):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise UnavailableError("the server's answer does not end")
        answer_text = self._scrub(content.decode("utf-8", "replace"))
        self._show("<", {}, answer_text.encode("utf-8", "replace"))
        headers = {name.lower(): self._scrub(value) for name, value in response.headers.items()}
        return Answer(response.status_code, headers, answer_text, self._parsed(answer_text))

    def _parsed(self, value: str) -> Any:
        """The JSON in an answer, also without a key that hid behind escapes."""
        data = parse_json(value)
        if "\\u" in value and (whole := json.dumps(data, ensure_ascii=False)) != self._scrub(whole):
            return parse_json(self._scrub(whole))
        return data

    def _is_api(self, url: str | httpx.URL) -> bool:
        return origin(url) == origin(self.base_url)

    def server_now(self) -> float:
        """Unix seconds by the API's clock, as far as it has told."""
        return clock.now() + self._clock_offset

    def _scrub(self, value: str) -> str:
        return without_secret(self._key, value, "[key]")

    def _show(self, head: str, headers: Mapping[str, str], body: bytes | None) -> None:
        if self._trace is None:
            return
        lines = [_redacted(head), *(f"{head[0]} {name}: {_header(name, value)}" for name, value in headers.items())]
        if body:
            lines.append(f"{head[0]} {redact.body(body.decode('utf-8', 'replace'), LONGEST_SHOWN)}")
        for line in lines:
            self._trace(self._scrub(line))


def _longest(request: httpx.Request) -> float:
    """Seconds that an answer may take, or its head where the body may go on."""
    patience = request.extensions["timeout"]
    return float(2 * (patience["connect"] + patience["read"]))


def origin(url: str | httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port: what the key belongs to."""
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port or {"http": 80, "https": 443}.get(parsed.scheme)


async def _finish(response: httpx.Response) -> None:
    """Read a body that is short and soon here: it leaves the connection for the next hop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            async for _ in response.aiter_raw():
                if response.num_bytes_downloaded > 1 << 16:
                    return


def _redirected(url: str, location: str) -> str:
    try:
        target = str(httpx.URL(url).join(location)) if location else ""
    except (httpx.InvalidURL, ValueError):
        target = ""
    if not target.lower().startswith(("http://", "https://")):
        raise UnavailableError("the result redirects to something that is not a web address", is_final=True)
    if url.lower().startswith("https:") and target.lower().startswith("http:"):
        raise UnavailableError("the result redirects from https down to http, which is refused", is_final=True)
    return target


def _without_query(url: str) -> str:
    return redact.address(url)


def _header(name: str, value: str) -> str:
    return redact.header(name, value)


def _redacted(value: str) -> str:
    return redact.text(value)
