"""A server of raw bytes for the random searches, on the event loop of the program under test.

The program's sockets are real, but its loop is the server's too, and both go by one virtual clock: a pause of a minute
takes a millisecond, and a run is the same each time.
"""

from __future__ import annotations

import asyncio
import os
import re
import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from virtual_clock import VirtualClock, VirtualLoop

Step = bytes | float
"""Bytes that are sent, or seconds that pass."""
End = Literal["keep", "close", "reset", "silent"]
# Seconds that the sockets really get before the virtual time jumps.
SETTLE = 0.001
# Virtual seconds, and turns of the loop, that no run needs.
LONGEST_RUN, MOST_TURNS = 3 * 86_400.0, 300_000


@dataclass(frozen=True)
class Received:
    """A request as it came. `port` names where: by its host where it came through the proxy."""

    port: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    raw: bytes


class Reply(NamedTuple):
    """What is sent, and what becomes of the connection after it."""

    steps: tuple[Step, ...]
    end: End = "keep"


class RawServer:
    """Ports on loopback whose answers are whatever bytes `answer` gives. `failures` are this server's own errors.

    `hurry` is asked with each head, and may answer before the body is read.
    """

    def __init__(self, *names: str) -> None:
        self._listeners = {name: _listening() for name in names}
        self._hosts = {f"{name}.test": name for name in names}
        self.answer: Callable[[Received], Reply] = lambda _: Reply((), "close")
        self.hurry: Callable[[Received], Reply | None] = lambda _: None
        self.failures: list[Exception] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def port(self, name: str) -> int:
        return int(self._listeners[name].getsockname()[1])

    def url(self, name: str, *, proxied: bool = False) -> str:
        return f"http://{name}.test" if proxied else f"http://127.0.0.1:{self.port(name)}"

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()

    def clock(self) -> SharedClock:
        """A clock for one run, whose loop serves these ports."""
        for listener in self._listeners.values():
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()  # left over from the run before
        self._tasks.clear()
        return SharedClock(self._serve_on)

    def _serve_on(self, loop: asyncio.AbstractEventLoop) -> None:
        for name, listener in self._listeners.items():
            self._tasks.add(loop.create_task(self._accept(loop, name, listener)))

    async def _accept(self, loop: asyncio.AbstractEventLoop, name: str, listener: socket.socket) -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            self._tasks.add(loop.create_task(self._serve(loop, name, connection)))

    async def _serve(self, loop: asyncio.AbstractEventLoop, name: str, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError):  # clients go away
                await self._converse(loop, name, connection)
        except Exception as error:
            self.failures.append(error)

    async def _converse(self, loop: asyncio.AbstractEventLoop, name: str, connection: socket.socket) -> None:
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                if not (more := await loop.sock_recv(connection, 1 << 16)):
                    return
                pending += more
            head, _, pending = pending.partition(b"\r\n\r\n")
            request = self._parsed(name, head)
            reply = self.hurry(request)
            if reply is None:
                length = int(request.headers.get("content-length", "0"))
                while len(pending) < length:
                    if not (more := await loop.sock_recv(connection, 1 << 16)):
                        return
                    pending += more
                body, pending = pending[:length], pending[length:]
                reply = self.answer(Received(**{**vars(request), "body": body}))
            for step in reply.steps:
                await (loop.sock_sendall(connection, step) if isinstance(step, bytes) else asyncio.sleep(step))
            if reply.end == "silent":
                await asyncio.Event().wait()
            if reply.end == "reset":
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
                )
            if reply.end != "keep":
                return

    def _parsed(self, name: str, head: bytes) -> Received:
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {key.lower(): value for key, value in (each.split(": ", 1) for each in fields)}
        if re.match("https?://", target):  # as a proxy is asked
            parsed = urlsplit(target)
            name, target = self._hosts.get(parsed.netloc, "elsewhere"), target.partition(parsed.netloc)[2]
        return Received(name, method, target, headers, b"", head)


def _listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)
    return listener


class SharedClock(VirtualClock):
    """Virtual time on real sockets. `is_stuck`: the program waited for what never comes, or never ended."""

    def __init__(self, attach: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        super().__init__()
        self.is_stuck = False
        self.turns = 0

        def make() -> asyncio.AbstractEventLoop:
            loop = VirtualLoop(self, _SettlingSelector(self))
            attach(loop)
            return loop

        self.loop_factory = make


class _SettlingSelector(selectors.DefaultSelector):
    """What is on its way through the sockets arrives before the time jumps."""

    def __init__(self, clock: SharedClock) -> None:
        super().__init__()
        self._clock = clock
        self._is_settled = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._clock.turns += 1
        if self._clock.elapsed() > LONGEST_RUN or self._clock.turns > MOST_TURNS:
            self._give_up("the program does not end")
        ready = super().select(0)
        if not ready and not self._is_settled and timeout != 0:
            ready, self._is_settled = super().select(SETTLE), True
        if ready:
            self._is_settled = False
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self._clock.threads:
            if (ready := super().select(1)) or self._clock.threads:
                return ready
            self._clock.is_stuck = True
            raise AssertionError("the program waits for something that never comes")
        self._clock.advance(timeout or 0.0)
        return super().select(0)

    def _give_up(self, why: str) -> None:
        """Once: what is under way is cancelled then, and shall get as far as it can."""
        if not self._clock.is_stuck:
            self._clock.is_stuck = True
            raise AssertionError(why)


@contextmanager
def raw_server(*names: str) -> Iterator[RawServer]:
    made = RawServer(*names)
    try:
        yield made
    finally:
        made.close()
