"""A storyboard: rows that go on from one another become one film, however often the batch is killed."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import forked_run
import manifests
import pytest
from forked_run import ForkedRun
from later_emulator import LaterEmulator
from program import KEY
from terminal import environment

from airvid.sandbox.emulator import Pace
from airvid.sandbox.server import Server

av = pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from pyav_clips import numbered  # noqa: E402 - needs PyAV

ROWS, KILLS = 6, 10


@pytest.mark.parametrize("empties_home", [False, True], ids=["home kept", "home emptied"])
def test_a_storyboard_that_is_killed_again_and_again_is_one_film(tmp_path: Path, empties_home: bool) -> None:
    content = numbered(tmp_path / "clip.mp4", frames=10).read_bytes()
    chance, folder = random.Random(f"story {empties_home} {os.environ.get('BATCH_SEED', '')}"), tmp_path / "here"
    rows = [{"id": f"s{n}", "prompt": f"shot {n}", **({"extend": f"s{n - 1}"} if n else {})} for n in range(ROWS)]
    manifests.write(folder, *rows)
    command = ["batch", "m.jsonl", "-m", "dune-lite", "-o", "clips/{row}.mp4", "--join", "film.mp4"]
    with Server(LaterEmulator(pace=Pace(0, 0.1), render=lambda _: content)) as server:
        env = environment(tmp_path, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)
        for _ in range(KILLS):
            run = ForkedRun(command, folder, env)
            run.join(chance.uniform(0.1, 1.0))
            run.end()
            if empties_home:
                shutil.rmtree(tmp_path / "data", ignore_errors=True)
        assert isinstance(server.emulator, LaterEmulator)
        server.emulator.later = 300  # a POST that never left is then surely none
        done = forked_run.run(command, folder, env)
        assert done.returncode == 0, done.stderr
        tasks = server.emulator._state._run("SELECT record FROM tasks")
        assert Counter(json.loads(each)["prompt"] for (each,) in tasks) == {f"shot {n}": 1 for n in range(ROWS)}
        bodies = [json.loads(each.body) for _, each in server.emulator.requests if each.method == "POST"]
        server.emulator.close()
    assert {body["mode"] for body in bodies if body["prompt"] != "shot 0"} == {"image"}
    with av.open(str(folder / "film.mp4")) as film:
        assert film.streams.video[0].frames == ROWS * 10
    assert sorted(each.name for each in folder.iterdir() if ".part" not in each.name) == [
        "clips",
        "film.mp4",
        "m.jsonl",
    ]
