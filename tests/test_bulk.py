"""How the bytes of a long clip come past the parser: through the kernel's pipe, or the buffer, or TLS in records."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from doors import answering, certificate, pem, wired

from airvid.http import Body
from airvid.system import Pipe
from airvid.transport import WORTH

CONTENT = random.Random(4).randbytes(WORTH + 12_345)
needs_pipe = pytest.mark.skipif(Pipe.open() is None, reason="this system has no such pipe")


def uneven(connection: socket.socket, ended: threading.Event) -> None:
    """All of CONTENT, in uneven pieces."""
    sizes, rest = random.Random(5), memoryview(CONTENT)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(rest))
    while rest:
        size = sizes.randint(1, 300_000)
        connection.sendall(rest[:size])
        rest = rest[size:]
        ended.wait(0.001)  # so that whoever reads runs dry


async def poured(body: Body, file: io.FileIO, most: int) -> tuple[int, bytes, set[str]]:
    """Write up to `most` bytes of each chunk; how many bytes came, what must be in the file, the kinds of chunks."""
    seen, expected, kinds = 0, b"", set()
    async for chunk in body.chunks:
        taken = min(most, len(chunk))
        expected += CONTENT[seen : seen + taken]
        seen += len(chunk)
        kinds.add(type(chunk).__name__)
        if isinstance(chunk, Pipe):
            while taken:
                taken -= chunk.pour(file, taken)
        else:
            file.write(chunk[:taken])
    return seen, expected, kinds


@pytest.fixture
def file(tmp_path: Path) -> Iterator[io.FileIO]:
    with (tmp_path / "clip").open("w+b", buffering=0) as opened:
        yield opened


def content(file: io.FileIO) -> bytes:
    file.seek(0)
    return file.read()


@needs_pipe
@pytest.mark.parametrize("most", [WORTH, 1000, 0], ids=["all", "a little of each", "nothing"])
def test_what_nobody_takes_never_holds_up_the_rest(file: io.FileIO, most: int) -> None:
    """Who is sent more than was asked for pours no more; what stays in the pipe must not fill it for ever."""

    async def fetch(url: str) -> tuple[int, bytes, set[str]]:
        async with wired(url) as wire, wire.fetch(f"{url}/clip.mp4", {}) as body:
            return await poured(body, file, most)

    with answering(uneven) as url:
        seen, expected, kinds = asyncio.run(fetch(url))
    assert (seen, "Pipe" in kinds) == (len(CONTENT), True)
    assert content(file) == expected


def test_tls_comes_in_records_byte_for_byte(file: io.FileIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    monkeypatch.setenv("SSL_CERT_FILE", pem(tmp_path, authority))

    async def fetch(url: str) -> set[str]:
        async with wired(url) as wire, wire.fetch(f"{url}/clip.mp4", {}) as body:
            return (await poured(body, file, len(CONTENT)))[2]

    with answering(uneven, certificate(authority.issue_cert("127.0.0.1"))) as url:
        assert "memoryview" in asyncio.run(fetch(url))
    assert content(file) == CONTENT


@needs_pipe
def test_one_pipe_serves_all_answers_and_goes_with_the_connections() -> None:
    """However they end: whoever holds an error may keep the frames of what failed alive."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def fetch(url: str) -> list[int]:
        failures, counts = [], []
        async with wired(url) as wire:
            for _ in range(5):
                try:
                    async with wire.fetch(f"{url}/clip.mp4", {}) as body:
                        async for chunk in body.chunks:
                            if isinstance(chunk, Pipe):
                                raise RuntimeError("whoever reads it fails")
                except RuntimeError as error:
                    failures.append(error)
                    counts.append(descriptors())
        return counts

    before = descriptors()
    with answering(uneven) as url:
        counts = asyncio.run(fetch(url))
    assert len(counts) == 5
    assert counts[-1] <= counts[0] + 1  # the server's end of a connection is in this process, too
    assert descriptors() == before


# ---------------------------------------------------------------------- the pipe itself


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection, and ours, which does not block."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    with theirs, ours:
        ours.setblocking(False)
        yield theirs, ours


def filled(pipe: Pipe, source: socket.socket, most: int) -> int:
    """`fill` as soon as there is something. Raises: BlockingIOError where that never comes."""
    for _ in range(10_000):
        with suppress(BlockingIOError):
            return pipe.fill(source, most)
    return pipe.fill(source, most)


@needs_pipe
@pytest.mark.parametrize("mode", ["wb", "ab"], ids=["by the kernel", "by hand: a file opened to append refuses"])
def test_what_is_filled_is_poured(
    pipe: Pipe, ends: tuple[socket.socket, socket.socket], tmp_path: Path, mode: str
) -> None:
    theirs, ours = ends
    theirs.sendall(CONTENT[:50_000])
    done = 0
    with (tmp_path / "clip").open(mode, buffering=0) as target:
        while done < 40_000:
            count = filled(pipe, ours, 40_000 - done)
            assert len(pipe) == count
            assert pipe.pour(target, 1) == 1
            while len(pipe):
                pipe.pour(target, len(pipe))
            done += count
    assert (tmp_path / "clip").read_bytes() == CONTENT[:40_000]


