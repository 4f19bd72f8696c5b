"""The door: every flag and help text of every command on one page, and main(): error → sentence and exit code.

The only user of Typer, and the only lazy place: a command's body imports its story and runs it, so that help and
completion load nothing of what the stories need.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from airvid import __version__

if TYPE_CHECKING:
    from airvid.errors import AirvidError
    from airvid.session import Session

# ---------------------------------------------------------------------- options common to all commands (contract 1.1)

_COMMON = {
    "json": ("Print JSON: one object a line; for models and list one array.", ["--json"]),
    "quiet": ("Say nothing but results and errors.", ["--quiet", "-q"]),
    "debug": ("Trace requests and answers on standard error, secrets left out.", ["--debug"]),
    "sandbox": ("Talk to an emulator of the API on this machine: no key, no money.", ["--sandbox"]),
    "base_url": ("The API's base URL.", ["--base-url"]),
    "no_color": ("No colours. NO_COLOR does the same.", ["--no-color"]),
}


def _common_options() -> list[Any]:
    """Fresh option objects: every command has its own, and what is said anywhere counts."""

    def keep(ctx: typer.Context, param: Any, value: Any) -> None:
        if value not in (None, False):
            ctx.meta[f"airvid.{param.name}"] = value

    return [
        TyperOption(
            param_decls=[*flags, name],
            help=text,
            callback=keep,
            expose_value=False,
            **({"metavar": "URL"} if name == "base_url" else {"is_flag": True, "default": False}),
        )
        for name, (text, flags) in _COMMON.items()
    ]


class _Command(TyperCommand):
    def __init__(self, *args: Any, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_common_options()], **attributes)


class _Group(TyperGroup):
    def __init__(self, *, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(params=[*(params or []), *_common_options()], **attributes)


class _Root(_Group):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every group, but the name of a shell may be left out, which Typer's options do not know."""
        whole = list[str]()
        for word, following in zip(args, [*args[1:], "-"], strict=False):
            is_alone = word in ("--install-completion", "--show-completion") and following.startswith("-")
            whole += [word, ""] if is_alone else [word]
        return super().parse_args(ctx, whole)


_SETTINGS: dict[str, Any] = {"context_settings": {"help_option_names": ["-h", "--help"]}}
_TYPER: dict[str, Any] = {
    "cls": _Root,
    "rich_markup_mode": None,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    **_SETTINGS,
}
app = typer.Typer(name="airvid", **_TYPER)
auth = typer.Typer(name="auth", help="The API key: login, logout, status.")
config = typer.Typer(name="config", help="The other settings: list, get, set, unset, path.")


def _play(ctx: typer.Context, story: Callable[[Session], Awaitable[None]]) -> None:
    """Run a story on the program's one event loop, with what it needs opened before and closed behind it."""
    from airvid import system
    from airvid.errors import AirvidError
    from airvid.output import Output
    from airvid.session import Common, Session

    common = Common(**{name: ctx.meta[f"airvid.{name}"] for name in _COMMON if f"airvid.{name}" in ctx.meta})
    out = Output(as_json=common.json, quiet=common.quiet, color=_wants_color(common.no_color))

    async def whole() -> None:
        session = Session(common, out)
        try:
            await story(session)
        finally:
            await session.aclose()

    try:
        system.run(whole())
    except AirvidError as error:
        out.error(error)
        raise typer.Exit(error.exit_code) from None


def _wants_color(refused: bool) -> bool:
    return not refused and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _version(value: bool) -> None:
    if value:
        print(f"airvid {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    install_completion: Annotated[
        str | None, typer.Option(metavar="[SHELL]", help="Make TAB complete in bash, zsh, fish or powershell.")
    ] = None,
    show_completion: Annotated[
        str | None, typer.Option(metavar="[SHELL]", help="Print the script that does it instead.")
    ] = None,
) -> None:
    """Generate video from the terminal, and never pay for a clip twice.

    airvid create "fox in snow" --duration 8 -o fox.mp4
    """
    if install_completion is not None or show_completion is not None:
        from airvid.commands import completion as story

        act = story.show if install_completion is None else story.install
        _play(ctx, lambda session: act(session, install_completion or show_completion or ""))
        raise typer.Exit
    _help_alone(ctx)


