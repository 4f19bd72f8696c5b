"""Real components for the tests of the network: the program as a process, nginx, a proxy, TLS and IPv6 doors.

All of them are on loopback, on free ports, and end with the test. What is not installed skips the test that needs it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from conftest import KEY, tiny_mp4
from terminal import AIRVID, environment

from airvid.sandbox.emulator import Emulator, Pace, Request, Response
from airvid.sandbox.server import Server
from airvid.sandbox.state import Task

MB = 1 << 20
CLIP = tiny_mp4(random.Random(1).randbytes(3 * MB))
# As long as the other, so that nothing but its bytes and its validator tells them apart.
OTHER = tiny_mp4(random.Random(2).randbytes(3 * MB))

# What is said when a failure is waited out, at the second attempt.
AGAIN = "trying again"


def until(condition: Callable[[], object], why: str, seconds: float = 20) -> None:
    """Return as soon as `condition` holds. Raises: AssertionError."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"this did not come: {why}"
        time.sleep(0.002)  # the processors are for those that are waited for


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens at."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


# ---------------------------------------------------------------------- the program and its API


class LinkedEmulator(Emulator):
    """The emulator whose clips lie elsewhere: `links` are the result URLs, one a reading, the last one for ever."""

    def __init__(self, *links: str) -> None:
        super().__init__(pace=Pace(queued=0, processing=0), render=lambda _: CLIP)
        self.links = list(links)

    def _result_url(self, task: Task) -> str:
        if not self.links:
            return super()._result_url(task)
        return self.links.pop(0) if len(self.links) > 1 else self.links[0]


