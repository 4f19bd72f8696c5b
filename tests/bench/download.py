"""Downloads from nginx on loopback, by whole processes: airvid, whose API has its answer ready, curl, and aria2c."""

from __future__ import annotations

import os
import random
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import NamedTuple

from small_files import tiny_mp4

from . import process, servers, start
from .rows import Line, Side, Sides, Skipped, Theme, at_most, times

MIB = 1 << 20
LENGTHS = {"1GiB": 1024 * MIB, "64MB": 64_000_000, "20MB": 20_000_000, "1kB": 1000}
TMPFS = Path("/dev/shm")
# What Python's TLS takes by itself: records into one buffer, the buffer into the file.
_BARE = """
import mmap, socket, ssl, sys, urllib.parse
url, target, roots = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3]
tls = ssl.create_default_context(cafile=roots)
line = tls.wrap_socket(socket.create_connection((url.hostname, url.port)), server_hostname=url.hostname)
line.sendall(f"GET {url.path} HTTP/1.0\\r\\nHost: {url.netloc}\\r\\n\\r\\n".encode())
buffer, count = memoryview(mmap.mmap(-1, 1 << 20)), 0
with open(target, "wb", buffering=0) as file:
    while more := line.read(len(buffer) - count, buffer[count:]):
        count = (count + more) % len(buffer)
        if not count:
            file.write(buffer)
    file.write(buffer[:count])
"""
_START = "{airvid, 1 kB:.0f} ms of it are the program's start and one call"

DISK_LINES = (
    Line("1 GiB to disk", "airvid", "curl -s -o", times(0.65),
         f"the disk, which curl does not wait for (where it does: {{curl, sync:.0f}} ms); {_START}"),
)  # fmt: skip
LINES = (
    Line("1 GiB to tmpfs", "airvid, tmpfs", "curl, tmpfs", times(0.85), f"one copy a byte, from the pipe; {_START}"),
    Line("1 GiB over https to tmpfs", "airvid, https", "curl, https", times(1.05),
         f"one core's TLS: {{a bare loop, https:.0f}} ms take a dozen lines of Python; {_START}"),
    Line("1 GiB, uncapped, where ranges can be had", "airvid, tmpfs", "airvid, no ranges", times(1.25),
         "a line that is full gets no second connection"),
)  # fmt: skip
CAPPED_LINES = (
    Line("64 MB at 2 MB/s a connection", "airvid", "curl -s -o", times(0.15), "eight connections: 1/8"),
    Line("64 MB at 2 MB/s a connection ", "airvid", "aria2c -x8 -s8 -k1M", times(1.1),
         "aria2c opens eight at once, ours double as long as that pays"),
)  # fmt: skip
MEMORY_LINES = (
    Line("memory of a 20 MB download", "20 MB", None, at_most(32), "httpx itself: 22 MB", "MB"),
    Line("memory of a 1 GiB download", "1 GiB", None, at_most(32), "httpx itself: 22 MB", "MB"),
    Line("memory of 1 GiB against 20 MB", "1 GiB", "20 MB", times(1.1), "one pipe, whatever the length", "MB"),
)


class Scene(NamedTuple):
    """A user with a folder on a disk, whose API knows a task for every file of nginx."""

    env: dict[str, str]
    disk: Path
    http: str
    https: str
    roots: str

    def download(self, url: str, folder: Path) -> tuple[list[str], Path]:
        """The command, and the file that it makes."""
        target = folder / "airvid.mp4"
        return [process.AIRVID, "download", _task_id(url), "-o", str(target)], target

    def airvid(self, url: str, folder: Path) -> Side:
        command, target = self.download(url, folder)
        return self._timed(target, *command)

    def curl(self, url: str, folder: Path) -> Side:
        target = folder / "curl.mp4"
        command = ("curl", "-sf", "--cacert", self.roots, "-o", str(target), url)
        return self._timed(target, *command)

    def bare(self, url: str, folder: Path) -> Side:
        target = folder / "bare.mp4"
        command = (sys.executable, "-I", "-c", _BARE, url, str(target), self.roots)
        return self._timed(target, *command)

    def curl_and_sync(self, url: str, folder: Path) -> Side:
        """What makes curl's file as safe from a power cut as ours is."""
        target = folder / "curl.mp4"
        command = ("sh", "-c", '"$0" -sf -o "$1" "$2" && sync "$1"', "curl", str(target), url)
        clear = _clearing(target)
        return process.timed(*command, env=self.env, before=lambda: (process.tool("curl"), clear()))

    def aria2c(self, url: str, folder: Path) -> Side:
        target = folder / "aria2c.mp4"
        command = ("aria2c", "--no-conf", "-q", "-x8", "-s8", "-k1M", "-d", str(folder), "-o", target.name, url)
        return self._timed(target, *command)

    def _timed(self, target: Path, *command: str) -> Side:
        """A command that makes `target`."""
        return process.timed(*command, env=self.env, before=_clearing(target))


