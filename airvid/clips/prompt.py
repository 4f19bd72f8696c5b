"""Reading the prompt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from airvid import system
from airvid.clips import pictures
from airvid.errors import FileError, UsageError

# Bytes of a prompt.
LONGEST = 1 << 20


def read_prompt(argument: str | None, file: str | None, images: Sequence[str] = ()) -> str:
    """The prompt from the command line, a file, or standard input (`-`), which one of `images` may need too.

    Raises: UsageError, FileError.
    """
    if argument is not None and file is not None:
        raise UsageError("PROMPT and --prompt-file contradict each other")
    if argument is None and file is None:
        raise UsageError("no prompt; give one in quotes, or - for standard input", hint="airvid create --help")
    if "-" in (argument, file) and "-" in images:
        raise UsageError("the prompt and a picture both want standard input", hint="--prompt-file FILE")
    if "-" in (argument, file):
        prompt = _decoded(system.read_stdin(LONGEST + 1), "standard input")
    elif file is not None:
        try:
            with system.interruptible(), Path(os.path.expanduser(file)).open("rb") as opened:
                prompt = _decoded(opened.read(LONGEST + 1), file)
        except (OSError, ValueError) as error:  # a NUL in its name
            raise FileError(f"the prompt file {file} cannot be read: {getattr(error, 'strerror', error)}") from None
    else:
        prompt = _typed(argument or "")
    if not prompt.strip():
        raise UsageError("the prompt is empty", hint="airvid create --help")
    return prompt


def _typed(argument: str) -> str:
    """The argument's bytes read as UTF-8, also where the locale is ASCII."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument  # `complaints_of` says what is wrong with it


def file_meant(argument: str, references: Sequence[str] = ()) -> UsageError | None:
    """The complaint about a prompt that is the name of a file, with the two commands that it may stand for.

    `references`: the values of -r; a shell's `-r *.png` leaves all but the first without an option.
    """
    name = next((each for each in (argument, argument.removeprefix("@")) if _is_file(each)), None)
    if name is None:
        return None
    try:
        pictures.check(name, {})
        named = [f"-r {quote(each)}" for each in (*references, name)] if references else [f"-i {quote(name)}"]
        meant = " ".join(["airvid create PROMPT", *named])
    except FileError:
        is_clip = os.path.splitext(name)[1].lower() == ".mp4"
        meant = f"airvid create {'PROMPT --extend' if is_clip else '--prompt-file'} {quote(name)}"
    literally = f"printf %s {quote(argument)} | airvid create -"
    return UsageError(f"the prompt {argument!r} is the name of a file", hint=f"{meant}; for the words: {literally}")


def _is_file(name: str) -> bool:
    try:
        return os.path.isfile(pictures.path_of(name))
    except (ValueError, RuntimeError):
        return False  # a NUL in it, or the home of an unknown user


def _decoded(content: bytes, source: str) -> str:
    """The text without the newline at its end. Raises: UsageError."""
    if len(content) > LONGEST:
        raise UsageError(f"the prompt in {source} is longer than {LONGEST >> 20} MB")
    try:
        return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError(f"the prompt in {source} is not UTF-8 text") from None
