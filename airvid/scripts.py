"""The scripts that make TAB work: an engine a shell, written by hand, and a table of the commands in the shell's words.

All engines read the same notation:

    an option    its names, and where it takes a value `=` and what that may be; `+` where it may come again
    an argument  the same without names
    a value      `/` a file, `@kind` what `airvid __complete kind` says, `%` what the setting named before it takes,
                 as create's option of that name, anything else itself; several have `|` between them
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airvid import config, topics
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
    **dict.fromkeys(("PATH", "FILE", "PATH|URL", "MANIFEST"), "/"),
    **dict.fromkeys(("PROMPT", "TEXT", "NUMBER", "USD", "TIME", "WHEN", "URL", "KEY=VALUE", "I/N"), ""),
}


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
    engine = (Path(__file__).parent / "completions" / name).read_text("utf-8")
    written = f"# Generated from the commands; scripts.py of airvid tells how to read it.\n{table(rows, common)}"
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
