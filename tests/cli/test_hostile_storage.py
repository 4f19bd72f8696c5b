"""A hostile API, storage or disk on the way from a task to its file."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from event_streams import SSE, event
from program import KEY, World, json_answer
from proxies import answering, wired
from small_files import tiny_mp4
from storage_host import CLIP, HALF, OTHER, TAG, Broken, StorageHost, begun, rest, whole

from airvid import system
from airvid.api.answers import error_message
from airvid.api.events import LONGEST_EVENT
from airvid.errors import FileError, UnavailableError
from airvid.media import mp4
from airvid.sandbox.emulator import Fault, Request, Response

DONE = {"status": "completed", "progress": 100}


@pytest.fixture
def store(tmp_path: Path) -> StorageHost:
    return StorageHost(tmp_path)


def watched(world: World, *chunks: bytes, headers: dict[str, str] = SSE) -> tuple[int, float]:
    """Exit code and seconds of a watch whose stream says this, at once."""
    [task] = world.airvid("create", "fox", "-m", "wan-2.6").lines
    now = world.clock.now()
    answer = Response(200, headers, chunks=[(now, chunk) for chunk in chunks])
    world.emulator.faults.append(Fault("stream", answer))
    return world.airvid("watch", task).code, world.clock.now() - now


# ---------------------------------------------------------------------- what the API says


def test_a_page_without_end_is_read_once() -> None:
    """A pattern that looked at it again and again took hours, which no signal ended."""
    assert error_message(502, "<html><title>" + " " * 1_000_000, None) == "an HTML page (HTTP 502)"
    assert "“Bad gateway”" in error_message(502, "<html><TITLE lang=en>\n Bad gateway </title>", None)


@pytest.mark.parametrize("charset", ["utf-16", "hex", "zlib", "idna", "undefined", "nonsense"])
def test_a_stream_is_utf_8_whatever_its_header_says(world: World, charset: str) -> None:
    headers = {"Content-Type": f"text/event-stream; charset={charset}"}
    assert watched(world, event({"status": "processing"}), headers=headers)[0] == 0


def test_a_byte_order_mark_swallows_nothing(world: World) -> None:
    assert json.loads(error_message(200, "\ufeff{}", None).removeprefix("\ufeff")) == {}
    world.answer = lambda request: (
        Response(200, {"Content-Type": "application/json"}, "\ufeff".encode() + json.dumps(DONE).encode())
        if request.route.endswith("/xxxx")
        else None
    )
    assert world.airvid("status", "xxxx").code == 0


@pytest.mark.parametrize("line", [b"data: ", b":", b""])
def test_an_event_that_does_not_end_is_not_kept(world: World, line: bytes) -> None:
    chunks = [line, *([b"x" * 65_536] * (2 * LONGEST_EVENT // 65_536))]
    code, seconds = watched(world, *chunks)
    assert (code, seconds < 120) == (0, True)


def bomb(levels: int, size: int) -> bytes:
    content = bytes(size)
    for _ in range(levels):
        content = gzip.compress(content)
    return content


@pytest.mark.parametrize(
    ("encoding", "body", "told"),
    [
        ("gzip, gzip", lambda: bomb(2, 10_000_000), "was not asked for"),
        ("br", lambda: b"x", "was not asked for"),
        ("gzip", lambda: bomb(1, 70 << 20), "does not end"),
        ("gzip", lambda: b"no gzip", "broke"),
        ("gzip", lambda: gzip.compress(b'{"status":"completed"}' * 9)[:-40], "makes no sense"),
    ],
    ids=["twice", "otherwise", "endless", "not at all", "cut"],
)
def test_what_is_compressed_beyond_reason_is_no_answer(
    world: World, encoding: str, body: Callable[[], bytes], told: str
) -> None:
    # So slow that a second attempt is the last one.
    answer = Response(200, {"Content-Encoding": encoding}, body(), delay=29)
    world.answer = lambda _: answer
    result = world.airvid("status", "00000000-0000-4000-8000-000000000000")
    assert (result.code, told in result.err) == (9, True), result.err


def test_the_key_is_not_kept_though_a_stream_spells_it_in_escapes(world: World) -> None:
    spelled = "".join(f"\\u{ord(each):04x}" for each in KEY)
    watched(world, f'data: {{"status":"{spelled}"}}\n\n'.encode())
    files = [path.read_bytes() for path in world.folder.parent.rglob("journal.db*")]
    assert files
    assert not any(KEY.encode() in content for content in files)


def test_a_watch_has_its_time_also_before_the_task_is_known(world: World) -> None:
    world.airvid("create", "fox")
    world.answer = lambda _: Response(503)
    # Without an id nothing is known of a task that goes on.
    for words, code in ((["watch"], 9), (["watch", "abcd1234"], 10)):
        began = world.clock.now()
        assert world.airvid(*words, "--timeout", "5").code == code
        assert world.clock.now() - began == pytest.approx(5)
    silent_until = world.clock.now() + 600
    world.answer = lambda _: Response(503) if world.clock.now() < silent_until else None
    assert world.airvid("watch").code == 0  # and without one it gives up on no server


def test_a_completed_task_whose_url_is_late_is_downloaded(world: World) -> None:
    [task] = world.airvid("create", "fox").lines
    world.clock.advance(600)
    readings = []

    def answer(request: Request) -> Response | None:
        if not request.route.endswith(task) or request.method != "GET":
            return None
        readings.append(world.clock.now())
        return json_answer(200, {"task_id": task, **DONE}) if len(readings) < 3 else None

    world.answer = answer
    assert world.airvid("download", task, "-o", "fox.mp4").code == 0
    world.answer = lambda request: json_answer(200, {"task_id": task, **DONE}) if request.route.endswith(task) else None
    assert world.airvid("download", task, "-o", "other.mp4").code == 9


# ---------------------------------------------------------------------- what the storage sends


class Endless(httpx.AsyncByteStream):
    """Some bytes, and then nothing, again and again: the trailers, or a compression, that drip."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        while True:
            await asyncio.sleep(2)
            yield b""


