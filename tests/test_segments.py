"""Several connections at one file: when the rest is divided, which bytes are whose, and what a failure costs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from conftest import tiny_mp4
from hypothesis import given, settings
from hypothesis import strategies as st
from store import TAG, Store

from airvid import system
from airvid.api.http import Body
from airvid.clips.download import CONNECTIONS
from airvid.clips.part import SHORTEST_SEGMENT, ChangedError, DeadLinkError, Part, Segment, open_part
from airvid.errors import FileError

CLIP = tiny_mp4(random.Random(1).randbytes(16 * SHORTEST_SEGMENT))
OTHER = tiny_mp4(random.Random(2).randbytes(16 * SHORTEST_SEGMENT))
# Bytes a second that leave one connection at work for some 40 s.
SLOW = 100_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


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


def test_what_would_take_long_is_divided_once_among_eight(store: Store) -> None:
    host = Host(SLOW)
    store.save(host)
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})
    assert (len(host.asked), host.most_open) == (CONNECTIONS, CONNECTIONS)
    assert store.clock.elapsed() < 0.2 * len(CLIP) / SLOW


def test_each_byte_is_asked_for_by_one_connection(store: Store) -> None:
    host = Host(SLOW)
    store.save(host)
    assert host.asked[0] == (200, 0, len(CLIP))
    parts = sorted(host.asked[1:])
    assert [end for _, _, end in parts] == [start for _, start, _ in parts[1:]] + [len(CLIP)]
    assert {status for status, _, _ in parts} == {206}
    lengths = [end - start for _, start, end in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.4])
def test_what_is_soon_here_stays_with_one_connection(store: Store, seconds: float) -> None:
    host = Host(len(CLIP) / seconds)
    store.save(host)
    assert (len(host.asked), store.target.read_bytes()) == (1, CLIP)


@pytest.mark.parametrize(("tag", "ranges"), [(TAG, "none"), (TAG, ""), ('W/"v1"', "bytes"), ("", "bytes")])
def test_without_ranges_or_a_strong_validator_one_connection_does_it_all(store: Store, tag: str, ranges: str) -> None:
    host = Host(SLOW, tag=tag, ranges=ranges)
    store.save(host)
    assert (len(host.asked), store.target.read_bytes()) == (1, CLIP)


def test_a_short_file_on_a_slow_line_is_not_divided(store: Store) -> None:
    host = Host(20_000, tiny_mp4(bytes(2 * SHORTEST_SEGMENT)))
    store.save(host)
    assert (len(host.asked), store.target.read_bytes()) == (1, host.content)


def test_the_rest_of_an_interrupted_run_is_divided_as_well(store: Store) -> None:
    store.leave_part(CLIP[:1_000_000], total=len(CLIP))
    host = Host(SLOW)
    store.save(host)
    assert min(host.starts) == 1_000_000
    assert (len(host.asked), store.target.read_bytes()) == (CONNECTIONS, CLIP)


def test_a_slow_download_reports_four_times_a_second(store: Store) -> None:
    steps = store.save(Host(SLOW, ranges="none"))
    seconds = store.clock.elapsed()
    assert seconds > 30
    assert 3 * seconds < len(steps) < 5 * seconds
    assert [step.done for step in steps] == sorted(step.done for step in steps)


# ---------------------------------------------------------------------- connections that fail


@pytest.mark.parametrize("nth", [2, 5, 8])
@pytest.mark.parametrize("upto", [0, 100_000])
def test_a_segment_whose_connection_breaks_is_asked_for_again_where_it_stopped(
    store: Store, nth: int, upto: int
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


def test_a_connection_that_brings_nothing_any_more_is_replaced(store: Store) -> None:
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
def test_a_host_that_refuses_so_many_connections_is_asked_by_fewer(store: Store, status: int, limit: int) -> None:
    host = Host(SLOW)
    host.spoilt = lambda _, answer: httpx.Response(status) if host.open >= limit else answer
    store.save(host)
    assert store.target.read_bytes() == CLIP
    assert host.most_open == limit
    assert host.open == 0
    assert len(host.asked) <= CONNECTIONS * CONNECTIONS


@pytest.mark.parametrize("status", [503, 429])
def test_a_host_that_fails_for_good_is_given_up_and_all_that_came_is_kept(store: Store, status: int) -> None:
    host = Host(SLOW)
    host.spoilt = lambda n, answer: answer if n <= 4 else httpx.Response(status)
    with pytest.raises(Exception, match=f"HTTP {status}"):
        store.save(host)
    assert store.clock.elapsed() < 120
    again = Host(1e9)
    store.save(again)
    assert store.target.read_bytes() == CLIP
    assert again.starts == host.starts[4:CONNECTIONS]


def test_a_link_that_dies_meanwhile_keeps_what_came(store: Store) -> None:
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
    store: Store, spoil: Callable[[httpx.Response], object], nth: int
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


def test_a_file_that_is_replaced_meanwhile_is_never_mixed(store: Store) -> None:
    host = Host(SLOW)

    def replace(n: int, answer: httpx.Response) -> httpx.Response:
        if n == 5:
            host.content, host.tag = OTHER, '"v2"'
            return httpx.Response(503)
        return answer

    host.spoilt = replace
    store.save(host)
    assert store.target.read_bytes() == OTHER


# ---------------------------------------------------------------------- which bytes are whose, and what a kill leaves


def answer(status: int, headers: Mapping[str, str]) -> Body:
    async def nothing() -> Iterator[bytes]:  # type: ignore[misc]
        yield b""

    return Body(status, headers, "http://storage.test/clip.mp4", nothing())  # type: ignore[arg-type]


def begin(part: Part) -> Segment:
    """The first connection's answer: all of the file."""
    [segment] = part.segments
    assert part.headers(segment) == {}
    part.accept(answer(200, {"content-length": str(len(CLIP)), "etag": TAG, "accept-ranges": "bytes"}), segment)
    return segment


