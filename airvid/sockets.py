"""The sockets below httpx: happy eyeballs, look-ups that Ctrl-C need not wait for, and large reads.

httpcore's own backends bring a second asynchronous library, and its parser copies every byte four times. These work on
the program's own event loop, and read a clip past the parser. Source of the connecting order: RFC 8305.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import select
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpcore
import httpx

# Seconds that an address gets before the next one is tried beside it (RFC 8305, section 5).
STAGGER = 0.25
# Bytes read at once where they come in bulk, and reads after which it is somebody else's turn.
BULK, FAIR = 1 << 20, 32
# Bytes of a body that are worth a connection of their own.
WORTH = 1 << 24
IN_BULK = "airvid_in_bulk"
"""The request extension by which a body is asked for in bulk."""
T = TypeVar("T")
Address = tuple[socket.AddressFamily, Any]


class Transport(httpx.AsyncBaseTransport):
    """httpx's way to its connections, without a proxy, over our sockets."""

    def __init__(self, tls: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _as_httpx():
            answer = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        body = _Body(answer, request.extensions.get(IN_BULK, False), request.extensions["timeout"]["read"])
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=dict(answer.extensions))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """A body as it comes; where it is wanted in bulk, as views of one buffer that hold until the next is asked for."""

    def __init__(self, answer: httpcore.Response, in_bulk: bool, timeout: float | None) -> None:
        self._answer = answer
        self._in_bulk = in_bulk
        self._timeout = timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            parsed = aiter(self._answer.aiter_stream())
            stream, left = self._bulk()
            async for chunk in parsed:
                yield chunk
                left -= len(chunk)
                if stream:
                    break  # whatever came with the head is through; the rest is on the socket, and its length is known
            while stream and left:
                view = await stream.read_bulk(left, self._timeout)
                if not view:
                    raise httpcore.RemoteProtocolError(f"closed {left} bytes before the end")
                left -= len(view)
                yield view  # type: ignore[misc]  # as good as bytes for whoever writes them

    def _bulk(self) -> tuple[_Stream | None, int]:
        """The connection to read past the parser, and how many bytes; None where that is not worth it.

        A connection whose parser has not seen the end serves no other request: only a long body makes up for that.
        """
        headers = {name.lower(): value for name, value in self._answer.headers}
        stream, length = self._answer.extensions.get("network_stream"), headers.get(b"content-length", b"")
        is_plain = length.isdigit() and not headers.keys() & {b"transfer-encoding", b"content-encoding"}
        if self._in_bulk and isinstance(stream, _Stream) and is_plain and int(length) >= WORTH:
            return stream, int(length)
        return None, 0

    async def aclose(self) -> None:
        with _as_httpx():
            await self._answer.aclose()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore's errors by the names that httpx gives them."""
    try:
        yield
    except (
        httpcore.NetworkError,
        httpcore.TimeoutException,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


class _Backend(httpcore.AsyncNetworkBackend):
    """What httpcore connects by. One buffer serves all connections: it is emptied before anything else runs."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(BULK))

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                connected = await _connect(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except OSError as error:
            # asyncio's own words repeat the address; those of a look-up are not the system's to tell.
            number = None if isinstance(error, socket.gaierror) else error.errno
            raise httpcore.ConnectError(os.strerror(number) if number else error.strerror or str(error)) from error
        return _Stream(connected, self._buffer)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection, plain or TLS, on a socket that never blocks."""

    def __init__(self, connected: socket.socket, buffer: memoryview) -> None:
        self._socket = connected
        self._buffer = buffer
        self._acts = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _told(httpcore.ReadTimeout, httpcore.ReadError):
            return await self._when_ready(functools.partial(self._socket.recv, max_bytes), timeout, writing=False)

    async def read_bulk(self, most: int, timeout: float | None) -> memoryview:
        """What there is, up to `most` bytes or the buffer's size; nothing at the end. It holds until the next read."""
        room = min(most, len(self._buffer))

        def receive() -> memoryview:
            count = 0
            while count < room:  # TLS gives 16 kB at a time
                try:
                    more = self._socket.recv_into(self._buffer[count:room])
                except (BlockingIOError, ssl.SSLWantReadError):
                    if not count:
                        raise
                    break
                if not more:
                    break
                count += more
            return self._buffer[:count]

        with _told(httpcore.ReadTimeout, httpcore.ReadError):
            return await self._when_ready(receive, timeout, writing=False)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        with _told(httpcore.WriteTimeout, httpcore.WriteError):
            while rest:
                rest = rest[await self._when_ready(functools.partial(self._socket.send, rest), timeout, writing=True) :]

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        with _told(httpcore.ConnectTimeout, httpcore.ConnectError):
            self._socket = ssl_context.wrap_socket(
                self._socket, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            try:
                await self._when_ready(self._socket.do_handshake, timeout, writing=False)
            except BaseException:
                self._socket.close()
                raise
        return self

    async def aclose(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        if info == "is_readable":  # an idle connection that can be read was closed by the server
            look = select.poll()
            look.register(self._socket, select.POLLIN)
            return bool(look.poll(0))
        return None

    async def _when_ready(self, act: Callable[[], T], timeout: float | None, *, writing: bool) -> T:
        """The result of `act`, which is tried again whenever the socket can be read or written.

        Raises: TimeoutError after `timeout` seconds without either.
        """
        self._acts += 1
        if self._acts % FAIR == 0:
            await asyncio.sleep(0)  # a fast peer must not keep signals and other connections waiting
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                writing = False
            except ssl.SSLWantWriteError:
                writing = True
            except BlockingIOError:
                pass
            async with asyncio.timeout(timeout):
                await _ready(self._socket, writing=writing)


async def _ready(waiting: socket.socket, *, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    add(waiting, wake)
    try:
        await ready
    finally:
        remove(waiting)


@contextmanager
def _told(late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:  # ssl.SSLError among them
        raise broken(str(error)) from error


async def _connect(host: str, port: int) -> socket.socket:
    """A connection to the first address of `host` that takes one. Raises: OSError."""
    waiting, trials, errors = await _addresses(host, port), set[asyncio.Task[socket.socket]](), list[OSError]()
    try:
        while waiting or trials:
            if waiting:
                trials.add(asyncio.ensure_future(_dial(*waiting.pop(0))))
            done, _ = await asyncio.wait(
                trials, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            trials -= done
            for trial in done:
                if (error := trial.exception()) is None:
                    return trial.result()
                if not isinstance(error, OSError):
                    raise error
                errors.append(error)
        raise errors[0] if errors else OSError(f"{host} has no address")
    finally:
        for trial in trials:
            trial.cancel()
        for made in await asyncio.gather(*trials, return_exceptions=True):
            if isinstance(made, socket.socket):
                made.close()


async def _dial(family: socket.AddressFamily, address: Any) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


async def _addresses(host: str, port: int) -> list[Address]:
    """The addresses of a host, the families by turns, as the system prefers them. Raises: OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        found = await _looked_up(host, port)
    families: dict[socket.AddressFamily, list[Address]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append((family, address))
    by_turns = itertools.zip_longest(*families.values())
    return [address for turn in by_turns for address in turn if address is not None]


async def _looked_up(host: str, port: int) -> list[Any]:
    """The system's resolver, in a thread of which the program's end need not wait."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    def settle(found: list[Any] | None, error: Exception | None) -> None:
        if error and not answer.done():
            answer.set_exception(error)
        elif not answer.done():
            answer.set_result(found)

    def ask() -> None:
        found, failure = None, None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failure = error if isinstance(error, OSError) else OSError(f"{host!r} is no host name")
        try:
            loop.call_soon_threadsafe(settle, found, failure)
        except RuntimeError:
            pass  # the loop is closed: nobody wants to know any more

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    return await answer  # type: ignore[no-any-return]
