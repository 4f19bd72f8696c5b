"""For the tests with real components: the program as a process, its API, and nginx.

All are on loopback, on free ports, and end with the test.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from program import KEY
from small_files import tiny_mp4
from terminal import AIRVID, environment

from airvid.sandbox.emulator import Emulator, Pace, Request, Response
from airvid.sandbox.server import Server
from airvid.sandbox.state import Task

# Too short for a second connection to join the first.
LENGTH = 500_000
CLIP = tiny_mp4(random.Random(1).randbytes(LENGTH))
# As long as the other, so that nothing but its bytes and its validator tells them apart.
OTHER = tiny_mp4(random.Random(2).randbytes(LENGTH))

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
    server {{ listen 127.0.0.1:{port}; root www; if (-f $document_root/metered) {{ set $limit_rate 200k; }} {server} }}
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

    @contextmanager
    def metered(self) -> Iterator[None]:
        """Requests that come in this block are answered slowly, each by itself: 200 kB at once and then a second."""
        (self.www / "metered").touch()
        yield
        (self.www / "metered").unlink()

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