class User:
    """Somebody with a key at a shell: the program runs as a process, in `here`."""

    def __init__(self, home: Path, base_url: str, **more: str) -> None:
        self.here = home / "here"
        self.here.mkdir(exist_ok=True)
        self.env = environment(home, AIRVID_BASE_URL=base_url, AIRVID_API_KEY=KEY, **more)
        self.target = self.here / "fox.mp4"
        self.part = self.here / "fox.mp4.part"

    def airvid(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end. Raises: subprocess.TimeoutExpired after half a minute."""
        command, more = [*AIRVID, *arguments], {**self.env, **env}
        return subprocess.run(command, cwd=self.here, env=more, capture_output=True, text=True, timeout=30, check=False)

    @contextmanager
    def running(self, *arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """The program, started; killed at the end of the block where it still runs."""
        command, more = [*AIRVID, *arguments], {**self.env, **env}
        with subprocess.Popen(
            command, cwd=self.here, env=more, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def first_words(self, *arguments: str, upto: str = AGAIN, nth: int = 1, **env: str) -> tuple[int, str]:
        """What is said on standard error up to the nth line with `upto`, at which it is killed (-9), or to its end."""
        said = ""
        with self.running(*arguments, **env) as process:
            assert process.stderr
            for line in process.stderr:
                said += line
                nth -= upto in line
                if nth == 0:
                    process.kill()
                    break
            return process.wait(30), said

    def kill_midway(self, *arguments: str) -> int:
        """Kill -9 the program while its file is under way; the length of the part that it leaves."""
        with self.running(*arguments) as process:
            until(lambda: size(self.part) > 100_000 or process.poll() is not None, "bytes in the part")
            assert process.poll() is None, process.stderr and process.stderr.read()
        return size(self.part)

    def customise(self, code: str) -> None:
        """Let every Python of this user run `code` at its start: a machine with other settings than this one."""
        folder = self.here.parent / "site"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(code)
        self.env["PYTHONPATH"] = os.pathsep.join([str(folder), self.env["PYTHONPATH"]])

    @property
    def left(self) -> set[str]:
        return {each.name for each in self.here.iterdir()}


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def make_tasks(server: Server, count: int = 1) -> list[str]:
    """Tasks of the user, made elsewhere and completed at once."""
    body = json.dumps({"model": "wan-2.6", "prompt": "fox"}).encode()
    request = Request("POST", "/v1/video/generations", {"authorization": f"Bearer {KEY}"}, body)
    answers = [server.emulator.handle(request, time.time()) for _ in range(count)]
    server.emulator.requests.clear()
    return [str(json.loads(answer.body)["task_id"]) for answer in answers]


def result_url(server: Server, task: str) -> str:
    """Where the API says that a task's clip is."""
    request = Request("GET", f"/v1/video/tasks/{task}", {"authorization": f"Bearer {KEY}"})
    return str(json.loads(server.emulator.handle(request, time.time()).body)["result_url"])


def posts(server: Server) -> int:
    return sum(request.method == "POST" for _, request in server.emulator.requests)


def calls(server: Server) -> list[str]:
    return [request.call for _, request in server.emulator.requests]


def moved(where: str) -> Response:
    """A redirect."""
    return Response(302, {"Location": where})


# ---------------------------------------------------------------------- nginx

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
_NGINX_CONF = """
daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    log_format seen escape=json '{{"status":$status,"path":"$uri","range":"$http_range","if_range":"$http_if_range",'
        '"key":"$http_authorization","sent":$body_bytes_sent,"connection":$connection,"encoding":"$sent_http_content_encoding"}}';
    access_log access.log seen;
    types {{ video/mp4 mp4; text/html html; }}
    {http}
    server {{ listen 127.0.0.1:{port}; root www; {server} }}
}}
"""


class Nginx:
    """One nginx as a child in the foreground, its prefix under `folder`, with more directives for http and server."""

    def __init__(self, folder: Path, server: str = "", http: str = "") -> None:
        self.www = folder / "www"
        self.www.mkdir(parents=True)
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        (folder / "nginx.conf").write_text(_NGINX_CONF.format(port=self._port, server=server, http=http))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        assert NGINX
        command = [NGINX, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(self._answers, "nginx")
        return self

    def stop(self) -> None:
        """At once: connections under way are cut."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stop()

    def _answers(self) -> bool:
        assert self._process
        log = self._folder / "error.log"
        assert self._process.poll() is None, log.exists() and log.read_text()
        with suppress(OSError), socket.create_connection(urlsplit(self.url).netloc.split(":"), 1):  # type: ignore[arg-type]
            return True
        return False

    @property
    def log(self) -> list[dict[str, Any]]:
        """The requests that have ended, oldest first."""
        return [json.loads(line) for line in (self._folder / "access.log").read_text().splitlines()]


# ---------------------------------------------------------------------- doors and proxies


class Door:
    """A port that hands each connection on to `target`, host and port; with `tls` it takes the TLS off first."""

    def __init__(
        self, target: str = "", *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", name: str = ""
    ) -> None:
        self._target, self._tls, self._host, self._name = urlsplit(target).netloc, tls, host, name
        self.port = 0
        self.connections = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="door", daemon=True)

    @property
    def url(self) -> str:
        host = self._name or (f"[{self._host}]" if ":" in self._host else self._host)
        return f"http{'s' if self._tls else ''}://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._welcome, self._host, 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._closing.wait()
        server.close()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._hand_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side may vanish, and so may the door
        finally:
            writer.close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pipe(self._target, reader, writer)

    async def _pipe(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b""
    ) -> None:
        """Both ways until either side ends."""
        host, _, port = target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        far_writer.write(first)
        ways = [asyncio.create_task(_copy(reader, far_writer)), asyncio.create_task(_copy(far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()


class Proxy(Door):
    """An HTTP proxy: CONNECT for https, absolute addresses for http. `seen` are request line and headers of each.

    `refusals` are the statuses of its next answers to requests `on` a method, 0 for passing on; with `drops` the first
    plain request of that method is passed on, but its answer is not brought.
    """

    def __init__(
        self,
        *refusals: int,
        on: str = "",
        drops: bool = False,
        user: str = "",
        tls: ssl.SSLContext | None = None,
        name: str = "",
    ) -> None:
        super().__init__(tls=tls, name=name)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._refusals, self._on, self._drops = list(refusals), on, drops
        self._welcome_word = f"Basic {base64.b64encode(user.encode()).decode()}" if user else None

    @property
    def asked(self) -> list[str]:
        """The request lines."""
        return [line for line, _ in self.seen]

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in fields)}
        self.seen.append((line, headers))
        is_marked = line.startswith(self._on)
        status = self._refusals.pop(0) if is_marked and self._refusals else 0
        if self._welcome_word and headers.get("proxy-authorization") != self._welcome_word:
            status = 407
        if status:
            writer.write(b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
            await writer.drain()
            return
        method, address, _ = line.split()
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._pipe(address, reader, writer)
            return
        # One request a connection: then each is seen, and the answer ends with the connection.
        kept = [each for each in fields if not each.lower().startswith(("connection:", "proxy-"))]
        head = "\r\n".join([line, *kept, "Connection: close", "", ""]).encode("latin-1")
        if self._drops and is_marked:
            self._drops = False
            head += await reader.readexactly(int(headers.get("content-length", "0")))
            far_reader, far_writer = await asyncio.open_connection(*urlsplit(address).netloc.rsplit(":", 1))
            far_writer.write(head)
            await far_reader.read(1)  # it has been taken, and nobody shall hear of it
            far_writer.close()
            return
        await self._pipe(urlsplit(address).netloc, reader, writer, head)


# ---------------------------------------------------------------------- certificates


def certificate(made: Any) -> ssl.SSLContext:
    """A server's context with a certificate that trustme made."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    return context


def pem(folder: Path, *authorities: Any) -> str:
    """A file with the roots of these authorities."""
    path = folder / f"roots-{len(list(folder.iterdir()))}.pem"
    path.write_bytes(b"".join(each.cert_pem.bytes() for each in authorities))
    return str(path)


def fields_of(answers: Sequence[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(each[name] for name in names) for each in answers]
