"""Real shells with completion loaded, in which TAB is pressed.

`airvid` on PATH is a script: it calls the real program for a TAB, and else writes its arguments to a file.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pyte

FOLDER = Path(__file__).parents[2] / "completions"
_PROMPT = "ready> "
_SCRIPT = """#!/bin/sh
if [ -n "$_AIRVID_COMPLETE" ]; then
    exec "$PYTHON" -m airvid
fi
printf '%s\\0' "$@" > "$RAN"
"""


class ShellUser:
    """A user's folder, environment and files, with that script on PATH."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.ran = home / "ran"
        script = home / "bin" / "airvid"
        script.parent.mkdir(parents=True)
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        self.env = {
            **environment,
            "PATH": f"{script.parent}{os.pathsep}{environment['PATH']}",
            "RAN": str(self.ran),
            "PYTHON": sys.executable,
        }


class Interactive:
    """A shell on a terminal with a key that inserts all candidates into the line."""

    name = ""
    # The file in `completions/` that it loads.
    script = ""
    options: Sequence[str] = ()
    insert_all = ""

    def __init__(self, user: ShellUser) -> None:
        self.user = user
        self.process = pexpect.spawn(
            self.name, list(self.options), cwd=str(user.home), env=user.env, dimensions=(50, 100), timeout=20
        )
        self.process.delaybeforesend = None
        self.run(*self.setup())

    def setup(self) -> list[str]:
        raise NotImplementedError

    def run(self, *lines: str) -> None:
        for line in [*lines, "echo se''en"]:
            self.process.sendline(line)
        self.process.expect("seen\r?\n.*?" + _PROMPT)

    def offered(self, line: str) -> list[str]:
        # The words before the one under the cursor, without the program's name, are as they were typed.
        return sorted(self.typed(line + self.insert_all)[len(shlex.split(line.rpartition(" ")[0])) - 1 :])

    def typed(self, keys: str) -> list[str]:
        """What the program is called with after these keys and Enter."""
        self.user.ran.unlink(missing_ok=True)
        self.process.send(f"{keys}\r")
        self.process.expect("\r\n[^\n]*" + _PROMPT)
        return self.user.ran.read_text().split("\0")[:-1]

    def listed(self, line: str) -> str:
        self.process.send(f"{line}\t\t")
        screen = pyte.Screen(100, 50)
        stream = pyte.ByteStream(screen)
        self.process.send("#end")
        while not any("#end" in row for row in screen.display):
            stream.feed(self.process.read_nonblocking(65536, timeout=20))
        # The line is left as a comment.
        self.process.send("\x01#\r")
        self.process.expect("\r\n[^\n]*" + _PROMPT)
        return "\n".join(row.rstrip() for row in screen.display).strip()

    def end(self) -> None:
        self.process.close(force=True)


class Bash(Interactive):
    name = "bash"
    script = "airvid.bash"
    options = ("--norc", "--noprofile", "-i")
    insert_all = "\x1b*"

    def setup(self) -> list[str]:
        settings = ("bell-style none", "enable-bracketed-paste off", "page-completions off", "completion-query-items 0")
        return [f"PS1='{_PROMPT}'", *(f"bind 'set {each}'" for each in settings), *self.load()]

    def load(self) -> list[str]:
        return [f". {FOLDER / self.script}"]


class Zsh(Interactive):
    name = "zsh"
    script = "_airvid"
    options = ("-f", "-i")
    insert_all = "\x18a"

    def setup(self) -> list[str]:
        return [
            f"PROMPT='{_PROMPT}' PROMPT_EOL_MARK=''; unsetopt beep; setopt interactivecomments; bindkey -e",
            *self.load(),
            "zle -C all-matches complete-word _generic; bindkey '^Xa' all-matches",
            "zstyle ':completion:all-matches:*' insert true",
            "zstyle ':completion:all-matches::::' completer _all_matches _complete",
            "zstyle ':completion:*' list-prompt ''; LISTMAX=1000",
        ]

    def load(self) -> list[str]:
        return [f"autoload -Uz compinit; compinit -u -d {self.user.home}/dump", f". {FOLDER / self.script}"]


SHELLS: tuple[type[Interactive], ...] = (Bash, Zsh)


def is_there(shell: type[Interactive]) -> bool:
    return shutil.which(shell.name) is not None
