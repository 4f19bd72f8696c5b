"""Files of others where the program keeps its own: they stay as they are, and nothing is paid.

The table: each kind of file × ours and another user's (which only root can make), for part, sidecar, journal, config.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from in_process_terminal import run_on_terminal
from program import World
from program_process import CLIP, LinkedEmulator, User, make_tasks, posts, size
from proxies import answering
from small_files import tiny_mp4

from airvid.clips.download import SYNC_EVERY
from airvid.destinations import local
from airvid.sandbox.server import Server

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such files and owners")
STRANGER = 4321
CREATE = ("create", "fox", "-m", "wan-2.6", "-d", "2", "-o", "fox.mp4")


def regular(path: Path) -> None:
    path.write_text("precious")


def link(path: Path) -> None:
    target = path.with_name("precious")
    target.write_text("precious")
    path.symlink_to(target)


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def device(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can make devices")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


KINDS = [regular, link, dangling, os.mkfifo, Path.mkdir, device]


@pytest.fixture(params=["ours", "theirs"])
def owner(request: pytest.FixtureRequest) -> int:
    if request.param == "ours":
        return os.geteuid()
    if os.geteuid():
        pytest.skip("only root can give files to another user")
    return STRANGER


def plant(path: Path, kind: Callable[[Path], object], owner: int) -> Callable[[], object]:
    """Put it there; the result tells all that can be seen of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind(path)
    os.chown(path, owner, -1, follow_symlinks=False)

    def look() -> object:
        found = os.lstat(path)
        files = {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
        return (
            found.st_mode,
            found.st_uid,
            found.st_ino,
            files.get(path.name),
            files.get("precious"),
            "nowhere" in files,
        )

    return look


# ---------------------------------------------------------------------- part and sidecar


@pytest.mark.parametrize("name", ["fox.mp4.part", "fox.mp4.part.json"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_stands_in_a_part_s_way_is_found_before_paying(
    server: Server, user: User, name: str, kind: Callable[[Path], object], owner: int
) -> None:
    look = plant(user.here / name, kind, owner)
    before = look()
    done = user.airvid(*CREATE)
    assert (done.returncode, posts(server)) == (11, 0), done.stderr
    assert f"{name} is in the way: it " in done.stderr
    assert look() == before
    assert not user.target.exists()


@pytest.mark.parametrize("name", ["fox.mp4.part", "fox.mp4.part.json"])
def test_a_download_leaves_a_stranger_s_file_alone(server: Server, user: User, name: str) -> None:
    [task] = make_tasks(server)
    look = plant(user.here / name, regular, os.geteuid())
    before = look()
    done = user.airvid("download", task, "-o", "fox.mp4")
    assert (done.returncode, look(), user.left) == (11, before, {name}), done.stderr
    (user.here / name).unlink()
    assert user.airvid("download", task, "-o", "fox.mp4").returncode == 0
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


def test_a_part_of_another_user_with_a_sound_sidecar_is_not_gone_on_with(server: Server, user: User) -> None:
    """Renamed, it would stay theirs to change."""
    if os.geteuid():
        pytest.skip("only root can give files to another user")
    [task] = make_tasks(server)
    user.part.write_bytes(CLIP[:1000])
    sidecar = user.here / "fox.mp4.part.json"
    sidecar.write_text(f'{{"clip": "{task}", "validator": "\\"v1\\"", "total": {len(CLIP)}}}')
    for path in (user.part, sidecar):
        os.chown(path, STRANGER, -1)
    done = user.airvid("download", task, "-o", "fox.mp4")
    assert (done.returncode, user.target.exists()) == (11, False), done.stderr
    assert "belongs to another user" in done.stderr


# ---------------------------------------------------------------------- probe


def test_the_probe_of_a_folder_has_a_name_that_nobody_guesses(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / f".fox.mp4.{os.getpid()}.probe").symlink_to(precious)
    local.claim(tmp_path / "fox.mp4")
    assert precious.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


# ---------------------------------------------------------------------- journal and config


@pytest.mark.parametrize("name", ["journal.db", "journal.lock"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_journal_is_kept_in_what_is_not_ours(
    server: Server, user: User, name: str, kind: Callable[[Path], object], owner: int
) -> None:
    data = Path(user.env["XDG_DATA_HOME"]) / "airvid"
    if name == "journal.lock":  # it is taken to set a broken journal aside
        data.mkdir(parents=True)
        (data / "journal.db").write_text("no database, but as long as a header is")
    look = plant(data / name, kind, owner)
    before = look()
    done = user.airvid(*CREATE)
    if kind is regular and owner == os.geteuid():  # a lock to take, or a broken journal to set aside
        assert (done.returncode, posts(server)) == (0, 1), done.stderr
        return
    assert (done.returncode, posts(server)) == (11, 0), done.stderr
    assert look() == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_settings_are_read_from_what_is_not_ours(user: User, kind: Callable[[Path], object], owner: int) -> None:
    path = Path(user.env["XDG_CONFIG_HOME"]) / "airvid" / "config.toml"
    plant(path, lambda here: kind(here), owner)
    if kind is regular:
        path.write_text('model = "wan-2.6"\n')
    elif kind is link:
        path.resolve().write_text('model = "wan-2.6"\n')
        os.chown(path.resolve(), owner, -1)
    done = user.airvid("config", "get", "model", AIRVID_API_KEY="")
    if kind in (regular, link) and owner == os.geteuid():
        assert (done.returncode, done.stdout) == (0, "wan-2.6\n"), done.stderr
    elif kind is dangling:
        assert "wan" not in done.stdout  # as if there were none
    else:
        assert (done.returncode, "cannot be read" in done.stderr) == (11, True), done.stderr


# ---------------------------------------------------------------------- locks, threads, counts


@pytest.mark.parametrize("code", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_where_there_are_no_locks_the_clip_is_saved_all_the_same(server: Server, user: User, code: str) -> None:
    user.customise(
        f"import errno, fcntl\ndef flock(*_): raise OSError(errno.{code}, 'no locks')\nfcntl.flock = flock\n"
    )
    done = user.airvid(*CREATE)
    assert (done.returncode, posts(server)) == (0, 1), done.stderr
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


def test_a_part_that_another_process_fills_is_found_before_paying(server: Server, user: User) -> None:
    import fcntl

    with user.part.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = user.airvid(*CREATE)
    assert (done.returncode, posts(server)) == (11, 0), done.stderr
    assert "another airvid is saving" in done.stderr


def test_where_no_thread_can_be_started_nothing_is_paid(server: Server, user: User) -> None:
    user.customise(
        "import threading\n"
        'def start(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = start\n"
    )
    done = user.airvid(*CREATE)
    assert (done.returncode, posts(server)) == (1, 0), done.stderr
    assert "error: the system starts no more threads" in done.stderr


def test_a_thread_that_fails_after_paying_costs_no_clip(server: Server, user: User) -> None:
    """Bytes are brought to the disk by a thread while more come in, which is not needed."""
    user.customise(
        "import threading\n"
        "first = threading.Thread.start\n"
        "def start(self):\n"
        '    if self._target is not int: raise RuntimeError("can\'t start new thread")\n'
        "    first(self)\n"
        "threading.Thread.start = start\n"
    )
    large = tiny_mp4(bytes(SYNC_EVERY + (8 << 20)))

    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(large) + large)

    assert isinstance(server.emulator, LinkedEmulator)
    with answering(answer) as url:
        server.emulator.links = [f"{url}/clip.mp4"]
        done = user.airvid(*CREATE)
    assert (done.returncode, posts(server)) == (0, 1), done.stderr
    assert size(user.target) == len(large)


@pytest.mark.parametrize("failure", ["ValueError('codec tag')", "MemoryError()", "OSError(5, 'decoder')"])
def test_a_preview_that_fails_in_any_way_costs_no_clip(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """The decoder is a library that reads a stranger's bytes."""
    av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")

    def fail(*_: object, **__: object) -> None:
        raise eval(failure)

    monkeypatch.setattr(av, "open", fail)
    played = run_on_terminal(world, *CREATE, "--preview")
    assert played.code == 0, played.raw
    assert "no preview" in played.raw
    assert (world.folder / "fox.mp4").is_file()


@pytest.mark.parametrize("count", ["1001", "2000000", "999999999999999999"])
@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_count_beyond_reason_is_refused_at_once(server: Server, user: User, count: str, how: str) -> None:
    words = ("create", "fox", "-m", "wan-2.6", "-o", "clips/")
    done = user.airvid(*words, "-n", count) if how == "option" else user.airvid(*words, AIRVID_COUNT=count)
    assert (done.returncode, posts(server)) == (2, 0), done.stderr
    assert "from 1 to 1000" in done.stderr


def test_a_clip_on_standard_output_needs_its_temporary_folder_before_paying(server: Server, user: User) -> None:
    user.customise("import tempfile\ntempfile._candidate_tempdir_list = lambda: ['/proc/none']\n")
    done = user.airvid("create", "fox", "-m", "wan-2.6", "-o", "-")
    assert (done.returncode, posts(server)) == (11, 0), done.stderr
