"""airvid gallery: one page that compares clips, and lists those that were not made."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from airvid import files
from airvid.api.models import EXPIRED, FAILED
from airvid.commands import common, finish, preview
from airvid.destinations.cloud import CloudObject, is_url
from airvid.destinations.local import check_file
from airvid.errors import FileError, UsageError
from airvid.media import gallery
from airvid.media.gallery import Tile
from airvid.session import Session
from airvid.ui.task_view import TaskView
from airvid.ui.text import counted

NAME, RESULTS = "gallery.html", "results.jsonl"
# The folder beside the page for clips that are fetched from a store.
STORED = "gallery-clips"
_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv")
_MOST = 100_000  # entries of the journal

Record = dict[str, Any]


async def run(session: Session, *, folders: Sequence[str], output: str | None, force: bool, opens: bool) -> None:
    preview.check_media("a gallery")
    named = folders or ["."]
    first = Path() if is_url(named[0]) else Path(named[0]).expanduser()
    first = first if first.is_dir() else first.parent
    path = _place(output) if output else first / NAME
    check_file(path, force=force or _is_ours(path))
    stored = path.with_name(STORED)
    sources = [await _results_of(each, stored) if is_url(each) else Path(each).expanduser() for each in named]
    found: dict[Path, Record] = {}
    failed: dict[str, Record] = {}
    for source in sources:
        for file, record in await _clips(session, source, stored):
            if file:
                file = Path(os.path.abspath(file))
                found[file] = found.get(file) or record
            else:
                failed.setdefault(str(record.get("task_id") or record), record)
    if not found and not failed:
        raise FileError(f"there are no clips in {', '.join(map(str, sources))}", hint="airvid gallery FOLDER")
    tiles = [_tile(record, None, {}) for record in failed.values()] + await _read(session, found, path.name)
    tiles.sort(key=lambda tile: (not tile.prompt, -(tile.created or 0), str(tile.path)))
    page = gallery.page(tiles, f"Clips in {first.resolve().name or first}", path.parent)
    _write(path, page)
    session.out.note(f"saved {path} ({counted(len(found), 'clip')})")
    record = {"path": str(path), "clips": len(found), "failed": len(failed), "bytes": path.stat().st_size}
    session.out.saved(str(path), record)
    if opens:
        finish.open_file(path)


def _place(output: str) -> Path:
    """Raises: UsageError."""
    if output == "-" or is_url(output):
        raise UsageError("a gallery is a file on this disk, as it links to clips there", hint=f"-o {NAME}")
    path = Path(output).expanduser()
    return path / NAME if path.is_dir() or output.endswith(("/", os.sep)) else path


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return gallery.MARK in file.read(gallery.START)
    except (OSError, ValueError):
        return False


def _write(path: Path, page: str) -> None:
    """Write the page, which takes its name once it is whole. Raises: FileError."""
    with files.file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".airvid-{os.urandom(8).hex()}.part")
        try:
            part.write_text(page, "utf-8", errors="replace")
            os.replace(part, os.path.realpath(path))
        finally:
            part.unlink(missing_ok=True)


# ---------------------------------------------------------------------- which clips


async def _results_of(url: str, stored: Path) -> Path:
    """What a batch has written into a store, fetched. Raises: UsageError, FileError."""
    kept = CloudObject(url if url.endswith(".jsonl") else f"{url.rstrip('/')}/{RESULTS}")
    path = stored / _file_name(kept)
    stored.mkdir(parents=True, exist_ok=True)
    await kept.fetch(path)
    return path


def _file_name(kept: CloudObject) -> str:
    """The file name of a fetched object; no other address gives the same."""
    return f"{hashlib.sha256(kept.url.encode()).hexdigest()[:8]}-{os.path.basename(kept.key)[-50:]}"


def _object(record: Record) -> CloudObject | None:
    """The address of a record's clip in a store; None where it is not in a store."""
    output = _known(record).get("output")
    try:
        return CloudObject(output) if isinstance(output, str) and is_url(output) else None
    except UsageError:
        return None  # others may have written the results


async def _fetch(records: Sequence[Record], stored: Path) -> None:
    """Fetch the clips that are in a store and not on this disk. Raises: FileError."""
    for record in records:
        if (kept := _object(record)) and (count := await kept.size()) is not None:
            path = stored / _file_name(kept)
            if not path.exists() or path.stat().st_size != count:
                stored.mkdir(parents=True, exist_ok=True)
                await kept.fetch(path)


