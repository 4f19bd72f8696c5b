"""airvid config: the settings other than the key."""

from __future__ import annotations

from airvid.config import SETTINGS, checked, setting_name
from airvid.errors import NotFoundError
from airvid.session import Session
from airvid.ui import views


async def list_all(session: Session) -> None:
    found = [setting for name in SETTINGS if (setting := session.settings.find(name))]
    session.out.show(views.SETTINGS, found, as_array=False)
    for name in session.settings.unknown:
        session.out.warn(f"{session.settings.path} sets {name}, which is no setting")
    if not found:
        session.out.note(f"nothing is set; there is {', '.join(SETTINGS)}")


async def get(session: Session, *, key: str) -> None:
    name = setting_name(key)
    found = session.settings.find(name)
    if found is None:
        raise NotFoundError(f"{name} is not set", hint=f"airvid config set {name} VALUE")
    value = str(found.value).lower() if isinstance(found.value, bool) else found.value
    session.out.record({"name": name, "value": found.value, "source": found.source}, [value])


async def set_one(session: Session, *, key: str, value: str) -> None:
    name = setting_name(key)
    session.settings.set(name, checked(name, value))
    session.out.record({"name": name, "value": session.settings.file[name]}, None)
    session.out.note(f"{name} is set in {session.settings.path}")


async def unset(session: Session, *, key: str) -> None:
    name = setting_name(key)
    removed = session.settings.unset(name)
    session.out.record({"name": name, "removed": removed}, None)
    if not removed:
        session.out.note(f"{name} was not set in {session.settings.path}")


async def path(session: Session) -> None:
    session.out.record({"path": str(session.settings.path)}, [session.settings.path])
