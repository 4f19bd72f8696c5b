"""airvid sandbox, doctor, help: commands for learning to use airvid, testing with it and finding faults."""

from __future__ import annotations

from typing import Any

import typer

from airvid.cli import completion, options, topics
from airvid.cli.command import argument, command, flag, option, run
from airvid.errors import UsageError

app = typer.Typer()


@command(
    app,
    "sandbox",
    examples=["airvid sandbox --port 8080 --fault 'fail=moderation p=0.2' --seed 7", "airvid sandbox faults"],
    exit_codes=[0, 2, 11, 130, 143],
)
def sandbox(
    ctx: typer.Context,
    action: str | None = argument(
        "ACTION",
        "faults: list what --fault takes; reset: forget all its tasks and clips; else serve.",
        autocompletion=completion.sandbox_actions,
    ),
    port: int = option("--port NUMBER", "The port; 0 takes a free one.", min=0, max=65535, default=0),
    render: str | None = option("--render TIME", "How long a task takes (4s)."),
    slots: int | None = option("--slots NUMBER", "How many tasks run at a time (4).", min=1, max=1000),
    models: str | None = option("--models FILE", "The models to serve: the JSON that GET /models answers."),
    seed: int | None = option("--seed NUMBER", "Random faults are the same in every run."),
) -> None:
    """The API, emulated on this machine.

    For scripts and tests that must not spend money; prints what to export.
    """
    from airvid.commands import sandbox

    run(ctx, sandbox.run)


@command(
    app,
    "doctor",
    examples=["airvid doctor --offline", "airvid doctor --bundle airvid.zip    # for a bug report"],
    exit_codes=[0, 1, 2, 3, 8, 9, 11],
)
def doctor(
    ctx: typer.Context,
    offline: bool = flag("--offline", "Do not ask the API."),
    bundle: str | None = option("--bundle FILE.zip", "Write the report for a bug report: no secrets, no prompts."),
    timeout: str | None = options.GIVE_UP,
) -> None:
    """What is wrong with this installation, and what to do about it."""
    from airvid.commands import doctor

    run(ctx, doctor.run)


@command(app, "help", examples=["airvid help exit-codes", "airvid help auth login"], exit_codes=[0, 2])
def help_(
    ctx: typer.Context,
    topic: list[str] | None = argument(
        "TOPIC", "exit-codes, environment, templates, json, or a command.", autocompletion=completion.topics_
    ),
) -> None:
    """Exit codes, environment, templates, JSON."""
    words = topic or []
    if (page := topics.page(words)) is not None:
        typer.echo(page, nl=False)
        return
    about: Any = ctx.find_root()
    for word in words:
        found = getattr(about.command, "commands", {}).get(word)
        if found is None:
            known = ", ".join(topics.SUMMARIES)
            raise UsageError(f"no help on {' '.join(words)!r}; topics: {known}, and each command", hint="airvid help")
        about = typer.Context(found, info_name=word, parent=about)
    typer.echo(about.get_help())
