"""A download of 200 MB that is killed 50 times: nothing is lost, and little is fetched twice."""

from __future__ import annotations

import filecmp
import json
import os
import random
import re
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from forked_run import ForkedRun
from program import KEY
from terminal import environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork processes")

SIZE, KILLS, LIVE = 200 << 20, 50, 45
# Bytes a second for each connection: less than the client can take, so that little waits in the system's buffers, and
# that the rest is soon divided among several connections.
RATE = 5 << 20
PIECE = 64 << 10
TASK = "0f8fad5b-d9cb-469f-a165-70867728950e"


def write_clip(path: Path) -> None:
    """An MP4 of SIZE bytes, no two places of which are alike."""
    noise = random.Random(1)
    head = b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + b"\0\0\0\x1cmoov" + bytes(20)
    with path.open("wb") as file:
        file.write(head + (SIZE - len(head)).to_bytes(4, "big") + b"mdat")
        while left := SIZE - file.tell():
            file.write(noise.randbytes(min(left, 1 << 20)))


class Storage(ThreadingHTTPServer):
    """One finished task, and its clip, slowly. `sent` is what went out over all connections."""

    daemon_threads = True

    def __init__(self, clip: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.clip = os.open(clip, os.O_RDONLY)
        self.url = "http://{}:{}".format(*self.server_address)
        self.sent = 0
        # How many answers were parts of the clip that end before it does.
        self.segments = 0
        self._news = threading.Condition()
        # What is sent is soon received, not kept for a client that may be dead.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE)

    def count(self, sent: int) -> None:
        """Take note of bytes that went out."""
        with self._news:
            self.sent += sent
            self._news.notify_all()

    def wait_for(self, sent: int, process: ForkedRun) -> bool:
        """Wait until so much went out; False where the process ended first."""
        with self._news:
            while self.sent < sent:
                if not self._news.wait(0.5) and not process.is_alive:
                    return False
        return process.is_alive


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Storage

    def do_GET(self) -> None:
        with suppress(OSError):  # clients are killed
            self._send_clip() if self.path == "/clip.mp4" else self._send_task()

    def _send_task(self) -> None:
        told = {"task_id": TASK, "status": "completed", "result_url": f"{self.server.url}/clip.mp4"}
        body = json.dumps(told).encode()
        self._send_head(200, {"Content-Type": "application/json"}, len(body))
        self.wfile.write(body)

    def _send_clip(self) -> None:
        headers = {"Content-Type": "video/mp4", "ETag": '"the one"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None or self.headers.get("If-Range", '"the one"') != '"the one"':
            start, stop = 0, SIZE
            self._send_head(200, headers, SIZE)
        else:
            start, stop = int(asked[1]), min(SIZE, int(asked[2] or SIZE) + 1)
            if start >= SIZE:
                self._send_head(416, {"Content-Range": f"bytes */{SIZE}"}, 0)
                return
            self.server.segments += stop < SIZE
            self._send_head(206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{SIZE}"}, stop - start)
        due = time.monotonic()
        while start < stop:
            sent = self.connection.send(os.pread(self.server.clip, min(PIECE, stop - start), start))
            start += sent
            self.server.count(sent)
            # What a busy machine has missed is not sent all at once: it would wait in buffers for a kill.
            due = max(due, time.monotonic()) + sent / RATE
            time.sleep(max(0.0, due - time.monotonic()))

    def _send_head(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    write_clip(tmp_path / "clip.mp4")
    with Storage(tmp_path / "clip.mp4") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            os.close(server.clip)
    shutil.rmtree(tmp_path)  # 400 MB


def test_a_download_killed_fifty_times_is_whole_and_fetched_but_once(storage: Storage, tmp_path: Path) -> None:
    chance, live = random.Random(2), 0
    target = tmp_path / "home" / "here" / "fox.mp4"
    env = environment(tmp_path / "home", AIRVID_BASE_URL=storage.url, AIRVID_API_KEY=KEY)

    def start() -> ForkedRun:
        return ForkedRun(["download", TASK, "-o", "fox.mp4"], target.parent, env)

    for kill in range(KILLS):
        process, before = start(), storage.sent
        # The rest, shared among this kill, those to come, and the last run; at times nearly nothing.
        quota = int((SIZE - min(before, SIZE)) / (KILLS + 1 - kill) * chance.uniform(0.0, 2.0))
        live += storage.wait_for(before + max(1, quota), process)
        process.end()
        assert not target.exists()
    last = start()
    last.join(60)
    done = last.end()
    assert done.returncode == 0, done.stderr
    assert filecmp.cmp(target, tmp_path / "clip.mp4", shallow=False)
    assert {path.name for path in target.parent.iterdir()} == {"fox.mp4"}
    assert live >= LIVE
    assert storage.segments > KILLS
    assert storage.sent < 1.3 * SIZE
