"""A batch on the virtual clock: which clips are made, skipped, picked up and bought again, by both kinds of records."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from email.utils import formatdate
from typing import IO, Any

import pytest
from in_process_terminal import run_on_terminal
from manifests import results, write
from program import World, json_answer
from small_files import PNG, png

from airvid.sandbox.emulator import Fault, Request, Response

Row = dict[str, Any]
FOX: Row = {"id": "fox", "prompt": "a fox", "duration": 4}
WOLF: Row = {"prompt": "a wolf", "duration": 4}
KITE: Row = {"prompt": "a kite", "model": "wan-2.6", "duration": 8}
BATCH = ("batch", "m.jsonl", "-o", "out/{row}.mp4")


def prompts(world: World) -> Counter[str]:
    return Counter(body["prompt"] for body in world.posts)


def empty_home(world: World) -> None:
    shutil.rmtree(world.folder.parent / "data", ignore_errors=True)


def files(world: World) -> list[str]:
    return sorted(each.name for each in (world.folder / "out").glob("*.mp4"))


def test_it_makes_each_clip_and_tells_of_each_as_it_ends(world: World) -> None:
    write(world.folder, FOX, WOLF, KITE)
    result = world.airvid(*BATCH)
    assert (result.code, prompts(world)) == (0, {"a fox": 1, "a wolf": 1, "a kite": 1})
    lines = [line.split("\t") for line in result.lines]
    assert ["fox", "completed", "out/fox.mp4"] in [[row, state, file] for row, _, state, file in lines]
    assert "3 rows: 3 clips, 16 s, $0.188" in result.err
    assert "  dune-lite: 2 clips, 8 s, $0.008" in result.err
    records = results(world.folder / "out")
    assert [each["airvid"]["output"] for each in records] == [f"{each['airvid']['row']}.mp4" for each in records]
    assert [each["status"] for each in records] == ["completed"] * 3
    again = world.airvid(*BATCH)
    assert (again.code, again.out, len(world.posts)) == (0, "", 3)
    assert "2 rows: 2 clips of dune-lite, 8 s, $0.008\n" in world.airvid(*BATCH, "--only", "1", "--only", "2").err
    assert "3 done, nothing left to pay" in again.err


def test_what_an_earlier_run_paid_for_is_neither_spent_nor_left(world: World) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    shutil.rmtree(world.folder / "out")
    write(world.folder, FOX, WOLF, KITE)
    result = world.airvid(*BATCH)
    assert (result.code, "2 running, left: 1 clip, 8 s, $0.18" in result.err) == (0, True)
    told = {line.split("; ")[1] for line in result.err.splitlines() if " of 3 done" in line}
    assert told == {"$0.00 spent, $0.18 left"}


def test_both_lines_for_all_count_what_an_earlier_run_has_done(world: World) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    write(world.folder, FOX, WOLF, KITE)
    shown = "".join(run_on_terminal(world, *BATCH, "-y").pieces)
    assert ("2 of 3 done" in shown, re.findall(r"all +.*?(\d of 3)", shown)[0]) == (True, "2 of 3")


def test_json_is_the_clip_s_record_with_its_row(world: World) -> None:
    write(world.folder, FOX | {"count": 2, "seed": 5})
    result = world.airvid(*BATCH, "--json")
    assert [(each["airvid"]["row"], each["airvid"]["n"]) for each in result.objects] == [("fox", 1), ("fox", 2)]
    assert sorted(body["seed"] for body in world.posts) == [5, 6]
    assert files(world) == ["fox-1.mp4", "fox-2.mp4"]


def test_a_plan_is_shown_and_nothing_sent(world: World) -> None:
    write(world.folder, *({"prompt": f"fox {n}", "model": "dune-lite", "duration": 3} for n in range(3)), KITE)
    world.env.delenv("AIRVID_API_KEY")
    plan = world.airvid(*BATCH, "--dry-run", "--json").json["plan"]
    assert (plan["rows"], plan["clips"], plan["cost_usd"], plan["left"]["cost_usd"]) == (4, 4, 0.189, 0.189)
    assert plan["models"][0] == {"model": "dune-lite", "clips": 3, "seconds": 9.0, "cost_usd": 0.009}
    shown = world.airvid(*BATCH, "--dry-run").lines
    assert (shown[0], [line for line in shown if "left" in line]) == ("4 rows: 4 clips, 17 s, $0.189", [])
    assert (world.posts, (world.folder / "out").exists()) == ([], False)


# ---------------------------------------------------------------------- which row is which


@pytest.mark.parametrize(
    ("rows", "bought"),
    [
        ([WOLF, KITE, FOX], []),
        ([FOX, KITE], []),
        ([FOX, {**FOX, "id": "new"}, WOLF, KITE], ["a fox"]),
        ([FOX, WOLF, WOLF, KITE], ["a wolf"]),
        ([FOX, WOLF | {"prompt": "two wolves"}, KITE], ["two wolves"]),
        ([FOX, WOLF | {"output": "own.mp4"}, KITE], ["a wolf"]),
        ([FOX, WOLF | {"count": 2}, KITE], ["a wolf"]),
        ([FOX, WOLF | {"id": "wolf"}, KITE], ["a wolf"]),
    ],
    ids=["reordered", "removed", "added", "equal", "changed", "another output", "one more", "named"],
)
@pytest.mark.parametrize("home", ["kept", "emptied"])
def test_a_row_is_known_by_its_id_or_by_what_it_asks_for(
    world: World, rows: Sequence[Row], bought: list[str], home: str
) -> None:
    write(world.folder, FOX, WOLF, KITE)
    assert world.airvid(*BATCH).code == 0
    before = prompts(world)
    write(world.folder, *rows)
    if home == "emptied":
        empty_home(world)
    shutil.move(world.folder / "out", world.folder / "moved")
    result = world.airvid(
        "batch", "m.jsonl", "-o", "moved/{row}-{n}.mp4" if "count" in str(rows) else "moved/{row}.mp4"
    )
    assert result.code == 0, result.err
    assert list((prompts(world) - before).elements()) == bought


def test_a_row_with_an_id_that_names_its_model_or_output_has_not_changed(world: World) -> None:
    write(world.folder, FOX | {"seed": 3, "count": 2})
    assert world.airvid(*BATCH).code == 0
    write(world.folder, FOX | {"seed": 3, "count": 2, "model": "dune-lite", "output": "own.mp4"})
    result = world.airvid(*BATCH)
    assert (result.code, len(world.posts)) == (0, 2), result.err


def test_a_row_with_another_picture_has_changed(world: World) -> None:
    (world.folder / "a.png").write_bytes(PNG)
    (world.folder / "b.png").write_bytes(png(5, 3))
    write(world.folder, FOX | {"image": "a.png"})
    assert world.airvid(*BATCH).code == 0
    write(world.folder, FOX | {"image": "b.png"})
    result = world.airvid(*BATCH)
    assert (result.code, len(world.posts)) == (2, 1)
    assert "m.jsonl:1: row fox has changed since it was bought: it has another picture" in result.err


@pytest.mark.parametrize("home", ["kept", "emptied"])
def test_a_changed_row_with_its_old_id_shows_both_until_it_is_bought_again(world: World, home: str) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    old = (world.folder / "out" / "fox.mp4").read_bytes()
    write(world.folder, FOX | {"prompt": "a red fox"}, WOLF)
    if home == "emptied":
        empty_home(world)
    result = world.airvid(*BATCH)
    assert (result.code, len(world.posts)) == (2, 2)
    assert "m.jsonl:1: row fox has changed" in result.err
    assert "prompt a fox," in result.err
    assert "prompt a red fox," in result.err
    assert world.airvid(*BATCH, "--redo", "fox").code == 0
    assert prompts(world)["a red fox"] == 1
    assert (world.folder / "out" / "fox.mp4").read_bytes() != old
    assert (world.airvid(*BATCH).code, len(world.posts)) == (0, 3)


def test_only_and_shards_choose_rows(world: World) -> None:
    write(world.folder, *({"id": f"r{n}", "prompt": f"fox {n}"} for n in range(5)))
    assert world.airvid(*BATCH, "--only", "r1", "--only", "5").code == 0
    assert files(world) == ["r1.mp4", "r4.mp4"]
    assert world.airvid(*BATCH, "--shard", "1/2").code == 0
    assert files(world) == ["r0.mp4", "r1.mp4", "r2.mp4", "r4.mp4"]
    assert world.airvid(*BATCH, "--shard", "2/2").code == 0
    assert (len(files(world)), len(world.posts)) == (5, 5)
    assert [each["airvid"]["row"] for each in results(world.folder / "out")][-2:] != []
    for wrong in (["--only", "r9"], ["--redo", "99"], ["--shard", "3/2"], ["--shard", "0/2"], ["--shard", "x"]):
        assert (world.airvid(*BATCH, *wrong).code, len(world.posts)) == (2, 5)


# ---------------------------------------------------------------------- what did not end well


def test_a_failed_row_stays_failed_until_it_is_asked_for_again(world: World) -> None:
    world.emulator.outcome = lambda record: "failed" if record["prompt"] == "a wolf" else "completed"
    write(world.folder, FOX, WOLF, KITE)
    result = world.airvid(*BATCH)
    assert (result.code, files(world).count("fox.mp4"), len(files(world))) == (1, 1, 2)
    again = world.airvid(*BATCH)
    assert (again.code, len(world.posts)) == (1, 3)
    assert "failed before: The provider could not make this clip." in again.err
    assert "hint: airvid batch m.jsonl -o 'out/{row}.mp4' --retry-failed" in again.err
    empty_home(world)
    assert (world.airvid(*BATCH).code, len(world.posts)) == (1, 3)
    world.emulator.outcome = lambda _: "completed"
    assert (world.airvid(*BATCH, "--retry-failed").code, len(world.posts), len(files(world))) == (0, 4, 3)
    assert (world.airvid(*BATCH, "--retry-failed").code, len(world.posts)) == (0, 4)


def test_a_failure_is_told_under_its_row_s_name_once(world: World) -> None:
    world.emulator.outcome = lambda record: "failed" if record["prompt"] == "a wolf" else "completed"
    write(world.folder, FOX, WOLF)
    told = [line for line in world.airvid(*BATCH).err.splitlines() if "the task failed" in line]
    assert [line.count(": row ") for line in told] == [0, 1]


@pytest.mark.parametrize("times", [1, 2])
def test_one_hint_says_how_failed_rows_are_submitted_anew(world: World, times: int) -> None:
    world.emulator.outcome = lambda record: "failed" if record["prompt"] != "a fox" else "completed"
    write(world.folder, FOX, WOLF, KITE)
    for _ in range(times):
        told = world.airvid(*BATCH).err.splitlines()
    (hint,) = [line for line in told if line.startswith("hint: ")]
    assert (hint, told[-1]) == ("hint: airvid batch m.jsonl -o 'out/{row}.mp4' --retry-failed", hint)
    again = world.airvid(*shlex.split(hint.removeprefix("hint: airvid ")))
    assert [again.err.count("--retry-failed"), prompts(world)["a wolf"]] == [1, 2]


def test_clips_that_were_saved_elsewhere_are_told_of(world: World) -> None:
    write(world.folder, FOX)
    assert "stays where" not in world.airvid(*BATCH).err + world.airvid(*BATCH).err
    told = world.airvid("batch", "m.jsonl", "-o", "other/{row}.mp4").err
    assert f"what is done stays where it was saved: {world.folder / 'out'}" in told


def test_a_row_without_a_prompt_has_no_advice_about_create(world: World) -> None:
    write(world.folder, {"duration": 4})
    assert world.airvid(*BATCH).err == "error: m.jsonl:1: no prompt\n"


def test_a_single_row_that_failed_exits_as_a_create_does(world: World) -> None:
    world.emulator.outcome = lambda _: "failed"
    write(world.folder, FOX)
    assert world.airvid(*BATCH).code == 5
    write(world.folder, FOX | {"prompt": "a milder fox"})  # what failed was not charged: no redo is needed
    world.emulator.outcome = lambda _: "completed"
    assert (world.airvid(*BATCH).code, len(world.posts)) == (0, 2)


def test_fail_fast_submits_no_more(world: World) -> None:
    world.emulator.outcome = lambda record: "failed" if record["prompt"] == "fox 0" else "completed"
    write(world.folder, *({"id": f"r{n}", "prompt": f"fox {n}"} for n in range(9)))
    result = world.airvid(*BATCH, "--fail-fast", "-j", "2")
    assert (result.code, len(world.posts), files(world)) == (1, 2, ["r1.mp4"])
    assert "7 more clips were not submitted" in result.err


def test_clips_that_another_run_is_saving_do_not_stop_the_batch(world: World) -> None:
    held: list[IO[bytes]] = []

    def hold(request: Request) -> None:
        if request.method == "POST" and len(held) < 3:
            held.append((world.folder / "out" / f"r{len(held)}.mp4.part").open("wb"))
            fcntl.flock(held[-1], fcntl.LOCK_EX)

    world.connect = hold
    write(world.folder, *({"id": f"r{n}", "prompt": f"fox {n}"} for n in range(9)))
    result = world.airvid(*BATCH, "-j", "1")
    for each in held:
        each.close()
    assert (result.code, len(world.posts), result.err.count("is saving to")) == (1, 9, 6), result.err
    assert files(world) == [f"r{n}.mp4" for n in range(3, 9)]
    world.connect = lambda _: None
    assert (world.airvid(*BATCH).code, len(world.posts), len(files(world))) == (0, 9, 9)


def test_clips_of_another_kind_are_kept_and_do_not_stop_the_batch(world: World) -> None:
    webm = Response(200, {"Content-Type": "video/webm"}, b"\x1aE\xdf\xa3\x01\0webm" + b"\0" * 100)
    world.emulator.faults.append(Fault("storage", webm, before=True, times=100))
    write(world.folder, *({"id": f"r{n}", "prompt": f"fox {n}"} for n in range(4)))
    result = world.airvid(*BATCH, "-j", "1")
    assert (result.code, len(world.posts)) == (11, 4), result.err
    assert sorted(each.name for each in (world.folder / "out").glob("*.webm")) == [f"r{n}.webm" for n in range(4)]
    assert (world.airvid(*BATCH).code, len(world.posts)) == (0, 4)


@pytest.mark.parametrize(("status", "code"), [(401, 3), (402, 7), (400, 2)])
def test_what_would_befall_every_row_stops_the_batch(world: World, status: int, code: int) -> None:
    answer = json_answer(status, {"error": {"message": "no", "code": "x"}})
    world.emulator.faults.append(Fault("POST", answer, before=True, times=100))
    write(world.folder, *({"prompt": f"fox {n}"} for n in range(9)))
    result = world.airvid(*BATCH)
    assert result.code == (code if status != 400 else result.code)
    assert len(world.posts) == (9 if status == 400 else 1)


@pytest.mark.parametrize("home", ["kept", "emptied"])
@pytest.mark.parametrize("status", [400, 402, 422])
def test_a_row_that_was_refused_but_made_all_the_same_is_not_paid_for_again(
    world: World, status: int, home: str
) -> None:
    write(world.folder, FOX)
    world.emulator.faults.append(Fault("POST", json_answer(status, {"error": "no"})))
    result = world.airvid(*BATCH)
    assert (result.code, "which this create may have made" in result.err) == (7 if status == 402 else 1, True)
    assert "hint: airvid batch m.jsonl -o 'out/{row}.mp4'\n" in result.err
    if home == "emptied":
        empty_home(world)
    assert (world.airvid(*BATCH, "--retry-failed").code, files(world), len(world.posts)) == (0, ["fox.mp4"], 1)


def test_redo_buys_a_row_again_once(world: World) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    world.emulator.faults.append(Fault("storage", json_answer(403, {}), before=True, times=100))
    assert world.airvid(*BATCH, "--redo", "fox").code != 0
    assert (prompts(world)["a fox"], "fox.mp4" in files(world)) == (2, True)
    world.emulator.faults.clear()
    old = results(world.folder / "out")
    assert (world.airvid(*BATCH, "--redo", "fox").code, prompts(world)["a fox"]) == (0, 2)  # it is picked up
    assert (world.airvid(*BATCH, "--redo", "fox").code, prompts(world)["a fox"]) == (0, 3)
    empty_home(world)
    assert (world.airvid(*BATCH).code, len(world.posts)) == (0, 4)
    assert old != results(world.folder / "out")
    assert [each["airvid"]["row"] for each in results(world.folder / "out")].count("fox") == 1


def test_redo_is_done_where_an_earlier_try_has_made_no_task(world: World) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    world.emulator.faults.append(Fault("POST", before=True, ending="reset"))
    result = world.airvid(*BATCH, "--redo", "fox")
    assert (result.code, prompts(world)["a fox"]) == (1, 2)
    assert "hint: airvid batch m.jsonl -o 'out/{row}.mp4'\n" in result.err
    world.clock.advance(400)
    assert (world.airvid(*BATCH, "--redo", "fox").code, prompts(world)["a fox"]) == (0, 3)


def test_redo_after_the_clock_was_set_back_is_the_newest(world: World) -> None:
    write(world.folder, FOX)
    assert world.airvid(*BATCH).code == 0
    world.clock.advance(-5000)
    bought = world.airvid(*BATCH, "--redo", "fox").lines[0].split("\t")[1]
    assert [each["task_id"] for each in results(world.folder / "out")] == [bought]
    empty_home(world)
    assert (world.airvid(*BATCH).code, len(world.posts)) == (0, 2)


@pytest.mark.parametrize("home", ["kept", "emptied"])
def test_a_clip_that_was_paid_and_has_expired_is_bought_again_by_redo_alone(world: World, home: str) -> None:
    write(world.folder, FOX)
    world.emulator.faults.append(Fault("storage", json_answer(403, {}), before=True, times=100))
    assert world.airvid(*BATCH).code == 9
    world.emulator.faults.clear()
    world.clock.advance(90_000)
    for _ in range(2):
        result = world.airvid(*BATCH, "--retry-failed")
        assert (result.code, len(world.posts)) == (6, 1)
        assert "hint: airvid batch m.jsonl -o 'out/{row}.mp4' --retry-failed --redo fox\n" in result.err
        if home == "emptied":
            empty_home(world)
    assert (world.airvid(*BATCH, "--redo", "fox").code, len(world.posts)) == (0, 2)


def test_no_hint_buys_again_what_redo_has_bought(world: World) -> None:
    world.emulator.outcome = lambda record: "failed" if record["prompt"] == "a wolf" else "completed"
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 1
    result = world.airvid(*BATCH, "--redo", "fox")
    (hint,) = [line.removeprefix("hint: airvid ") for line in result.err.splitlines() if line.startswith("hint: ")]
    assert (world.airvid(*shlex.split(hint)).code, prompts(world)) == (1, {"a fox": 2, "a wolf": 2})


def test_the_command_for_the_rest_names_the_rows_that_redo_has_not_bought(world: World) -> None:
    write(world.folder, FOX, WOLF | {"id": "wolf"})
    assert world.airvid(*BATCH).code == 0
    result = world.airvid(*BATCH, "-j", "1", "--redo=fox", "--redo", "wolf", "--timeout", "12s")
    assert (result.code, len(world.posts)) == (10, 3)
    assert "hint: airvid batch m.jsonl -o 'out/{row}.mp4' -j 1 --timeout 12s --redo wolf\n" in result.err


def test_money_that_this_run_would_spend_is_held_against_its_bounds(world: World) -> None:
    write(world.folder, FOX, KITE)
    for bound in (["--max-cost", "0.18"], []):
        if not bound:
            assert world.airvid("config", "set", "budget.day", "0.18").code == 0
        result = world.airvid(*BATCH, *bound)
        assert (result.code, world.posts) == (7, [])
    assert world.airvid("config", "unset", "budget.day").code == 0
    assert world.airvid(*BATCH, "--only", "fox", "--max-cost", "0.004").code == 0
    assert world.airvid(*BATCH, "--max-cost", "0.18").code == 0


# ---------------------------------------------------------------------- files


def test_a_file_that_is_gone_is_fetched_anew(world: World) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    whole = (world.folder / "out" / "fox.mp4").read_bytes()
    (world.folder / "out" / "fox.mp4").unlink()
    assert (world.airvid(*BATCH).code, len(world.posts)) == (0, 2)
    assert (world.folder / "out" / "fox.mp4").read_bytes() == whole
    (world.folder / "out" / "fox.mp4").unlink()
    world.clock.advance(90_000)
    result = world.airvid(*BATCH)
    assert (result.code != 0, len(world.posts)) == (True, 2)
    assert (world.airvid(*BATCH, "--redo", "fox").code, len(world.posts)) == (0, 3)


def test_a_clip_that_was_deleted_before_it_was_saved_is_fetched_by_its_link(world: World) -> None:
    write(world.folder, FOX)
    world.emulator.faults.append(Fault("storage", json_answer(403, {}), before=True, times=100))
    assert world.airvid(*BATCH).code == 9
    world.emulator.faults.clear()
    assert world.airvid("delete", "-y", "--all").code == 0
    assert (world.airvid(*BATCH).code, files(world), len(world.posts)) == (0, ["fox.mp4"], 1)


@pytest.mark.parametrize("command", ["download ID -o out/fox.mp4", "download ID -o mine.mp4", "delete -y ID"])
def test_a_task_that_an_empty_home_has_used_by_its_id_is_still_the_row_s(world: World, command: str) -> None:
    write(world.folder, FOX)
    world.emulator.faults.append(Fault("storage", json_answer(403, {}), before=True, times=100))
    assert world.airvid(*BATCH).code == 9
    world.emulator.faults.clear()
    empty_home(world)
    (record,) = results(world.folder / "out")
    assert world.airvid(*command.replace("ID", record["task_id"]).split()).code == 0
    for _ in range(2):
        result = world.airvid(*BATCH)
        assert (result.code, len(world.posts)) == (0, 1), result.err
    assert "1 done" in result.err
    assert [each["airvid"]["intended_at"] for each in results(world.folder / "out")] == [
        record["airvid"]["intended_at"]
    ]


def test_a_stranger_s_file_is_left_alone(world: World) -> None:
    write(world.folder, FOX, WOLF)
    (world.folder / "out").mkdir()
    (world.folder / "out" / "fox.mp4").write_bytes(b"mine")
    result = world.airvid(*BATCH)
    assert (result.code, world.posts) == (11, [])
    assert "m.jsonl:1: out/fox.mp4 exists, and is no clip of this row" in result.err
    (world.folder / "out" / "fox.mp4").unlink()
    assert world.airvid(*BATCH).code == 0
    (world.folder / "out" / "fox.mp4").write_bytes(b"cut by hand")
    assert (world.airvid(*BATCH).code, len(world.posts)) == (11, 2)
    assert (world.folder / "out" / "fox.mp4").read_bytes() == b"cut by hand"


def test_a_manifest_that_is_edited_meanwhile_counts_the_next_time(world: World) -> None:
    write(world.folder, FOX, WOLF)

    def edit(request: Request) -> None:
        if request.method == "POST":
            write(world.folder, KITE)

    world.connect = edit
    assert (world.airvid(*BATCH).code, len(world.posts)) == (0, 2)
    assert (world.airvid(*BATCH).code, prompts(world)["a kite"]) == (0, 1)


# ---------------------------------------------------------------------- journal and results file


def cut_results(world: World, lines: list[bytes]) -> None:
    (world.folder / "out" / "results.jsonl").write_bytes(b"".join(lines))


def sent(record: Row) -> bytes:
    """What is written before the POST of this record."""
    about = record["airvid"] | {"state": "sent", "output": None, "bytes": None, "saved_at": None}
    return json.dumps({"airvid": about, "task_id": None, "status": None}, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("home", ["kept", "emptied"])
@pytest.mark.parametrize("kept_files", [True, False], ids=["files kept", "files gone"])
def test_results_that_are_cut_at_any_byte_pay_for_nothing_twice(world: World, home: str, kept_files: bool) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    records = results(world.folder / "out")
    whole = b"".join(map(sent, records)) + (world.folder / "out" / "results.jsonl").read_bytes()
    start = sum(len(sent(each)) for each in records)
    for cut in [*range(start, len(whole), 397), len(whole) - 1, len(whole)]:
        cut_results(world, [whole[:cut]])
        if home == "emptied":
            empty_home(world)
        for name in files(world) if not kept_files else ():
            (world.folder / "out" / name).unlink()
        result = world.airvid(*BATCH)
        if result.code == 11:  # a file whose record is cut off is not known as ours: nothing is sent, nothing is lost
            assert (home, kept_files) == ("emptied", True)
            assert "is no clip of this row" in result.err
        else:
            assert (result.code, len(results(world.folder / "out"))) == (0, 2), result.err
        assert len(world.posts) == 2


def test_a_post_that_never_left_is_sent_once_its_time_is_over(world: World) -> None:
    """An empty home finds a line of a POST; the server's list shows no task of it until it can have made none."""
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH, "--only", "2").code == 0
    (record,) = results(world.folder / "out")
    write(world.folder, WOLF | {"prompt": "two wolves"})
    about = json.loads(sent(record))
    shutil.rmtree(world.folder / "out")
    empty_home(world)
    assert world.airvid(*BATCH).code == 0
    (other,) = results(world.folder / "out")
    about["airvid"] |= {key: other["airvid"][key] for key in ("asked", "row", "request")}
    about["airvid"] |= {"sent_at": world.clock.now(), "intended_at": world.clock.now()}
    about["airvid"]["request"] |= {"prompt": "three wolves"}
    shutil.rmtree(world.folder / "out")
    (world.folder / "out").mkdir()
    cut_results(world, [json.dumps(about, separators=(",", ":")).encode() + b"\n"])
    empty_home(world)
    began, before = world.clock.now(), len(world.posts)
    result = world.airvid(*BATCH)
    assert (result.code, len(world.posts)) == (0, before + 1)
    assert result.err.count("the task list shows within 3m15s whether an earlier run made a task") == 1
    posted = [at for at, request in world.emulator.requests if request.method == "POST"][-1]
    assert posted - began > 180


