"""Data for completion: a model cache and journals, with some names that an attacker chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airvid import model_cache
from airvid.api.models import Caps, Model, Task
from airvid.journal.journal import Journal

SERVICE, OTHER = "https://api.airforce/v1", "https://other.test/v1"
TASKS = [
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "f47bd20c-58cc-4372-a567-0e02b2c3d479",
    "0aaaaaaa-0000-0000-0000-000000000000",
]
ELSEWHERE, PLAYED = "0ther000-0000-0000-0000-000000000000", "f00dfeed-0000-0000-0000-000000000000"
# Names that a shell would act on, or that look like something else. None of them is to be offered.
HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    ";touch${IFS}pwned",
    "f$(touch${IFS}pwned)",
    "f`touch${IFS}pwned`",
    "f';touch${IFS}pwned;'",
    "f&touch${IFS}pwned",
    "f\\",
    "f*",
    "a b",
    "~",
    "!!",
    "-rf",
    "--json",
    "f\ntouch pwned",
    "f\x1b[31m",
    "\u202eback",
]
# What an attacker writes into a prompt, where a shell evaluates it or Rich reads it as markup.
_WRITTEN = [
    "fox in snow",
    "\\$(touch pwned) \\`touch pwned` \"$(touch pwned)\" ';touch pwned;' [/red] [bold] a:::b",
    "two\nlines\tand \x1b]0;title\x07\x1b[31mred \u202eback\u2066 " + "long " * 5000,
]
_STATES = ["processing", "completed", "failed"]
PROMPTS = ["processing, fox in snow", "completed, touch pwned", "failed, two lines and"]


def fill(env: dict[str, str]) -> None:
    """Give the user of this environment a cache and journals."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
            patch.setenv(name, env[name])
        model_cache.keep(SERVICE, [*(model(each, qualities=(each,)) for each in HOSTILE), *MODELS])
    data = Path(env["XDG_DATA_HOME"]) / "airvid"
    for hostile in HOSTILE:
        note(data / "journal.db", SERVICE, hostile)
    for task_id, state, prompt in reversed(list(zip(TASKS, _STATES, _WRITTEN, strict=True))):
        note(data / "journal.db", SERVICE, task_id, state=state, prompt=prompt)
    note(data / "journal.db", OTHER, ELSEWHERE)
    note(data / "sandbox" / "journal.db", "sandbox", PLAYED)


def note(path: Path, service: str, *task_ids: str, state: str = "queued", prompt: str = "x") -> None:
    """Clips in a journal, each from its intent to its state."""
    journal = Journal(path)
    entries = journal.intend(
        base_url=service,
        account="",
        requests=[{"prompt": prompt}] * len(task_ids),
        targets=[None] * len(task_ids),
        estimate_cents=None,
        budgets={},
    )
    for entry, task_id in zip(entries, task_ids, strict=True):
        # Not by Task.parse, which refuses the hostile ones: a journal of another version may hold them.
        journal.mark_known(entry, Task(task_id, state, {"task_id": task_id, "status": state}))
    journal.close()


def model(name: str, **caps: Any) -> Model:
    """A model of the listing."""
    return Model(name, Caps(**caps), raw={})


MODELS = [
    model(
        "fox-1",
        modes=("text", "image"),
        aspect_ratios=("16:9", "9:16", "1:1"),
        qualities=("480p", "1080p"),
        min_seconds=4,
        max_seconds=6.5,
        cents_per_second=5,
    ),
    model("fox-2", qualities=("720P",)),
]
