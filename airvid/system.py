"""What differs between operating systems: signals, locks, modes, syncing, certificates, opening a file.

Written for POSIX; Windows gets the nearest portable equivalent.
"""

from __future__ import annotations

import errno
import functools
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

from airvid import clock
from airvid.errors import AirvidError, Interrupted

if TYPE_CHECKING:
    import asyncio
    import ssl
    from concurrent.futures import ThreadPoolExecutor

IS_WINDOWS = sys.platform == "win32"
# Files and connections that the program needs for one clip: its own, the journal's, and those of the download.
LEAST_OPEN_FILES = 32
# The errors of a lock that another process holds.
_LOCKED = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
# Variables that name files of certificates, in this order; the last two are those of other tools.
ROOTS_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
CLOCK_COMMAND = {"win32": "w32tm /resync", "darwin": "sudo sntp -sS time.apple.com"}.get(
    sys.platform, "timedatectl set-ntp true"
)
# Two signals within so many seconds count as one: both the terminal and a parent process may send a Ctrl-C.
DOUBLED = 0.3
# What restores the terminal before a signal stops the process, or ends it at once.
_restore: Callable[[], None] | None = None
# Ctrl-C, `kill`, and a closed terminal, which Windows does not have.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def _threads() -> ThreadPoolExecutor:
    """Threads for which the end of the program does not wait: the look-up of a name cannot be interrupted."""
    from concurrent.futures import ThreadPoolExecutor

    class Threads(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=True)

    return Threads()


def run(command: Coroutine[Any, Any, None]) -> None:
    """Run a command on the program's one event loop until it ends.

    A first signal cancels it, so that it can clean up; a second Ctrl-C ends the process at once.
    Raises: what the command raises; Interrupted after a signal.
    """
    import asyncio

    received: list[tuple[int, float]] = []

    def interrupt(number: int) -> None:
        received.append((number, clock.elapsed()))
        if len(received) == 1:
            task.cancel()
        elif number == signal.SIGINT and clock.elapsed() - received[0][1] > DOUBLED:
            if _restore:
                _restore()
            os._exit(128 + number)

    runner = asyncio.Runner(loop_factory=clock.loop_factory())
    try:
        loop = runner.get_loop()
        loop.set_default_executor(_threads())
        task = loop.create_task(command)
        with _signals_to(lambda number, _: loop.call_soon_threadsafe(interrupt, number), loop):
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                raise Interrupted(received[0][0] if received else signal.SIGINT) from None
    finally:
        with suppress(RuntimeError):  # it starts a thread to wait for its threads, which may fail
            runner.close()


