"""The entry point: errors become a sentence and an exit code, and nothing else prints them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from airvid.cli.command import Invocation
from airvid.errors import AirvidError, BugError, FileError, SeveralErrors, UsageError

CLOSED_PIPE = 141  # what a shell says of a program that SIGPIPE ended
COMPLETE_VARIABLE = "_AIRVID_COMPLETE"  # Typer's name for it: a shell's script sets it on TAB


def entry() -> NoReturn:
    """The console script. It ends the process at once: the interpreter would wait for a thread that looks up a name."""
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # a failure to write was told by then
    os._exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run a command line; its exit code."""
    # A stream that was closed before the start (`>&-`, `<&-`) reads as empty, and what is written to it is lost.
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # the help, in any locale
    invocation = Invocation()
    try:
        code = _read_and_run(arguments, invocation)
        sys.stdout.flush()
        return code
    except BaseException as error:
        if os.environ.get(COMPLETE_VARIABLE):
            return _completed(error)
        return _told(_innermost(error), arguments, invocation)


def _read_and_run(arguments: Sequence[str], invocation: Invocation) -> int:
    """Have Typer read the command line and call the command. Raises: what that raises; UsageError."""
    from airvid.cli.app import program

    try:
        code = program().main(list(arguments), prog_name="airvid", standalone_mode=False, obj=invocation)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        raise UsageError(error.format_message().rstrip("."), hint=f"{invocation.path} --help") from None
    return code if isinstance(code, int) else 0


def _completed(error: BaseException) -> int:
    """The end of a TAB: Typer exits once the candidates are written, and what goes wrong is not told."""
    if isinstance(error, OSError):
        _forget_output()
    return 0 if isinstance(error, SystemExit) and not error.code else 1


def _told(error: BaseException, arguments: Sequence[str], invocation: Invocation) -> int:
    """Print what went wrong; the exit code."""
    if isinstance(error, SystemExit) and not error.code:
        return 0  # Typer's way out of --show-completion
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        # The help, or the last flush: standard output is on a disk that is full.
        error = FileError(f"standard output cannot be written: {error.strerror}")
        _forget_output()
    code = 130 if isinstance(error, KeyboardInterrupt) else int(getattr(error, "exit_code", 1))
    # Typer's own answer to a closed pipe is SystemExit; that of a command is Interrupted.
    if isinstance(error, BrokenPipeError | SystemExit) or code == CLOSED_PIPE:
        _forget_output()
        return CLOSED_PIPE
    return _report(error, arguments, invocation) if isinstance(error, Exception) else code


def _forget_output() -> None:
    from airvid import system

    system.forget(sys.stdout)


def _innermost(error: BaseException) -> BaseException:
    """What a group of errors was about: an interruption if there is one, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_innermost(each) for each in error.exceptions]
    return next((leaf for leaf in leaves if not isinstance(leaf, Exception)), leaves[0])


def _report(error: Exception, arguments: Sequence[str], invocation: Invocation) -> int:
    """Print an error, also one that Typer found before it had read all options."""
    invocation.common.json |= "--json" in arguments
    invocation.common.no_color |= "--no-color" in arguments
    out = invocation.out
    out.as_json = invocation.common.json
    told = error if isinstance(error, AirvidError) else BugError.of(error)
    if "--debug" in arguments:
        _show_bugs(told)
    out.error(told)
    return told.exit_code


def _show_bugs(error: AirvidError) -> None:
    """Print the tracebacks of exceptions that were not foreseen."""
    import traceback

    for each in error.errors if isinstance(error, SeveralErrors) else [error]:
        if isinstance(each, BugError):
            traceback.print_exception(each.__cause__)
