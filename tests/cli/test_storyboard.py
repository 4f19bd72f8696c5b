"""A batch whose rows go on from one another: what they take over, and what becomes of the film."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from manifests import write
from program import PACE, STORAGE, World

from airvid.sandbox.emulator import Emulator

av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from pyav_clips import numbered  # noqa: E402 - needs PyAV

A: dict[str, Any] = {"id": "a", "prompt": "a fox", "model": "wan-2.6", "aspect_ratio": "9:16", "duration": 4}
B: dict[str, Any] = {"id": "b", "prompt": "it runs", "extend": "a"}
C: dict[str, Any] = {"id": "c", "prompt": "it sleeps", "extend": "b", "aspect_ratio": "1:1"}
BATCH = ("batch", "m.jsonl", "-o", "out/{row}.mp4")


@pytest.fixture
def studio(world: World, tmp_path: Path) -> World:
    """A world whose clips can be decoded."""
    content = numbered(tmp_path / "clip.mp4").read_bytes()
    world.emulator.close()
    world.emulator = Emulator(storage=STORAGE, pace=PACE, render=lambda _: content)
    return world


def test_a_row_goes_on_from_another_wherever_that_stands(studio: World) -> None:
    write(studio.folder, C, B, A)
    result = studio.airvid(*BATCH, "--json", "--join", "film.mp4")
    assert result.code == 0, result.err
    sent = {body["prompt"]: body for body in studio.posts}
    assert list(sent) == ["a fox", "it runs", "it sleeps"]
    assert {body["model"] for body in studio.posts} == {"wan-2.6"}
    assert [body["aspect_ratio"] for body in studio.posts] == ["9:16", "9:16", "1:1"]
    assert [body["mode"] for body in studio.posts] == ["text", "image", "image"]
    *records, film = result.objects
    ids = {each["airvid"]["row"]: each["task_id"] for each in records}
    extends = {each["airvid"]["row"]: each["airvid"]["extends"] for each in records}
    assert extends == {"a": None, "b": ids["a"], "c": ids["b"]}
    assert (film["path"], film["clips"], film["seconds"]) == ("film.mp4", 3, 6.0)
    again = studio.airvid(*BATCH, "--join", "film.mp4")
    assert (again.code, again.lines, len(studio.posts)) == (0, ["film.mp4"], 3)


def test_a_row_whose_beginning_failed_is_not_sent(studio: World) -> None:
    write(studio.folder, A, B, C, {"id": "d", "prompt": "another"})
    studio.emulator.outcome = lambda _: "failed" if studio.posts[-1]["prompt"] == "a fox" else "completed"
    result = studio.airvid(*BATCH, "-j", "1", "--join", "film.mp4")
    assert result.code in (1, 5)
    assert {body["prompt"] for body in studio.posts} == {"a fox", "another"}
    assert "1 running, 3 failed; $0.00 spent, $0.002 left" in result.err
    assert "row b: not sent, as there is no clip of row a to go on from" in result.err
    assert not Path("film.mp4").exists()
    studio.emulator.outcome = lambda _: "completed"
    assert studio.airvid(*BATCH, "--retry-failed", "--join", "film.mp4").code == 0
    assert len(studio.posts) == 5
    assert Path("film.mp4").exists()


def test_a_row_is_not_bought_again_where_its_beginning_could_not_be(studio: World) -> None:
    write(studio.folder, A, B)
    assert studio.airvid(*BATCH).code == 0
    studio.emulator.outcome = lambda _: "failed"
    result = studio.airvid(*BATCH, "--redo", "a", "--redo", "b")
    assert (result.code, len(studio.posts)) == (5, 3)
    assert "row b: not sent, as there is no clip of row a to go on from" in result.err


def test_a_row_that_keeps_the_clip_of_an_old_beginning_is_told_of(studio: World) -> None:
    write(studio.folder, A, B, C)
    assert studio.airvid(*BATCH).code == 0
    for redo, row, beginning in ((["a"], "b", "a"), (["a", "b"], "c", "b")):
        result = studio.airvid(*BATCH, *(word for each in redo for word in ("--redo", each)))
        told = [line for line in result.err.splitlines() if "keeps its clip" in line]
        assert told == [f"row {row} keeps its clip, which goes on from the old one of row {beginning}"]
    assert len(studio.posts) == 3 + 1 + 2


def test_a_row_is_not_sent_where_its_beginning_cannot_be_decoded(world: World) -> None:
    """Its state is not `unknown`: that is the word for a task that may have been made."""
    write(world.folder, A, B)
    result = world.airvid(*BATCH)
    assert (result.code, len(world.posts)) == (1, 1)
    assert result.lines[1] == "b\t\trefused\t"
    assert "row b: a.mp4 holds no video" in result.err
    assert world.airvid(*BATCH).lines == ["b\t\trefused\t"]


def test_only_one_row_goes_on_from_what_was_made_before(studio: World) -> None:
    write(studio.folder, A, B)
    assert studio.airvid(*BATCH, "--only", "b").code == 5
    assert studio.posts == []
    assert studio.airvid(*BATCH, "--only", "a").code == 0
    assert studio.airvid(*BATCH, "--only", "b").code == 0
    assert [body["prompt"] for body in studio.posts] == ["a fox", "it runs"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--join", "taken.mp4"], 11, "taken.mp4 exists, and is no film"),
        (["--join", "-"], 2, "--join film.mp4"),
        (["--join", "out/"], 2, "--join film.mp4"),
        (["--join", "out/a.mp4"], 2, "a clip or the results go there"),
        (["--join", "out/../out/B.mp4"], 2, "a clip or the results go there"),
        (["--join", "out/results.jsonl"], 2, "a clip or the results go there"),
        (["--join", "film.webm"], 2, "MP4"),
        (["--join", "film.mp4", "--only", "a"], 2, "--only"),
    ],
)
def test_what_join_refuses_before_anything_is_spent(studio: World, arguments: list[str], code: int, told: str) -> None:
    write(studio.folder, A, B)
    Path("taken.mp4").write_bytes(b"mine")
    result = studio.airvid(*BATCH, *arguments)
    assert (result.code, studio.posts, Path("taken.mp4").read_bytes()) == (code, [], b"mine")
    assert told in result.err
    assert "--force" not in result.err
