"""How long is left of a task, from how long this model's tasks took before. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# Of fewer runs than these, nothing is concluded.
LEAST_RUNS = 3


def seconds_left(past: Sequence[float], passed: float) -> float | None:
    """What a task that has run for `passed` seconds still needs, judged by the runs that had not ended by then either.

    `past` are the lengths of past runs, seconds. None where too few are known, or hardly any took as long as this.
    """
    if len(past) < LEAST_RUNS:
        return None
    longer = sorted(seconds for seconds in past if seconds > passed)
    middle = len(longer) // 2
    # Their median; `statistics` would bring fractions and decimals along for it.
    return (longer[middle] + longer[~middle]) / 2 - passed if longer else None


def is_overdue(past: Sequence[float], passed: float) -> bool:
    """Whether a task takes longer than every run that is known."""
    return len(past) >= LEAST_RUNS and passed >= max(past)


def usual_span(ends: Sequence[float]) -> tuple[float, float] | None:
    """Between which moments a task ends, by those at which past runs would have. Of ten or more, the first and the last
    tenth are left out.
    """
    if len(ends) < LEAST_RUNS:
        return None
    ends, odd = sorted(ends), len(ends) // 10
    return ends[odd], ends[~odd]
