"""airvid models."""

from __future__ import annotations

from typing import Any

import pytest
from program import World, fields, json_answer

VIDEO = {
    "wan-2.6", "dune-lite", "veo-3.1-fast", "kling-3.0", "seedance-2.0", "hailuo-2.3", "ltx-2", "mochi-1",
    "hunyuan-video", "pika-2.2", "pixverse-5", "cogvideox-5b", "animate-diff",
}  # fmt: skip


def names(world: World, *options: str) -> list[str]:
    result = world.airvid("models", *options)
    assert result.code == 0, result.err
    return [fields(line)[0] for line in result.lines]


def video(name: object, **more: Any) -> dict[str, Any]:
    return {"id": name, "output_modalities": ["video"], **more}


def test_lists_the_video_models_and_no_others(world: World) -> None:
    assert set(names(world)) == VIDEO


def test_a_line_has_eight_columns_and_no_header(world: World) -> None:
    lines = world.airvid("models").lines
    assert {len(fields(line)) for line in lines} == {8}
    assert fields(next(line for line in lines if line.startswith("wan-2.6"))) == [
        "wan-2.6", "text,image", "2-15", "16:9,9:16,1:1", "480p,720p,1080p", "0.0225", "0.045", "up",
    ]  # fmt: skip


def test_the_price_is_for_the_duration_asked(world: World) -> None:
    (line,) = [each for each in world.airvid("models", "-d", "8").lines if each.startswith("wan-2.6")]
    assert fields(line)[6] == "0.18"


@pytest.mark.parametrize("price", [None, 0, "", "free", -1])
def test_a_price_that_nobody_told_is_unknown_and_never_free(world: World, price: object) -> None:
    world.emulator.models = [video("x", video_caps={"min_duration_s": 5, "price_per_second_cents": price})]
    assert fields(world.airvid("models").lines[0])[5:7] == ["", ""]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--mode", "reference"], {"dune-lite", "seedance-2.0", "ltx-2", "cogvideox-5b"}),
        (["--aspect-ratio", "4:3"], {"dune-lite", "ltx-2", "cogvideox-5b"}),
        (["-a", "PORTRAIT"], {"hailuo-2.3", "ltx-2", "cogvideox-5b"}),
        (["--quality", "768p"], {"hailuo-2.3", "ltx-2", "cogvideox-5b"}),
        (["--duration", "15"], {"wan-2.6", "ltx-2", "cogvideox-5b"}),
        (["--max-price", "0.01"], {"dune-lite", "pika-2.2", "pixverse-5"}),
        (["--max-price", "0.045"], {"dune-lite", "pika-2.2", "pixverse-5", "animate-diff", "wan-2.6"}),
        (["--max-price", "0.1", "-d", "10"], {"dune-lite", "pika-2.2"}),
        (["--max-price", "0.12", "-d", "10"], {"dune-lite", "pika-2.2", "ltx-2"}),
        (["--mode", "text", "--quality", "1080p", "-d", "4"], {"wan-2.6", "veo-3.1-fast", "ltx-2", "cogvideox-5b"}),
        (["-d", "10000"], {"ltx-2", "cogvideox-5b"}),
    ],
)
def test_filters_leave_those_that_can_do_it(world: World, options: list[str], expected: set[str]) -> None:
    assert set(names(world, *options)) == expected


def test_sorts_by_price_with_the_unknown_last_or_by_name(world: World) -> None:
    world.emulator.models = [
        video(name, video_caps={"min_duration_s": 5, "price_per_second_cents": cents})
        for name, cents in (("c", 2), ("b", None), ("a", 3), ("d", 2))
    ]
    assert names(world) == names(world, "--sort", "price") == ["c", "d", "a", "b"]
    assert names(world, "--sort", "name") == ["a", "b", "c", "d"]


