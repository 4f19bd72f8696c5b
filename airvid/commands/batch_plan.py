"""From a manifest to checked rows: everything that a batch does before something is spent.

The functions that check a `create` check each row.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from airvid import clock
from airvid.api.models import Model
from airvid.clips import naming, request, rows
from airvid.clips.manifest import ROW_SETTINGS, Manifest
from airvid.clips.manifest import Row as Written
from airvid.clips.naming import DEFAULT_NAME, Naming
from airvid.clips.plan import Plan, model_for
from airvid.clips.prompt import file_meant, read_prompt
from airvid.clips.request import Request, collected
from airvid.clips.rows import Row, RowClip
from airvid.commands import plans
from airvid.config import checked
from airvid.destinations.cloud import is_url
from airvid.destinations.local import LocalFile, check_folder
from airvid.errors import AirvidError, UsageError, complain
from airvid.files import file_errors
from airvid.session import Session

RESULTS = "results.jsonl"
_FIELDS = (*naming.FIELDS, *naming.ROW_FIELDS)
# The line of a row that does not exist.
_NO_LINE = -1
# Complaints that are shown at most.
MOST_COMPLAINTS = 50


@dataclass
class Options:
    """What the command's own options say where a row does not: settings by their names, the pictures, and --set."""

    settings: dict[str, Any]
    image: str | None
    reference: Sequence[str]
    sets: Sequence[str]
    is_play: bool

    @classmethod
    def read(
        cls,
        session: Session,
        given: Mapping[str, Any],
        image: str | None,
        reference: Sequence[str],
        sets: Sequence[str],
        complaints: list[AirvidError],
    ) -> Options:
        settings: dict[str, Any] = dict.fromkeys(ROW_SETTINGS)
        for name in ROW_SETTINGS:
            with collected(complaints):
                found = session.settings.choose(name, given.get(name.replace("-", "_")))
                if name == "output" and found is not None:
                    _parsed(found, 1)
                settings[name] = found
        return cls(settings, image, reference, sets, session.is_play)


