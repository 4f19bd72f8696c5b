"""A batch whose clips go to a store: it pays once, with and without its journal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from manifests import results, write
from object_stores import store
from program_process import User, posts
from small_files import render_tiny

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server


def test_a_batch_goes_on_from_what_the_store_has(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    emulator = Emulator(pace=Pace(0, 0.2), render=render_tiny)
    with store("s3", tmp_path_factory.mktemp("s3")) as kept, Server(emulator) as server:
        user = User(tmp_path, server.api_url, **kept.env)
        write(user.here, *({"id": f"r{n}", "prompt": f"fox number {n}", "model": "dune-lite"} for n in range(3)))
        for _ in range(3):
            done = user.airvid("batch", "m.jsonl", "-o", f"{kept.bucket}/batch/{{row}}.mp4")
            assert (done.returncode, posts(server)) == (0, 3), done.stderr
            shutil.rmtree(tmp_path / "data")
    assert [each["airvid"]["output"] for each in results(user.here)] == [
        f"{kept.bucket}/batch/r{n}.mp4" for n in range(3)
    ]