def test_where_no_byte_comes_any_more_another_connection_is_tried(store: StorageHost) -> None:
    headers = {"ETag": TAG, "Content-Length": str(len(CLIP))}
    store.save(httpx.Response(200, headers=headers, stream=Endless(CLIP[:HALF])), rest())
    assert store.target.read_bytes() == CLIP
    assert store.clock.elapsed() < 90


def test_what_is_whole_waits_for_nothing_more(store: StorageHost) -> None:
    headers = {"ETag": TAG, "Content-Length": str(len(CLIP))}
    store.save(httpx.Response(200, headers=headers, stream=Endless(CLIP)))
    assert store.target.read_bytes() == CLIP
    assert store.clock.elapsed() < 1


def test_a_part_without_the_validator_proves_nothing(store: StorageHost) -> None:
    store.leave_part()
    other = rest(content=OTHER.ljust(len(CLIP), b"\0")[: len(CLIP)])
    del other.headers["ETag"]
    store.save(other, whole())
    assert store.target.read_bytes() == CLIP


@pytest.mark.parametrize("tag", ['"\xe9"', '"a\x7f"', '"a\tb"'], ids=ascii)
def test_a_validator_that_no_header_carries_starts_over(store: StorageHost, tag: str) -> None:
    headers = [(b"ETag", tag.encode("latin-1")), (b"Content-Length", str(len(CLIP)).encode())]
    store.save(httpx.Response(200, headers=headers, stream=Broken(CLIP[:HALF])), whole())
    assert store.ranges == [(None, None), (None, None)]
    assert store.target.read_bytes() == CLIP


def test_a_gzip_that_is_cut_is_not_whole(store: StorageHost) -> None:
    def packed(body: bytes) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Broken(body, breaks=False))

    body = gzip.compress(CLIP)
    store.save(packed(body[:-20]), packed(body))
    assert len(store.asked) == 2
    assert store.target.read_bytes() == CLIP


def open_ended(clip: bytes) -> bytes:
    """The clip with a last box that reaches to wherever the file ends."""
    return clip + (0).to_bytes(4, "big") + b"mdat" + bytes(5000)


def test_a_clip_that_nobody_told_the_end_of_is_not_believed(store: StorageHost) -> None:
    content = open_ended(CLIP)
    with pytest.raises(UnavailableError, match="its end is missing"):
        store.save(lambda _: begun(content[:-2000], total=None))
    chunked = httpx.Response(200, headers={"Transfer-Encoding": "chunked"}, content=content)
    store.save(chunked)
    assert store.target.read_bytes() == content