@dataclass
class Checker:
    """Checks the rows of a manifest. Each complaint names its line."""

    manifest: Manifest
    options: Options
    models: Sequence[Model]
    at: float = field(default_factory=clock.now)
    _names: dict[str, Naming] = field(default_factory=dict)
    _fits: dict[tuple[Any, ...], tuple[Model | None, list[AirvidError]]] = field(default_factory=dict)
    _pictures: dict[str, str] = field(default_factory=dict)
    _contents: dict[str, bytes] = field(default_factory=dict)
    _made: dict[int, Row] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        found, equals, lines = [], Counter[str](), dict[str, int]()
        for written, parent in self._in_order():
            complaints: list[AirvidError] = []
            if parent and parent not in self._made:
                continue  # that row has complaints of its own
            row = self._row(written, complaints, equals, self._made[parent] if parent else None)
            if row and row.id in lines:
                complaints.append(UsageError(f"the id {row.id!r} is that of line {lines[row.id]} already"))
            elif row:
                lines[row.id] = row.line
                found.append(row)
                self._made[row.line] = row
            for error in complaints:
                self.manifest.complain(written.line, error)
        found.sort(key=lambda row: row.line)
        self._check_names(found)
        return found

    def _in_order(self) -> Iterator[tuple[Written, int]]:
        """The rows, each after the one that it goes on from, and the line of that one; 0 for none."""
        written, unsound = self.manifest.rows, _lines_with_complaints(self.manifest.complaints)
        lines = {str(row.line): row.line for row in written}
        lines |= {row.values["id"]: row.line for row in written if "id" in row.values}
        after = defaultdict[int, list[Written]](list)
        for row in written:
            name = row.values.get("extend", "")
            parent = lines.get(name, _NO_LINE) if name else 0
            after[parent].append(row)
            if parent == _NO_LINE and not _can_name_one_of(unsound, name):
                error = f"extend {name!r:.100}: there is no such row, neither by its id nor by its line"
                self.manifest.complain(row.line, UsageError(error))
        parents = deque([0, _NO_LINE])
        while parents:
            parent = parents.popleft()
            for row in after.pop(parent, ()):
                parents.append(row.line)
                yield row, parent
        for row in chain.from_iterable(after.values()):
            self.manifest.complain(row.line, UsageError("extend makes a circle: the rows go on from one another"))

    def _row(
        self, written: Written, complaints: list[AirvidError], equals: Counter[str], parent: Row | None
    ) -> Row | None:
        values, settings = written.values, dict(self.options.settings)
        for name in settings.keys() & values.keys():
            with collected(complaints):
                settings[name] = checked(name, values[name], name)
        asked = self._asked(written, settings, parent, complaints)
        model = self._model(asked, complaints)
        if model is None or complaints:
            return None
        named = parent.plan.asked.model if parent and "model" not in values else asked.model
        found = rows.digest(dataclasses.replace(asked, model=named), values.get("output"), self._pictures)
        name = rows.short_name(found)
        if "id" not in values:
            equals[name] += 1
            name += f"-{equals[name]}" if equals[name] > 1 else ""
        name = values.get("id", name)
        output = settings["output"]
        if "output" in values:
            output = self._path(output, is_template=True)
        with collected(complaints):
            plan = Plan(
                asked,
                {"model": model.id},
                output,
                self._naming(output, settings["count"] or 1, asked),
                settings["count"] or 1,
                self.at,
                force=False,
                cents=model.cents(asked.duration),
                more_fields={"row": name, "line": str(written.line)},
            )
            plans.check_seeds(plan, settings)
            return Row(written.line, name, found, plan, model, parent)
        return None  # type: ignore[unreachable]  # a complaint was collected

    def _asked(
        self, written: Written, settings: Mapping[str, Any], parent: Row | None, complaints: list[AirvidError]
    ) -> Request:
        """The request of a row, with the complaints that hold for any model."""
        values = written.values
        image, reference = self.options.image, self.options.reference
        if "image" in values or "reference" in values:
            image, reference = values.get("image"), values.get("reference", ())
            image, reference = image and self._path(image), [self._path(each) for each in reference]
        own = {pair.partition("=")[0] for pair in written.sets}
        sets = [pair for pair in self.options.sets if pair.partition("=")[0].strip() not in own] + written.sets
        asked = plans.request_of(settings, image, reference, sets, complaints)
        asked.contents = self._contents
        if parent:
            with collected(complaints):
                self._extend(asked, values, parent)
        with collected(complaints):
            asked.prompt = self._prompt(values)
        complaints += plans.complaints_of(asked, is_play=self.options.is_play)
        return asked

    def _extend(self, asked: Request, values: Mapping[str, Any], parent: Row) -> None:
        """Have a row go on from another, whose model, shape and quality it takes. Raises: UsageError."""
        if "image" in values or "reference" in values or asked.mode not in (None, "image"):
            raise UsageError("extend contradicts image, reference and modes other than image")
        if parent.plan.count > 1:
            raise UsageError(f"extend {values['extend']!r:.100}: that row has {parent.plan.count} clips")
        before = parent.plan.asked
        if "model" not in values:
            asked.model = parent.model.id
        if "aspect-ratio" not in values:
            asked.aspect_ratio = before.aspect_ratio
        if "quality" not in values:
            asked.quality = before.quality
        asked.extends, asked.reference, asked.image = parent.id, (), f"the last frame of row {parent.id}"
        self._pictures[asked.image] = asked.image

    def _prompt(self, values: Mapping[str, Any]) -> str:
        """Raises: UsageError, FileError."""
        file = values.get("prompt-file")
        if file is not None:
            return read_prompt(values.get("prompt"), self._path(file))
        prompt = str(values.get("prompt", ""))
        if not prompt.strip():
            raise UsageError("the prompt is empty" if "prompt" in values else "no prompt")
        if file_meant(self._path(prompt)):
            raise UsageError(f"the prompt {prompt!r} is the name of a file", hint="its key is image, or prompt-file")
        return prompt

    def _path(self, given: str, *, is_template: bool = False) -> str:
        """A path in the manifest, as a path from the working folder."""
        if is_url(given) or given.lower().startswith(("~", "data:", "file:")):
            return given
        folder = self.manifest.folder
        return os.path.join(folder.replace("{", "{{").replace("}", "}}") if is_template else folder, given)

    def _model(self, asked: Request, complaints: list[AirvidError]) -> Model | None:
        """As `model_for`, once for all rows that ask alike."""
        alike = (asked.model, asked.effective_mode, asked.duration, asked.aspect_ratio, asked.quality)
        if alike not in self._fits:
            wrong: list[AirvidError] = []
            self._fits[alike] = model_for(asked, self.models, wrong, no_validate=False), wrong
        model, wrong = self._fits[alike]
        complaints += map(copy.copy, wrong)
        return model

    def _naming(self, output: str | None, count: int, asked: Request) -> Naming:
        """Raises: UsageError."""
        if output is None:
            output = os.path.join(self.manifest.folder, DEFAULT_NAME)
        name = self._names.get(output)
        if name is None or count > 1:  # the numbers of several clips differ from row to row
            name = self._names[output] = _parsed(output, count)
        plans.check_seed_named(name, asked)
        return name

    def _check_names(self, found: Sequence[Row]) -> None:
        """Complain of two clips that would be one file."""
        taken: dict[str, Row] = {}
        for row in found:
            if not row.plan.name or not row.plan.name.is_known:
                continue
            for place in row.plan.places():
                # Some disks take upper and lower case for the same.
                other = taken.setdefault(place.absolute.casefold(), row)
                if other is not row:
                    error = UsageError(f"its clip and that of line {other.line} would both be {place}")
                    error.hint = "-o 'FOLDER/{row}.mp4' gives each row a name of its own"
                    self.manifest.complain(row.line, error)


def _parsed(output: str, count: int) -> Naming:
    """Raises: UsageError."""
    if output == "-":
        raise UsageError("a batch saves its clips to files, and not to standard output", hint="-o FOLDER/")
    return Naming.parse(output, count, _FIELDS)


