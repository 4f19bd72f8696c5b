"""What TAB offers that no script can know: models, what they can do, and tasks with their prompts (contract §12).

The shells' scripts call `airvid __complete KIND=CURRENT WORD…`, with the word under the cursor and those before it; the
answer is a candidate a line, `value TAB description`. No network, no file made, no word on standard error, whatever is
wrong. Prompts and names are anybody's text: a value that cannot be typed is left out, a description is tamed. Every
import counts here.
"""

import os
import sys

from airvid import places
from airvid.ids import is_task_id

TYPE_CHECKING = False  # see stage.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airvid.tasks import Model

# So many of the newest tasks, lengths, or values of a kind.
_MOST = 50
# Columns of what stands beside a candidate: a task's id (36) and its prompt fit into 80 of them.
_ROOM = 38
_ENDED = ("completed", "failed", "expired")
# Commands that have no use for tasks in these states; where that leaves none, all are offered.
_USELESS = {"watch": _ENDED, "download": _ENDED[1:], "preview": _ENDED[1:]}
_NEWEST = (
    "SELECT task_id, coalesce(status, 'queued'), substr(prompt, 1, 300) FROM clip WHERE {}"
    f" ORDER BY id DESC LIMIT {_MOST}"
)
# Without a prefix the table's end is read, which a `+` tells SQLite; with one the index, which has the rowids too.
_ANY = "+base_url = ? AND +task_id IS NOT NULL"
_LIKE = (
    f"id IN (SELECT id FROM clip WHERE base_url = ? AND task_id >= ? AND task_id < ? ORDER BY id DESC LIMIT {_MOST})"
)


