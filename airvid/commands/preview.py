"""airvid preview: a clip's contact sheet in the terminal; also what `create --preview` shows."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from airvid import clock, system
from airvid.clips import naming
from airvid.commands import common, download, finish
from airvid.destinations.cloud import CloudObject, is_url
from airvid.errors import FileError, UsageError
from airvid.session import Session
from airvid.ui.text import short_id, size

if TYPE_CHECKING:
    from airvid.media.frames import Clip, Frame


async def run(session: Session, *, what: str, opens: bool) -> None:
    as_json = session.out.as_json
    if as_json and opens:
        raise UsageError("--json and --open contradict each other")
    if not opens:
        hint = "--json tells the clip's length and size; --open shows it in the desktop's player"
        check(session, needs_terminal=not as_json, hint=hint)
    async with located(session, what, opens=opens) as (path, _, is_kept, _):
        if opens:
            finish.open_file(path)
        elif as_json:
            with opened(path) as clip:
                facts = {
                    "file": str(path) if is_kept else None,
                    "frames": clip.frames,
                    "seconds": clip.seconds and round(clip.seconds, 3),
                    "width": clip.width,
                    "height": clip.height,
                    "codec": clip.codec,
                    "size": path.stat().st_size,
                }
                session.out.emit(facts)
        else:
            await show(session, path)


def check(session: Session, *, needs_terminal: bool = True, hint: str | None = None) -> None:
    """See that a clip can be decoded and shown. Raises: UsageError."""
    check_media("the preview")
    if needs_terminal and not session.out.is_terminal:
        raise UsageError("a contact sheet is for a terminal, and standard output is none", hint=hint)


class Located(NamedTuple):
    """A clip's file, its task where one was named, and its address where it is in a store."""

    path: Path
    task_id: str | None
    is_kept: bool = True
    url: str | None = None


def check_media(what: str) -> None:
    """See that the extra `media` is installed. Raises: UsageError."""
    if find_spec("av") is None:
        raise UsageError(f"{what} needs PyAV to decode clips", hint=system.install_command("airvid[media]"))


@asynccontextmanager
async def located(session: Session, what: str, *, opens: bool = False) -> AsyncIterator[Located]:
    """The clip that was named. One that is not on this disk is fetched, and deleted at the end."""
    if is_url(what):
        async with _stored(what, None, opens=opens) as clip:
            yield clip
        return
    what = os.path.expanduser(what)
    if os.path.lexists(what) or os.path.dirname(what) or Path(what).suffix:
        yield Located(Path(what), None)
        return
    found, errors = await common.resolve(session, common.given([what]))
    if errors:
        raise errors[0]
    if len(found) != 1:
        raise UsageError(f"{what} is {len(found)} tasks, where one is wanted", hint="airvid list --ids")
    entry = session.journal.by_task(session.service, found).get(found[0])
    if entry and entry.file and os.path.isfile(entry.file):
        yield Located(Path(entry.file), found[0])
        return
    if entry and entry.file and is_url(entry.file):
        async with _stored(entry.file, found[0], opens=opens) as clip:
            yield clip
        return
    if opens:
        raise UsageError(
            "a clip that is not saved cannot be opened", hint=session.command("download", found[0], "--open")
        )
    with tempfile.TemporaryDirectory(prefix="airvid-") as folder:
        path = Path(folder, naming.file_name(found[0]))
        task = await download.completed(session, found[0], "-o", path.name)
        with session.progress() as progress:
            row = progress.row(short_id(task.task_id))
            await finish.fetch(session, task, path, row)
        yield Located(path, found[0], is_kept=False)


@asynccontextmanager
async def _stored(url: str, task_id: str | None, *, opens: bool) -> AsyncIterator[Located]:
    """A clip in a store, fetched into a temporary folder."""
    stored = CloudObject(url)
    if opens:
        raise UsageError("a clip in a store cannot be opened")
    with tempfile.TemporaryDirectory(prefix="airvid-") as folder:
        path = Path(folder, os.path.basename(stored.key)[-50:])  # messages name it
        await stored.fetch(path)
        yield Located(path, task_id, is_kept=False, url=url)


async def show(session: Session, path: Path) -> None:
    """Draw a clip's contact sheet onto the terminal. Raises: FileError."""
    from airvid.media import sheet

    with opened(path) as clip:
        screen = sheet.console(session.out.stdout, with_color=session.out.color)
        most = min(sheet.MOST_FRAMES, clip.frames or sheet.MOST_FRAMES)
        grid = sheet.arrange(screen.width, screen.height, clip.aspect, most)
        frames: list[Frame] = []
        for frame in clip.pick(grid.across * grid.down, grid.width, 2 * grid.height):
            if frame is not None:
                frames.append(frame)
            await clock.sleep(0)  # between any two frames it can be interrupted
        session.out.line(_title(clip, path, session.out.stdout, screen.width))
        try:
            for row in sheet.draw(frames, grid, screen):
                session.out.raw(row)
                await clock.sleep(0)
        except BaseException:
            session.out.raw(sheet.RESET)
            raise


@contextmanager
def opened(path: Path, *, is_known: bool = False) -> Iterator[Clip]:
    """The clip in a file that may be anything; `is_known` as for a Clip. Raises: FileError."""
    from airvid.media.frames import Clip

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a FIFO would wait for its writer
            raise FileError(f"{path} is no regular file")
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from None
    with file:
        with closing(Clip(file, path.name, is_known=is_known)) as clip:
            yield clip


def _title(clip: Clip, path: Path, stream: TextIO, columns: int) -> str:
    """One line, whatever the name's length: a second one would push the sheet off the screen."""
    from rich.text import Text

    from airvid.ui.terminal import how_to_cut, tame

    seconds = "" if clip.seconds is None else f"{clip.seconds:.1f}s  "
    facts = f"{seconds}{clip.width}x{clip.height}  {clip.codec}  {size(path.stat().st_size)}"
    name = Text(tame(stream, path.name))
    name.truncate(max(8, columns - len(facts) - 2), overflow=how_to_cut(stream))
    return f"{name.plain}  {facts}"