async def _clips(session: Session, source: Path, stored: Path) -> list[tuple[Path | None, Record]]:
    """The clips of a folder, or of a file with results: each file with what is known of it; None: it was not made.

    Those in a store are brought to the folder `stored`. Raises: FileError.
    """
    found: list[tuple[Path | None, Record]] = []
    is_folder = source.is_dir()
    results = source / RESULTS if is_folder else source
    records = list(_results(results)) if results.exists() or not is_folder else []
    if is_folder:
        # What the results say comes first, in the order in which they were written.
        records += [TaskView(None, entry).record() for entry in _entries(session, source)]
    await _fetch(records, stored)
    known: dict[Path, Record] = {}
    for record in records:
        file = _file(record, results.parent, stored)
        if file:
            known[file.resolve()] = known.get(file.resolve()) or record
        elif _state(record) in (FAILED, EXPIRED):
            found.append((None, record))
    for path in _videos(source) if is_folder else known:
        found.append((path, known.get(path.resolve(), {})))
    return found


def _results(path: Path) -> Iterator[Record]:
    """Raises: FileError."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
    by_task: dict[object, Record] = {}
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue  # half a line, after a kill
        if isinstance(record, dict):
            task = record.get("task_id")
            by_task[task if isinstance(task, str) else number] = record  # the last line of a task counts
    yield from by_task.values()


def _entries(session: Session, folder: Path) -> Iterator[Any]:
    """The journal's entries of clips that were saved, or should have been saved, in this folder."""
    whole = folder.resolve()
    for entry in session.journal.entries(limit=_MOST, offset=0):
        place = entry.file or (entry.target or "").partition("{")[0]
        if place and Path(os.path.realpath(os.path.dirname(place))).is_relative_to(whole):
            yield entry


def _videos(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if name.lower().endswith(_SUFFIXES) and not name.startswith(".") and path.is_file():
                yield path


def _file(record: Record, folder: Path, stored: Path) -> Path | None:
    """A record's clip, where it was saved or, once the folder has moved, beside the results."""
    output = _known(record).get("output")
    if not isinstance(output, str) or not output or "\0" in output:
        return None
    kept = _object(record)
    places = [stored / _file_name(kept)] if kept else [folder / output, folder / os.path.basename(output)]
    return next((each for each in places if os.path.isfile(each)), None)


# ---------------------------------------------------------------------- what is on a tile


async def _read(session: Session, found: dict[Path, Record], label: str) -> list[Tile]:
    """The tiles of clips. A clip that cannot be decoded has no poster."""
    tiles: dict[Path, Tile] = {}
    with session.progress(1) as progress:
        row = progress.row(label)

        async def one(name: str) -> None:
            path = paths[name]
            poster, facts = await asyncio.to_thread(_poster, path)
            tiles[path] = _tile(found[path], path, facts, poster)
            row.part("reading clips", len(tiles) / len(found))

        paths = {str(n): path for n, path in enumerate(found)}
        for error in await common.side_by_side(paths, one, limit=os.cpu_count() or 1):
            if error:
                raise error
        row.drop()
    return list(tiles.values())


def _poster(path: Path) -> tuple[bytes | None, Record]:
    try:
        with preview.opened(path) as clip:
            facts = {"seconds": clip.seconds}
            try:
                return clip.poster(gallery.POSTER_WIDTH, gallery.POSTER_QUALITY), facts
            except FileError:
                return None, facts
    except FileError:
        return None, {}


def _tile(record: Record, path: Path | None, facts: Record, poster: bytes | None = None) -> Tile:
    known = _known(record)
    asked = known.get("request")
    asked = asked if isinstance(asked, dict) else {}
    error = record.get("error")
    error = error.get("message") if isinstance(error, dict) else error
    created = _number(record.get("created"))
    return Tile(
        _state(record),
        path,
        poster,
        prompt=_text(known.get("prompt") or record.get("prompt") or asked.get("prompt")),
        model=_text(record.get("model") or asked.get("model")),
        seed=_text(asked.get("seed", record.get("seed"))),
        seconds=facts.get("seconds") or _number(record.get("duration_seconds")),
        cents=_number(record.get("cost_cents")) if path else None,
        took=_number(known.get("took")),
        created=created if created is not None or path is None else path.stat().st_mtime,
        error=_text(error),
    )


def _known(record: Record) -> Record:
    found = record.get("airvid")
    return found if isinstance(found, dict) else {}


def _state(record: Record) -> str:
    return _text(_known(record).get("status") or record.get("status"))


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else None
