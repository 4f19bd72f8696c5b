"""Whole processes: the program as it is installed beside this Python, and the tools it is set against."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from terminal import environment

from .rows import Side, Skipped

MB = 1e6
KEY = "sk-air-bench"
AIRVID = os.environ.get("AIRVID_BENCH_PROGRAM") or str(Path(sys.executable).with_name("airvid"))
"""The console script. In an environment with the extra `test`, httpx finds Click and loads its own command line."""
FLOOR = (str(Path(AIRVID).resolve().with_name("python")), "-I", "-c", "pass")
"""The start of its interpreter."""
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
# A child's peak is at least its parent's at the fork: this one stands between, and is small.
_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def tool(name: str) -> str:
    """The path of a program. Raises: Skipped."""
    if (found := shutil.which(name, path=_PATH)) is None:
        raise Skipped(f"{name} is not installed")
    return found


@contextmanager
def home(**env: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """A user's folder, on a disk where the system says which is one, and environment."""
    with tempfile.TemporaryDirectory(prefix="airvid-bench-", dir=_disk()) as folder:
        about = environment(Path(folder), AIRVID_API_KEY=KEY, **env)
        del about["PYTHONPATH"]  # what is measured is the installation, whose modules lie where pip put them
        yield Path(folder), about


def _disk() -> str | None:
    # /tmp may be memory; what is in /var/tmp outlives a restart.
    return "/var/tmp" if os.access("/var/tmp", os.W_OK) else None


def timed(*command: str, env: Mapping[str, str], before: Callable[[], object] = lambda: None) -> Side:
    """Milliseconds from a process's start to its end; `before` is not counted."""

    def side() -> float:
        before()
        began = time.perf_counter()
        run(*command, env=env)
        return (time.perf_counter() - began) * 1000

    return side


def peak(*command: str, env: Mapping[str, str], before: Callable[[], object] = lambda: None) -> Side:
    """The most memory that a process held, in MB."""

    def side() -> float:
        before()
        told = run(sys.executable, "-I", "-S", "-c", _PEAK, *command, env=env)
        return int(told) * (1 if sys.platform == "darwin" else 1024) / MB

    return side


def run(*command: str, env: Mapping[str, str]) -> bytes:
    """What a process printed. Raises: Skipped; RuntimeError with its last words where it failed."""
    done = subprocess.run([tool(command[0]), *command[1:]], env=env, capture_output=True, close_fds=False, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout
