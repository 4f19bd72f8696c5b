"""The program as a process that is forked from one that has its modules loaded.

A hundred starts of Python take most of a minute. These tests are about what comes after the start.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import pytest

_FORKS = multiprocessing.get_context(None if sys.platform == "win32" else "forkserver")
_LOADED = ["forked_run", "loaded_program", "pytest"]


class ForkedRun:
    """A run in `folder`. Its output goes to two files; `sentinel` is ready at its end.

    Of `env`, what Python itself reads at its start (its variables, the locale) has no effect. The code of `prelude`
    runs before the program.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], *, prelude: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.arguments = arguments
        self._streams = Path(tempfile.mkdtemp())
        for name in ("out", "err"):
            (self._streams / name).touch()
        _start_server()
        self._process = _FORKS.Process(target=_run, args=(list(arguments), folder, dict(env), self._streams, prelude))
        # The process that is forked from needs these folders to find the modules that it loads; no run's own settings.
        before, here = os.environ.get("PYTHONPATH"), Path(__file__)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(here.parents[2]), str(here.parent), before or ""])
        try:
            self._process.start()
        finally:
            os.environ["PYTHONPATH"] = before or ""
        self.sentinel = self._process.sentinel

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def said(self) -> str:
        """What it has written to standard error so far."""
        return (self._streams / "err").read_text("utf-8", "replace")

    def join(self, seconds: float) -> None:
        self._process.join(seconds)

    def end(self) -> CompletedProcess[str]:
        """Kill it as `kill -9` does, if it still runs. Its exit code (-9 where it was killed) and all that it wrote."""
        self._process.join(0)
        if self.is_alive:
            self._process.kill()
            self._process.join()
        code = self._process.exitcode
        self._process.close()
        out, err = ((self._streams / name).read_text("utf-8", "replace") for name in ("out", "err"))
        shutil.rmtree(self._streams)
        return CompletedProcess(self.arguments, code if code is not None else 1, out, err)


@functools.cache
def _start_server() -> None:
    """Start the process that is forked from. It finds the modules that it loads by PYTHONPATH."""
    if sys.platform == "win32":
        return
    here = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parents[1])]))
        _FORKS.set_forkserver_preload(_LOADED)
        forkserver.ensure_running()


def run(
    arguments: Sequence[str], folder: Path, env: Mapping[str, str], *, seconds: float = 30, prelude: str = ""
) -> CompletedProcess[str]:
    """A run to its end. Raises: TimeoutExpired."""
    started = ForkedRun(arguments, folder, env, prelude=prelude)
    started.join(seconds)
    is_late, done = started.is_alive, started.end()
    if is_late:
        raise TimeoutExpired(list(arguments), seconds, done.stdout, done.stderr)
    return done


def _run(arguments: list[str], folder: Path, env: dict[str, str], streams: Path, prelude: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(streams / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    from airvid.cli.main import entry

    exec(prelude, {})
    sys.argv = ["airvid", *arguments]
    entry()
