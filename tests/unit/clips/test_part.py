"""The file under way: which bytes are whose, and what a kill leaves."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_files import tiny_mp4
from storage_host import TAG

from airvid.api.http import Body
from airvid.clips.part import MOST_SEGMENTS, SHORTEST_SEGMENT, ChangedError, Part, Segment, open_part
from airvid.errors import FileError

CLIP = tiny_mp4(random.Random(1).randbytes(16 * SHORTEST_SEGMENT))


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
                    for segment in part.divide():
                        join(part, segment)
            if part.is_whole:
                part.publish(part.check(is_last=True), force=False)
                break
    assert target.read_bytes() == CLIP
    assert [each.name for each in target.parent.iterdir()] == ["fox.mp4"]


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    with open_part(tmp_path / "fox.mp4", "clip") as opened:
        yield opened


def divided(part: Part, done: int = 5000) -> list[Segment]:
    """A part of which so many bytes are there, divided; each segment has a connection."""
    feed(part, begin(part), done)
    assert part.is_divisible
    return [part.segments[0], *(join(part, each) for each in part.divide())]


def test_no_segment_gets_the_bytes_of_the_next(part: Part) -> None:
    first, second, *others = divided(part)
    feed(part, first, len(CLIP))
    assert (first.left, first.end, second.at) == (0, second.at, first.at)
    for segment in (*reversed(others), second):
        feed(part, segment, len(CLIP))
    part.publish(part.check(is_last=True), force=False)
    assert part.final.read_bytes() == CLIP


@pytest.mark.parametrize("left", [2, 3, 7.5, 8, 15])
def test_segments_are_about_as_long_as_each_other_and_not_too_short(part: Part, left: float) -> None:
    segments = divided(part, len(CLIP) - int(left * SHORTEST_SEGMENT))
    lengths = [each.left or 0 for each in segments]
    assert len(segments) == min(MOST_SEGMENTS, int(left))
    assert min(lengths) >= SHORTEST_SEGMENT
    assert max(lengths) - min(lengths) <= 1
    assert all(before.end == after.at for before, after in itertools.pairwise(segments))
    assert segments[-1].end == len(CLIP)


def test_what_is_short_is_not_divided(part: Part) -> None:
    feed(part, begin(part), len(CLIP) - 2 * SHORTEST_SEGMENT + 1)
    assert not part.is_divisible


def test_a_file_is_divided_once_also_by_the_next_run(tmp_path: Path) -> None:
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        *others, last = divided(part)
        for segment in others:
            feed(part, segment, len(CLIP))
        assert not part.is_divisible
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        [rest] = [each for each in part.segments if each.left]
        join(part, rest)
        assert (rest.at, part.is_divisible) == (last.at, False)


def test_a_kill_between_the_first_bytes_of_a_segment_and_the_note_of_them_is_no_harm(tmp_path: Path) -> None:
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        place = divided(part)[-1].at
        with part.path.open("r+b") as file:
            file.seek(place)
            file.write(CLIP[place:])
    with open_part(tmp_path / "fox.mp4", "clip") as part:
        assert part.done == 5000


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
    _, second, *_ = divided(part)
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
    part.publish(".mp4", force=False)
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
