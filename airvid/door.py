"""The door, before Typer is loaded: pages of help are shown, plain command lines played; cli.py takes the rest."""

from __future__ import annotations

import gc
import os
import sys

from airvid import __version__, stage

TYPE_CHECKING = False  # see stage.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# Common options that change nothing about a page of help.
_ANYWHERE = ("--json", "--quiet", "-q", "--debug", "--sandbox", "--no-color")
# The pages are laid out for a terminal of so many columns; on a narrower one Typer does it afresh.
_COLUMNS = 80


def main(arguments: Sequence[str]) -> int:
    """Run the program and return its exit code."""
    if arguments and arguments[0] == "__complete":
        from airvid import completion

        return completion.main(arguments[1:])

    def act() -> int:
        if (page := _page([each for each in arguments if each not in _ANYWHERE])) is not None:
            stage.show(page)
            return 0
        from airvid.parse import parse

        if (plain := parse(arguments)) is not None:
            return stage.play(*plain)
        from airvid import cli

        return cli.run(arguments)

    return stage.answer(act, arguments)


def _page(words: Sequence[str]) -> str | None:
    """The page that a command line asks for which holds nothing but commands and --help; None where Typer must say."""
    if words == ["--version"]:
        return f"airvid {__version__}\n"
    if words[-1:] in (["--help"], ["-h"]):
        words = words[:-1]
    elif words[:1] == ["help"]:
        from airvid import topics

        words = words[1:]
        if (page := topics.page(words)) is not None:
            return page
    elif words not in ([], ["auth"], ["config"]):
        return None
    if _is_narrow():
        return None
    from airvid.pages import PAGES

    return PAGES.get(tuple(words))


def _is_narrow() -> bool:
    given = os.environ.get("COLUMNS", "")
    try:
        columns = int(given) if given else os.get_terminal_size(1).columns
    except (OSError, ValueError):
        return False
    return 0 < columns < _COLUMNS


def entry() -> NoReturn:
    """The console script. Collecting garbage and tidying up before the end cost more than all that is done here."""
    gc.disable()
    if sys.executable and sys.path[0] == os.path.dirname(sys.executable):
        del sys.path[0]  # the script's own folder holds no modules, and would be looked into for each that is loaded
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # told by now, or nobody is left to tell
    os._exit(code)
