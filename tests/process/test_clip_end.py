"""Where a video ends: by its own headers where the server does not tell, and a disk's room for one without end."""

from __future__ import annotations

import io
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from program_process import LinkedEmulator, User, make_tasks, posts
from proxies import answering
from small_files import tiny_mp4

from airvid.media import mp4
from airvid.sandbox.server import Server

# ---------------------------------------------------------------------- videos in fragments


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full(kind: bytes, flags: int, *numbers: int) -> bytes:
    return box(kind, struct.pack(f">{1 + len(numbers)}I", flags, *numbers))


def track(number: int = 1, samples: int = 0) -> bytes:
    media = (
        full(b"mdhd", 0, 0, 0, 1000, 0, 0),
        box(b"minf", box(b"stbl", full(b"stts", 0, *([1, samples, 500] if samples else [0])))),
    )
    return box(b"trak", full(b"tkhd", 0, 0, 0, number, 0, 0), box(b"mdia", *media))


def fragment(number: int = 1, samples: int = 2, *, own: bool = False) -> bytes:
    """One second: two samples of half a second, told one by one (`own`) or by the track's default."""
    run = full(b"trun", 0x100, samples, *[500] * samples) if own else full(b"trun", 0, samples)
    return box(b"moof", box(b"traf", full(b"tfhd", 0, number), run)) + box(b"mdat", os.urandom(200))


def head(*, seconds: int = 0, whole: int = 0, tracks: int = 1) -> bytes:
    """`seconds` as `mvhd` tells them, `whole` as `mehd` does; 0 for nothing."""
    defaults = [full(b"trex", 0, number, 1, 500, 0, 0) for number in range(1, tracks + 1)]
    extends = box(b"mvex", *([full(b"mehd", 0, whole * 100)] if whole else []), *defaults)
    movie = full(b"mvhd", 0, 0, 0, 100, seconds * 100)
    return box(b"ftyp", b"iso5\0\0\2\0") + box(b"moov", movie, *(track(n) for n in range(1, tracks + 1)), extends)


def index(*seconds: int) -> bytes:
    return full(b"sidx", 0, 1, 1000, 0, 0, len(seconds), *(n for each in seconds for n in (300, each * 1000, 0)))


PIECES = [fragment(), fragment(own=True), fragment(), fragment(own=True)]
TOLD = {
    "mvhd": head(seconds=4),
    "mehd": head(whole=4),
    "sidx": head() + index(1, 1, 1, 1),
}
UNTOLD = {"nothing": head(), "an index of one fragment": head() + index(1)}


def is_complete(content: bytes) -> bool | None:
    assert mp4.flaw(io.BytesIO(content), len(content), may_end_anywhere=False) is None
    return mp4.is_complete(io.BytesIO(content), len(content))


@pytest.mark.parametrize("start", TOLD.values(), ids=TOLD.keys())
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_video_in_fragments_tells_its_end(start: bytes, count: int) -> None:
    assert is_complete(start + b"".join(PIECES[:count])) is (count == 4)


@pytest.mark.parametrize("start", UNTOLD.values(), ids=UNTOLD.keys())
def test_one_that_does_not_tell_proves_nothing_without_its_last_index(start: bytes) -> None:
    assert is_complete(start + b"".join(PIECES)) is None
    assert is_complete(start + b"".join(PIECES) + box(b"mfra", full(b"mfro", 0, 16))) is True
    assert is_complete((start + b"".join(PIECES))[:-208]) is False  # a `moof` without its media


def test_a_track_that_is_short_is_in_doubt() -> None:
    both = head(whole=2, tracks=2)
    pieces = [fragment(1), fragment(2), fragment(1), fragment(2)]
    assert is_complete(both + b"".join(pieces)) is True
    assert is_complete(both + b"".join(pieces[:-1])) is None


@pytest.mark.parametrize("at", range(4, len(TOLD["mvhd"]), 3))
def test_headers_that_cannot_be_read_are_no_crash(at: int) -> None:
    start = TOLD["mvhd"]
    content = start[:at] + b"\xff" * min(4, len(start) - at) + start[at + 4 :] + PIECES[0]
    mp4.is_complete(io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    "flags", ["frag_keyframe", "frag_keyframe+empty_moov", "dash+frag_keyframe", "cmaf+frag_keyframe"]
)
def test_what_ffmpeg_writes_in_fragments_is_whole_as_it_is_alone(flags: str) -> None:
    av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
    target = io.BytesIO()
    with av.open(target, "w", format="mp4", options={"movflags": flags}) as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "12"})
        stream.width = stream.height = 64
        for n in range(72):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([n]) * plane.buffer_size)
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    whole = target.getvalue()
    assert is_complete(whole) is True
    ends = [at for at in range(1, len(whole)) if not mp4.flaw(io.BytesIO(whole), at)]
    assert ends
    assert not any(mp4.is_complete(io.BytesIO(whole[:at]), at) for at in ends)


