"""Tasks, models and caps: what is read from whatever the server sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airvid.api.models import STATUSES, Caps, Model, Task, canonical_status, error_text, number, text

few = settings(max_examples=30, deadline=None, database=None, derandomize=True)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TASK_KEYS = ["task_id", "status", "model", "progress", "created", "expires_at", "cost_cents", "result_url", "error"]
MODEL_KEYS = ["id", "status", "output_modalities", "media_type", "video_caps"]
CAPS_KEYS = ["aspect_ratios", "qualities", "min_duration_s", "max_duration_s", "modes", "price_per_second_cents"]
VIDEO = {"id": "wan", "output_modalities": ["video"]}


def parsed(raw: object, task_id: str | None = None) -> Task:
    task = Task.parse(raw, task_id)
    assert task
    return task


def model(**caps: Any) -> Model:
    found = Model.parse({**VIDEO, "video_caps": caps})
    assert found
    return found


# ---------------------------------------------------------------------- numbers, texts, errors, statuses


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12, 12.0),
        (0.1, 0.1),
        ("12", 12.0),
        (" 12.5% ", 12.5),
        (0, 0.0),
        (-3, -3.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        (None, None),
        ([1], None),
    ],
)
def test_a_number_is_finite_or_none(value: object, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(("value", "expected"), [("a", "a"), (" a ", " a "), (" \n", None), (5, None), (None, None)])
def test_a_text_is_more_than_white_space(value: object, expected: str | None) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("no", "no"),
        ({"message": "no", "code": "x"}, "no"),
        ({"message": None, "code": "x"}, "x"),
        ({"error": {"message": "no"}}, "no"),
        ({"detail": "no"}, "no"),
        ({}, None),
        (["no"], None),
        ("  ", None),
    ],
)
def test_an_error_of_any_shape_yields_its_sentence(value: object, expected: str | None) -> None:
    assert error_text(value) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("queued", "queued"),
        (" COMPLETED ", "completed"),
        ("succeeded", "completed"),
        ("in_progress", "processing"),
        ("In Progress", "processing"),
        ("in-progress", "processing"),
        ("canceled", "failed"),
        ("Cancelled", "failed"),
        ("EXPIRED", "expired"),
        ("pending", "queued"),
        ("Upscaling", "Upscaling"),
        (None, "unknown"),
        (7, "unknown"),
        ("", "unknown"),
    ],
)
def test_a_status_is_known_in_any_spelling(word: object, expected: str) -> None:
    assert canonical_status(word) == expected


@pytest.mark.parametrize("word", [*STATUSES, "upscaling", "unknown"])
def test_only_the_three_last_words_end_a_task(word: str) -> None:
    assert parsed({"task_id": "t", "status": word}).is_terminal is (word in ("completed", "failed", "expired"))


# ---------------------------------------------------------------------- tasks


@few
@given(any_json | st.fixed_dictionaries({}, optional=dict.fromkeys(TASK_KEYS, any_json)))
def test_no_json_breaks_the_reading_of_a_task(raw: Any) -> None:
    task = Task.parse(raw, "t")
    assert (task is not None) == isinstance(raw, dict)
    assert task is None or (task.task_id and task.raw is raw and isinstance(task.updated(raw), Task))


def test_an_error_nested_as_deep_as_json_goes_does_not_break_the_reading() -> None:
    deep: dict[str, Any] = {}
    for _ in range(600):
        deep = {"message": deep}
    assert parsed({"task_id": "t", "status": "failed", "error": deep}).status == "failed"


@pytest.mark.parametrize("raw", [None, [], "t", 5, {}, {"task_id": ""}, {"task_id": None}, {"task_id": True}])
def test_what_has_no_id_is_no_task(raw: object) -> None:
    assert Task.parse(raw) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [({"task_id": "own"}, "own"), ({"task_id": 5}, "5"), ({"task_id": None}, "asked"), ({}, "asked")],
)
def test_the_asked_id_stands_in_for_a_missing_one(raw: object, expected: str) -> None:
    assert parsed(raw, "asked").task_id == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(12, 12.0), ("12", 12.0), ("12%", 12.0), (-5, 0.0), (250, 100.0), (None, None), ("soon", None), ([], None)],
)
def test_progress_is_a_percentage_or_nothing(value: object, expected: float | None) -> None:
    assert parsed({"task_id": "t", "progress": value}).progress == expected


@pytest.mark.parametrize(
    ("value", "usable"),
    [("https://h/x", True), ("HTTP://h/x", True), ("file:///etc/passwd", False), ("/x.mp4", False), (5, False)],
)
def test_only_a_web_address_is_a_result(value: object, usable: bool) -> None:
    assert parsed({"task_id": "t", "result_url": value}).result_url == (value if usable else None)


def test_news_replace_what_was_known_and_leave_the_rest() -> None:
    task = parsed({"task_id": "t", "status": "queued", "model": "wan", "cost_cents": 5, "odd": 1})
    news = task.updated({"status": "processing", "progress": 12, "model": None})
    assert (news.status, news.progress, news.model, news.cost_cents) == ("processing", 12.0, "wan", 5.0)
    assert news.raw["odd"] == 1


@pytest.mark.parametrize("raw", [{"task_id": "other", "status": "failed"}, [], "failed", None, 5])
def test_news_of_another_task_are_none(raw: object) -> None:
    task = parsed({"task_id": "t", "status": "queued"})
    assert task.updated(raw) is task


def test_news_of_a_task_whose_id_is_a_number_are_its_own() -> None:
    assert parsed({"task_id": 5, "status": "queued"}).updated({"task_id": 5, "status": "failed"}).status == "failed"


# ---------------------------------------------------------------------- models


@few
@given(
    any_json
    | st.fixed_dictionaries(
        {"id": st.just("m")},
        optional={
            **{key: any_json for key in MODEL_KEYS if key != "id"},
            "video_caps": st.fixed_dictionaries({}, optional=dict.fromkeys(CAPS_KEYS, any_json)),
        },
    )
)
def test_no_json_breaks_the_reading_of_a_model(raw: Any) -> None:
    found = Model.parse(raw)
    assert found is None or (
        found.id and isinstance(found.cents(5), float | None) and found.is_healthy in (True, False)
    )


@pytest.mark.parametrize(
    ("more", "is_video"),
    [
        ({"output_modalities": ["text", "video"]}, True),
        ({"output_modalities": ["Video"]}, True),
        ({"output_modalities": ["image"], "video_caps": {}}, False),
        ({"output_modalities": None, "media_type": "video"}, True),
        ({"output_modalities": [], "media_type": "image"}, False),
        ({"video_caps": {}}, True),
        ({"video_caps": None}, False),
        ({}, False),
    ],
)
def test_only_video_models_are_models(more: dict[str, Any], is_video: bool) -> None:
    assert (Model.parse({"id": "m", **more}) is not None) is is_video


@pytest.mark.parametrize("raw", [None, [], {**VIDEO, "id": ""}, {**VIDEO, "id": None}, {"object": "model"}])
def test_what_has_no_name_is_no_model(raw: object) -> None:
    assert Model.parse(raw) is None


@pytest.mark.parametrize("given_caps", [None, [], "all", {"modes": None, "qualities": "720p", "min_duration_s": "x"}])
def test_caps_that_nobody_told_are_empty(given_caps: object) -> None:
    found = Model.parse({**VIDEO, "video_caps": given_caps})
    assert found
    assert found.caps == Caps()


@pytest.mark.parametrize("price", [0, 0.0, "0", None, -1, "free", float("nan")])
def test_a_price_of_nothing_is_unknown_not_free(price: object) -> None:
    assert model(price_per_second_cents=price, min_duration_s=2).cents(8) is None


@pytest.mark.parametrize(
    ("seconds", "low", "expected"),
    [(8, 2, 0.8), (None, 2, 0.2), (None, None, None), (None, 0, None), (None, -3, None), (0.5, 2, 0.05)],
)
def test_a_clip_costs_its_seconds_else_the_models_least(
    seconds: float | None, low: int | None, expected: float | None
) -> None:
    assert model(price_per_second_cents="0.1", min_duration_s=low).cents(seconds) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("status", "healthy"),
    [(None, True), ("operational", True), ("anything", True), (5, True), ("DOWN", False), ("Major-Outage", False)],
)
def test_a_model_is_healthy_unless_its_status_says_otherwise(status: object, healthy: bool) -> None:
    found = Model.parse({**VIDEO, "status": status})
    assert found
    assert found.is_healthy is healthy
