"""What each command may load, make and start: the causes of a slow start, not a stopwatch."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import KEY
from small_files import render_tiny
from terminal import AIRVID, environment

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server

# What no command loads that has no use for it: it would be felt at every start.
HEAVY = {"httpx", "httpx_sse", "sqlite3", "rich", "av", "PIL", "tomlkit", "http.server", "airvid.sandbox"}
MAY_LOAD: dict[str, set[str]] = {
    "--version": {"sqlite3"},
    "--help": {"sqlite3"},
    "create --help": {"sqlite3"},
    "help json": {"sqlite3"},
    "config path": {"sqlite3"},
    "list --local": {"sqlite3", "rich"},
    "status ID --json": {"sqlite3", "httpx"},
    "list --json": {"sqlite3", "httpx"},
}
# Runs the program, and tells what it loaded and what processes it started; it loads nothing itself.
PROBE = """
import sys
sys.modules["click"] = None  # no part of an installation; with it, httpx loads a command line of its own, and Rich
processes = []
def heard(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system"):
        processes.append(event)
sys.addaudithook(heard)
from airvid.cli.main import main
code = main(sys.argv[1:])
print([code, processes, list(sys.modules)], file=sys.stderr)
"""
# Tells how many TLS contexts were made, and how often certificates were loaded.
TLS_PROBE = """
import sys
seen = []
def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_qualname == "SSLContext.__new__":
        seen.append("context")
    elif event == "c_call" and argument.__name__ in ("load_verify_locations", "set_default_verify_paths"):
        seen.append("certificates")
from airvid.cli.main import main
sys.setprofile(watch)
code = main(sys.argv[1:])
sys.setprofile(None)
print([code, seen], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(Emulator(pace=Pace(0, 0), render=render_tiny)) as running:
        yield running


def run(probe: str, arguments: list[str], folder: Path, env: dict[str, str]) -> tuple[str, Any]:
    """What the program printed, and what the probe saw of it."""
    # Without `site`, which may load anything; the packages are found all the same.
    paths = os.pathsep.join([env["PYTHONPATH"], *(path for path in sys.path if path.endswith("-packages"))])
    command = [sys.executable, "-S", "-c", probe, *arguments]
    more = {**env, "PYTHONPATH": paths}
    done = subprocess.run(command, cwd=folder, env=more, capture_output=True, timeout=60, check=True)
    return done.stdout.decode("utf-8", "replace"), ast.literal_eval(done.stderr.decode().splitlines()[-1])


@pytest.fixture
def env(tmp_path: Path, server: Server) -> dict[str, str]:
    return environment(tmp_path, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY, AIRVID_MODEL="wan-2.6")


@pytest.mark.parametrize("line", MAY_LOAD)
def test_a_command_loads_what_it_needs(line: str, tmp_path: Path, env: dict[str, str]) -> None:
    words = line.split()
    if "ID" in words:
        words[words.index("ID")] = run(PROBE, ["create", "fox"], tmp_path, env)[0].strip()
    _, (code, processes, modules) = run(PROBE, words, tmp_path, env)
    loaded = {each for name in modules for each in (name, name.split(".")[0])}
    assert HEAVY & loaded <= MAY_LOAD[line]
    assert processes == []
    assert code == 0


@pytest.mark.parametrize("line", ["list --json", "create fox --wait -o fox.mp4", "models"])
def test_http_needs_no_certificates(line: str, tmp_path: Path, env: dict[str, str]) -> None:
    _, (code, seen) = run(TLS_PROBE, line.split(), tmp_path, env)
    assert code == 0
    assert seen.count("certificates") == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("line", ["--version", "--help", "help json", "status --exit-status --help", "config path"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_told(line: str, unbuffered: str, tmp_path: Path, env: dict[str, str]) -> None:
    env |= {"PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        command = [*AIRVID, *line.split()]
        done = subprocess.run(command, cwd=tmp_path, env=env, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 11
    assert done.stderr.decode() == "error: standard output cannot be written: No space left on device\n"
