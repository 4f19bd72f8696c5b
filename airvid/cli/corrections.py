"""Mistakes on the command line, with the line that was probably meant as the hint."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence

from airvid.config import SETTINGS
from airvid.errors import UsageError

# The names that other tools have for our commands.
_OUR_NAMES = {
    "ls": "list",
    "ps": "list",
    "history": "list",
    "rm": "delete",
    "remove": "delete",
    "login": "auth login",
    "logout": "auth logout",
    "whoami": "auth status",
    "open": "preview --open",
    "play": "preview --open",
    "get": "download",
    "save": "download",
    "show": "status",
    "wait": "watch",
    "follow": "watch",
    "resume": "watch",
    "cancel": "watch",
    "stop": "watch",
    "generate": "create",
    "version": "--version",
    "completion": "--install-completion",
}
# The hint where no known word is near.
_FALLBACK = {"airvid": "airvid --help", "airvid auth": "airvid auth status", "airvid config": "airvid config list"}


def no_command(path: str, word: str, commands: Iterable[str], arguments: Sequence[str]) -> UsageError:
    """The error for a `word` that is no command of the program or group at `path`."""
    if path == "airvid config" and word.replace("_", "-") in SETTINGS:
        meant: str | None = "get" if word == arguments[-1] else "set"
        meant = f"{meant} {word}"
    else:
        known = list(commands)
        meant = _OUR_NAMES.get(word) if path == "airvid" else None
        import difflib

        meant = meant or next(iter(difflib.get_close_matches(word, known, n=1)), None)
    why = ": a task that runs cannot be stopped, and is charged" if word in ("cancel", "stop") else ""
    at = arguments.index(word)
    line = [*arguments[:at], *(meant or "").split(), *arguments[at + 1 :]]
    return UsageError(f"no command {word!r}{why}", hint=_line(line) if meant else _FALLBACK[path])


def extra_words(path: str, prompt: object, extra: Sequence[str], arguments: Sequence[str]) -> UsageError:
    """The error for words behind the last argument: most often a prompt without quotes."""
    words, line = [prompt, *extra], list(arguments)
    if pictures := _pictures(words, line):
        hint = _with_options(words, pictures, line) or f"{path} --help"
        return UsageError(f"unexpected: {' '.join(pictures)}; each picture needs an -r of its own", hint=hint)
    # Options may stand between the words; then each word has to be there once.
    together = [at for at in range(len(line)) if line[at : at + len(words)] == words]
    if isinstance(prompt, str) and len(together) == 1:
        line[together[0] : together[0] + len(words)] = [" ".join([prompt, *extra])]
    elif isinstance(prompt, str) and all(line.count(str(word)) == 1 for word in words):
        line[line.index(prompt)] = " ".join([prompt, *extra])
        line = [word for word in line if word not in extra]
    else:
        return UsageError(f"unexpected: {' '.join(extra)}", hint=f"{path} --help")
    return UsageError(f"unexpected: {' '.join(extra)}; a prompt is one argument, in quotes", hint=_line(line))


def _pictures(words: Sequence[object], line: Sequence[str]) -> list[str]:
    """The words that are files, beside an -r: a shell's `-r *.png` leaves all but the first without an option."""
    takes_pictures = bool({"-r", "--reference"} & {*line})
    return [word for word in words if isinstance(word, str) and takes_pictures and os.path.isfile(word)]


def _with_options(words: Sequence[object], pictures: Sequence[str], line: list[str]) -> str | None:
    """The line with an -r before each picture, and the other words as the prompt; None where a word is there twice."""
    if any(line.count(str(word)) != 1 for word in words):
        return None
    rest = [str(word) for word in words if word not in pictures]
    at = min(line.index(word) for word in rest) if rest else len(line)
    line[at:] = [" ".join(rest) or "PROMPT", *(word for word in line[at:] if word not in rest)]
    return _line([each for word in line for each in (*["-r"] * (word in pictures), word)])


def _line(words: Sequence[str]) -> str:
    """A command line to paste. Plain words are in double quotes, which every shell knows."""
    plain = [f'"{word}"' if re.fullmatch(r"[\w,.:;?-]+( [\w,.:;?-]+)+", word) else shlex.quote(word) for word in words]
    return " ".join(["airvid", *plain])
