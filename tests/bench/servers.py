"""The other side, on loopback: an API that costs nothing, nginx, and a private authority for https."""

from __future__ import annotations

import asyncio
import getpass
import json
import multiprocessing
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from airvid.sandbox.emulator import Emulator, Fault, Pace, Response
from airvid.sandbox.server import Server

from .process import tool
from .rows import Skipped

_NGINX_CONF = """
daemon off; pid nginx.pid; error_log error.log; worker_processes auto; user {user};
events {{ }}
http {{
    access_log off; sendfile on;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        root www;
        location /capped/ {{ alias www/; limit_rate 2m; }}
        location /gigabit/ {{ alias www/; limit_rate 125m; }}
    }}
}}
"""


class Certificate(NamedTuple):
    """PEM files: the roots that vouch for it, and the certificate for localhost with its key."""

    roots: str
    own: str


def certificate(folder: Path) -> Certificate:
    """A certificate of an authority of our own. Raises: Skipped."""
    try:
        import trustme
    except ImportError:
        raise Skipped("trustme is not installed") from None
    authority = trustme.CA()
    made = Certificate(str(folder / "roots.pem"), str(folder / "localhost.pem"))
    authority.cert_pem.write_to_path(made.roots)
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(made.own)
    return made


@contextmanager
def beside(serve: Callable[..., None], *values: object) -> Iterator[Connection]:
    """A function in a process of its own, which is handed one end of a pipe; it ends when the pipe does."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, *values), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(5)
        process.kill()


@contextmanager
def canned(answers: Mapping[str, object], tls: Certificate | None = None) -> Iterator[str]:
    """An API whose answers, by path, are there beforehand; its base URL."""
    with beside(_serve_canned, dict(answers), tls) as pipe:
        yield f"http://127.0.0.1:{pipe.recv()}/v1" if tls is None else f"https://localhost:{pipe.recv()}/v1"


def _serve_canned(pipe: Connection, answers: Mapping[str, object], tls: Certificate | None) -> None:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.own)
    whole = {f"/v1{path}".encode(): _answer(body) for path, body in answers.items()}

    class Canned(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self._transport = transport

        def data_received(self, data: bytes) -> None:
            self._transport.write(whole[data.split(b" ", 2)[1]])

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Canned, "127.0.0.1", 0, ssl=context)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, _ended, pipe)

    asyncio.run(serve())


def _answer(body: object) -> bytes:
    content = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content) + content


def _ended(pipe: Connection) -> None:
    with suppress(EOFError):
        pipe.recv()


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """nginx with the files in `folder/www`; its URL. Below /capped/ a connection gets 2 MB/s, below /gigabit/ 125 MB/s.

    Raises: Skipped.
    """
    program, port = tool("nginx"), _free_port()
    conf = folder / "nginx.conf"
    conf.write_text(_NGINX_CONF.format(user=getpass.getuser(), port=port))
    with subprocess.Popen([program, "-p", str(folder), "-c", str(conf)], stderr=subprocess.DEVNULL) as process:
        try:
            while not _answers(port):
                if process.poll() is not None:
                    raise RuntimeError((folder / "error.log").read_text())
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Emulated(NamedTuple):
    """The emulator on a port, and the way to ask it what it was asked."""

    url: str
    pipe: Connection

    def requests(self) -> list[tuple[float, str]]:
        """Unix time and call of every request so far."""
        self.pipe.send(None)
        return self.pipe.recv()  # type: ignore[no-any-return]


@contextmanager
def emulated(pace: Pace, *, slots: int = 4, clip: bytes = b"", has_streams: bool = True) -> Iterator[Emulated]:
    """The emulator on a real socket, in a process of its own; each task's clip is `clip`."""
    with beside(_serve_emulated, pace, slots, clip, has_streams) as pipe:
        yield Emulated(pipe.recv(), pipe)


def _serve_emulated(pipe: Connection, pace: Pace, slots: int, clip: bytes, has_streams: bool) -> None:
    faults = [] if has_streams else [Fault("stream", Response(404), before=True, times=1_000_000)]
    emulator = Emulator(pace=pace, slots=slots, render=lambda _: clip, faults=faults)
    with Server(emulator) as server, suppress(EOFError):
        pipe.send(server.api_url)
        while True:
            pipe.recv()
            pipe.send([(at, request.call) for at, request in emulator.requests])
