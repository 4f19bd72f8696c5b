"""May this be repeated, and when: the server's hints, and the pauses between attempts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airvid.api.retry import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Patience,
    backoff,
    http_date,
    is_transient,
    next_pause,
    server_hint,
)

NOW = 1_790_000_000.0
IN_A_MINUTE = formatdate(NOW + 60, usegmt=True)
GUARANTEED = "Try again in 1.0 seconds. Your next guaranteed response is in 119 seconds"
few = settings(max_examples=40, deadline=None, database=None, derandomize=True)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is not UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 529])
def test_a_passing_failure_may_be_repeated(status: int) -> None:
    assert is_transient(status)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 402, 403, 404, 409, 410, 413, 422])
def test_a_refusal_may_not_be_repeated(status: int) -> None:
    assert not is_transient(status)


# ---------------------------------------------------------------------- pauses


@pytest.mark.parametrize(("attempt", "most"), [(0, 0.5), (1, 1.0), (2, 2.0), (4, 8.0), (5, 15.0), (10**9, 15.0)])
def test_pauses_double_up_to_the_longest(attempt: int, most: float) -> None:
    assert backoff(attempt, 1.0) == most
    assert backoff(attempt, 0.0) == most / 2


@few
@given(st.integers(0, 100), st.floats(0, 1))
def test_a_pause_is_never_nothing_and_never_longer_than_the_longest(attempt: int, jitter: float) -> None:
    assert FIRST_PAUSE / 2 <= backoff(attempt, jitter) <= LONGEST_PAUSE


@pytest.mark.parametrize(
    ("spent", "patience", "hint", "expected"),
    [
        (0, 60, None, 1.0),
        (59, 60, None, 1.0),
        (59.4, 60, None, 0.6),
        (59.6, 60, None, None),
        (0, 0, None, None),
        (0, 60, 0.0, 1.0),
        (0, 60, 30.0, 30.0),
        (0, 60, 60.0, 60.0),
        (0, 60, 61.0, None),
    ],
)
def test_the_next_attempt_comes_within_patience_and_not_before_the_hint(
    spent: float, patience: float, hint: float | None, expected: float | None
) -> None:
    assert next_pause(1, spent, patience, hint, 1.0) == pytest.approx(expected)


def attempts(hint: float | None) -> list[float]:
    """The moments at which a server that never gets better is asked again."""
    patience, now = Patience(0), 0.0
    moments = []
    while (pause := patience.pause(now, hint, 1.0)) is not None:
        now += pause
        moments.append(now)
    return moments


def test_without_a_hint_patience_is_a_minute() -> None:
    assert 30 < attempts(None)[-1] <= 60


@pytest.mark.parametrize("hint", [20.0, 90.0, 600.0])
def test_pauses_that_the_server_asks_for_are_kept_and_do_not_count_for_ten_minutes(hint: float) -> None:
    moments = attempts(hint)
    assert moments[0] == hint
    assert 600 <= moments[-1] <= 600 + 60 + hint


def test_success_renews_patience() -> None:
    patience = Patience(0)
    assert patience.pause(61, 5.0, 1.0) is None
    patience.renew(100)
    assert patience.pause(100, 90.0, 1.0) == 90.0
    assert patience.pause(190, None, 1.0) == 1.0


# ---------------------------------------------------------------------- the server's word


@pytest.mark.parametrize(
    ("headers", "data", "message", "expected"),
    [
        ({"retry-after": "7"}, None, "", 7.0),
        ({"retry-after": "1.5"}, None, "", 1.5),
        ({"retry-after": "0"}, {"retry_after": 9}, "", 0.0),
        ({"retry-after": "-3"}, None, "", 0.0),
        ({"retry-after": "99999999"}, None, "", 600.0),
        ({"retry-after": formatdate(NOW + 86_400, usegmt=True)}, None, "", 600.0),
        ({}, {"retry_after": 1e300}, "", 600.0),
        ({"retry-after": IN_A_MINUTE}, None, "", 60.0),
        ({"retry-after": IN_A_MINUTE, "date": formatdate(NOW + 50, usegmt=True)}, None, "", 10.0),
        ({"retry-after": formatdate(NOW - 60, usegmt=True)}, None, "", 0.0),
        ({"retry-after": "soon"}, {"retry_after": 9}, "", 9.0),
        ({}, {"retry_after": "9"}, GUARANTEED, 9.0),
        ({}, {"error": {"retry_after": 4}}, "", 4.0),
        ({}, {"error": "text"}, GUARANTEED, 119.0),
        ({}, None, "Try again in 1.5 seconds", 1.5),
        ({}, None, "please wait 20s", 20.0),
        ({}, None, "Rate limit of 5 requests reached.", None),
        ({}, ["retry_after"], "", None),
        ({}, None, "", None),
    ],
)
def test_the_hint_is_read_in_the_documented_order(
    headers: dict[str, str], data: object, message: str, expected: float | None
) -> None:
    assert server_hint(headers, data, message, NOW) == expected


@few
@given(
    st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text(max_size=30)),
    st.none() | st.dictionaries(st.sampled_from(["retry_after", "error"]), st.text() | st.floats() | st.none()),
    st.text(max_size=60),
)
def test_no_answer_breaks_the_reading_of_a_hint(headers: dict[str, str], data: Any, message: str) -> None:
    hint = server_hint(headers, data, message, NOW)
    assert hint is None or 0 <= hint < float("inf")


@pytest.mark.usefixtures("tokyo")
@pytest.mark.parametrize(
    "value", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_all_three_forms_of_an_http_date_are_utc(value: str) -> None:
    """RFC 9110, 5.6.7: a recipient accepts all three, and all are in UTC."""
    assert http_date(value) == 784_111_777.0


@pytest.mark.parametrize("value", ["", "7", "soon", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 99999 08:49:37 GMT"])
def test_what_is_no_date_is_none(value: str) -> None:
    assert http_date(value) is None