@needs_pipe
def test_a_socket_without_bytes_is_waited_for_and_its_end_is_seen(
    pipe: Pipe, ends: tuple[socket.socket, socket.socket]
) -> None:
    theirs, ours = ends
    with pytest.raises(BlockingIOError):
        pipe.fill(ours, 1000)
    theirs.close()
    assert filled(pipe, ours, 1000) == 0


@needs_pipe
def test_bytes_behind_an_urgent_mark_do_not_come_this_way(
    pipe: Pipe, ends: tuple[socket.socket, socket.socket]
) -> None:
    """The kernel stops there for good, while it calls the socket readable: waiting would be a busy loop."""
    theirs, ours = ends
    theirs.sendall(b"a" * 1000)
    theirs.send(b"!", socket.MSG_OOB)
    theirs.sendall(b"b" * 1000)
    count = 0
    with suppress(io.UnsupportedOperation):
        while count < 2000:
            count += filled(pipe, ours, 10_000)
    assert count == 1000
    assert ours.recv(10_000) == b"b" * 1000


@pytest.fixture
def loaded(pipe: Pipe, ends: tuple[socket.socket, socket.socket]) -> Pipe:
    """A pipe with the first thousand bytes in it."""
    theirs, ours = ends
    theirs.sendall(CONTENT[:1000])
    assert filled(pipe, ours, 1000) == 1000
    return pipe


@needs_pipe
def test_a_full_disk_is_told(loaded: Pipe) -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        loaded.pour(full, 1000)


class Filling(io.FileIO):
    """A file on a disk that takes so many bytes more."""

    room = 300

    def write(self, content: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = super().write(memoryview(content)[: self.room])
        self.room -= count
        return count


@needs_pipe
def test_what_a_filling_disk_took_by_hand_is_counted_before_it_refuses(
    loaded: Pipe, ends: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    theirs, ours = ends
    with Filling(tmp_path / "clip", "ab") as target:
        assert (loaded.pour(target, 1000), len(loaded)) == (300, 700)
        with pytest.raises(OSError, match="No space left"):
            loaded.pour(target, 700)
        target.room = 500
        assert (loaded.pour(target, 400), loaded.pour(target, 300), len(loaded)) == (400, 100, 200)
    assert (tmp_path / "clip").read_bytes() == CONTENT[:800]
    theirs.sendall(b"new")
    assert filled(loaded, ours, 1000) == len(loaded) == 3


@needs_pipe
def test_what_was_read_by_hand_goes_before_what_is_in_the_pipe(loaded: Pipe, tmp_path: Path) -> None:
    with Filling(tmp_path / "clip", "ab") as target:
        assert loaded.pour(target, 600) == 300
    with (tmp_path / "clip").open("rb+", buffering=0) as target:  # which does not refuse to be spliced to
        target.seek(300)
        while len(loaded):
            loaded.pour(target, len(loaded))
    assert (tmp_path / "clip").read_bytes() == CONTENT[:1000]


# ---------------------------------------------------------------------- where there is no such pipe


def refusing(code: int, after: int = 0) -> Callable[..., int]:
    """Splice as a sandbox or a file system may have it."""
    calls, real = 0, getattr(os, "splice", None)

    def splice(*rest: int, **more: int) -> int:
        nonlocal calls
        calls += 1
        if calls <= after:
            assert real
            return int(real(*rest, **more))
        raise OSError(code, os.strerror(code))

    return splice


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP], ids=os.strerror)
@pytest.mark.parametrize("after", [0, 1, 2], ids=["at once", "to the file", "later"])
def test_a_system_that_refuses_to_splice_gets_the_bytes_by_hand(
    file: io.FileIO, monkeypatch: pytest.MonkeyPatch, code: int, after: int
) -> None:
    if after and not hasattr(os, "splice"):
        pytest.skip("nothing to refuse later")
    monkeypatch.setattr(os, "splice", refusing(code, after), raising=False)

    async def fetch(url: str) -> None:
        async with wired(url) as wire, wire.fetch(f"{url}/clip.mp4", {}) as body:
            await poured(body, file, len(CONTENT))

    with answering(uneven) as url:
        asyncio.run(fetch(url))
    assert content(file) == CONTENT


def test_a_system_without_pipes_to_spare_does_without(file: io.FileIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pipe", none_left)

    async def fetch(url: str) -> set[str]:
        async with wired(url) as wire, wire.fetch(f"{url}/clip.mp4", {}) as body:
            return (await poured(body, file, len(CONTENT)))[2]

    with answering(uneven) as url:
        assert "Pipe" not in asyncio.run(fetch(url))
    assert content(file) == CONTENT
