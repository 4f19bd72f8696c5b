"""How Typer is used here: a command with a story behind it, the common options, the help's layout."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from airvid import stage, topics

# The panels of the help, beside "Arguments" and "Options".
REQUEST, MONEY, SAVING, COMMON = "Request", "Money", "Waiting and saving", "Common"
SETTINGS: dict[str, Any] = {"context_settings": {"help_option_names": ["-h", "--help"]}}
# The options common to all commands (contract 1.1).
_COMMON = {
    "json": (["--json"], "Print JSON: an object a line, or one array."),
    "quiet": (["--quiet", "-q"], "Say nothing but results and errors."),
    "debug": (["--debug"], "Trace requests and answers, secrets left out."),
    "sandbox": (["--sandbox"], "Use an emulator of the API: no key, no money."),
    "base_url": (["--base-url"], "The API's base URL."),
    "no_color": (["--no-color"], "No colours. NO_COLOR does the same."),
}


def argument(metavar: str, says: str) -> Any:
    return typer.Argument(metavar=metavar, help=says, show_default=False)


def option(shape: str, says: str, panel: str | None = None, **more: Any) -> Any:
    """An option as the help shows it: `-m, --model MODEL` takes a value, `--force` and `--sound/--no-sound` none."""
    flags, _, metavar = shape.replace(", ", ",").partition(" ")
    return typer.Option(*flags.split(","), metavar=metavar or None, help=says, rich_help_panel=panel, **more)


def _common_options() -> list[Any]:
    """Every command has its own, and what is said anywhere counts."""

    def keep(ctx: typer.Context, param: Any, value: Any) -> None:
        if value not in (None, False):
            ctx.meta.setdefault("airvid", {})[param.name] = value

    return [
        TyperOption(
            param_decls=[*flags, name],
            help=says,
            callback=keep,
            expose_value=False,
            rich_help_panel=COMMON,
            **({"metavar": "URL"} if name == "base_url" else {"is_flag": True, "default": False}),
        )
        for name, (flags, says) in _COMMON.items()
    ]


class Command(TyperCommand):
    """A command: its function is a signature without a body; the story of its name plays with the values."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_common_options()], **attributes)

    def invoke(self, ctx: Any) -> Any:
        return stage.play(tuple(ctx.command_path.split(" ")[1:]), ctx.params, ctx.meta.get("airvid", {}))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self, formatter)


class Page(Command):
    """A command that answers by itself: its function has a body."""

    invoke = TyperCommand.invoke


class Group(TyperGroup):
    def __init__(self, *, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(params=[*(params or []), *_common_options()], **attributes)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self, formatter)


def panels(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """What the help shows of a command's parameters: its arguments first, the common options last."""
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if (record := param.get_help_record(ctx)) is None:
            continue
        is_argument = param.param_type_name == "argument"
        panel = "Arguments" if is_argument else COMMON if param.name == "help" else param.rich_help_panel or "Options"
        found.setdefault(panel, []).append(record)
    found[COMMON] = found.pop(COMMON)
    return {name: records for name, records in found.items() if records}


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    for name, records in panels(command, ctx).items():
        with formatter.section(name):
            formatter.write_dl(records)


def epilog(examples: Sequence[str], exit_codes: Sequence[int]) -> str:
    """What stands below a command's options."""
    shown = "\n".join(["Examples:", *(f"  {each}" for each in examples)])
    if exit_codes:
        told = ", ".join(f"{code} {topics.NAMES[code]}".replace(" ", "\xa0") for code in exit_codes)
        shown += "\n\nExit codes:\n" + textwrap.indent(textwrap.fill(told, 74), "  ").replace("\xa0", " ")
    return shown


def _write_epilog(command: Any, formatter: Any) -> None:
    """As it stands: a wrapped example can no longer be copied."""
    if command.epilog:
        formatter.write_paragraph()
        formatter.write(command.epilog + "\n")


def command(
    owner: typer.Typer,
    name: str,
    *,
    examples: Sequence[str],
    exit_codes: Sequence[int],
    cls: type[Command] = Command,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command, with examples and exit codes in its help."""
    return owner.command(name, cls=cls, epilog=epilog(examples, exit_codes), **SETTINGS)
