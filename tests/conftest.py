"""Options of pytest, and the fixtures that most tests share."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import missing_modules
import pytest
from journal_fixture import JournalFixture
from program import API, KEY, World
from program_process import LinkedEmulator, User

from airvid import clock
from airvid.sandbox.emulator import Emulator
from airvid.sandbox.server import Server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is generated anew")
    parser.addoption("--fuzz-runs", type=int, default=0, help="runs of each random search (default: about a minute)")
    parser.addoption("--fuzz-seed", default="airvid", help="the seed of the random searches")
    parser.addoption("--fuzz-case", type=int, help="only this run of a random search, with its whole traffic shown")


# Bytes that must be free in memory for the folders of tests; one clip has 200 MB.
ROOM = 4 << 30


def pytest_configure() -> None:
    """Make folders in memory where there is room, since each write of a journal waits for the disk.

    Heed signals that the parent process ignores (`nohup`), which programs under test would inherit; no CI.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > ROOM and not os.statvfs(memory).f_flag & os.ST_NOEXEC:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
    missing_modules.remember()
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITLAB_CI", "TF_BUILD"):
        os.environ.pop(name, None)
    for name in ("SIGINT", "SIGHUP", "SIGQUIT"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds what it should be; with --update-golden write that file anew."""

    def check(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        assert text == path.read_text("utf-8"), f"{path} has drifted: pytest --update-golden writes it anew"

    return check


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[JournalFixture]:
    """A journal of its own, on a clock of its own."""
    made = JournalFixture(tmp_path / "data" / "journal.db")
    with clock.use(made.clock):
        yield made
    made.close()


@pytest.fixture
def emulator() -> Emulator:
    """The API of `server`: tasks are completed at once. A module that needs another one has its own fixture."""
    return LinkedEmulator()


@pytest.fixture
def server(emulator: Emulator) -> Iterator[Server]:
    """The API on a real socket."""
    with Server(emulator) as running:
        yield running
    emulator.close()


@pytest.fixture
def user(tmp_path: Path, server: Server) -> User:
    """A user of `server`, whose program is a process."""
    return User(tmp_path, server.api_url)


@pytest.fixture
def world(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A user with a key, in an empty folder, and nothing of the real user's settings."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    _clean_environment(monkeypatch)
    for kind in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    monkeypatch.setenv("AIRVID_API_KEY", KEY)
    monkeypatch.setenv("AIRVID_BASE_URL", API)
    made = World(folder, capsysbinary, monkeypatch)
    yield made
    made.emulator.close()


def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AIRVID_", "AIRFORCE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
