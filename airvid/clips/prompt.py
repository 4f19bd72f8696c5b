"""Reading the prompt."""

from __future__ import annotations

import os
from pathlib import Path

from airvid import system
from airvid.errors import FileError, UsageError


def read_prompt(argument: str | None, file: str | None) -> str:
    """The prompt from the command line, a file, or standard input (`-`). Raises: UsageError, FileError."""
    hint = 'airvid create "fox in snow"; - reads it from standard input'
    if argument is not None and file is not None:
        raise UsageError("PROMPT and --prompt-file contradict each other")
    if argument is None and file is None:
        raise UsageError("no prompt", hint=hint)
    if "-" in (argument, file):
        prompt = _decoded(system.read_stdin(), "standard input")
    elif file is not None:
        try:
            with system.interruptible():
                prompt = _decoded(Path(file).read_bytes(), file)
        except OSError as error:
            raise FileError(f"the prompt file {file} cannot be read: {error.strerror}") from None
    else:
        prompt = _typed(argument or "")
    if not prompt.strip():
        raise UsageError("the prompt is empty", hint=hint)
    return prompt


def _typed(argument: str) -> str:
    """The argument's bytes read as UTF-8, also where the locale is ASCII."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument  # `complaints_of` says what is wrong with it


def _decoded(content: bytes, source: str) -> str:
    """The text without the newline at its end. Raises: UsageError."""
    try:
        return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError(f"the prompt in {source} is not UTF-8 text") from None
