"""The command line: every flag and help text of every command on one page.

A command's function is a signature without a body: `layout.Command` hands the values to the story of its name. Loaded
only for command lines that door.py does not know by heart.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from airvid import __version__, topics
from airvid.errors import UsageError
from airvid.layout import MONEY, REQUEST, SAVING, SETTINGS, Group, Page, argument, command, epilog, option
from airvid.stage import play, show


class _Root(Group):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every group, but the name of a shell may be left out, which Typer's options do not know."""
        whole = list[str]()
        for word, following in zip(args, [*args[1:], "-"], strict=False):
            is_alone = word in ("--install-completion", "--show-completion") and following.startswith("-")
            whole += [word, ""] if is_alone else [word]
        return super().parse_args(ctx, whole)


app = typer.Typer(
    name="airvid",
    cls=_Root,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    **SETTINGS,
)
auth = typer.Typer(name="auth", help="The API key: login, logout, status.")
config = typer.Typer(name="config", help="The other settings: list, get, set, unset, path.")


def _version(value: bool) -> None:
    if value:
        show(f"airvid {__version__}\n")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog=epilog(
        [
            'airvid --sandbox create "fox in snow" -d 8 -o fox.mp4   # costs nothing',
            'airvid create "fox in snow" -d 8 --dry-run              # what it would cost',
        ],
        [],
    ),
)
def _root(
    ctx: typer.Context,
    _: Annotated[bool, option("--version", "Show the version and exit.", callback=_version, is_eager=True)] = False,
    install_completion: Annotated[
        str | None, option("--install-completion [SHELL]", "Make TAB complete in bash, zsh, fish or powershell.")
    ] = None,
    show_completion: Annotated[
        str | None, option("--show-completion [SHELL]", "Print the script for that instead.")
    ] = None,
) -> None:
    """Generate video from the terminal, and never pay for a clip twice."""
    for act, shell in (("install", install_completion), ("show", show_completion)):
        if shell is not None:
            raise typer.Exit(play(("completion", act), {"tree": tree(), "shell": shell}, ctx.meta.get("airvid", {})))
    _help_alone(ctx)


def _help_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        show(ctx.get_help() + "\n")


for group, examples in {
    auth: ["airvid auth login", "airvid auth status"],
    config: ["airvid config set model wan-2.6", "airvid config list"],
}.items():
    group.callback(
        cls=Group, invoke_without_command=True, help=group.info.help, epilog=epilog(examples, []), **SETTINGS
    )(_help_alone)

# ---------------------------------------------------------------------- arguments and options used more than once

_Text = str | None
_Texts = list[str] | None
_Number = int | None

_Ids = Annotated[
    _Texts,
    argument("ID...", "Task ids, unique prefixes of 4 characters or more, `last`, or - to read them from stdin."),
]
_Output = Annotated[
    _Text,
    option("-o, --output PATH", "A file, a directory, - for stdout, or a template (airvid help templates).", SAVING),
]
_Force = Annotated[bool, option("--force", "Overwrite existing files.", SAVING)]
_Open = Annotated[bool, option("--open", "Open the saved clip in the desktop's player.", SAVING)]
_Timeout = Annotated[
    _Text, option("--timeout TIME", "Stop waiting after so long (90, 10m, 1h); the task itself goes on.", SAVING)
]
_Mode = Annotated[_Text, option("--mode MODE", "text, image or reference.", REQUEST)]
_Duration = Annotated[_Number, option("-d, --duration SECONDS", "The clip's length.", REQUEST)]
_Aspect = Annotated[_Text, option("-a, --aspect-ratio W:H", "16:9, 9:16, 1:1, …", REQUEST)]
_Quality = Annotated[_Text, option("--quality QUALITY", "480p, 720p, 1080p, …", REQUEST)]
_Status = Annotated[_Texts, option("--status STATUS", "Only those of this status; repeatable.")]
_Key = Annotated[str, argument("KEY", "The setting: an option's long name.")]

# ---------------------------------------------------------------------- commands


@command(
    app,
    "models",
    examples=["airvid models --duration 8    # what there is, and what 8 s cost", "airvid models wan-2.6 --json"],
    exit_codes=[0, 1, 2, 3, 4, 8, 9, 11],
)
def models(
    names: Annotated[_Texts, argument("MODEL...", "Show these in full.")] = None,
    mode: _Mode = None,
    aspect_ratio: _Aspect = None,
    quality: _Quality = None,
    duration: _Duration = None,
    max_price: Annotated[
        _Text,
        option("--max-price USD", "The most that a clip may cost: of --duration, else of the model's minimum.", MONEY),
    ] = None,
    sort: Annotated[str, option("--sort price|name", "The order.")] = "price",
) -> None:
    """The video models: what each can do, and what a clip costs."""


