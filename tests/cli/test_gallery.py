"""airvid gallery: which clips it shows, what it says of them, and that nothing on its page can act."""

from __future__ import annotations

import html.parser
import json
import os
import shutil
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from manifests import write
from program import PACE, STORAGE, World

from airvid.sandbox.emulator import Emulator

av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from galleries import HOSTILE, NAME, REASON, make_folder  # noqa: E402 - needs PyAV
from pyav_clips import numbered  # noqa: E402


class Page(html.parser.HTMLParser):
    """What a browser finds on a page: its elements with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [given for name, given in self.elements if name == tag and wanted.items() <= given.items()]

    @property
    def links(self) -> list[str]:
        return [str(each["href"]) for each in self.all("a")]


def test_a_page_of_results(world: World) -> None:
    make_folder(Path("clips"))
    told = world.airvid("gallery", "clips", "--json").json
    path = Path("clips", "gallery.html")
    assert told == {"path": str(path), "clips": 7, "failed": 1, "bytes": path.stat().st_size}
    page = Page(path)
    assert [len(page.all(tag)) for tag in ("script", "style", "img", "a", "h1")] == [1, 1, 6, 7, 1]
    assert not [name for _, given in page.elements for name in given if name.startswith("on") or name == "style"]
    assert {HOSTILE, REASON, NAME} <= set(page.texts)
    files = {os.fsdecode(unquote_to_bytes(each)) for each in page.links}
    assert files == {each.name for each in path.parent.glob("*.mp4")}
    assert not [each for each in page.links if ":" in each or each.startswith(("/", "?", "#"))]
    [policy] = [each["content"] or "" for each in page.all("meta", **{"http-equiv": "Content-Security-Policy"})]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert world.calls == []


def test_the_clips_of_the_journal(world: World, tmp_path: Path) -> None:
    content = numbered(tmp_path / "clip.mp4").read_bytes()
    world.emulator.close()
    world.emulator = Emulator(storage=STORAGE, pace=PACE, render=lambda _: content)
    for seed in ("2", "10"):
        words = ["create", "a fox", "-m", "wan-2.6", "--seed", seed, "-o", "clips/{model}/{seed}.mp4"]
        assert world.airvid(*words).code == 0
    world.emulator.outcome = lambda _: "failed"
    assert world.airvid("create", "a fox", "-m", "wan-2.6", "-o", "clips/bad.mp4").code == 5
    assert world.airvid("create", "elsewhere", "-m", "wan-2.6", "-o", "other/bad.mp4").code == 5
    assert world.airvid("gallery", "clips").lines == ["clips/gallery.html"]
    page = Page(Path("clips/gallery.html"))
    assert page.links == ["wan-2.6/2.mp4", "wan-2.6/10.mp4"]
    assert [each["data-state"] for each in page.all("li")].count("failed") == 1
    assert "elsewhere" not in page.texts
    assert page.texts.count("a fox") == 4  # the heading, and each tile
    assert {"seed 2", "seed 10", "2 s", "wan-2.6"} <= set(page.texts)


def test_what_is_found_twice_is_shown_once(world: World, tmp_path: Path) -> None:
    """A batch's clips are in the folder, in the results and in the journal."""
    content = numbered(tmp_path / "clip.mp4").read_bytes()
    world.emulator.close()
    world.emulator = Emulator(storage=STORAGE, pace=PACE, render=lambda _: content)
    world.emulator.outcome = lambda _: "failed" if world.posts[-1]["prompt"] == "a fox" else "completed"
    write(world.folder, {"prompt": "a fox"}, {"prompt": "a bear"})
    assert world.airvid("batch", "m.jsonl", "-m", "wan-2.6", "-o", "clips/{row}.mp4", "-j", "1").code == 1
    for folders in (["clips"], ["clips/results.jsonl"], ["./clips", "clips/../clips", "clips/results.jsonl"]):
        told = world.airvid("gallery", *folders, "--json").json
        assert (told["clips"], told["failed"]) == (1, 1)


