"""The arguments and options that several commands take.

An option that is a setting too takes text here: `config.SETTINGS` says what the text may be, wherever it comes from.
"""

from __future__ import annotations

from typing import Annotated

import typer

from airvid import __version__
from airvid.cli import completion
from airvid.cli.command import REQUEST, SAVING, argument, number, option

Text = str | None
Texts = list[str] | None
Switch = bool | None

Ids = Annotated[
    Texts,
    argument(
        "ID...",
        "Task ids, unique prefixes of 4 characters or more, `last`, or - to read them from stdin.",
        autocompletion=completion.tasks,
    ),
]
Output = Annotated[
    Text,
    option("-o, --output PATH", "A file, a directory, - for stdout, or a template (airvid help templates).", SAVING),
]
Force = option("--force", "Overwrite existing files.", SAVING)
Open = option("--open", "Open the saved clip in the desktop's player.", SAVING)
Timeout = Annotated[
    Text, option("--timeout TIME", "Stop waiting after so long (90, 10m, 1h); the task itself goes on.", SAVING)
]
Mode = Annotated[Text, option("--mode MODE", "text, image or reference.", REQUEST, autocompletion=completion.modes)]
Duration = Annotated[
    Text, number("-d, --duration SECONDS", "The clip's length.", REQUEST, autocompletion=completion.durations)
]
AspectRatio = Annotated[
    Text, option("-a, --aspect-ratio W:H", "16:9, 9:16, 1:1, …", REQUEST, autocompletion=completion.aspect_ratios)
]
Quality = Annotated[
    Text, option("--quality QUALITY", "480p, 720p, 1080p, …", REQUEST, autocompletion=completion.qualities)
]
Status = Annotated[
    Texts, option("--status STATUS", "Only those of this status; repeatable.", autocompletion=completion.statuses)
]
Key = Annotated[str, argument("KEY", "The setting: an option's long name.", autocompletion=completion.settings)]


# ---------------------------------------------------------------------- those of `airvid` alone


def _show_version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        typer.echo(f"airvid {__version__}")
        raise typer.Exit


Version = Annotated[bool, option("--version", "Show the version and exit.", callback=_show_version, is_eager=True)]
InstallCompletion = Annotated[
    Text,
    option(
        "--install-completion [SHELL]",
        "Make TAB complete in bash, zsh, fish or powershell.",
        callback=completion.install,
        autocompletion=completion.shells,
    ),
]
ShowCompletion = Annotated[
    Text,
    option(
        "--show-completion [SHELL]",
        "Print the script for that instead.",
        callback=completion.show,
        autocompletion=completion.shells,
    ),
]
