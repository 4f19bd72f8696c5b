"""airvid sandbox: the emulated API on a port, for curl and other programs."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from airvid.config import checked
from airvid.errors import FileError, UsageError
from airvid.local_sandbox import announced, asked_faults, known_faults, make_server, read_models, running_server
from airvid.places import SANDBOX_KEY, sandbox_folder
from airvid.session import Session
from airvid.ui import views
from airvid.values import seconds

# What is in the sandbox's folder: its tasks and clips, and the journal of what was asked of it.
_OURS = ("server.db*", "journal.db*", "running")


async def run(
    session: Session,
    *,
    action: str | None,
    port: int,
    render: str | None,
    slots: int | None,
    models: str | None,
    seed: int | None,
) -> None:
    data = Path(sandbox_folder())
    if action == "faults":
        session.out.show(views.FAULTS, known_faults(), as_array=False)
        session.out.note("a fault is WHAT[=VALUE][@WHERE][*TIMES]; without @WHERE, at the first place that is listed")
        session.out.note("with ' p=0.2' behind it, it is random, and goes on until *TIMES ends it")
    elif action == "reset":
        _reset(data)
        session.out.record({"path": str(data), "reset": True}, None)
        session.out.note("the sandbox is empty")
    elif action is not None:
        raise UsageError(f"the sandbox knows no {action!r}: there are reset and faults", hint="airvid sandbox --help")
    else:
        options = {"slots": slots, "models": read_models(models) if models else None, "seed": seed}
        length = None if render is None else checked("--render", render, parse=seconds)
        await _serve(session, data, port, length, {name: each for name, each in options.items() if each is not None})


async def _serve(session: Session, data: Path, port: int, render: float | None, options: dict[str, object]) -> None:
    loop = asyncio.get_running_loop()

    def log(line: str) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the program with it
            loop.call_soon_threadsafe(session.out.note, line)

    faults = session.faults or asked_faults(())
    with make_server(data, port, faults=faults, log=log, render=render, **options) as server, announced(data, server):
        url = server.api_url
        session.out.secret = ""  # its key is for everyone, though it is the one in use
        session.out.record(
            {"base_url": url, "api_key": SANDBOX_KEY}, [f"export AIRVID_BASE_URL={url} AIRVID_API_KEY={SANDBOX_KEY}"]
        )
        session.out.note("the sandbox is up; no money is spent; Ctrl-C ends it")
        await asyncio.Event().wait()


def _reset(data: Path) -> None:
    """Remove what the sandbox remembers, however broken it is; what else is in its folder stays. Raises: FileError."""
    if running := running_server(data):
        raise FileError(
            f"a sandbox runs at {running[0]}: it would go on without its tasks", hint="end it first, with Ctrl-C"
        )
    for each in (path for pattern in _OURS for path in data.glob(pattern)):
        try:
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{each} cannot be removed: {error.strerror}") from None
