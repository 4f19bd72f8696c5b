"""A download on the virtual clock: it goes on where the server proves the file to be the same, else starts anew."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from program import API, KEY, STORAGE
from small_files import tiny_mp4
from storage_host import CLIP, HALF, LINK, OTHER, TAG, Broken, StorageHost, begun, moved, rest, whole

from airvid.api.http import HttpClient
from airvid.clips.download import Received
from airvid.clips.part import DeadLinkError, NotVideoError
from airvid.errors import FileError, UnavailableError


@pytest.fixture
def store(tmp_path: Path) -> StorageHost:
    return StorageHost(tmp_path)


# ---------------------------------------------------------------------- the good ways


def test_a_clip_is_saved_and_nothing_is_left_beside_it(store: StorageHost) -> None:
    steps = store.save(whole())
    assert store.target.read_bytes() == CLIP
    assert store.left == {"fox.mp4"}
    assert steps[-1] == Received(len(CLIP), len(CLIP), is_whole=True)
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_a_clip_of_unannounced_length_is_saved(store: StorageHost) -> None:
    steps = store.save(begun(CLIP, total=None))
    assert (store.target.read_bytes(), steps[-2].total) == (CLIP, None)


def test_nothing_is_under_the_final_name_before_the_end(store: StorageHost) -> None:
    seen: list[set[str]] = []
    store.save(
        httpx.Response(200, headers={"ETag": TAG}, stream=Broken(CLIP[:HALF], CLIP[HALF:], breaks=False)),
        during=lambda: seen.append(store.left),
    )
    assert seen == [{"fox.mp4.part", "fox.mp4.part.json"}]


def test_a_link_as_target_is_followed(store: StorageHost) -> None:
    store.target.parent.mkdir()
    store.target.symlink_to("real.mp4")
    store.save(whole(), force=True)
    assert store.target.is_symlink()
    assert store.target.with_name("real.mp4").read_bytes() == CLIP


# ---------------------------------------------------------------------- going on


def test_an_interrupted_run_goes_on_where_it_stopped(store: StorageHost) -> None:
    store.leave_part()
    store.save(rest())
    assert store.ranges == [(f"bytes={HALF}-", TAG)]
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


@pytest.mark.parametrize("ending", [begun(CLIP[:HALF]), whole(CLIP[:HALF], length=len(CLIP))])
def test_a_truncated_clip_goes_on_in_the_same_run(store: StorageHost, ending: httpx.Response) -> None:
    store.save(ending, rest())
    assert store.ranges == [(None, None), (f"bytes={HALF}-", TAG)]
    assert store.target.read_bytes() == CLIP


@pytest.mark.parametrize("tag", ['W/"v1"', "", "v1", '"v1', None])
def test_what_no_strong_validator_vouches_for_starts_again(store: StorageHost, tag: str | None) -> None:
    store.save(begun(CLIP[:HALF], tag=tag), whole())
    assert store.ranges == [(None, None), (None, None)]
    assert store.target.read_bytes() == CLIP


@pytest.mark.parametrize(
    "sidecar", ['{"clip": "clip", "validator": 5, "total": null}', '{"clip":1,"validator":1,"total":1}']
)
def test_a_part_without_a_sound_validator_starts_again(store: StorageHost, sidecar: str) -> None:
    store.leave_part(tag=None)
    store.sidecar.write_text(sidecar)
    store.save(whole())
    assert store.ranges == [(None, None)]
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


@pytest.mark.parametrize("sidecar", [None, "", "[]", '"x"', "{}", "5", "\xff", "[" * 100_000, '{"mine": 1}'])
def test_a_part_without_our_sidecar_is_another_s_and_left_alone(store: StorageHost, sidecar: str | None) -> None:
    store.leave_part(tag=None)
    if sidecar is not None:
        store.sidecar.write_text(sidecar, encoding="latin-1")
    with pytest.raises(FileError, match="in the way: it is not airvid's"):
        store.save(whole())
    assert (store.asked, store.part.read_bytes(), store.target.exists()) == ([], CLIP[:HALF], False)
    assert sidecar is None or store.sidecar.read_text("latin-1") == sidecar


def test_a_part_is_known_as_ours_from_its_first_byte_on(store: StorageHost) -> None:
    """Also where no validator vouches for it: a killed run must not stand in its own way."""
    seen: list[set[str]] = []
    store.save(begun(CLIP[:HALF], tag=None), whole(), during=lambda: seen.append(store.left))
    assert seen == [{"fox.mp4.part", "fox.mp4.part.json"}]


def test_a_file_that_has_changed_is_taken_from_the_start(store: StorageHost) -> None:
    store.leave_part()
    store.save(whole(OTHER, tag='"v2"'))
    assert store.target.read_bytes() == OTHER


@pytest.mark.parametrize(
    "span",
    [
        f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}",
        f"bytes {HALF + 1}-{len(CLIP) - 1}/{len(CLIP)}",
        f"bytes {HALF}-{len(CLIP) - 1}/{len(CLIP) + 5}",
        f"bytes {HALF}-{len(CLIP) - 1}/*",
        "",
        "nonsense",
    ],
)
def test_another_part_than_asked_is_thrown_away(store: StorageHost, span: str) -> None:
    store.leave_part()
    store.save(rest(span=span), whole())
    assert store.ranges[1] == (None, None)
    assert store.target.read_bytes() == CLIP


def test_a_part_that_nobody_asked_for_is_not_taken_for_the_whole(store: StorageHost) -> None:
    store.save(rest(), whole())
    assert store.target.read_bytes() == CLIP


@pytest.mark.parametrize("total", [len(CLIP), None])
def test_a_part_that_was_whole_already_is_only_renamed(store: StorageHost, total: int | None) -> None:
    store.leave_part(CLIP, total=total)
    store.save(httpx.Response(416, headers={"Content-Range": f"bytes */{len(CLIP)}"}))
    assert len(store.asked) == (total is None)
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


@pytest.mark.parametrize("span", [f"bytes */{len(CLIP) - 7}", "bytes */*", ""])
def test_a_part_that_the_server_cannot_go_on_with_starts_again(store: StorageHost, span: str) -> None:
    store.leave_part(CLIP, total=None)
    store.save(httpx.Response(416, headers={"Content-Range": span}), whole(OTHER))
    assert store.target.read_bytes() == OTHER


def test_a_part_of_the_right_length_that_is_no_video_is_taken_again(store: StorageHost) -> None:
    store.leave_part(b"\0" * len(CLIP))
    with pytest.raises(NotVideoError):
        store.save(whole())
    store.save(whole())
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


def test_bytes_gained_renew_patience(store: StorageHost) -> None:
    size = len(CLIP) // 10 + 1
    starts = range(0, len(CLIP), size)
    down = [httpx.Response(503, headers={"Retry-After": "50"})]
    pieces = [begun(CLIP[:size]), *(_piece(start, size) for start in starts[1:])]
    store.save(*(each for piece in pieces for each in (*down, piece)))
    assert store.target.read_bytes() == CLIP
    assert store.clock.elapsed() > 300


def _piece(start: int, size: int) -> httpx.Response:
    headers = {"Content-Range": f"bytes {start}-{len(CLIP) - 1}/{len(CLIP)}", "ETag": TAG}
    stream = Broken(CLIP[start : start + size], breaks=start + size < len(CLIP))
    return httpx.Response(206, headers=headers, stream=stream)


# ---------------------------------------------------------------------- ways that lead nowhere


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@pytest.mark.parametrize("part", [None, CLIP[:HALF]])
def test_a_dead_link_is_told_at_once_and_keeps_the_part(store: StorageHost, status: int, part: bytes | None) -> None:
    if part:
        store.leave_part(part)
    with pytest.raises(DeadLinkError):
        store.save(httpx.Response(status))
    assert (len(store.asked), store.clock.elapsed()) == (1, 0)
    assert store.left == ({"fox.mp4.part", "fox.mp4.part.json"} if part else set())


@pytest.mark.parametrize(
    "answer", [httpx.Response(503), httpx.Response(429), httpx.Response(204), httpx.ConnectError("refused"), begun()]
)
def test_a_failing_host_is_given_up_after_about_a_minute(
    store: StorageHost, answer: httpx.Response | Exception
) -> None:
    with pytest.raises(UnavailableError):
        store.save(answer)
    assert 30 < store.clock.elapsed() <= 75
    assert len(store.asked) > 5


def test_a_host_that_was_down_for_a_moment_is_waited_for(store: StorageHost) -> None:
    store.save(httpx.ConnectError("refused"), httpx.Response(500), httpx.ReadTimeout("late"), whole())
    assert store.target.read_bytes() == CLIP


def test_a_failure_without_a_byte_leaves_nothing_behind(store: StorageHost) -> None:
    with pytest.raises(UnavailableError):
        store.save(begun())
    assert store.left == set()


# ---------------------------------------------------------------------- redirects and the key


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["http://cdn.test/a.mp4?s=1", "//cdn.test/a.mp4?s=1", "https://cdn.test/a.mp4?s=1"])
def test_redirects_are_followed_to_any_host(store: StorageHost, status: int, where: str) -> None:
    store.save(moved(where, status), whole())
    assert [each.url.host for each in store.asked] == ["storage.test", "cdn.test"]
    assert store.target.read_bytes() == CLIP


def test_a_relative_redirect_keeps_the_range(store: StorageHost) -> None:
    store.leave_part()
    store.save(moved("/b.mp4"), rest())
    assert str(store.asked[1].url) == f"{STORAGE}/b.mp4"
    assert store.ranges == [(f"bytes={HALF}-", TAG)] * 2
    assert store.target.read_bytes() == CLIP


@pytest.mark.parametrize("where", ["", "ftp://cdn.test/a", "file:///etc/passwd", "javascript:x", "http://"])
def test_a_redirect_to_no_web_address_is_refused(store: StorageHost, where: str) -> None:
    with pytest.raises(UnavailableError):
        store.save(moved(where))
    assert {each.url.host for each in store.asked} == {"storage.test"}


def test_a_redirect_from_https_down_to_http_is_refused(store: StorageHost) -> None:
    with pytest.raises(UnavailableError, match="https down to http"):
        store.save(moved("http://cdn.test/a.mp4"), url="https://storage.test/a.mp4")
    assert {each.url.scheme for each in store.asked} == {"https"}


def test_redirects_without_end_are_bounded(store: StorageHost) -> None:
    with pytest.raises(UnavailableError, match="redirects"):
        store.save(moved(LINK))
    assert len(store.asked) < 200


@pytest.mark.parametrize(
    ("url", "hops", "sent"),
    [
        (LINK, [], [False]),
        ("http://api.test/files/a.mp4", [], [True]),
        ("http://API.TEST:80/files/a.mp4", [], [True]),
        ("http://api.test:8080/a.mp4", [], [False]),
        ("https://api.test/a.mp4", [], [False]),
        ("http://api.test.evil.test/a.mp4", [], [False]),
        ("http://api.test@evil.test/a.mp4", [], [False]),
        ("http://api.test/a.mp4", [LINK], [True, False]),
        ("http://api.test/a.mp4", ["https://api.test/a.mp4"], [True, False]),
        ("http://api.test/a.mp4", ["/b.mp4", LINK], [True, True, False]),
    ],
)
def test_the_key_goes_to_the_apis_own_origin_only(
    store: StorageHost, url: str, hops: list[str], sent: list[bool]
) -> None:
    store.save(*map(moved, hops), whole(), url=url)
    assert [KEY in str(dict(each.headers)) for each in store.asked] == sent
    assert all(
        KEY not in str(each.url) + str(each.headers) or ours for each, ours in zip(store.asked, sent, strict=True)
    )


@pytest.mark.parametrize(
    "url", ["http://", "http://127.0.0.1:99999/a", "http://h\udcff/a", "http://xn--/", "http://127.0.0.1:0/"]
)
def test_an_address_that_leads_nowhere_is_an_error_of_ours(url: str) -> None:
    async def fetch() -> None:
        wire = HttpClient(API, KEY, use_proxies=False)
        try:
            async with wire.fetch(url, {}):
                pass
        finally:
            await wire.aclose()

    with pytest.raises(UnavailableError):
        asyncio.run(fetch())


# ---------------------------------------------------------------------- a disk that fails


class Marching(httpx.AsyncByteStream):
    """A body whose pieces come with each full second, together with those of others."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
            await asyncio.sleep(1 - asyncio.get_running_loop().time() % 1)


def test_of_connections_that_fail_in_one_turn_each_is_heard(
    store: StorageHost, caplog: pytest.LogCaptureFixture
) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no module resource")
    clip = tiny_mp4(bytes(12_000_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def serve(request: httpx.Request) -> httpx.Response:
        if len(store.asked) == 4:  # soon whoever writes finds the disk full
            limit = resource.RLIMIT_FSIZE, (1000, before[1])
            asyncio.get_running_loop().call_later(0.01, resource.setrlimit, *limit)
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        told = {"ETag": TAG, "Accept-Ranges": "bytes", "Content-Length": str(len(clip) - start)}
        told |= {"Content-Range": f"bytes {start}-{len(clip) - 1}/{len(clip)}"} if start else {}
        slowly = Marching(*(clip[at : at + 1000] for at in range(start, len(clip), 1000)))
        return httpx.Response(206 if start else 200, headers=told, stream=slowly)

    try:
        with pytest.raises(FileError):
            store.save(serve)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    gc.collect()
    assert len(store.asked) >= 4
    assert not caplog.records
