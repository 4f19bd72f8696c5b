"""The journal's file: foreign text, queries, and what happens where it cannot be written."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from journal_fixture import JournalFixture, task
from program import API, World
from virtual_clock import NOON

from airvid.sandbox.emulator import Request, Response

# ---------------------------------------------------------------------- foreign text


@pytest.mark.parametrize("where", ["prompt", "model", "target", "error", "status"])
def test_text_that_is_no_unicode_breaks_nothing(
    journals: JournalFixture, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = "fox \udcff"
    request = {"model": bad if where == "model" else "wan", "prompt": bad if where == "prompt" else "a fox"}
    (entry,) = journals.intend(request=request, targets=[bad if where == "target" else None])
    journals.journal.mark_sent(entry, NOON, [bad])
    journals.journal.mark_unknown(entry, bad if where == "error" else "", [bad])
    found = task(**({where: bad} if where in ("status", "error") else {}))
    journals.journal.mark_known(entry, found)
    journals.journal.note_task(API, found)
    assert journals.journal.running(API)[0].id == entry.id
    assert caplog.records == []


def test_a_file_whose_name_is_no_unicode_is_noted(journals: JournalFixture) -> None:
    journals.known("t-1")
    journals.journal.note_saved(API, "t-1", "/clips/fox-\udcff.mp4", 7)
    assert journals.journal.by_task(API, ["t-1"])["t-1"].bytes == 7


@pytest.mark.parametrize("prompt", ["", "a\0b", "雪 🦊", "'; DROP TABLE clip; --", "%_[a]", "x" * 100_000])
def test_a_prompt_comes_back_as_it_was(journals: JournalFixture, prompt: str) -> None:
    journals.intend(prompt)
    assert [each.prompt for each in journals.journal.entries(search=prompt[:50], limit=9, offset=0)] == [prompt]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["t-3", "t-2", "t-1"]),
        ({"states": ["failed", "queued"]}, ["t-3", "t-2"]),
        ({"search": "FOX"}, ["t-2", "t-1"]),
        ({"search": "füchs"}, ["t-3"]),
        ({"search": "FÜCHS"}, ["t-3"]),
        ({"search": "%"}, []),
        ({"since": NOON + 15}, ["t-3"]),
        ({"model": "veo"}, []),
        ({"limit": 1, "offset": 1}, ["t-2"]),
    ],
)
def test_entries_come_newest_first_and_filtered(
    journals: JournalFixture, wanted: dict[str, Any], expected: list[str]
) -> None:
    for n, (prompt, status) in enumerate([("a fox", "completed"), ("Fox 2", "failed"), ("Füchse", "queued")], 1):
        journals.known(f"t-{n}", status, prompt=prompt)
        journals.clock.advance(10)
    found = journals.journal.entries(**{"limit": 9, "offset": 0, **wanted})
    assert [each.task_id for each in found] == expected


def test_last_is_the_newest_that_was_not_refused(journals: JournalFixture) -> None:
    journals.known("t-1")
    journals.clock.advance(10)
    journals.known("t-2")
    journals.clock.advance(10)
    journals.become(journals.intend()[0], "refused")
    journals.intend()
    last = journals.journal.last(API)
    assert last
    assert last.task_id == "t-2"
    assert journals.journal.last("elsewhere") is None


def test_running_is_what_had_not_ended_when_last_heard_of(journals: JournalFixture) -> None:
    for status in ("queued", "completed", "upscaling", "failed", "expired", "processing"):
        journals.known(status, status)
    assert [each.task_id for each in journals.journal.running(API)] == ["queued", "upscaling", "processing"]


@pytest.mark.parametrize(("prefix", "found"), [("t-1", ["t-1", "t-12"]), ("t-12", ["t-12"]), ("%", []), ("_-1", [])])
def test_a_prefix_is_taken_to_the_letter(journals: JournalFixture, prefix: str, found: list[str]) -> None:
    for task_id in ("t-1", "t-12", "u-1"):
        journals.known(task_id)
    assert journals.journal.with_prefix(API, prefix) == found


def test_a_clip_that_this_machine_did_not_ask_for_is_noted_once_it_is_saved(journals: JournalFixture) -> None:
    for size in (5, 7):
        journals.journal.note_saved(API, "theirs", "/clips/a.mp4", size)
    (entry,) = journals.journal.entries(limit=9, offset=0)
    assert (entry.task_id, entry.file, entry.bytes, entry.saved_at) == ("theirs", "/clips/a.mp4", 7, NOON)


def test_asking_a_journal_that_is_not_there_does_not_make_one(journals: JournalFixture) -> None:
    assert journals.journal.entries(limit=9, offset=0) == []
    assert not journals.path.exists()


# ---------------------------------------------------------------------- the program and its journal


def spoil(tmp_path: Path, how: str) -> None:
    """Make the journal of the world's user unusable."""
    folder = tmp_path / "data" / "airvid"
    folder.parent.mkdir(exist_ok=True)
    if how == "a file for a folder":
        folder.write_text("in the way")
        return
    folder.mkdir(exist_ok=True)
    if how == "a folder for a file":
        (folder / "journal.db").mkdir()
    else:
        (folder / "journal.db").write_bytes(b"no database at all" * 100)


