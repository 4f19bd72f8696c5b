"""Real shells with completion loaded, and a person who presses TAB in them.

`airvid` is a stand-in on PATH: it writes down what it was called with, and hands `__complete` on to the real one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pyte
from terminal import AIRVID

FOLDER = Path(__file__).parent.parent / "completions"
_PROMPT = "ready> "
_STAND_IN = """#!/bin/sh
if [ "$1" = __complete ]; then
    echo "$2" >> "$CALLS"
    exec "$PYTHON" -m airvid "$@"
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


def install(desk: Desk, shell: str) -> str:
    """Install the script of a shell as a user does; what was said about it."""
    command = [*AIRVID, "--install-completion", shell]
    done = subprocess.run(command, env=desk.env, capture_output=True, text=True, check=True)
    return done.stderr


class Shell:
    """A shell in which lines are typed."""

    name = ""
    # The folder's script that it loads.
    script = ""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def offered(self, line: str) -> list[str]:
        """What TAB offers at the end of a line, sorted, as the program would get it; nothing if the word is whole."""
        current = line.rpartition(" ")[2]
        lead = current[: current.find("=") + 1] if current.startswith("--") else ""
        found = [each.removeprefix(lead).rstrip("/") for each in self.candidates(line)]
        return [] if found == [current.removeprefix(lead)] else sorted(found)

    def candidates(self, line: str) -> list[str]:
        raise NotImplementedError

    def listed(self, line: str) -> str:
        """What a person sees who presses TAB twice."""
        raise NotImplementedError

    def end(self) -> None:
        pass


class Interactive(Shell):
    """A shell at a terminal, which has a key that puts all candidates into the line."""

    options: Sequence[str] = ()
    insert_all = ""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.process = pexpect.spawn(
            self.name, list(self.options), cwd=str(desk.home), env=desk.env, dimensions=(50, 100), timeout=20
        )
        self.process.delaybeforesend = None
        self.run(*self.setup())

    def setup(self) -> list[str]:
        raise NotImplementedError

    def run(self, *lines: str) -> None:
        for line in [*lines, "echo se''en"]:
            self.process.sendline(line)
        self.process.expect("seen\r?\n.*?" + _PROMPT)

    def candidates(self, line: str) -> list[str]:
        # The words before the one under the cursor, without the program's name, are as they were typed.
        return self.typed(line + self.insert_all)[len(shlex.split(line.rpartition(" ")[0])) - 1 :]

    def typed(self, keys: str) -> list[str]:
        """What the program is called with after these keys and Enter."""
        self.desk.ran.unlink(missing_ok=True)
        self.process.send(f"{keys}\r")
        self.process.expect("\r\n[^\n]*" + _PROMPT)
        return self.desk.ran.read_text().split("\0")[:-1]

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


class BashWithPackage(Bash):
    """bash with the package bash-completion, which finds the script by itself where it was installed."""

    package = Path("/usr/share/bash-completion/bash_completion")

    def load(self) -> list[str]:
        install(self.desk, self.name)
        return [f". {self.package}"]


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
        return [f"fpath=({FOLDER} $fpath)", f"autoload -Uz compinit; compinit -u -d {self.desk.home}/dump"]


class Fish(Shell):
    """fish tells its candidates itself, each with what it is."""

    name = "fish"
    script = "airvid.fish"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        loop = 'source $argv[1]; while read -l line; complete -C "$line"; echo; end'
        self.process = subprocess.Popen(
            ["fish", "--no-config", "-c", loop, str(FOLDER / self.script)],
            cwd=desk.home,
            env=desk.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def described(self, line: str) -> list[str]:
        asked, told = self.process.stdin, self.process.stdout
        assert asked
        assert told
        asked.write(line + "\n")
        asked.flush()
        return [each.removesuffix("\n") for each in iter(told.readline, "\n")]

    def candidates(self, line: str) -> list[str]:
        return [each.partition("\t")[0] for each in self.described(line)]

    def end(self) -> None:
        self.process.communicate()

    def listed(self, line: str) -> str:
        return "\n".join(self.described(line))


SHELLS: tuple[type[Shell], ...] = (Bash, BashWithPackage, Zsh, Fish)


def is_there(shell: type[Shell]) -> bool:
    return bool(shutil.which(shell.name)) and (shell is not BashWithPackage or BashWithPackage.package.exists())
