"""The way to a server: which proxy, whose certificates; where no proxy is between, HTTP/1.1 by h11 on our own sockets.

httpx's own way brings a second asynchronous library along, which takes longer to load than all of airvid, and its
parser copies every byte of a clip four times. This one reads a long body past the parser.
"""

from __future__ import annotations

import asyncio
import functools
import io
import os
import re
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import h11
import httpx

from airvid import redact
from airvid.errors import UnavailableError
from airvid.sockets import Connection, connect
from airvid.system import IS_WINDOWS, Pipe, trust_store

IN_BULK = "airvid_in_bulk"
"""The request extension by which a body is asked for in bulk."""
CONNECTING = "airvid_connecting"
"""The request extension that is there until something of a request can have been sent."""
# Bytes of a body that are worth a connection of their own.
WORTH = 1 << 24
# Bytes read at once: past the parser, and for it. The longest head of an answer.
BULK, CHUNK, LONGEST_HEAD = 1 << 20, 1 << 16, 100 << 10
# Answers of 1xx before the one that counts.
MOST_PRELIMINARY = 10
Origin = tuple[str, str, int]
_PORTS = {"http": 80, "https": 443}


class Transport(httpx.AsyncBaseTransport):
    """Connections, one request at a time on each; those that are done are kept for the next, as `limits` say.

    `tls` gives the context, which plain http does not need. Raises: as `tls` does.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext], limits: httpx.Limits) -> None:
        self._tls = tls
        self._limits = limits
        self._idle: list[_Exchange] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in _PORTS or not url.host:
            raise httpx.UnsupportedProtocol("an http:// or https:// address is needed")
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])
        if (exchange := self._kept(origin)) is None:
            request.extensions[CONNECTING] = True
            exchange = _Exchange(origin, await self._connect(origin, request), self)
            del request.extensions[CONNECTING]
        try:
            return await exchange.begin(request)
        except BaseException:
            exchange.close()
            raise

    async def _connect(self, origin: Origin, request: httpx.Request) -> Connection:
        scheme, host, port = origin
        allowed = request.extensions["timeout"]["connect"]
        tls = self._tls() if scheme == "https" else None
        with _told(httpx.ConnectTimeout, httpx.ConnectError):
            connection = await connect(host, port, allowed)
            if tls:
                await connection.start_tls(tls, host, allowed)
        return connection

    def _kept(self, origin: Origin) -> _Exchange | None:
        """An idle connection, by all that can be seen still open."""
        now = asyncio.get_running_loop().time()
        for exchange in [each for each in self._idle if not each.is_fresh(now, self._limits.keepalive_expiry)]:
            self._idle.remove(exchange)
            exchange.close()
        found = next((each for each in reversed(self._idle) if each.origin == origin), None)
        if found:
            self._idle.remove(found)
        return found

    def keep(self, exchange: _Exchange) -> None:
        """Take back a connection whose answer was read to its end."""
        self._idle.append(exchange)
        if len(self._idle) > (self._limits.max_keepalive_connections or 0):
            self._idle.pop(0).close()

    @functools.cached_property
    def buffer(self) -> memoryview:
        """One for all connections: it is emptied before anything else runs. Pages of its own are copied faster."""
        import mmap

        return memoryview(mmap.mmap(-1, BULK))

    @functools.cached_property
    def pipe(self) -> Pipe | None:
        """As the buffer, one for all connections."""
        return Pipe.open()

    def drop_pipe(self) -> None:
        """Bytes do not come this way: from now on, by the buffer."""
        if (pipe := vars(self).get("pipe")) is not None:  # none is made only to be closed
            pipe.close()
        self.pipe = None

    async def aclose(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self.drop_pipe()


class _Exchange(httpx.AsyncByteStream):
    """A connection and its parser; as a stream, the body of the answer under way.

    A chunk in bulk is a pipe to pour from, or a view of a buffer, and holds until the next is asked for.
    """

    def __init__(self, origin: Origin, connection: Connection, transport: Transport) -> None:
        self.origin = origin
        self._connection = connection
        self._transport = transport
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self._patience: float | None = None
        self._bulk_left = 0
        self._idle_since = 0.0

    async def begin(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its answer, the body still to come."""
        timeouts = request.extensions["timeout"]
        self._patience = timeouts["read"]
        with _told(httpx.WriteTimeout, httpx.WriteError):
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            await self._send(head, timeouts["write"])
            try:
                async for chunk in request.stream:  # type: ignore[union-attr]
                    await self._send(h11.Data(data=chunk), timeouts["write"])
                await self._send(h11.EndOfMessage(), timeouts["write"])
            except TimeoutError:
                raise
            except OSError:
                pass  # who refuses a body may close before it is through; the answer may be there all the same
        preliminary = 0
        while not isinstance(answer := await self._event(), h11.Response):
            preliminary += 1
            if not isinstance(answer, h11.InformationalResponse) or answer.status_code == 101:
                raise httpx.RemoteProtocolError("an answer that nobody asked for")
            if preliminary > MOST_PRELIMINARY:
                raise httpx.RemoteProtocolError("preliminary answers without end")
        self._bulk_left = _length(answer) if request.extensions.get(IN_BULK) else 0
        return httpx.Response(
            answer.status_code,
            headers=answer.headers.raw_items(),
            stream=self,
            extensions={"http_version": b"HTTP/" + answer.http_version, "reason_phrase": answer.reason},
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._bulk_left >= WORTH:
            async for chunk in self._in_bulk(self._bulk_left):
                yield chunk  # type: ignore[misc]  # to whoever asked for it in bulk
            return
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)

    async def _in_bulk(self, left: int) -> AsyncIterator[bytes | memoryview | Pipe]:
        """What came with the head, then the rest straight from the socket, for its length is known."""
        with _told(httpx.ReadTimeout, httpx.ReadError):
            while isinstance(event := self._parser.next_event(), h11.Data):
                left -= len(event.data)
                yield bytes(event.data)
            while left:
                chunk = await self._receive(left)
                if not len(chunk):
                    raise httpx.RemoteProtocolError(f"closed {left} bytes before the end")
                left -= len(chunk)
                yield chunk

    async def _receive(self, most: int) -> memoryview | Pipe:
        if self.origin[0] == "http" and (pipe := self._transport.pipe) is not None:
            try:
                await self._connection.receive_piped(pipe, most, self._patience)
                return pipe
            except io.UnsupportedOperation:
                self._transport.drop_pipe()
        room = self._transport.buffer[:most]
        return room[: await self._connection.receive_into(room, self._patience)]

    async def _send(self, event: h11.Event, patience: float | None) -> None:
        if data := self._parser.send(event):
            await self._connection.send(data, patience)

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        with _told(httpx.ReadTimeout, httpx.ReadError):
            while (event := self._parser.next_event()) is h11.NEED_DATA:
                data = await self._connection.receive(CHUNK, self._patience)
                if not data and self._parser.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("the server disconnected without an answer")
                self._parser.receive_data(data)
        return event  # type: ignore[return-value]

    def is_fresh(self, now: float, expiry: float | None) -> bool:
        """Whether an idle connection may serve again: one that can be read was closed by the server."""
        return (expiry is None or now - self._idle_since < expiry) and not self._connection.is_readable()

    async def aclose(self) -> None:
        parser = self._parser
        if parser.our_state is h11.DONE and parser.their_state is h11.DONE:
            parser.start_next_cycle()
            self._idle_since = asyncio.get_running_loop().time()
            self._transport.keep(self)
        elif parser.our_state is not h11.IDLE:  # idle: it was given back before
            self.close()

    def close(self) -> None:
        self._connection.close()


