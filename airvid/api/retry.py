"""Retry decisions, and the pauses between two readings of a task (pure functions)."""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Mapping, Sequence

from airvid.api.models import number

# Seconds without an answer, and of a download without a byte, after which a command without --timeout gives up.
PATIENCE = 60.0
# The same for a host to which there is no connection.
UNREACHABLE = 15.0
# Seconds for which a rate limit is waited out: it passes.
LIMIT_PATIENCE = 90.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
# The longest pause in seconds, though the server asks for a longer one.
LONGEST_HINT = 600.0
# Pauses of so many seconds or more are told to the user.
TOLD_PAUSE = 5.0
# Seconds in an error's message; the first that is found counts.
_WORDS = (r"guaranteed[^.]*?\bin (\d+(?:\.\d+)?) ?s", r"(?:try again|retry|wait)[^.]*?(\d+(?:\.\d+)?) ?s")


def is_transient(status: int) -> bool:
    """Whether an idempotent request with this HTTP status may be repeated."""
    return status in (408, 425, 429) or status >= 500  # time-outs, limits, and failures of a server or CDN


def backoff(attempt: int, jitter: float) -> float:
    """Seconds before attempt `attempt` + 1: doubled each time up to a limit; `jitter` (0 to 1) takes up to half off."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 16))
    return float(pause * (0.5 + 0.5 * jitter))


def next_pause(attempt: int, spent: float, patience: float, hint: float | None, jitter: float) -> float | None:
    """Seconds until the next attempt, or None when it would come after `patience` seconds in all."""
    left = patience - spent
    # Never earlier than the server's hint: an earlier request would count against the same limit.
    pause = max(min(backoff(attempt, jitter), left), hint or 0.0)
    return pause if left >= FIRST_PAUSE and pause <= left else None


class Patience:
    """For how long a failing request is repeated: PATIENCE seconds without success.

    A pause that the server itself asks for does not count, up to LONGEST_HINT seconds in all.
    `now`: seconds on a monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self.renew(now)

    def renew(self, now: float) -> None:
        """A request has succeeded."""
        self._since, self._attempt, self._asked_for = now, 0, 0.0

    def pause(self, now: float, hint: float | None, jitter: float) -> float | None:
        """Seconds until the next attempt, not before the server's hint; None: give up."""
        spent = now - self._since - min(self._asked_for, LONGEST_HINT)
        pause = next_pause(self._attempt, spent, PATIENCE, None, jitter)
        self._attempt += 1
        if pause is None or hint is None or hint <= pause:
            return pause
        self._asked_for += hint
        return hint


def server_hint(headers: Mapping[str, str], data: object, message: str, now: float) -> float | None:
    """The server's hint when to repeat a request, in seconds from now, LONGEST_HINT at the most.

    The first of these: `Retry-After` (seconds, or a date compared with the server's own `Date`), `retry_after` in the
    JSON, the message's words.
    """
    after = headers.get("retry-after", "")
    told: list[object] = [after]
    if (due := http_date(after)) is not None:
        told.append(due - (http_date(headers.get("date", "")) or now))
    if isinstance(data, dict):
        told += [each.get("retry_after") for each in (data, data.get("error")) if isinstance(each, dict)]
    told += [found[1] for words in _WORDS if (found := re.search(words, message, re.IGNORECASE))]
    hints = (min(LONGEST_HINT, max(0.0, seconds)) for each in told if (seconds := number(each)) is not None)
    return next(hints, None)


def http_date(value: str) -> float | None:
    """An HTTP date as Unix seconds, None where it is none."""
    try:
        parsed = email.utils.parsedate_to_datetime(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


# ---------------------------------------------------------------------- between two readings of a task

# Seconds between two polls of a task whose end cannot be predicted: the least and the most, the share of the time
# waited so far by which the pause grows, and the most after a limit has refused polls.
LEAST, LONGEST, SHARE, WIDEST = 5.0, 15.0, 0.03, 60.0
# Near the predicted end: seconds after it at which the task is read, the least seconds between two polls, the number of
# polls within a predicted span, and the share of the delay by which the pause grows after it.
MARGIN, NEAR, LOOKS, LATE = 0.3, 1.5, 22, 0.1
# Per cent of progress from the first to the last reading before they predict an end, and how far the readings between
# may lie off the line: progress that jumps predicts nothing.
TELLING, STRAIGHT = 10.0, 5.0
# Fewer past runs predict nothing.
LEAST_RUNS = 3


class Pace:
    """The pauses between the polls of one task: long while its end is far, short near it.

    They grow when a limit refuses a poll, and shrink again after a success. Times are seconds on a monotonic clock.
    `usual_ends`: when the task would end if it took as long as each past one of its model.
    """

    def __init__(self, began: float, usual_ends: Sequence[float] = ()) -> None:
        self._began = began
        # The first and the last tenth of ten or more are left out.
        ends, odd = sorted(usual_ends), len(usual_ends) // 10
        self._usual = (ends[odd], ends[~odd]) if len(ends) >= LEAST_RUNS else None
        self._widened = 1.0
        self._told: list[tuple[float, float]] = []

    def learn(self, now: float, progress: float | None) -> None:
        """A poll has succeeded."""
        self._widened = max(1.0, self._widened / 2)
        if not progress:
            return
        if self._told and progress < self._told[-1][1]:
            self._told.clear()
        self._told.append((now, progress))

    def refused(self) -> None:
        """A limit has refused a poll."""
        self._widened = min(WIDEST / LEAST, 2 * self._widened)

    def pause(self, now: float, jitter: float) -> float:
        """Seconds until the next poll. `jitter` (0 to 1) spreads the polls of tasks that began together."""
        blind = min(LONGEST, LEAST + SHARE * (now - self._began)) * (1 + 0.2 * jitter)
        if self._widened > 1:
            return min(WIDEST, blind * self._widened)
        foreseen = self._by_progress() or self._usual
        if foreseen is None:
            return min(LONGEST, blind)
        soonest, latest = foreseen
        near = max(NEAR, (latest - soonest) / LOOKS)
        # Half of the way each time: near the end the prediction is better.
        ahead = (soonest + MARGIN - now) / 2
        return min(LONGEST, max(near, ahead) + LATE * max(0.0, now - latest))

    def _by_progress(self) -> tuple[float, float] | None:
        """When the task ends if its progress goes on as evenly as before; None where it is uneven or too short."""
        if len(self._told) < 3:
            return None
        (began, low), (now, high) = self._told[0], self._told[-1]
        if high - low < TELLING or now <= began:
            return None
        slope = (high - low) / (now - began)
        if any(abs(low + slope * (at - began) - progress) > STRAIGHT for at, progress in self._told):
            return None
        end = now + (100.0 - high) / slope
        return end, end


def seconds_left(past: Sequence[float], passed: float) -> float | None:
    """Seconds that a task which has run for `passed` still needs: the median of the `past` runs that took longer.

    None where there are too few.
    """
    if len(past) < LEAST_RUNS:
        return None
    import statistics  # which loads fractions and decimals

    longer = [seconds for seconds in past if seconds > passed]
    return statistics.median(longer) - passed if longer else None


def is_overdue(past: Sequence[float], passed: float) -> bool:
    """Whether a task takes longer than every run that is known."""
    return len(past) >= LEAST_RUNS and passed >= max(past)
