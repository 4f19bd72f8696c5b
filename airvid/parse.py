"""Plain command lines, read by a table instead of by Typer, which takes longer to load than most commands to run.

Only what is surely right is read here, and as Typer reads it, which a test shows; the rest is for Typer to say.
"""

from __future__ import annotations

from airvid.grammar import COMMANDS, COMMON

TYPE_CHECKING = False  # see stage.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Parsed = tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]


class _Unsure(Exception): ...


def parse(arguments: Sequence[str]) -> Parsed | None:
    """The command, its own values by name (None where nothing was said) and the common ones; None: Typer shall say."""
    try:
        return _parse(arguments)
    except _Unsure:
        return None


def _parse(arguments: Sequence[str]) -> Parsed:
    command: tuple[str, ...] = ()
    options = COMMON
    values: dict[str, Any] = {}
    common: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word[:1] == "-" and word != "-":
            name, sign, _ = word.partition("=") if word[:2] == "--" else (word, "", "")
            if name not in options:
                raise _Unsure
            _take(common if name in COMMON else values, *options[name], sign and word, words)
        elif command in COMMANDS:
            rest.append(word)
        else:
            command = (*command, word)
            options = COMMON | COMMANDS.get(command, ({}, []))[0]
    if command not in COMMANDS:
        raise _Unsure
    own, arguments_ = COMMANDS[command]
    nothing = dict.fromkeys([name for name, _ in own.values()])
    return command, nothing | values | _arguments(arguments_, rest), common


def _take(into: dict[str, Any], name: str, kind: object, whole: str, words: Iterator[str]) -> None:
    """Read one option into `into`; `whole` is the word where the value is in it (`--name=value`)."""
    if isinstance(kind, bool):
        if whole or into.get(name, kind) is not kind:
            raise _Unsure
        into[name] = kind
        return
    value = whole.partition("=")[2] if whole else next(words, "-?")
    if not whole and value[:1] == "-" and value != "-":
        raise _Unsure
    if kind == "texts":
        into.setdefault(name, []).append(value)
    elif name in into or (kind == "number" and not (value.isascii() and value.isdigit() and len(value) < 19)):
        raise _Unsure
    else:
        into[name] = int(value) if kind == "number" else value


def _arguments(arguments: Sequence[tuple[str, str]], given: list[str]) -> dict[str, Any]:
    """What stands on the command line without a name."""
    values: dict[str, Any] = {}
    for name, kind in arguments:
        if kind == "many":
            values[name], given = given, []
        elif given:
            values[name], *given = given
        elif kind == "required":
            raise _Unsure
        else:
            values[name] = None
    if given:
        raise _Unsure
    return values
