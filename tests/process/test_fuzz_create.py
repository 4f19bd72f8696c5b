"""A random search over what the API answers to `create`: no clip is paid twice, none is lost, and it comes to an end.

It runs by a fixed seed, for less than a minute. Longer: `pytest tests/process/test_fuzz_create.py --fuzz-runs 20000`;
other runs: `--fuzz-seed WORD`; one of them, with its traffic: `--fuzz-case NUMBER`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from program import Result, World
from random_search import Player, Search, files_in, no_names
from raw_server import RawServer, raw_server

RUNS, PARTS = 1000, 8
SHARES = {"create": 0.8, "list": 0.45, "task": 0.4, "stream": 0.5, "models": 0.1}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    with raw_server("api", "storage", "stranger") as made, no_names(monkeypatch):
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_no_clip_is_paid_twice_or_lost_whatever_is_answered(
    part: int, server: RawServer, world: World, request: pytest.FixtureRequest
) -> None:
    Search(request.config, server, world).run("create", create, usual=RUNS, part=part, parts=PARTS, shares=SHARES)


def create(player: Player) -> None:
    """One create with random options; what its exit code, output and journal say of what was paid."""
    rng = player.case.random("options")
    count = rng.choice([1, 1, 1, 1, 2, 3])
    saves = rng.random() < 0.35
    words = ["create", "fox in snow", "-m", "wan-2.6", "--seed", "1", "-d", "4"]
    words += ["-n", str(count)] if count > 1 else []
    words += ["-o", "clip.mp4"] if saves else rng.choice([[], [], ["--wait"]])
    words += rng.choice([[], [], ["--json"], ["-q"], ["--debug"]])
    words += ["--timeout", rng.choice(["30", "10m"])] if "--wait" in words or (saves and rng.random() < 0.3) else []
    words += ["--no-validate"] if rng.random() < 0.1 else []
    player.api.storage.share = 0.25
    result = player.run(*words)
    check_paid(player, count, result)
    if saves:
        check_files(player, count, result.code)


def check_paid(player: Player, count: int, result: Result) -> None:
    """One task a clip at the most; each is told, or in the journal with its id, or as one whose fate is unknown."""
    paid = player.api.paid
    total = sum(map(len, paid.values()))
    if total > count or (len(paid) > 1 and total > len(paid)):
        player.wrong.append(f"{total} tasks were paid for {count} clips, exit {result.code}")
    untold = {each for ids in paid.values() for each in ids if each not in result.out} - player.api.lied
    if untold or result.code == 9:
        check_journal(player, untold, result.code)


def check_journal(player: Player, untold: set[str], code: int) -> None:
    player.api.shares = {}
    listed = player.run("list", "--local", "--json")
    try:
        entries: list[Any] = json.loads(listed.out)
    except ValueError:
        player.wrong.append(f"list --local says nothing, exit {listed.code}")
        return
    fates = [entry["airvid"]["fate"] for entry in entries]
    lost = untold - {entry["task_id"] for entry in entries}
    if len(lost) > fates.count("unknown"):
        player.wrong.append(f"a paid task is lost: exit {code}, fates {fates}")
    if lost and code not in (9, 1):
        player.wrong.append(f"the exit code does not say that a fate is unknown: {code}")


def check_files(player: Player, count: int, code: int) -> None:
    """Under a final name there is a whole clip of this run or nothing."""
    ours = [task_id for ids in player.api.paid.values() for task_id in ids]
    files = {name: content for name, content in files_in(player.folder).items() if name.endswith(".mp4")}
    for name, content in files.items():
        if not any(player.api.storage.is_whole(task_id, content) for task_id in ours) and not player.api.lied:
            player.wrong.append(f"{name} holds no clip of this run, exit {code}")
    if code == 0 and len(files) != count:
        player.wrong.append(f"exit 0 with {len(files)} of {count} clips")
