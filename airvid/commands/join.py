"""airvid join: several clips, one after the other, as one film."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from airvid import clock, files
from airvid.clips import naming, part_file
from airvid.commands import common, preview
from airvid.errors import FileError, UsageError
from airvid.session import Session
from airvid.ui.text import length, size

# Seconds of work between two moments at which it can be interrupted.
_PAUSE = 0.05


async def run(session: Session, *, clips: Sequence[str], output: str | None, force: bool) -> None:
    preview.check_media("a film")
    if not output or output == "-" or output.endswith(("/", os.sep)):
        raise UsageError("a film needs a file to go to", hint="airvid join first.mp4 second.mp4 -o film.mp4")
    path = Path(output).expanduser()
    if path.suffix.lower() not in ("", ".mp4", ".m4v"):
        raise UsageError(f"a film is an MP4, and {path.name} would be none", hint=f"-o {path.with_suffix('.mp4')}")
    naming.check(path, force=force)
    async with AsyncExitStack() as stack:
        named = [each for clip in clips for each in ([clip] if clip != "-" else common.given([clip]))]
        found = [await stack.enter_async_context(preview.located(session, clip)) for clip in named]
        await film(session, [clip.path for clip in found], path, force=force)


async def film(session: Session, clips: Sequence[Path], path: Path, *, force: bool) -> None:
    """Join clips to a film at `path`, which takes its name once it is whole. Raises: FileError."""
    from airvid.media.join import Joining

    if any(path.exists() and file.exists() and file.samefile(path) for file in clips):
        raise FileError(f"{path} is one of the clips", hint="-o FILE, another one")
    with session.progress(1) as progress:
        row = progress.row(path.name)
        row.part("reading", 0)
        joining = Joining([partial(preview.opened, file) for file in clips])
        for why in joining.differences:
            session.out.note(f"{why}: it is encoded anew")
        with part_file.file_errors(path):
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
        with part_file.file_errors(path), files.open_existing(part) as file:
            part_file.publish(file, part, Path(os.path.realpath(path)), force=force)
        count = path.stat().st_size
        row.end(f"joined {len(clips)} clips ({joining.end:.1f} s, {size(count)}) after {length(row.passed)}")
    record = {
        "path": str(path),
        "seconds": round(float(joining.end), 3),
        "clips": len(clips),
        "reencoded": bool(joining.differences),
        "bytes": count,
    }
    session.out.saved(str(path), record)