@auth.callback(cls=_Group, invoke_without_command=True, help=auth.info.help, **_SETTINGS)
@config.callback(cls=_Group, invoke_without_command=True, help=config.info.help, **_SETTINGS)
def _help_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


# ---------------------------------------------------------------------- arguments and options used more than once

_Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID...",
        help="Task ids, unique prefixes of 4 characters or more, `last`, or - to read them from standard input.",
        show_default=False,
    ),
]
_Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A file, a directory, - for standard output, or a template with {id} "
        "{short_id} {model} {slug} {date} {time} {n} {seed}.",
    ),
]
_Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
_Open = Annotated[bool, typer.Option("--open", help="Open the saved clip in the desktop's player.")]
_Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="TIME", help="Stop waiting after so long (90, 10m, 1h); the task itself goes on."
    ),
]
_Mode = Annotated[str | None, typer.Option("--mode", metavar="MODE", help="text, image or reference.")]
_Duration = Annotated[int | None, typer.Option("--duration", "-d", metavar="SECONDS", help="The clip's length.")]
_Aspect = Annotated[str | None, typer.Option("--aspect-ratio", "-a", metavar="W:H", help="16:9, 9:16, 1:1, …")]
_Quality = Annotated[str | None, typer.Option("--quality", metavar="QUALITY", help="480p, 720p, 1080p, …")]
_Status = Annotated[
    list[str] | None, typer.Option("--status", metavar="STATUS", help="Only those of this status; repeatable.")
]

# ---------------------------------------------------------------------- commands


def _command(owner: typer.Typer, name: str, epilog: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    return owner.command(name, cls=_Command, epilog=epilog or None, **_SETTINGS)


@_command(app, "models")
def models(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL...", help="Show these in full.", show_default=False)
    ] = None,
    mode: _Mode = None,
    aspect_ratio: _Aspect = None,
    quality: _Quality = None,
    duration: _Duration = None,
    max_price: Annotated[
        str | None,
        typer.Option(
            "--max-price", metavar="USD", help="At most so much for a clip of --duration, else of the model's minimum."
        ),
    ] = None,
    sort: Annotated[str, typer.Option("--sort", metavar="price|name", help="The order.")] = "price",
) -> None:
    """The video models: what each can do, and what a clip costs."""
    from airvid.commands import models as story

    options = story.Options(names or [], mode, aspect_ratio, quality, duration, max_price, sort)
    _play(ctx, lambda session: story.run(session, options))


