"""The gallery in a browser: it plays, moves and filters; nothing on it runs, and no request leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from program_process import User, until

pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from chromium import PROGRAM, Browser, browser
from galleries import HOSTILE, MODELS, make_folder

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed"),
    pytest.mark.xdist_group("chromium"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery whose folder has moved."""
    home = tmp_path_factory.mktemp("gallery")
    user = User(home, "http://127.0.0.1:9")
    make_folder(user.here / "clips")
    assert user.airvid("gallery", "clips").returncode == 0
    (user.here / "clips").rename(home / "moved here")
    return home / "moved here" / "gallery.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def seen(chromium: Browser, page: Path) -> Browser:
    chromium.events.clear()
    chromium.open(page)
    return chromium


TILES = "[...document.querySelectorAll('.tile')].filter((tile) => tile.checkVisibility())"
PLAYS = "document.querySelector('video')?.currentTime > 0"


def costs(seen: Browser) -> object:
    return seen.value(f"{TILES}.map((tile) => tile.dataset.cost)")


def choose(seen: Browser, control: str, value: str) -> None:
    seen.value(f"{control}.value = {value!r}; {control}.dispatchEvent(new Event('input')); 0")


def test_nothing_foreign_runs_and_no_request_leaves(seen: Browser) -> None:
    seen.hover("section:last-of-type .frame, [data-cost='4'] .frame")
    assert seen.value("violations") == []
    assert seen.told("Page.javascriptDialogOpening") == []
    assert [each["entry"]["text"] for each in seen.told("Log.entryAdded") if each["entry"]["level"] == "error"] == []
    addresses = [each["request"]["url"] for each in seen.told("Network.requestWillBeSent")]
    assert addresses
    assert all(each.startswith(("file:", "data:")) for each in addresses)
    assert seen.value("document.scripts.length") == 1
    assert HOSTILE in seen.value("[...document.querySelectorAll('h2')].map((each) => each.textContent)")
    # What would be a violation is one.
    seen.value("document.body.innerHTML += '<img src=https://host.test/ onerror=alert(6)>'; 0")
    until(lambda: seen.value("violations.length") == 2, "two violations")
    assert seen.told("Page.javascriptDialogOpening") == []


@pytest.mark.parametrize("cost", ["1", "4"])
def test_hovering_plays_and_leaving_stops(seen: Browser, cost: str) -> None:
    """The second clip has a hostile name."""
    seen.hover(f"[data-cost='{cost}'] .frame")
    until(lambda: seen.value(PLAYS), "a video that plays")
    seen.hover("h1")
    assert seen.value("document.querySelectorAll('video').length") == 0


def test_with_reduced_motion_only_a_key_plays(seen: Browser) -> None:
    reduced = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    seen.send("Emulation.setEmulatedMedia", features=reduced)
    seen.hover("[data-cost='1'] .frame")
    assert seen.value("document.querySelectorAll('video').length") == 0
    seen.value("document.querySelector('[data-cost=\"1\"] .frame').focus()")
    seen.press(" ")
    until(lambda: seen.value(PLAYS), "a video that plays")
    seen.press(" ")
    assert seen.value("document.querySelectorAll('video').length") == 0
    seen.send("Emulation.setEmulatedMedia", features=[])


def test_keys_move_and_search(seen: Browser) -> None:
    places = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowLeft"):
        seen.press(key)
        places.append(seen.value(f"{TILES}.indexOf(document.activeElement.closest('.tile'))"))
    assert places[:2] == [0, 1]
    assert places[2] > 3  # in the next group
    assert places[3:] == [1, 0, 0]
    seen.press("/")
    assert seen.value("document.activeElement.id") == "search"
    for key in "fox":
        seen.press(key)
    assert seen.value(f"{TILES}.length") == 4
    assert seen.value("document.querySelector('output').value") == "4 of 8 clips"
    seen.press("Escape")
    assert seen.value("document.activeElement === document.body")


def test_filters_filter_and_an_order_orders(seen: Browser) -> None:
    choose(seen, "model", MODELS[2])
    assert sorted(costs(seen)) == ["2", "5"]  # type: ignore[call-overload]
    choose(seen, "model", "")
    choose(seen, "cost", "0.03")
    assert sorted(costs(seen)) == ["1", "2", "3"]  # type: ignore[call-overload]
    choose(seen, "cost", "")
    choose(seen, "state", "failed")
    assert costs(seen) == [""]
    choose(seen, "state", "")
    choose(seen, "sort", "cost")
    assert costs(seen) == ["1", "2", "3", "4", "5", "6", "", ""]
    choose(seen, "sort", "created")
    assert costs(seen)[1:7] == ["6", "5", "4", "3", "2", "1"]  # type: ignore[index]
    choose(seen, "sort", "")
    assert seen.value(f"{TILES}.length") == 8


def test_without_scripts_it_is_posters_and_links(seen: Browser, page: Path) -> None:
    seen.send("Emulation.setScriptExecutionDisabled", value=True)
    seen.open(page)
    assert seen.value("[...document.querySelectorAll('a.frame img')].every((each) => each.naturalWidth === 320)")
    assert seen.value("document.querySelectorAll('a.frame').length") == 7
    assert not seen.value("document.querySelector('form').checkVisibility()")
    seen.send("Emulation.setScriptExecutionDisabled", value=False)
