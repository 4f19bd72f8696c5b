"""httpx's way to a server where no proxy is between: HTTP/1.1, spoken by h11 on our own sockets.

httpx's own way brings a second asynchronous library along, which takes longer to load than all of airvid, and its
parser copies every byte of a clip four times. This one reads a long body past the parser.
"""

from __future__ import annotations

import asyncio
import functools
import io
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import h11
import httpx

from airvid.sockets import Connection, connect
from airvid.system import Pipe

IN_BULK = "airvid_in_bulk"
"""The request extension by which a body is asked for in bulk."""
CONNECTING = "airvid_connecting"
"""The request extension that is there as long as nothing of a request can have been sent."""
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
        """An idle connection to a server, which by all that can be seen is still open."""
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

    Where it is wanted in bulk, the chunks are pipes to pour from, or views of one buffer that hold until the next is
    asked for.
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
            try:
                head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            except h11.LocalProtocolError as error:
                raise httpx.LocalProtocolError(str(error)) from error
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
            while isinstance(event := self._next_event(), h11.Data):
                left -= len(event.data)
                yield bytes(event.data)
            while left:
                chunk = await self._receive(left)
                if not len(chunk):
                    raise httpx.RemoteProtocolError(f"closed {left} bytes before the end")
                left -= len(chunk)
                yield chunk

    async def _receive(self, most: int) -> memoryview | Pipe:
        """What the socket has: in the pipe where it goes through one, else in the buffer."""
        if self.origin[0] == "http" and (pipe := self._transport.pipe) is not None:
            try:
                await self._connection.receive_piped(pipe, most, self._patience)
                return pipe
            except io.UnsupportedOperation:
                self._transport.drop_pipe()
        room = self._transport.buffer[:most]
        return room[: await self._connection.receive_into(room, self._patience)]

    async def _send(self, event: h11.Event, patience: float | None) -> None:
        try:
            data = self._parser.send(event)
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        if data:
            await self._connection.send(data, patience)

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        with _told(httpx.ReadTimeout, httpx.ReadError):
            while (event := self._next_event()) is h11.NEED_DATA:
                data = await self._connection.receive(CHUNK, self._patience)
                if not data and self._parser.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("the server disconnected without an answer")
                self._parser.receive_data(data)
        return event  # type: ignore[return-value]

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error

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
    """The system's errors by the names that httpx gives them."""
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:  # ssl.SSLError among them
        raise broken(str(error)) from error
