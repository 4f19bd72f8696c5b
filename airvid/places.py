"""Where things are: the API, and the user's folders."""

import os

DEFAULT_BASE_URL = "https://api.airforce/v1"
SANDBOX_KEY = "sk-air-sandbox"
# The service of the sandbox's tasks and models: its port, and so its address, changes from run to run.
SANDBOX = "sandbox"


def folder(kind: str) -> str:
    """The user's `config`, `data` or `cache` folder. Raises: FileError where there is no home folder."""
    variable = f"XDG_{kind.upper()}_HOME"
    if os.path.isabs(home := os.environ.get(variable, "")):  # on Windows too, where platformdirs does not read it
        return os.path.join(home, "airvid")
    import platformdirs

    try:
        return str(getattr(platformdirs, f"user_{kind}_dir")("airvid", appauthor=False))
    except RuntimeError:
        from airvid.errors import FileError

        raise FileError(f"there is no home folder to keep {kind} in", hint=f"set HOME, or {variable}") from None


def sandbox_folder() -> str:
    """Where the sandbox keeps its tasks, clips and journal. Raises: FileError where there is no home folder."""
    named = os.environ.get("AIRVID_SANDBOX_DIR")
    return os.path.abspath(os.path.expanduser(named)) if named else os.path.join(folder("data"), SANDBOX)
