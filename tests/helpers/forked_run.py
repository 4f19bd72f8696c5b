"""The program as a process that is forked from one that has its modules loaded.

A hundred starts of Python take most of a minute. These tests are about what comes after the start.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from terminal import environment

_FORKS = multiprocessing.get_context(None if sys.platform == "win32" else "forkserver")
_LOADED = [
    "forked_run",
    "pytest",
    "airvid.commands.create",
    "airvid.commands.watch",
    "airvid.commands.download",
    "airvid.commands.batch",
]


class ForkedRun:
    """A run in `folder`. Its output goes to `out` and `err` beside the folder; `sentinel` is ready at its end."""

    def __init__(self, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._err = folder.with_name("err")
        whole = environment(folder.parent, **env)
        os.environ["PYTHONPATH"] = whole["PYTHONPATH"] = os.pathsep.join(
            [whole["PYTHONPATH"], os.path.dirname(__file__)]
        )
        _FORKS.set_forkserver_preload(_LOADED)
        self._process = _FORKS.Process(target=_run, args=(list(arguments), folder, whole))
        self._process.start()
        self.sentinel = self._process.sentinel

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """As `kill -9` does."""
        self._process.kill()
        self._process.join()

    def join(self, seconds: float) -> None:
        self._process.join(seconds)

    def end(self) -> tuple[int | None, str]:
        """Exit code (None: it had to be killed) and standard error."""
        self._process.join(0)
        code = self._process.exitcode
        if code is None:
            self.kill()
        self._process.close()
        return code, self._err.read_text("utf-8", "replace")


def _run(arguments: list[str], folder: Path, env: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(folder.with_name(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    from airvid.cli.main import main

    sys.exit(main(arguments))
