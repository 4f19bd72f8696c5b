"""The arguments and options that several commands take, and long ones.

An option that is a setting too takes text here: `config.SETTINGS` says what the text may be, wherever it comes from.
"""

from __future__ import annotations

import typer

from airvid import __version__
from airvid.cli import completion
from airvid.cli.command import REQUEST, SAVING, argument, flag, number, option

IDS = argument(
    "ID...",
    "Task ids, unique prefixes of 4 characters or more, `last`, or - to read them from stdin.",
    autocompletion=completion.tasks,
)
KEY = argument("KEY", "The setting: an option's long name.", default=..., autocompletion=completion.settings)
MODEL = option(
    "-m, --model MODEL",
    "The model; without one, the cheapest healthy one that fits.",
    REQUEST,
    autocompletion=completion.models,
)
MODE = option("--mode MODE", "text, image or reference.", REQUEST, autocompletion=completion.modes)
DURATION = number("-d, --duration SECONDS", "The clip's length.", REQUEST, autocompletion=completion.durations)
ASPECT_RATIO = option("-a, --aspect-ratio W:H", "16:9, 9:16, 1:1, …", REQUEST, autocompletion=completion.aspect_ratios)
QUALITY = option("--quality QUALITY", "480p, 720p, 1080p, …", REQUEST, autocompletion=completion.qualities)
IMAGE = option("-i, --image PATH|URL", "The first frame; - reads standard input.", REQUEST)
EXTEND = option(
    "--extend CLIP", "Go on from the last frame of a file or a task.", REQUEST, autocompletion=completion.tasks
)
REFERENCE = option("-r, --reference PATH|URL", "A picture for the style; repeatable.", REQUEST)
SEED = number(
    "--seed NUMBER", "The same seed makes the same clip again; of several clips, they count up from it.", REQUEST
)
SOUND = flag("--sound/--no-sound", "With or without sound.", REQUEST, default=None)
EXTRA = option("--set KEY=VALUE", "More for the model: JSON or text; repeatable.", REQUEST)
COUNT = number("-n, --count NUMBER", "How many variations to make.", REQUEST)
STATUS = option("--status STATUS", "Only those of this status; repeatable.", autocompletion=completion.statuses)
OUTPUT = option(
    "-o, --output PATH", "A file, a directory, - for stdout, or a template (airvid help templates).", SAVING
)
ROWS_OUTPUT = option("-o, --output PATH", "A directory, or a template (airvid help templates).", SAVING)
TIMEOUT = option(
    "--timeout TIME", "Stop waiting after so long (90, 10m, 1h30m; 0: no limit); the task itself goes on.", SAVING
)
SUMMARY = option("--summary FILE", "Append a Markdown table of the clips to this file.", SAVING)
GIVE_UP = option("--timeout TIME", "Give up after so long (90, 10m, 1h30m; 0: no limit).")
BELL = flag("--bell/--no-bell", "Ring the terminal's bell when a wait of more than 10 s ends.", SAVING, default=None)
FORCE = flag("--force", "Overwrite existing files.", SAVING)
OPEN = flag("--open", "Open the saved clip in the desktop's player.", SAVING)
# The same for `create`, where a setting applies if the option is not given.
FORCE_OR_SETTING = flag("--force", "Overwrite existing files.", SAVING, default=None)
OPEN_OR_SETTING = flag("--open", "Open the saved clip in the desktop's player.", SAVING, default=None)


# ---------------------------------------------------------------------- those of `airvid` alone


def _show_version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        typer.echo(f"airvid {__version__}")
        raise typer.Exit


VERSION = flag("--version", "Show the version and exit.", callback=_show_version, is_eager=True)
INSTALL_COMPLETION = option(
    "--install-completion [SHELL]",
    "Make TAB complete in bash, zsh, fish or powershell.",
    callback=completion.install,
    autocompletion=completion.shells,
)
SHOW_COMPLETION = option(
    "--show-completion [SHELL]",
    "Print the completion script instead.",
    callback=completion.show,
    autocompletion=completion.shells,
)
