"""The entry point. Errors become a message and an exit code here, and nowhere else."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

from airvid.cli.command import Invocation
from airvid.config import Common
from airvid.errors import AirvidError, BugError, FileError, SeveralErrors, UsageError, as_failure

if TYPE_CHECKING:
    from airvid.ui.output import Output

CLOSED_PIPE = 141  # a shell's exit code of a program that SIGPIPE ended
COMPLETE_VARIABLE = "_AIRVID_COMPLETE"  # Typer's variable: the script of a shell sets it on TAB


def entry() -> NoReturn:
    """Run the command line, and end the process at once, without waiting for a thread that looks up a name."""
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # a failure to write was told by then
    os._exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run a command line. Returns its exit code."""
    # A stream that was closed before the start (`>&-`, `<&-`) is empty to read, and loses what is written.
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # the help, in any locale
    invocation = Invocation(Common(line=arguments))
    try:
        code = _read_and_run(arguments, invocation)
        sys.stdout.flush()
        return code
    except BaseException as error:
        if os.environ.get(COMPLETE_VARIABLE):
            return _end_completion(error)
        return _exit_code(_innermost(error), arguments, invocation)


def _read_and_run(arguments: Sequence[str], invocation: Invocation) -> int:
    """Let Typer read the command line and call the command. Raises: UsageError; errors of the command."""
    from airvid.cli.app import program

    try:
        code = program().main(list(arguments), prog_name="airvid", standalone_mode=False, obj=invocation)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        hint = _prompt_hint(error, arguments, invocation) or f"{invocation.path} --help"
        raise UsageError(_sentence(error), hint=hint) from None
    return code if isinstance(code, int) else 0


def _sentence(error: typer.TyperException) -> str:
    """What Typer says of a line that it cannot read, in the words of our own checks."""
    found = error.format_message().rstrip(".")
    nearest = next(iter(getattr(error, "possibilities", None) or []), "")
    for pattern, ours in (
        (r"Invalid value for (?:'-\w' / )?'(--[\w-]+)'", r"\1"),
        (r"is not a valid int.*$", "is not a whole number"),
        (r"(\S+) is not in the range (\d+)<=x<=(\d+)$", r"'\1' is not a whole number from \2 to \3"),
        (r" \(Possible options: .*\)$", f"; did you mean {nearest}?"),
    ):
        found = re.sub(pattern, ours, found)
    return found[:1].lower() + found[1:]


def _prompt_hint(error: typer.TyperException, arguments: Sequence[str], invocation: Invocation) -> str | None:
    """How to ask for a clip of words that begin with `-`, where they were read as an option that does not exist."""
    option = getattr(error, "option_name", None)
    word = next((each for each in arguments if option and each.startswith(option)), "")
    is_prompt = " " in word or (word and word != option and not word.startswith("--"))
    if invocation.path != "airvid create" or not is_prompt:
        return None
    import shlex

    line = [each for each in arguments if each != word]
    return f"{shlex.join(['airvid', *line, '--', word])}; or airvid create --help"


def _end_completion(error: BaseException) -> int:
    """The exit code of a completion: 0, as any other would end a bash with `set -e`. Only fish needs another.

    Errors are not shown.
    """
    if isinstance(error, OSError):
        _forget_output()
    is_answer = isinstance(error, SystemExit) and bool(error.code) and "fish" in os.environ[COMPLETE_VARIABLE]
    return int(is_answer)


def _exit_code(error: BaseException, arguments: Sequence[str], invocation: Invocation) -> int:
    """Print an error. Returns its exit code."""
    if isinstance(error, SystemExit) and not error.code:
        return 0  # the end of --show-completion
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        # A page that is longer than the buffer fails at once: nothing is left to write then.
        is_page = invocation.prints_page and error.filename is None
        error = _lost_output() or (_lost(error) if is_page else as_failure(error))
    code = 130 if isinstance(error, KeyboardInterrupt) else int(getattr(error, "exit_code", 1))
    # At a closed pipe Typer raises SystemExit, a command Interrupted.
    if isinstance(error, BrokenPipeError | SystemExit) or code == CLOSED_PIPE:
        _forget_output()
        return CLOSED_PIPE
    return _report(error, arguments, invocation) if isinstance(error, Exception) else code


def _lost_output() -> FileError | None:
    """The error where standard output does not take the rest, such as the end of the help."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return _lost(error)
    return None


def _lost(error: OSError) -> FileError:
    _forget_output()
    return FileError(f"standard output cannot be written: {error.strerror}")


def _forget_output() -> None:
    from airvid import system

    system.forget(sys.stdout)


def _innermost(error: BaseException) -> BaseException:
    """The interruption in a group of errors, else its first error."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_innermost(each) for each in error.exceptions]
    return next((leaf for leaf in leaves if not isinstance(leaf, Exception)), leaves[0])


def _report(error: Exception, arguments: Sequence[str], invocation: Invocation) -> int:
    """Print an error; Typer may have found it before it had read all options."""
    invocation.common.json |= "--json" in arguments
    invocation.common.no_color |= "--no-color" in arguments
    out = invocation.out
    out.as_json = invocation.common.json
    shown = error if isinstance(error, AirvidError) else BugError.of(error)
    if "--debug" in arguments:
        _show_bugs(shown, out)
    out.error(shown)
    return shown.exit_code


def _show_bugs(error: AirvidError, out: Output) -> None:
    """Print the tracebacks of unforeseen exceptions."""
    import traceback

    for each in error.errors if isinstance(error, SeveralErrors) else [error]:
        if isinstance(each, BugError):
            for line in "".join(traceback.format_exception(each.__cause__)).splitlines():
                out.trace(line)
