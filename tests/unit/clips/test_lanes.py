"""Several connections at one part: which bytes are whose, and when it pays to add more (contract 8.1)."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_files import tiny_mp4

from airvid.api.http import Body
from airvid.clips.download import MOST, TICK, Lanes
from airvid.clips.part import SHORTEST_SPAN, CutError, Part, Span, open_part
from airvid.errors import FileError

CLIP = tiny_mp4(random.Random(1).randbytes(36 * SHORTEST_SPAN))
TAG = '"v1"'


def answer(status: int, headers: Mapping[str, str]) -> Body:
    async def nothing() -> Iterator[bytes]:  # type: ignore[misc]
        yield b""

    return Body(status, headers, "http://storage.test/clip.mp4", nothing())  # type: ignore[arg-type]


def begin(part: Part, tag: str = TAG, ranges: str = "bytes") -> Span:
    """The first connection's answer: all of the file."""
    span = part.take()
    assert span
    assert part.headers(span) == {}
    part.accept(answer(200, {"content-length": str(len(CLIP)), "etag": tag, "accept-ranges": ranges}), span)
    return span


def join(part: Part, **headers: str) -> Span | None:
    """One connection more, which gets what it asks for."""
    span = part.take()
    if span:
        asked = part.headers(span)
        assert asked["If-Range"] == TAG
        start = int(asked["Range"].removeprefix("bytes=").split("-")[0])
        given = {"content-range": f"bytes {start}-{(span.end or 0) - 1}/{len(CLIP)}", "etag": TAG}
        part.accept(answer(206, {**given, **headers}), span)
    return span


def feed(part: Part, span: Span, count: int) -> None:
    part.write(span, CLIP[span.at : span.at + count])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12 * SHORTEST_SPAN), st.integers(0, 9)), max_size=60))
def test_whatever_the_order_and_wherever_it_is_killed_the_clip_comes_out_whole(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int, int]]
) -> None:
    target = tmp_path_factory.mktemp("clip") / "fox.mp4"
    moves = [*moves, *((0, 12 * SHORTEST_SPAN, 5) for _ in range(60))]
    while moves:
        with open_part(target, "clip") as part:
            at_work = [begin(part)] if part.total is None else []
            while moves:
                which, count, kill = moves.pop(0)
                if kill == 9 and part.done:
                    break  # nothing is closed in order: the next round finds what a kill leaves
                if (span := join(part)) is not None:
                    at_work.append(span)
                if at_work:
                    span = at_work[which % len(at_work)]
                    feed(part, span, count)
                    if not span.left or kill == 8:
                        at_work.remove(span)
                        part.give_back(span)
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


def test_what_nothing_came_of_goes_back_to_the_connection_before_it(part: Part) -> None:
    first = begin(part)
    feed(part, first, 5000)
    second = part.take()
    assert second
    assert first.end == second.at
    part.give_back(second)
    assert (first.end, part.spans) == (len(CLIP), [first])


def test_what_nothing_came_of_is_not_given_to_a_connection_that_has_finished(part: Part) -> None:
    first = begin(part)
    feed(part, first, 5000)
    second = part.take()
    assert second
    feed(part, first, first.left or 0)
    part.give_back(second)
    part.finish(first)
    assert part.take() is second


def test_what_has_begun_stays_where_it_is(part: Part) -> None:
    first, second = begin(part), join(part)
    assert second
    feed(part, second, 5000)
    part.give_back(second)
    assert first.end == second.at - 5000
    assert part.take() is second


@pytest.mark.parametrize("count", [1, 2])
def test_a_part_that_somebody_cuts_short_is_given_up_and_vouched_for_no_more(part: Part, count: int) -> None:
    """Writing on beyond the end would give the hole the length that is expected."""
    spans = [begin(part), *(join(part) for _ in range(count - 1))]
    for span in spans:
        assert span
        feed(part, span, 5000)
    os.truncate(part.path, 1000)
    assert spans[-1]
    with pytest.raises(FileError, match="cut short"):
        feed(part, spans[-1], 5000)
    assert not part.path.with_name(part.path.name + ".json").exists()


@pytest.mark.parametrize(("tag", "ranges"), [(TAG, "none"), (TAG, ""), ('W/"v1"', "bytes"), ("", "bytes")])
def test_without_ranges_or_a_strong_validator_one_connection_does_it_all(part: Part, tag: str, ranges: str) -> None:
    begin(part, tag, ranges)
    assert part.take() is None


@pytest.mark.parametrize(
    "headers",
    [
        {"etag": '"v2"'},
        {"content-range": f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}"},
        {"content-range": f"bytes 1-2/{len(CLIP) + 1}"},
        {"content-range": ""},
    ],
)
def test_another_part_than_asked_for_is_not_taken_and_what_is_here_stays(part: Part, headers: dict[str, str]) -> None:
    first = begin(part)
    feed(part, first, 5000)
    with pytest.raises(CutError):
        join(part, **headers)
    part.give_back(part.spans[1])
    assert (part.done, part.spans, part.take()) == (5000, [first], None)


def test_a_whole_file_for_one_of_several_does_not_throw_away_what_the_others_have(part: Part) -> None:
    first = begin(part)
    feed(part, first, 5000)
    second = part.take()
    assert second
    with pytest.raises(CutError):
        part.accept(answer(200, {"content-length": str(len(CLIP)), "etag": TAG}), second)
    assert part.done == 5000


def test_a_part_with_several_spans_is_not_believed_after_the_machine_was_started_anew(tmp_path: Path) -> None:
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        first, second = begin(part), join(part)
        assert second
        feed(part, first, 5000)
        feed(part, second, 5000)
    sidecar = tmp_path / "fox.mp4.part.json"
    kept = sidecar.read_text()
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        assert part.done == 10_000
    boot = kept.split('"boot": "')[1].split('"')[0]
    sidecar.write_text(kept.replace(boot, "another"))
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        assert part.done == 0


# ---------------------------------------------------------------------- when more connections pay


def at_work_after(part: Part, seconds: float, each: float, everything: float) -> int:
    """How many connections are at work after so many seconds on a line that gives so many bytes a second to `each`."""
    lanes, now, spans = Lanes(), 0.0, [begin(part)]
    while now < seconds and not part.is_whole:
        for span in spans:
            feed(part, span, int(min(each, everything / len(spans)) * TICK))
        joined = [join(part) for _ in range(lanes.more(now, part, len(spans)))]
        spans += [span for span in joined if span]
        now += TICK
    return len(spans)


@pytest.mark.parametrize(
    ("each", "everything", "expected"),
    [(200_000, 1e12, MOST), (200_000, 200_000, 2), (1e9, 1e9, 1), (20_000_000, 20_000_000, 1)],
)
def test_connections_are_added_while_they_bring_more(part: Part, each: float, everything: float, expected: int) -> None:
    assert at_work_after(part, 3.0, each, everything) == expected


def test_a_connection_that_fails_is_the_last_word_on_how_many_there_may_be(part: Part) -> None:
    lanes = Lanes()
    begin(part)
    lanes.lost(1)
    feed(part, part.spans[0], 5000)
    assert [lanes.more(now / 10, part, 1) for now in range(9)] == [0] * 9


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
    span = begin(part)
    feed(part, span, len(CLIP))
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