@_command(app, "create")
def create(
    ctx: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="What to show; - reads standard input.", show_default=False)
    ] = None,
    prompt_file: Annotated[
        str | None, typer.Option("--prompt-file", metavar="FILE", help="Read the prompt from a file.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="The model; without one, the cheapest healthy one that fits."
        ),
    ] = None,
    duration: _Duration = None,
    aspect_ratio: _Aspect = None,
    quality: _Quality = None,
    mode: _Mode = None,
    image: Annotated[str | None, typer.Option("--image", "-i", metavar="PATH|URL", help="The first frame.")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option("--reference", "-r", metavar="PATH|URL", help="A picture to take the style from; repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="NUMBER", help="For the same clip again.")] = None,
    sound: Annotated[
        bool | None, typer.Option("--sound/--no-sound", help="With or without sound.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Anything else for the model: JSON where it parses, else text; repeatable.",
        ),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", metavar="NUMBER", help="So many variations.")] = None,
    max_cost: Annotated[
        str | None, typer.Option("--max-cost", metavar="USD", help="Send nothing if the estimate is more than this.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the request and the estimate; send nothing.")
    ] = False,
    no_validate: Annotated[
        bool, typer.Option("--no-validate", help="Let the server judge what the model can do.")
    ] = False,
    wait: Annotated[
        bool | None, typer.Option("--wait/--no-wait", "-w", help="Follow the task to its end.", show_default=False)
    ] = None,
    output: _Output = None,
    timeout: _Timeout = None,
    force: Annotated[bool | None, typer.Option("--force", help="Overwrite existing files.")] = None,
    open_: Annotated[bool | None, typer.Option("--open", help="Open the saved clip in the desktop's player.")] = None,
) -> None:
    """Submit a clip; with --wait follow it, with -o save it.

    airvid create "fox in snow" --duration 8 -o fox.mp4
    """
    from airvid.commands import create as story

    options = story.Options(
        prompt=prompt,
        prompt_file=prompt_file,
        model=model,
        duration=duration,
        aspect_ratio=aspect_ratio,
        quality=quality,
        mode=mode,
        image=image,
        reference=reference or [],
        seed=seed,
        sound=sound,
        set=set_ or [],
        count=count,
        max_cost=max_cost,
        dry_run=dry_run,
        no_validate=no_validate,
        wait=wait,
        output=output,
        timeout=timeout,
        force=force,
        open=open_,
    )
    _play(ctx, lambda session: story.run(session, options))


@_command(app, "status")
def status(
    ctx: typer.Context,
    ids: _Ids = None,
    exit_status: Annotated[
        bool,
        typer.Option("--exit-status", help="Answer for the task: 0 completed, 5 failed, 6 expired, 10 still running."),
    ] = False,
) -> None:
    """One reading of each task."""
    from airvid.commands import status as story

    _play(ctx, lambda session: story.run(session, story.Options(ids or [], exit_status)))


@_command(app, "watch")
def watch(
    ctx: typer.Context,
    ids: _Ids = None,
    output: _Output = None,
    timeout: _Timeout = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop following at the first failure.")] = False,
    force: _Force = False,
    open_: _Open = False,
) -> None:
    """Follow tasks live until they end.

    Without an ID, all that are running.
    """
    from airvid.commands import watch as story

    options = story.Options(ids or [], output, timeout, fail_fast, force, open_)
    _play(ctx, lambda session: story.run(session, options))


@_command(app, "list")
def list_(
    ctx: typer.Context,
    status: _Status = None,
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="MODEL", help="Only this model's.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="30m, 2h, 3d, 2026-11-20 (local time).")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-L", metavar="NUMBER", help="So many.")] = 30,
    page: Annotated[int, typer.Option("--page", metavar="NUMBER", help="The page of them.")] = 1,
    ids: Annotated[bool, typer.Option("--ids", help="Only the ids.")] = False,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="This machine's journal instead: it outlives the API's 24 hours and knows prompts, files and cost.",
        ),
    ] = False,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="With --local: in the prompts.")
    ] = None,
) -> None:
    """Recent tasks, newest first."""
    from airvid.commands import list as story

    options = story.Options(status or [], model, since, limit, page, ids, local, search)
    _play(ctx, lambda session: story.run(session, options))


