"""The kernel's pipe between a socket and a file, by which a long clip passes the program by (Linux)."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from conftest import KEY

from airvid.http import Wire
from airvid.system import Pipe
from airvid.transport import WORTH

pytestmark = pytest.mark.skipif(not Pipe.can_be_had(), reason="this system cannot splice")

CONTENT = random.Random(4).randbytes(WORTH + 12_345)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection, and ours, which does not block."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        ours.setblocking(False)
        yield theirs, ours


@pytest.mark.parametrize("mode", ["wb", "ab"], ids=["by the kernel", "by hand: a file opened to append refuses"])
def test_what_is_filled_is_poured(
    pipe: Pipe, ends: tuple[socket.socket, socket.socket], tmp_path: Path, mode: str
) -> None:
    theirs, ours = ends
    theirs.sendall(CONTENT[:50_000])
    with (tmp_path / "clip").open(mode, buffering=0) as file:
        assert pipe.fill(ours, 40_000) == len(pipe) == 40_000
        assert pipe.pour(file, 15_000) == 15_000
        assert len(pipe) == 25_000
        while len(pipe):
            pipe.pour(file, len(pipe))
        assert file.tell() == 40_000
    assert (tmp_path / "clip").read_bytes() == CONTENT[:40_000]


def test_a_socket_without_bytes_is_waited_for_and_its_end_is_seen(
    pipe: Pipe, ends: tuple[socket.socket, socket.socket]
) -> None:
    theirs, ours = ends
    with pytest.raises(BlockingIOError):
        pipe.fill(ours, 1000)
    theirs.close()
    assert pipe.fill(ours, 1000) == 0


def test_a_full_disk_is_told(pipe: Pipe, ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    theirs.sendall(CONTENT[:1000])
    pipe.fill(ours, 1000)
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        pipe.pour(full, 1000)


@contextmanager
def serving(content: bytes) -> Iterator[str]:
    """A server with one answer, to one who asks; its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                with suppress(ConnectionError):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.join()


@pytest.mark.parametrize("most", [WORTH, 1000, 0], ids=["all", "a little of each", "nothing"])
def test_what_nobody_takes_never_holds_up_the_rest(tmp_path: Path, most: int) -> None:
    """Who is sent more than was asked for pours no more; what stays in the pipe must not fill it for ever."""

    async def fetch(url: str) -> tuple[int, bytes]:
        wire, seen, expected = Wire(f"{url}/v1", KEY, use_proxies=False), 0, b""
        try:
            with (tmp_path / "clip").open("wb", buffering=0) as file:
                async with asyncio.timeout(20), wire.fetch(f"{url}/clip.mp4", {}) as body:
                    async for chunk in body.chunks:
                        count = len(chunk)
                        taken = min(most, count)
                        expected += CONTENT[seen : seen + taken]
                        seen += count
                        while taken:
                            taken -= chunk.pour(file, taken) if isinstance(chunk, Pipe) else file.write(chunk[:taken])
        finally:
            await wire.aclose()
        return seen, expected

    with serving(CONTENT) as url:
        seen, expected = asyncio.run(fetch(url))
    assert seen == len(CONTENT)
    assert (tmp_path / "clip").read_bytes() == expected


def test_the_pipe_goes_with_the_answer() -> None:
    async def fetch(url: str) -> None:
        wire = Wire(f"{url}/v1", KEY, use_proxies=False)
        try:
            async with wire.fetch(f"{url}/clip.mp4", {}) as body:
                async for chunk in body.chunks:
                    if isinstance(chunk, Pipe):
                        raise RuntimeError("whoever reads it fails")
        finally:
            await wire.aclose()

    before = sorted(os.listdir("/proc/self/fd"))
    with serving(CONTENT) as url, pytest.raises((RuntimeError, ExceptionGroup)):
        asyncio.run(fetch(url))
    assert sorted(os.listdir("/proc/self/fd")) == before
