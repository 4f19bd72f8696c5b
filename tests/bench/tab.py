"""TAB: one process, which reads a file or an index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airvid.sandbox.catalogue import MODELS

from . import journal, process, servers
from .rows import Line, Sides, Theme, times
from .start import FLOOR

TASKS, MODEL_NAMES, COMMANDS = "airvid status ", "airvid create --model ", "airvid "

LINES = (
    Line(
        "TAB on task ids", TASKS, FLOOR, times(8), f"Typer, and SQLite, of whose {journal.ENTRIES:,} tasks 50 are read"
    ),
    Line("TAB on models", MODEL_NAMES, FLOOR, times(8), "Typer, and a file of 200 lines"),
    Line("TAB on commands", COMMANDS, FLOOR, times(8), "Typer"),
)


@contextmanager
def sides() -> Iterator[Sides]:
    """The interpreter, and what the shells' scripts call, with a year of clips and the models once listed."""
    models = {"data": [{**MODELS[n % len(MODELS)], "id": f"model-{n}"} for n in range(200)]}
    with process.home() as (folder, env), servers.canned({"/models": models}) as url:
        env["AIRVID_BASE_URL"] = url
        path = folder / "data" / "airvid" / "journal.db"
        journal.fill(path, url)
        process.run(process.AIRVID, "models", env=env)
        asked = {}
        for line, least in ((TASKS, 50), (MODEL_NAMES, 50), (COMMANDS, 10)):
            words = line.split(" ")
            asked[line] = {
                **env,
                "_AIRVID_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(words) - 1),
            }
            if process.run(process.AIRVID, env=asked[line]).count(b"\n") < least:
                raise RuntimeError(f"TAB offers too little: {line}")
        yield {
            FLOOR: process.timed(*process.FLOOR, env=env),
            **{line: process.timed(process.AIRVID, env=asked[line]) for line in asked},
        }


THEME = Theme("completion", 40, LINES, sides)