@command(
    app,
    "create",
    examples=[
        'airvid create "fox in snow" --duration 8 -o fox.mp4',
        'airvid create "it begins to snow" -i fox.png --max-cost 1 --wait',
    ],
    exit_codes=[0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11],
)
def create(
    prompt: Annotated[_Text, argument("PROMPT", "What to show; - reads standard input.")] = None,
    prompt_file: Annotated[_Text, option("--prompt-file FILE", "Read the prompt from a file.", REQUEST)] = None,
    model: Annotated[
        _Text, option("-m, --model MODEL", "The model; without one, the cheapest healthy one that fits.", REQUEST)
    ] = None,
    duration: _Duration = None,
    aspect_ratio: _Aspect = None,
    quality: _Quality = None,
    mode: _Mode = None,
    image: Annotated[_Text, option("-i, --image PATH|URL", "The first frame.", REQUEST)] = None,
    reference: Annotated[
        _Texts, option("-r, --reference PATH|URL", "A picture to take the style from; repeatable.", REQUEST)
    ] = None,
    seed: Annotated[_Number, option("--seed NUMBER", "The same seed makes the same clip again.", REQUEST)] = None,
    sound: Annotated[
        bool | None, option("--sound/--no-sound", "With or without sound.", REQUEST, show_default=False)
    ] = None,
    set_: Annotated[
        _Texts,
        option("--set KEY=VALUE", "More for the model: JSON where it parses, else text; repeatable.", REQUEST),
    ] = None,
    count: Annotated[_Number, option("-n, --count NUMBER", "How many variations to make.", REQUEST)] = None,
    max_cost: Annotated[
        _Text, option("--max-cost USD", "Send nothing if the estimate is more than this.", MONEY)
    ] = None,
    dry_run: Annotated[bool, option("--dry-run", "Show the request and the estimate; send nothing.", MONEY)] = False,
    no_validate: Annotated[bool, option("--no-validate", "Let the server judge what the model can do.", MONEY)] = False,
    wait: Annotated[
        bool | None, option("-w, --wait/--no-wait", "Follow the task to its end.", SAVING, show_default=False)
    ] = None,
    output: _Output = None,
    timeout: _Timeout = None,
    force: Annotated[bool | None, option("--force", "Overwrite existing files.", SAVING)] = None,
    open_: Annotated[bool | None, option("--open", "Open the saved clip in the desktop's player.", SAVING)] = None,
    preview: Annotated[
        bool, option("--preview", "Show its contact sheet in the terminal; implies -w.", SAVING)
    ] = False,
) -> None:
    """Submit a clip; with --wait follow it, with -o save it."""


