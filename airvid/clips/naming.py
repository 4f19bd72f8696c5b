"""From `-o` to a destination: files, folders, objects in a store, `-` and templates."""

from __future__ import annotations

import os
import re
import shlex
import string
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from airvid.api.models import Task
from airvid.destinations import cloud
from airvid.destinations.cloud import CloudObject
from airvid.destinations.local import LocalFile
from airvid.errors import UsageError
from airvid.journal.entries import Entry

FIELDS = ("id", "short_id", "model", "slug", "date", "time", "n", "seed")
# Fields that only a row of a manifest has.
ROW_FIELDS = ("row", "line")
DEFAULT_NAME = "{date}-{slug}-{short_id}.mp4"
_FROM_THE_SERVER = {"id", "short_id"}

# Suffixes of video of other kinds: a clip is an MP4.
_OTHERS = re.compile(r"\.(3gp|avi|flv|gif|m2ts|mkv|mov|mpe?g|mts|ogv|ts|vob|web[mp]|wmv)", re.IGNORECASE)
# Names that Windows keeps for devices, whatever their suffix.
_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)


class Naming:
    """Where clips go. `template`: a path or an address with {fields}, None for standard output.

    Several clips are numbered, except those that `tell_apart` finds to have different names.
    """

    def __init__(self, template: str | None, count: int = 1) -> None:
        self.template = template
        self.count = count
        self.fields = set() if template is None else _fields(template)
        # Whether clips can get the same name, and the numbers of those that do not.
        self.may_collide = count > 1 and not self.fields & {*_FROM_THE_SERVER, "n"}
        self._distinct: set[str] = set()

    @classmethod
    def parse(cls, output: str, count: int, allowed: Sequence[str] = FIELDS) -> Naming:
        """Read `-o` for `count` clips, with the fields that are `allowed`. Raises: UsageError."""
        if output == "-":
            if count > 1:
                raise UsageError(f"-o - takes one clip, not {count}", hint="-o DIRECTORY/ saves several")
            return cls(None)
        if not output.strip() or "\0" in output:
            raise UsageError("-o needs the name of a file or directory, a template, or -")
        output = os.path.expanduser(output)
        _fields(output, allowed)
        if is_url := cloud.is_url(output):
            cloud.split(output)
        if output.endswith(("/", os.sep)) or ("{" not in output and not is_url and os.path.isdir(output)):
            return cls(os.path.join(output, DEFAULT_NAME), count)
        stem, suffix = os.path.splitext(output)
        if _OTHERS.fullmatch(suffix):
            raise UsageError(f"a clip is an MP4, and no {suffix[1:].upper()}", hint=f"-o {shlex.quote(f'{stem}.mp4')}")
        return cls(output, count)

    @property
    def is_known(self) -> bool:
        """Whether the path is known before the task has an id."""
        return self.template is not None and not self.fields & _FROM_THE_SERVER

    def uses(self, field: str) -> bool:
        return field in self.fields

    def destination(self, values: Mapping[str, str]) -> LocalFile | CloudObject:
        """Where one clip goes. No value can lead out of the template's folder. Raises: UsageError."""
        assert self.template is not None
        template, n = self.template, values.get("n", "1")
        if self.may_collide and n not in self._distinct:
            stem, suffix = os.path.splitext(template)
            template = f"{stem}-{{n}}{suffix}"
        values = dict(values) | {"n": n.zfill(len(str(self.count)))}
        try:
            found = "".join(_filled(part, values) for part in _parts(template))
        except KeyError as error:
            raise UsageError(f"-o uses {{{error.args[0]}}}, which this clip does not have") from None
        return destination(found)

    def tell_apart(self, clips: Sequence[Mapping[str, str]]) -> None:
        """Number only the names that would collide. `clips`: the fields of all, without those not known yet."""
        if not self.may_collide:
            return
        names: dict[str, str] = {}
        self._distinct = {values["n"] for values in clips}
        for values in clips:
            with suppress(UsageError):
                # Some disks take upper and lower case for the same.
                names[values["n"]] = str(self.destination(values)).casefold()
        counts = Counter(names.values())
        self._distinct = {n for n, name in names.items() if counts[name] == 1}
        # A number can make a name that another clip has without one.
        numbered = {
            str(self.destination(each)).casefold() for each in clips if each["n"] in names.keys() - self._distinct
        }
        self._distinct = {n for n in self._distinct if names[n] not in numbered}

    def any_destination(self) -> LocalFile | CloudObject:
        """A place in the deepest folder of the template that holds no field."""
        assert self.template is not None
        if not self.fields:
            return self.destination({})
        before = self.template.partition("{")[0]
        return destination(before.removesuffix(os.path.basename(before)) + "clip.mp4")


def destination(output: str) -> LocalFile | CloudObject:
    """The destination for `output`, a path or the address of an object."""
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


def file_name(task_id: str) -> str:
    """The name of a file for a clip that is not kept."""
    return str(Naming("{short_id}.mp4").destination({"short_id": _short(task_id)}))


def known_fields(task_id: str, task: Task | None, entry: Entry | None, n: int) -> dict[str, str]:
    """The fields of `of_task` that are known before the task is read. `task` is from the list."""
    created = (task and task.created) or (entry and entry.created) or None
    found = of_task(task or Task(task_id, "", {}), entry, created or 0.0, n)
    unknown = {
        "slug": not (entry and entry.prompt) and not (task and task.prompt),
        "model": not (entry and entry.model) and not (task and task.model),
        "date": created is None,
        "time": created is None,
    }
    return {name: value for name, value in found.items() if not unknown.get(name)}


def slug(prompt: str) -> str:
    """A prompt as part of a file name: letters, marks and digits of every script."""
    kept = _kept(unicodedata.normalize("NFC", prompt[:1000]).lower())
    return _cut(re.sub("-+", "-", kept).strip("-"), 50).strip("-") or "clip"


def _fields(template: str, allowed: Sequence[str] = (*FIELDS, *ROW_FIELDS)) -> set[str]:
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
        if field not in allowed or spec or conversion:
            raise UsageError(
                f"-o has no field {{{field}}}; there are {', '.join(f'{{{each}}}' for each in allowed)}",
                hint="write {{ and }} for braces",
            )
    return {field for field, _, _ in parts}


def _parts(template: str) -> list[str]:
    """The names in a template, and what separates them."""
    return re.split(f"([{re.escape(os.sep)}/])", template)


def _filled(part: str, values: Mapping[str, str]) -> str:
    """A part of a template with its values, as a name that every system takes. Raises: KeyError."""
    if "{" not in part and "}" not in part:
        return part  # the user's own
    pieces = list(string.Formatter().parse(part))
    name = "".join(text + (_harmless(values[field]) if field else "") for text, field, _, _ in pieces)
    if not any(field for _, field, _, _ in pieces):
        return name  # the user's own
    name = name.rstrip(". ") or "-"
    return f"_{name}" if _DEVICES.fullmatch(name) else name


def _harmless(value: str) -> str:
    """A part of a file name without separators, control characters or a dot at its beginning."""
    # A file name holds 255 bytes on nearly every system.
    return _cut(_kept(value[:1000], "._"), 100).lstrip(".") or "-"


def _kept(text: str, also: str = "") -> str:
    return "".join(each if unicodedata.category(each)[0] in "LMN" or each in also else "-" for each in text)


def _cut(value: str, size: int) -> str:
    return value.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
