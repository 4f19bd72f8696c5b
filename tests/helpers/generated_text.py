"""What is generated from the command line: the man page, and the README's reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airvid import __version__
from airvid.cli import app, topics
from airvid.cli.command import COMMON, Invocation, help_groups

ROOT = Path(__file__).parents[2]
MAN = ROOT / "airvid" / "man" / "airvid.1"
README = ROOT / "README.md"
WRITTEN_BY = "by `pytest --update-golden` from airvid/cli"


@dataclass(frozen=True)
class Described:
    """One command, with the context that its help is rendered in."""

    words: tuple[str, ...]
    command: Any
    ctx: Any

    @property
    def name(self) -> str:
        return " ".join(("airvid", *self.words))

    @property
    def is_group(self) -> bool:
        return hasattr(self.command, "commands")

    @property
    def summary(self) -> str:
        """The first sentence of its help."""
        return re.split(r"(?<=\.) |\n", self.command.help)[0].removesuffix(".")

    @property
    def help(self) -> str:
        return str(self.ctx.get_help()) + "\n"

    @property
    def examples(self) -> list[str]:
        lines = (self.command.epilog or "").splitlines()
        end = lines.index("") if "" in lines else len(lines)
        return [line.strip() for line in lines[1:end]]


def commands() -> list[Described]:
    """The program, every group and every command, as a reader meets them."""
    return list(_below((), app.program(), None))


def _below(words: tuple[str, ...], command: Any, parent: Any) -> Iterator[Described]:
    # 78 columns, as Typer takes them of a terminal of 80, wherever this runs.
    name = words[-1] if words else "airvid"
    ctx = command.make_context(name, [], parent=parent, resilient_parsing=True, terminal_width=78, obj=Invocation())
    yield Described(words, command, ctx)
    for word, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield from _below((*words, word), each, ctx)


# ---------------------------------------------------------------------- the README


def readme(current: str) -> str:
    """The README, with what stands between its markers written anew."""
    for name, text in {"commands": _reference(), "exit codes": _exit_codes()}.items():
        begin, end = f"<!-- {name}, written {WRITTEN_BY} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = current.partition(begin)
        _, _, after = rest.partition(end)
        assert after, f"the README has no markers for {name}"
        current = f"{before}{begin}\n{text}\n{end}{after}"
    return current


def _reference() -> str:
    described = commands()[1:]
    lines = ["| command | does |", "|---|---|"]
    lines += [f"| `{each.name}` | {_cell(each.summary)} |" for each in described if not each.is_group]
    common = help_groups(described[0].command, described[0].ctx)[COMMON]
    lines += ["", "Common to all commands, before or after the command's name:", ""]
    lines += ["| option | does |", "|---|---|", *(f"| `{_cell(flags)}` | {_cell(says)} |" for flags, says in common)]
    return "\n".join(lines) + "\n"


def _exit_codes() -> str:
    rows = [f"| {code} | {f'`{name}`' if name else ''} | {_cell(when)} |" for code, name, when in topics.EXIT_CODES]
    return "\n".join(["| code | name | when |", "|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# ---------------------------------------------------------------------- the man page


def man_page() -> str:
    """The source of airvid(1): every command, and the topics that a manual page is asked for."""
    program, *others = commands()
    lines = [
        f'.\\" Written {WRITTEN_BY}.',
        f'.TH "AIRVID" 1 "" "airvid {__version__}" "airvid"',
        ".SH NAME",
        f"airvid \\- {_roff(program.summary)}",
        ".SH SYNOPSIS",
        f"\\fBairvid\\fR {_usage(program)}",
        ".SH DESCRIPTION",
        *_paragraphs(program.command.help),
        ".SH EXAMPLES",
        *_as_it_stands(program.examples),
    ]
    for panel, records in help_groups(program.command, program.ctx).items():
        lines += [f'.SH "{panel.upper()}{" TO ALL COMMANDS" if panel == COMMON else ""}"', *_entries(records)]
    lines.append(".SH COMMANDS")
    for each in others:
        lines += _section(each)
    for topic in ("exit-codes", "environment"):
        _, _, body = topics.TOPICS[topic].partition("\n\n")
        lines += [f'.SH "{topic.replace("-", " ").upper()}"', *_as_it_stands(body.rstrip().splitlines())]
    lines += [
        '.SH "SEE ALSO"',
        _roff(
            "airvid help templates, on the fields of -o; airvid help json, on the keys of every object and their types."
        ),
    ]
    return "\n".join(lines) + "\n"


def _section(each: Described) -> list[str]:
    """One command's part of the page; what is common to all stands before them."""
    lines = [f".SS {_roff(each.name)} {_usage(each)}", *_paragraphs(each.command.help)]
    for panel, records in help_groups(each.command, each.ctx).items():
        if panel != COMMON:
            lines += [".PP", f".I {_roff(panel)}", *_entries(records)]
    return [*lines, ".PP", ".I Examples", *_as_it_stands(each.examples)]


def _usage(each: Described) -> str:
    return _roff(" ".join(each.command.collect_usage_pieces(each.ctx)))


def _paragraphs(text: str) -> list[str]:
    return [_roff(line) if line else ".PP" for line in text.splitlines()]


def _as_it_stands(lines: list[str]) -> list[str]:
    plain = [".nf", *map(_roff, lines), ".fi"]
    # Of 80 columns seven are the margin.
    return plain if max(map(len, lines)) <= 73 else [".in 0", *plain, ".in"]


def _entries(records: list[tuple[str, str]]) -> list[str]:
    return [line for flags, says in records for line in (".TP", f".B {_roff(flags)}", _roff(says))]


def _roff(text: str) -> str:
    """Text that troff shows as it stands."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = "".join(character if character.isascii() else f"\\[u{ord(character):04X}]" for character in text)
    return "\\&" + text if text.startswith((".", "'")) else text
