"""Every command in each of its renderings, side by side: on a terminal, in a pipe, as JSON, quiet.

`pytest --update-golden` writes tests/cli/golden/ anew; what changed there is what users will see change.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from in_process_terminal import run_on_terminal
from manifests import write
from program import World
from virtual_clock import VirtualClock

from airvid.sandbox.emulator import Fault, Response

GOLDEN = Path(__file__).parent / "golden"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
REQUEST = re.compile(r"req_[0-9a-f]{32}")
SIGNATURE = re.compile(r"signature=[0-9a-f]+")
BATCH = ("batch", "clips.jsonl", "-o", "clips/{row}.mp4")
FOX = ("create", "fox in snow", "-m", "wan-2.6", "-d", "8")
NOBODY = "00000000-0000-4000-8000-00000000dead"
Setup = Callable[[World], None]


def nothing(_: World) -> None: ...


def fox(world: World) -> None:
    """One clip, made and saved."""
    assert world.airvid(*FOX, "-a", "9:16", "-o", "fox.mp4").code == 0
    world.clock.advance(185)


def shelf(world: World) -> None:
    """Clips of all kinds: one saved, one not, one failed, one running."""
    fox(world)
    world.airvid("create", "雪の中のキツネ、遠くに冬の山々", "-m", "dune-lite")
    world.emulator.outcome = lambda _: "failed"
    world.airvid("create", "a wolf", "-m", "kling-3.0")
    world.clock.advance(4000)
    world.emulator.outcome = lambda _: "completed"
    world.airvid("create", "שועל בשלג", "-m", "wan-2.6")
    world.clock.advance(30)


def known_pace(world: World) -> None:
    """A model whose clips have been made before."""
    for _ in range(3):
        assert world.airvid(*FOX, "--wait").code == 0


def staggered(world: World, *outcomes: str) -> None:
    """Clips that end one after the other."""
    left = iter(outcomes)

    def outcome(_: object) -> str:
        world.emulator.pace = replace(world.emulator.pace, processing=world.emulator.pace.processing + 7)
        return next(left, "completed")

    world.emulator.outcome = outcome


def pair(world: World) -> None:
    """Two clips that run, one of them to fail."""
    staggered(world, "completed", "failed")
    world.airvid(*FOX)
    world.airvid("create", "a wolf", "-m", "dune-lite")


def one(world: World) -> None:
    assert world.airvid(*FOX).code == 0


def failing(world: World) -> None:
    world.emulator.outcome = lambda _: "failed"


def down(world: World) -> None:
    world.emulator.faults.append(Fault("GET", Response(503, {}, b"<html>busy</html>"), before=True, times=999))


def without_key(world: World) -> None:
    world.env.delenv("AIRVID_API_KEY")


def configured(world: World) -> None:
    world.airvid("config", "set", "model", "wan-2.6")
    world.airvid("config", "set", "budget.day", "20")


def manifest(world: World) -> None:
    staggered(world)
    rows: list[dict[str, Any]] = [
        {"id": "fox", "prompt": "fox in snow", "model": "wan-2.6", "duration": 8},
        {"id": "wolf", "prompt": "a wolf", "duration": 4},
        {"prompt": "雪の中のキツネ、遠くに冬の山々"},
    ]
    write(world.folder, *rows, name="clips.jsonl")


def manifest_again(world: World) -> None:
    manifest(world)
    world.emulator.outcome = lambda record: "failed" if record["prompt"] == "a wolf" else "completed"
    world.airvid(*BATCH, "-y")


def bad_manifest(world: World) -> None:
    write(
        world.folder,
        {"promt": "fox"},
        {"prompt": "fox", "duration": 99},
        {"prompt": "fox", "image": "none.png"},
        name="clips.jsonl",
    )


@dataclass(frozen=True)
class Scene:
    """A call, what was there before it, and what a moment of interest looks like on a terminal."""

    words: tuple[str, ...]
    setup: Setup = nothing
    moment: str | None = None
    stdin: str = field(default="", repr=False)
    has_terminal: bool = True


SCENES: dict[str, list[Scene]] = {
    "models": [
        Scene(("models",)),
        Scene(("models", "--duration", "8", "--mode", "reference")),
        Scene(("models", "wan-2.6", "-d", "8")),
        Scene(("models", "wan-9")),
        Scene(("models", "--quality", "8k", "--max-price", "0.01")),
    ],
    "create": [
        Scene(FOX),
        Scene((*FOX, "--wait"), moment="[3-6][0-9]%"),
        Scene((*FOX, "-o", "fox.mp4"), known_pace, moment="[3-6][0-9]%.*left"),
        Scene((*FOX, "-n", "3", "-o", "takes/"), staggered, moment="[3-6][0-9]%"),
        Scene((*FOX, "--dry-run")),
        Scene((*FOX, "-a", "4:3", "--quality", "8k", "-o", "no/such/\0")),
        Scene((*FOX, "-o", "fox.mp4"), failing),
        Scene((*FOX, "-o", "fox.mp4"), fox),
        Scene((*FOX, "--wait", "--timeout", "20")),
        Scene((*FOX, "--max-cost", "0.1")),
    ],
    "status": [
        Scene(("status", "last"), fox),
        Scene(("status", "last"), shelf),
        Scene(("status", "-", "--exit-status"), pair, stdin="ids"),
        Scene(("status", NOBODY), fox),
    ],
    "watch": [
        Scene(("watch",)),
        Scene(("watch",), pair, moment="[3-6][0-9]%"),
        Scene(("watch", "last", "-o", "fox.mp4"), one, moment="[3-6][0-9]%"),
    ],
    "list": [
        Scene(("list",)),
        Scene(("list",), shelf),
        Scene(("list", "--local", "-L", "2"), shelf),
        Scene(("list", "--ids"), shelf),
        Scene(("list", "--status", "nonsense")),
        Scene(("list",), down),
    ],
    "delete": [Scene(("delete", "-y", "last"), fox), Scene(("delete", "--all", "-y")), Scene(("delete",))],
    "download": [
        Scene(("download", "--all", "-o", "clips/"), shelf),
        Scene(("download", "last", "-o", "fox.mp4"), fox),
        Scene(("download", "last"), pair),
    ],
    "batch": [
        Scene((*BATCH, "--dry-run"), manifest),
        Scene((*BATCH, "-y"), manifest, moment="3 running.*spent"),
        Scene((*BATCH, "-y"), manifest_again),
        Scene((*BATCH, "-y", "--only", "7"), bad_manifest),
    ],
    "auth": [
        Scene(("auth", "status")),
        Scene(("auth", "status"), without_key),
        # Typing it unseen needs a real terminal: test_terminal.py.
        Scene(("auth", "login"), without_key, stdin="sk-air-0123456789abcdef", has_terminal=False),
        Scene(("auth", "logout")),
    ],
    "config": [
        Scene(("config", "list"), configured),
        Scene(("config", "get", "model"), configured),
        Scene(("config", "get", "seed"), configured),
        Scene(("config", "set", "duration", "8")),
        Scene(("config", "set", "duration", "long")),
        Scene(("config", "unset", "model"), configured),
        Scene(("config", "path")),
    ],
    "usage": [Scene(("create", FOX[1], "--bogus")), Scene(("bogus",)), Scene(("status",))],
}


class Names:
    """Ids in the order of their appearance, and nothing of the machine."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def told(self, text: str) -> str:
        for found in UUID.findall(text):
            if found != NOBODY:
                self._ids.setdefault(found, f"{len(self._ids) + 1:x}0000000-0000-4000-8000-000000000000")
        for real, name in self._ids.items():
            text = text.replace(real, name).replace(real[:8], name[:8])
        text = SIGNATURE.sub(lambda found: "signature=" + "5" * (len(found[0]) - 10), text)
        return REQUEST.sub("req_1", text)


