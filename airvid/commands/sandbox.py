"""airvid sandbox: the emulated API on a port, for curl and other programs."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from airvid.config import folder
from airvid.errors import FileError, UsageError
from airvid.local_sandbox import make_server
from airvid.places import SANDBOX, SANDBOX_KEY
from airvid.session import Session

# What is in the sandbox's folder: its tasks and clips, and the journal of what was asked of it.
_OURS = ("server.db*", "journal*", "running")


async def run(session: Session, *, action: str | None, port: int) -> None:
    data = folder("data") / SANDBOX
    if action == "reset":
        _reset(data)
        session.out.record({"path": str(data), "reset": True}, None)
        session.out.note("the sandbox is empty")
        return
    if action is not None:
        raise UsageError(f"the sandbox knows no {action!r}: there is reset", hint="airvid sandbox --help")
    with make_server(data, port) as server:
        url = server.api_url
        session.out.secret = ""  # its key is for everyone, though it is the one in use
        session.out.record(
            {"base_url": url, "api_key": SANDBOX_KEY}, [f"export AIRVID_BASE_URL={url} AIRVID_API_KEY={SANDBOX_KEY}"]
        )
        session.out.note("the sandbox is up; no money is spent; Ctrl-C ends it")
        await asyncio.Event().wait()


def _reset(data: Path) -> None:
    """Remove what the sandbox remembers, however broken it is; what else is in its folder stays. Raises: FileError."""
    for each in (path for pattern in _OURS for path in data.glob(pattern)):
        try:
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{each} cannot be removed: {error.strerror}") from None