@pytest.mark.parametrize(("command", "code"), [("download ID -o mine.mp4", 0), ("delete -y ID", 1)])
def test_a_lost_post_is_not_sent_again_where_its_task_was_used_by_its_id(world: World, command: str, code: int) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    fox, wolf = results(world.folder / "out")
    cut_results(world, [sent(fox), sent(wolf) + json.dumps(wolf, separators=(",", ":")).encode() + b"\n"])
    (world.folder / "out" / "fox.mp4").unlink()
    empty_home(world)
    assert world.airvid(*command.replace("ID", fox["task_id"]).split()).code == 0
    world.clock.advance(400)
    for _ in range(2):
        result = world.airvid(*BATCH)
        assert (result.code, len(world.posts)) == (code, 2), result.err


@pytest.mark.parametrize("others", [[], [WOLF]], ids=["nothing else", "a task that is known"])
def test_a_list_without_what_is_known_does_not_tell_that_no_task_was_made(world: World, others: list[Row]) -> None:
    def nothing(request: Request) -> Response | None:
        date = {"Date": formatdate(world.clock.now(), usegmt=True)}
        return json_answer(200, {"data": []}, date) if request.call == "GET /video/tasks" else None

    write(world.folder, FOX, *others)
    world.emulator.faults.append(Fault("POST", ending="reset"))
    world.answer = nothing
    for _ in range(2):
        assert (world.airvid(*BATCH).code != 0, prompts(world)["a fox"]) == (True, 1)
        world.clock.advance(400)
    world.answer = lambda _: None
    assert (world.airvid(*BATCH).code, prompts(world)["a fox"]) == (0, 1)  # it is found


