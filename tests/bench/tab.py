"""TAB: what the shell's script tells itself starts no Python; the rest is one process that reads a file or an index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airvid.sandbox.messages import MODELS

from . import journal, process, servers
from .rows import Line, Sides, Skipped, Theme, at_most, times
from .start import FLOOR

SCRIPT = Path(__file__).parent.parent.parent / "completions" / "airvid.bash"
TASKS, MODEL_NAMES = "tasks= airvid status", "models= airvid create --model"
# Lines whose last word is completed from what the script itself holds.
FIXED = (
    "airvid ", "airvid cr", "airvid create --", "airvid create --du", "airvid list --status ", "airvid models --sort p",
    "airvid config ", "airvid config set ", "airvid auth lo", "airvid download -", "airvid --install-completion ",
)  # fmt: skip
_PRESS = r"""
. "$0"
for COMP_LINE; do
    COMP_POINT=${#COMP_LINE} COMP_TYPE=9
    read -ra COMP_WORDS <<< "$COMP_LINE"
    [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _airvid
    [[ ${#COMPREPLY[@]} -gt 0 ]] || { echo "TAB offers nothing: $COMP_LINE" >&2; exit 1; }
done
"""

LINES = (
    Line("TAB on task ids", TASKS, FLOOR, times(1.5), f"SQLite, of whose {journal.ENTRIES:,} tasks 50 are read"),
    Line("TAB on models", MODEL_NAMES, FLOOR, times(1.5), "a file of 200 lines"),
)
COUNTED_LINES = (
    Line("TAB on commands, options, fixed values", "Pythons", None, at_most(0), "a shell function", "processes"),
)


@contextmanager
def sides() -> Iterator[Sides]:
    """The interpreter, and what the shells' scripts call, with a year of clips and the models once listed."""
    models = {"data": [{**MODELS[n % len(MODELS)], "id": f"model-{n}"} for n in range(200)]}
    with process.home() as (folder, env), servers.canned({"/models": models}) as url:
        _script()
        env["AIRVID_BASE_URL"] = url
        path = folder / "data" / "airvid" / "journal.db"
        journal.fill(path, url)
        process.run(process.AIRVID, "models", env=env)
        offers = {each: [process.AIRVID, "__complete", *each.split()] for each in (TASKS, MODEL_NAMES)}
        for each, words in offers.items():
            if process.run(*words, env=env).count(b"\n") < 50:
                raise RuntimeError(f"TAB offers too little: {each}")
        yield {
            FLOOR: process.timed(*process.FLOOR, env=env),
            **{each: process.timed(*words, env=env) for each, words in offers.items()},
        }


@contextmanager
def counted() -> Iterator[Sides]:
    """Bash with our script and stand-ins for all that could start a Python, which write down that they were called."""
    with process.home() as (folder, env):
        script, bash = _script(), process.tool("bash")
        calls, programs = folder / "calls", folder / "bin"
        calls.touch()
        programs.mkdir()
        for name in ("airvid", "python", "python3"):
            (programs / name).write_text(f'#!/bin/sh\necho x >> "{calls}"\n')
            (programs / name).chmod(0o755)
        env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"

        def pythons() -> float:
            process.run(bash, "--norc", "-c", _PRESS, script, *FIXED, env=env)
            return len(calls.read_text().splitlines())

        yield {"Pythons": pythons}


def _script() -> str:
    if not SCRIPT.exists():
        raise Skipped("there is no completion yet")
    return str(SCRIPT)


THEME = Theme("completion", 40, LINES, sides)
COUNTED = Theme("completion by the shell", 1, COUNTED_LINES, counted)