@_command(app, "delete")
def delete(
    ctx: typer.Context,
    ids: _Ids = None,
    all_: Annotated[bool, typer.Option("--all", help="All that the API lists.")] = False,
    status: _Status = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Only those older than this.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove history entries. Stored media and running jobs are not touched."""
    from airvid.commands import delete as story

    options = story.Options(ids or [], all_, status or [], older_than, yes)
    _play(ctx, lambda session: story.run(session, options))


@_command(app, "download")
def download(
    ctx: typer.Context,
    ids: _Ids = None,
    output: _Output = None,
    force: _Force = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Pass over files that are there.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every completed task not yet saved.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", metavar="NUMBER", help="So many side by side.")] = None,
    open_: _Open = False,
) -> None:
    """Save results."""
    from airvid.commands import download as story

    options = story.Options(ids or [], output, force, skip_existing, all_, jobs, open_)
    _play(ctx, lambda session: story.run(session, options))


@_command(auth, "login")
def auth_login(
    ctx: typer.Context,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Store the key without asking the API.")] = False,
) -> None:
    """Store the API key: typed unseen, or read from standard input."""
    from airvid.commands import auth as story

    _play(ctx, lambda session: story.login(session, story.Options(no_verify)))


@_command(auth, "logout")
def auth_logout(ctx: typer.Context) -> None:
    """Remove the stored key."""
    from airvid.commands import auth as story

    _play(ctx, story.logout)


@_command(auth, "status")
def auth_status(ctx: typer.Context) -> None:
    """Where the key comes from."""
    from airvid.commands import auth as story

    _play(ctx, story.status)


_Key = Annotated[str, typer.Argument(metavar="KEY", help="The setting: an option's long name.")]


@_command(config, "list")
def config_list(ctx: typer.Context) -> None:
    """All that is set, and where it comes from."""
    from airvid.commands import config as story

    _play(ctx, story.list_all)


@_command(config, "get")
def config_get(ctx: typer.Context, key: _Key) -> None:
    """One setting's value."""
    from airvid.commands import config as story

    _play(ctx, lambda session: story.get(session, key))


@_command(config, "set")
def config_set(
    ctx: typer.Context, key: _Key, value: Annotated[str, typer.Argument(metavar="VALUE", help="Its value.")]
) -> None:
    """Set one, as in: airvid config set model wan-2.6"""
    from airvid.commands import config as story

    _play(ctx, lambda session: story.set_one(session, key, value))


@_command(config, "unset")
def config_unset(ctx: typer.Context, key: _Key) -> None:
    """Go back to the default."""
    from airvid.commands import config as story

    _play(ctx, lambda session: story.unset(session, key))


@_command(config, "path")
def config_path(ctx: typer.Context) -> None:
    """Where the config file is."""
    from airvid.commands import config as story

    _play(ctx, story.path)


app.add_typer(auth)
app.add_typer(config)


@_command(app, "sandbox")
def sandbox(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option("--port", metavar="NUMBER", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 0,
) -> None:
    """The API, emulated on this machine.

    For scripts and tests that must not spend money; prints what to export.
    """
    from airvid.commands import sandbox as story

    _play(ctx, lambda session: story.run(session, story.Options(port)))


# ---------------------------------------------------------------------- from errors to exit codes


@functools.cache
def _tree() -> Any:
    """The commands as Typer lays them out, once a process."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code. Whatever goes wrong becomes a sentence here, and only here."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["__complete"]:
        from airvid import completion

        return completion.main(arguments[1:])
    # A stream that was closed before we began (`>&-`) is one that nobody reads.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        code = _tree().main(arguments, prog_name="airvid", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BaseException as caught:
        error = _innermost(caught)
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        # The last flush: standard output is on a disk that is full.
        from airvid.errors import FileError
        from airvid.system import forget

        error = FileError(f"standard output cannot be written: {error.strerror}")
        forget(sys.stdout)
    # Typer's own answer to a closed pipe is SystemExit; a story's is Interrupted.
    code = 141 if isinstance(error, BrokenPipeError | SystemExit) else getattr(error, "exit_code", None)
    if code == 141:
        from airvid.system import forget

        forget(sys.stdout)
    elif isinstance(error, KeyboardInterrupt | typer.Abort):
        code = 130
    elif isinstance(error, Exception):
        return _report(error, arguments)
    return int(code or 1)


def _innermost(error: BaseException) -> BaseException:
    """What a group of errors was about: an interruption if there is one, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_innermost(each) for each in error.exceptions]
    return next((leaf for leaf in leaves if not isinstance(leaf, Exception)), leaves[0])


def _report(error: Exception, arguments: Sequence[str]) -> int:
    from airvid.errors import AirvidError, UsageError
    from airvid.output import Output

    out = Output(as_json="--json" in arguments, color=_wants_color("--no-color" in arguments))
    if isinstance(error, typer.TyperException):
        told: AirvidError = UsageError(error.format_message().rstrip("."), hint=_help_for(arguments))
    elif isinstance(error, AirvidError):
        told = error
    else:
        told = AirvidError(
            f"this is a bug in airvid: {type(error).__name__}: {error}",
            hint="run it again with --debug, and report what it shows",
        )
    if "--debug" in arguments and not isinstance(error, typer.TyperException | AirvidError):
        import traceback

        traceback.print_exception(error)
    out.error(told)
    return told.exit_code


def _help_for(arguments: Sequence[str]) -> str:
    """The help that a usage error points to."""
    names = [each for each in arguments if each in {command.name for command in app.registered_commands}]
    groups = [each for each in arguments if each in ("auth", "config")]
    return " ".join(["airvid", *(groups[:1] or names[:1]), "--help"])


def entry() -> None:
    """The console script."""
    sys.exit(main())