@contextmanager
def to_disk() -> Iterator[Sides]:
    """1 GiB as fast as a disk takes it; by itself, for what is still on its way there slows everything down."""
    with _scene() as scene:
        yield {
            "airvid": scene.airvid(f"{scene.http}/1GiB.mp4", scene.disk),
            "curl -s -o": scene.curl(f"{scene.http}/1GiB.mp4", scene.disk),
            "airvid, 1 kB": scene.airvid(f"{scene.http}/1kB.mp4", scene.disk),
            "curl, sync": scene.curl_and_sync(f"{scene.http}/1GiB.mp4", scene.disk),
        }


@contextmanager
def sides() -> Iterator[Sides]:
    """1 GiB as fast as it goes."""
    with _scene() as scene, _tmpfs() as memory:
        plain, secure, whole = (f"{each}/1GiB.mp4" for each in (scene.http, scene.https, f"{scene.http}/whole"))
        yield {
            "airvid, tmpfs": scene.airvid(plain, memory),
            "curl, tmpfs": scene.curl(plain, memory),
            "airvid, https": scene.airvid(secure, memory),
            "curl, https": scene.curl(secure, memory),
            "a bare loop, https": scene.bare(secure, memory),
            "airvid, no ranges": scene.airvid(whole, memory),
            "airvid, 1 kB": scene.airvid(f"{scene.http}/1kB.mp4", memory),
        }


@contextmanager
def capped() -> Iterator[Sides]:
    """A server that gives each connection so much and no more."""
    with _scene() as scene:
        url = f"{scene.http}/capped/64MB.mp4"
        yield {
            "airvid": scene.airvid(url, scene.disk),
            "curl -s -o": scene.curl(url, scene.disk),
            "aria2c -x8 -s8 -k1M": scene.aria2c(url, scene.disk),
        }


@contextmanager
def memory() -> Iterator[Sides]:
    """What the program holds at its peak."""
    with _scene() as scene:
        found = {}
        for name, file in (("20 MB", "20MB"), ("1 GiB", "1GiB")):
            command, target = scene.download(f"{scene.http}/{file}.mp4", scene.disk)
            found[name] = process.peak(*command, env=scene.env, before=_clearing(target))
        yield found


@contextmanager
def _scene() -> Iterator[Scene]:
    with process.home() as (folder, env):
        tls = servers.certificate(folder)
        (folder / "www").mkdir()
        for name, length in LENGTHS.items():
            _make_clip(folder / "www" / f"{name}.mp4", length)
        with servers.nginx(folder, tls) as (http, https):
            places = (http, https, f"{http}/capped", f"{http}/whole")
            ids = {_task_id(url): url for place in places for url in (f"{place}/{name}.mp4" for name in LENGTHS)}
            answers = {f"/video/tasks/{each}": start.task(each, url) for each, url in ids.items()}
            with servers.canned(answers) as api:
                env |= {"AIRVID_BASE_URL": api, "SSL_CERT_FILE": tls.roots}
                yield Scene(env, folder, http, https, tls.roots)


@contextmanager
def _tmpfs() -> Iterator[Path]:
    if not TMPFS.is_dir() or disk_usage(TMPFS).free < 3 * LENGTHS["1GiB"]:
        raise Skipped(f"{TMPFS} is no file system in memory with 3 GiB to spare")
    with TemporaryDirectory(prefix="airvid-bench-", dir=TMPFS) as folder:
        yield Path(folder)


def _make_clip(path: Path, length: int) -> None:
    """An MP4 of boxes that add up, most of it one random megabyte over and over."""
    head, block = tiny_mp4(b""), random.Random(1).randbytes(MIB)
    with path.open("wb") as file:
        file.write(head[:-8] + (length - len(head) + 8).to_bytes(4, "big") + b"mdat")
        while left := length - file.tell():
            file.write(block[:left])


def _task_id(url: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, url))


def _clearing(target: Path) -> Callable[[], None]:
    """Before each run: nothing of the last one is there, or still on its way to the disk."""

    def clear() -> None:
        target.unlink(missing_ok=True)
        os.sync()

    return clear


DISK = Theme("download to disk", 9, DISK_LINES, to_disk)
THEME = Theme("download", 9, LINES, sides)
CAPPED = Theme("download, capped", 3, CAPPED_LINES, capped, warms_up=False)
MEMORY = Theme("download, memory", 3, MEMORY_LINES, memory)
