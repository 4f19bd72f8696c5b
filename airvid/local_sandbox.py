"""The sandbox of `--sandbox`: the emulated API, served by this process for this run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from airvid import system
from airvid.errors import FileError, UsageError

if TYPE_CHECKING:
    from airvid.sandbox.server import Server


def check_renderer() -> None:
    """See that the sandbox can render its clips. Raises: UsageError."""
    if find_spec("av") is None:
        raise UsageError("the sandbox needs PyAV to render its clips", hint="pip install 'airvid[media]'")


def make_server(folder: Path, port: int = 0) -> Server:
    """A server for the tasks that are kept in `folder`. Raises: UsageError, FileError."""
    from airvid.sandbox.emulator import Emulator
    from airvid.sandbox.server import Server
    from airvid.sandbox.state import StateError

    check_renderer()
    try:
        system.make_private_folder(folder)
        return Server(Emulator(path=folder / "server.db"), port=port)
    except StateError as error:
        raise broken_sandbox(str(error)) from None
    except OSError as error:
        why = f" on port {port}: {error.strerror or error}" if port else f": {error}"
        raise FileError(f"the sandbox cannot be started{why}") from None


def broken_sandbox(why: str) -> FileError:
    return FileError(f"the sandbox is broken: {why}", hint="airvid sandbox reset")
