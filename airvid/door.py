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
    """The page that a line of nothing but commands and --help asks for; None where Typer must say."""
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
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        columns = 80
    if 0 < columns < 80:
        return None  # the pages are laid out for 80; on a narrower terminal Typer does it afresh
    from airvid.pages import PAGES

    return PAGES.get(tuple(words))


def entry() -> NoReturn:
    """The console script. Collecting garbage and tidying up cost more than all that is done here."""
    gc.disable()
    if sys.executable and sys.path[0] == os.path.dirname(sys.executable):
        del sys.path[0]  # it holds no modules, and would be looked into for each
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # told by now, or nobody is left to tell
    os._exit(code)