BROKEN = ["a file for a folder", "a folder for a file", "garbage"]


def test_a_broken_journal_is_set_aside_said_so_and_a_new_one_begun(world: World, tmp_path: Path) -> None:
    spoil(tmp_path, "garbage")
    result = world.airvid("create", "a fox")
    assert (result.code, len(world.posts)) == (0, 1)
    kept = list((tmp_path / "data" / "airvid").glob("journal.broken-*.db"))
    assert [each.read_bytes() for each in kept] == [b"no database at all" * 100]
    assert str(kept[0]) in result.err
    assert world.airvid("list", "--local", "--ids").out == result.out


def test_a_newer_airvid_s_journal_can_be_read_and_is_not_written(world: World, tmp_path: Path) -> None:
    task_id = world.airvid("create", "a fox").out
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "airvid" / "journal.db")) as database:
        database.execute("ALTER TABLE clip ADD COLUMN mood TEXT")
        database.execute("PRAGMA user_version = 99")
    assert world.airvid("list", "--local", "--ids").out == task_id
    refused = world.airvid("create", "another")
    assert (refused.code, len(world.posts)) == (11, 1)
    assert "newer airvid" in refused.err
    assert world.airvid("watch", "last").code == 0


@pytest.mark.parametrize("how", BROKEN[:2])
def test_without_a_journal_nothing_is_sent(world: World, tmp_path: Path, how: str) -> None:
    spoil(tmp_path, how)
    result = world.airvid("create", "a fox")
    assert (result.code, result.out, world.posts) == (11, "", [])
    assert "journal" in result.err


@pytest.mark.parametrize("how", BROKEN)
def test_without_a_journal_what_is_paid_can_be_had(world: World, tmp_path: Path, how: str) -> None:
    task_id = world.airvid("create", "a fox").out.strip()
    (tmp_path / "data").rename(tmp_path / "old")
    world.clock.advance(100)
    spoil(tmp_path, how)
    assert world.airvid("list", "--ids").out == f"{task_id}\n"
    assert world.airvid("download", task_id, "-o", "fox.mp4").code == 0
    assert (world.folder / "fox.mp4").exists()


def test_an_id_that_the_journal_cannot_take_is_told_all_the_same(world: World) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(request: Request) -> Response | None:
        if request.method == "POST":
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        return None

    world.answer = fill_the_disk
    try:
        result = world.airvid("create", "a fox")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    world.answer = lambda _: None
    assert result.code == 0
    assert result.out.strip() in result.err
    assert world.airvid("list", "--ids").out == result.out


def test_the_intent_is_on_disk_before_the_post_and_the_id_before_it_is_told(world: World) -> None:
    seen: list[str] = []

    def look(request: Request) -> Response | None:
        if request.method == "POST":
            world.answer = lambda _: None
            from airvid.journal.journal import Journal

            journal = Journal(world.folder.parent / "data" / "airvid" / "journal.db")
            seen.extend(each.state for each in journal.entries(limit=9, offset=0))
            journal.close()
        return None

    world.answer = look
    task_id = world.airvid("create", "a fox").out.strip()
    assert seen == ["sent"]
    assert [each["task_id"] for each in world.airvid("--json", "list", "--local").json] == [task_id]


def test_the_folder_is_for_its_owner_alone(world: World, tmp_path: Path) -> None:
    assert world.airvid("create", "a fox").code == 0
    assert stat.S_IMODE((tmp_path / "data" / "airvid").stat().st_mode) == 0o700


def test_a_clip_is_saved_under_a_name_that_is_no_unicode(world: World) -> None:
    """Any bytes but two make a file name on Linux, and old disks are full of Latin-1."""
    result = world.airvid("create", "a fox", "-o", "f\udcfcchsin.mp4")
    assert (result.code, len(world.posts)) == (0, 1)
    assert [each.name for each in world.folder.iterdir()] == ["f\udcfcchsin.mp4"]


def test_a_budget_in_the_settings_holds_for_the_program(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "0.30")
    assert world.airvid("create", "a fox", "-m", "wan-2.6", "-d", "8").code == 0  # 18 cents
    result = world.airvid("create", "a fox", "-m", "wan-2.6", "-d", "8")
    assert (result.code, len(world.posts)) == (7, 1)
    assert "on this machine" in result.err
    world.clock.advance(86_400)
    assert world.airvid("create", "a fox", "-m", "wan-2.6", "-d", "8").code == 0
