"""airvid doctor: what is wrong with this installation, and which command mends it."""

from __future__ import annotations

import io
import os
import platform
import re
import shlex
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from airvid import __version__, clock, system
from airvid.api import redact
from airvid.commands import common
from airvid.config import SETTINGS
from airvid.errors import AirvidError, AuthError, FileError, UnavailableError, UsageError, as_failure
from airvid.journal.entries import Entry
from airvid.session import Session
from airvid.ui import terminal, views
from airvid.ui.text import counted, dumps, length, masked, size

# Seconds for which a failing API is asked again, and by which the clock may differ before that is a note, or an error.
_PATIENCE = 5.0
_NOTED_OFFSET, _MOST_OFFSET = 5.0, 300.0
_LEAST_DISK = 256 << 20
# What Typer writes for each shell, below the home folder.
_COMPLETIONS = {
    "bash": ".bash_completions/airvid.sh",
    "zsh": ".zfunc/_airvid",
    "fish": ".config/fish/completions/airvid.fish",
}


# Extras that only developers need.
_OWN_EXTRAS = ("test", "lint")


class Finding(NamedTuple):
    """What a check found: `ok`, `note`, or `wrong` with the exit code that it stands for."""

    check: str
    state: str
    message: str
    hint: str | None = None
    exit_code: int = 0


class Note(Exception):
    """A finding that is no error: a sentence, and the command that helps."""


async def run(session: Session, *, offline: bool, bundle: str | None, timeout: str | None) -> None:
    target, limit = _bundle_path(bundle), common.time_limit(timeout)
    found = list[Finding]()
    for name, check in CHECKS.items():
        found.append(_unless_said(found, await _check(session, name, check, limit, offline=offline)))
    session.out.show(views.FINDINGS, found, as_array=False)
    if target:
        _write_bundle(session, target, found)
        session.out.note(f"{target} holds this report, without keys and prompts")
    for finding in found:
        if finding.state == "wrong":
            error = AirvidError(f"{finding.check}: {finding.message}", hint=finding.hint)
            error.exit_code = finding.exit_code
            raise error


async def _check(session: Session, name: str, check: Check, limit: float | None, *, offline: bool) -> Finding:
    """Run one check, for `limit` seconds at most. Its failure does not stop the others."""
    if offline and name in _ONLINE:
        return Finding(name, "note", "not asked, as --offline says")
    try:
        async with session.time_limit(limit):
            return Finding(name, "ok", await check(session))
    except Note as note:
        message, hint = note.args
        return Finding(name, "note", message, hint)
    except Exception as raised:
        error = as_failure(raised)
        return Finding(name, "wrong", error.message, error.hint, error.exit_code)


def _unless_said(found: list[Finding], finding: Finding) -> Finding:
    """The finding, or a note in its place where an earlier check has failed for the same reason."""
    first = next((each for each in found if each.state == "wrong" and each.message == finding.message), None)
    return Finding(finding.check, "note", f"not checked: {first.check} is wrong") if first else finding


# ---------------------------------------------------------------------- the checks


async def _versions(_: Session) -> str:
    versions = [f"airvid {__version__}", f"Python {platform.python_version()}", platform.platform(terse=True)]
    for requirement in metadata.requires("airvid") or []:
        if "extra ==" in requirement or not (least := re.match(r"([\w.-]+)[^;]*?>=\s*([\d.]+)", requirement)):
            continue
        try:
            there = metadata.version(least[1])
        except metadata.PackageNotFoundError:
            hint = system.install_command("airvid")
            raise AirvidError(f"the package {least[1]} is missing", hint=hint) from None
        if _numbers(there) < _numbers(least[2]):
            why = f"{least[1]} {there} is older than {least[2]}"
            raise AirvidError(why, hint=system.install_command("--upgrade", least[1]))
        versions.append(f"{least[1]} {there}")
    return ", ".join(versions)


