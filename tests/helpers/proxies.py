"""Relays and proxies between the program and a server: TLS, IPv6, CONNECT. Each is a thread with an event loop."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from program import KEY

from airvid.api.http import HttpClient, Timeouts


class Relay:
    """A port that hands each connection on to `target`, host and port; with `tls` it takes the TLS off first."""

    def __init__(
        self, target: str = "", *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", name: str = ""
    ) -> None:
        self._target, self._tls, self._host, self._name = urlsplit(target).netloc, tls, host, name
        self.port = 0
        self.connections = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="relay", daemon=True)

    @property
    def url(self) -> str:
        host = self._name or (f"[{self._host}]" if ":" in self._host else self._host)
        return f"http{'s' if self._tls else ''}://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._closing.wait()
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._hand_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side may close the connection, and so may the relay
        finally:
            writer.close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pipe(self._target, reader, writer)

    async def _pipe(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b""
    ) -> None:
        """Both ways until either side ends."""
        host, _, port = target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        far_writer.write(first)
        ways = [asyncio.create_task(_copy(reader, far_writer)), asyncio.create_task(_copy(far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            far_writer.close()


@contextmanager
def answering(
    answer: Callable[[socket.socket, threading.Event], None], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """A server that reads a request of each connection and hands the connection to `answer`; its URL.

    The event is set at the end of the block. A client that closes the connection is no error.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return  # shut down
                with connection, suppress(ConnectionError, ssl.SSLError):
                    secured = connection if tls is None else tls.wrap_socket(connection, server_side=True)
                    with secured:
                        secured.recv(65_536)
                        answer(secured, ended)

        ended = threading.Event()
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            server.join()


@asynccontextmanager
async def wired(url: str, **timeouts: float) -> AsyncIterator[HttpClient]:
    """A client of an API there, for twenty seconds."""
    client = HttpClient(f"{url}/v1", KEY, timeouts=Timeouts(**timeouts), use_proxies=False)
    try:
        async with asyncio.timeout(20):
            yield client
    finally:
        await client.aclose()


async def read_head(reader: asyncio.StreamReader) -> tuple[str, list[str], dict[str, str]]:
    """A request's first line, its header lines, and the headers by name in lower case."""
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    return line, fields, {name.lower(): value for name, value in (each.split(": ", 1) for each in fields)}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()


class Proxy(Relay):
    """An HTTP proxy: CONNECT for https, absolute addresses for http. `seen` are request line and headers of each.

    `refusals` are the statuses of its next answers to requests `on` a method, 0 for passing on; with `drops` the first
    plain request of that method is passed on, but its answer is not brought.
    """

    def __init__(
        self,
        *refusals: int,
        on: str = "",
        drops: bool = False,
        user: str = "",
        tls: ssl.SSLContext | None = None,
        name: str = "",
    ) -> None:
        super().__init__(tls=tls, name=name)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._refusals, self._on, self._drops = list(refusals), on, drops
        self._authorization = f"Basic {base64.b64encode(user.encode()).decode()}" if user else None

    @property
    def asked(self) -> list[str]:
        """The request lines."""
        return [line for line, _ in self.seen]

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, fields, headers = await read_head(reader)
        self.seen.append((line, headers))
        is_marked = line.startswith(self._on)
        status = self._refusals.pop(0) if is_marked and self._refusals else 0
        if self._authorization and headers.get("proxy-authorization") != self._authorization:
            status = 407
        if status:
            writer.write(b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
            await writer.drain()
            return
        method, address, _ = line.split()
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._pipe(address, reader, writer)
            return
        # One request a connection: then each is seen, and the answer ends with the connection.
        kept = [each for each in fields if not each.lower().startswith(("connection:", "proxy-"))]
        head = "\r\n".join([line, *kept, "Connection: close", "", ""]).encode("latin-1")
        if self._drops and is_marked:
            self._drops = False
            head += await reader.readexactly(int(headers.get("content-length", "0")))
            far_reader, far_writer = await asyncio.open_connection(*urlsplit(address).netloc.rsplit(":", 1))
            far_writer.write(head)
            await far_reader.read(1)  # the server has it; the answer is dropped
            far_writer.close()
            return
        await self._pipe(urlsplit(address).netloc, reader, writer, head)


def certificate(made: Any) -> ssl.SSLContext:
    """A server's context with a certificate that trustme made."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    return context


def pem(folder: Path, *authorities: Any) -> str:
    """A file with the roots of these authorities."""
    path = folder / f"roots-{len(list(folder.iterdir()))}.pem"
    path.write_bytes(b"".join(each.cert_pem.bytes() for each in authorities))
    return str(path)