def main(arguments: "Sequence[str]") -> int:
    """Print the candidates. It cannot fail: what it cannot tell it leaves out."""
    try:
        kind, _, current = arguments[0].partition("=")
        words = list(arguments[1:])
        found = _tasks(current, words) if kind == "tasks" else _of_models(kind, words)
        lines = [f"{value}\t{description}\n" for value, description in found if _is_sound(value)]
        sys.stdout.buffer.write("".join(lines).encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
    except (Exception, KeyboardInterrupt):
        pass
    return 0


# ---------------------------------------------------------------------- models


def _of_models(kind: str, words: list[str]) -> list[tuple[str, str]]:
    """The models, or what the one on the line can do; where none is named, what any of them can."""
    models = sorted(kept_models(_service(words)), key=lambda model: model.id)
    if kind == "models":
        return [(model.id, _about(model)) for model in models]
    name = _said(words, "--model", "-m")
    if not name and "create" in words:
        name = _setting("model", ["AIRVID_MODEL"])
    named = [model for model in models if model.id == name] or [
        model for model in models if model.id.casefold() == name.casefold()
    ]
    if kind == "durations":
        cents = named[0].cents_per_second if named else None
        seconds = sorted({each for model in named or models for each in _lengths(model)[:_MOST]})[:_MOST]
        return [(str(each), f"${each * cents / 100:.2f}" if cents else "") for each in seconds]
    return [(value, "") for value in dict.fromkeys(each for model in named or models for each in model.values[kind])]


def _about(model: "Listed") -> str:
    """`text, image · 4-10 s · $0.05/s`, as far as it is known."""
    cents, lengths = model.cents_per_second, _lengths(model)
    parts = [
        ", ".join(model.values["modes"]),
        f"{lengths[0]}-{lengths[-1]} s" if lengths else "",
        f"${cents / 100:.4g}/s" if cents else "",
    ]
    return _cut(" · ".join(part for part in parts if part))


def _lengths(model: "Listed") -> range:
    if model.min_seconds is None or model.max_seconds is None:
        return range(0)
    return range(-int(-model.min_seconds // 1), int(model.max_seconds) + 1)


# ---------------------------------------------------------------------- tasks


def _tasks(current: str, words: list[str]) -> list[tuple[str, str]]:
    """The newest tasks that the journal knows, `last` before them."""
    journal, service = _journal(words), _service(words)
    rows = [row for row in _rows(journal, service, current) if row[1] != "deleted"]
    command = next((word for word in words if word in _USELESS), "")
    rows = [row for row in rows if row[1] not in _USELESS.get(command, ())] or rows
    found = []
    if "last".startswith(current) and "last" not in words and (rows or _rows(journal, service, "")):
        found.append(("last", "the newest"))
    for task_id, state, prompt in rows:
        if is_task_id(task_id) and task_id not in words:
            found.append((task_id, _cut(f"{state}: {prompt or ''}".rstrip(": "))))
    return found


def _rows(path: str, service: str, prefix: str) -> list[tuple[str, str, str]]:
    """Task id, state and prompt. The journal is only ever read."""
    import _sqlite3  # sqlite3 would load datetime too, for nothing

    # Where no other process has it open, reading it the usual way would make files beside it.
    how = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    database = _sqlite3.connect(f"file:{name}?{how}", timeout=0.2, uri=True)
    try:
        if not prefix:
            return database.execute(_NEWEST.format(_ANY), (service,)).fetchall()
        return database.execute(_NEWEST.format(_LIKE), (service, prefix, f"{prefix}\U0010ffff")).fetchall()
    finally:
        database.close()


# ---------------------------------------------------------------------- what the line and the environment say


def _service(words: list[str]) -> str:
    """The service, as session.py calls it."""
    if _is_sandbox(words):
        return places.SANDBOX
    given = _said(words, "--base-url") or _setting("base-url", ["AIRVID_BASE_URL", "AIRFORCE_BASE_URL"])
    scheme, _, rest = (given or places.DEFAULT_BASE_URL).strip().rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    address = f"{scheme.lower()}://{host.lower()}{slash}{path}"
    return address if address.endswith("/v1") else f"{address}/v1"


def _journal(words: list[str]) -> str:
    keys = [os.environ.get(each, "").strip() for each in ("AIRVID_API_KEY", "AIRFORCE_API_KEY")]
    is_play = _is_sandbox(words) or next((key for key in keys if key), "") == places.SANDBOX_KEY
    return os.path.join(places.folder("data"), *([places.SANDBOX] if is_play else []), "journal.db")


def _is_sandbox(words: list[str]) -> bool:
    return "--sandbox" in words or os.environ.get("AIRVID_SANDBOX", "").strip().lower() in ("1", "true", "yes", "on")


def _said(words: list[str], long: str, short: str = "-") -> str:
    """What an option is given, the last time."""
    found = ""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in (long, short):
            found = following
        elif word.startswith(f"{long}="):
            found = word[len(long) + 1 :]
    return found


def _setting(name: str, variables: list[str]) -> str:
    """A text from the environment, or from a line of the config file as `airvid config set` writes it."""
    for variable in variables:
        if given := os.environ.get(variable, "").strip():
            return given
    try:
        with open(os.path.join(places.folder("config"), "config.toml"), encoding="utf-8-sig") as file:
            for line in file:
                key, _, value = line.partition("=")
                value = value.strip()
                if key.strip().replace("_", "-") == name and value[:1] in ('"', "'"):
                    return value[1:].partition(value[0])[0]
    except OSError:
        pass
    return ""


# ---------------------------------------------------------------------- text that anybody may have written


def _is_sound(value: object) -> bool:
    """Whether a value can be typed and shown, and cannot be taken for an option."""
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST and value[0] != "-"


def _cut(text: str) -> str:
    """Text as one harmless line of _ROOM columns at the most: control characters and bidi tricks are left out."""
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if text.isascii():
        return text if len(text) <= _ROOM else text[: _ROOM - 1] + "…"
    from unicodedata import combining, east_asian_width

    shown, columns = "", _ROOM
    for each in text:
        columns -= 0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1
        if columns < 1:
            return shown + "…"
        shown += each
    return shown


# ---------------------------------------------------------------------- the models as they were last listed

# For completion alone, never for what costs money or must be true. A file a service in the cache folder; a line a
# model, its fields with tabs between: JSON would take longer to load than all the rest. No honest list has more than:
_MOST_MODELS, _LONGEST = 2000, 200


class Listed:
    """What the server did not say is empty or None."""

    def __init__(self, line: str) -> None:
        self.id, *fields = line.split("\t")
        kinds = zip(("modes", "aspect-ratios", "qualities"), fields, strict=False)
        self.values = {kind: each.split(",") if each else [] for kind, each in kinds}
        self.min_seconds, self.max_seconds, self.cents_per_second = (
            float(each) if each else None for each in fields[3:]
        )


def kept_models(service: str) -> list[Listed]:
    """The models of a service, if it was ever asked. Raises: OSError, ValueError, FileError."""
    with open(_path(service), encoding="utf-8") as file:
        of_service, *lines = file.read().splitlines()
    return [Listed(line) for line in lines] if of_service == service else []


def keep_models(service: str, models: "Iterable[Model]") -> None:
    """Note what was just listed, where that can be written."""
    from pathlib import Path

    from airvid import system
    from airvid.errors import FileError

    lines = [service, *(_line(model) for model in models if _is_sound(model.id))][: _MOST_MODELS + 1]
    content = "".join(f"{line}\n" for line in lines).encode()
    try:
        path = Path(_path(service))
        if not path.exists() or path.read_bytes() != content:
            system.write_private(path, content)
    except (OSError, FileError):
        pass


def _path(service: str) -> str:
    """The file of a service; two whose names come to the same one overwrite each other's, and read only their own."""
    name = "".join(each if each.isalnum() and each.isascii() else "-" for each in service)[:100]
    return os.path.join(places.folder("cache"), f"models-{name}")


def _line(model: "Model") -> str:
    caps = model.caps
    lists = [
        ",".join([each for each in values if _is_sound(each) and "," not in each][:_MOST])
        for values in (caps.modes, caps.aspect_ratios, caps.qualities)
    ]
    numbers = (caps.min_seconds, caps.max_seconds, caps.cents_per_second)
    return "\t".join([model.id, *lists, *("" if each is None else repr(each) for each in numbers)])
