"""Manifests: JSONL, or CSV with a header. A row is a create; its keys are the options' long names.

A complaint begins with the manifest's name and the line. Values are checked later, by the functions of `create`.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from airvid import system
from airvid.config import SETTINGS
from airvid.errors import AirvidError, FileError, UsageError

# The settings that a row may have: those that are sent unchanged, and these.
_CHOICES = ("model", "mode", "duration", "aspect-ratio", "quality", "count", "output")
ROW_SETTINGS = tuple(name for name, definition in SETTINGS.items() if definition.sent_as or name in _CHOICES)
KEYS = ("id", "prompt", "prompt-file", "image", "reference", "extend", "set", *ROW_SETTINGS)
# Bytes of a manifest and of a line of it, and characters of an id.
LARGEST, LONGEST_LINE, LONGEST_ID = 64 << 20, 1 << 20, 100
_TEXTS = ("id", "prompt", "prompt-file", "image", "extend")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Row:
    """A row as it is written: `line` counts from 1, `values` are by the options' long names, `sets` are KEY=VALUE."""

    line: int
    values: dict[str, Any]
    sets: list[str] = field(default_factory=list)


class RowError(Exception):
    """What is wrong with a row."""


class Manifest:
    """The rows of a manifest, and the complaints about what could not be read. `source` is a path, or `-`."""

    def __init__(self, source: str) -> None:
        """Raises: FileError where it cannot be read; UsageError where it has no row."""
        self.source = source
        self.name = "-" if source == "-" else os.path.basename(source)
        # The folder for its relative paths.
        self.folder = "" if source == "-" else os.path.dirname(source)
        self.complaints: list[AirvidError] = []
        content = _content(source)
        is_csv = source.lower().endswith(".csv")
        self.rows = list(self._csv_rows(content) if is_csv else self._json_rows(content))
        if not self.rows and not self.complaints:
            raise UsageError(f"{source} has no row")

    @property
    def identity(self) -> str:
        """The manifest's name in the journal; of standard input that of the working folder."""
        return os.path.join(os.getcwd(), "-") if self.source == "-" else os.path.realpath(self.source)

    def complain(self, line: int, error: AirvidError) -> None:
        error.message, error.line = f"{self.source}:{line}: {error.message}", line
        self.complaints.append(error)

    # ------------------------------------------------------------------ JSONL

    def _json_rows(self, content: bytes) -> Iterator[Row]:
        for line, raw in enumerate(content.split(b"\n"), 1):
            if not (stripped := raw.strip()) or stripped.startswith(b"#"):
                continue
            try:
                yield _read(line, _json(raw).items())
            except RowError as error:
                self.complain(line, UsageError(str(error)))

    # ------------------------------------------------------------------ CSV

    def _csv_rows(self, content: bytes) -> Iterator[Row]:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            before = content[: error.start]
            column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
            self.complain(before.count(b"\n") + 1, UsageError(f"column {column}: it is not UTF-8 text"))
            return
        header: list[str] = []
        for line, cells in self._records(text):
            try:
                if not header:
                    header = _header(cells)
                    continue
                if len(cells) > len(header):
                    raise RowError(f"{len(cells)} fields, and the header has {len(header)}")
                yield _read(line, zip(header, cells, strict=False))
            except RowError as error:
                self.complain(line, UsageError(str(error)))
                if not header:
                    return

    def _records(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """The records with the lines that they begin at; blank lines and comments are left out."""
        began, read = 0, 0

        def lines() -> Iterator[str]:
            nonlocal began, read
            for read, line in enumerate(io.StringIO(text, newline=""), 1):
                if not began and (not line.strip() or line.startswith("#")):
                    continue
                began = began or read
                yield line

        records = csv.reader(lines(), strict=True)
        while True:
            began = 0
            try:
                cells = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                self.complain(began or read, UsageError(f"no valid CSV: {error}"))
                return
            yield began, cells


def _content(source: str) -> bytes:
    """The manifest's bytes, without a byte order mark. Raises: FileError, UsageError."""
    if source == "-":
        content = system.read_stdin(LARGEST + 1)
    else:
        try:
            if not Path(source).is_file() and Path(source).exists():
                raise FileError(f"the manifest {source} is no regular file")
            with system.interruptible(), Path(source).open("rb") as file:
                content = file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            raise FileError(f"the manifest {source} cannot be read: {getattr(error, 'strerror', error)}") from None
    if len(content) > LARGEST:
        raise UsageError(f"{source} is larger than {LARGEST >> 20} MB, which a manifest may have")
    return content.removeprefix(b"\xef\xbb\xbf")


def _json(raw: bytes) -> dict[str, Any]:
    """Raises: RowError."""
    if len(raw) > LONGEST_LINE:
        raise RowError(f"the line is longer than {LONGEST_LINE >> 20} MB")
    try:
        found = json.loads(raw.decode(), parse_constant=_no_number, parse_float=_number, object_pairs_hook=_pairs)
    except UnicodeDecodeError as error:
        raise RowError(f"column {len(raw[: error.start].decode()) + 1}: it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise RowError(f"column {error.colno}: no valid JSON: {error.msg}") from None
    except ValueError as error:
        raise RowError(f"no valid JSON: {error}") from None
    except RecursionError:
        raise RowError("the JSON is nested too deeply") from None
    if not isinstance(found, dict):
        raise RowError('a row is an object, such as {"prompt": "fox in snow"}')
    return found


def _no_number(word: str) -> NoReturn:
    raise RowError(f"{word:.50} is no number in JSON")


def _number(word: str) -> float:
    number = float(word)
    return number if math.isfinite(number) else _no_number(word)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise RowError(f"the key {next(name for name in names if names.count(name) > 1)!r:.100} is there twice")
    return found


def _header(cells: list[str]) -> list[str]:
    """The names of the columns. Raises: RowError."""
    names = [_name(cell) for cell in cells]
    if not any(name in KEYS for name in names):
        raise RowError("a CSV manifest begins with a header, such as: prompt,duration,output")
    for name in names:
        _check_key(name)
        if names.count(name) > 1:
            raise RowError(f"the column {name!r} is there twice")
    return names


def _name(given: str) -> str:
    """An option's long name, `-` and `_` alike; what follows `set.` is the model's own name."""
    name = given.strip()
    return name if name.startswith("set.") else name.replace("_", "-").lower()


def _check_key(name: str) -> None:
    """Raises: RowError with the nearest names."""
    if name not in KEYS and not name.startswith("set."):
        near = difflib.get_close_matches(name, KEYS, n=2)
        question = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(KEYS)}"
        raise RowError(f"unknown key {name!r:.100}; {question}")


def _read(line: int, pairs: Iterable[tuple[str, Any]]) -> Row:
    """Raises: RowError."""
    row = Row(line, {})
    for given, value in pairs:
        name = _name(given)
        _check_key(name)
        if value is None:
            raise RowError(f"{name} is null; leave the key out")
        if value == "":
            continue
        if name.startswith("set."):
            row.sets.append(f"{name.removeprefix('set.')}={value if isinstance(value, str) else json.dumps(value)}")
        elif name == "set":
            row.sets += _sets(value)
        elif name in row.values:
            raise RowError(f"the key {name!r} is there twice")
        else:
            row.values[name] = _checked(name, value)
    return row


def _sets(value: Any) -> list[str]:
    if not isinstance(value, dict):
        raise RowError('set is an object, such as {"fps": 24}')
    if wrong := next((key for key in value if not key.strip() or "=" in key), None):
        raise RowError(f"set has no key {wrong!r:.100}")
    return [f"{key}={json.dumps(each, ensure_ascii=False)}" for key, each in value.items()]


def _checked(name: str, value: Any) -> Any:
    """Check a value that is no setting. Raises: RowError."""
    if name == "reference":
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise RowError("reference is a path or a URL, or a list of them")
    if name in ("id", "extend") and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if name in _TEXTS and not isinstance(value, str):
        raise RowError(f"{name} is text, and not {json.dumps(value)[:100]}")
    if _SURROGATE.search("".join(value) if name == "reference" else str(value)):
        raise RowError(f"{name} is not valid UTF-8 text")
    if name in ("image", "reference", "prompt-file") and "-" in (value, *value):
        raise RowError(f"{name} is a file here: a row reads no standard input")
    if name == "id" and (len(value) > LONGEST_ID or not value.isprintable() or value != value.strip()):
        raise RowError(f"an id has up to {LONGEST_ID} characters, without controls")
    return value
