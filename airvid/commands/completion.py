"""airvid --install-completion, --show-completion: the scripts that make TAB work in a shell (contract 12.1).

A script is an engine, written by hand, and a table of the commands in the shell's own words. All read one notation:

    an option    its names, and where it takes a value `=` and what that may be; `+` where it may come again
    an argument  the same without names
    a value      `/` a file, `@kind` what `airvid __complete kind` says, `%` what the setting named before it takes,
                 as create's option of that name, anything else itself; several have `|` between them
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from airvid import config, system, topics
from airvid.errors import FileError, UsageError
from airvid.session import Session
from airvid.tasks import MODES, STATUSES

# What may stand in the place of each metavar of the help; one in small letters says it itself (`price|name`).
VALUES = {
    "ID...": "@tasks",
    "MODEL": "@models",
    "MODEL...": "@models",
    "SECONDS": "@durations",
    "W:H": "@aspect-ratios",
    "QUALITY": "@qualities",
    "MODE": f"@modes|{'|'.join(MODES)}",
    "STATUS": "|".join(STATUSES),
    "KEY": "|".join(config.SETTINGS),
    "VALUE": "%",
    "TOPIC": "|".join(topics.TOPICS),
    "[SHELL]": "bash|zsh|fish|powershell",
    "FILE|ID": "/|@tasks",
    **dict.fromkeys(("PATH", "FILE", "PATH|URL"), "/"),
    **dict.fromkeys(("PROMPT", "TEXT", "NUMBER", "USD", "TIME", "WHEN", "URL", "KEY=VALUE"), ""),
}


class Options(NamedTuple):
    tree: Any  # the commands, as Typer lays them out
    shell: str = ""  # the one that is used here


async def install(session: Session, options: Options) -> None:
    """Put a shell's script where that shell looks for it."""
    shell = _known(options.shell)
    path, written = _place(shell), script(shell, options.tree)
    try:
        system.write_private(path, written.encode())
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
    return config.folder("data") / "airvid.ps1"


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


# ---------------------------------------------------------------------- a script


@dataclass
class Command:
    """One command's row of the table; options with what they do."""

    path: str
    commands: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)


def commands(command: Any, path: str = "") -> list[Command]:
    """A row for a command of Typer's and for each below it, with the options of its own and the common ones."""
    row = Command(path)
    rows = [row]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            row.arguments.append(_value(parameter))
        elif not parameter.hidden:
            names = sorted([*parameter.opts, *parameter.secondary_opts], key=lambda name: name.startswith("--"))
            entry = " ".join([*names, *([] if parameter.is_flag else [_value(parameter)])])
            row.options[entry] = parameter.help or ""
    row.options["-h --help"] = "Show this message and exit."
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            row.commands[name] = inner.get_short_help_str(limit=200).rstrip(".")
            rows += commands(inner, f"{path} {name}".strip())
    return rows


def _value(parameter: Any) -> str:
    metavar = parameter.metavar or ""
    known = VALUES.get(metavar, metavar if metavar.islower() else None)
    assert known is not None, f"VALUES does not say what may stand for {metavar!r} ({parameter.name})"
    return f"={known}" + (" +" if parameter.nargs == -1 or getattr(parameter, "multiple", False) else "")


# ---------------------------------------------------------------------- one table a shell


def script(shell: str, tree: Any) -> str:
    """A shell's script, with the commands as Typer lays them out. Raises: OSError."""
    rows = commands(tree)
    common = {entry: says for entry, says in rows[0].options.items() if all(entry in row.options for row in rows)}
    for row in rows:
        row.options = {entry: says for entry, says in row.options.items() if entry not in common}
    name, table = _SHELLS[shell]
    engine = (Path(__file__).parent.parent / "completions" / name).read_text("utf-8")
    written = (
        f"# Generated from the commands; airvid/commands/completion.py tells how to read it.\n{table(rows, common)}"
    )
    return engine.replace("# {table}\n", written)


def _says_more(row: Command) -> bool:
    """Whether there is more to a command than the common options."""
    return bool(row.commands or row.options or row.arguments)


def _bash(rows: Sequence[Command], common: dict[str, str]) -> str:
    lines = ["__airvid_table() {", "commands=() options=() arguments=()", "case $1 in"]
    for row in filter(_says_more, rows):
        lines.append(f"{_posix(row.path)})")
        for name, entries in (("commands", row.commands), ("options", row.options), ("arguments", row.arguments)):
            lines += [f"{name}=(", *map(_posix, entries), ")"] if entries else []
        lines.append(";;")
    return "\n".join([*lines, "esac", "options+=(", *map(_posix, common), ")", "}", ""])


def _zsh(rows: Sequence[Command], common: dict[str, str]) -> str:
    lines = ["__airvid_table() {", "subcommands=() opts=() arguments=()", "case $1 in"]
    for row in filter(_says_more, rows):
        lines.append(f"{_posix(row.path)})")
        lines += _pairs("subcommands=(", row.commands, _posix) if row.commands else []
        lines += _pairs("opts=(", row.options, _posix) if row.options else []
        lines += ["arguments=(", *map(_posix, row.arguments), ")"] if row.arguments else []
        lines.append(";;")
    return "\n".join([*lines, "esac", *_pairs("opts+=(", common, _posix), "}", ""])


def _fish(rows: Sequence[Command], common: dict[str, str]) -> str:
    lines = ["function __airvid_table --no-scope-shadowing"]
    lines += [f"set {name}" for name in ("commands", "options", "arguments")]
    lines.append("switch $argv[1]")
    for row in filter(_says_more, rows):
        lines.append(f"case {_fishy(row.path)}")
        for name, entries in (("commands", row.commands), ("options", row.options)):
            lines += [f"set -a {name} {_fishy(each)} {_fishy(says)}" for each, says in entries.items()]
        lines += [f"set -a arguments {_fishy(each)}" for each in row.arguments]
    lines += ["end", *(f"set -a options {_fishy(each)} {_fishy(says)}" for each, says in common.items()), "end"]
    return "\n".join([*lines, ""])


def _powershell(rows: Sequence[Command], common: dict[str, str]) -> str:
    lines = ["$table = @{"]
    for row in rows:
        lines.append(f"{_power(row.path)} = @{{")
        lines += [*_pairs("Commands = @(", row.commands, _power), *_pairs("Options = @(", row.options, _power)]
        lines += [f"Arguments = @({', '.join(map(_power, row.arguments))})", "}"]
    return "\n".join([*lines, "}", *_pairs("$common = @(", common, _power), ""])


# The file of each shell's engine, as it is called in completions/, and what writes its table.
_SHELLS: dict[str, tuple[str, Callable[[Sequence[Command], dict[str, str]], str]]] = {
    "bash": ("airvid.bash", _bash),
    "zsh": ("_airvid", _zsh),
    "fish": ("airvid.fish", _fish),
    "powershell": ("airvid.ps1", _powershell),
}
SHELLS = tuple(_SHELLS)


def _pairs(begin: str, entries: dict[str, str], quoted: Callable[[str], str]) -> list[str]:
    """An array in which what a thing does follows each thing."""
    if not entries:
        return [f"{begin})"]
    comma = "," if quoted is _power else ""
    pairs = [f"{quoted(each)}{comma} {quoted(says)}{comma}" for each, says in entries.items()]
    return [begin, *pairs[:-1], pairs[-1].removesuffix(","), ")"]


def _posix(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fishy(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _power(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