# ---------------------------------------------------------------------- from a server that just hangs up


@contextmanager
def hanging_up(*bodies: bytes) -> Iterator[tuple[str, list[int]]]:
    """A storage that tells no length and closes, with its answers in order, the last one for ever."""
    left, asked = list(bodies), []

    def answer(connection: socket.socket, _: threading.Event) -> None:
        asked.append(1)
        body = left.pop(0) if len(left) > 1 else left[0]
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nConnection: close\r\n\r\n" + body)

    with answering(answer) as url:
        yield f"{url}/clip.mp4", asked


def download(user: User, server: Server, url: str) -> subprocess.CompletedProcess[str]:
    assert isinstance(server.emulator, LinkedEmulator)
    server.emulator.links = [url]
    [task] = make_tasks(server)
    return user.airvid("download", task, "-o", "fox.mp4")


WHOLE = TOLD["mvhd"] + b"".join(PIECES)
UNTOLD_WHOLE = UNTOLD["nothing"] + b"".join(PIECES)
CUT = -len(PIECES[-1])


@pytest.mark.parametrize(
    ("bodies", "fetches"),
    [
        ([tiny_mp4()], 1),
        ([WHOLE], 1),
        ([WHOLE[:CUT], WHOLE], 2),
        ([UNTOLD_WHOLE], 2),
        ([UNTOLD_WHOLE[:CUT], UNTOLD_WHOLE], 3),
    ],
    ids=["ordinary", "tells", "tells and is cut", "does not tell", "does not tell and is cut"],
)
def test_a_clip_without_a_length_is_saved_whole(server: Server, user: User, bodies: list[bytes], fetches: int) -> None:
    with hanging_up(*bodies) as (url, asked):
        done = download(user, server, url)
    assert (done.returncode, len(asked)) == (0, fetches), done.stderr
    assert (user.target.read_bytes(), user.left) == (bodies[-1], {"fox.mp4"})


# ---------------------------------------------------------------------- the room there is


@pytest.fixture
def small_disk(user: User) -> Iterator[Path]:
    """A disk of 24 MB under the user's folder."""
    if not shutil.which("mount") or os.geteuid():
        pytest.skip("only root can mount a disk")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", user.here], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mount is not allowed here")
    yield user.here
    subprocess.run(["umount", "-l", user.here], check=True)


def endless(start: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, ended: threading.Event) -> None:
        with suppress(OSError):
            connection.sendall(start + tiny_mp4()[:-1008] + struct.pack(">I4sQ", 1, b"mdat", 1 << 40))
            while not ended.is_set():
                connection.sendall(b"\0" * (1 << 18))

    return answer


@pytest.mark.parametrize("length", [b"", b"Content-Length: 99999999999\r\n"], ids=["endless", "announced"])
def test_a_clip_without_end_leaves_the_disk_as_it_was(
    server: Server, user: User, small_disk: Path, length: bytes
) -> None:
    free = shutil.disk_usage(small_disk).free
    with answering(endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + b"\r\n")) as url:
        done = download(user, server, f"{url}/clip.mp4")
    assert done.returncode == 11, done.stderr
    assert "error: " in done.stderr
    assert "the disk" in done.stderr
    assert (user.left, shutil.disk_usage(small_disk).free) == (set(), free)


def test_a_clip_without_end_never_takes_the_last_of_a_disk(server: Server, user: User, small_disk: Path) -> None:
    least = [shutil.disk_usage(small_disk).free]
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.002):
            least.append(shutil.disk_usage(small_disk).free)

    watching = threading.Thread(target=look)
    watching.start()
    with answering(endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")) as url:
        done = download(user, server, f"{url}/clip.mp4")
    is_over.set()
    watching.join()
    assert done.returncode == 11, done.stderr
    assert min(least) >= 1 << 20


def test_a_full_disk_is_found_before_paying(server: Server, user: User, small_disk: Path) -> None:
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1 << 16))
    done = user.airvid("create", "fox", "-m", "wan-2.6", "-o", "fox.mp4")
    assert (done.returncode, posts(server)) == (11, 0), done.stderr