def test_a_post_that_another_machine_sends_anew_is_not_sent_beside_it(world: World) -> None:
    """That machine has waited for a slot for so long that its first POST has surely made no task."""
    write(world.folder, FOX)
    assert world.airvid(*BATCH).code == 0
    record, began = results(world.folder / "out")[0], world.clock.now()
    world.start_anew()
    assert world.airvid("create", "another", "-m", "dune-lite").code == 0
    (world.folder / "out" / "fox.mp4").unlink()
    record["airvid"] |= {"intended_at": began, "sent_at": began}
    cut_results(world, [sent(record)])

    def send_anew(request: Request) -> None:
        if request.call == "GET /video/tasks" and world.clock.now() > began + 181:
            record["airvid"]["sent_at"] = world.clock.now()
            with (world.folder / "out" / "results.jsonl").open("ab") as file:
                file.write(sent(record))

    world.connect = send_anew
    result = world.airvid(*BATCH)
    assert (result.code, prompts(world)) == (11, {"another": 1})
    assert "another airvid is making row fox at this moment" in result.err


@pytest.mark.parametrize("limit", ["too old", "two tasks"])
def test_a_fate_that_cannot_be_found_out_is_not_paid_for_again(world: World, limit: str) -> None:
    write(world.folder, FOX)
    assert world.airvid(*BATCH).code == 0
    (record,) = results(world.folder / "out")
    cut_results(world, [sent(record)])
    (world.folder / "out" / "fox.mp4").unlink()
    if limit == "two tasks":
        assert world.airvid("create", "a fox", "-m", "dune-lite", "-d", "4").code == 0
        world.emulator._state._run("UPDATE tasks SET born = (SELECT min(born) FROM tasks)")
    else:
        world.clock.advance(200_000)
    empty_home(world)
    before = len(world.posts)
    result = world.airvid(*BATCH)
    assert (result.code, len(world.posts)) == (9, before), result.err
    assert "hint: airvid batch m.jsonl -o 'out/{row}.mp4' --redo fox" in result.err
    assert (world.airvid(*BATCH, "--redo", "fox").code, len(world.posts)) == (0, before + 1)


