"""The command line: each command has its options, its help, and a call of its function in `commands/`.

The commands for tasks are here, the others in media.py, support.py, auth.py and config.py. `run` hands on all
parameters of a command: a new option is a parameter here and, where it is no setting, a keyword argument there.
"""

from __future__ import annotations

import functools
from typing import Any

import typer
import typer.completion

from airvid.cli import auth, completion, config, media, options, support
from airvid.cli.command import (
    MONEY,
    REQUEST,
    SAVING,
    SETTINGS,
    Program,
    argument,
    command,
    epilog,
    flag,
    number,
    option,
    run,
    show_help,
)

app = typer.Typer(
    name="airvid",
    cls=Program,
    rich_markup_mode=None,
    add_completion=False,  # its options are in options.py: Typer's own take no name of a shell
    pretty_exceptions_enable=False,
    **SETTINGS,
)


@app.callback(
    invoke_without_command=True,
    epilog=epilog(
        [
            'airvid --sandbox create "fox in snow" -d 8 -o fox.mp4   # costs nothing',
            'airvid create "fox in snow" -d 8 --dry-run              # what it would cost',
        ]
    ),
)
def _root(
    ctx: typer.Context,
    _version: bool = options.VERSION,
    _install: str | None = options.INSTALL_COMPLETION,
    _show: str | None = options.SHOW_COMPLETION,
) -> None:
    """Generate video from the terminal, and never pay for a clip twice."""
    show_help(ctx)


@command(
    app,
    "models",
    examples=["airvid models --duration 8    # what there is, and what 8 s cost", "airvid models wan-2.6 --json"],
    exit_codes=[0, 1, 2, 3, 4, 8, 9, 11],
)
def models(
    ctx: typer.Context,
    names: list[str] | None = argument("MODEL...", "Show these in full.", autocompletion=completion.models),
    mode: str | None = options.MODE,
    aspect_ratio: str | None = options.ASPECT_RATIO,
    quality: str | None = options.QUALITY,
    duration: str | None = options.DURATION,
    max_price: str | None = option(
        "--max-price USD", "Only models whose clip costs at most this: of --duration, else the shortest.", MONEY
    ),
    sort: str = option("--sort price|name", "The order.", autocompletion=completion.sorts, default="price"),
    give_up: str | None = options.GIVE_UP,
) -> None:
    """The video models: what each can do, and what a clip costs."""
    from airvid.commands import models

    run(ctx, models.run)


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
    ctx: typer.Context,
    prompt: str | None = argument("PROMPT", "What to show; - reads standard input."),
    prompt_file: str | None = option("--prompt-file FILE", "Read the prompt from a file.", REQUEST),
    model: str | None = options.MODEL,
    duration: str | None = options.DURATION,
    aspect_ratio: str | None = options.ASPECT_RATIO,
    quality: str | None = options.QUALITY,
    mode: str | None = options.MODE,
    image: str | None = options.IMAGE,
    extend: str | None = options.EXTEND,
    reference: list[str] | None = options.REFERENCE,
    seed: str | None = options.SEED,
    sound: bool | None = options.SOUND,
    extra: list[str] | None = options.EXTRA,
    count: str | None = options.COUNT,
    max_cost: str | None = option("--max-cost USD", "Send nothing if the estimate is more than this.", MONEY),
    dry_run: bool = flag("--dry-run", "Show the request and the estimate; send nothing.", MONEY),
    no_validate: bool = flag("--no-validate", "Do not check the request against the model's caps.", MONEY),
    wait: bool | None = flag("-w, --wait/--no-wait", "Follow the task to its end.", SAVING, default=None),
    output: str | None = options.OUTPUT,
    timeout: str | None = options.TIMEOUT,
    bell: bool | None = options.BELL,
    force: bool | None = options.FORCE_OR_SETTING,
    open: bool | None = options.OPEN_OR_SETTING,
    summary: str | None = options.SUMMARY,
    shows_preview: bool = flag("--preview", "Show its contact sheet in the terminal; implies -w.", SAVING),
) -> None:
    """Submit a clip; with --wait follow it, with -o save it.

    Where neither option nor setting says: the cheapest healthy model that fits, its shortest length, its own shape and
    quality, one clip, no seed.
    """
    from airvid.commands import create

    run(ctx, create.run)


