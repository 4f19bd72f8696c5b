"""Sockets on the program's own event loop: happy eyeballs, look-ups that Ctrl-C need not wait for, and large reads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from airvid.system import Pipe

# Seconds that an address gets before the next one is tried beside it (RFC 8305, section 5).
STAGGER = 0.25
# Reads or writes after which it is somebody else's turn.
FAIR = 32
T = TypeVar("T")
Address = tuple[socket.AddressFamily, Any]


class Connection:
    """One connection, plain or TLS, on a socket that never blocks. Raises: TimeoutError, OSError."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._acts = 0

    async def receive(self, most: int, timeout: float | None) -> bytes:
        """What there is, up to `most` bytes; nothing at the end."""
        return await self._when_ready(timeout, self._socket.recv, most)

    async def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """Fill a buffer with what there is; how many bytes that was, 0 at the end."""
        if isinstance(self._socket, ssl.SSLSocket):
            return await self._when_ready(timeout, _records_into, self._socket, buffer)
        return await self._when_ready(timeout, self._socket.recv_into, buffer)

    async def receive_piped(self, pipe: Pipe, most: int, timeout: float | None) -> int:
        """Fill a pipe with what is on the line (plain, not TLS), up to `most` bytes; how many that was, 0 at the end.

        Raises: also io.UnsupportedOperation, where the system does not pass them on.
        """
        return await self._when_ready(timeout, pipe.fill, self._socket, most)

    async def send(self, data: bytes, timeout: float | None) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[await self._when_ready(timeout, self._socket.send, rest, writing=True) :]

    async def start_tls(self, tls: ssl.SSLContext, host: str, timeout: float | None) -> None:
        # Without the peer's good-bye the end is a break: it may be somebody else's word.
        self._socket = tls.wrap_socket(
            self._socket, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        try:
            await self._when_ready(timeout, self._socket.do_handshake)
        except BaseException:
            self.close()
            raise

    def is_readable(self) -> bool:
        look = select.poll()
        look.register(self._socket, select.POLLIN)
        return bool(look.poll(0))

    def close(self) -> None:
        self._socket.close()

    async def _when_ready(self, timeout: float | None, act: Callable[..., T], *values: Any, writing: bool = False) -> T:
        """The result of `act`, tried again whenever the socket is ready, for which `timeout` seconds are allowed."""
        self._acts += 1
        if self._acts % FAIR == 0:
            await asyncio.sleep(0)  # a fast peer must not keep signals and other connections waiting
        while True:
            try:
                return act(*values)
            except ssl.SSLWantReadError:
                writing = False
            except ssl.SSLWantWriteError:
                writing = True
            except BlockingIOError:
                pass
            async with asyncio.timeout(timeout):
                await _ready(self._socket, writing=writing)


def _records_into(secured: ssl.SSLSocket, buffer: memoryview) -> int:
    """As `recv_into`, for as many records as there are."""
    read: Callable[[int, memoryview], Any] = secured.read  # without the questions that `recv_into` asks at each
    count, length = 0, len(buffer)
    while count < length:
        try:
            more = read(length - count, buffer[count:])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not count:
                raise
            break
        if not more:
            break
        count += more
    return count


async def _ready(waiting: socket.socket, *, writing: bool) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    add(waiting, ready.set)
    try:
        await ready.wait()
    finally:
        remove(waiting)


async def connect(host: str, port: int, timeout: float | None) -> Connection:
    """A connection to the first address of `host` that takes one. Raises: TimeoutError, OSError in plain words."""
    try:
        async with asyncio.timeout(timeout):
            return Connection(await _connect(host, port))
    except OSError as error:
        if isinstance(error, TimeoutError) or not error.errno:
            raise
        # A look-up's words are its own, not those of an errno; asyncio's repeat the address.
        is_look_up = isinstance(error, socket.gaierror)
        raise OSError(error.strerror if is_look_up else os.strerror(error.errno)) from error


async def _connect(host: str, port: int) -> socket.socket:
    waiting, trials, errors = await _addresses(host, port), set[asyncio.Task[socket.socket]](), list[OSError]()
    if len(waiting) == 1:
        return await _dial(*waiting[0])
    try:
        while waiting or trials:
            if waiting:
                trials.add(asyncio.ensure_future(_dial(*waiting.pop(0))))
            done, _ = await asyncio.wait(
                trials, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for trial in done:
                trials.remove(trial)
                try:
                    return trial.result()
                except OSError as error:
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
    """The families by turns, as the system prefers them. Raises: OSError."""
    try:
        # As bytes: for text, the codec of international names would be loaded.
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        found = await _looked_up(host, port)
    families: dict[socket.AddressFamily, list[Address]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append((family, address))
    by_turns = itertools.zip_longest(*families.values())
    return [address for turn in by_turns for address in turn if address is not None]


async def _looked_up(host: str, port: int) -> list[Any]:
    """The system's resolver, in a thread that the program's end does not wait for."""
    answer = concurrent.futures.Future[list[Any]]()
    answer.set_running_or_notify_cancel()  # so that it takes what is found, whether or not somebody still waits

    def ask() -> None:
        try:
            answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            answer.set_exception(error)
        except UnicodeError:
            answer.set_exception(OSError(f"{host!r} is no host name"))

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    return await asyncio.wrap_future(answer)
