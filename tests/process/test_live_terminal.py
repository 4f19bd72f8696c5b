"""Bars on real terminals: more rows than lines, other sizes, Ctrl-C, Ctrl-Z, and a shell that has to stop."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request as Call
from urllib.request import urlopen

import pexpect
import pytest
from program import KEY
from small_files import render_tiny
from terminal import AIRVID, Terminal, environment

from airvid.sandbox.emulator import Emulator, Fault, Pace
from airvid.sandbox.server import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
CREATE = ["create", "a fox", "-m", "wan-2.6", "-d", "8", "--wait"]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(pace=Pace(queued=0.2, processing=60), slots=200, render=render_tiny)


@pytest.fixture
def env(tmp_path: Path, server: Server) -> dict[str, str]:
    return environment(tmp_path, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)


def submit(server: Server, count: int) -> None:
    body = json.dumps({"model": "dune-lite", "prompt": "雪の中のキツネ"}).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    for _ in range(count):
        urlopen(Call(f"{server.api_url}/video/generations", body, headers)).close()


def bars(lines: list[str]) -> int:
    """Rows with a bar, the one for all of them left out."""
    return sum("━" in line or "─" in line for line in lines if not line.startswith("all"))


# ---------------------------------------------------------------------- more rows than lines


def test_twelve_rows_on_eight_lines_do_not_tear(tmp_path: Path, server: Server, env: dict[str, str]) -> None:
    server.emulator.pace = Pace(queued=0.2, processing=4)
    submit(server, 12)
    terminal = Terminal(["watch"], cwd=tmp_path, env=env, columns=80, rows=8)
    terminal.until(lambda each: " more " in each.text and "%" in each.text)
    seen = 0
    while terminal.process.isalive() and "12 of 12" not in terminal.text and terminal.read():
        lines = terminal.lines
        if lines[-2].startswith("all ") or lines[-1].startswith("all "):  # a whole frame, and not the middle of one
            seen += 1
            assert sum(line.startswith("all ") for line in lines) == 1
            assert sum(" more " in line for line in lines) <= 1
    assert terminal.end() == 0
    assert seen > 3
    assert bars(terminal.lines) == 0
    assert " more " not in terminal.text
    assert len(set(re.findall(rb"([0-9a-f]{8}): completed after", terminal.raw))) == 12
    assert terminal.text.endswith("to save them: airvid download --all")
    assert not terminal.screen.cursor.hidden


def test_a_terminal_of_a_few_cells_is_borne(tmp_path: Path, server: Server, env: dict[str, str]) -> None:
    submit(server, 3)
    terminal = Terminal(["watch"], cwd=tmp_path, env=env, columns=12, rows=3)
    terminal.until(lambda each: "all" in each.text)
    terminal.process.sendintr()
    assert terminal.end() == 130


# ---------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_leaves_a_clean_screen(tmp_path: Path, env: dict[str, str]) -> None:
    terminal = Terminal(CREATE, cwd=tmp_path, env=env)
    terminal.until(lambda each: "processing" in each.text and each.screen.cursor.hidden)
    terminal.process.sendintr()
    assert terminal.end() == 130
    assert bars(terminal.lines) == 0
    assert not terminal.screen.cursor.hidden


def test_a_second_ctrl_c_restores_the_terminal_too(tmp_path: Path, server: Server, env: dict[str, str]) -> None:
    server.emulator.faults.append(Fault("POST /video/generations", delay=20))
    terminal = Terminal(CREATE, cwd=tmp_path, env=env)
    terminal.until(lambda each: "submitting" in each.text)
    terminal.until(lambda _: any(request.method == "POST" for _, request in server.emulator.requests))
    terminal.process.sendintr()
    terminal.until(lambda each: "waiting up to" in each.text)
    terminal.until(lambda each: "submitting" in each.text)
    end = time.monotonic() + 0.5  # within less than that, two signals count as one
    terminal.until(lambda _: time.monotonic() > end)
    terminal.process.sendintr()
    assert terminal.end() == 130
    assert bars(terminal.lines) == 0
    assert not terminal.screen.cursor.hidden


@pytest.mark.parametrize("shell", [["sh", "-e"], ["bash", "-e"]], ids=lambda each: each[0])
@pytest.mark.parametrize("line", ["{airvid} watch | cat", "{airvid} watch", "x=$({airvid} watch)"])
def test_ctrl_c_stops_a_script(
    tmp_path: Path, server: Server, env: dict[str, str], shell: list[str], line: str
) -> None:
    submit(server, 1)
    script = f"{line.format(airvid=shlex.join(AIRVID))}; echo reached"
    process = pexpect.spawn(shell[0], [shell[1], "-c", script], cwd=str(tmp_path), env=env, timeout=30, echo=False)
    process.expect("processing")
    process.sendintr()
    told = process.read()
    process.close()
    assert b"reached" not in told
    assert 130 in (process.exitstatus, 128 + (process.signalstatus or 0))


# ---------------------------------------------------------------------- other sizes, and Ctrl-Z


def test_where_lines_are_not_folded_a_resize_eats_nothing_above(
    tmp_path: Path, server: Server, env: dict[str, str]
) -> None:
    """xterm cuts lines that do not fit any more, as the screen of these tests does."""
    submit(server, 3)
    terminal = Terminal(["watch"], cwd=tmp_path, env={**env, "XTERM_VERSION": "XTerm(390)"}, columns=120)
    terminal.stream.feed(b"what was there before\r\n")
    terminal.until(lambda each: bars(each.lines) == 3)
    for columns in (50, 100, 30):
        terminal.resize(columns)
        before = len(terminal.raw)
        terminal.until(lambda each, before=before: len(each.raw) > before + 2 * 30)  # type: ignore[misc]
        terminal.until(lambda each: sum(line.startswith("all") for line in each.lines) == 1)
        assert terminal.lines[0].startswith("what was there before"[:columns])
    terminal.process.sendintr()
    assert terminal.end() == 130


class Tmux:
    """A terminal that folds its lines anew when it gets narrower, with a shell in it."""

    def __init__(self, cwd: Path, env: dict[str, str]) -> None:
        self._socket = str(cwd / "tmux")
        self._env = env
        self("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "30", "-c", str(cwd), "sh")

    def __call__(self, *words: str) -> str:
        command = ["tmux", "-S", self._socket, *words]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=True, timeout=30).stdout

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self("capture-pane", "-p").splitlines()]

    @property
    def shows_cursor(self) -> bool:
        return self("display-message", "-p", "#{cursor_flag}").strip() == "1"

    def type(self, *keys: str) -> None:
        self("send-keys", *keys)

    def until(self, condition: Callable[[Tmux], bool]) -> None:
        end = time.monotonic() + 30
        while not condition(self):
            assert time.monotonic() < end, "\n".join(self.lines)
            time.sleep(0.02)


@contextmanager
def tmux(cwd: Path, env: dict[str, str]) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    made = Tmux(cwd, env)
    try:
        yield made
    finally:
        made("kill-server")


def start(screen: Tmux, *words: str) -> None:
    screen.type("clear; " + shlex.join([*AIRVID, *words]), "Enter")


def test_where_lines_are_folded_a_resize_does_not_tear(tmp_path: Path, server: Server, env: dict[str, str]) -> None:
    submit(server, 3)
    with tmux(tmp_path, env) as screen:
        start(screen, "watch")
        screen.until(lambda each: bars(each.lines) == 3)
        for columns in (70, 110, 45, 120, 60):
            screen("resize-window", "-x", str(columns), "-y", "30")
            screen.until(lambda each: sum(line.startswith("all") for line in each.lines) == 1)
        end = time.monotonic() + 1.5
        screen.until(lambda _: time.monotonic() > end)
        assert bars(screen.lines) == 3, "\n".join(screen.lines)
        assert sum(line.startswith("all") for line in screen.lines) == 1
        screen.type("C-c")
        screen.until(lambda each: bars(each.lines) == 0 and each.shows_cursor)
        assert "the tasks go on" in "\n".join(screen.lines)


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(
    tmp_path: Path, server: Server, env: dict[str, str]
) -> None:
    submit(server, 2)
    with tmux(tmp_path, env) as screen:
        start(screen, "watch")
        screen.until(lambda each: bars(each.lines) == 2 and not each.shows_cursor)
        screen.type("C-z")
        screen.until(lambda each: each.shows_cursor and bars(each.lines) == 0)
        screen.type("echo in the shell", "Enter")
        screen.until(lambda each: "in the shell" in each.lines)
        screen.type("fg", "Enter")
        screen.until(lambda each: bars(each.lines) == 2 and not each.shows_cursor)
        screen.type("C-c")
        screen.until(lambda each: each.shows_cursor and bars(each.lines) == 0)


def test_a_kill_restores_the_terminal(tmp_path: Path, env: dict[str, str]) -> None:
    terminal = Terminal(CREATE, cwd=tmp_path, env=env)
    terminal.until(lambda each: "processing" in each.text and each.screen.cursor.hidden)
    os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.end() == 143
    assert bars(terminal.lines) == 0
    assert not terminal.screen.cursor.hidden
