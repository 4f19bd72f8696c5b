"""How airvid uses Typer: how a command is declared, the options common to all, help in groups, and `run`."""

from __future__ import annotations

import functools
import os
import textwrap
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from airvid.cli import corrections, topics
from airvid.config import Common, checked
from airvid.errors import AirvidError, FileError, UsageError

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
    "fault": (["--fault"], "What goes wrong in the sandbox (airvid sandbox faults); repeatable."),
    "base_url": (["--base-url"], "The API's base URL."),
    "no_color": (["--no-color"], "No colours. NO_COLOR does the same."),
}

_WITH_VALUE: dict[str, dict[str, Any]] = {
    "base_url": {"metavar": "URL"},
    "fault": {"metavar": "SPEC", "multiple": True},
}


@dataclass
class Invocation:
    """One run of the program, as `ctx.obj`: the common options read so far, and the streams."""

    common: Common = field(default_factory=Common)
    # The command on the line, with its groups: `airvid auth login`.
    path: str = "airvid"
    # Until a command runs, only help and the version are printed.
    prints_page: bool = True

    @functools.cached_property
    def out(self) -> Output:
        """The two streams, as the common options ask for them."""
        from airvid.ui.output import Output

        common = self.common
        is_plain = common.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return Output(as_json=common.json, quiet=common.quiet, color=not is_plain)


def run(ctx: typer.Context, command: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Run a command of `commands/` on the program's one event loop. Raises: what the command raises.

    Each option is a keyword argument of the command, under the name of its parameter in the function that declares it.
    Two options are handled here: `give_up`, the --timeout of a command that follows no task, and `summary`.
    """
    from airvid import system
    from airvid.session import Session, shown_log

    ctx.obj.prints_page = False
    has_summary, params = "summary" in ctx.params, dict(ctx.params)
    summary = _summary_path(params.pop("summary", None))
    given = params.pop("give_up", None)
    limit = None if given is None else checked("timeout", given, "--timeout")

    async def whole() -> None:
        session = Session(ctx.obj.common, ctx.obj.out)
        try:
            async with session.time_limit(limit):
                await command(session, **params)
        except AirvidError as error:
            raise session.cause_of(error) from None
        finally:
            if summary and has_summary and session.ended:
                _summarise(session, summary, ctx.command_path)
            await session.aclose()

    system.check_open_files()
    with shown_log(ctx.obj.out, with_trace=ctx.obj.common.debug):
        system.run(whole())


def _summary_path(given: str | None) -> Path | None:
    """The file of --summary, opened once before the command runs, else that of GitHub Actions. Raises: FileError."""
    if given is None:
        found = os.environ.get("GITHUB_STEP_SUMMARY") if os.environ.get("GITHUB_ACTIONS") == "true" else None
        return Path(found) if found else None
    path = Path(given).expanduser()
    try:
        path.open("a").close()
    except OSError as error:
        raise FileError(f"--summary {given}: {error.strerror}") from None
    return path


def _summarise(session: Session, path: Path, title: str) -> None:
    from airvid.ui import summary

    try:
        summary.append(path, title, session.ended)
    except OSError as error:
        session.out.alarm(f"the summary {path} cannot be written: {error.strerror}")


# ---------------------------------------------------------------------- declaring a command


def argument(metavar: str, text: str, *, default: Any = None, **more: Any) -> Any:
    """`default` is `...` for one that must be given."""
    return typer.Argument(default, metavar=metavar, help=text, show_default=False, **more)


def option(shape: str, text: str, group: str | None = None, *, default: Any = None, **more: Any) -> Any:
    """An option as the help shows it: `-m, --model MODEL`."""
    flags, _, metavar = shape.replace(", ", ",").partition(" ")
    return typer.Option(default, *flags.split(","), metavar=metavar or None, help=text, rich_help_panel=group, **more)


def flag(shape: str, text: str, group: str | None = None, *, default: bool | None = False, **more: Any) -> Any:
    """An option without a value: `--force`, `--sound/--no-sound`."""
    return option(shape, text, group, default=default, show_default=False, **more)


def number(shape: str, text: str, group: str | None = None, **more: Any) -> Any:
    """An option whose value the setting of the same name checks while the line is read."""
    return option(shape, text, group, callback=_check, **more)


def _check(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> str | None:
    """The value unchanged. Raises: UsageError."""
    name = str(param.name).replace("_", "-")
    try:
        if value is not None and not ctx.resilient_parsing:
            checked(name, value, f"--{name}")
    except UsageError as error:
        error.hint = f"{ctx.command_path} --help"
        raise
    return value


def command(
    owner: typer.Typer, name: str, *, examples: Sequence[str], exit_codes: Sequence[int], takes_negatives: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command, with examples and exit codes at the end of its help.

    `takes_negatives`: an unknown option is an argument, such as `-5`.
    """
    settings = {**SETTINGS["context_settings"], "ignore_unknown_options": takes_negatives}
    return owner.command(name, cls=Command, epilog=epilog(examples, exit_codes), context_settings=settings)


def group(name: str, text: str, *, examples: Sequence[str]) -> typer.Typer:
    """A group of commands; without a command it shows its help."""
    made = typer.Typer(name=name, help=text)
    made.callback(cls=Group, invoke_without_command=True, help=text, epilog=epilog(examples), **SETTINGS)(show_help)
    return made


def show_help(ctx: typer.Context) -> None:
    """Show the help of a group that is named without a command."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def epilog(examples: Sequence[str], exit_codes: Sequence[int] = ()) -> str:
    """What stands below a command's options."""
    shown = "\n".join(["Examples:", *(f"  {each}" for each in examples)])
    if exit_codes:
        codes = ", ".join(f"{code} {topics.NAMES[code]}".replace(" ", "\xa0") for code in exit_codes)
        shown += "\n\nExit codes:\n" + textwrap.indent(textwrap.fill(codes, 74), "  ").replace("\xa0", " ")
    return shown


# ---------------------------------------------------------------------- commands and groups


def _keep(ctx: typer.Context, param: Any, value: Any) -> None:
    if param.multiple:
        ctx.obj.common.fault += value or []
    elif value not in (None, False):
        setattr(ctx.obj.common, param.name, value)


def _common_options() -> list[Any]:
    """Every command and group has its own: so they are read before and after the command's name."""
    hidden: dict[str, Any] = {"callback": _keep, "expose_value": False, "rich_help_panel": COMMON}
    return [
        TyperOption(
            param_decls=[*flags, name],
            help=text,
            **_WITH_VALUE.get(name, {"is_flag": True, "default": False}),
            **hidden,
        )
        for name, (flags, text) in _COMMON.items()
    ]


class _WithCommonOptions:
    """What every command and every group has."""

    epilog: str | None

    def __init__(self, *args: Any, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_common_options()], **attributes)  # type: ignore[call-arg]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.obj.path = ctx.command_path
        return super().parse_args(ctx, args)  # type: ignore[misc, no-any-return]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Without the braces that Typer puts around what must be given: they read as if they were to be typed."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]  # type: ignore[misc]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for name, records in help_groups(self, ctx).items():
            with formatter.section(name):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Unwrapped: a wrapped example can no longer be copied."""
        if self.epilog:
            formatter.write_paragraph()
            formatter.write(self.epilog + "\n")


class Command(_WithCommonOptions, TyperCommand):
    """A command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            raise corrections.extra_words(ctx.command_path, ctx.params.get("prompt"), ctx.args, ctx.obj.common.line)
        return list(ctx.args)


