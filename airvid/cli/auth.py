"""airvid auth: the API key."""

from __future__ import annotations

import typer

from airvid.cli import options
from airvid.cli.command import command, flag, group, run

app = group("auth", "The API key: login, logout, status.", examples=["airvid auth login", "airvid auth status"])


@command(
    app,
    "login",
    examples=["airvid auth login                  # asks for the key, unseen", "airvid auth login < key.txt"],
    exit_codes=[0, 1, 2, 3, 8, 9, 11],
)
def login(
    ctx: typer.Context,
    no_verify: bool = flag("--no-verify", "Store the key without asking the API."),
    give_up: str | None = options.GIVE_UP,
) -> None:
    """Store the API key: typed unseen, or read from standard input."""
    from airvid.commands import auth

    run(ctx, auth.login)


@command(app, "logout", examples=["airvid auth logout", "airvid auth logout --json"], exit_codes=[0, 11])
def logout(ctx: typer.Context) -> None:
    """Remove the stored key."""
    from airvid.commands import auth

    run(ctx, auth.logout)


@command(
    app,
    "status",
    examples=["airvid auth status", "airvid auth status --offline --json"],
    exit_codes=[0, 1, 2, 3, 4, 8, 9, 11],
)
def status(
    ctx: typer.Context,
    offline: bool = flag("--offline", "Do not ask whether the API accepts the key."),
    give_up: str | None = options.GIVE_UP,
) -> None:
    """Where the key comes from, and whether the API accepts it."""
    from airvid.commands import auth

    run(ctx, auth.status)
