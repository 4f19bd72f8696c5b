"""airvid config: the other settings."""

from __future__ import annotations

import typer

from airvid.cli import completion, options
from airvid.cli.command import argument, command, group, run

app = group(
    "config",
    "The other settings: list, get, set, unset, path.",
    examples=["airvid config set model wan-2.6", "airvid config list"],
)


@command(app, "list", examples=["airvid config list", "airvid config list --json"], exit_codes=[0, 2, 11])
def list_(ctx: typer.Context) -> None:
    """The settings that are set, and where they come from."""
    from airvid.commands import config

    run(ctx, config.list_all)


@command(app, "get", examples=["airvid config get model", "airvid config get model --json"], exit_codes=[0, 2, 4, 11])
def get(ctx: typer.Context, key: str = options.KEY) -> None:
    """One setting's value."""
    from airvid.commands import config

    run(ctx, config.get)


@command(
    app,
    "set",
    examples=[
        "airvid config set model wan-2.6",
        "airvid config set budget.day 20    # US dollars; more is not sent",
    ],
    exit_codes=[0, 2, 11],
    takes_negatives=True,
)
def set_(
    ctx: typer.Context,
    key: str = options.KEY,
    value: str = argument("VALUE", "Its value.", autocompletion=completion.values, default=...),
) -> None:
    """Set one setting."""
    from airvid.commands import config

    run(ctx, config.set_one)


@command(app, "unset", examples=["airvid config unset model", "airvid config unset budget.day"], exit_codes=[0, 2, 11])
def unset(ctx: typer.Context, key: str = options.KEY) -> None:
    """Go back to the default."""
    from airvid.commands import config

    run(ctx, config.unset)


@command(app, "path", examples=["airvid config path", 'cat "$(airvid config path)"'], exit_codes=[0, 11])
def path(ctx: typer.Context) -> None:
    """Where the config file is."""
    from airvid.commands import config

    run(ctx, config.path)
