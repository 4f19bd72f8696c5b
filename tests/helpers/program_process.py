"""The program as a process of a user, and its API on a real socket."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import forked_run
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
        time.sleep(0.002)  # leave the processor to the program


def catches(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; Python itself has one for SIGINT only."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens at."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class LinkedEmulator(Emulator):
    """The emulator with other result URLs: `links`, one a reading, the last one for ever."""

    def __init__(self, *links: str) -> None:
        super().__init__(pace=Pace(queued=0, processing=0), render=lambda _: CLIP)
        self.links = list(links)

    def _result_url(self, task: Task) -> str:
        if not self.links:
            return super()._result_url(task)
        return self.links.pop(0) if len(self.links) > 1 else self.links[0]


class User:
    """A user with a key. The program runs as a process in the folder `here`."""

    def __init__(self, home: Path, base_url: str, **more: str) -> None:
        self.here = home / "here"
        self.here.mkdir(exist_ok=True)
        self.env = environment(home, AIRVID_BASE_URL=base_url, AIRVID_API_KEY=KEY, **more)
        self.target = self.here / "fox.mp4"
        self.part = self.here / "fox.mp4.part"
        self._prelude = ""

    def airvid(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end. Raises: subprocess.TimeoutExpired after half a minute."""
        return forked_run.run(arguments, self.here, {**self.env, **env}, prelude=self._prelude)

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
        started = forked_run.ForkedRun(arguments, self.here, {**self.env, **env}, prelude=self._prelude)
        until(lambda: not started.is_alive or started.said.count(upto) >= nth, upto, 30)
        done = started.end()
        return done.returncode, done.stderr

    def kill_midway(self, *arguments: str) -> int:
        """Kill -9 the program while its file is under way; the length of the part that it leaves."""
        with self.running(*arguments) as process:
            until(lambda: size(self.part) > 100_000 or process.poll() is not None, "bytes in the part")
            assert process.poll() is None, process.stderr and process.stderr.read()
        return size(self.part)

    def customise(self, code: str) -> None:
        """Let every Python of this user run `code` at its start: a machine with other settings than this one."""
        self._prelude = code
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
