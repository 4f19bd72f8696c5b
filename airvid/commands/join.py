"""airvid join: several clips, one after the other, as one film."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from airvid import clock, files, system
from airvid.clips import part_file
from airvid.clips.naming import Naming
from airvid.commands import finish, preview
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


class Film(NamedTuple):
    """Where a film goes, and whether it replaces what is there."""

    place: LocalFile | CloudObject
    force: bool


async def run(session: Session, *, clips: Sequence[str], output: str | None, force: bool) -> None:
    place = _place(output, "-o")
    await place.check(force=force)
    # A clip may come several times, and a file's name may be of any bytes.
    named = [each for clip in clips for each in (_lines(system.read_stdin()) if clip == "-" else [clip])]
    if not named:
        raise UsageError("there are no clips on standard input")
    await write(session, named, Film(place, force))


def _lines(text: bytes) -> list[str]:
    return [os.fsdecode(line.rstrip(b"\r")) for line in text.split(b"\n") if line.strip()]


async def of_batch(output: str) -> Film:
    """Where the film of a batch goes: it replaces an earlier film, and no other file. Raises: UsageError, FileError."""
    place = _place(output, "--join")
    film = Film(place, await _holds_film(place))
    try:
        await place.check(force=film.force)
    except FileError as error:
        if error.hint and "--force" in error.hint:
            error.message, error.hint = f"{error.message}, and is no film", "--join FILE, another one"
        raise
    return film


def _place(output: str | None, option: str) -> LocalFile | CloudObject:
    """Raises: UsageError."""
    preview.check_media("a film")
    if not output or output == "-" or output.endswith(("/", os.sep)) or os.path.isdir(output):
        raise UsageError(f"a film needs {option} with the name of a file", hint=f"{option} film.mp4")
    return Naming.parse(output, 1).destination({})


async def _holds_film(place: LocalFile | CloudObject) -> bool:
    """Raises: FileError where a store refuses."""
    from airvid.media.join import is_film

    if isinstance(place, LocalFile):
        return is_film(place.file)
    with tempfile.TemporaryDirectory(prefix="airvid-") as folder:
        file = Path(folder, "film.mp4")
        if await place.size() is not None:
            await place.fetch(file)
        return is_film(file)


async def write(session: Session, clips: Sequence[str], film: Film) -> None:
    """Join clips (files, addresses and tasks) to a film, which takes its name once it is whole. Raises: AirvidError."""
    from airvid.media.join import Joining

    place, force = film
    path = place.local_path(f"film {place}")
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(preview.located(session, clip)) for clip in clips]
        if any(clip.url == str(place) or _is_same(clip.path, path) for clip in found):
            raise FileError(f"{place} is one of the clips", hint="-o FILE, another one")
        await place.check_writable()
        with session.progress(1) as progress:
            row = progress.row("film")
            row.part("reading", 0)
            joining = Joining([partial(preview.opened, clip.path) for clip in found])
            # A film that waits for its upload may be replaced without --force.
            await _write(session, joining, path, row, force=force or isinstance(place, CloudObject))
            count = path.stat().st_size
            try:
                await finish.send(place, path, row, force=force)
            except FileError as error:
                again = error.hint or session.same_command()
                raise FileError(f"{error.message}; the film is whole in {path}", hint=again) from None
            place.forget(path)
            about = f"{counted(len(clips), 'clip')}, {joining.end:.1f} s, {size(count)}"
            row.end(f"saved {place} ({about}) after {length(row.passed)}")
    facts = {"seconds": round(joining.end, 3), "clips": len(clips), "reencoded": bool(joining.differences)}
    session.out.saved(str(place), {"path": str(place), **facts, "bytes": count})


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


async def _write(session: Session, joining: Joining, path: Path, row: Row, *, force: bool) -> None:
    """Write the film beside its place, and give it its name. Raises: FileError."""
    with files.file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent.resolve() / f".airvid-{os.urandom(8).hex()}.part"
        files.open_regular(part).close()
    try:
        shown_at, told = clock.elapsed(), list[str]()
        for done in joining.write(part):
            for why in joining.differences:
                if why not in told:
                    session.out.note(f"{why}: it is encoded anew")
                    told.append(why)
            if clock.elapsed() - shown_at >= _PAUSE:
                row.part("joining", done / joining.seconds if joining.seconds else 0)
                await clock.sleep(0)
                shown_at = clock.elapsed()
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    with files.file_errors(path), files.open_existing(part) as file:
        part_file.publish(file, part, Path(os.path.realpath(path)), force=force)
