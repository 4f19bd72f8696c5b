"""airvid auth: the API key, from hidden input to a file that only its owner can read."""

from __future__ import annotations

import sys

from airvid import system
from airvid.config import sound_key
from airvid.errors import AirvidError, AuthError, UnavailableError, UsageError
from airvid.session import Session
from airvid.ui.text import masked


async def login(session: Session, *, no_verify: bool) -> None:
    if session.is_sandbox:
        hint = "unset AIRVID_SANDBOX" if session.settings.is_sandbox() else "airvid auth login"
        raise UsageError("the sandbox needs no key", hint=hint)
    typed = sys.stdin.isatty()
    key = session.out.ask_hidden("API key: ") if typed else system.read_stdin().decode("utf-8", "replace")
    if not key.strip():
        raise UsageError("no key was given", hint="airvid auth login < FILE")
    key = sound_key(key, "what was given")
    if not key.startswith(("sk-air-", "airf_oat_", "afk-")):
        session.out.warn("this does not look like one of the provider's keys (sk-air-…); it is tried all the same")
    if not no_verify:
        try:
            await session.api(key=key).tasks()
        except UnavailableError as error:
            error.hint = error.hint or session.same_command("--no-verify")
            raise
    session.settings.set("api-key", key)
    session.out.record({"key": masked(key), "path": str(session.settings.path)}, None)
    session.out.note(
        f"key {masked(key)} stored in {session.settings.path}" + ("" if no_verify else "; the API accepts it")
    )
    if other := session.settings.other_key_source():
        session.out.warn(f"{other} is set in the environment, and goes before the stored key")


async def logout(session: Session) -> None:
    removed = session.settings.unset("api-key")
    session.out.record({"removed": removed, "path": str(session.settings.path)}, None)
    session.out.note(f"key removed from {session.settings.path}" if removed else "no key was stored")
    if other := session.settings.other_key_source():
        session.out.warn(f"{other} still holds a key")


async def status(session: Session, *, offline: bool) -> None:
    if session.is_sandbox:
        session.out.record({"source": "sandbox", "key": None}, ["sandbox", "needs no key"])
        return
    found = session.settings.key()
    if found is None:
        raise AuthError("no API key, neither stored nor in AIRVID_API_KEY", hint="airvid auth login")
    accepted, failure = None, None
    if not offline:
        try:
            await session.api().tasks()
            accepted = True
        except AirvidError as error:
            accepted, failure = False if isinstance(error, AuthError) else None, error
    shown = masked(found.value)
    record = {"source": found.source, "key": shown, "base_url": session.base_url.value, "accepted": accepted}
    words = {True: "accepted", False: "refused", None: "not checked"}
    session.out.record(record, [shown, found.source, words[accepted]])
    if failure:
        if failure.hint == "airvid auth status":
            failure.hint = None
        raise failure
