"""The arguments and options that several commands take.

What is a setting too is text here: `config.SETTINGS` says what it may be, wherever it comes from.
"""

from __future__ import annotations

from typing import Annotated

from airvid.cli import completion
from airvid.cli.command import REQUEST, SAVING, argument, option

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
Force = Annotated[Switch, option("--force", "Overwrite existing files.", SAVING)]
Open = Annotated[Switch, option("--open", "Open the saved clip in the desktop's player.", SAVING)]
Timeout = Annotated[
    Text, option("--timeout TIME", "Stop waiting after so long (90, 10m, 1h); the task itself goes on.", SAVING)
]
Mode = Annotated[Text, option("--mode MODE", "text, image or reference.", REQUEST, autocompletion=completion.modes)]
Duration = Annotated[
    Text, option("-d, --duration SECONDS", "The clip's length.", REQUEST, autocompletion=completion.durations)
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