def results_place(manifest: Manifest, options: Options, results: str | None) -> str:
    """The results file: in the folder of the outputs, which without -o is the manifest's.

    Raises: UsageError.
    """
    if results is not None:
        return os.path.expanduser(results)
    output = options.settings["output"]
    if output is None:
        return os.path.join(manifest.folder or ".", RESULTS)
    folder = os.path.dirname(str(_parsed(output, 1).any_destination()))
    return f"{folder}/{RESULTS}" if is_url(folder) else os.path.join(folder or ".", RESULTS)


def chosen(
    found: Sequence[Row], only: Sequence[str], shard: str | None, redo: Sequence[str], complaints: list[AirvidError]
) -> tuple[list[Row], set[str]]:
    """The rows of this run, and the ids of those that are bought again."""
    by_name = {str(row.line): row for row in found} | {row.id: row for row in found}
    unsound = _lines_with_complaints(complaints)

    def named(option: str, names: Sequence[str]) -> list[Row]:
        for name in names:
            if name not in by_name and not _can_name_one_of(unsound, name):
                error = f"{option} {name!r:.100}: there is no such row, neither by its id nor by its line"
                complaints.append(UsageError(error))
        return [by_name[name] for name in names if name in by_name]

    wanted, again = list(found), {row.id for row in named("--redo", redo)}
    if shard is not None:
        number, slash, count = shard.partition("/")
        is_sound = bool(slash) and all(
            each.isascii() and each.isdecimal() and len(each) < 7 for each in (number, count)
        )
        if not is_sound or not 1 <= int(number) <= int(count):
            complaints.append(UsageError(f"--shard {shard!r:.50} is not I/N, such as 1/4 for the first of four"))
        else:
            wanted = wanted[int(number) - 1 :: int(count)]
    if only:
        kept = {row.id for row in named("--only", only)}
        wanted = [row for row in wanted if row.id in kept]
    return wanted, again


def _lines_with_complaints(complaints: Sequence[AirvidError]) -> set[str]:
    return {str(error.line) for error in complaints if error.line}


def _can_name_one_of(unsound: set[str], name: str) -> bool:
    """Whether a name can be that of a row with complaints, whose id may be unknown. `unsound`: their lines."""
    return name in unsound or (bool(unsound) and not name.isdecimal())


async def check_clips(manifest: Manifest, clips: Sequence[RowClip]) -> None:
    """Complain of rows that have changed since they were paid for, and of other files in the places of clips."""
    folders: dict[Path, set[str]] = {}
    for clip in clips:
        if clip.changed and not clip.again and (what := _what_changed(clip, clip.changed.request)):
            error: AirvidError = UsageError(f"row {clip.row.id} has changed since it was bought: {what}")
            error.hint = f"--redo {clip.row.id} buys it again; or give the new clip another id"
            manifest.complain(clip.row.line, error)
        if clip.state == rows.DONE or clip.replaced:
            continue
        try:
            place = clip.place("0" * 36)
            if not (isinstance(place, LocalFile) and _is_free(place.file, folders)):
                await clip.row.plan.check_place(place)
        except AirvidError as error:
            if error.hint and "--force" in error.hint:
                error.message += ", and is no clip of this row"
                error.hint = "move it away, or give the row another output"
            manifest.complain(clip.row.line, error)


def _is_free(path: Path, folders: dict[Path, set[str]]) -> bool:
    """Whether neither the file nor its part exists. `folders` has the folders that were listed."""
    if path.parent not in folders:
        check_folder(path.parent)
        with file_errors(path.parent):
            folders[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
    return len(path.name) < 50 and not folders[path.parent] & {path.name, f"{path.name}.part"}


def _what_changed(clip: RowClip, bought: Mapping[str, Any]) -> str:
    """How a clip differs from what was bought; empty where only its output is another, or its model is now named."""
    asked = copy.copy(clip.row.plan.asked)
    has_pictures = bool(asked.images)
    asked.mode, asked.image, asked.reference = asked.effective_mode, None, ()  # so that no picture is read
    seed = clip.row.plan.seed(clip.n)
    now = request.body(asked, clip.row.model) | ({} if seed is None else {"seed": seed})
    before = {key: value for key, value in bought.items() if key != "input_images"}
    if now != before:
        return f"it asked for {_shown(before)} and now for {_shown(now)}"
    return "it has another picture or output" if has_pictures else ""


def _shown(asked: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in asked.items())[:200]


def complain_all(complaints: Sequence[AirvidError]) -> None:
    """Raise the complaints, sorted by line, as one AirvidError. It shows MOST_COMPLAINTS and counts the others."""
    complaints = sorted(complaints, key=lambda error: error.line)
    if len(complaints) > MOST_COMPLAINTS:
        first = min(complaints, key=lambda error: (2, 11, 7).index(error.exit_code))
        more = copy.copy(first)
        more.message, more.hint = f"and {len(complaints) - MOST_COMPLAINTS:,} more complaints", None
        complaints = [*complaints[:MOST_COMPLAINTS], more]
    complain(complaints)