FOREIGN = {
    "another program's lines": b'{"id": 1, "result": "ok"}\n',
    "no JSON": b"row\tstate\nfox\tdone\n",
    "text without an end": b"hello",
    "a list": b"[1, 2]\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_stranger_s_results_are_left_as_they_are(world: World, name: str) -> None:
    write(world.folder, FOX)
    (world.folder / "out").mkdir()
    cut_results(world, [FOREIGN[name]])
    result = world.airvid(*BATCH)
    assert (result.code, world.posts) == (11, []), result.err
    assert "lines that airvid has not written" in result.err
    assert (world.folder / "out" / "results.jsonl").read_bytes() == FOREIGN[name]
    assert world.airvid(*BATCH, "--results", "mine.jsonl").code == 0
    empty_home(world)
    assert (world.airvid(*BATCH, "--results", "mine.jsonl").code, len(world.posts)) == (0, 1)


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_is_no_file_is_no_results(world: World, kind: str) -> None:
    write(world.folder, FOX)
    (world.folder / "out").mkdir()
    path, other = world.folder / "out" / "results.jsonl", world.folder / "other"
    other.write_bytes(b"")
    if kind == "link":
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    result = world.airvid(*BATCH)
    assert (result.code, world.posts, other.read_bytes()) == (11, [], b"")


HOSTILE: dict[str, Row] = {
    "a path outside": {"output": "../secret"},
    "an absolute path": {"output": "/etc/passwd"},
    "a path with a nul": {"output": "a\0b"},
    "a path with half a character": {"output": "\ud800.mp4"},
    "a path of a type": {"output": ["fox.mp4"]},
    "a number of another kind": {"bytes": "many", "sent_at": "never", "saved_at": {}},
    "huge numbers": {"bytes": 1e400, "sent_at": 1e400, "n": 10**30},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_neither_leads_out_of_the_folder_nor_to_a_payment(world: World, name: str) -> None:
    (world.folder / "secret").write_bytes(b"secret")
    write(world.folder, FOX)
    assert world.airvid(*BATCH).code == 0
    (record,) = results(world.folder / "out")
    record["airvid"] |= {"bytes": 6} | HOSTILE[name]
    cut_results(world, [json.dumps(record, separators=(",", ":")).encode() + b"\n"])
    (world.folder / "out" / "fox.mp4").unlink()
    empty_home(world)
    for _ in range(2):
        result = world.airvid(*BATCH)
        assert "Traceback" not in result.err
        assert "bug" not in result.err
    if name != "huge numbers":  # no clip has that number: the line is another row's
        assert (result.code, len(world.posts), files(world)) == (0, 1, ["fox.mp4"])
    assert (world.folder / "secret").read_bytes() == b"secret"


def test_a_line_that_names_another_clip_s_task_is_refused(world: World) -> None:
    write(world.folder, FOX)
    other = world.airvid("create", "a wolf", "-m", "dune-lite").lines[0]
    assert world.airvid(*BATCH).code == 0
    (record,) = results(world.folder / "out")
    for task_id in (other, "../../etc", "last", "-rf", 7):
        wrong = json.dumps(record | {"task_id": task_id, "airvid": record["airvid"] | {"intended_at": 5.0}})
        cut_results(world, [wrong.replace(": ", ":").replace(", ", ",").encode() + b"\n"])
        before = len(world.posts)
        result = world.airvid(*BATCH)
        assert len(world.posts) == before
        if task_id == other:
            assert (result.code, other in result.err) == (11, True)


def test_sandbox_clips_are_no_clips_of_the_real_api(world: World) -> None:
    write(world.folder, FOX)
    assert world.airvid(*BATCH).code == 0
    (record,) = results(world.folder / "out")
    cut_results(
        world, [json.dumps(record | {"airvid": record["airvid"] | {"play": True}}).replace(": ", ":").encode() + b"\n"]
    )
    (world.folder / "out" / "fox.mp4").unlink()
    empty_home(world)
    assert (world.airvid(*BATCH).code, len(world.posts), len(results(world.folder / "out"))) == (0, 2, 2)


def test_a_line_that_tells_less_takes_no_file_from_a_clip(world: World) -> None:
    """Two homes that know no more than the results both fetch a clip; the second finds the file of the first there."""
    write(world.folder, FOX)
    assert world.airvid(*BATCH).code == 0
    whole = (world.folder / "out" / "results.jsonl").read_bytes()
    (record,) = results(world.folder / "out")
    about = record["airvid"] | {"output": None, "bytes": None, "saved_at": None}
    less = json.dumps({"airvid": about, **{key: each for key, each in record.items() if key != "airvid"}})
    cut_results(world, [whole, less.encode() + b"\n"])
    empty_home(world)
    result = world.airvid(*BATCH)
    assert (result.code, len(world.posts), "1 done" in result.err) == (0, 1, True), result.err


def test_a_copy_of_a_manifest_takes_no_clip_from_it(world: World) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    for name in ("copy.jsonl", "other.jsonl"):
        write(world.folder, FOX, WOLF, name=name)
        assert world.airvid("batch", name, *BATCH[2:]).code == 0
    shutil.rmtree(world.folder / "out")
    for name in ("m.jsonl", "copy.jsonl", "other.jsonl"):
        assert (world.airvid("batch", name, *BATCH[2:]).code, len(world.posts)) == (0, 2)


def test_the_journal_alone_is_enough(world: World) -> None:
    write(world.folder, FOX, WOLF)
    assert world.airvid(*BATCH).code == 0
    (world.folder / "out" / "results.jsonl").unlink()
    assert (world.airvid(*BATCH).code, len(world.posts)) == (0, 2)
    assert world.airvid("batch", "m.jsonl", "-o", "elsewhere/{row}-{short_id}.mp4").code == 0
    assert len(world.posts) == 2


def test_time_that_runs_out_leaves_the_tasks_to_the_same_command(world: World) -> None:
    write(world.folder, FOX, WOLF)
    result = world.airvid(*BATCH, "--timeout", "20")
    assert (result.code, len(world.posts)) == (10, 2)
    assert (world.airvid(*BATCH).code, len(world.posts), len(files(world))) == (0, 2, 2)


def test_time_that_runs_out_before_a_slot_is_free_is_the_limit_s(world: World) -> None:
    limit = json_answer(429, {"error": "At most 4 concurrent tasks"})
    world.emulator.faults.append(Fault("POST", limit, before=True, times=100))
    write(world.folder, FOX)
    result = world.airvid(*BATCH, "--timeout", "20")
    assert (result.code, "the time was up: the server's limit: At most 4 concurrent tasks" in result.err) == (8, True)
    assert "goes on" not in result.err


def test_more_than_four_at_a_time_is_no_option(world: World) -> None:
    write(world.folder, FOX)
    assert (world.airvid(*BATCH, "-j", "5").code, world.airvid(*BATCH, "-j", "0").code, world.posts) == (2, 2, [])
