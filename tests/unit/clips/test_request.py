"""From options to a request body: what the caps allow, which model fits, and what is sent."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import World
from small_files import PNG

from airvid.api.models import Model
from airvid.clips import pictures, request
from airvid.clips.request import Request
from airvid.errors import AirvidError, FileError, UsageError

few = settings(max_examples=40, deadline=None, database=None, derandomize=True)


def model(name: str = "wan-2.6", *, status: str | None = None, **caps: Any) -> Model:
    found = Model.parse({"id": name, "status": status, "media_type": "video", "video_caps": caps})
    assert found
    return found


WAN = model(
    modes=["text", "image"],
    aspect_ratios=["16:9", "Portrait"],
    qualities=["480p", "720P"],
    min_duration_s=2,
    max_duration_s=15,
    price_per_second_cents=2,
)
SILENT = model("ltx-2")


def extra(*pairs: str) -> dict[str, Any]:
    found, complaints = request.parse_extra(pairs)
    assert not complaints
    return found


def told(complaints: list[AirvidError]) -> str:
    return "\n".join(each.message for each in complaints)


# ---------------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("cfg=7.5", {"cfg": 7.5}),
        ("cfg=true", {"cfg": True}),
        ('cfg={"a": [1]}', {"cfg": {"a": [1]}}),
        ('cfg="7"', {"cfg": "7"}),
        ("cfg=a=b", {"cfg": "a=b"}),
        ("cfg=", {"cfg": ""}),
        ("cfg=NaN", {"cfg": "NaN"}),
        ("cfg=[1,Infinity]", {"cfg": "[1,Infinity]"}),
        ("cfg=" + "[" * 10, {"cfg": "[" * 10}),
        (" cfg =x", {"cfg": "x"}),
        ("seed=5", {"seed": 5}),
    ],
)
def test_a_set_value_is_json_where_it_parses_else_text(pair: str, expected: dict[str, Any]) -> None:
    assert extra(pair) == expected


@pytest.mark.parametrize(
    ("pairs", "word"),
    [
        (["cfg"], "KEY=VALUE"),
        (["=5"], "KEY=VALUE"),
        (["cfg=null"], "null"),
        (["a=1", "a=2"], "twice"),
        (["model=x"], "--model"),
        (["prompt=x"], "PROMPT"),
        (["duration_seconds=9"], "--duration"),
        (["input_images=[]"], "--image"),
        (["seed=9"], "--seed"),
        (["sound=true"], "--sound"),
    ],
)
def test_a_set_that_cannot_be_meant_is_a_complaint(pairs: list[str], word: str) -> None:
    _, complaints = request.parse_extra(pairs, ["seed", "sound"])
    assert [each.exit_code for each in complaints] == [2]
    assert word in complaints[0].message


# ---------------------------------------------------------------------- modes and pictures


@pytest.mark.parametrize(
    ("asked", "mode"),
    [
        (Request("x"), "text"),
        (Request("x", image="http://h/a.png"), "image"),
        (Request("x", reference=("http://h/a.png",)), "reference"),
        (Request("x", mode="image", image="http://h/a.png"), "image"),
    ],
)
def test_the_mode_follows_from_the_options(asked: Request, mode: str) -> None:
    assert asked.effective_mode == mode
    assert request.complaints_of(asked) == []


@pytest.mark.parametrize(
    "asked",
    [
        Request("x", image="http://h/a", reference=("http://h/b",)),
        Request("x", mode="text", image="http://h/a"),
        Request("x", mode="text", reference=("http://h/a",)),
        Request("x", mode="image"),
        Request("x", mode="reference"),
        Request("x", mode="image", reference=("http://h/a",)),
        Request("x", mode="reference", image="http://h/a"),
        Request("x", mode="video"),
        Request("x", duration=0),
        Request("x", duration=-5),
        Request("fox \udcff"),
        Request("x", extra={"style": ["\ud800"]}),
    ],
)
def test_a_contradiction_is_a_usage_error(asked: Request) -> None:
    assert {each.exit_code for each in request.complaints_of(asked)} == {2}


@pytest.mark.parametrize("option", ["-i", "-r", "--prompt-file"])
def test_an_option_whose_value_is_empty_is_not_taken_for_none(world: World, option: str) -> None:
    """`-i "$PICTURE"` with the variable unset must not buy a clip without the picture."""
    result = world.airvid("create", *([] if option == "--prompt-file" else ["a fox"]), option, "")
    assert result.code in (2, 11)
    assert world.posts == []


@pytest.mark.parametrize(
    "path", ["missing.png", ".", "/dev/null", "a\0b", "x" * 300, "\udcff.png", "~nobody-here/a.png"]
)
def test_a_picture_that_cannot_be_read_is_a_file_error(path: str) -> None:
    with pytest.raises(FileError, match=r"cannot be read|no regular file"):
        pictures.check(path, {})


# ---------------------------------------------------------------------- what the caps allow


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (Request("x", aspect_ratio="1:1"), "16:9, Portrait"),
        (Request("x", quality="1080p"), "480p, 720P"),
        (Request("x", reference=("http://h/a",)), "text, image"),
        (Request("x", duration=1), "2 to 15 seconds"),
        (Request("x", duration=16), "2 to 15 seconds"),
    ],
)
def test_what_the_caps_do_not_allow_is_told_with_what_they_do(asked: Request, allowed: str) -> None:
    complaints = request.model_complaints(asked, WAN)
    assert [each.exit_code for each in complaints] == [2]
    assert allowed in told(complaints)


def test_all_complaints_come_at_once() -> None:
    asked = Request("x", aspect_ratio="1:1", quality="8k", duration=99, reference=("http://h/a",))
    assert len(request.model_complaints(asked, WAN)) == 4


@pytest.mark.parametrize(
    "asked",
    [
        Request("x"),
        Request("x", duration=2),
        Request("x", duration=15),
        Request("x", aspect_ratio="PORTRAIT", quality="720p"),
    ],
)
def test_the_caps_own_values_are_allowed_in_any_case(asked: Request) -> None:
    assert request.model_complaints(asked, WAN) == []


def test_a_cap_that_is_missing_allows_everything() -> None:
    asked = Request("x", aspect_ratio="9:1", quality="8k", duration=999, reference=("http://h/a",))
    assert request.model_complaints(asked, SILENT) == []


@pytest.mark.parametrize(
    ("caps", "duration", "words"),
    [({"min_duration_s": 4}, 3, "at least 4"), ({"max_duration_s": 8}, 9, "at most 8")],
)
def test_half_a_span_is_told_as_such(caps: dict[str, Any], duration: int, words: str) -> None:
    assert words in told(request.model_complaints(Request("x", duration=duration), model(**caps)))


# ---------------------------------------------------------------------- which model


@pytest.mark.parametrize(("asked", "near"), [("wan-2.5", "wan-2.6"), ("WAN-2.6", "wan-2.6"), ("veo", "veo-3.1-fast")])
def test_an_unknown_model_is_answered_with_the_nearest(asked: str, near: str) -> None:
    with pytest.raises(UsageError, match=near):
        request.find_model([WAN, SILENT, model("veo-3.1-fast")], asked)


def test_the_names_of_models_are_case_sensitive() -> None:
    assert request.find_model([model("Wan"), model("wan")], "wan").id == "wan"


def priced(name: str, cents: float | None, low: int | None = 2, status: str | None = None) -> Model:
    return model(name, status=status, price_per_second_cents=cents, min_duration_s=low, max_duration_s=10)


@pytest.mark.parametrize(
    ("models", "asked", "chosen"),
    [
        ([priced("b", 2), priced("a", 1)], Request("x"), "a"),
        ([priced("b", 1), priced("a", 1)], Request("x"), "a"),
        ([priced("a", 0), priced("b", 9)], Request("x"), "b"),
        ([priced("a", None), priced("b", 9)], Request("x"), "b"),
        ([priced("a", None)], Request("x"), "a"),
        ([priced("a", 1, status="down"), priced("b", 9)], Request("x"), "b"),
        ([priced("a", 1, low=9), priced("b", 2, low=2)], Request("x"), "b"),
        ([priced("a", 1, low=9), priced("b", 2, low=2)], Request("x", duration=9), "a"),
        ([priced("a", 1, low=9), priced("b", 2)], Request("x", duration=5), "b"),
    ],
)
def test_the_cheapest_healthy_model_that_fits_is_chosen(models: list[Model], asked: Request, chosen: str) -> None:
    assert request.choose_model(models, asked).id == chosen


@pytest.mark.parametrize(
    ("models", "words"),
    [([], "no video model is up"), ([priced("a", 1, status="down")], "is up"), ([priced("a", 1)], "2 to 10")],
)
def test_where_no_model_fits_it_is_said_why(models: list[Model], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        request.choose_model(models, Request("x", duration=99))


# ---------------------------------------------------------------------- the body


def test_the_body_holds_what_was_asked_and_nothing_else() -> None:
    assert request.body(Request("a fox"), WAN) == {"model": "wan-2.6", "prompt": "a fox", "mode": "text"}


def test_the_body_is_in_the_servers_spelling() -> None:
    sent = request.body(Request("x", aspect_ratio="portrait", quality="720p", duration=8), WAN)
    assert (sent["aspect_ratio"], sent["quality"], sent["duration_seconds"]) == ("Portrait", "720P", 8)


@few
@given(st.one_of(st.none(), st.integers()), st.one_of(st.none(), st.booleans()), st.one_of(st.none(), st.just("8k")))
def test_null_is_never_sent_and_zero_and_no_are(seed: int | None, sound: bool | None, quality: str | None) -> None:
    sent = request.body(Request("x", quality=quality, plain=request.plain_keys({"seed": seed, "sound": sound})), SILENT)
    asked = {"seed": seed, "sound": sound, "quality": quality}
    assert {key: sent.get(key) for key in asked} == asked
    assert None not in sent.values()


def test_a_local_picture_is_sent_as_plain_base64_and_a_url_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    sent = request.body(Request("x", reference=(str(tmp_path / "a.png"), "https://h/b.png")), SILENT)
    assert sent["input_images"] == [{"b64_json": base64.b64encode(PNG).decode()}, {"url": "https://h/b.png"}]


@pytest.mark.parametrize("options", [["-m", "wan\udcff"], ["-m", "ltx-2", "-a", "\udcff"], ["-i", "http://h/\udcff"]])
def test_an_option_that_is_no_text_is_refused_before_anything_is_sent(world: World, options: list[str]) -> None:
    result = world.airvid("create", "a fox", "--no-validate", *options)
    assert (result.code, world.posts) == (2, [])
