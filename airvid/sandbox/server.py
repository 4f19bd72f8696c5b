"""The emulator on real sockets: one port for the API, another for the storage host."""

from __future__ import annotations

import math
import os
import selectors
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from airvid.sandbox.emulator import Emulator
from airvid.sandbox.messages import Request, Response

LARGEST_BODY = 64 * 2**20
IDLE = 60.0
"""Seconds without a byte after which a client that is to send something has gone."""


class Server:
    """Serves an emulator at `api_url` and `storage_url`. The ports are bound at once, and answer after `start`.

    `port` is that of the API (0: any free one). The storage host has the next one, or any free one. `log` gets a line
    for each request, from any thread. Raises: OSError where the port is in use.
    """

    def __init__(self, emulator: Emulator, port: int = 0, log: Callable[[str], object] = lambda _: None) -> None:
        self.emulator = emulator
        self._listeners = [_Listener(port, emulator, storage=False)]
        try:
            self._listeners.append(_beside(port, emulator))
        except OSError:
            self._listeners[0].server_close()
            raise
        for listener in self._listeners:
            listener.log = log
        self._stopped, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)
        api, emulator.storage = (f"http://127.0.0.1:{listener.server_address[1]}" for listener in self._listeners)
        self.api_url, self.storage_url = f"{api}/v1", emulator.storage

    def start(self) -> Self:
        """Answer from now on, in threads."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop at once, and close open connections."""
        self._stop.close()
        if self._thread.ident is not None:
            self._thread.join()
        for listener in self._listeners:
            listener.server_close()
        self._stopped.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        # serve_forever of the standard library needs up to half a second to stop.
        with selectors.DefaultSelector() as ready:
            ready.register(self._stopped, selectors.EVENT_READ)
            for listener in self._listeners:
                ready.register(listener, selectors.EVENT_READ, listener.handle_request)
            while True:
                for key, _ in ready.select():
                    if key.data is None:
                        return
                    key.data()


def _beside(port: int, emulator: Emulator) -> _Listener:
    try:
        return _Listener(port + 1 if port else 0, emulator, storage=True)
    except (OSError, OverflowError):
        return _Listener(0, emulator, storage=True)


class _Listener(socketserver.ThreadingTCPServer):  # HTTPServer asks the DNS for the host's name
    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # on Windows two servers could share a port
    request_queue_size = 128
    timeout = 0  # handle_request does not wait for a client that has left

    def __init__(self, port: int, emulator: Emulator, *, storage: bool) -> None:
        self.emulator, self.storage = emulator, storage
        self.log: Callable[[str], object] = lambda _: None
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.log(f"a request failed: {sys.exc_info()[1]!r}")

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in self._open.copy():
            with suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE
    server: _Listener

    def handle(self) -> None:
        with suppress(OSError):  # the client has left
            super().handle()

    def log_message(self, format: str, *values: object) -> None:
        """Log only requests that the emulator does not get: `_answer` logs the others."""

    def log_error(self, format: str, *values: object) -> None:
        self.server.log(f"{self.requestline[:100] if self.requestline else '-'}: {format % values}"[:300])

    def _answer(self) -> None:
        body = bytearray()
        try:
            for size in self._sizes():
                if size < 0:
                    raise ValueError("A negative length")
                if len(body) + size > LARGEST_BODY:
                    self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                    return
                piece = self.rfile.read(size)
                if len(piece) < size:
                    raise ConnectionError("The client left before the end of its request.")
                body += piece
        except ValueError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, bytes(body), self.server.storage)
        response = self.server.emulator.handle(request, time.time())
        told = f"fault: {response.fault}" if response.fault else ""
        ending = response.ending if response.ending in ("reset", "silence") else str(response.status)
        self.server.log(" ".join(filter(None, (self.command, request.route[:200], ending, told))))
        self.connection.settimeout(None)  # a client may read as slowly as it likes
        self._send(response)
        if not self.close_connection:
            self.connection.settimeout(self.timeout)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def _sizes(self) -> Iterator[int]:
        """The lengths of the parts of the body. Read each part before the next length. Raises: ValueError."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield int(self.headers.get("Content-Length", "0"))
            return
        while size := int(self.rfile.readline(1024).partition(b";")[0], 16):
            yield size
            self.rfile.readline(3)
        while self.rfile.readline(65536).strip():
            pass  # trailers

    def _send(self, response: Response) -> None:
        if response.delay and self._client_left(time.time() + response.delay):
            return
        if response.ending == "silence":
            self._client_left(math.inf)
        elif response.ending != "reset":
            self._send_answer(response, is_whole=response.ending == "whole")
        if response.ending in ("reset", "cut"):
            self._reset()
        if response.ending != "whole":
            self.close_connection = True

    def _send_answer(self, response: Response, *, is_whole: bool) -> None:
        body, headers = response.body, dict(response.headers)
        if response.chunks is not None:
            headers["Transfer-Encoding"] = "chunked"
        elif "Connection" not in headers:
            headers.setdefault("Content-Length", str(len(body)))
        self.send_response_only(response.status)
        for name, value in headers.items():
            self.send_header(name, value)  # "Connection: close" closes the connection afterwards
        self.end_headers()
        if response.chunks is None:
            if self.command != "HEAD":
                self.wfile.write(body if is_whole else body[: int(len(body) * response.share)])
            return
        for due, chunk in response.chunks:
            if self._client_left(due):
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if is_whole:
            self.wfile.write(b"0\r\n\r\n")

    def _client_left(self, until: float) -> bool:
        """Wait until a time (Unix seconds). True as soon as the client has left or the server is closed."""
        while (left := until - time.time()) > 0:
            self.connection.settimeout(None if math.isinf(left) else left)
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    self.close_connection = True
                    return True
                time.sleep(min(left, 0.05))  # the client has sent its next request already
            except TimeoutError:
                pass
            finally:
                self.connection.settimeout(None)
        return False

    def _reset(self) -> None:
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        socket.close(self.connection.detach())  # close() would wait for rfile and wfile