def test_folders_of_two_places_and_a_file_of_results(world: World) -> None:
    make_folder(Path("one"))
    Path("two").mkdir()
    numbered(Path("two/fox.mp4"))
    shutil.move("one/results.jsonl", "one/more.jsonl")
    assert world.airvid("gallery", "two", "one/more.jsonl", "-o", "pages/best.html").code == 0
    links = Page(Path("pages/best.html")).links
    assert len(links) == 7
    assert all((Path("pages") / os.fsdecode(unquote_to_bytes(each))).is_file() for each in links)


def test_it_replaces_its_own_page_and_no_other(world: World) -> None:
    numbered(Path("fox.mp4"))
    Path("gallery.html").write_text("<p>mine</p>")
    refused = world.airvid("gallery")
    assert (refused.code, refused.out, Path("gallery.html").read_text()) == (11, "", "<p>mine</p>")
    assert "--force" in refused.err
    assert world.airvid("gallery", "--force").code == 0
    numbered(Path("second.mp4"))
    assert world.airvid("gallery").code == 0
    assert Page(Path("gallery.html")).links == ["fox.mp4", "second.mp4"]
    assert sorted(os.listdir()) == ["fox.mp4", "gallery.html", "second.mp4"]


@pytest.mark.parametrize(("output", "page"), [("-", ""), ("s3://clips/g.html", ""), ("new/", "new/gallery.html")])
def test_where_a_page_can_go(world: World, output: str, page: str) -> None:
    numbered(Path("fox.mp4"))
    result = world.airvid("gallery", "-o", output)
    assert (result.code, result.lines) == ((0, [page]) if page else (2, []))
    assert sorted(os.listdir()) == ["fox.mp4", *(["new"] if page else [])]


@pytest.mark.parametrize("arguments", [[], ["empty"], ["missing"], ["missing.jsonl"], ["empty", "-o", "no/such\0"]])
def test_without_clips_there_is_no_page(world: World, arguments: list[str]) -> None:
    Path("empty").mkdir()
    result = world.airvid("gallery", *arguments)
    assert (result.code, result.out) == (11, "")
    assert "bug" not in result.err
    assert os.listdir() == ["empty"]


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "null",
        '{"airvid": [], "error": 5, "model": {}}',
        '{"airvid": {"output": "fox.mp4", "request": [], "prompt": 5, "took": ""}, "cost_cents": 1e400}',
        '{"airvid": {"output": "../\\u0000", "status": "failed"}, "status": ["failed"]}',
        '{"airvid": {"output": "' + "x" * 5000 + '"}, "task_id": {}}',
        '{"airvid": {"status": "failed", "prompt": "\\ud800\\u202e"}, "error": {"message": {"a": 1}}}',
        "[" * 100_000,
        json.dumps({"airvid": {"output": "fox.mp4", "prompt": "x" * 1_000_000}}),
    ],
    ids=range(9),
)
def test_results_that_are_no_results(world: World, line: str) -> None:
    numbered(Path("fox.mp4"))
    Path("results.jsonl").write_text(line + "\n")
    result = world.airvid("gallery")
    assert (result.code, result.err.count("bug")) == (0, 0), result.err
    assert Page(Path("gallery.html")).links == ["fox.mp4"]
    assert Path("gallery.html").stat().st_size < 100_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_what_is_no_file_is_no_clip(world: World) -> None:
    numbered(Path("fox.mp4"))
    Path("dangling.mp4").symlink_to("nowhere")
    os.mkfifo("pipe.mp4")
    Path("folder.mp4").mkdir()
    assert world.airvid("gallery").code == 0
    assert Page(Path("gallery.html")).links == ["fox.mp4"]


def test_names_that_are_not_unicode(world: World) -> None:
    name = os.fsdecode(b"f\xffx.mp4")
    numbered(Path("fox.mp4")).rename(name)
    assert world.airvid("gallery").code == 0
    assert Page(Path("gallery.html")).links == ["f%FFx.mp4"]
