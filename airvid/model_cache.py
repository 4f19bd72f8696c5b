"""The models that a service last listed, in a file of the cache folder: for completion only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from airvid import places, system
from airvid.api.models import Caps, Model
from airvid.errors import FileError

# Bounds of what is kept: a hostile list may be longer.
_MOST_MODELS, _LONGEST_NAME = 2000, 200


def keep(service: str, models: Iterable[Model]) -> None:
    """Keep what was just listed, where the file can be written."""
    rows = [[model.id, model.caps] for model in models if len(model.id) <= _LONGEST_NAME][:_MOST_MODELS]
    content = json.dumps({"service": service, "models": rows}).encode()
    try:
        path = _path(service)
        if not path.exists() or path.read_bytes() != content:
            system.write_private(path, content)
    except (OSError, FileError):
        pass


def kept(service: str) -> list[Model]:
    """The models that a service last listed; none where no whole file of them can be read."""
    try:
        record = json.loads(_path(service).read_bytes())
        found = record["models"] if record["service"] == service else []
        return [Model(model_id, Caps(*caps), raw={}) for model_id, caps in found]
    except (OSError, FileError, ValueError, TypeError, KeyError):
        return []


def _path(service: str) -> Path:
    """The file of a service. Two services whose names give the same file overwrite it, and read only their own."""
    return Path(places.folder("cache"), f"models-{re.sub('[^A-Za-z0-9]', '-', service)[:100]}.json")
