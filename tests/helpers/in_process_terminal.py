"""The program on a terminal, in this process: it runs on the virtual clock, and pyte emulates the screen."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pyte
import respx
from program import World

from airvid import clock
from airvid.cli.main import main

# pyte loses the rest of a line after these characters, which have no width.
NO_WIDTH = re.compile("[\u200c-\u200f\ufe0f]")


class _Bytes(io.RawIOBase):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def writable(self) -> bool:
        return True

    def write(self, chunk: object) -> int:
        whole = bytes(chunk)  # type: ignore[call-overload]
        self._take(whole)
        return len(whole)


class Tty(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class TerminalRun:
    """The exit code of a run on a terminal, and all that it wrote, piece by piece."""

    code: int = 0
    pieces: list[str] = field(default_factory=list)

    @property
    def raw(self) -> str:
        return "".join(self.pieces)

    @property
    def screen(self) -> str:
        """The screen at the end."""
        return next(self._screens([self.raw]))

    def at(self, pattern: str) -> str:
        """The first screen that has this pattern."""
        return next(shown for shown in self._screens(self.pieces) if re.search(pattern, shown))

    def _screens(self, pieces: Iterable[str]) -> Iterator[str]:
        # So wide that no line is folded.
        screen = pyte.Screen(300, 100)
        stream = pyte.Stream(screen)
        lines = [""] * screen.lines
        for piece in pieces:
            stream.feed(NO_WIDTH.sub("", piece).replace("\n", "\r\n"))
            # Not `screen.display`, which draws all its 30,000 characters anew for each piece.
            for number in screen.dirty:
                row = screen.buffer[number]
                lines[number] = "".join(row[column].data for column in range(max(row, default=-1) + 1)).rstrip()
            screen.dirty.clear()
            yield "\n".join(lines).rstrip()


def run_on_terminal(
    world: World, *arguments: str, columns: int = 80, rows: int = 24, typed: str = "", encoding: str = "utf-8"
) -> TerminalRun:
    """Run the program on a terminal: standard input, output and error."""
    run = TerminalRun()

    def take(chunk: bytes) -> None:
        run.pieces.append(chunk.decode(encoding, "surrogateescape"))

    with world.env.context() as env:
        env.setenv("TERM", "xterm-256color")
        env.setenv("COLUMNS", str(columns))
        env.setenv("LINES", str(rows))
        for name in ("stdout", "stderr"):
            made = Tty(io.BufferedWriter(_Bytes(take)), encoding=encoding, write_through=True)
            env.setattr(sys, name, made)
        env.setattr(sys, "stdin", Tty(io.BytesIO(typed.encode()), encoding="utf-8"))
        with clock.use(world.clock), respx.mock(assert_all_called=False, using="httpx") as router:
            router.route().mock(side_effect=world.serve)
            run.code = main(arguments)
    return run
