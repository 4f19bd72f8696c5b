"""The storage of the random searches: true clips, whose answers are spoilt at random on their way out.

What it sends is never wrong in a way that nothing could tell: a strong validator belongs to one version of a file.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

import random_answers as odd
from raw_server import Received, Reply, Step

if TYPE_CHECKING:
    from random_api import Case

# How many answers are spoilt at the most.
MOST_ODD = 8


class Storage:
    """Pre-signed files, each in several versions that may follow one another."""

    def __init__(self, case: Case, urls: dict[str, str]) -> None:
        self._case, self._urls = case, urls
        self._versions: dict[str, list[bytes]] = {}
        self._current: dict[str, int] = {}
        self._count = 0
        rng = case.random("storage")
        self.share = 0.0
        self._tag = rng.choice(["strong", "strong", "strong", "weak", "none"])
        self._ranges = rng.random() < 0.8

    def put(self, name: str, versions: Sequence[bytes]) -> None:
        self._versions[name] = list(versions)
        self._current[name] = 0

    def url(self, name: str) -> str:
        return f"{self._urls['storage']}/{name}.mp4?X-Amz-Signature=0123456789abcdef"

    def is_whole(self, name: str, content: bytes) -> bool:
        """Whether a file is this clip, in one of its versions."""
        return content in self._versions.get(name, [])

    def answer(self, request: Received) -> Reply:
        found = re.search(r"/([0-9a-f-]{36})\.mp4", request.path)
        name = found[1] if found else ""
        if name not in self._versions or request.method != "GET":
            return odd.plain(404, [], b"<Error><Code>NoSuchKey</Code></Error>")
        n, self._count = self._count, self._count + 1
        if n >= MOST_ODD or not self._case.is_odd(f"clip {n}", self.share):
            return self._true(name, request)
        rng = self._case.random(f"clip {n}")
        kinds: list[tuple[Callable[[Random, str, Received], Reply], int]] = [
            (self._framed, 6),
            (self._cut, 5),
            (self._changed, 3),
            (self._status, 3),
            (self._redirect, 3),
            (self._no_clip, 3),
            (self._without_length, 3),
            (self._wrong_part, 3),
            (self._more_behind, 4),
            (self._dripping, 2),
            (self._encoded, 2),
        ]
        return rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0](rng, name, request)

    # ------------------------------------------------------------------ the truth

    def _content(self, name: str) -> bytes:
        return self._versions[name][self._current[name]]

    def _validator(self, name: str) -> odd.Headers:
        tag = f'"{name[:8]}-{self._current[name]}"'
        ranges = [("Accept-Ranges", "bytes" if self._ranges else "none")]
        return ranges + {"strong": [("ETag", tag)], "weak": [("ETag", f"W/{tag}")], "none": []}[self._tag]

    def _part(self, name: str, request: Received) -> tuple[int, odd.Headers, bytes]:
        """Status, headers and body that a request deserves."""
        content, headers = self._content(name), [*self._validator(name), ("Content-Type", "video/mp4")]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        tag = request.headers.get("if-range")
        if not asked or not self._ranges or (tag is not None and ("ETag", tag) not in headers):
            return 200, headers, content
        start, end = int(asked[1]), min(len(content), int(asked[2] or len(content)) + 1)
        if start >= len(content):
            return 416, [*headers, ("Content-Range", f"bytes */{len(content)}")], b""
        return 206, [*headers, ("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")], content[start:end]

    def _true(self, name: str, request: Received) -> Reply:
        return odd.plain(*self._part(name, request))

    # ------------------------------------------------------------------ the odd

    def _framed(self, rng: Random, name: str, request: Received) -> Reply:
        """Framings that leave a way to tell whether all is there. Without a length, an MP4's boxes tell."""
        return odd.framed(rng, *self._part(name, request))

    def _cut(self, rng: Random, name: str, request: Received) -> Reply:
        status, headers, body = self._part(name, request)
        whole = odd.head(status, [*headers, ("Content-Length", str(len(body)))]) + body
        at = rng.choice([rng.randrange(len(whole)), len(whole) - 1, len(whole) - len(body) // 2])
        pause = rng.choice([0.0, 0.0, *odd.PAUSES])
        return Reply((whole[:at], pause), rng.choice(["close", "reset", "silent"]))

    def _changed(self, rng: Random, name: str, request: Received) -> Reply:
        """From now on the file is another one."""
        self._current[name] = min(self._current[name] + 1, len(self._versions[name]) - 1)
        return rng.choice([self._true, self._true, lambda *_: self._cut(rng, name, request)])(name, request)

    def _status(self, rng: Random, name: str, request: Received) -> Reply:
        status = rng.choice([201, 204, 206, 299, 304, 400, 401, 403, 404, 410, 416, 429, 500, 503, 503])
        headers = [*odd.more_headers(rng), ("Retry-After", odd.retry_after(rng))]
        return odd.framed(rng, status, headers, odd.noise(rng, status))

    def _redirect(self, rng: Random, name: str, request: Received) -> Reply:
        here, elsewhere = (f"{self._urls[each]}/{name}.mp4?again" for each in ("storage", "stranger"))
        where = rng.choice([here, elsewhere, f"/{name}.mp4", odd.location(rng, self._urls["storage"], elsewhere)])
        content = rng.choice([b"", b"moved", b"x" * 100_000, self._content(name)])
        return odd.framed(rng, rng.choice([301, 302, 303, 307, 308]), [("Location", where)], content)

    def _no_clip(self, rng: Random, name: str, request: Received) -> Reply:
        magic = rng.choice([b"\x1aE\xdf\xa3webm", b"GIF89a", b"G" + b"\0" * 187, b"\0\0\0\x18ftyp", b"\0" * 100])
        content = rng.choice([b"", odd.noise(rng), magic + b"x" * 1000, b"\0\0\0\x18ftypisom" + b"\0" * 12])
        return odd.framed(rng, rng.choice([200, 200, 206]), odd.more_headers(rng), content)

    def _without_length(self, rng: Random, name: str, request: Received) -> Reply:
        """The connection's end, or the last chunk, is the file's: whole, or cut before it."""
        status, headers, body = self._part(name, request)
        sent = rng.choice([body, body, body[: len(body) // 2], body[: rng.randrange(len(body) or 1)]])
        if rng.random() < 0.5:
            return Reply((odd.head(status, [*headers, ("Connection", "close")]) + sent,), "close")
        end = b"0\r\n\r\n" if sent == body or status == 200 else b""
        chunked = odd.head(status, [*headers, ("Transfer-Encoding", "chunked")]) + odd.chunks(sent, 5000) + end
        return Reply((chunked,), "close")

    def _wrong_part(self, rng: Random, name: str, request: Received) -> Reply:
        """A part that is marked as another than the one asked for, or as one of another file, or not marked."""
        content = self._content(name)
        start = rng.randrange(len(content))
        total = rng.choice([str(len(content)), str(len(content) + 1), "*", "0", "x"])
        ranges = [f"bytes {start + 1}-{len(content) - 1}/{total}", f"bytes 0-0/{total}", "bytes", "", f"x {start}-5/9"]
        headers = [("ETag", rng.choice(['"other"', 'W/"other"', '"', ""])), ("Content-Range", rng.choice(ranges))]
        kind = rng.random()
        if kind < 0.2:
            headers = [("Content-Type", "multipart/byteranges; boundary=x")]
        if kind > 0.8:
            headers = [("Content-Length", str(len(content)))]
        return odd.framed(rng, rng.choice([206, 206, 416]), headers[:2], content[start:])

    def _more_behind(self, rng: Random, name: str, request: Received) -> Reply:
        """Behind the answer comes another one, of another clip."""
        other = rng.choice(sorted(self._versions))
        content, tag = self._content(other), self._validator(other)
        status, headers, body = self._part(name, request)
        behind = odd.plain(rng.choice([200, 206]), tag, content).steps[0]
        before = odd.plain(rng.choice([status, status, 302, 503]), headers, body)
        if rng.random() < 0.3:
            redirect = ("Location", f"/{name}.mp4?again")
            before = odd.plain(302, [redirect], b"")
        return Reply((*before.steps, *([0.1] if rng.random() < 0.2 else []), behind))

    def _dripping(self, rng: Random, name: str, request: Received) -> Reply:
        status, headers, body = self._part(name, request)
        steps: list[Step] = [odd.head(status, [*headers, ("Content-Length", str(len(body)))])]
        size = max(1, len(body) // rng.choice([4, 30]))
        pause = rng.choice([0.01, 0.3, 5.0, 25.0])
        for at in range(0, len(body), size):
            steps += [body[at : at + size], pause]
        return Reply(tuple(steps), rng.choice(["keep", "close"]))

    def _encoded(self, rng: Random, name: str, request: Received) -> Reply:
        status, headers, body = self._part(name, request)
        packed = gzip.compress(body, 1, mtime=0)
        encoding, content = rng.choice(
            [
                ("gzip", packed),
                ("gzip", packed[: len(packed) // 2]),
                ("aws-chunked", body),
                ("utf-8", body),
                ("br", body),
            ]
        )
        return odd.framed(rng, status, [*headers, ("Content-Encoding", encoding)], content)
