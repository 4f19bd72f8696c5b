from __future__ import annotations

import pytest

from airvid.ui.dashboard import Tally


@pytest.mark.parametrize(
    ("running", "waiting", "seconds"),
    [
        (4, 36, 380.0),  # four at a time
        (1, 2, 100.0),  # rows that go on from one another, one at a time
        (2, 0, 20.0),  # the last two
        (0, 8, 80.0),  # before the first
    ],
)
def test_a_batch_takes_as_long_as_what_runs_at_a_time(running: int, waiting: int, seconds: float) -> None:
    tally = Tally(running + waiting, slots=4, running=running, waiting=waiting, past=[40.0])
    assert tally.seconds_left() == seconds
