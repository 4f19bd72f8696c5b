"""Where things are: the API, and the user's folders. Loaded on every TAB: nothing is imported before it is needed."""

import os
import sys

DEFAULT_BASE_URL = "https://api.airforce/v1"
SANDBOX_KEY = "sk-air-sandbox"
# The sandbox's port changes from run to run; its tasks and models belong to one service all the same.
SANDBOX = "sandbox"
# What platformdirs says of these systems too, at a tenth of the price.
_USUAL = {
    "linux": {"config": "~/.config", "data": "~/.local/share", "cache": "~/.cache"},
    "darwin": {
        "config": "~/Library/Application Support",
        "data": "~/Library/Application Support",
        "cache": "~/Library/Caches",
    },
}


def folder(kind: str) -> str:
    """The user's `config`, `data` or `cache` folder; `XDG_*` is honoured on every system. Raises: FileError."""
    home = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
    if os.path.isabs(home):
        return os.path.join(home, "airvid")
    if os.path.expanduser("~") == "~":
        from airvid.errors import FileError

        raise FileError(f"there is no home folder to keep {kind} in", hint=f"set HOME, or XDG_{kind.upper()}_HOME")
    if usual := _USUAL.get(sys.platform):
        return os.path.join(os.path.expanduser(usual[kind]), "airvid")
    import platformdirs

    return str(getattr(platformdirs, f"user_{kind}_dir")("airvid", appauthor=False))
