"""The program on a pseudo-terminal whose screen can be read."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pexpect
import pyte

AIRVID = [sys.executable, "-m", "airvid"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """A user's environment without this machine's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
    places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE")}
    # The working copy is what runs, wherever the test is.
    paths = os.pathsep.join([str(Path(__file__).parents[2]), kept.pop("PYTHONPATH", "")]).strip(os.pathsep)
    about = {"HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm-256color", "PYTHONPATH": paths}
    return {**kept, **places, **about, **more}


class Terminal:
    """One run of the program, or of another command, on a terminal of so many columns and rows."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: dict[str, str],
        columns: int = 80,
        rows: int = 24,
        command: Sequence[str] = AIRVID,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        command = [*command, *arguments]
        self.process = pexpect.spawn(
            command[0], command[1:], cwd=str(cwd), env=env, dimensions=(rows, columns), timeout=30, echo=False
        )

    def shown(self, chunk: bytes) -> bytes:
        """The chunk without characters of no width, after which pyte loses the rest of a line."""
        return re.sub(rb"\xe2\x80[\x8c-\x8f]|\xef\xb8\x8f", b"", chunk)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip()

    def until(self, condition: Callable[[Terminal], bool], seconds: float = 30) -> None:
        """Read what the program shows until `condition` holds. Raises: AssertionError with the screen."""
        end = time.monotonic() + seconds
        while not condition(self):
            if not self.read() and not self.process.isalive() and not condition(self):
                raise AssertionError(f"the program ended first:\n{self.text}")
            if time.monotonic() > end:
                raise AssertionError(f"this did not come:\n{self.text}")

    def read(self) -> bool:
        """Take in what there is; False at the end."""
        try:
            chunk = self.process.read_nonblocking(65536, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            chunk = self._rest()
        if not chunk:
            return False
        self.raw += chunk
        self.stream.feed(self.shown(chunk))
        return True

    def _rest(self) -> bytes:
        """What pexpect leaves unread where a program writes and ends between two of its looks."""
        try:
            return os.read(self.process.child_fd, 65536)
        except OSError:
            return b""

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self.read():
            pass
        self.process.close()
        status = self.process.exitstatus
        return status if status is not None else 128 + (self.process.signalstatus or 0)

    def resize(self, columns: int, rows: int = 24) -> None:
        self.process.setwinsize(rows, columns)
        self.screen.resize(rows, columns)
