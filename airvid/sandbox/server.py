"""The emulator on real sockets: one port for the API, another for the storage host."""

from __future__ import annotations

import math
import os
import selectors
import socket
import socketserver
import struct
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from airvid.sandbox.emulator import Emulator
from airvid.sandbox.messages import Request, Response

LARGEST_BODY = 64 * 2**20


class Server:
    """Serves an emulator. Its ports are bound at once, and answered after `start`.

    `port` is the API's (0: any free one), the storage host takes a free one. OSError: the port is in use.
    """

    def __init__(self, emulator: Emulator, port: int = 0, host: str = "127.0.0.1") -> None:
        self.emulator = emulator
        self._api = _Listener((host, port), emulator, storage=False)
        try:
            self._storage = _beside(host, port, emulator)
        except OSError:
            self._api.server_close()
            raise
        self._bell, self._bell_pull = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)
        emulator.api, emulator.storage = self._api.url, self._storage.url

    @property
    def api_url(self) -> str:
        """The API's base, with /v1."""
        return f"{self._api.url}/v1"

    @property
    def storage_url(self) -> str:
        """The storage host's base."""
        return self._storage.url

    def start(self) -> Self:
        """Answer from now on, in threads of its own."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop at once: open streams and silent connections are dropped."""
        self._bell_pull.close()
        if self._thread.ident is not None:
            self._thread.join()
        for listener in (self._api, self._storage):
            listener.server_close()
        self._bell.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        # serve_forever would look up every half second whether to stop; here both ports and the bell wake us.
        with selectors.DefaultSelector() as ready:
            for door in (self._api, self._storage, self._bell):
                ready.register(door, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is self._bell:
                        return
                    key.fileobj.handle_request()  # type: ignore[union-attr]


def _beside(host: str, port: int, emulator: Emulator) -> _Listener:
    """The storage's listener: on the port after a chosen one, so that both can be forwarded, else on a free one."""
    try:
        return _Listener((host, port + 1 if port else 0), emulator, storage=True)
    except (OSError, OverflowError):
        return _Listener((host, 0), emulator, storage=True)


class _Listener(ThreadingHTTPServer):
    allow_reuse_address = os.name == "posix"  # on Windows it would let two servers share a port
    request_queue_size = 128
    timeout = 0  # for handle_request: a client that gave up before accept() must not block

    def __init__(self, address: tuple[str, int], emulator: Emulator, *, storage: bool) -> None:
        self.emulator, self.storage = emulator, storage
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the DNS for our name, which can take seconds

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # it may be gone already
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection, kept alive between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def handle(self) -> None:
        with suppress(OSError):  # clients vanish
            super().handle()

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing: the emulator keeps the record."""

    def _answer(self) -> None:
        try:
            body = self._body()
        except ValueError as error:
            self.close_connection = True
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return
        if body is None:
            self.close_connection = True
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, self.server.storage)
        self._send(self.server.emulator.handle(request, time.time()))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def _body(self) -> bytes | None:
        """The request's body; None where it is too large. Raises ValueError for broken framing."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunked_body()
        length = self.headers.get("Content-Length", "0").strip()
        if not length.isdecimal():
            raise ValueError("Bad Content-Length")
        if int(length) > LARGEST_BODY:
            return None
        return self._exactly(int(length))

    def _chunked_body(self) -> bytes | None:
        body = bytearray()
        while size := int(self.rfile.readline(1024).partition(b";")[0], 16):
            if size < 0:
                raise ValueError("Bad chunk size")
            if len(body) + size > LARGEST_BODY:
                return None
            body += self._exactly(size)
            self.rfile.readline(3)
        while self.rfile.readline(65536).strip():
            pass  # trailers
        return bytes(body)

    def _exactly(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionError("The client left in the middle of its request.")
        return body

    def _send(self, response: Response) -> None:
        if response.delay and self._vanished(time.time() + response.delay):
            return
        if response.ending == "silence":
            self._vanished(math.inf)
        elif response.ending == "reset":
            self._reset()
        else:
            self._send_whole(response) if response.chunks is None else self._send_chunks(response)
            if response.ending == "cut":
                self._reset()
        if response.ending != "whole":
            self.close_connection = True

    def _send_whole(self, response: Response) -> None:
        body, headers = response.body, dict(response.headers)
        if "Connection" not in headers:
            headers.setdefault("Content-Length", str(len(body)))
        self._send_head(response.status, headers)
        if self.command != "HEAD":
            self.wfile.write(body if response.ending == "whole" else body[: len(body) // 2])

    def _send_chunks(self, response: Response) -> None:
        self._send_head(response.status, {**response.headers, "Transfer-Encoding": "chunked"})
        for due, chunk in response.chunks or ():
            if self._vanished(due):
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if response.ending == "whole":
            self.wfile.write(b"0\r\n\r\n")

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)  # "Connection: close" closes the connection afterwards
        self.end_headers()

    def _vanished(self, until: float) -> bool:
        """Wait until then (Unix seconds); True as soon as the client is gone, or the server closed."""
        while (left := until - time.time()) > 0:
            self.connection.settimeout(None if math.isinf(left) else left)
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    self.close_connection = True
                    return True
                time.sleep(min(left, 0.05))  # it sent its next request early; that one has to wait
            except TimeoutError:
                pass
            finally:
                self.connection.settimeout(None)
        return False

    def _reset(self) -> None:
        """End the connection with a TCP reset, as a crash or a firewall does."""
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        socket.close(self.connection.detach())  # now: a plain close() waits for the reading and writing ends
        self.close_connection = True
