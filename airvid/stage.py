"""The stage: a story of `commands/` is played on the program's one event loop, and what goes wrong is told here.

Loaded on every start: nothing is imported before it is needed.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `typing` alone would cost more than a whole `--version`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType
    from typing import Any

    from airvid.errors import AirvidError

# Stories whose function is not called as the command is.
_FUNCTIONS: dict[Sequence[str], str] = {("config", "list"): "list_all", ("config", "set"): "set_one"}
# Seconds after which garbage is collected: a short run never does.
_COLLECT_AFTER = 1.0


def play(command: Sequence[str], values: Mapping[str, Any], common: Mapping[str, Any]) -> int:
    """Play the story of a command; the exit code.

    `values` are its own options by name, None where nothing was said; `common` those that every command takes.
    """
    import asyncio
    import gc

    from airvid import system
    from airvid.errors import AirvidError
    from airvid.output import Output
    from airvid.session import Common, Session

    module = module_of(command)
    story = getattr(module, _FUNCTIONS.get(tuple(command), command[1] if len(command) > 1 else "run"))
    options = [options_of(module, values)] if values else []
    said = Common(**common)
    out = Output(as_json=said.json, quiet=said.quiet, color=_wants_color(said.no_color))

    async def whole() -> None:
        asyncio.get_running_loop().call_later(_COLLECT_AFTER, gc.enable)
        session = Session(said, out)
        try:
            await story(session, *options)
        except AirvidError as error:
            raise session.cause_of(error) from None
        finally:
            await session.aclose()

    try:
        system.run(whole())
    except AirvidError as error:
        if said.debug:
            _show_bugs(error)
        out.error(error)
        return error.exit_code
    return 0


def module_of(command: Sequence[str]) -> ModuleType:
    """The module that holds a command's story."""
    from importlib import import_module

    return import_module(f"airvid.commands.{command[0]}")


def options_of(module: ModuleType, values: Mapping[str, Any]) -> Any:
    """The story's Options. A name that Python has taken ends in `_` in cli.py (`set_`, `all_`)."""
    given = {name.rstrip("_"): value for name, value in values.items() if value is not None}
    return module.Options(**{name: tuple(each) if isinstance(each, list) else each for name, each in given.items()})


def _wants_color(refused: bool) -> bool:
    return not refused and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show(page: str) -> None:
    """Print a page of help, in any locale."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.write(page)


def answer(act: Callable[[], int], arguments: Sequence[str]) -> int:
    """Do what was asked for; the exit code. Whatever goes wrong becomes a sentence here, and only here."""
    # A stream that was closed before we began (`>&-`, `<&-`) is one that nobody reads or writes.
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        code = act()
        sys.stdout.flush()
        return code
    except BaseException as caught:
        error = _innermost(caught)
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        # The last flush: standard output is on a disk that is full.
        from airvid.errors import FileError
        from airvid.system import forget

        error = FileError(f"standard output cannot be written: {error.strerror}")
        forget(sys.stdout)
    code = 130 if isinstance(error, KeyboardInterrupt) else int(getattr(error, "exit_code", 1))
    # Typer's own answer to a closed pipe is SystemExit; a story's is Interrupted.
    if isinstance(error, BrokenPipeError | SystemExit) or code == 141:
        from airvid.system import forget

        forget(sys.stdout)
        return 141
    return _report(error, arguments) if isinstance(error, Exception) else code


def _innermost(error: BaseException) -> BaseException:
    """What a group of errors was about: an interruption if there is one, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_innermost(each) for each in error.exceptions]
    return next((leaf for leaf in leaves if not isinstance(leaf, Exception)), leaves[0])


def _report(error: Exception, arguments: Sequence[str]) -> int:
    from airvid.errors import AirvidError, BugError
    from airvid.output import Output

    out = Output(as_json="--json" in arguments, color=_wants_color("--no-color" in arguments))
    told = error if isinstance(error, AirvidError) else BugError.of(error)
    if "--debug" in arguments:
        _show_bugs(told)
    out.error(told)
    return told.exit_code


def _show_bugs(error: AirvidError) -> None:
    """The tracebacks of what nobody foresaw."""
    import traceback

    from airvid.errors import BugError, SeveralErrors

    for each in error.errors if isinstance(error, SeveralErrors) else [error]:
        if isinstance(each, BugError):
            traceback.print_exception(each.__cause__)
