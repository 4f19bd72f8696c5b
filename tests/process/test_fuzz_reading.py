"""A random search over what the API answers to commands that read: no bug, no hang, no key sent elsewhere.

As in test_fuzz_create.py: `--fuzz-runs`, `--fuzz-seed`, `--fuzz-case`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from program import World
from random_search import Player, Search, no_names
from raw_server import RawServer, raw_server

RUNS, PARTS = 200, 4
SHARES = {"task": 0.6, "stream": 0.6, "list": 0.6, "models": 0.6, "delete": 0.6}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    with raw_server("api", "storage", "stranger") as made, no_names(monkeypatch):
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_reading_commands_end_in_order_whatever_is_answered(
    part: int, server: RawServer, world: World, request: pytest.FixtureRequest
) -> None:
    Search(request.config, server, world).run("reading", read, usual=RUNS, part=part, parts=PARTS, shares=SHARES)


def read(player: Player) -> None:
    """A few commands about some tasks, one after the other, against one server."""
    rng = player.case.random("commands")
    player.api.lists_are_true = False
    made = [{"model": "wan-2.6", "prompt": f"fox {n}", "duration_seconds": 4} for n in range(rng.choice([1, 2, 9]))]
    ids = [player.api.make(each, at=player.api.now() - rng.choice([0, 30, 90_000])) for each in made]
    commands = [
        ["status", *ids],
        ["status", ids[0][:6], "--exit-status"],
        ["watch", *ids],
        ["watch", *ids, "-o", "{id}.mp4", "--timeout", "10m"],
        ["watch", "last", "--timeout", "1h"],
        ["list"],
        ["list", "--status", "completed", "--since", "2h", "--ids"],
        ["models"],
        ["models", "wan-2.6"],
        ["delete", *ids, "-y"],
        ["delete", "--all", "-y"],
        ["download", "--all", "-o", "all/"],
        ["download", ids[0], "-o", "clip.mp4"],
        ["auth", "status"],
    ]
    for words in rng.sample(commands, 3):
        player.run(*words, *rng.choice([[], ["--json"], ["--debug"], ["-q"]]))
