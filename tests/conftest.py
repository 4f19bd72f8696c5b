"""The test bench: the emulator behind respx on a virtual clock, and the whole program run in process against it."""

from __future__ import annotations

import asyncio
import json
import selectors
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest
import respx

from airvid import clock
from airvid.cli.main import main
from airvid.sandbox.emulator import ClipSpec, Emulator, Pace, Request, Response

if TYPE_CHECKING:
    from desk import Desk

API = "http://api.test/v1"
STORAGE = "http://storage.test"
KEY = "sk-air-test-0123456789abcdef"
NOON = 1_790_000_000.0
PACE = Pace(queued=5, processing=60)
# Longer than anything is followed: a display that ticks would otherwise hide that nothing comes any more.
LONGEST_RUN = 40 * 86_400


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is generated anew")
    parser.addoption("--fuzz-runs", type=int, default=0, help="runs of each random search (default: about a minute)")
    parser.addoption("--fuzz-seed", default="airvid", help="the seed of the random searches")
    parser.addoption("--fuzz-case", type=int, help="only this run of a random search, with its whole traffic shown")


def pytest_configure() -> None:
    """What ignores signals (`nohup`) hands that on to the programs under test, which are to heed them."""
    for name in ("SIGINT", "SIGHUP", "SIGQUIT"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds what it should be; with --update-golden write that file anew."""

    def check(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        assert text == path.read_text("utf-8"), f"{path} has drifted: pytest --update-golden writes it anew"

    return check


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A journal of its own, on a clock of its own."""
    from desk import Desk

    made = Desk(tmp_path / "data" / "journal.db")
    with clock.use(made.clock):
        yield made
    made.close()


class VirtualClock(clock.Clock):
    """Time that jumps to whatever is waited for next: a ten-minute render takes milliseconds."""

    def __init__(self, start: float = NOON) -> None:
        self._start = start
        self._passed = 0.0
        self.loop_factory = lambda: _VirtualLoop(self)

    def now(self) -> float:
        return self._start + self._passed

    def elapsed(self) -> float:
        return self._passed

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    def shift_wall(self, seconds: float) -> None:
        """The wall clock is set, or the machine slept: nothing else moved."""
        self._start += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            ready = super().select(1)  # a thread is at work, perhaps
        if not ready and timeout:
            self._clock.advance(timeout)
        if (not ready and timeout is None) or self._clock.elapsed() > LONGEST_RUN:
            raise AssertionError("the program waits for something that never comes")
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        self._virtual = clock
        super().__init__(_JumpingSelector(clock))

    def time(self) -> float:
        return self._virtual.elapsed()


def tiny_mp4(payload: bytes = b"x" * 1000) -> bytes:
    """The least that counts as an MP4: ftyp, moov and mdat boxes that add up."""

    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    return box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"moov", b"\0" * 20) + box(b"mdat", payload)


def render_tiny(spec: ClipSpec) -> bytes:
    """A stand-in for rendering: an MP4 that differs with its prompt."""
    return tiny_mp4(repr((spec.prompt, spec.seed)).encode() * 50)


@dataclass(frozen=True)
class Result:
    """What a run of the program left."""

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
    """A user at a machine with one API out there. `airvid(...)` runs the program; `emulator` is the other side."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[bytes], keep: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.emulator = Emulator(storage=STORAGE, pace=PACE, render=render_tiny)
        self.answer: Callable[[Request], Response | None] = lambda _: None
        # Called before a request leaves: what it raises keeps the request from leaving.
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
        """Another server and another journal, for a test that is played many times."""
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
    """A body that comes when it is due, and ends as the emulator says."""

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


@pytest.fixture
def world(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A user with a key, in an empty folder, and nothing of the real user's settings."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    _clean_environment(monkeypatch)
    for kind in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    monkeypatch.setenv("AIRVID_API_KEY", KEY)
    monkeypatch.setenv("AIRVID_BASE_URL", API)
    made = World(folder, capsysbinary, monkeypatch)
    yield made
    made.emulator.close()


def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("AIRVID_", "AIRFORCE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


async def connects(request: httpx.Request) -> None:
    """What httpx's trace extension tells of a request when its connection is being made."""
    if trace := request.extensions.get("trace"):
        await trace("connection.connect_tcp.started", {})


async def leaves(request: httpx.Request) -> None:
    """What it tells when the request goes out."""
    if trace := request.extensions.get("trace"):
        await trace("http11.send_request_headers.started", {"request": httpcore.Request(request.method, "http://x")})


def json_answer(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    """A literal JSON answer, for what no well-behaved server says."""
    return Response(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())


def fields(line: str) -> Sequence[str]:
    """The columns of a tab-separated line."""
    return line.split("\t")
