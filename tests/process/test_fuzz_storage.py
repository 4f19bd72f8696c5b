"""A random search over what the storage answers: under a clip's name there is that clip, whole, or nothing.

As in test_fuzz_create.py: `--fuzz-runs`, `--fuzz-seed`, `--fuzz-case`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from program import World
from random_search import Player, Search, files_in, no_names
from raw_server import RawServer, raw_server

RUNS, PARTS = 400, 8
SHARES = {"task": 0.1, "stream": 0.1, "list": 0.05}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    with raw_server("api", "storage", "stranger") as made, no_names(monkeypatch):
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_a_name_holds_its_clip_or_nothing_whatever_the_storage_sends(
    part: int, server: RawServer, world: World, request: pytest.FixtureRequest
) -> None:
    Search(request.config, server, world).run("storage", save, usual=RUNS, part=part, parts=PARTS, shares=SHARES)


def save(player: Player) -> None:
    """Save clips by one of the three commands, and once more where that failed: it goes on where it stopped."""
    rng = player.case.random("options")
    player.api.storage.share = rng.choice([0.4, 0.8])
    player.api.outcomes = ["completed"]
    kind = rng.choice(["create", "watch", "download", "download", "download"])
    count = rng.choice([1, 1, 2, 3])
    ids: list[str] = []
    if kind == "create":
        words = ["create", "fox in snow", "-m", "wan-2.6", "-d", "4", "--seed", "1", "-n", str(count)]
        words += ["-o", "{n}.mp4"]
    else:
        requests = [{"model": "wan-2.6", "prompt": f"fox {n}", "duration_seconds": 4} for n in range(count)]
        ids = [player.api.make(request, at=player.api.now() - 200, outcome="completed") for request in requests]
        words = [kind, *ids, "-o", "{id}.mp4"]
    words += rng.choice([[], [], ["--json"], ["--debug"]])
    for _ in range(2):
        code = player.run(*words).code
        owners = {f"{each}.mp4": [each] for each in ids}
        if kind == "create":
            made = [task_id for tasks in player.api.paid.values() for task_id in tasks]
            owners = {f"{n}.mp4": made for n in range(1, count + 1)}
        if check_files(player, owners, count, code) or code == 0 or kind == "create":
            break
        words = [each for each in words if f"{each}.mp4" not in files_in(player.folder)]


def check_files(player: Player, owners: dict[str, list[str]], count: int, code: int) -> bool:
    """Whether something is wrong with the files: each is its own clip, and exit 0 means that all are there."""
    files = files_in(player.folder)
    final = {name: content for name, content in files.items() if name.endswith(".mp4")}
    before = len(player.wrong)
    for name, content in final.items():
        if not any(player.api.storage.is_whole(task_id, content) for task_id in owners.get(name, ())):
            player.wrong.append(f"a file is not its clip, exit {code}: {name}")
    if (code == 0) != (len(final) == count):
        player.wrong.append(f"exit {code} with {len(final)} of {count} clips")
    # Videos of other kinds, and what is not whole, are kept under names of their own.
    kept = [name for name in files if name.endswith((".webm", ".gif", ".damaged"))]
    if code == 0 and len(files) - len(kept) != count:
        player.wrong.append(f"exit 0, and more is left over: {sorted(set(files) - set(final))}")
    return len(player.wrong) > before
