"""Random searches over the answers of a server: the runs, what holds for each, and how a failure is told.

Every run follows from its seed and number alone. A failure is made smaller (answers that do not matter are given
truly), and told with the command that replays it.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from program import KEY, Result, World, run_program
from random_api import Case, RandomApi
from raw_server import RawServer, SharedClock

# Seconds that one run of the program may take of the processor, by itself.
LONGEST_RUN = 5.0
DOCUMENTED = set(range(12))


class Player:
    """One user against one server: `run` starts the program in `folder`, and gathers what is wrong with it."""

    def __init__(self, server: RawServer, case: Case, world: World, shares: dict[str, float]) -> None:
        self.case = case
        rng = case.random("user")
        proxied = rng.random() < 0.15
        self.urls = {name: server.url(name, proxied=proxied) for name in ("api", "storage", "stranger")}
        self._world = world
        self.folder = world.folder
        for folder in (self.folder, self.folder.parent / "data", self.folder.parent / "cache"):
            shutil.rmtree(folder, ignore_errors=True)
        self.folder.mkdir()
        self.clock: SharedClock = server.clock()
        self.api = RandomApi(case, self.clock, self.urls, shares=shares)
        server.answer, server.hurry, self._server = self.api.answer, self.api.hurry, server
        world.env.chdir(self.folder)
        world.env.setenv("AIRVID_BASE_URL", f"{self.urls['api']}/v1")
        if proxied:
            world.env.setenv("HTTP_PROXY", server.url("api"))
        else:
            world.env.delenv("HTTP_PROXY", raising=False)
        random.seed(case.name)  # the program's jitter
        self.wrong: list[str] = []

    def run(self, *arguments: str) -> Result:
        self.case.traffic.append(f"$ airvid {' '.join(arguments)}")
        self.clock.turns = 0
        with _limited(LONGEST_RUN) as ran_out:
            result = run_program(arguments, b"", self.clock, self._world.capture, self._world.env)
        self.case.traffic.append(f"exit {result.code}\n{result.out[:2000]}{result.err[:3000]}")
        self._check(result, is_too_slow=bool(ran_out))
        return result

    def _check(self, result: Result, *, is_too_slow: bool) -> None:
        """What holds for every command, whatever it is answered."""
        told = result.out + result.err
        if is_too_slow or self.clock.is_stuck:
            self.wrong.append("it hangs: " + ("the processor is busy" if is_too_slow else "it waits for ever"))
        if found := re.search(r"this is a bug in airvid: ([^\n\"]{0,80})", told):
            self.wrong.append(f"a bug in airvid: {found[1]}")
        if "Traceback" in told:
            self.wrong.append(f"a traceback: {told[-300:]}")
        if result.code not in DOCUMENTED:
            self.wrong.append(f"an exit code that is not documented: {result.code}")
        if KEY in told:
            self.wrong.append("the key is told")
        if found := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", told):
            self.wrong.append(f"a control character is told: {found[0]!r}")
        self.wrong += self.api.strays
        self.api.strays = []
        if self._server.failures:
            raise self._server.failures.pop()


@contextmanager
def _limited(seconds: float) -> Iterator[list[bool]]:
    """Interrupt the body after so many seconds of the processor, where the system can; the list then has a word."""
    ran_out: list[bool] = []
    if not hasattr(signal, "SIGVTALRM"):
        yield ran_out
        return

    def interrupt(*_: object) -> None:
        ran_out.append(True)
        raise AssertionError("the program does not come to its end")

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield ran_out
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


Play = Callable[[Player], None]
"""One run of a search: it starts the program, and adds to `wrong`."""


class Search:
    """A search: `play` once for each number, and tell of those that went wrong."""

    def __init__(self, config: pytest.Config, server: RawServer, world: World) -> None:
        self._seed = str(config.getoption("--fuzz-seed"))
        self._only = config.getoption("--fuzz-case")
        self._runs = int(config.getoption("--fuzz-runs"))
        self._server, self._world = server, world

    def run(self, name: str, play: Play, *, usual: int, part: int, parts: int, shares: dict[str, float]) -> None:
        """Part `part` of `parts` of the search; `usual` are all its runs. Raises: AssertionError."""
        numbers = range(part, self._runs or usual, parts) if self._only is None else [self._only]
        failures: dict[str, list[int]] = {}
        for number in numbers:
            if number % parts != part:
                continue
            player = self._play(name, number, play, shares)
            if self._only is not None:
                print("\n".join(player.case.traffic))  # noqa: T201
            for wrong in player.wrong[:1]:
                failures.setdefault(_kind(wrong), []).append(number)
        assert not failures, "\n\n".join(
            [f"{sum(map(len, failures.values()))} runs went wrong, in {len(failures)} ways"]
            + [self._told(name, kind, numbers, play, shares) for kind, numbers in list(failures.items())[:10]]
        )

    def _play(self, name: str, number: int, play: Play, shares: dict[str, float], kept: Any = None) -> Player:
        player = Player(self._server, Case(f"{self._seed} {name} {number}", kept), self._world, shares)
        play(player)
        return player

    def _told(self, name: str, kind: str, numbers: list[int], play: Play, shares: dict[str, float]) -> str:
        """The first run that went wrong in this way, made as small as it gets."""
        number = numbers[0]
        found = self._play(name, number, play, shares)
        kept = list(dict.fromkeys(found.case.used))
        for label in [] if kind.startswith("it hangs") else list(kept):  # each try would take as long
            fewer = [each for each in kept if each != label]
            smaller = self._play(name, number, play, shares, fewer)
            if any(_kind(wrong) == kind for wrong in smaller.wrong):
                kept, found = fewer, smaller
        head = f"{len(numbers)} × {kind} (runs {numbers[:8]})\npytest -n 0 tests/process/test_fuzz_{name}.py"
        again = f" --fuzz-seed {self._seed!r} --fuzz-case {number}"
        return f"{head}{again}\nodd answers that matter: {kept}\n{found.wrong}\n" + "\n".join(found.case.traffic)


def _kind(wrong: str) -> str:
    """What is wrong, without what differs from run to run."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "…", wrong)[:80]


@contextmanager
def no_names(keep: pytest.MonkeyPatch) -> Iterator[None]:
    """Names are not looked up: a random host is asked for nowhere."""
    real = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if not re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:.]*", name):
            name.encode("idna")  # which raises as the true one does
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **more)

    keep.setattr(socket, "getaddrinfo", look_up)
    yield


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
