"""A module that is not installed is looked for once."""

import sys
from importlib.util import find_spec


def remember() -> None:
    """Let an import of sniffio fail at once where it is missing.

    httpcore imports it at each lock, and Python searches all of its folders each time: half of the time of a run.
    """
    if "sniffio" not in sys.modules and find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]
