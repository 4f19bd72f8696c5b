"""A faulty server: the emulator on two real ports, which changes answers or closes its ports by rules.

The sandbox's own server ends whole connections badly. This one also breaks off in the middle of a head, drips, lies
about lengths, changes single keys of a true answer, and refuses connections for a while. With a certificate it speaks
TLS and has a third port: a proxy that takes CONNECT, and has faults of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal, NamedTuple

from airvid.sandbox.emulator import Emulator, Request, Response
from airvid.sandbox.messages import refusal

ALWAYS = 10**9
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
Step = bytes | float
"""Bytes that are sent, or seconds that pass."""


class PortState(NamedTuple):
    """How a port treats its next `connections`, or all for `seconds`. Connections that are open are closed.

    The proxy has more faults: a status instead of its 200, a reset before or after it, silence after it, and a tunnel
    that is cut as the request leaves ("request", its next connections) or with the answer due ("answer", those open).
    """

    port: Literal["api", "storage", "proxy"]
    how: Literal["refused", "closed", "silent", "reset", "200 reset", "200 silent", "request", "answer"] | int
    connections: int = ALWAYS
    seconds: float = math.inf  # only for "refused", which the server does not notice


@dataclass(frozen=True)
class Rule:
    """What happens to the calls that `on`, a regular expression, matches (`sandbox.messages.Request.call`)."""

    on: str
    before: bool = False  # the emulator does not get the request
    say: Response | None = None  # instead of the emulator's answer
    status: int | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)  # put over the answer's; None takes one away
    edit: Mapping[str, Any] = field(default_factory=dict)  # put over the answer's JSON; {storage} is that host
    ignore: str = ""  # a header of the request that the server does not know
    script: tuple[Step, ...] | None = None  # an event stream, word for word
    garble: bool = False  # as many bytes, but others
    tail: bytes = b""  # sent after the body
    length: int = 0  # more than the body has, in Content-Length
    chunked: bool = False
    drip: float = 0.0  # seconds between any two of 20 pieces
    cut: Literal["", "start", "head", "body"] = ""
    end: Literal["", "closed", "reset", "silent"] = ""
    port_state: PortState | None = None  # from this call on
    times: int = 1
    skip: int = 0


class FaultyServer:
    """Serves an emulator. The first rule that matches a call and is not used up applies. `requests`: all so far.

    With `tls`, a context with a certificate for localhost, it is reached over TLS, and through the proxy `proxy_url`.
    """

    def __init__(self, emulator: Emulator, rules: tuple[Rule, ...], tls: ssl.SSLContext | None = None) -> None:
        self.emulator = emulator
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._rules = list(rules)
        self._lock = threading.Lock()
        self._ports = {name: _Port(self, storage=name == "storage", tls=tls) for name in ("api", "storage")}
        if tls:
            self._ports["proxy"] = _Proxy(self)
            self.proxy_url = self._ports["proxy"].url
        emulator.storage = self._ports["storage"].url
        self.api_url = f"{self._ports['api'].url}/v1"

    def start(self) -> None:
        for port in self._ports.values():
            port.start()

    def close(self) -> None:
        self.closing.set()
        for port in self._ports.values():
            port.close()

    def answer(self, request: Request) -> tuple[Iterator[Step], str]:
        """What is sent in answer, and how the connection ends."""
        with self._lock:
            self.requests.append(request)
            rule = self._next_rule(request.call)
        if rule.ignore:
            request = replace(request, headers={k: v for k, v in request.headers.items() if k != rule.ignore})
        if rule.before:
            answer = rule.say or refusal(503, "The service is unavailable.", "unavailable")
        else:
            answer = self.emulator.handle(request, time.time())
        if rule.port_state:
            self._ports[rule.port_state.port].set_state(rule.port_state)
        return _steps(self._spoilt(answer, rule), rule), rule.end

    def _next_rule(self, call: str) -> Rule:
        for place, rule in enumerate(self._rules):
            if not re.match(rule.on, call) or not rule.times:
                continue
            if rule.skip:
                self._rules[place] = replace(rule, skip=rule.skip - 1)
                continue
            self._rules[place] = replace(rule, times=rule.times - 1)
            return rule
        return Rule("")

    def _spoilt(self, answer: Response, rule: Rule) -> Response:
        answer = rule.say or answer
        if rule.edit:
            told = json.dumps({**json.loads(answer.body), **rule.edit})
            answer = replace(answer, body=told.replace("{storage}", self.emulator.storage).encode())
        headers = {**answer.headers, "Content-Length": str(len(answer.body) + rule.length), **rule.headers}
        if rule.end and rule.end != "silent":
            headers["Connection"] = "close"
        if rule.script is not None or answer.chunks is not None or rule.chunked:
            headers |= {"Content-Length": None, "Transfer-Encoding": "chunked"}
        if rule.script is not None:
            headers["Content-Type"] = "text/event-stream"
        return replace(
            answer,
            status=rule.status or answer.status,
            headers={name: value for name, value in headers.items() if value is not None},
            body=(b"?" * len(answer.body) if rule.garble else answer.body) + rule.tail,
        )


def _steps(answer: Response, rule: Rule) -> Iterator[Step]:
    """An answer as it goes over the wire, up to where it is cut."""
    phrase = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else "Odd"
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in answer.headers.items())]
    head = "\r\n".join([*lines, "", ""]).encode()
    body = list(_body(answer, rule))
    if rule.cut == "start":
        return
    if rule.cut == "head":
        yield head[: len(head) // 2]
    elif rule.cut == "body":
        yield head
        yield from _first_half(body)
    elif rule.drip:
        yield from _dripping(head + b"".join(step for step in body if isinstance(step, bytes)), rule.drip)
    else:
        yield head
        yield from body


def _body(answer: Response, rule: Rule) -> Iterator[Step]:
    """A body as it is framed, with its pauses."""
    if "Transfer-Encoding" not in answer.headers:
        yield answer.body
        return
    pieces: list[Step] = list(rule.script or ())
    if rule.script is None and answer.chunks is not None:
        sent = time.time()
        for due, chunk in answer.chunks:
            pieces += [max(0.0, due - sent), chunk]
            sent = max(due, sent)
    elif rule.script is None:
        pieces = [answer.body[at : at + 5000] for at in range(0, len(answer.body), 5000)]
    for piece in pieces:
        yield piece if isinstance(piece, float) else b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _first_half(steps: list[Step]) -> Iterator[Step]:
    left = sum(len(step) for step in steps if isinstance(step, bytes)) // 2
    for step in steps:
        yield step[:left] if isinstance(step, bytes) else step
        left -= len(step) if isinstance(step, bytes) else 0
        if left <= 0:
            return


def _dripping(whole: bytes, pause: float) -> Iterator[Step]:
    size = len(whole) // 20 + 1
    for at in range(0, len(whole), size):
        yield whole[at : at + size]
        yield pause


class _Port:
    """One port, which can be closed, and a thread for each connection."""

    def __init__(self, faulty: FaultyServer, *, storage: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.faulty, self.storage, self._tls = faulty, storage, tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        # Holds the port while it refuses connections.
        self._held = socket.socket()
        self._address = self._listener.getsockname()
        self.url = f"https://localhost:{self._address[1]}" if tls else "http://{}:{}".format(*self._address)
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._state: PortState | None = None
        self._open_at = -math.inf
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def set_state(self, state: PortState) -> None:
        """From now on, connections are treated like this."""
        self._state = state
        self._end_reading()
        if state.how == "refused":
            self._state, self._open_at = None, time.monotonic() + state.seconds
            self._shut()
            # Bound and not listening: connections are refused, and no other server gets the port meanwhile.
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                self._held.bind(self._address)

    def _end_reading(self) -> None:
        """What is being answered on a connection still goes out; the next request needs another one."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RD)  # that of TLS would end both ways

    def close(self) -> None:
        self._shut()
        self._thread.join()
        self._listener.close()
        self._held.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                if connection in self._silent:
                    connection.close()

    def _shut(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone would not wake accept()
        self._listener.close()

    def _accept(self) -> None:
        while not self.faulty.closing.is_set():
            try:
                connection = self._listener.accept()[0]
            except OSError:
                self._reopen()
                continue
            how = self._state.how if self._state and self._state.connections else ""
            if self._state and how:
                self._state = self._state._replace(connections=self._state.connections - 1)
            if how in ("closed", "reset"):
                end_connection(connection, reset=how == "reset")
                continue
            with self._lock:
                self._open.add(connection)
            if how == "silent":
                self._silent.add(connection)
            else:
                threading.Thread(target=self._serve, args=(connection, how), daemon=True).start()

    def _reopen(self) -> None:
        if self.faulty.closing.wait(min(threading.TIMEOUT_MAX, self._open_at - time.monotonic())):
            return
        self._listener = socket.create_server(self._address, backlog=64)
        self._held.close()

    def _serve(self, connection: socket.socket, how: str | int) -> None:
        try:
            with suppress(OSError):  # the client closed the connection
                if self._tls:
                    plain = connection
                    connection = self._tls.wrap_socket(plain, server_side=True)
                    with self._lock:
                        self._open = self._open - {plain} | {connection}
                _Conversation(connection, self._address, self)  # type: ignore[arg-type]
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class _Proxy(_Port):
    """A proxy. Every connection is a tunnel, in which it sees the records of TLS but not what they hold."""

    def __init__(self, faulty: FaultyServer) -> None:
        super().__init__(faulty)
        self._far: set[socket.socket] = set()
        self._is_cut = False

    def set_state(self, state: PortState) -> None:
        if state.how != "answer":
            super().set_state(state)
            return
        self._is_cut = True
        with self._lock:
            for far in self._far:
                with suppress(OSError):
                    far.shutdown(socket.SHUT_RDWR)

    def _end_reading(self) -> None:
        """Tunnels that are open stay open."""

    def _serve(self, near: socket.socket, how: str | int) -> None:
        is_reset = how in ("200 reset", "request")
        try:
            address = _read_head(near).split()[1]
            if isinstance(how, int):
                near.sendall(b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % how)
            elif how.startswith("200 "):
                near.sendall(ESTABLISHED)
                if how == "200 silent":
                    self.faulty.closing.wait()
            else:
                self._tunnel(near, int(address.rpartition(b":")[2]), upto_request=how == "request")
        except OSError:
            is_reset = True  # as one side does, so does the proxy to the other
        finally:
            with self._lock:
                self._open.discard(near)
            end_connection(near, reset=is_reset or self._is_cut)

    def _tunnel(self, near: socket.socket, port: int, *, upto_request: bool) -> None:
        """Both ways until either side ends. Raises: OSError where it does not end well."""
        try:
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            near.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with far:
            with self._lock:
                self._far.add(far)
            near.sendall(ESTABLISHED)
            encrypted = 0
            while True:
                for one in select.select([near, far], [], [])[0]:
                    data = _read_record(one) if upto_request and one is near else one.recv(1 << 16)
                    encrypted += upto_request and one is near and data[:1] == b"\x17"
                    if not data or encrypted == 2:  # the first ends the handshake, the second is the request
                        return
                    (far if one is near else near).sendall(data)


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := connection.recv(1)):
            raise ConnectionError
        head += byte
    return head


def _read_record(connection: socket.socket) -> bytes:
    """One record of TLS: its type, version and length, and so many bytes."""
    head = connection.recv(5, socket.MSG_WAITALL)
    return head + connection.recv(int.from_bytes(head[3:]), socket.MSG_WAITALL)


def end_connection(connection: socket.socket, *, reset: bool) -> None:
    if reset:
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        socket.close(connection.detach())  # now: a plain close() waits for the reading and writing ends
    else:
        connection.close()


class _Conversation(BaseHTTPRequestHandler):
    """One connection, kept alive between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Port  # type: ignore[assignment]

    def log_message(self, format: str, *values: object) -> None:
        """Write no log."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        faulty = self.server.faulty
        steps, end = faulty.answer(Request(self.command, self.path, headers, body, self.server.storage))
        for step in steps:
            if isinstance(step, bytes):
                self.wfile.write(step)
            elif faulty.closing.wait(step):
                return
        if end == "silent":
            faulty.closing.wait()
        if end == "reset":
            end_connection(self.connection, reset=True)
        self.close_connection = bool(end)

    do_GET = do_POST = do_DELETE = _answer
