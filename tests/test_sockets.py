"""Connecting and reading on real sockets: the first address that answers, look-ups that nobody waits for."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from airvid import sockets
from airvid.errors import UnavailableError
from airvid.http import Timeouts, Wire
from airvid.sandbox.emulator import Emulator
from airvid.sandbox.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Emulator()) as running:
        yield running


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[socket.AddressFamily, str]) -> None:
    """The name `api.test` stands for these addresses."""
    real = socket.getaddrinfo

    def look_up(host: str | bytes, port: int, *rest: Any, **more: Any) -> list[Any]:
        if host not in ("api.test", b"api.test"):
            return real(host, port, *rest, **more)
        if more.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def ask(base: str, **timeouts: float) -> Any:
    async def run() -> Any:
        wire = Wire(base, "sk-air-0123456789abcdef", timeouts=Timeouts(**timeouts), use_proxies=False)
        try:
            return await wire.get("/models", lambda answer: answer.data, patience=0)
        finally:
            await wire.aclose()

    return asyncio.run(run())


def test_an_address_that_refuses_gives_way_to_the_next(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, (socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
    assert ask(server.api_url.replace("127.0.0.1", "api.test"))["object"] == "list"


def test_an_address_that_says_nothing_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(server.api_url.split(":")[2].split("/")[0])
    resolves_to(monkeypatch, (socket.AF_INET, "127.0.0.9"), (socket.AF_INET, "127.0.0.1"))
    with ExitStack() as held:
        silent = held.enter_context(socket.socket())
        silent.bind(("127.0.0.9", port))
        silent.listen(0)
        for _ in range(4):  # a full queue takes no more connections, and does not say so
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.9", port))
        assert ask(f"http://api.test:{port}/v1", connect=9)["object"] == "list"


def test_the_first_failure_is_told_where_all_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        resolves_to(monkeypatch, (socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
        with pytest.raises(UnavailableError, match=r"no connection to api\.test:\d+: Connection refused") as caught:
            ask(f"http://api.test:{port}/v1")
    assert not caught.value.sent


def test_a_look_up_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    def hang(*_: Any, **more: Any) -> list[Any]:
        if not more.get("flags"):
            free.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        with pytest.raises(UnavailableError, match=r"no connection to api\.test"):
            ask("http://api.test/v1", connect=0.05)
        assert not free.is_set()
    finally:
        free.set()


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 300 + ".test", "..", "-"])
def test_a_name_that_stands_for_nothing_is_not_sent_to(host: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        ask(f"http://{host}/v1")
    assert not caught.value.sent


def test_a_create_whose_connection_hangs_was_surely_not_sent() -> None:
    async def run(url: str) -> None:
        wire = Wire(url, "k", timeouts=Timeouts(connect=0.3, create=0.05), use_proxies=False)
        try:
            await wire.post("/video/generations", {})
        finally:
            await wire.aclose()

    with ExitStack() as held:
        silent = held.enter_context(socket.socket())
        silent.bind(("127.0.0.9", 0))
        silent.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        with pytest.raises(UnavailableError) as caught:
            asyncio.run(run(f"http://127.0.0.9:{silent.getsockname()[1]}/v1"))
    assert not caught.value.sent


@pytest.mark.parametrize("is_first_refused", [False, True])
def test_of_two_connections_made_in_one_turn_the_other_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_first_refused: bool
) -> None:
    made: list[socket.socket] = []

    class Together(asyncio.SelectorEventLoop):
        """What is dialled first is through when the second is."""

        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            made.append(sock)
            await super().sock_connect(sock, address)
            if len(made) == 1:
                await self.second
                if is_first_refused:
                    raise ConnectionRefusedError(111, "Connection refused")
            else:
                self.second.set_result(None)

        def __init__(self) -> None:
            super().__init__()
            self.second = self.create_future()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        resolves_to(monkeypatch, (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.1"))
        with asyncio.Runner(loop_factory=Together) as loop:
            connection = loop.run(sockets.connect("api.test", port, 9))
            assert len([each for each in made if each.fileno() != -1]) == 1
            connection.close()
    gc.collect()
    assert not caplog.records


@pytest.mark.parametrize("ending", ["refused", "timed out", "cancelled"])
def test_the_only_address_leaves_no_socket_behind_where_it_fails(
    ending: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dialled: list[socket.socket] = []

    class Failing(asyncio.SelectorEventLoop):
        """Somebody refuses, or nobody answers and the wait is broken off."""

        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            dialled.append(sock)
            if ending == "refused":
                raise ConnectionRefusedError(111, "Connection refused")
            if ending == "cancelled":
                self.call_soon(connecting.cancel)
            await self.create_future()

    resolves_to(monkeypatch, (socket.AF_INET, "127.0.0.1"))
    expected = {"refused": OSError, "timed out": TimeoutError, "cancelled": asyncio.CancelledError}
    with asyncio.Runner(loop_factory=Failing) as runner:
        loop = runner.get_loop()
        connecting = loop.create_task(sockets.connect("api.test", 80, 0.01 if ending == "timed out" else 9))
        with pytest.raises(expected[ending]):
            loop.run_until_complete(connecting)
    assert [sock.fileno() for sock in dialled] == [-1]
    gc.collect()
    assert not caplog.records
