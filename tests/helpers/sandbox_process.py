"""`airvid sandbox` as a process that serves other programs."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terminal import AIRVID, environment

CREATE = ("create", "a fox", "-m", "dune-lite", "-d", "2", "--quality", "480p")


@contextmanager
def sandbox(home: Path, *options: str) -> Iterator[tuple[str, list[str]]]:
    """`airvid sandbox`, started; its address, and at the end what it has logged."""
    said: list[str] = []
    command = [*AIRVID, "sandbox", *options]
    with subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        assert line, process.stderr.read()
        try:
            yield line.split("AIRVID_BASE_URL=")[1].split()[0], said
        finally:
            process.send_signal(signal.SIGINT)
            said += process.stderr.read().splitlines()
            assert process.wait(20) == 130
    assert not [line for line in said if "Traceback" in line or "Exception" in line], said