@contextmanager
def _signals_to(
    handle: Callable[[int, object], object], loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[None]:
    """Have signals call `handle`, also while `loop` waits. Ignored ones (`nohup`) stay ignored."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, handle)
            if loop and not IS_WINDOWS:
                # A plain handler runs between two steps of the program: too late where the loop is about to wait.
                loop.add_signal_handler(number, handle, number, None)
    try:
        yield
    finally:
        for number, handler in before.items():
            if loop and not IS_WINDOWS:
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def on_stop(restore: Callable[[], None]) -> Callable[[], None]:
    """Call `restore` before Ctrl-Z stops the program, and before Ctrl-\\ or a second Ctrl-C ends it.

    Returns the function that takes this back.
    """
    global _restore
    import asyncio

    loop = asyncio.get_running_loop()
    numbers = () if IS_WINDOWS else (signal.SIGTSTP, signal.SIGQUIT)
    heeded = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]

    def stop(number: int) -> None:
        restore()
        loop.remove_signal_handler(number)
        signal.raise_signal(number)
        loop.add_signal_handler(number, stop, number)

    def undo() -> None:
        global _restore
        _restore = None
        for number in heeded:
            loop.remove_signal_handler(number)

    _restore = restore
    for number in heeded:
        loop.add_signal_handler(number, stop, number)
    return undo


def is_in_background(stream: TextIO) -> bool:
    """Whether another job of its shell has the terminal at present."""
    try:
        return not IS_WINDOWS and os.tcgetpgrp(stream.fileno()) != os.getpgrp()
    except (OSError, ValueError):
        return False  # no terminal, or not this process's own


@contextmanager
def interruptible() -> Iterator[None]:
    """Have signals raise Interrupted at once, while reading or writing a terminal or pipe blocks the event loop."""

    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    with _signals_to(interrupt):
        yield


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Note the signals that come while the event loop is blocked, and raise them again afterwards."""
    received: list[int] = []
    try:
        with _signals_to(lambda number, _: received.append(number)):
            yield received
    finally:
        for number in received:
            signal.raise_signal(number)


def read_stdin(most: int = -1) -> bytes:
    """All of standard input, or its first `most` bytes."""
    with interruptible():
        return sys.stdin.buffer.read(most)


def forget(stream: TextIO) -> None:
    """Discard what is still to be written to a stream that has failed."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # no descriptor of its own: a stream in memory, or a closed one


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` in one step by a file that only its owner can read, from the first byte on.

    A link is followed, not replaced. Raises: OSError.
    """
    path = Path(os.path.realpath(path))
    make_private_folder(path.parent)
    # mkstemp opens with mode 0600.
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            sync(file)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    sync_folder(path.parent)


def make_private_folder(path: Path) -> None:
    """Make a folder and its parents, for this user only. Raises: OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def others_can_read(path: Path) -> bool:
    return not IS_WINDOWS and bool(path.stat().st_mode & 0o077)


def sync(file: IO[bytes]) -> None:
    """Write a file's bytes to the disk itself. Raises: OSError."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Write a rename to the disk itself, where the system can."""
    if IS_WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network and FUSE file systems refuse this for folders; the rename itself is done
    finally:
        os.close(descriptor)


class NoLocksError(OSError):
    """The file system has no locks, or none are left."""


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file without waiting; False where another process holds the lock. Closing the file releases it.

    Raises: NoLocksError.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _LOCKED:
            return False
        raise NoLocksError(error.errno, error.strerror) from None
    return True


def check_thread() -> None:
    """Check that the system starts a thread. Raises: AirvidError."""
    try:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    except RuntimeError as error:
        raise AirvidError(f"the system starts no more threads: {error}", hint="ulimit -u shows the limit") from None


def most_open_files() -> int:
    """How many files and connections this process may have open at once."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def check_open_files() -> None:
    """Check that the program may open the files that it needs for one clip. Raises: AirvidError."""
    if (most := most_open_files()) < LEAST_OPEN_FILES:
        raise AirvidError(
            f"the system lets the program open only {most} files at once, and it needs {LEAST_OPEN_FILES}",
            hint="ulimit -n 256",
        )


def trust_store() -> ssl.SSLContext:
    """Trust in the system's certificates and in the user's own.

    Those are in the file that SSL_CERT_FILE names (else REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE), and in SSL_CERT_DIR.

    Raises: OSError, of which ssl.SSLError is one, where a file that is named holds none.
    """
    import ssl

    import truststore

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if named := next(filter(None, map(os.environ.get, ROOTS_VARIABLES)), None):
        context.load_verify_locations(cafile=named)
        # SSL_CERT_FILE replaces OpenSSL's own file, which is trusted as well.
        usual = ssl.get_default_verify_paths()
        if os.path.exists(usual.openssl_cafile):
            context.load_verify_locations(cafile=usual.openssl_cafile)
        if os.path.isdir(usual.openssl_capath):
            context.load_verify_locations(capath=usual.openssl_capath)
    for folder in filter(None, os.environ.get("SSL_CERT_DIR", "").split(os.pathsep)):
        context.load_verify_locations(capath=folder)
    return context


def open_file(path: Path, *, without: Collection[str]) -> bool:
    """Open a file in the desktop's program for it, without the environment variables named in `without`.

    False where there is no desktop.
    """
    if sys.platform == "win32":
        # The program inherits the present environment.
        hidden = {name: os.environ.pop(name) for name in without if name in os.environ}
        try:
            os.startfile(path)
        except OSError:
            return False
        finally:
            os.environ.update(hidden)
        return True
    if sys.platform != "darwin" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    try:
        subprocess.Popen(
            [opener, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name not in without},
        )
    except OSError:
        return False
    return True


def install_command(*words: str) -> str:
    """The command that installs packages beside airvid: `pip` on the path may belong to another environment."""
    from importlib.util import find_spec

    if Path(sys.prefix, "pipx_metadata.json").exists():
        tool = ["pipx", "runpip", Path(sys.prefix).name, "install"]
    elif find_spec("pip") is None:  # as in uv's environments
        tool = ["uv", "pip", "install", "--python", sys.executable]
    else:
        tool = [sys.executable, "-m", "pip", "install"]
    return shlex.join([*tool, *words])


def hold_little(connection: Any) -> None:
    """Limit how many bytes of a connection the system buffers, where it can.

    Otherwise a time limit that begins after the last write would include the time to send what is buffered.
    """
    if option := getattr(socket, "TCP_NOTSENT_LOWAT", None):
        with suppress(AttributeError, OSError):  # no socket, or a kernel without it
            connection.setsockopt(socket.IPPROTO_TCP, option, 1 << 17)


@functools.cache
def boot_id() -> str | None:
    """An id that changes when the machine starts; None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None
