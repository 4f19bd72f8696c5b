"""The end of a download: what counts as a video, and how the file gets its name without harm to other files."""

from __future__ import annotations

import io
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_files import tiny_mp4
from storage_host import CLIP, HALF, OTHER, TAG, StorageHost, begun, rest, whole

from airvid.clips.part import NotVideoError
from airvid.destinations import local
from airvid.errors import AirvidError, FileError, UnavailableError
from airvid.media import mp4

few = settings(max_examples=80, deadline=None, database=None, derandomize=True)


@pytest.fixture
def store(tmp_path: Path) -> StorageHost:
    return StorageHost(tmp_path)


def flaw(content: bytes) -> str | None:
    return mp4.flaw(io.BytesIO(content), len(content))


def box(kind: bytes, content: bytes = b"", *, size: int | None = None, long: bool = False) -> bytes:
    """A box whose header says `size`, its true one by default; `long` says it in 64 bits."""
    true = len(content) + (16 if long else 8)
    size = true if size is None else size
    head = b"\0\0\0\1" + kind + size.to_bytes(8, "big") if long else size.to_bytes(4, "big") + kind
    return head + content


FTYP, MOOV, MDAT = box(b"ftyp", b"isom\0\0\2\0"), box(b"moov", b"\0" * 20), box(b"mdat", b"x" * 50)
LONG_FTYP = box(b"ftyp", b"isom\0\0\2\0", long=True)

# ---------------------------------------------------------------------- what is a whole video


@pytest.mark.parametrize(
    "content",
    [
        FTYP + MOOV + MDAT,
        FTYP + MDAT + MOOV,
        FTYP + box(b"free") + MOOV + MDAT,
        FTYP + MOOV + box(b"mdat", b"x" * 50, long=True),
        FTYP + MOOV + box(b"mdat", b"x" * 50, size=0),
        LONG_FTYP + MOOV + MDAT,
        tiny_mp4(),
        FTYP + MOOV + MDAT + bytes(4),
        FTYP + MOOV + MDAT + b"\n",
        FTYP + MOOV + MDAT + b"TAG" + b"x" * 125,
    ],
)
def test_boxes_that_add_up_are_a_video(content: bytes) -> None:
    assert flaw(content) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        FTYP,
        FTYP + MOOV,
        FTYP + MDAT,
        FTYP + box(b"ftyp", MOOV + MDAT, size=0),
        FTYP + MOOV + MDAT[:-1],
        FTYP + MOOV[:-1],
        FTYP + MOOV + box(b"mdat", b"x" * 50, long=True)[:-1],
        FTYP + MOOV + box(b"mdat", b"x" * 50, size=2**64 - 1, long=True),
        FTYP + MOOV + box(b"mdat", b"x" * 50, size=7),
        FTYP + MOOV + box(b"mdat", b"x" * 50, size=8, long=True),
        FTYP + MOOV + box(b"mdat", b"x" * 50, size=0, long=True),
        FTYP + MOOV + b"\xff" * 60,
    ],
)
def test_boxes_that_do_not_add_up_are_no_whole_video(content: bytes) -> None:
    assert re.match("its end is missing|it has no", flaw(content) or "")


@pytest.mark.parametrize(
    "content",
    [
        b'{"error":"expired"}',
        b"<?xml version='1.0'?><Error/>",
        b"<!DOCTYPE html><html></html>",
        b"\0" * 100,
        b"ftypisom",
    ],
)
def test_what_does_not_begin_as_one_is_no_video(store: StorageHost, content: bytes) -> None:
    assert "it begins with" in (flaw(content) or "")
    with pytest.raises(NotVideoError) as caught:
        store.save(whole(content))
    assert caught.value.exit_code == 11


@few
@given(st.binary(max_size=40), st.integers(0, 150))
def test_no_bytes_break_the_check(noise: bytes, cut: int) -> None:
    for content in (noise, FTYP + MOOV + noise, (FTYP + MOOV + MDAT)[:cut] + noise):
        assert flaw(content) or content.startswith(FTYP + MOOV)


@few
@given(st.integers(0, len(CLIP) - 1))
@example(CLIP.index(b"mdat") - 4)
def test_no_cut_goes_unnoticed(cut: int) -> None:
    assert flaw(CLIP[:cut])


