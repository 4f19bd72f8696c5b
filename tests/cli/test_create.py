"""airvid create, on the emulator and a virtual clock."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from program import World, fields, json_answer
from small_files import PNG

URL = "https://pictures.test/fox.png"


def model(name: str, cents: float | None = 1.0, status: str | None = "operational", **caps: Any) -> dict[str, Any]:
    """A video model as the listing has it."""
    caps = {"modes": ["text"], "min_duration_s": 5, "max_duration_s": 10, "price_per_second_cents": cents, **caps}
    return {"id": name, "status": status, "output_modalities": ["video"], "video_caps": caps}


def test_prints_the_id_alone(world: World) -> None:
    result = world.airvid("create", "fox in snow", "-m", "wan-2.6")
    assert result.code == 0
    assert len(result.lines) == 1
    assert world.posts == [{"model": "wan-2.6", "prompt": "fox in snow", "mode": "text"}]


def test_waits_and_saves(world: World) -> None:
    result = world.airvid("create", "fox in snow", "-d", "8", "-o", "fox.mp4")
    assert (result.code, result.out) == (0, "fox.mp4\n")
    assert (world.folder / "fox.mp4").read_bytes()[4:8] == b"ftyp"
    assert len(world.posts) == 1


def test_prints_the_url_after_waiting(world: World) -> None:
    result = world.airvid("create", "x", "--wait")
    assert result.code == 0
    assert result.out.startswith("http://storage.test/clips/")
    assert len(result.lines) == 1


def test_prints_one_json_object_a_clip_even_after_waiting(world: World) -> None:
    """Contract 2.2: one line a task; a line a change is for watch alone."""
    result = world.airvid("create", "x", "--wait", "--json", "-n", "2")
    assert [each["status"] for each in result.objects] == ["completed", "completed"]


def test_json_holds_the_api_s_keys_and_ours(world: World) -> None:
    made = world.airvid("create", "x", "--json", "-o", "x.mp4").objects[-1]
    assert made["result_url"].startswith("http://storage.test/")
    assert made["airvid"]["prompt"] == "x"
    assert made["airvid"]["output"] == str(world.folder / "x.mp4")
    assert made["airvid"]["bytes"] == (world.folder / "x.mp4").stat().st_size


def test_answers_for_a_failed_task(world: World) -> None:
    world.emulator.outcome = lambda _: "failed"
    result = world.airvid("create", "x", "--wait")
    assert (result.code, result.out) == (5, "")
    assert "not charged" in result.err


def test_a_timeout_leaves_the_task_alone_and_says_how_to_go_on(world: World) -> None:
    result = world.airvid("create", "x", "--wait", "--timeout", "30")
    assert (result.code, result.out) == (10, "")
    assert "hint: airvid watch " in result.err
    assert world.clock.elapsed() == pytest.approx(30, abs=1)
    assert not [call for call in world.calls if call.startswith("DELETE")]


def test_makes_variations(world: World) -> None:
    result = world.airvid("create", "x", "-n", "3")
    assert len(set(result.lines)) == len(world.posts) == 3


# ---------------------------------------------------------------------- what is sent


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (["-i", "fox.png"], {"mode": "image", "input_images": [{"b64_json": base64.b64encode(PNG).decode()}]}),
        (["-i", URL], {"mode": "image", "input_images": [{"url": URL}]}),
        (["-r", URL, "-r", f"{URL}?2"], {"mode": "reference", "input_images": [{"url": URL}, {"url": f"{URL}?2"}]}),
        (["-i", URL, "--mode", "image"], {"mode": "image", "input_images": [{"url": URL}]}),
        (["--seed", "7"], {"mode": "text", "seed": 7}),
        (["--seed", "0"], {"mode": "text", "seed": 0}),
        (["--sound"], {"mode": "text", "sound": True}),
        (["--no-sound"], {"mode": "text", "sound": False}),
        (["--set", "steps=30"], {"mode": "text", "steps": 30}),
        (["--set", "style=oil paint"], {"mode": "text", "style": "oil paint"}),
        (["--set", 'style="30"'], {"mode": "text", "style": "30"}),
        (["--set", 'a={"b":[1.5,true]}'], {"mode": "text", "a": {"b": [1.5, True]}}),
        (["--set", "a=x=y"], {"mode": "text", "a": "x=y"}),
        (["--set", "a="], {"mode": "text", "a": ""}),
        (["--set", "a=NaN"], {"mode": "text", "a": "NaN"}),
        (["--set", "seed=9"], {"mode": "text", "seed": 9}),
        (["-d", "8", "-a", "9:16"], {"mode": "text", "duration_seconds": 8, "aspect_ratio": "9:16"}),
        (["--quality", "720p"], {"mode": "text", "quality": "720P"}),
    ],
)
def test_sends_what_was_asked_and_nothing_else(world: World, options: list[str], sent: dict[str, Any]) -> None:
    (world.folder / "fox.png").write_bytes(PNG)
    assert world.airvid("create", "x", "-m", "seedance-2.0", *options).code == 0
    assert world.posts == [{"model": "seedance-2.0", "prompt": "x", **sent}]


def test_a_number_that_json_cannot_hold_is_never_sent_as_one(world: World) -> None:
    result = world.airvid("create", "x", "--set", "a=1e999")
    assert (result.code, [post.get("a") for post in world.posts]) in [(2, []), (0, ["1e999"])]


@pytest.mark.parametrize(
    ("variable", "value", "key", "sent"),
    [
        ("AIRVID_MODEL", "wan-2.6", "model", "wan-2.6"),
        ("AIRVID_DURATION", "6", "duration_seconds", 6),
        ("AIRVID_ASPECT_RATIO", "1:1", "aspect_ratio", "1:1"),
        ("AIRVID_QUALITY", "480p", "quality", "480p"),
        ("AIRVID_SEED", "5", "seed", 5),
        ("AIRVID_SOUND", "true", "sound", True),
        ("AIRVID_SEED", "", "seed", None),
    ],
)
def test_the_environment_gives_defaults(world: World, variable: str, value: str, key: str, sent: object) -> None:
    world.env.setenv(variable, value)
    assert world.airvid("create", "x").code == 0
    assert world.posts[0].get(key) == sent


def test_an_option_goes_before_environment_before_config_file(world: World, tmp_path: Path) -> None:
    (tmp_path / "config" / "airvid").mkdir(parents=True)
    (tmp_path / "config" / "airvid" / "config.toml").write_text('duration = 4\nseed = 4\naspect_ratio = "1:1"\n')
    world.env.setenv("AIRVID_DURATION", "5")
    world.env.setenv("AIRVID_SEED", "5")
    world.airvid("create", "x", "-d", "6")
    sent = world.posts[0]
    assert (sent["duration_seconds"], sent["seed"], sent["aspect_ratio"]) == (6, 5, "1:1")


def test_a_bad_default_is_named_by_where_it_stands(world: World) -> None:
    world.env.setenv("AIRVID_DURATION", "long")
    result = world.airvid("create", "x")
    assert result.code == 2
    assert "AIRVID_DURATION" in result.err


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (b"fox in snow\n", "fox in snow"),
        (b"fox\r\nin snow\r\n", "fox\r\nin snow"),
        (b"\xef\xbb\xbffox", "fox"),
        ("Füchse 🦊 狐".encode(), "Füchse 🦊 狐"),
    ],
)
def test_reads_the_prompt_from_a_file_or_standard_input(
    world: World, as_file: bool, content: bytes, prompt: str
) -> None:
    (world.folder / "p.txt").write_bytes(content)
    result = world.airvid("create", *(["--prompt-file", "p.txt"] if as_file else ["-"]), stdin=content)
    assert result.code == 0
    assert world.posts[0]["prompt"] == prompt


# ---------------------------------------------------------------------- the model


@pytest.mark.parametrize(
    ("models", "options", "chosen"),
    [
        ([model("b", 2), model("a", 3), model("c", 2)], [], "b"),
        ([model("cheap", 1, "down"), model("dear", 9)], [], "dear"),
        ([model("cheap", 1, None), model("dear", 9)], [], "cheap"),
        ([model("free", 0), model("none", None), model("dear", 9)], [], "dear"),
        ([model("none", None), model("aaaa", 0)], [], "aaaa"),
        ([model("short", 1, max_duration_s=6), model("long", 9)], ["-d", "8"], "long"),
        ([model("long", 1, min_duration_s=10), model("short", 1.5, min_duration_s=5)], [], "short"),
        ([model("wide", 1, aspect_ratios=["16:9"]), model("tall", 9, aspect_ratios=["PORTRAIT"])],
         ["-a", "portrait"], "tall"),
        ([model("text", 1), model("any", 9, modes=["text", "image"])], ["-i", URL], "any"),
        ([model("silent", 1, modes=None), model("any", 9, modes=["image"])], ["-i", URL], "any"),
    ],
)  # fmt: skip
def test_takes_the_cheapest_healthy_model_that_fits(
    world: World, models: list[dict[str, Any]], options: list[str], chosen: str
) -> None:
    world.emulator.models = models
    result = world.airvid("create", "x", *options)
    assert [post["model"] for post in world.posts] == [chosen]
    assert chosen in result.err


def test_says_what_there_is_when_no_model_fits(world: World) -> None:
    world.emulator.models = [model("a", aspect_ratios=["16:9", "1:1"])]
    result = world.airvid("create", "x", "-a", "7:7")
    assert (result.code, world.posts) == (2, [])
    assert "16:9" in result.err


def test_without_validation_the_server_judges(world: World) -> None:
    result = world.airvid("create", "x", "-m", "wan-2.6", "-a", "7:7", "--no-validate")
    assert result.code == 1
    assert [post["aspect_ratio"] for post in world.posts] == ["7:7"]
    assert "must be one of 16:9" in result.err


# ---------------------------------------------------------------------- what is refused before anything is sent

WAN = ["-m", "wan-2.6"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["x", "-m", "wan-26"], 2, ["wan-2.6"]),
        (["x", "-m", "WAN-2.6"], 2, ["wan-2.6"]),
        (["x", "-m", "gpt-5"], 2, ["gpt-5"]),
        (["x", *WAN, "-d", "99"], 2, ["2 to 15"]),
        (["x", *WAN, "-d", "0"], 2, ["1"]),
        (["x", *WAN, "-a", "7:7"], 2, ["16:9", "9:16", "1:1"]),
        (["x", *WAN, "--quality", "8k"], 2, ["480p", "720p", "1080p"]),
        (["x", *WAN, "-r", URL], 2, ["text", "image"]),
        (["x", "--mode", "vido"], 2, ["text", "image", "reference"]),
        (["x", "--mode", "image"], 2, ["--image"]),
        (["x", "--mode", "reference"], 2, ["--reference"]),
        (["x", "--mode", "text", "-i", URL], 2, ["--mode text"]),
        (["x", "-i", URL, "-r", URL], 2, ["--image", "--reference"]),
        (["x", "-i", "none.png"], 11, ["none.png"]),
        (["x", "-i", "."], 11, ["."]),
        (["x", "-i", "text.png"], 11, ["text.png", "not an image"]),
        (["x", "-r", "empty.png"], 11, ["empty.png", "not an image"]),
        (["x", "--set", "mode=text"], 2, ["--mode"]),
        (["x", "--set", "duration_seconds=5"], 2, ["--duration"]),
        (["x", "--set", "steps=null"], 2, ["steps"]),
        (["x", "--set", "steps"], 2, ["KEY=VALUE"]),
        (["x", "--set", "a=1", "--set", "a=2"], 2, ["twice"]),
        (["x", "--seed", "1", "--set", "seed=2"], 2, ["--seed"]),
        (["x", "-n", "0"], 2, ["count"]),
        (["x", *WAN, "-d", "8", "--max-cost", "0.17"], 7, ["$0.18", "0.17"]),
        (["x", *WAN, "-d", "8", "-n", "2", "--max-cost", "0.35"], 7, ["$0.36"]),
        (["x", "-m", "mochi-1", "--max-cost", "5"], 7, ["unknown"]),
        (["x", "--max-cost", "cheap"], 2, ["--max-cost"]),
        (["x", "--timeout", "soon"], 2, ["--timeout"]),
        ([], 2, ["prompt"]),
        ([""], 2, ["empty"]),
        ([" \t\n\u3000"], 2, ["empty"]),
        (["x", "--prompt-file", "p.txt"], 2, ["--prompt-file"]),
        (["--prompt-file", "none.txt"], 11, ["none.txt"]),
        (["--prompt-file", "latin.txt"], 2, ["UTF-8"]),
        (["\udcff"], 2, ["UTF-8"]),
        (["x", "-m", "ltx-2", "-a", "\udcff"], 2, ["--aspect-ratio"]),
        (["x", "-m", "\udcff", "--no-validate"], 2, ["--model"]),
        (["x", "-i", "http://a/\udcff"], 2, ["--image"]),
    ],
)  # fmt: skip
def test_refuses_before_anything_is_sent(world: World, arguments: list[str], code: int, told: list[str]) -> None:
    (world.folder / "text.png").write_text("no picture")
    (world.folder / "empty.png").write_bytes(b"")
    (world.folder / "latin.txt").write_bytes(b"f\xfcchse")
    (world.folder / "p.txt").write_text("fox")
    result = world.airvid("create", *arguments)
    assert (result.code, result.out, world.posts) == (code, "", [])
    assert [each for each in told if each not in result.err] == []
    assert world.clock.elapsed() < 5


def test_tells_every_complaint_at_once(world: World) -> None:
    (world.folder / "there.mp4").touch()
    result = world.airvid(
        "create", " ", *WAN, "-d", "99", "-a", "7:7", "--quality", "8k", "--set", "mode=x", "-i", "none.png",
        "--max-cost", "0.01", "-o", "there.mp4",
    )  # fmt: skip
    assert (result.code, world.posts) == (2, [])
    words = ["empty", "15", "16:9", "480p", "--mode", "none.png", "--max-cost", "there.mp4"]
    assert [word for word in words if word not in result.err] == []


def test_a_budget_is_told_with_the_other_complaints(world: World) -> None:
    world.env.setenv("AIRVID_BUDGET_DAY", "0.01")
    result = world.airvid("create", "x", *WAN, "-d", "8", "-a", "7:7")
    assert (result.code, world.posts) == (2, [])
    assert "budget.day" in result.err
    assert "16:9" in result.err


def test_a_file_in_the_way_goes_before_money(world: World) -> None:
    (world.folder / "there.mp4").touch()
    assert world.airvid("create", "x", *WAN, "--max-cost", "0", "-o", "there.mp4").code == 11


# ---------------------------------------------------------------------- --dry-run


def test_a_dry_run_shows_body_and_estimate_and_sends_no_post(world: World) -> None:
    result = world.airvid("create", "x", *WAN, "-d", "8", "-n", "2", "-o", "new/x.mp4", "--dry-run")
    assert result.code == 0
    assert json.loads(result.lines[0]) == {
        "model": "wan-2.6", "prompt": "x", "mode": "text", "duration_seconds": 8,
    }  # fmt: skip
    assert fields(result.lines[1]) == ["estimate", "0.36"]
    assert [fields(line) for line in result.lines[2:4]] == [["clips", "2"], ["seconds", "16"]]
    assert [fields(line) for line in result.lines[4:]] == [["file", "new/x-1.mp4"], ["file", "new/x-2.mp4"]]
    assert world.posts == []
    assert list(world.folder.iterdir()) == []


def test_a_dry_run_counts_the_seconds_of_the_shortest_clips_too(world: World) -> None:
    result = world.airvid("create", "x", *WAN, "-n", "3", "--dry-run")
    assert "seconds\t6\n" in result.out
    assert '"seconds":6,' in world.airvid("create", "x", *WAN, "-n", "3", "--dry-run", "--json").out


@pytest.mark.parametrize(
    ("output", "files"),
    [("x-{n}.mp4", ["x-0001.mp4", "x-0002.mp4", "x-0003.mp4"]), ("{id}.mp4", ["{id}.mp4"]), (None, [])],
)
def test_a_dry_run_of_many_shows_what_it_comes_to(world: World, output: str | None, files: list[str]) -> None:
    options = ["-o", output] if output else []
    result = world.airvid("create", "x", *WAN, "-d", "4", "-n", "1000", *options, "--dry-run", "--json")
    assert result.json["airvid"] == {"count": 1000, "seconds": 4000, "estimate_cents": 9000.0, "files": files}


def test_a_dry_run_s_json_is_one_object(world: World) -> None:
    result = world.airvid("create", "x", *WAN, "--dry-run", "--json")
    assert result.json["request"]["model"] == "wan-2.6"
    assert result.json["airvid"]["estimate_cents"] == 4.5


def test_a_dry_run_needs_no_key(world: World) -> None:
    world.env.delenv("AIRVID_API_KEY")
    assert world.airvid("create", "x", "--dry-run").code == 0
    assert world.airvid("create", "x").code == 3


def test_an_unknown_price_is_never_told_as_free(world: World) -> None:
    result = world.airvid("create", "x", "-m", "hunyuan-video", "--dry-run")
    assert fields(result.lines[1]) == ["estimate", "unknown"]


def test_a_listing_that_fails_stops_a_create_before_its_post(world: World) -> None:
    world.answer = lambda request: json_answer(500, {}) if request.route == "/v1/models" else None
    assert world.airvid("create", "x").code == 9
    assert world.posts == []


@pytest.mark.parametrize("options", [["-o", "fox.mp4"], ["--preview"]])
def test_not_to_wait_contradicts_what_waits(world: World, options: list[str]) -> None:
    result = world.airvid("create", "fox", "--no-wait", *options)
    assert (result.code, world.posts) == (2, [])
    assert "--no-wait contradicts" in result.err


@pytest.mark.parametrize("told", ["", None, 5])
def test_a_record_always_has_its_id(world: World, told: object) -> None:
    [task] = world.airvid("create", "fox").lines
    world.answer = lambda _: json_answer(200, {"task_id": told, "status": "processing"}) if told != 5 else None
    assert world.airvid("status", task, "--json").json["task_id"] == task
