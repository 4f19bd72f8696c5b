"""How airvid uses Typer: the options common to all commands, help in groups, and `run`, which runs a command."""

from __future__ import annotations

import functools
import os
import textwrap
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from airvid.cli import topics
from airvid.config import Common
from airvid.errors import AirvidError

if TYPE_CHECKING:
    from airvid.session import Session
    from airvid.ui.output import Output

# The groups of the help, beside "Arguments" and "Options".
REQUEST, MONEY, SAVING, COMMON = "Request", "Money", "Waiting and saving", "Common"
SETTINGS: dict[str, Any] = {"context_settings": {"help_option_names": ["-h", "--help"]}}
# The options common to all commands, by the names of the fields of `Common`.
_COMMON = {
    "json": (["--json"], "Print JSON: an object a line, or one array."),
    "quiet": (["--quiet", "-q"], "Say nothing but results and errors."),
    "debug": (["--debug"], "Trace requests and answers, secrets left out."),
    "sandbox": (["--sandbox"], "Use an emulator of the API: no key, no money."),
    "base_url": (["--base-url"], "The API's base URL."),
    "no_color": (["--no-color"], "No colours. NO_COLOR does the same."),
}
Keywords = ParamSpec("Keywords")


@dataclass
class Invocation:
    """One run of the program, as `ctx.obj`: the common options as far as they are read, and where it speaks."""

    common: Common = field(default_factory=Common)
    # The command that is being read, with its groups: `airvid auth login`.
    path: str = "airvid"

    @functools.cached_property
    def out(self) -> Output:
        """The two streams, as the common options that are read by now want them."""
        from airvid.ui.output import Output

        common = self.common
        is_plain = common.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return Output(as_json=common.json, quiet=common.quiet, color=not is_plain)


def run(
    ctx: typer.Context,
    command: Callable[Concatenate[Session, Keywords], Coroutine[Any, Any, None]],
    *_: Keywords.args,
    **options: Keywords.kwargs,
) -> None:
    """Run a command of `commands/` with its options, on the program's one event loop. Raises: what it raises."""
    from airvid import system
    from airvid.session import Session

    async def whole() -> None:
        session = Session(ctx.obj.common, ctx.obj.out)
        try:
            await command(session, **options)  # type: ignore[call-arg]  # there are no positional ones
        except AirvidError as error:
            raise session.cause_of(error) from None
        finally:
            await session.aclose()

    system.run(whole())


# ---------------------------------------------------------------------- declaring a command


def argument(metavar: str, says: str, **more: Any) -> Any:
    return typer.Argument(metavar=metavar, help=says, show_default=False, **more)


def option(shape: str, says: str, group: str | None = None, **more: Any) -> Any:
    """An option as the help shows it: `-m, --model MODEL` takes a value, `--force` and `--sound/--no-sound` none."""
    flags, _, metavar = shape.replace(", ", ",").partition(" ")
    return typer.Option(*flags.split(","), metavar=metavar or None, help=says, rich_help_panel=group, **more)


def command(
    owner: typer.Typer, name: str, *, examples: Sequence[str], exit_codes: Sequence[int]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command, with examples and exit codes at the end of its help."""
    return owner.command(name, cls=Command, epilog=epilog(examples, exit_codes), **SETTINGS)


def group(name: str, says: str, *, examples: Sequence[str]) -> typer.Typer:
    """Commands with a name in common; alone it shows its help."""
    made = typer.Typer(name=name, help=says)
    shown = epilog(examples, [])
    made.callback(cls=Group, invoke_without_command=True, help=says, epilog=shown, **SETTINGS)(help_alone)
    return made


def help_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def epilog(examples: Sequence[str], exit_codes: Sequence[int]) -> str:
    """What stands below a command's options."""
    shown = "\n".join(["Examples:", *(f"  {each}" for each in examples)])
    if exit_codes:
        told = ", ".join(f"{code} {topics.NAMES[code]}".replace(" ", "\xa0") for code in exit_codes)
        shown += "\n\nExit codes:\n" + textwrap.indent(textwrap.fill(told, 74), "  ").replace("\xa0", " ")
    return shown


def _common_options() -> list[Any]:
    """Every command has its own, so that they are read before and after its name; one that is given counts."""

    def keep(ctx: typer.Context, param: Any, value: Any) -> None:
        if value not in (None, False):
            setattr(ctx.obj.common, param.name, value)

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
    def __init__(self, *args: Any, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_common_options()], **attributes)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.obj.path = ctx.command_path
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self, formatter)


class Group(TyperGroup):
    def __init__(self, *args: Any, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_common_options()], **attributes)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.obj.path = ctx.command_path
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self, formatter)


class Program(Group):
    """The root: its help lists the topics too."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        super().format_commands(ctx, formatter)
        with formatter.section("Topics (airvid help TOPIC)"):
            formatter.write_dl(list(topics.SUMMARIES.items()))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every group, but the name of a shell may be left out, which Typer's options cannot express."""
        whole = list[str]()
        for word, following in zip(args, [*args[1:], "-"], strict=False):
            is_alone = word in ("--install-completion", "--show-completion") and following.startswith("-")
            whole += [word, ""] if is_alone else [word]
        return super().parse_args(ctx, whole)


def help_groups(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """What the help shows of a command's parameters: its arguments first, the common options last."""
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if (record := param.get_help_record(ctx)) is None:
            continue
        is_argument = param.param_type_name == "argument"
        group = "Arguments" if is_argument else COMMON if param.name == "help" else param.rich_help_panel or "Options"
        found.setdefault(group, []).append(record)
    found[COMMON] = found.pop(COMMON)
    return {name: records for name, records in found.items() if records}


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    for name, records in help_groups(command, ctx).items():
        with formatter.section(name):
            formatter.write_dl(records)


def _write_epilog(command: Any, formatter: Any) -> None:
    """As it stands: a wrapped example can no longer be copied."""
    if command.epilog:
        formatter.write_paragraph()
        formatter.write(command.epilog + "\n")
