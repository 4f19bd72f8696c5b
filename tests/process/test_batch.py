"""A batch as a process: killed at random instants, in two shards at once, on a terminal, in a pipe."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import forked_run
import httpx
import manifests
import pytest
from forked_run import ForkedRun
from later_emulator import LaterEmulator
from manifests import results
from program import KEY
from program_process import User, until
from small_files import render_tiny
from terminal import Terminal, environment

from airvid.sandbox.emulator import Fault, Pace
from airvid.sandbox.server import Server

ROWS, KILLS = 30, 30


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(LaterEmulator(pace=Pace(0, 0.3), render=render_tiny)) as made:
        yield made
    made.emulator.close()


def write(folder: Path, count: int, **more: object) -> None:
    manifests.write(
        folder, *({"id": f"r{n}", "prompt": f"fox number {n}", "model": "dune-lite", **more} for n in range(count))
    )


def made(server: Server) -> Counter[str]:
    """How many tasks there are of each prompt."""
    rows = server.emulator._state._run("SELECT record FROM tasks")
    return Counter(json.loads(record)["prompt"] for (record,) in rows)


def check_whole(server: Server, folder: Path, count: int) -> None:
    """Each row has one task, its whole clip, and one line in the results."""
    assert made(server) == {f"fox number {n}": 1 for n in range(count)}
    records = results(folder)
    assert [each["airvid"]["row"] for each in records] == [f"r{n}" for n in range(count)]
    for record in records:
        clip = server.emulator._state.clip(record["task_id"])
        assert (folder / record["airvid"]["output"]).read_bytes() == clip
        assert repr(record["airvid"]["prompt"]).encode() in (clip or b"")


@pytest.mark.parametrize("empties_home", [False, True], ids=["home kept", "home emptied"])
def test_a_batch_that_is_killed_again_and_again_pays_for_each_row_once(
    server: Server, tmp_path: Path, empties_home: bool
) -> None:
    chance, folder = random.Random(f"batch {empties_home} {os.environ.get('BATCH_SEED', '')}"), tmp_path / "here"
    write(folder, ROWS)
    env = environment(tmp_path, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)
    command = ["batch", "m.jsonl", "-o", "clips/{row}.mp4"]
    for _ in range(KILLS):
        run = ForkedRun(command, folder, env)
        run.join(chance.uniform(0.05, 0.6))
        run.end()
        if empties_home:
            shutil.rmtree(tmp_path / "data", ignore_errors=True)
    assert isinstance(server.emulator, LaterEmulator)
    server.emulator.later = 300  # a POST that never left is then surely none
    done = forked_run.run(command, folder, env)
    assert done.returncode == 0, done.stderr
    check_whole(server, folder / "clips", ROWS)
    posts = sum(request.method == "POST" for _, request in server.emulator.requests)
    assert posts - ROWS <= KILLS  # what is refused because tasks of killed runs hold the slots
    assert not [each.name for each in (folder / "clips").iterdir() if ".part" in each.name]


def test_two_shards_at_once_share_the_slots_and_the_results(server: Server, tmp_path: Path) -> None:
    user = User(tmp_path, server.api_url)
    write(user.here, 12)
    shards = [["batch", "m.jsonl", "-o", "clips/{row}.mp4", "--shard", f"{n}/2"] for n in (1, 2)]
    with user.running(*shards[0]) as one, user.running(*shards[1]) as two:
        assert (one.wait(30), two.wait(30)) == (0, 0), [each.stderr and each.stderr.read() for each in (one, two)]
    assert made(server) == {f"fox number {n}": 1 for n in range(12)}
    assert {each["airvid"]["row"] for each in results(user.here / "clips")} == {f"r{n}" for n in range(12)}
    assert len(results(user.here / "clips")) == 12


def test_the_same_batch_twice_at_once_pays_once(server: Server, tmp_path: Path) -> None:
    """Also where the two have no journal in common."""
    server.emulator.pace = Pace(0, 1)
    users = [User(tmp_path, server.api_url), User(tmp_path, server.api_url, XDG_DATA_HOME=str(tmp_path / "other"))]
    for other in (users[0], users[1]):
        shutil.rmtree(users[0].here / "clips", ignore_errors=True)
        before = made(server)
        name = f"m{sum(before.values())}"
        rows = [{"prompt": f"{name} {n}", "model": "dune-lite"} for n in range(6)]
        (users[0].here / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
        command = ["batch", "m.jsonl", "-o", "clips/{row}.mp4"]
        with users[0].running(*command) as one, other.running(*command) as two:
            assert {one.wait(30), two.wait(30)} <= {0, 1, 11}
        assert made(server) - before == {f"{name} {n}": 1 for n in range(6)}


def test_ctrl_c_gives_one_hint_and_the_same_command_goes_on(server: Server, tmp_path: Path) -> None:
    server.emulator.pace = Pace(0, 3)
    user = User(tmp_path, server.api_url)
    write(user.here, 6)
    command = ["batch", "m.jsonl", "-o", "my clips/{row}.mp4"]
    with user.running(*command) as process:
        until(lambda: sum(made(server).values()) == 4, "four tasks")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr
        said = process.stderr.read()
    assert said.count("airvid batch m.jsonl -o 'my clips/{row}.mp4'") == 1
    assert "4 tasks go on; to pick them up: " in said
    server.emulator.pace = Pace(0, 0)
    assert user.airvid(*command).returncode == 0
    check_whole(server, user.here / "my clips", 6)


def test_ctrl_c_counts_the_tasks_that_go_on(server: Server, tmp_path: Path) -> None:
    server.emulator.pace = Pace(0, 30)
    server.emulator.faults.append(Fault("POST", delay=1.5, skip=1))
    user = User(tmp_path, server.api_url)
    write(user.here, 6)
    with user.running("batch", "m.jsonl", "-o", "{row}.mp4") as process:
        until(lambda: sum(made(server).values()) == 2, "the second task")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr
        assert "2 tasks go on; to pick them up: " in process.stderr.read()


def test_a_terminal_shows_the_plan_asks_and_shows_how_far_it_is(server: Server, tmp_path: Path) -> None:
    server.emulator.pace = Pace(0, 1.5)
    user = User(tmp_path, server.api_url)
    write(user.here, 6, duration=4)
    command = ["batch", "m.jsonl", "-o", "clips/{row}.mp4"]
    terminal = Terminal(command, cwd=user.here, env=user.env, columns=100)
    terminal.until(lambda each: "Make 6 clips for $0.024? [y/N]" in each.text)
    terminal.process.send("n\n")
    assert (terminal.end(), made(server)) == (1, {})
    terminal = Terminal(command, cwd=user.here, env=user.env, columns=100)
    terminal.until(lambda each: "[y/N]" in each.text)
    terminal.process.send("y\n")
    terminal.until(lambda each: "0 of 6 done, 4 running, 2 waiting; $0.00 spent, $0.024 left" in each.text)
    assert terminal.end() == 0
    assert "r5: saved clips/r5.mp4" in terminal.text
    check_whole(server, user.here / "clips", 6)


def test_a_narrow_terminal_shows_all_of_how_far_it_is(server: Server, tmp_path: Path) -> None:
    server.emulator.pace = Pace(0, 1)
    user = User(tmp_path, server.api_url)
    write(user.here, 6, duration=4)
    terminal = Terminal(["batch", "m.jsonl", "-y", "-o", "{row}.mp4"], cwd=user.here, env=user.env, columns=50)
    terminal.until(lambda each: "0 of 6 done, 4 running, 2 waiting\n$0.00 spent, $0.024 left" in each.text)
    assert terminal.end() == 0


def test_a_full_disk_for_the_results_sends_nothing(server: Server, tmp_path: Path) -> None:
    user = User(tmp_path, server.api_url)
    write(user.here, 3)
    (user.here / "results.jsonl").touch()
    user.customise(
        "import os\nwrite = os.fsync\n"
        "def fsync(fd):\n"
        "    if os.readlink(f'/proc/self/fd/{fd}').endswith('results.jsonl'): raise OSError(28, 'No space left')\n"
        "    return write(fd)\nos.fsync = fsync\n"
    )
    done = user.airvid("batch", "m.jsonl", "-o", "{row}.mp4")
    assert (done.returncode, made(server)) == (11, {}), done.stderr
    assert "results.jsonl cannot be used" in done.stderr
    assert "2 more clips were not submitted" in done.stderr


def test_a_full_disk_for_the_clips_buys_no_more_of_them(server: Server, tmp_path: Path) -> None:
    user = User(tmp_path, server.api_url)
    write(user.here, 9)
    user.customise("import shutil\nshutil.disk_usage = lambda _: shutil._ntuple_diskusage(100, 100, 0)\n")
    command = ("batch", "m.jsonl", "-o", "{row}.mp4", "-j", "1")
    done = user.airvid(*command)
    assert (done.returncode, sum(made(server).values()) < 6) == (11, True), done.stderr
    assert "more clips were not submitted" in done.stderr
    assert User(tmp_path, server.api_url).airvid(*command).returncode == 0
    check_whole(server, user.here, 9)


def test_a_kill_before_a_new_clip_replaces_one_of_the_same_size_loses_it_not(server: Server, tmp_path: Path) -> None:
    user = User(tmp_path, server.api_url)
    write(user.here, 1)
    command = ("batch", "m.jsonl", "-o", "clips/{row}.mp4")
    assert user.airvid(*command).returncode == 0
    replace = "import os, signal\nos.replace = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
    code = forked_run.run((*command, "--redo", "r0"), user.here, user.env, prelude=replace).returncode
    assert (code, made(server)) == (-9, {"fox number 0": 2})
    done = user.airvid(*command, "--redo", "r0")
    assert (done.returncode, made(server)) == (0, {"fox number 0": 2}), done.stderr
    (record,) = results(user.here / "clips")
    clip = server.emulator._state.clip(record["task_id"])
    assert (user.here / "clips" / "r0.mp4").read_bytes() == clip


def test_a_lost_reply_is_found_in_the_list(server: Server, tmp_path: Path) -> None:
    server.emulator.faults.append(Fault("POST", ending="reset"))
    user = User(tmp_path, server.api_url)
    write(user.here, 3)
    assert user.airvid("batch", "m.jsonl", "-o", "clips/{row}.mp4").returncode == 0
    check_whole(server, user.here / "clips", 3)
    assert httpx.get(f"{server.api_url}/models").status_code == 200
