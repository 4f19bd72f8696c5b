"""airvid --install-completion, --show-completion: the scripts that make TAB work in a shell (contract 12.1)."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from airvid import system
from airvid.config import folder
from airvid.errors import FileError, UsageError
from airvid.scripts import SHELLS, script
from airvid.session import Session


class Options(NamedTuple):
    tree: Any  # the commands, as Typer lays them out
    shell: str = ""  # the one that is used here


async def install(session: Session, options: Options) -> None:
    """Put a shell's script where that shell looks for it."""
    shell = _known(options.shell)
    path = _place(shell)
    try:
        system.write_private(path, script(shell, options.tree).encode())
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from None
    session.out.record({"shell": shell, "path": str(path)}, [path])
    for line in (f"completion for {shell} is installed", *_next_steps(shell, path)):
        session.out.note(line)


async def show(session: Session, options: Options) -> None:
    """Print a shell's script."""
    shell = _known(options.shell)
    written = script(shell, options.tree)
    if session.out.as_json:
        session.out.record({"shell": shell, "script": written}, None)
    else:
        session.out.raw(written.encode())


def _known(given: str) -> str:
    """The shell of that name. Raises: UsageError."""
    if shell := _shell(given) if given else _used_here():
        return shell
    told = f"no completion for {given!r}" if given else "it cannot be told which shell this is"
    raise UsageError(f"{told}: there is {', '.join(SHELLS)}", hint="airvid --install-completion bash")


def _shell(name: str) -> str | None:
    name = os.path.basename(name.strip().replace("\\", "/")).lstrip("-").lower().removesuffix(".exe")
    return "powershell" if name == "pwsh" else name if name in SHELLS else None


def _used_here() -> str | None:
    """The shell that called us, else the user's own."""
    if system.IS_WINDOWS:
        return "powershell"
    try:
        command = ["ps", "-o", "comm=", "-p", str(os.getppid())]
        caller = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        caller = ""
    return _shell(caller) or _shell(os.environ.get("SHELL", ""))


def _place(shell: str) -> Path:
    """Where a shell looks for the scripts of its user. Raises: FileError where there is no home."""
    if shell == "bash" and (own := os.environ.get("BASH_COMPLETION_USER_DIR", "").split(":")[0]):
        return Path(own, "completions", "airvid")
    if shell == "bash":
        return _home("DATA", ".local/share") / "bash-completion/completions/airvid"
    if shell == "fish":
        return _home("CONFIG", ".config") / "fish/completions/airvid.fish"
    if shell == "zsh":
        return _home("DATA", ".local/share") / "zsh/site-functions/_airvid"
    return folder("data") / "airvid.ps1"


def _home(kind: str, usual: str) -> Path:
    """Where shells look, which is the same folder on every system."""
    named = os.environ.get(f"XDG_{kind}_HOME", "")
    try:
        return Path(named) if os.path.isabs(named) else Path.home() / usual
    except RuntimeError:
        raise FileError("there is no home folder to keep the script in", hint="set HOME") from None


def _next_steps(shell: str, path: Path) -> list[str]:
    """What is left for the user to do; nobody's start-up files are edited here."""
    if shell == "bash":
        return [
            "new shells have it where the package bash-completion is in use; without that, add to ~/.bashrc:",
            f"  . {shlex.quote(str(path))}",
        ]
    if shell == "zsh":
        return [
            "if TAB does nothing in a new shell, add to ~/.zshrc, before any compinit that is there:",
            f"  fpath=({shlex.quote(str(path.parent))} $fpath)",
            "  autoload -Uz compinit && compinit",
        ]
    if shell == "powershell":
        quoted = str(path).replace("'", "''")
        return ["add to the file that $PROFILE names:", f"  . '{quoted}'"]
    return ["it works at once, in shells that are open too"]