@command(
    app,
    "status",
    examples=["airvid status last", "airvid status last --exit-status --json"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def status(
    ctx: typer.Context,
    ids: list[str] | None = options.IDS,
    exit_status: bool = flag(
        "--exit-status", "Exit by the task's state: 0 completed, 5 failed, 6 expired, 10 running."
    ),
    give_up: str | None = options.GIVE_UP,
) -> None:
    """Show each task once, as it is now."""
    from airvid.commands import status

    run(ctx, status.run)


@command(
    app,
    "watch",
    examples=["airvid watch                   # all that are running", "airvid watch last -o fox.mp4"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def watch(
    ctx: typer.Context,
    ids: list[str] | None = options.IDS,
    output: str | None = options.OUTPUT,
    timeout: str | None = options.TIMEOUT,
    bell: bool | None = options.BELL,
    fail_fast: bool = flag("--fail-fast", "Stop following at the first failure.", SAVING),
    summary: str | None = options.SUMMARY,
    force: bool = options.FORCE,
    opens: bool = options.OPEN,
) -> None:
    """Follow tasks live until they end. Without an ID, all that are running."""
    from airvid.commands import watch

    run(ctx, watch.run)


@command(
    app,
    "list",
    examples=["airvid list --status completed --since 2h", "airvid list --search fox"],
    exit_codes=[0, 1, 2, 3, 8, 9, 11],
)
def list_(
    ctx: typer.Context,
    status: list[str] | None = options.STATUS,
    model: str | None = option("-m, --model MODEL", "Only this model's.", autocompletion=completion.models),
    since: str | None = option("--since WHEN", "30m, 2h, 3d, 2026-11-20 (local time)."),
    limit: int = option("-L, --limit NUMBER", "How many tasks at most.", default=30),
    page: int = option("--page NUMBER", "Which page; 1 is the newest.", default=1),
    ids: bool = flag("--ids", "Only the ids."),
    local: bool = flag("--local", "List this machine's journal: older tasks too, with files and costs."),
    search: str | None = option("--search TEXT", "Only prompts with this text; implies --local."),
    give_up: str | None = options.GIVE_UP,
) -> None:
    """Recent tasks, newest first."""
    from airvid.commands import list as list_tasks

    run(ctx, list_tasks.run)


@command(
    app,
    "delete",
    examples=["airvid delete last -y", "airvid delete --status failed --older-than 2h -y"],
    exit_codes=[0, 1, 2, 3, 4, 8, 9, 11],
)
def delete(
    ctx: typer.Context,
    ids: list[str] | None = options.IDS,
    takes_all: bool = flag("--all", "Every task that the API lists."),
    statuses: list[str] | None = options.STATUS,
    older_than: str | None = option("--older-than TIME", "Only those older than this: 90, 10m, 2h, 3d."),
    yes: bool = flag("-y, --yes", "Do not ask."),
    give_up: str | None = options.GIVE_UP,
) -> None:
    """Remove history entries. Stored media and running jobs are not touched."""
    from airvid.commands import delete

    run(ctx, delete.run)


@command(
    app,
    "download",
    examples=["airvid download last -o fox.mp4", "airvid download --all -o clips/ --jobs 8"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def download(
    ctx: typer.Context,
    ids: list[str] | None = options.IDS,
    output: str | None = options.OUTPUT,
    force: bool = options.FORCE,
    skip_existing: bool = flag("--skip-existing", "Skip files that exist.", SAVING),
    takes_all: bool = flag("--all", "Every completed task whose clip is not on this disk."),
    jobs: str | None = number("-j, --jobs NUMBER", "How many at a time.", SAVING),
    summary: str | None = options.SUMMARY,
    opens: bool = options.OPEN,
    give_up: str | None = options.GIVE_UP,
) -> None:
    """Save the clips of completed tasks."""
    from airvid.commands import download

    run(ctx, download.run)


@command(
    app,
    "batch",
    examples=[
        "airvid batch clips.jsonl -o 'clips/{row}.mp4' --dry-run    # the costs",
        "airvid batch clips.csv -o clips/ --max-cost 20",
    ],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
)
def batch(
    ctx: typer.Context,
    manifest: str = argument("MANIFEST", "A JSONL or CSV file, a row a create; - reads JSONL from stdin.", default=...),
    model: str | None = options.MODEL,
    duration: str | None = options.DURATION,
    aspect_ratio: str | None = options.ASPECT_RATIO,
    quality: str | None = options.QUALITY,
    mode: str | None = options.MODE,
    image: str | None = options.IMAGE,
    reference: list[str] | None = options.REFERENCE,
    seed: str | None = options.SEED,
    sound: bool | None = options.SOUND,
    extra: list[str] | None = options.EXTRA,
    count: str | None = options.COUNT,
    only: list[str] | None = option("--only ROW", "Only this row: its id, or its line; repeatable."),
    shard: str | None = option("--shard I/N", "Every Nth row, beginning with the Ith."),
    redo: list[str] | None = option("--redo ROW", "Buy this row again and replace its file; repeatable."),
    retry_failed: bool = flag("--retry-failed", "Submit failed rows anew."),
    fail_fast: bool = flag("--fail-fast", "Submit no more after a failure; what runs is finished.", SAVING),
    max_cost: str | None = option("--max-cost USD", "Send nothing if this run would spend more than this.", MONEY),
    dry_run: bool = flag("--dry-run", "Show the plan; send nothing.", MONEY),
    yes: bool = flag("-y, --yes", "Do not ask.", MONEY),
    output: str | None = options.ROWS_OUTPUT,
    results: str | None = option("--results FILE", "The results; without it, results.jsonl beside the clips.", SAVING),
    join: str | None = option("--join FILE", "Join all clips, in the manifest's order, to this film.", SAVING),
    jobs: str | None = number("-j, --jobs NUMBER", "How many clips at a time, up to 4.", SAVING),
    summary: str | None = options.SUMMARY,
    timeout: str | None = options.TIMEOUT,
) -> None:
    """Make many clips from one file, four at a time.

    A row is a create; what it does not say, the options say. Run it again after any interruption: nothing is paid
    twice.
    """
    from airvid.commands import batch

    run(ctx, batch.run)


# Their order here is their order in the help.
for each in (media, support, auth, config):
    app.add_typer(each.app)


@functools.cache
def program() -> Any:
    """The command line as Typer builds it, once a process."""
    typer.completion.get_completion_inspect_parameters()  # registers Typer's shells, as add_completion does
    return typer.main.get_command(app)
