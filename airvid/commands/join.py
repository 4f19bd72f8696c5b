"""airvid join: several clips, one after the other, as one film."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airvid import clock, files
from airvid.clips import part_file
from airvid.clips.naming import Naming
from airvid.commands import common, finish, preview
from airvid.destinations.cloud import CloudObject
from airvid.destinations.local import LocalFile
from airvid.errors import FileError, UsageError
from airvid.session import Session
from airvid.ui.progress import Row
from airvid.ui.text import counted, length, size

if TYPE_CHECKING:
    from airvid.media.join import Joining

# Seconds of work between two moments at which it can be interrupted.
_PAUSE = 0.05


async def run(session: Session, *, clips: Sequence[str], output: str | None, force: bool) -> None:
    preview.check_media("a film")
    if not output or output == "-" or output.endswith(("/", os.sep)) or os.path.isdir(output):
        raise UsageError("a film needs -o with the name of a file", hint="airvid join first.mp4 second.mp4 -o film.mp4")
    place = Naming.parse(output, 1).destination({})
    await place.check(force=force)
    named = [each for clip in clips for each in ([clip] if clip != "-" else common.given([clip]))]
    async with all_located(session, named) as found:
        await film(session, found, place, force=force)


@asynccontextmanager
async def all_located(session: Session, clips: Sequence[str]) -> AsyncIterator[list[Path]]:
    """The files of clips. Those that are not on this disk are fetched, and deleted at the end."""
    async with AsyncExitStack() as stack:
        yield [(await stack.enter_async_context(preview.located(session, clip))).path for clip in clips]


async def place_of(session: Session, output: str) -> LocalFile | CloudObject:
    """Where a film of a batch goes: an earlier film is replaced, and no other file. Raises: UsageError, FileError."""
    preview.check_media("a film")
    from airvid.media.join import is_film

    place = Naming.parse(output, 1).destination({})
    is_earlier = isinstance(place, LocalFile) and is_film(place.file)
    if isinstance(place, CloudObject) and await place.size() is not None:
        async with preview.located(session, place.url) as found:
            is_earlier = is_film(found.path)
    await place.check(force=is_earlier)
    return place


async def film(session: Session, clips: Sequence[Path], place: LocalFile | CloudObject, *, force: bool) -> None:
    """Join clips to a film, which takes its name once it is whole. Raises: FileError."""
    from airvid.media.join import Joining

    path = place.local_path(f"film {place}")
    if any(path.exists() and file.exists() and file.samefile(path) for file in clips):
        raise FileError(f"{path} is one of the clips", hint="-o FILE, another one")
    await place.check_writable()
    with session.progress(1) as progress:
        row = progress.row(os.path.basename(str(place)))
        row.part("reading", 0)
        joining = Joining([partial(preview.opened, file) for file in clips])
        for why in joining.differences:
            session.out.note(f"{why}: it is encoded anew")
        # A film that waits for its upload may be replaced without --force.
        await _write(joining, path, row, force=force or isinstance(place, CloudObject))
        count = path.stat().st_size
        try:
            await finish.send(place, path, row, force=force)
        except FileError as error:
            raise FileError(
                f"{error.message}; the film is whole in {path}", hint=error.hint or session.same_command()
            ) from None
        place.forget(path)
        row.end(f"joined {counted(len(clips), 'clip')} ({joining.end:.1f} s, {size(count)}) after {length(row.passed)}")
    facts = {"seconds": round(joining.end, 3), "clips": len(clips), "reencoded": bool(joining.differences)}
    session.out.saved(str(place), {"path": str(place), **facts, "bytes": count})


async def _write(joining: Joining, path: Path, row: Row, *, force: bool) -> None:
    """Write the film beside its place, and give it its name. Raises: FileError."""
    with files.file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent.resolve() / f".airvid-{os.urandom(8).hex()}.part"
        files.open_regular(part).close()
    try:
        told = clock.elapsed()
        for done in joining.write(part):
            if clock.elapsed() - told >= _PAUSE:
                row.part("joining", done / joining.seconds if joining.seconds else 0)
                await clock.sleep(0)
                told = clock.elapsed()
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    with files.file_errors(path), files.open_existing(part) as file:
        part_file.publish(file, part, Path(os.path.realpath(path)), force=force)