def _length(answer: h11.Response) -> int:
    """The length of a body that comes as it is; 0 where it does not, or nobody told."""
    headers = dict(answer.headers)
    is_plain = not headers.keys() & {b"transfer-encoding", b"content-encoding"}
    length = headers.get(b"content-length", b"")
    return int(length) if is_plain and length.isdigit() else 0


@contextmanager
def _told(late: type[httpx.TimeoutException], broken: type[httpx.NetworkError]) -> Iterator[None]:
    """The system's errors, and the parser's, by the names that httpx gives them."""
    try:
        yield
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:  # ssl.SSLError among them
        raise broken(str(error)) from error


# ---------------------------------------------------------------------- which way it is, and what is wrong with it

# What surely never reached the server.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
_PROXY_HINT = "HTTPS_PROXY=http://host:port, or NO_PROXY for this server"
_CERTIFICATE_HINTS = {
    "hostname": "see that the address is the server's own: airvid config get base-url",
    "expired|not yet valid": "see that this machine's clock is right; else only the server can mend it",
}
_ROOTS_HINT = "behind a company's proxy, name its root certificates: SSL_CERT_FILE=/path/to/roots.pem"


class Routes:
    """The connections of a run: one client a scheme and proxy, for a TLS context costs more than a request."""

    def __init__(self, use_proxies: bool) -> None:
        self._proxies = urllib.request.getproxies() if use_proxies else {}
        self._clients: dict[tuple[str, str | None, bool], httpx.AsyncClient] = {}

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def client(self, url: str, *, fresh: bool = False) -> httpx.AsyncClient:
        """The client for a URL. `fresh`: its connections serve one request each.

        Raises: UnavailableError for a proxy or certificates that cannot be used.
        """
        scheme = "https" if url.lower().startswith("https") else "http"
        proxy = self.proxy_of(url)
        key = scheme, proxy, fresh
        if key not in self._clients:
            limits = httpx.Limits(max_keepalive_connections=0 if fresh else 20, max_connections=100)
            if proxy is None and not IS_WINDOWS:  # whose event loop has none of what our sockets wait by
                client = httpx.AsyncClient(transport=Transport(lambda: self._trusted, limits), trust_env=False)
            else:
                # Plain http never needs the trust store; with none, it fails closed should TLS come up all the same.
                is_secured = "https" in (scheme, (proxy or "")[:5])
                tls = self._trusted if is_secured else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                client = _stock_client(proxy, tls, limits)
            self._clients[key] = client
        return self._clients[key]

    def proxy_of(self, url: str) -> str | None:
        """As HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY or the system's settings say."""
        if not self._proxies:
            return None
        parsed = httpx.URL(url)
        if urllib.request.proxy_bypass(f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host):
            return None
        found = self._proxies.get(parsed.scheme) or self._proxies.get("all")
        return found if not found or "://" in found else f"http://{found}"

    @functools.cached_property
    def _trusted(self) -> ssl.SSLContext:
        try:
            tls = trust_store()
            tls.set_alpn_protocols(["http/1.1"])
        except OSError as error:
            named = os.environ.get("SSL_CERT_FILE", "")
            raise UnavailableError(
                f"SSL_CERT_FILE names {named}, of which no certificates can be read: {error.strerror or error}",
                sent=False,
                is_final=True,
                hint="name a file of PEM certificates, or unset SSL_CERT_FILE",
            ) from None
        return tls


