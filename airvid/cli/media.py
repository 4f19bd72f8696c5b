"""airvid preview, join, gallery: commands for clips that are made."""

from __future__ import annotations

import typer

from airvid.cli import completion, options
from airvid.cli.command import SAVING, argument, command, flag, option, run

app = typer.Typer()


@command(
    app,
    "preview",
    examples=["airvid preview fox.mp4", "airvid preview last --json    # its frames, seconds and size"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def preview(
    ctx: typer.Context,
    what: str = argument(
        "FILE|ID",
        "A clip's file, a task id, a unique prefix of one, or `last`.",
        autocompletion=completion.tasks,
        default=...,
    ),
    opens: bool = flag("--open", "In the desktop's player instead."),
    give_up: str | None = options.GIVE_UP,
) -> None:
    """Show a clip's contact sheet in the terminal."""
    from airvid.commands import preview

    run(ctx, preview.run)


@command(
    app,
    "join",
    examples=["airvid join shot-1.mp4 shot-2.mp4 -o film.mp4", "airvid join shot-2.mp4 shot-1.mp4 -o cut.mp4 --json"],
    exit_codes=[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11],
)
def join(
    ctx: typer.Context,
    clips: list[str] = argument(
        "CLIP...",
        "Files and tasks (an id, a unique prefix, `last`), in order; - reads more from stdin.",
        autocompletion=completion.tasks,
        default=...,
    ),
    output: str | None = option("-o, --output FILE", "The film, an MP4.", SAVING),
    force: bool = flag("--force", "Overwrite an existing file.", SAVING),
    give_up: str | None = options.GIVE_UP,
) -> None:
    """Several clips, one after the other, as one film.

    Clips alike in codec, size, pixel format and rate are joined without re-encoding; others take the first one's shape.
    """
    from airvid.commands import join

    run(ctx, join.run)


@command(
    app,
    "gallery",
    examples=["airvid gallery", "airvid gallery clips -o best.html --force"],
    exit_codes=[0, 1, 2, 11],
)
def gallery(
    ctx: typer.Context,
    folders: list[str] | None = argument(
        "FOLDER...", "Folders with clips, or files like results.jsonl; default: here."
    ),
    output: str | None = option("-o, --output FILE", "The page; without it, gallery.html in the folder.", SAVING),
    force: bool = flag("--force", "Overwrite a file that is no gallery.", SAVING),
    opens: bool = flag("--open", "Open the page in the browser.", SAVING),
) -> None:
    """One HTML page to compare clips: by prompt, model, seed, cost."""
    from airvid.commands import gallery

    run(ctx, gallery.run)