def anew(world: World) -> None:
    """The same machine on the same day, before anything was done with it."""
    world.start_anew()
    world.clock = VirtualClock()
    world.env.setenv("AIRVID_API_KEY", "sk-air-test-0123456789abcdef")
    shutil.rmtree(world.folder.parent)
    world.folder.mkdir(parents=True)
    world.env.chdir(world.folder)


@pytest.fixture
def home(world: World) -> Iterator[Path]:
    """A home whose path is always as long, in one time zone: what is drawn depends on both."""
    in_memory = os.environ.get("PYTEST_DEBUG_TEMPROOT") == "/dev/shm"
    parent, prefix = ("/dev/shm", "air") if in_memory else ("/tmp", "airvid-")
    with tempfile.TemporaryDirectory(dir=parent, prefix=prefix) as folder, world.env.context() as env:
        home = Path(folder)
        world.folder = home / "here"
        for kind in ("CONFIG", "DATA", "CACHE"):
            env.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
        env.setenv("TZ", "UTC")
        time.tzset()
        yield home
        env.chdir("/")
    time.tzset()


def rendered(world: World, scene: Scene) -> Iterator[str]:
    """The scene in each rendering, played from the same beginning."""
    for rendering, more in (("terminal", ()), ("pipe", ()), ("json", ("--json",)), ("quiet", ("-q",))):
        if rendering == "terminal" and not scene.has_terminal:
            continue
        anew(world)
        scene.setup(world)
        stdin = scene.stdin
        if stdin == "ids":
            stdin = "\n".join(world.airvid("list", "--ids").lines)
        names = Names()
        if ids := world.airvid("list", "--ids", "--local").lines:
            names.told("\n".join(reversed(ids)))
        random.seed(7)  # the pauses between attempts
        yield f"$ airvid {shlex.join([*scene.words, *more])}   # {rendering}"
        if rendering == "terminal":
            played = run_on_terminal(world, *scene.words, typed=stdin)
            names.told("\n".join(reversed(world.airvid("list", "--ids", "--local").lines)))
            if scene.moment:
                yield from (names.told(played.at(scene.moment)), "… and in the end")
            yield names.told(played.screen)
            yield f"[exit {played.code}]\n"
            continue
        result = world.airvid(*scene.words, *more, stdin=stdin.encode())
        names.told("\n".join(reversed(world.airvid("list", "--ids", "--local").lines)))
        yield from (f"1> {line}" for line in names.told(result.out).splitlines())
        yield from (f"2> {line}" for line in names.told(result.err).splitlines())
        yield f"[exit {result.code}]\n"


@pytest.mark.parametrize("command", SCENES)
def test_each_command_in_each_rendering(
    world: World, home: Path, command: str, golden: Callable[[Path, str], None]
) -> None:
    parts = [line for scene in SCENES[command] for line in (*rendered(world, scene), "=" * 80)]
    told = "\n".join(parts).replace(str(home), "/home/user".ljust(len(str(home)), "_"))
    golden(GOLDEN / f"{command}.txt", told + "\n")