def _stock_client(proxy: str | None, tls: ssl.SSLContext, limits: httpx.Limits) -> httpx.AsyncClient:
    """httpx as it comes, for all kinds of proxy. Raises: UnavailableError for one that cannot be used."""
    try:
        if proxy and not 0 < (httpx.URL(proxy).port or 80) < 65536:
            raise ValueError("no such port")
        return httpx.AsyncClient(verify=tls, proxy=proxy, trust_env=False, limits=limits)
    except ImportError:
        message, hint = "a SOCKS proxy is set, which needs one package more", "pip install 'httpx[socks]'"
    except (ValueError, httpx.InvalidURL):
        message, hint = f"the proxy that is set has no usable address: {_shown(proxy)}", _PROXY_HINT
    raise UnavailableError(message, sent=False, is_final=True, hint=hint)


def unavailable(error: Exception, url: httpx.URL, proxy: str | None) -> UnavailableError:
    """What kept a request from its answer, in plain words."""
    where = f"{url.host}:{url.port}" if url.port else url.host
    is_final, hint = False, None
    if found := re.search(r"CERTIFICATE_VERIFY_FAILED\] (?:certificate verify failed: )?([^(]*)", str(error)):
        what, is_final = f"the certificate of {where} cannot be trusted: {found[1].strip()}", True
        hint = next((hint for why, hint in _CERTIFICATE_HINTS.items() if re.search(why, found[1].lower())), _ROOTS_HINT)
    elif re.search(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST", str(error)):
        what, is_final = f"{where} does not speak TLS", True
        hint = f"if it is meant to be unencrypted: --base-url http://{where}"
    elif isinstance(error, httpx.ProxyError):
        what, hint = f"the proxy {_shown(proxy)} refused the way to {where}: {error}", _PROXY_HINT
        is_final = bool(re.match(r"4\d\d", str(error)))
    elif isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ConnectError):
        whom = f"the proxy {_shown(proxy)}" if proxy else where
        why = str(error) if isinstance(error, httpx.ConnectError) else "not within the time allowed"
        what, hint = f"no connection to {whom}: {why}", _PROXY_HINT if proxy else None
    elif isinstance(error, httpx.TimeoutException | TimeoutError):
        what = f"{where} fell silent"
    else:
        what = f"the connection to {where} broke: {error or type(error).__name__}"
    return UnavailableError(what, sent=not isinstance(error, _NOT_SENT), is_final=is_final, hint=hint)


def _shown(proxy: str | None) -> str:
    """A proxy without its user and password."""
    return redact.origin(proxy or "")
