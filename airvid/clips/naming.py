"""From `-o` to a destination: files, folders, objects in a store, `-` and templates."""

from __future__ import annotations

import os
import re
import string
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from airvid.api.models import Task
from airvid.destinations import cloud
from airvid.destinations.cloud import CloudObject
from airvid.destinations.local import LocalFile
from airvid.errors import UsageError
from airvid.journal.entries import Entry

FIELDS = ("id", "short_id", "model", "slug", "date", "time", "n", "seed")
DEFAULT_NAME = "{date}-{slug}-{short_id}.mp4"
_FROM_THE_SERVER = {"id", "short_id"}


class Naming:
    """Where clips go. `template`: a path or an address with {fields}, None for standard output."""

    def __init__(self, template: str | None, count: int = 1) -> None:
        self.template = template
        self.count = count

    @classmethod
    def parse(cls, output: str, count: int) -> Naming:
        """Read `-o` for `count` clips. Raises: UsageError."""
        if output == "-":
            if count > 1:
                raise UsageError(f"-o - takes one clip, not {count}", hint="-o DIRECTORY/ saves several")
            return cls(None)
        if not output.strip() or "\0" in output:
            raise UsageError("-o needs the name of a file or directory, a template, or -")
        used = _fields(output)
        if is_url := cloud.is_url(output):
            cloud.split(output)
        is_folder = output.endswith(("/", os.sep)) or ("{" not in output and not is_url and os.path.isdir(output))
        template = os.path.join(output, DEFAULT_NAME) if is_folder else output
        if count > 1 and not is_folder and not used & {*_FROM_THE_SERVER, "n"}:
            stem, suffix = os.path.splitext(template)
            template = f"{stem}-{{n}}{suffix}"
        return cls(template, count)

    @property
    def is_known(self) -> bool:
        """Whether the path is known before the task has an id."""
        return self.template is not None and not _fields(self.template) & _FROM_THE_SERVER

    def uses(self, field: str) -> bool:
        return self.template is not None and field in _fields(self.template)

    def destination(self, values: Mapping[str, str]) -> LocalFile | CloudObject:
        """Where one clip goes. No value can lead out of the template's folder. Raises: UsageError."""
        assert self.template is not None
        values = dict(values) | {"n": values.get("n", "1").zfill(len(str(self.count)))}
        parts = string.Formatter().parse(self.template)
        try:
            found = "".join(text + (_harmless(values[field]) if field else "") for text, field, _, _ in parts)
        except KeyError as error:
            raise UsageError(f"-o uses {{{error.args[0]}}}, which this clip does not have") from None
        return _destination(found)

    def any_destination(self) -> LocalFile | CloudObject:
        """A place in the deepest folder of the template that holds no field."""
        assert self.template is not None
        if not _fields(self.template):
            return self.destination({})
        before = self.template.partition("{")[0]
        return _destination(before.removesuffix(os.path.basename(before)) + "clip.mp4")


def _destination(output: str) -> LocalFile | CloudObject:
    return CloudObject(output) if cloud.is_url(output) else LocalFile(Path(output))


def values(
    *, prompt: str | None, model: str | None, at: float, n: int = 1, seed: object = None, task_id: str = ""
) -> dict[str, str]:
    """The fields of one clip. `at`: Unix seconds, written in local time."""
    try:
        moment = datetime.fromtimestamp(at)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0)
    return {
        "id": task_id,
        "short_id": _short(task_id),
        "model": model or "model",
        "slug": slug(prompt or ""),
        "date": moment.strftime("%Y-%m-%d"),
        "time": moment.strftime("%H%M%S"),
        "n": str(n),
        **({} if seed is None else {"seed": str(seed)}),
    }


def _short(task_id: str) -> str:
    """Eight characters that differ between tasks: a UUID begins with random ones, a counted id ends with its number."""
    return task_id[:8] if len(task_id) == 36 and task_id[8] == "-" else task_id[-8:]


def of_task(task: Task, entry: Entry | None, at: float, n: int) -> dict[str, str]:
    """As `values`. `at`: Unix seconds, used where the server does not tell when the task was made."""
    asked = entry.request if entry else {}
    return values(
        prompt=(entry and entry.prompt) or task.prompt,
        model=task.model or (entry.model if entry else None),
        at=task.created or at,
        n=n,
        seed=asked.get("seed", task.raw.get("seed")),
        task_id=task.task_id,
    )


def slug(prompt: str) -> str:
    """A prompt as part of a file name: letters, marks and digits of every script."""
    kept = _kept(unicodedata.normalize("NFC", prompt[:1000]).lower())
    return _cut(re.sub("-+", "-", kept).strip("-"), 50).strip("-") or "clip"


def _fields(template: str) -> set[str]:
    try:
        parts = [
            (field, spec, conversion)
            for _, field, spec, conversion in string.Formatter().parse(template)
            if field is not None
        ]
    except ValueError as error:
        raise UsageError(
            f"-o {template!r} is not a valid template: {error}", hint="write {{ and }} for braces"
        ) from None
    for field, spec, conversion in parts:
        if field not in FIELDS or spec or conversion:
            raise UsageError(
                f"-o has no field {{{field}}}; there are {', '.join(f'{{{each}}}' for each in FIELDS)}",
                hint="write {{ and }} for braces",
            )
    return {field for field, _, _ in parts}


def _harmless(value: str) -> str:
    """A part of a file name without separators, control characters or a dot at its beginning."""
    # A file name holds 255 bytes on nearly every system.
    return _cut(_kept(value[:1000], "._"), 100).lstrip(".") or "-"


def _kept(text: str, also: str = "") -> str:
    return "".join(each if unicodedata.category(each)[0] in "LMN" or each in also else "-" for each in text)


def _cut(value: str, size: int) -> str:
    return value.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