def join(part: Part, segment: Segment) -> Segment:
    """One connection more, which gets what it asks for."""
    asked = part.headers(segment)
    assert asked["If-Range"] == TAG
    start = int(asked["Range"].removeprefix("bytes=").split("-")[0])
    given = {"content-range": f"bytes {start}-{(segment.end or 0) - 1}/{len(CLIP)}", "etag": TAG}
    part.accept(answer(206, given), segment)
    return segment


def feed(part: Part, segment: Segment, count: int) -> None:
    part.write(segment, CLIP[segment.at : segment.at + count])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4 * SHORTEST_SEGMENT), st.integers(0, 9)), max_size=60))
def test_whatever_the_order_and_wherever_it_is_killed_the_clip_comes_out_whole(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int, int]]
) -> None:
    target = tmp_path_factory.mktemp("clip") / "fox.mp4"
    moves = [*moves, *((0, 16 * SHORTEST_SEGMENT, 5) for _ in range(20))]
    while moves:
        with open_part(target, "clip") as part:
            for segment in [each for each in part.segments if each.left]:
                join(part, segment) if part.done else begin(part)
            if part.total is None:
                begin(part)
            while moves:
                which, count, kill = moves.pop(0)
                at_work = [each for each in part.segments if each.left]
                if (kill == 9 and part.done) or not at_work:
                    break  # nothing is closed in order: the next round finds what a kill leaves
                feed(part, at_work[which % len(at_work)], count)
                if kill == 8 and part.is_divisible:
                    for segment in part.divide(which + 2):
                        join(part, segment)
            if part.is_whole:
                part.check()
                part.publish(force=False)
                break
    assert target.read_bytes() == CLIP
    assert [each.name for each in target.parent.iterdir()] == ["fox.mp4"]


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    with open_part(tmp_path / "fox.mp4", "clip") as opened:
        yield opened