@command(
    app,
    "status",
    examples=["airvid status last", "airvid status last --exit-status --json"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def status(
    ids: _Ids = None,
    exit_status: Annotated[
        bool, option("--exit-status", "Answer for the task: 0 completed, 5 failed, 6 expired, 10 still running.")
    ] = False,
) -> None:
    """How tasks stand, each read once."""


@command(
    app,
    "watch",
    examples=["airvid watch                   # all that are running", "airvid watch last -o fox.mp4"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def watch(
    ids: _Ids = None,
    output: _Output = None,
    timeout: _Timeout = None,
    fail_fast: Annotated[bool, option("--fail-fast", "Stop following at the first failure.", SAVING)] = False,
    force: _Force = False,
    open_: _Open = False,
) -> None:
    """Follow tasks live until they end. Without an ID, all that are running."""


@command(
    app,
    "list",
    examples=["airvid list --status completed --since 2h", "airvid list --local --search fox"],
    exit_codes=[0, 1, 2, 3, 8, 9, 11],
)
def list_(
    status: _Status = None,
    model: Annotated[_Text, option("-m, --model MODEL", "Only this model's.")] = None,
    since: Annotated[_Text, option("--since WHEN", "30m, 2h, 3d, 2026-11-20 (local time).")] = None,
    limit: Annotated[int, option("-L, --limit NUMBER", "How many at the most.")] = 30,
    page: Annotated[int, option("--page NUMBER", "Which page of them; 1 is the newest.")] = 1,
    ids: Annotated[bool, option("--ids", "Only the ids.")] = False,
    local: Annotated[
        bool,
        option("--local", "This machine's journal: it outlives the API's 24 hours and knows prompts, files and cost."),
    ] = False,
    search: Annotated[_Text, option("--search TEXT", "With --local: in the prompts.")] = None,
) -> None:
    """Recent tasks, newest first."""


@command(
    app,
    "delete",
    examples=["airvid delete last -y", "airvid delete --status failed --older-than 2h -y"],
    exit_codes=[0, 1, 2, 3, 4, 8, 9, 11],
)
def delete(
    ids: _Ids = None,
    all_: Annotated[bool, option("--all", "All that the API lists.")] = False,
    status: _Status = None,
    older_than: Annotated[_Text, option("--older-than TIME", "Only those older than this: 90, 10m, 2h, 3d.")] = None,
    yes: Annotated[bool, option("-y, --yes", "Do not ask.")] = False,
) -> None:
    """Remove history entries. Stored media and running jobs are not touched."""


@command(
    app,
    "download",
    examples=["airvid download last -o fox.mp4", "airvid download --all -o clips/ --jobs 8"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def download(
    ids: _Ids = None,
    output: _Output = None,
    force: _Force = False,
    skip_existing: Annotated[bool, option("--skip-existing", "Pass over files that are there.", SAVING)] = False,
    all_: Annotated[bool, option("--all", "Every completed task not yet saved.")] = False,
    jobs: Annotated[_Number, option("-j, --jobs NUMBER", "How many at a time.", SAVING)] = None,
    open_: _Open = False,
) -> None:
    """Save results."""


@command(
    app,
    "preview",
    examples=["airvid preview fox.mp4", "airvid preview last --json    # its frames, seconds and size"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def preview(
    what: Annotated[str, argument("FILE|ID", "A clip's file, a task id, a unique prefix of one, or `last`.")],
    open_: Annotated[bool, option("--open", "In the desktop's player instead.")] = False,
) -> None:
    """Show a clip's contact sheet in the terminal."""


app.add_typer(auth)


@command(
    auth,
    "login",
    examples=["airvid auth login                  # asks for the key, unseen", "airvid auth login < key.txt"],
    exit_codes=[0, 1, 2, 3, 8, 9, 11],
)
def auth_login(
    no_verify: Annotated[bool, option("--no-verify", "Store the key without asking the API.")] = False,
) -> None:
    """Store the API key: typed unseen, or read from standard input."""


@command(auth, "logout", examples=["airvid auth logout", "airvid auth logout --json"], exit_codes=[0, 11])
def auth_logout() -> None:
    """Remove the stored key."""


@command(auth, "status", examples=["airvid auth status", "airvid auth status --json"], exit_codes=[0, 3, 11])
def auth_status() -> None:
    """Where the key comes from."""


app.add_typer(config)


@command(config, "list", examples=["airvid config list", "airvid config list --json"], exit_codes=[0, 2, 11])
def config_list() -> None:
    """All that is set, and where it comes from."""


@command(
    config, "get", examples=["airvid config get model", "airvid config get model --json"], exit_codes=[0, 2, 4, 11]
)
def config_get(key: _Key) -> None:
    """One setting's value."""


@command(
    config,
    "set",
    examples=[
        "airvid config set model wan-2.6",
        "airvid config set budget.day 20    # US dollars; more is not sent",
    ],
    exit_codes=[0, 2, 11],
)
def config_set(key: _Key, value: Annotated[str, argument("VALUE", "Its value.")]) -> None:
    """Set one setting."""


@command(
    config, "unset", examples=["airvid config unset model", "airvid config unset budget.day"], exit_codes=[0, 2, 11]
)
def config_unset(key: _Key) -> None:
    """Go back to the default."""


@command(config, "path", examples=["airvid config path", 'cat "$(airvid config path)"'], exit_codes=[0, 11])
def config_path() -> None:
    """Where the config file is."""


@command(
    app,
    "sandbox",
    examples=["airvid sandbox --port 8080", "airvid sandbox reset    # forget its tasks and clips"],
    exit_codes=[0, 2, 11, 130, 143],
)
def sandbox(
    action: Annotated[_Text, argument("ACTION", "reset: forget all its tasks and clips.")] = None,
    port: Annotated[int, option("--port NUMBER", "The port; 0 takes a free one.", min=0, max=65535)] = 0,
) -> None:
    """The API, emulated on this machine.

    For scripts and tests that must not spend money; prints what to export.
    """


@command(app, "help", examples=["airvid help exit-codes", "airvid help auth login"], exit_codes=[0, 2], cls=Page)
def help_(
    topic: Annotated[_Texts, argument("TOPIC", "exit-codes, environment, templates, json, or a command.")] = None,
) -> None:
    """Exit codes, environment, templates, JSON."""
    words = topic or []
    if (page := topics.page(words)) is not None:
        show(page)
    elif _is_command(words):
        run([*words, "--help"])
    else:
        there_is = ", ".join(topics.TOPICS)
        raise UsageError(f"no help on {' '.join(words)!r}: there is {there_is}, and each command", hint="airvid help")


# ---------------------------------------------------------------------- reading a command line


@functools.cache
def tree() -> Any:
    """The commands as Typer lays them out, once a process."""
    return typer.main.get_command(app)


def _is_command(words: Sequence[str]) -> bool:
    found: Any = tree()
    for word in words:
        found = getattr(found, "commands", {}).get(word)
    return found is not None


def run(arguments: Sequence[str]) -> int:
    """Do what Typer reads in the command line; the exit code. Raises: UsageError."""
    try:
        code = tree().main(list(arguments), prog_name="airvid", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        raise UsageError(error.format_message().rstrip("."), hint=_help_for(arguments)) from None
    return code if isinstance(code, int) else 0


def _help_for(arguments: Sequence[str]) -> str:
    """The help that a usage error points to."""
    groups = [each for each in arguments if each in ("auth", "config")]
    names = [each for each in arguments if any(each == command.name for command in app.registered_commands)]
    return " ".join(["airvid", *(groups[:1] or names[:1]), "--help"])