class Group(_WithCommonOptions, TyperGroup):
    """A group of commands, which its help lists first."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise corrections.no_command(ctx.command_path, args[0], self.list_commands(ctx), ctx.obj.common.line)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


class Program(Group):
    """The root: its help lists the topics too."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Name the options on one screen: the help of a command and the manual explain them."""
        self.format_commands(ctx, formatter)
        own = [param.opts[-1] for param in self.get_params(ctx) if param.name not in {*_COMMON, "help"}]
        common = [flags[-1] if name != "base_url" else "--base-url URL" for name, (flags, _) in _COMMON.items()]
        formatter.write_paragraph()
        for name, words in (
            ("Topics", [f"airvid help {'|'.join(topics.SUMMARIES)}"]),
            ("Options", ["-h", *own]),
            ("Everywhere", common),
        ):
            formatter.write(f"{name + ':':<11} {' '.join(words)}\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As in every group, but the name of a shell may be left out, which Typer's options cannot express."""
        whole = list[str]()
        for word, following in zip(args, [*args[1:], "-"], strict=False):
            is_alone = word in ("--install-completion", "--show-completion") and following.startswith("-")
            whole += [word, ""] if is_alone else [word]
        return super().parse_args(ctx, whole)


def help_groups(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """A command's parameters as its help shows them: arguments first, common options last."""
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if (record := param.get_help_record(ctx)) is None:
            continue
        is_argument = param.param_type_name == "argument"
        group = "Arguments" if is_argument else COMMON if param.name == "help" else param.rich_help_panel or "Options"
        found.setdefault(group, []).append(record)
    found[COMMON] = found.pop(COMMON)
    return {name: records for name, records in found.items() if records}
