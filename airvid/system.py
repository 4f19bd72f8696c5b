"""What differs between operating systems, in one place: signals, locks, modes, syncing, pipes, trust, opening a file.

POSIX is what is meant; Windows gets the nearest portable thing.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

from airvid import clock
from airvid.errors import Interrupted

# A hang-up or a Ctrl-C often comes twice, from the terminal and from a parent: within so many seconds it is one.
DOUBLED = 0.3
# What a process that ends at once still does for a terminal.
before_abort: Callable[[], None] | None = None
if TYPE_CHECKING:
    import asyncio
    import ssl

IS_WINDOWS = sys.platform == "win32"
# How a socket, a file system or a sandbox says that it does not splice.
_CANNOT_SPLICE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
# Ctrl-C, a polite kill, and a closed terminal. Windows knows the first two.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a story on the program's one event loop until it ends.

    A first signal cancels it, so that it can close what it holds; a second Ctrl-C ends the process at once.
    Raises: what the story raises; Interrupted after a signal.
    """
    import asyncio

    received: list[tuple[int, float]] = []

    def interrupt(number: int) -> None:
        received.append((number, clock.elapsed()))
        if len(received) == 1:
            task.cancel()
        elif number == signal.SIGINT and clock.elapsed() - received[0][1] > DOUBLED:
            if before_abort:
                before_abort()
            os._exit(128 + number)

    with asyncio.Runner(loop_factory=clock.loop_factory()) as runner:
        loop = runner.get_loop()
        task = loop.create_task(story)
        with _signals_to(lambda number, _: loop.call_soon_threadsafe(interrupt, number), loop):
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                raise Interrupted(received[0][0] if received else signal.SIGINT) from None


