"""The program in the background of a shell, under a CI, and ended by Ctrl-\\: plain lines, and the cursor back."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import KEY
from small_files import render_tiny
from terminal import AIRVID, Terminal, environment

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
CREATE = ["create", "fox", "-m", "wan-2.6", "-d", "8", "--wait"]


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    with Server(Emulator(pace=Pace(queued=0.5, processing=3), render=render_tiny)) as server:
        yield environment(tmp_path, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY, PS1="$ ")


@pytest.fixture
def shell(tmp_path: Path, env: dict[str, str]) -> Terminal:
    made = Terminal(["--norc", "-i"], cwd=tmp_path, env=env, command=["bash"], columns=120)
    made.until(lambda each: "$" in each.text)
    return made


def test_a_create_in_the_background_writes_lines(shell: Terminal) -> None:
    shell.process.send(f"{shlex.join([*AIRVID, *CREATE])} &\r")
    shell.until(lambda each: "completed after" in each.text)
    assert ": processing" in shell.text
    assert b"\x1b[?25l" not in shell.raw
    assert "━" not in shell.text


def test_after_ctrl_z_and_bg_the_screen_is_the_shell_s(shell: Terminal) -> None:
    shell.process.send(f"{shlex.join([*AIRVID, *CREATE])}\r")
    shell.until(lambda each: "processing" in each.text and each.screen.cursor.hidden)
    shell.process.send("\x1a")
    shell.until(lambda each: "Stopped" in each.text)
    shell.process.send("bg\r")
    shell.until(lambda each: "completed after" in each.text)
    assert "━" not in shell.text
    assert not shell.screen.cursor.hidden


def test_under_a_ci_a_terminal_gets_a_log(tmp_path: Path, env: dict[str, str]) -> None:
    terminal = Terminal(CREATE, cwd=tmp_path, env={**env, "CI": "true"}, columns=120)
    assert terminal.end() == 0
    assert ": processing" in terminal.text
    assert b"\x1b[?25l" not in terminal.raw


def test_ctrl_backslash_gives_the_cursor_back(shell: Terminal) -> None:
    shell.process.send(f"ulimit -c 0; {shlex.join([*AIRVID, *CREATE])}\r")
    shell.until(lambda each: "processing" in each.text and each.screen.cursor.hidden)
    shell.process.send("\x1c")
    shell.until(lambda each: "Quit" in each.text)
    assert not shell.screen.cursor.hidden
    assert "━" not in shell.text
