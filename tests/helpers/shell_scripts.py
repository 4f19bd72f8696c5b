"""Fixtures for lines of a shell script that call the program against a server on a real socket."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import KEY
from small_files import render_tiny
from terminal import environment

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def emulator() -> Emulator:
    """A quick API: half a second from prompt to clip."""
    return Emulator(pace=Pace(queued=0.1, processing=0.4), render=render_tiny)


@pytest.fixture
def env(tmp_path: Path, server: Server) -> dict[str, str]:
    command = tmp_path / "bin" / "airvid"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m airvid "$@"\n')
    command.chmod(0o755)
    more = environment(tmp_path, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)
    return {**more, "PATH": f"{command.parent}{os.pathsep}{more['PATH']}"}


@pytest.fixture
def sh(tmp_path: Path, env: dict[str, str]) -> Run:
    """Run a line as a script would: `sh -eu`."""

    def run(script: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        command = ["sh", "-eu", "-c", script]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False, **more)

    return run
