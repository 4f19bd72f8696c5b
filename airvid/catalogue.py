"""The models as a service last listed them, kept for completion alone: never for what costs money or must be true.

A file a service in the cache folder; a line a model, its fields with tabs between. JSON would cost more to load than
all the rest of a TAB, so that nothing is imported before it is needed.
"""

import os

from airvid import places

TYPE_CHECKING = False  # `typing` and `dataclasses` cost as much as the interpreter's own start
if TYPE_CHECKING:
    from collections.abc import Iterable

    from airvid.models import Model

# What no honest list has.
_MOST_MODELS, _MOST_VALUES, _LONGEST = 2000, 50, 200


class Listed:
    """A model as it was last listed; what the server did not say is empty or None."""

    def __init__(self, line: str) -> None:
        self.id, modes, aspect_ratios, qualities, least, most, cents = line.split("\t")
        self.values = {
            "modes": _list(modes),
            "aspect-ratios": _list(aspect_ratios),
            "qualities": _list(qualities),
        }
        self.min_seconds, self.max_seconds, self.cents_per_second = _number(least), _number(most), _number(cents)


def read(service: str) -> list[Listed]:
    """The models of a service, however old; none where it was never asked. Raises: OSError, ValueError, FileError."""
    with open(_path(service), encoding="utf-8") as file:
        of_service, *lines = file.read().splitlines()
    return [Listed(line) for line in lines] if of_service == service else []


def keep(service: str, models: "Iterable[Model]") -> None:
    """Note what was just listed. Where that cannot be written, nothing is wrong."""
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
        ",".join([each for each in values if _is_sound(each) and "," not in each][:_MOST_VALUES])
        for values in (caps.modes, caps.aspect_ratios, caps.qualities)
    ]
    numbers = (caps.min_seconds, caps.max_seconds, caps.cents_per_second)
    return "\t".join([model.id, *lists, *("" if each is None else repr(each) for each in numbers)])


def _is_sound(value: str) -> bool:
    """Whether a value can be typed and shown, and cannot be taken for an option."""
    return value.isprintable() and 0 < len(value) <= _LONGEST and value[0] != "-"


def _list(given: str) -> list[str]:
    return given.split(",") if given else []


def _number(given: str) -> "float | None":
    return float(given) if given else None
