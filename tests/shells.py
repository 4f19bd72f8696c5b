"""Real shells with completion loaded, and a person who presses TAB in them.

`airvid` is a stand-in on PATH: it writes down what it was called with, and hands `__complete` on to the real one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
from completion_scripts import FOLDER

_PROMPT = "ready> "
_STAND_IN = """#!/bin/sh
if [ "$1" = __complete ]; then
    echo "$2" >> "$CALLS"
    exec "$PYTHON" -c 'import sys; from airvid.completion import main; main(sys.argv[2:])' "$@"
fi
printf '%s\\0' "$@" > "$RAN"
"""


class Desk:
    """A user's folder, environment and files, with the stand-in on PATH."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.ran, self.calls_file = home / "ran", home / "calls"
        stand_in = home / "bin" / "airvid"
        stand_in.parent.mkdir(parents=True)
        stand_in.write_text(_STAND_IN)
        stand_in.chmod(0o755)
        self.env = {
            **environment,
            "PATH": f"{stand_in.parent}{os.pathsep}{environment['PATH']}",
            "CALLS": str(self.calls_file),
            "RAN": str(self.ran),
            "PYTHON": sys.executable,
        }

    @property
    def calls(self) -> list[str]:
        """The kinds that a shell asked `airvid` for."""
        return self.calls_file.read_text().split("\n")[:-1] if self.calls_file.exists() else []


class Shell:
    """An interactive shell."""

    name: str
    # Keys that put all candidates into the line, where the program will tell them.
    insert_all: str

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.process = pexpect.spawn(
            self.name, self.options, cwd=str(desk.home), env=desk.env, dimensions=(50, 100), timeout=20
        )
        self.run(*self.setup(desk))

    options: list[str]

    def setup(self, desk: Desk) -> list[str]:
        raise NotImplementedError

    def run(self, *lines: str) -> None:
        for line in [*lines, "echo se''en"]:
            self.process.sendline(line)
        self.process.expect("seen\r?\n.*?" + _PROMPT)

    def candidates(self, line: str) -> list[str]:
        """What TAB offers at the end of a line, as the program would be given it if all of it were taken."""
        self.desk.ran.unlink(missing_ok=True)
        self.process.send(f"{line}{self.insert_all}\r")
        self.process.expect("\r\n[^\n]*" + _PROMPT)
        return self.desk.ran.read_text().split("\0")[:-1]

    def end(self) -> None:
        self.process.close(force=True)


class Bash(Shell):
    name = "bash"
    options = ["--norc", "--noprofile", "-i"]
    insert_all = "\x1b*"

    def setup(self, desk: Desk) -> list[str]:
        settings = ("bell-style none", "enable-bracketed-paste off", "page-completions off", "completion-query-items 0")
        return [f"PS1='{_PROMPT}'", *(f"bind 'set {each}'" for each in settings), f". {FOLDER / 'airvid.bash'}"]


class Zsh(Shell):
    name = "zsh"
    options = ["-f", "-i"]
    insert_all = "\x18a"

    def setup(self, desk: Desk) -> list[str]:
        return [
            f"PROMPT='{_PROMPT}' PROMPT_EOL_MARK='' fpath=({FOLDER} $fpath); unsetopt zle_bracketed_paste beep",
            f"autoload -Uz compinit; compinit -u -d {desk.home}/dump",
            "zle -C all-matches complete-word _generic; bindkey '^Xa' all-matches",
            "zstyle ':completion:all-matches:*' insert true",
            "zstyle ':completion:all-matches::::' completer _all_matches _complete",
        ]


if __name__ == "__main__":
    import tempfile
    from terminal import environment
    with tempfile.TemporaryDirectory() as t:
        t=Path(t)
        d = Desk(t, environment(t, XDG_CACHE_HOME='/tmp/cbhome/cache', XDG_DATA_HOME='/tmp/cbhome/data'))
        for c in (Bash, Zsh):
            s = c(d)
            for line in sys.argv[1:]:
                print(c.name, repr(line), s.candidates(line), d.calls)
            s.end()
