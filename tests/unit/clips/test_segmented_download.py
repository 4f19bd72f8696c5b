"""Several connections at one file: when the rest is divided, what a failure costs, and what a server must prove."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from small_files import tiny_mp4
from storage_host import TAG, StorageHost

from airvid import system
from airvid.clips.download import CONNECTIONS
from airvid.clips.part import SHORTEST_SEGMENT, DeadLinkError

CLIP = tiny_mp4(random.Random(1).randbytes(16 * SHORTEST_SEGMENT))
OTHER = tiny_mp4(random.Random(2).randbytes(16 * SHORTEST_SEGMENT))
# Bytes a second that leave one connection at work for some 40 s.
SLOW = 100_000


@pytest.fixture
def store(tmp_path: Path) -> StorageHost:
    return StorageHost(tmp_path)


class Host:
    """A storage host that gives each connection `rate` bytes a second of the virtual clock, in forty pieces.

    Its answers, by their order, can be spoilt: `spoilt` gets the true one and may return another.
    """

    def __init__(self, rate: float, content: bytes = CLIP, tag: str = TAG, ranges: str = "bytes") -> None:
        self.rate, self.content, self.tag, self.ranges = rate, content, tag, ranges
        self.spoilt: Callable[[int, httpx.Response], httpx.Response] = lambda _, answer: answer
        self.asked: list[tuple[int, int, int]] = []
        self.open = self.most_open = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        headers = {"ETag": self.tag, "Accept-Ranges": self.ranges}
        if asked and self.ranges == "bytes" and request.headers["if-range"] == self.tag:
            start, end, status = int(asked[1]), int(asked[2] or len(self.content) - 1) + 1, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(self.content)}"
        else:
            start, end, status = 0, len(self.content), 200
        headers["Content-Length"] = str(end - start)
        self.asked.append((status, start, end))
        body = Paced(self, self.content[start:end])
        answer = self.spoilt(len(self.asked), httpx.Response(status, headers=headers, stream=body))
        self.open += isinstance(answer.stream, Paced)
        self.most_open = max(self.open, self.most_open)
        return answer

    @property
    def starts(self) -> list[int]:
        """Where the parts that it was asked for began."""
        return [start for _, start, _ in self.asked]


class Paced(httpx.AsyncByteStream):
    """A body that comes slowly; after `upto` bytes it breaks, or where it `hangs` goes on with nothing."""

    def __init__(self, host: Host, content: bytes, upto: int | None = None, *, hangs: bool = False) -> None:
        self.host, self.content, self.hangs = host, content, hangs
        self.upto = len(content) if upto is None else upto

    async def __aiter__(self) -> AsyncIterator[bytes]:
        step = int(self.host.rate / 40)
        for at in range(0, self.upto, step):
            await asyncio.sleep(1 / 40)
            yield self.content[at : min(self.upto, at + step)]
        while self.hangs:
            await asyncio.sleep(1)
            yield b""
        if self.upto < len(self.content):
            raise httpx.ReadError("connection reset")

    async def aclose(self) -> None:
        self.host.open -= 1


# ---------------------------------------------------------------------- when the rest is divided


def test_what_would_take_long_is_divided_once_among_eight(store: StorageHost) -> None:
    host = Host(SLOW)
    store.save(host)
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})
    assert (len(host.asked), host.most_open) == (CONNECTIONS, CONNECTIONS)
    assert store.clock.elapsed() < 0.2 * len(CLIP) / SLOW


def test_each_byte_is_asked_for_by_one_connection(store: StorageHost) -> None:
    host = Host(SLOW)
    store.save(host)
    assert host.asked[0] == (200, 0, len(CLIP))
    parts = sorted(host.asked[1:])
    assert [end for _, _, end in parts] == [start for _, start, _ in parts[1:]] + [len(CLIP)]
    assert {status for status, _, _ in parts} == {206}
    lengths = [end - start for _, start, end in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.4])
def test_what_is_soon_here_stays_with_one_connection(store: StorageHost, seconds: float) -> None:
    host = Host(len(CLIP) / seconds)
    store.save(host)
    assert (len(host.asked), store.target.read_bytes()) == (1, CLIP)


@pytest.mark.parametrize(("tag", "ranges"), [(TAG, "none"), (TAG, ""), ('W/"v1"', "bytes"), ("", "bytes")])
def test_without_ranges_or_a_strong_validator_one_connection_does_it_all(
    store: StorageHost, tag: str, ranges: str
) -> None:
    host = Host(SLOW, tag=tag, ranges=ranges)
    store.save(host)
    assert (len(host.asked), store.target.read_bytes()) == (1, CLIP)


def test_a_short_file_on_a_slow_line_is_not_divided(store: StorageHost) -> None:
    host = Host(20_000, tiny_mp4(bytes(2 * SHORTEST_SEGMENT)))
    store.save(host)
    assert (len(host.asked), store.target.read_bytes()) == (1, host.content)


def test_the_rest_of_an_interrupted_run_is_divided_as_well(store: StorageHost) -> None:
    store.leave_part(CLIP[:1_000_000], total=len(CLIP))
    host = Host(SLOW)
    store.save(host)
    assert min(host.starts) == 1_000_000
    assert (len(host.asked), store.target.read_bytes()) == (CONNECTIONS, CLIP)


def test_a_slow_download_reports_four_times_a_second(store: StorageHost) -> None:
    steps = store.save(Host(SLOW, ranges="none"))
    seconds = store.clock.elapsed()
    assert seconds > 30
    assert 3 * seconds < len(steps) < 5 * seconds
    assert [step.done for step in steps] == sorted(step.done for step in steps)


# ---------------------------------------------------------------------- connections that fail


@pytest.mark.parametrize("nth", [2, 5, 8])
@pytest.mark.parametrize("upto", [0, 100_000])
def test_a_segment_whose_connection_breaks_is_asked_for_again_where_it_stopped(
    store: StorageHost, nth: int, upto: int
) -> None:
    host = Host(SLOW)

    def spoil(n: int, answer: httpx.Response) -> httpx.Response:
        if n == nth:
            answer.stream = Paced(host, host.content[slice(*host.asked[-1][1:])], upto)
        return answer

    host.spoilt = spoil
    store.save(host)
    assert store.target.read_bytes() == CLIP
    _, start, end = host.asked[nth - 1]
    assert host.asked[CONNECTIONS:] == [(206, start + upto, end)]


def test_a_connection_that_brings_nothing_any_more_is_replaced(store: StorageHost) -> None:
    host = Host(SLOW)

    def spoil(n: int, answer: httpx.Response) -> httpx.Response:
        if n == 3:
            answer.stream = Paced(host, host.content[slice(*host.asked[-1][1:])], 50_000, hangs=True)
        return answer

    host.spoilt = spoil
    store.save(host)
    assert store.target.read_bytes() == CLIP
    assert (len(host.asked), host.starts[-1]) == (CONNECTIONS + 1, host.starts[2] + 50_000)
    assert store.clock.elapsed() < 90


@pytest.mark.parametrize("status", [503, 429, 403])
@pytest.mark.parametrize("limit", [1, 3])
def test_a_host_that_refuses_so_many_connections_is_asked_by_fewer(store: StorageHost, status: int, limit: int) -> None:
    host = Host(SLOW)
    host.spoilt = lambda _, answer: httpx.Response(status) if host.open >= limit else answer
    store.save(host)
    assert store.target.read_bytes() == CLIP
    assert host.most_open == limit
    assert host.open == 0
    assert len(host.asked) <= CONNECTIONS * CONNECTIONS


@pytest.mark.parametrize("status", [503, 429])
def test_a_host_that_fails_for_good_is_given_up_and_all_that_came_is_kept(store: StorageHost, status: int) -> None:
    host = Host(SLOW)
    host.spoilt = lambda n, answer: answer if n <= 4 else httpx.Response(status)
    with pytest.raises(Exception, match=f"HTTP {status}"):
        store.save(host)
    assert store.clock.elapsed() < 120
    again = Host(1e9)
    store.save(again)
    assert store.target.read_bytes() == CLIP
    assert again.starts == host.starts[4:CONNECTIONS]


def test_a_link_that_dies_meanwhile_keeps_what_came(store: StorageHost) -> None:
    host = Host(SLOW)
    host.spoilt = lambda n, answer: answer if n <= 4 else httpx.Response(403)
    with pytest.raises(DeadLinkError):
        store.save(host)
    assert store.left == {"fox.mp4.part", "fox.mp4.part.json"}
    assert len(host.asked) <= 3 * CONNECTIONS


# ---------------------------------------------------------------------- a server that proves nothing any more


SPOILT: dict[str, Callable[[httpx.Response], object]] = {
    "the whole": lambda answer: setattr(answer, "status_code", 200),
    "another tag": lambda answer: answer.headers.update({"ETag": '"v2"'}),
    "a weak tag": lambda answer: answer.headers.update({"ETag": f"W/{TAG}"}),
    "no tag": lambda answer: answer.headers.pop("ETag"),
    "another place": lambda answer: answer.headers.update({"Content-Range": f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}"}),
    "another length": lambda answer: answer.headers.update({"Content-Range": f"bytes 0-1/{len(CLIP) + 1}"}),
    "no place": lambda answer: answer.headers.pop("Content-Range"),
    "out of range": lambda answer: setattr(answer, "status_code", 416),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
@pytest.mark.parametrize("nth", [2, 8])
def test_where_one_part_is_not_proved_all_begins_again_by_one_connection(
    store: StorageHost, spoil: Callable[[httpx.Response], object], nth: int
) -> None:
    host = Host(SLOW)

    def spoilt(n: int, answer: httpx.Response) -> httpx.Response:
        if n == nth:
            spoil(answer)
        return answer

    host.spoilt = spoilt
    store.save(host)
    assert store.target.read_bytes() == CLIP
    assert host.asked[-1] == (200, 0, len(CLIP))
    assert len(host.asked) <= CONNECTIONS + 1


def test_a_file_that_is_replaced_meanwhile_is_never_mixed(store: StorageHost) -> None:
    host = Host(SLOW)

    def replace(n: int, answer: httpx.Response) -> httpx.Response:
        if n == 5:
            host.content, host.tag = OTHER, '"v2"'
            return httpx.Response(503)
        return answer

    host.spoilt = replace
    store.save(host)
    assert store.target.read_bytes() == OTHER


def test_a_divided_part_of_the_version_before_is_gone_on_with(store: StorageHost) -> None:
    """It left out what was there already, and its first segment need not be the first one of the file."""
    store.part.parent.mkdir()
    store.part.write_bytes(CLIP[:900_000] + bytes(100_000) + CLIP[1_000_000:3_000_000])
    spans = [[3_000_000, len(CLIP)], [900_000, 1_000_000]]
    kept = {"clip": "clip", "validator": TAG, "total": len(CLIP), "boot": system.boot_id(), "spans": spans}
    store.sidecar.write_text(json.dumps(kept))
    host = Host(1e9)
    store.save(host)
    assert sorted(host.starts) == [900_000, 3_000_000]
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})