def divided(part: Part, count: int = 2) -> list[Segment]:
    """A part of which 5,000 bytes are there, divided; each segment has a connection."""
    feed(part, begin(part), 5000)
    assert part.is_divisible
    return [part.segments[0], *(join(part, each) for each in part.divide(count))]


def test_no_segment_gets_the_bytes_of_the_next(part: Part) -> None:
    first, second = divided(part)
    feed(part, first, len(CLIP))
    assert (first.left, first.end, second.at) == (0, second.at, first.at)
    feed(part, second, len(CLIP))
    part.check()
    part.publish(force=False)
    assert part.final.read_bytes() == CLIP


@pytest.mark.parametrize("count", [2, 3, 8, 100])
def test_segments_are_about_as_long_as_each_other_and_not_too_short(part: Part, count: int) -> None:
    segments = divided(part, count)
    lengths = [each.left or 0 for each in segments]
    assert len(segments) == min(count, (len(CLIP) - 5000) // SHORTEST_SEGMENT)
    assert min(lengths) >= SHORTEST_SEGMENT
    assert max(lengths) - min(lengths) <= 1
    assert all(before.end == after.at for before, after in itertools.pairwise(segments))


def test_a_file_is_divided_once_also_by_the_next_run(tmp_path: Path) -> None:
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        first, second = divided(part)
        feed(part, first, len(CLIP))
        assert not part.is_divisible
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        [rest] = [each for each in part.segments if each.left]
        join(part, rest)
        assert (rest.at, part.is_divisible) == (second.at, False)


@pytest.mark.parametrize("is_divided", [False, True])
def test_a_part_that_somebody_cuts_short_is_given_up_and_vouched_for_no_more(part: Part, is_divided: bool) -> None:
    """Writing on beyond the end would give the hole the length that is expected."""
    segment = divided(part)[-1] if is_divided else begin(part)
    feed(part, segment, 5000)
    os.truncate(part.path, 1000)
    with pytest.raises(FileError, match="cut short"):
        feed(part, segment, 5000)
    assert not part.path.with_name(part.path.name + ".json").exists()


def test_what_is_not_proved_leaves_what_is_here_until_it_is_restarted(part: Part) -> None:
    _, second = divided(part)
    with pytest.raises(ChangedError):
        part.accept(answer(200, {"content-length": str(len(CLIP)), "etag": TAG}), second)
    assert part.done == 5000
    part.restart()
    assert (part.done, os.path.getsize(part.path)) == (0, 0)
    begin(part)
    assert not part.is_divisible


def test_a_divided_part_is_not_believed_after_the_machine_was_started_anew(tmp_path: Path) -> None:
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        feed(part, divided(part)[1], 5000)
    sidecar = tmp_path / "fox.mp4.part.json"
    kept = sidecar.read_text()
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        assert part.done == 10_000
    boot = kept.split('"boot": "')[1].split('"')[0]
    sidecar.write_text(kept.replace(boot, "another"))
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        assert part.done == 0


def test_a_divided_part_of_the_version_before_is_gone_on_with(store: Store) -> None:
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


# ---------------------------------------------------------------------- two programs at one target


def test_two_programs_at_one_target_and_the_second_comes_at_its_very_end(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, told = os.link, list[str]()

    def link(source: Path, target: Path) -> None:
        real(source, target)
        with pytest.raises(FileError) as caught, open_part(part.final, "clip"):
            pass
        told.append(caught.value.message)

    monkeypatch.setattr(os, "link", link)
    feed(part, begin(part), len(CLIP))
    part.publish(force=False)
    assert part.final.read_bytes() == CLIP
    assert [each.name for each in part.final.parent.iterdir()] == ["fox.mp4"]
    assert "another airvid is saving" in told[0]


def test_a_part_that_has_its_final_name_already_is_left_as_it_is(part: Part) -> None:
    part.final.write_bytes(CLIP)
    part.path.unlink()
    os.link(part.final, part.path)
    with open_part(part.final, "clip") as another:
        assert another.done == 0
        assert part.final.read_bytes() == CLIP
    assert os.stat(part.final).st_nlink == 1
