"""A storage host for tests of downloads: its answers in order, a virtual clock, and the requests that it got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import httpx
import respx
from program import API, KEY, STORAGE
from small_files import tiny_mp4
from virtual_clock import VirtualClock

from airvid import clock
from airvid.api.http import HttpClient
from airvid.clips import download
from airvid.clips.download import Received

CLIP = tiny_mp4(bytes(range(256)) * 20)
OTHER = tiny_mp4(b"other" * 1000)
HALF = len(CLIP) // 2
TAG = '"v1"'
LINK = f"{STORAGE}/clip.mp4?signature=abc"
Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Broken(httpx.AsyncByteStream):
    """A body in pieces, after which the connection breaks (with `breaks`)."""

    def __init__(self, *pieces: bytes, breaks: bool = True) -> None:
        self._pieces, self._breaks = pieces, breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
            await asyncio.sleep(1)
        if self._breaks:
            raise httpx.ReadError("connection reset")


class Whole(httpx.AsyncByteStream):
    """A body in one piece."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


class StorageHost:
    """A storage host with its answers in order (the last one for ever), a clock, and the requests that it got."""

    def __init__(self, folder: Path) -> None:
        self.target = folder / "clips" / "fox.mp4"
        self.part, self.sidecar = (self.target.with_name(f"fox.mp4.part{end}") for end in ("", ".json"))
        self.clock = VirtualClock()
        self.asked: list[httpx.Request] = []
        self._answers: list[Answer] = []

    def save(
        self, *answers: Answer, url: str = LINK, force: bool = False, during: Callable[[], None] | None = None
    ) -> list[Received]:
        """Run one transfer to its end; `during` is called with its first byte."""
        self._answers = list(answers)
        with self._world() as run:
            return run(self._save(url, force, during))

    def save_twice(self, answer: Answer) -> list[list[Received] | BaseException]:
        """Two transfers to one target, side by side."""
        self._answers = [answer]

        async def both() -> list[list[Received] | BaseException]:
            return await asyncio.gather(*(self._save(LINK, False, None) for _ in "ab"), return_exceptions=True)

        with self._world() as run:
            return run(both())

    async def _save(self, url: str, force: bool, during: Callable[[], None] | None) -> list[Received]:
        wire, steps = HttpClient(API, KEY), []
        try:
            async with aclosing(download.save(wire, url, self.target, clip="clip", force=force)) as received:
                async for step in received:
                    steps.append(step)
                    if during and step.done:
                        during()
                        during = None
        finally:
            await wire.aclose()
        return steps

    @contextmanager
    def _world(self) -> Iterator[Callable[..., list]]:  # type: ignore[type-arg]
        with (
            clock.use(self.clock),
            respx.mock(assert_all_called=False, using="httpx") as router,
            asyncio.Runner(loop_factory=self.clock.loop_factory) as run,
        ):
            router.route().mock(side_effect=self._serve)
            yield run.run

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        answer = answer if isinstance(answer, httpx.Response) else answer(request)
        # A body that is still to be read, however often the same answer is given.
        stream = Whole(answer.content) if isinstance(answer.stream, httpx.ByteStream) else answer.stream
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)

    def leave_part(self, content: bytes = CLIP[:HALF], tag: str | None = TAG, total: int | None = len(CLIP)) -> None:
        """What an interrupted transfer left."""
        self.part.parent.mkdir(exist_ok=True)
        self.part.write_bytes(content)
        if tag:
            self.sidecar.write_text(json.dumps({"clip": "clip", "validator": tag, "total": total}))

    def intrude(self) -> None:
        """Someone else puts a file where the clip belongs."""
        self.target.write_text("mine")

    @property
    def ranges(self) -> list[tuple[str | None, str | None]]:
        return [(each.headers.get("range"), each.headers.get("if-range")) for each in self.asked]

    @property
    def left(self) -> set[str]:
        return {each.name for each in self.target.parent.iterdir()}


def whole(content: bytes = CLIP, tag: str | None = TAG, length: int | None = None) -> httpx.Response:
    """A 200 with the whole `content`, announced as `length` bytes."""
    headers = {"Content-Length": str(length or len(content)), **({"ETag": tag} if tag else {})}
    return httpx.Response(200, headers=headers, content=content)


def begun(*pieces: bytes, total: int | None = len(CLIP), tag: str | None = TAG) -> httpx.Response:
    """A 200 that breaks off; without a `total` it announces no length and just ends."""
    headers = {**({"ETag": tag} if tag else {}), **({"Content-Length": str(total)} if total else {})}
    return httpx.Response(200, headers=headers, stream=Broken(*pieces, breaks=total is not None))


def rest(start: int = HALF, content: bytes = CLIP, span: str | None = None) -> httpx.Response:
    span = span if span is not None else f"bytes {start}-{len(content) - 1}/{len(content)}"
    return httpx.Response(206, headers={"Content-Range": span, "ETag": TAG}, content=content[start:])


def moved(where: str, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={"Location": where})