def _numbers(version: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", version)[:3]]


async def _config(session: Session) -> str:
    settings = session.settings
    settings.check()
    if settings.has_loose_mode():
        raise FileError(f"others can read {settings.path}, which holds the API key", hint=f"chmod 600 {settings.path}")
    sources = {str(settings.path): list[str]()} if settings.path.exists() else {f"no {settings.path}": []}
    for setting in filter(None, map(settings.find, SETTINGS)):
        sources.setdefault(setting.source, []).append(setting.name)
    if settings.unknown:
        unknown = ", ".join(settings.unknown)
        raise Note(f"{settings.path} has keys that airvid does not know: {unknown}", "airvid help environment")
    return "; ".join(f"{source}: {', '.join(names)}" if names else source for source, names in sources.items())


async def _key(session: Session) -> str:
    if session.is_sandbox:
        return "the sandbox needs none"
    found = session.settings.key()
    if found is None:
        raise AuthError("there is no API key", hint="airvid auth login")
    base = session.base_url
    return f"{masked(found.value)} ({found.source}), for {base.value} ({base.source})"


async def _tls(session: Session) -> str:
    roots = next((name for name in system.ROOTS_VARIABLES if os.environ.get(name)), None)
    proxy = session.api(need_key=False).http.check_way()
    trust = "the system's certificates" + (f", and those of {roots}" if roots else "")
    return f"{trust}; {f'the proxy {proxy}' if proxy else 'no proxy'}"


async def _api(session: Session) -> str:
    try:
        listing = await session.api().tasks(patience=_PATIENCE)
    except UnavailableError as error:
        error.hint = error.hint or shlex.join(["curl", "-v", f"{session.base_url.value}/models"])
        raise
    key = "" if session.is_sandbox else " and accepts the key"
    return f"{session.service} answers{key}; {counted(len(listing.tasks), 'task')}"


async def _clock(session: Session) -> str:
    """Compare the clock with the server's time, which the check of the API has read."""
    if not session.api().http.is_time_known:
        raise Note("not compared: the API has not told its time", None)
    ahead = session.api().http.server_now() - clock.now()
    told = f"this machine's clock is {length(abs(ahead))} {'behind' if ahead > 0 else 'ahead of'} the server's"
    hint = f"set the clock: {system.CLOCK_COMMAND}"
    if abs(ahead) > _MOST_OFFSET:
        raise AirvidError(told, hint=hint)
    if abs(ahead) > _NOTED_OFFSET:
        raise Note(told, hint)
    return "as the server's"


async def _journal(session: Session) -> str:
    journal, path = session.journal, session.journal.path
    journal.entries(limit=1, offset=0)  # raises where it cannot be read
    folder = next(each for each in path.parents if each.exists())
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise FileError(f"{path} cannot be written: without it nothing is sent", hint=f"chmod -R u+w {folder}")
    if unknown := len(journal.unsettled(session.service)):
        word = "create has" if unknown == 1 else "creates have"
        raise Note(
            f"{unknown} {word} an unknown fate: it may have been charged", "airvid list --local --status unknown"
        )
    return f"{path}, {size(path.stat().st_size)}" if path.exists() else f"none yet; it will be {path}"


async def _tasks(session: Session) -> str:
    running = session.journal.running(session.service)
    if running:
        count = f"{len(running)} task{'s' * (len(running) > 1)} had not ended when last seen"
        raise Note(count, session.command("watch"))
    return "none is running"


async def _disk(session: Session) -> str:
    free = {}
    for path in (Path.cwd(), session.data):
        there = next(each for each in (path, *path.parents) if each.exists())
        free[there] = shutil.disk_usage(there).free
        if free[there] < _LEAST_DISK:
            raise FileError(
                f"{size(free[there])} are left at {there}", hint="free some space, or save elsewhere with -o"
            )
    return ", ".join(f"{size(count)} free at {path}" for path, count in free.items())


async def _terminal(session: Session) -> str:
    out, columns = session.out, terminal.dimensions(session.out.stderr)[0]
    if not terminal.can_write(out.stdout, "é狐…"):
        raise Note(f"the locale's encoding is {out.stdout.encoding}: other characters are escaped", "LC_ALL=C.UTF-8")
    if not out.stderr.isatty():
        return "none: plain lines"
    if not terminal.can_animate(out.stderr):
        raise Note("a terminal without moving bars (TERM, CI, or in the background)", "TERM=xterm-256color")
    looks = "colours, clips as half blocks" if out.color else "no colours, clips as shades"
    return f"{columns} columns, bars, {looks}, {'links' if terminal.can_link() else 'no links'}"


async def _extras(_: Session) -> str:
    extras = [each for each in metadata.metadata("airvid").get_all("Provides-Extra") or [] if each not in _OWN_EXTRAS]
    there = set(extras)
    for requirement in metadata.requires("airvid") or []:
        if found := re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement):
            try:
                metadata.version(found[1])
            except metadata.PackageNotFoundError:
                there.discard(found[2])
    if missing := sorted(set(extras) - there):
        raise Note(f"not installed: {', '.join(missing)}", system.install_command(f"airvid[{','.join(missing)}]"))
    return ", ".join(sorted(there))


async def _completion(_: Session) -> str:
    shells = [shell for shell, path in _COMPLETIONS.items() if Path(os.path.expanduser("~"), path).exists()]
    if not shells:
        raise Note("not installed", "airvid --install-completion")
    return f"installed for {', '.join(shells)}"


Check = Callable[[Session], Coroutine[Any, Any, str]]
CHECKS: dict[str, Check] = {
    "versions": _versions,
    "config": _config,
    "key": _key,
    "tls and proxy": _tls,
    "api": _api,
    "clock": _clock,
    "journal": _journal,
    "running tasks": _tasks,
    "disk": _disk,
    "terminal": _terminal,
    "extras": _extras,
    "completion": _completion,
}
_ONLINE = ("api", "clock")


# ---------------------------------------------------------------------- the bundle


def _bundle_path(bundle: str | None) -> Path | None:
    """Raises: UsageError, FileError."""
    if bundle is None:
        return None
    path = Path(bundle).expanduser()
    if path.suffix != ".zip":
        raise UsageError(f"--bundle {bundle!r} is no name of a zip file", hint="airvid doctor --bundle airvid.zip")
    if os.path.lexists(path):
        raise FileError(f"{path} exists", hint="name another file: nothing is overwritten")
    return path


def _write_bundle(session: Session, path: Path, found: list[Finding]) -> None:
    """A zip file that may be attached to a public issue: no key, no prompt, no name of the home folder."""
    entries = list[Entry]()
    with suppress(AirvidError):  # the report says what is wrong with the journal
        entries = session.journal.entries(limit=100_000, offset=0) if session.journal.path.exists() else []
    parts = {
        "report.json": [finding._replace(message=redact.text(finding.message))._asdict() for finding in found],
        "journal.json": dict(Counter(entry.state for entry in entries)),
        "settings.json": sorted(session.settings.file.keys() - {"api-key"}),
        "packages.json": sorted(f"{each.name} {each.version}" for each in metadata.distributions()),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, session.out.hidden(dumps(part, indent=2)).replace(str(Path.home()), "~"))
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(packed.getvalue())
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}") from None
