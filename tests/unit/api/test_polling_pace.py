"""When to poll: seldom while the end is far, often around it, less where a limit asks for it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

import pytest

from airvid.api.retry import LEAST, LONGEST, WIDEST, Pace


def polled(progress: Callable[[float], float | None], end: float, usual: Sequence[float] = ()) -> list[float]:
    """The moments at which a task that ends at `end` is polled, the last one after it has ended."""
    pace, chance, now, moments = Pace(0.0, usual), random.Random(1), 0.0, [0.0]
    while now < end:
        pace.learn(now, progress(now))
        now += pace.pause(now, chance.random())
        moments.append(now)
    return moments


@pytest.mark.parametrize("end", [30.0, 95.0, 240.0])
def test_what_tells_its_progress_is_found_at_its_end(end: float) -> None:
    moments = polled(lambda now: int(100 * now / end), end)
    assert moments[-1] - end < 2
    assert len(moments) < end / 8 + 8


@pytest.mark.parametrize("told", [None, 0.0, 50.0])
def test_what_tells_nothing_is_polled_every_5_to_15_seconds(told: float | None) -> None:
    moments = polled(lambda _: told, 600)
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert min(pauses) >= LEAST
    assert pauses[-1] == pytest.approx(max(pauses)) == LONGEST


@pytest.mark.parametrize(
    ("told", "usual", "late"),
    [(None, [118, 119, 121], 2), (None, [100, 110, 118, 125, 130], 3), (50.0, [118, 119, 121], 2)],
    ids=["alike", "unlike", "stuck"],
)
def test_what_tells_nothing_is_found_when_others_of_its_model_ended(
    told: float | None, usual: list[float], late: float
) -> None:
    moments = polled(lambda _: told, 120, usual)
    assert 0 <= moments[-1] - 120 < late
    assert len(moments) < 30


def test_a_run_out_of_the_common_does_not_spread_the_looks() -> None:
    usual = [115, 116, 117, 118, 119, 121, 122, 123, 124, 125]
    assert len(polled(lambda _: None, 120, [*usual, 10, 900])) <= len(polled(lambda _: None, 120, usual)) + 2


def test_two_runs_foretell_nothing() -> None:
    assert polled(lambda _: None, 120, [119, 119]) == polled(lambda _: None, 120)


def test_progress_that_jumps_is_not_believed_where_past_runs_tell_better() -> None:
    heights = {0: 5, 30: 95, 60: 96, 90: 97}
    moments = polled(
        lambda now: next(high for at, high in reversed(heights.items()) if now >= at), 120, [118, 119, 121]
    )
    assert moments[-1] - 120 < 2
    assert len(moments) < 25


def test_what_is_long_overdue_is_polled_ever_more_rarely() -> None:
    moments = polled(lambda _: None, 900, [59, 60, 61])
    assert moments[-1] - moments[-2] == pytest.approx(LONGEST)


@pytest.mark.parametrize("jumps", [[10, 90, 5, 50], [99, 1], [50, 50, 50], [100, 100], [0.1, 100]])
def test_progress_that_jumps_and_goes_back_never_makes_it_hurry_or_sleep(jumps: list[float]) -> None:
    pace, now = Pace(0.0), 0.0
    for told in jumps * 10:
        pace.learn(now, told)
        pause = pace.pause(now, 0.5)
        assert 1 <= pause <= LONGEST
        now += pause
    assert now > 5 * len(jumps)


def test_a_limit_widens_the_pauses_and_good_answers_narrow_them_again() -> None:
    pace = Pace(0.0)
    pauses = []
    for _ in range(6):
        pace.refused()
        pauses.append(pace.pause(0, 0))
    assert pauses == sorted(pauses)
    assert pauses[0] > LEAST
    assert pauses[-1] == WIDEST
    for _ in range(6):
        pace.learn(0, None)
    assert pace.pause(0, 0) == LEAST
