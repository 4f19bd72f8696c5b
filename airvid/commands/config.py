"""airvid config: the settings other than the key."""

from __future__ import annotations

from airvid import model_cache
from airvid.clips import request
from airvid.clips.naming import FIELDS, ROW_FIELDS, Naming
from airvid.config import SETTINGS, checked, setting_name
from airvid.errors import AirvidError, NotFoundError, UsageError
from airvid.session import Session
from airvid.ui import views
from airvid.values import bare


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
    session.out.record({"name": name, "value": found.value, "source": found.source}, [views.setting_value(found)])


async def set_one(session: Session, *, key: str, value: str) -> None:
    name = setting_name(key)
    valid = checked(name, bare(value))
    if name == "output":
        _check_template(valid)
    session.settings.set(name, valid)
    session.out.record({"name": name, "value": session.settings.file[name]}, None)
    session.out.note(f"{name} is set in {session.settings.path}")
    if name == "model":
        await _warn_of_unknown_model(session, session.settings.file[name])
    if other := session.settings.overriding(name):
        session.out.warn(f"{other} is set in the environment, and overrides it")


def _check_template(output: str) -> None:
    try:
        Naming.parse(output, 1, (*FIELDS, *ROW_FIELDS))
    except UsageError as error:
        error.hint = "airvid help templates"
        raise


async def _warn_of_unknown_model(session: Session, name: str) -> None:
    """Warn of a model that the server does not list, unless the server cannot be asked."""
    try:
        if any(model.id == name for model in model_cache.kept(session.service)):
            return
        async with session.time_limit(5):
            models = await session.api(need_key=False).models(patience=0)
    except AirvidError:
        return
    try:
        request.find_model(models, name)
    except UsageError as error:
        session.out.warn(error.message)


async def unset(session: Session, *, key: str) -> None:
    name = setting_name(key)
    removed = session.settings.unset(name)
    session.out.record({"name": name, "removed": removed}, None)
    session.out.note(f"{name} {'is removed from' if removed else 'was not set in'} {session.settings.path}")
    if other := session.settings.overriding(name):
        session.out.warn(f"{other} still sets it")


async def path(session: Session) -> None:
    session.out.record({"path": str(session.settings.path)}, [session.settings.path])