@contextmanager
def _signals_to(
    handle: Callable[[int, object], object], loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[None]:
    """Have the signals call `handle`, also where `loop` waits. An ignored one (`nohup`) stays ignored."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, handle)
            if loop and not IS_WINDOWS:
                # A plain one is called between two steps of the program, which a loop that is about to wait takes late.
                loop.add_signal_handler(number, handle, number, None)
    try:
        yield
    finally:
        for number, handler in before.items():
            if loop and not IS_WINDOWS:
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def on_screen_change(
    resized: Callable[[], None], stopped: Callable[[], None], resumed: Callable[[], None]
) -> Callable[[], None]:
    """Call back when the terminal has another size, before Ctrl-Z stops the program, and when it goes on.

    The result undoes it. On Windows nothing is called.
    """
    if IS_WINDOWS:
        return lambda: None

    def stop() -> None:
        stopped()
        loop.remove_signal_handler(signal.SIGTSTP)
        signal.raise_signal(signal.SIGTSTP)
        loop.add_signal_handler(signal.SIGTSTP, stop)
        resumed()

    import asyncio

    taken = []
    try:
        loop = asyncio.get_running_loop()
        for number, call in ((signal.SIGWINCH, resized), (signal.SIGTSTP, stop)):
            if signal.getsignal(number) == signal.SIG_DFL:
                loop.add_signal_handler(number, call)
                taken.append(number)
    except (RuntimeError, ValueError):
        pass

    def undo() -> None:
        for number in taken:
            loop.remove_signal_handler(number)

    return undo


@contextmanager
def interruptible() -> Iterator[None]:
    """While a person or a pipe is read or written, which blocks the event loop, signals raise Interrupted at once."""

    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    with _signals_to(interrupt):
        yield


def read_stdin() -> bytes:
    """All of standard input."""
    with interruptible():
        return sys.stdin.buffer.read()


def forget(stream: TextIO) -> None:
    """Let what is still to be written to a stream that has failed go nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # no descriptor of its own: a stream in memory, or a closed one


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` in one step by a file that only its owner can read, from its first byte on.

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
    """For the user alone, with its parents. Raises: OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def others_can_read(path: Path) -> bool:
    return not IS_WINDOWS and bool(path.stat().st_mode & 0o077)


def sync(file: IO[bytes]) -> None:
    """Have its bytes on the disk itself. Raises: OSError."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have a rename on the disk itself, where the system can."""
    if IS_WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network and FUSE file systems refuse this for folders; the rename itself is done
    finally:
        os.close(descriptor)


def _splice(source: int, target: int, most: int) -> int:
    """Raises: io.UnsupportedOperation where the system, a file system or a sandbox does not do that; OSError."""
    if sys.platform == "linux":
        try:
            return os.splice(source, target, most, flags=os.SPLICE_F_NONBLOCK)
        except OSError as error:
            if error.errno not in _CANNOT_SPLICE:
                raise
    raise io.UnsupportedOperation


class Pipe:
    """Bytes on their way from a socket to a file by a pipe of the kernel's (Linux); its length is what is in it.

    Whoever shares it pours before anything else runs.
    """

    # Bytes, the most that a user may ask for.
    ROOM = 1 << 20

    def __init__(self) -> None:
        """Raises: OSError where it cannot be had, or not as large as is worth having."""
        self._size = 0
        # Read out of it, and not yet written: only where it does not splice to the file.
        self._held = memoryview(b"")
        self._read_end, self._write_end = os.pipe()
        if sys.platform == "linux":
            import fcntl

            try:
                fcntl.fcntl(self._write_end, fcntl.F_SETPIPE_SZ, self.ROOM)
            except OSError:
                self.close()
                raise

    @staticmethod
    def open() -> Pipe | None:
        """None where none is worth having."""
        try:
            return Pipe() if hasattr(os, "splice") else None
        except OSError:
            return None

    def __len__(self) -> int:
        return self._size

    def fill(self, source: socket.socket, most: int) -> int:
        """Take up to `most` bytes that a socket has; 0 at its end. What nobody poured is let go of before.

        Raises: BlockingIOError where it has none yet; io.UnsupportedOperation where they do not come this way; OSError.
        """
        self._size -= len(self._held)
        self._held = memoryview(b"")
        while self._size:
            self._size -= len(os.read(self._read_end, self._size))
        for _ in range(2):
            try:
                self._size = _splice(source.fileno(), self._write_end, min(most, self.ROOM))
                return self._size
            except BlockingIOError:
                source.recv(1, socket.MSG_PEEK)  # blocks as well, unless bytes came meanwhile or are marked as urgent
        raise io.UnsupportedOperation

    def pour(self, file: IO[bytes], most: int) -> int:
        """Write up to `most` bytes where an unbuffered file stands; how many it took. Raises: OSError."""
        count = 0
        if not self._held:
            try:
                count = _splice(self._read_end, file.fileno(), most)
            except io.UnsupportedOperation:
                self._held = memoryview(os.read(self._read_end, most))
        if self._held:
            # In one write: where the disk takes less and then no more, what it took is counted before it refuses.
            count = file.write(self._held[:most])
            self._held = self._held[count:]
        self._size -= count
        return count

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self._write_end)


def try_lock(file: IO[bytes]) -> bool:
    """Take the lock on an open file without waiting; it goes with the file or the process. False: another has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class SignOfLife:
    """A file that a process holds locked as long as it lives. Raises: OSError.

    A process id would do as little in a container, where every run has the same, as after it was given again.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self.name = os.urandom(16).hex()
        self._path = folder / self.name
        self._file = self._path.open("wb")
        try_lock(self._file)

    def beat(self, now: float) -> None:
        """Show others the time, Unix seconds."""
        os.utime(self._path, (now, now))

    def end(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def last_beat(folder: Path, name: str) -> float | None:
    """When its process last showed that it is awake, Unix seconds."""
    try:
        return (folder / name).stat().st_mtime
    except OSError:
        return None


def is_alive(folder: Path, name: str) -> bool:
    """Whether its process still runs; the sign of a dead one is removed."""
    path = folder / name
    try:
        with path.open("rb+") as file:
            if not try_lock(file):
                return True
        path.unlink(missing_ok=True)
    except OSError:
        pass
    return False


def bury(folder: Path) -> None:
    """Remove the signs of dead processes."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        is_alive(folder, name)


def trust_store() -> ssl.SSLContext:
    """The system's certificates, and beside them those that SSL_CERT_FILE and SSL_CERT_DIR name.

    Raises: OSError, of which ssl.SSLError is one, where a file that is named holds none.
    """
    import ssl

    paths = ssl.get_default_verify_paths()
    hashed = paths.openssl_capath if _is_hashed(paths.openssl_capath) else None
    # A folder of hashed names is looked into as needed; a bundle of all roots takes longer to read than a request.
    context = ssl.create_default_context(capath=hashed)
    if named := os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(cafile=named)
        if not hashed and os.path.exists(paths.openssl_cafile):
            context.load_verify_locations(cafile=paths.openssl_cafile)
    for folder in filter(None, os.environ.get("SSL_CERT_DIR", "").split(os.pathsep)):
        context.load_verify_locations(capath=folder)
    if not (IS_WINDOWS or hashed or paths.cafile or paths.capath):
        import certifi

        context.load_verify_locations(cafile=certifi.where())
    return context


def _is_hashed(folder: str) -> bool:
    """Whether OpenSSL finds certificates in a folder by their names' hashes."""
    try:
        with os.scandir(folder) as entries:
            return any(re.fullmatch(r"[0-9a-f]{8}\.\d", entry.name) for entry in entries)
    except OSError:
        return False


def open_file(path: Path) -> bool:
    """Show a file in the desktop's own program. False where there is no desktop."""
    if sys.platform == "win32":
        try:
            os.startfile(path)
        except OSError:
            return False
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
        )
    except OSError:
        return False
    return True


@functools.cache
def boot_id() -> str | None:
    """What tells one start of the machine from the next; None where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None
