"""airvid sandbox: the emulated API on a port, for curl and other programs (contract 11.2)."""

from __future__ import annotations

import asyncio

from airvid import system
from airvid.config import folder
from airvid.errors import FileError
from airvid.places import SANDBOX, SANDBOX_KEY
from airvid.sandbox.emulator import Emulator
from airvid.sandbox.server import Server
from airvid.session import Session, check_renderer


async def run(session: Session, *, port: int) -> None:
    check_renderer()
    data = folder("data") / SANDBOX
    try:
        system.make_private_folder(data)
        server = Server(Emulator(path=data / "server.db"), port=port)
    except OSError as error:
        raise FileError(f"the sandbox cannot be started on port {port}: {error.strerror or error}") from None
    with server:
        url = server.api_url
        session.out.secret = ""  # its key is for everyone, though it is the one in use
        session.out.record(
            {"base_url": url, "api_key": SANDBOX_KEY}, [f"export AIRVID_BASE_URL={url} AIRVID_API_KEY={SANDBOX_KEY}"]
        )
        session.out.note("the sandbox is up; no money is spent; Ctrl-C ends it")
        await asyncio.Event().wait()
