"""A faulty server: the emulator on two real ports, which changes answers or closes its ports by rules.

The sandbox's own server ends whole connections badly. This one also breaks off in the middle of a head, drips, lies
about lengths, changes single keys of a true answer, and refuses connections for a while.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
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
Step = bytes | float
"""Bytes that are sent, or seconds that pass."""


class PortState(NamedTuple):
    """How a port treats its next `connections`, or all for `seconds`. Connections that are open are closed."""

    port: Literal["api", "storage"]
    how: Literal["refused", "closed", "silent"]
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
    """Serves an emulator. The first rule that matches a call and is not used up applies. `requests`: all so far."""

    def __init__(self, emulator: Emulator, rules: tuple[Rule, ...]) -> None:
        self.emulator = emulator
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._rules = list(rules)
        self._lock = threading.Lock()
        self._ports = {name: _Port(self, storage=name == "storage") for name in ("api", "storage")}
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

    def __init__(self, faulty: FaultyServer, *, storage: bool) -> None:
        self.faulty, self.storage = faulty, storage
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._address = self._listener.getsockname()
        self.url = "http://{}:{}".format(*self._address)
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
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    # What is being answered on it still goes out; the next request needs another connection.
                    connection.shutdown(socket.SHUT_RD)
        if state.how == "refused":
            self._state, self._open_at = None, time.monotonic() + state.seconds
            self._shut()

    def close(self) -> None:
        self._shut()
        self._thread.join()
        self._listener.close()
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
            if how == "closed":
                connection.close()
                continue
            with self._lock:
                self._open.add(connection)
            if how == "silent":
                self._silent.add(connection)
            else:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _reopen(self) -> None:
        if self.faulty.closing.wait(min(threading.TIMEOUT_MAX, self._open_at - time.monotonic())):
            return
        self._listener = socket.create_server(self._address, backlog=64)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):  # the client closed the connection
                _Conversation(connection, self._address, self)  # type: ignore[arg-type]
        finally:
            with self._lock:
                self._open.discard(connection)
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
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            socket.close(self.connection.detach())  # now: a plain close() waits for the reading and writing ends
        self.close_connection = bool(end)

    do_GET = do_POST = do_DELETE = _answer
