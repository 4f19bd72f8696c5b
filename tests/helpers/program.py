"""The whole program, run in this process against the emulator behind respx, on a virtual clock."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
import respx
from small_files import render_tiny
from virtual_clock import LONGEST_RUN, VirtualClock

from airvid import clock
from airvid.cli.main import main
from airvid.sandbox.emulator import Emulator, Pace, Request, Response

API = "http://api.test/v1"


STORAGE = "http://storage.test"


KEY = "sk-air-test-0123456789abcdef"


PACE = Pace(queued=5, processing=60)


@dataclass(frozen=True)
class Result:
    """Exit code and output of a run."""

    code: int
    out: str
    err: str
    bytes_out: bytes = field(repr=False)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


def run_program(
    arguments: Sequence[str],
    stdin: bytes,
    time: clock.Clock,
    capture: pytest.CaptureFixture[bytes],
    keep: pytest.MonkeyPatch,
) -> Result:
    """Run the whole program in this process, by the given clock, to its end."""
    import io
    import sys

    keep.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
    capture.readouterr()
    with clock.use(time):
        code = main(arguments)
    out, err = capture.readouterr()
    return Result(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), out)


class World:
    """A user's machine and one API. `airvid(...)` runs the program; `emulator` is the API."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[bytes], keep: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.emulator = Emulator(storage=STORAGE, pace=PACE, render=render_tiny)
        self.answer: Callable[[Request], Response | None] = lambda _: None
        # Called before a request is sent. If it raises, the request is not sent.
        self.connect: Callable[[Request], None] = lambda _: None
        self.capture = capture
        self.env = keep

    def airvid(self, *arguments: str, stdin: bytes | None = None) -> Result:
        """Run the program to its end. `stdin` None: nothing to read."""
        with respx.mock(assert_all_called=False, using="httpx") as router:
            router.route().mock(side_effect=self.serve)
            return run_program(arguments, stdin or b"", self.clock, self.capture, self.env)

    def objects(self, *arguments: str) -> list[Any]:
        """What a command prints as one JSON array."""
        return list(self.airvid(*arguments).json)

    def start_anew(self) -> None:
        """Another server and another journal, for a test that runs many times."""
        shutil.rmtree(self.folder.parent / "data", ignore_errors=True)
        self.emulator.close()
        self.emulator = Emulator(storage=STORAGE, pace=PACE, render=render_tiny)

    @property
    def posts(self) -> list[dict[str, Any]]:
        """The bodies of all creates that reached the server."""
        return [json.loads(request.body) for _, request in self.emulator.requests if request.method == "POST"]

    @property
    def calls(self) -> list[str]:
        return [f"{request.method} {request.path}" for _, request in self.emulator.requests]

    async def serve(self, request: httpx.Request) -> httpx.Response:
        received = Request(
            request.method,
            request.url.raw_path.decode(),
            {name.lower(): value for name, value in request.headers.items()},
            request.content,
            storage=request.url.host == "storage.test",
        )
        await connects(request)
        self.connect(received)
        await leaves(request)
        response = self.answer(received) or self.emulator.handle(received, self.clock.now())
        patience = request.extensions["timeout"]["read"] or LONGEST_RUN
        if response.delay:
            await asyncio.sleep(min(response.delay, patience))
            if response.delay > patience:
                raise httpx.ReadTimeout("", request=request)
        if response.ending == "reset":
            raise httpx.ReadError("connection reset", request=request)
        if response.ending == "silence":
            await asyncio.sleep(patience)
            raise httpx.ReadTimeout("", request=request)
        told = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
        if response.chunks is None:
            told["Content-Length"] = str(len(response.body))
        headers = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
        stream = _Stream(response, self.clock, patience, request)
        return httpx.Response(response.status, headers=headers, stream=stream)


class _Stream(httpx.AsyncByteStream):
    """A body that comes in time and ends as the emulator says."""

    def __init__(self, response: Response, clock: VirtualClock, patience: float, request: httpx.Request) -> None:
        self._response = response
        self._clock = clock
        self._patience = patience
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        response = self._response
        if response.chunks is None:
            whole = response.body
            yield whole[: len(whole) // 2] if response.ending == "truncate" else whole
        for due, chunk in response.chunks or ():
            pause = due - self._clock.now()
            if pause > self._patience:
                await asyncio.sleep(self._patience)
                raise httpx.ReadTimeout("", request=self._request)
            if pause > 0:
                await asyncio.sleep(pause)
            yield chunk
        if response.ending in ("truncate", "cut"):
            raise httpx.RemoteProtocolError("peer closed connection", request=self._request)


async def connects(request: httpx.Request) -> None:
    """Call httpx's trace extension as for a connection that is being made."""
    if trace := request.extensions.get("trace"):
        await trace("connection.connect_tcp.started", {})


async def leaves(request: httpx.Request) -> None:
    """Call it as for a request that is being sent."""
    if trace := request.extensions.get("trace"):
        await trace("http11.send_request_headers.started", {"request": httpcore.Request(request.method, "http://x")})


def json_answer(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer that the emulator would not give."""
    return Response(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())


def fields(line: str) -> Sequence[str]:
    """The columns of a tab-separated line."""
    return line.split("\t")
