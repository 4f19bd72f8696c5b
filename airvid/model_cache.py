"""The models as a service last listed them, in a file of the cache folder.

For completion alone, never for what costs money or must be true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from airvid import system
from airvid.api.models import Caps, Model
from airvid.config import folder
from airvid.errors import FileError

# No honest list is longer.
_MOST_MODELS, _LONGEST_NAME = 2000, 200


def keep(service: str, models: Iterable[Model]) -> None:
    """Write down what was just listed, where that can be written."""
    rows = [[model.id, model.caps] for model in models if len(model.id) <= _LONGEST_NAME][:_MOST_MODELS]
    content = json.dumps({"service": service, "models": rows}).encode()
    try:
        path = _path(service)
        if not path.exists() or path.read_bytes() != content:
            system.write_private(path, content)
    except (OSError, FileError):
        pass


def kept(service: str) -> list[Model]:
    """The models of a service, if it was ever asked. Raises: OSError, FileError; ValueError, TypeError for garbage."""
    record = json.loads(_path(service).read_bytes())
    if record["service"] != service:
        return []
    return [Model(model_id, Caps(*caps), raw={}) for model_id, caps in record["models"]]


def _path(service: str) -> Path:
    """The file of a service; two whose names come to the same one overwrite each other's, and read only their own."""
    return folder("cache") / f"models-{re.sub('[^A-Za-z0-9]', '-', service)[:100]}.json"