def test_a_file_of_tiny_boxes_is_soon_given_up() -> None:
    boxes = b"".join((8).to_bytes(4, "big") + n.to_bytes(4, "big") for n in range(100_000))
    content = tiny_mp4(b"") + boxes
    assert "more than" in (mp4.flaw(io.BytesIO(content), len(content)) or "")


# ---------------------------------------------------------------------- the files of the one under way


@pytest.mark.parametrize(
    "kept",
    [
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":[[0,1e999]]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":[]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":0,"boot":BOOT,"spans":[]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":{"12":3}}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":[[true,9999]]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":[[5,3]]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":[[-5,9999]]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":[[0,500],[400,9999]]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":[[0,10],[9000,9100]]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":[[9000,9999]]}',
        '{"clip":"clip","validator":"\\"v1\\"","total":9999,"boot":BOOT,"spans":['
        + "".join(f"[{n},{n + 1}]," for n in range(500))
        + "[500,9999]]}",
        '{"clip":"clip","validator":"\\"v\\r\\n1\\"","total":9999}',
        '{"clip":"clip","validator":"\\"\\u00e9\\"","total":9999}',
        '{"clip":"clip","validator":"\\"\\ud800\\"","total":9999}',
    ],
    ids=lambda kept: kept[-60:],
)
def test_a_sidecar_that_vouches_for_what_cannot_be_starts_over(store: StorageHost, kept: str) -> None:
    store.leave_part(tag=None)
    boot = json.dumps(system.boot_id())
    store.sidecar.write_text(kept.replace("9999", str(len(CLIP))).replace("BOOT", boot))
    store.save(whole())
    assert store.ranges == [(None, None)]
    assert (store.target.read_bytes(), store.left) == (CLIP, {"fox.mp4"})


@pytest.mark.skipif(system.IS_WINDOWS, reason="Windows has no FIFOs")
def test_a_sidecar_that_is_no_file_is_not_waited_for(store: StorageHost) -> None:
    store.leave_part(tag=None)
    os.mkfifo(store.sidecar)
    with pytest.raises(FileError, match="it is a FIFO"):
        store.save(whole())
    assert store.part.read_bytes() == CLIP[:HALF]


def _garbage(part: Path) -> None:
    part.unlink()
    part.write_bytes(b"garbage")


def _link(part: Path) -> None:
    part.unlink()
    part.symlink_to("/etc/passwd")


def _folder(part: Path) -> None:
    part.unlink()
    part.mkdir()


@pytest.mark.parametrize("exchange", [_garbage, _link, _folder, Path.unlink])
@pytest.mark.parametrize("force", [False, True])
def test_what_stands_in_the_part_s_place_is_not_published(
    store: StorageHost, exchange: Callable[[Path], None], force: bool
) -> None:
    with pytest.raises(FileError, match="removed or replaced"):
        store.save(whole(), force=force, during=lambda: exchange(store.part))
    assert not os.path.lexists(store.target)
    assert not store.sidecar.exists()


def test_a_part_that_lost_bytes_meanwhile_is_fetched_anew(store: StorageHost) -> None:
    store.save(whole(), during=lambda: os.truncate(store.part, HALF))
    assert store.target.read_bytes() == CLIP


# ---------------------------------------------------------------------- the line itself


def dripping(*pieces: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """These bytes, and on and on the last ones."""

    def answer(connection: socket.socket, ended: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)
        while not ended.wait(0.02):
            connection.sendall(pieces[-1])

    return answer


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        pytest.param((b"HTTP/1.1 200 OK\r\nX-A: ", b"a"), "did not answer in time", id="a head that drips"),
        pytest.param((b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50,), "did not answer in time", id="hints without end"),
        pytest.param(
            (b"HTTP/1.1 302 Found\r\nLocation: file:///x\r\nContent-Length: 60000\r\n\r\n", b"a"),
            "not a web address",
            id="a redirect whose body drips",
        ),
    ],
)
def test_a_server_that_drips_does_not_hold_us(pieces: tuple[bytes, ...], told: str) -> None:
    async def fetch(url: str) -> None:
        async with wired(url, connect=0.1, read=0.2) as wire, wire.fetch(f"{url}/clip.mp4", {}):
            pass

    with answering(dripping(*pieces)) as url, pytest.raises(UnavailableError, match=told):
        asyncio.run(fetch(url))