def test_what_can_be_bought_comes_first_and_a_state_has_one_word(world: World) -> None:
    caps = {"min_duration_s": 5, "price_per_second_cents": 1}
    states = {"a": "down", "b": "operational", "c": None, "d": "healthy", "e": "Degraded"}
    world.emulator.models = [video(name, status=state, video_caps=caps) for name, state in states.items()]
    assert names(world) == ["b", "c", "d", "a", "e"]
    shown = [fields(line)[7] for line in world.airvid("models").lines]
    assert shown == ["up", "unknown", "up", "down", "Degraded"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-d", "99"], "no video model says that it fits: the longest is 15 s"),
        (["-d", "99", "--max-price", "0.01"], "no video model fits: the longest is 15 s"),
        (["-a", "7:7", "--max-price", "0.01"], "no video model fits"),
        (["-d", "15"], ""),
        ([], ""),
    ],
)
def test_says_where_no_model_can(world: World, options: list[str], said: str) -> None:
    assert world.airvid("models", *options).err == (f"{said}\n" if said else "")


def test_nothing_that_fits_is_an_empty_answer(world: World) -> None:
    result = world.airvid("models", "-a", "7:7", "--max-price", "0.01")
    assert (result.code, result.out) == (0, "")
    assert world.airvid("models", "-a", "7:7", "--max-price", "0.01", "--json").json == []


@pytest.mark.parametrize(
    "options",
    [
        ["--sort", "size"],
        ["--mode", "vido"],
        ["--max-price", "cheap"],
        ["--max-price", "-1"],
        ["-d", "x"],
        ["-d", "-5"],
    ],
)
def test_a_filter_that_makes_no_sense_is_a_usage_error(world: World, options: list[str]) -> None:
    assert world.airvid("models", *options).code == 2


def test_a_name_shows_the_whole_record_with_its_price(world: World) -> None:
    result = world.airvid("models", "wan-2.6", "-d", "8")
    record = dict(line.split("\t", 1) for line in result.lines)
    assert record["owned_by"] == "alibaba"
    assert '"min_duration_s":2' in record["video_caps"]
    assert "0.18" in result.out


def test_a_name_that_is_none_is_4_with_the_nearest(world: World) -> None:
    result = world.airvid("models", "wan2.6")
    assert (result.code, result.out) == (4, "")
    assert "wan-2.6" in result.err


@pytest.mark.parametrize("arguments", [[], ["wan-2.6"], ["wan-2.6", "ltx-2"]])
def test_json_is_one_array_of_the_api_s_objects(world: World, arguments: list[str]) -> None:
    found = world.airvid("models", "--json", *arguments).json
    assert len(found) == (len(arguments) or len(VIDEO))
    wan = next(each for each in found if each["id"] == "wan-2.6")
    assert wan["video_caps"]["max_duration_s"] == 15
    assert wan["airvid"]["clip"] == {"seconds": 2.0, "cost_usd": 0.045}


def test_keys_that_nobody_knows_survive_into_json(world: World) -> None:
    world.emulator.models = [video("x", news={"a": [1]})]
    assert world.airvid("models", "--json").json[0]["news"] == {"a": [1]}


@pytest.mark.parametrize(
    ("entry", "is_listed"),
    [
        ({"id": "x", "output_modalities": ["text", "VIDEO"]}, True),
        ({"id": "x", "output_modalities": None, "media_type": "video"}, True),
        ({"id": "x", "video_caps": {"modes": ["text"]}}, True),
        ({"id": "x", "output_modalities": ["image"], "video_caps": {}}, False),
        ({"id": "x", "media_type": "image", "video_caps": {}}, False),
        ({"id": "x", "video_caps": None}, False),
        ({"id": None, "output_modalities": ["video"]}, False),
        ({"output_modalities": ["video"]}, False),
        ("x", False),
        (None, False),
        (video("x", status=7, video_caps={"modes": "text", "qualities": [None, 7], "max_duration_s": "ten"}), True),
        (video("x", video_caps=[]), True),
    ],
)
def test_reads_a_listing_with_holes(world: World, entry: object, is_listed: bool) -> None:
    world.answer = lambda _: json_answer(200, {"data": [entry]})
    assert names(world) == (["x"] if is_listed else [])


def test_needs_no_key(world: World) -> None:
    world.env.delenv("AIRVID_API_KEY")
    assert set(names(world)) == VIDEO


def test_sends_the_key_where_there_is_one_for_the_list_is_the_account_s(world: World) -> None:
    world.airvid("models")
    assert "authorization" in world.emulator.requests[0][1].headers