@pytest.mark.parametrize("content", [b'{"error":"expired"}', b"<html>login</html>", b"\0" * 5000])
@pytest.mark.parametrize("tag", [TAG, None])
def test_what_is_no_video_is_not_kept_under_any_name(store: StorageHost, content: bytes, tag: str | None) -> None:
    with pytest.raises(NotVideoError):
        store.save(whole(content, tag=tag))
    assert store.left == set()


def test_an_error_that_follows_a_good_beginning_is_no_clip(store: StorageHost) -> None:
    """A server that answers a range with whatever it likes, in the right length."""
    store.leave_part()
    with pytest.raises(AirvidError):
        store.save(rest(content=CLIP[:HALF] + b"\xff" * 40 + b"<html>"))
    assert not store.target.exists()


@pytest.mark.parametrize("cut", [0, 10, len(CLIP) - 1])
def test_a_clip_cut_short_without_a_length_is_taken_again(store: StorageHost, cut: int) -> None:
    store.save(begun(*filter(None, [CLIP[:cut]]), total=None, tag=None), whole())
    assert store.target.read_bytes() == CLIP


def test_a_clip_that_is_always_cut_short_is_given_up_and_not_kept(store: StorageHost) -> None:
    with pytest.raises(UnavailableError):
        store.save(lambda _: begun(CLIP[:HALF], total=None))
    assert not store.target.exists()
    assert store.clock.elapsed() < 120


# ---------------------------------------------------------------------- the name and the disk


def test_a_file_that_appears_meanwhile_is_left_alone_and_the_clip_is_kept(store: StorageHost) -> None:
    with pytest.raises(FileError, match="appeared meanwhile"):
        store.save(whole(), during=store.intrude)
    assert store.target.read_text() == "mine"
    assert store.part.read_bytes() == CLIP


def test_the_kept_clip_is_there_at_once_the_next_time(store: StorageHost) -> None:
    with pytest.raises(FileError):
        store.save(whole(), during=store.intrude)
    store.target.unlink()
    store.save(httpx.Response(416, headers={"Content-Range": f"bytes */{len(CLIP)}"}))
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


def test_force_replaces_what_is_there_in_one_step(store: StorageHost) -> None:
    store.target.parent.mkdir()
    store.target.write_bytes(OTHER)
    with store.target.open("rb") as reader:
        store.save(whole(), force=True)
        assert reader.read() == OTHER
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


def test_of_two_at_one_target_one_is_refused_and_the_other_saves(store: StorageHost) -> None:
    outcomes = store.save_twice(lambda _: begun(CLIP[:HALF], CLIP[HALF:], total=None))
    (refused,) = [each for each in outcomes if isinstance(each, BaseException)]
    assert isinstance(refused, FileError)
    assert "another airvid" in refused.message
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """A disk that takes no file beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_a_file_error_and_what_came_is_gone_on_with(store: StorageHost) -> None:
    with full_after(1000), pytest.raises(FileError, match="cannot be written"):
        store.save(whole())
    assert store.part.read_bytes() == CLIP[:1000]
    store.save(rest(1000))
    assert store.ranges[-1] == ("bytes=1000-", TAG)
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


@pytest.mark.parametrize("place", ["file/fox.mp4", "x" * 300 + "/fox.mp4", "folder"])
def test_a_place_that_takes_no_file_is_a_file_error_before_a_byte_is_asked_for(store: StorageHost, place: str) -> None:
    root = store.target.parent.parent
    (root / "file").write_text("x")
    (root / "folder.part").mkdir()
    store.target = root / place
    with pytest.raises(FileError):
        store.save(whole())
    assert store.asked == []


@pytest.mark.parametrize("place", ["file/fox.mp4", "x" * 300 + "/fox.mp4", "/proc/airvid/fox.mp4"])
def test_a_claim_on_a_place_that_takes_no_file_is_a_file_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError):
        local.claim(tmp_path / place)


def test_a_claim_makes_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    local.claim(tmp_path / "a" / "b" / "fox.mp4")
    assert os.listdir(tmp_path / "a" / "b") == []


def test_a_claim_on_a_full_disk_is_a_file_error(tmp_path: Path) -> None:
    with full_after(100), pytest.raises(FileError):
        local.claim(tmp_path / "fox.mp4")
    assert os.listdir(tmp_path) == []
