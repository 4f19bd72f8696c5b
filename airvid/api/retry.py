"""May this be repeated, and how long is there to wait, until the next try or the next look at a task? Pure."""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Mapping, Sequence

from airvid.api.models import number

# Seconds without success, of a file without a byte, after which a command without a --timeout gives up (contract §3).
PATIENCE = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
# A server that asks for more seconds than these is asked again after them.
LONGEST_HINT = 600.0
# A pause of so many seconds is told while it lasts.
TOLD_PAUSE = 5.0
# In the order in which they are believed.
_WORDS = (r"guaranteed[^.]*?\bin (\d+(?:\.\d+)?) ?s", r"(?:try again|retry|wait)[^.]*?(\d+(?:\.\d+)?) ?s")


def is_transient(status: int) -> bool:
    """Whether an idempotent request that got this HTTP status may be repeated."""
    return status in (408, 425, 429) or status >= 500  # time-outs, limits, and what a server or CDN calls its fault


def backoff(attempt: int, jitter: float) -> float:
    """Seconds before attempt `attempt` + 1: doubling, capped, spread by `jitter` (0 to 1) over its upper half."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 16))
    return float(pause * (0.5 + 0.5 * jitter))


def next_pause(attempt: int, spent: float, patience: float, hint: float | None, jitter: float) -> float | None:
    """Seconds until the next attempt, or None when it would come after `patience` seconds in all."""
    # A server's hint is a floor: coming back earlier only feeds the limit it speaks of.
    pause = max(backoff(attempt, jitter), hint or 0.0)
    return pause if spent + pause <= patience else None


class Patience:
    """How long a failing server is asked again: for PATIENCE seconds without success.

    A pause that the server itself asks for does not count, up to LONGEST_HINT seconds in all.
    `now` is seconds on one clock that only grows.
    """

    def __init__(self, now: float) -> None:
        self.renew(now)

    def renew(self, now: float) -> None:
        """There was success."""
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
    """The server's own word on when to come back, in seconds from now, LONGEST_HINT at the most.

    In the order of the API's description: `Retry-After` (seconds or a date, against the server's own `Date`),
    `retry_after`, the message's words.
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


# ---------------------------------------------------------------------- until the next look at a task

# Seconds between two polls where nothing foretells the end (contract 6.1): the pause grows by this share of the wait.
# And how far a limit that refuses them can widen that.
LEAST, LONGEST, SHARE, WIDEST = 5.0, 15.0, 0.03, 60.0
# Seconds after the foreseen end at which it is looked for, and between two looks around it: where it is known within a
# span, that many looks fill the span, and past it they grow rare again by this share of the delay.
MARGIN, NEAR, LOOKS, LATE = 0.3, 1.5, 22, 0.1
# Per cent between the first reading and the last before their slope foretells anything, and how far those between may
# lie off the line: progress that jumps tells nothing.
TELLING, STRAIGHT = 10.0, 5.0
# Of fewer past runs nothing is concluded.
LEAST_RUNS = 3


class Pace:
    """The pauses of one task: sparse while its end is far, so that there are polls to spare around it.

    A limit that refuses us widens them, and they narrow again.
    Times are seconds on one clock that only grows; `usual_ends` are the moments at which the task would end if it took
    as long as one or another of its model did.
    """

    def __init__(self, began: float, usual_ends: Sequence[float] = ()) -> None:
        self._began = began
        # Of ten or more, the first and the last tenth are left out.
        ends, odd = sorted(usual_ends), len(usual_ends) // 10
        self._usual = (ends[odd], ends[~odd]) if len(ends) >= LEAST_RUNS else None
        self._widened = 1.0
        self._told: list[tuple[float, float]] = []

    def learn(self, now: float, progress: float | None) -> None:
        """Take in what a poll told."""
        self._widened = max(1.0, self._widened / 2)
        if not progress:
            return
        if self._told and progress < self._told[-1][1]:
            self._told.clear()
        self._told.append((now, progress))

    def refused(self) -> None:
        """A limit refused the poll."""
        self._widened = min(WIDEST / LEAST, 2 * self._widened)

    def pause(self, now: float, jitter: float) -> float:
        """Seconds until the next poll; `jitter` (0 to 1) spreads those who began together and foresee nothing."""
        blind = min(LONGEST, LEAST + SHARE * (now - self._began)) * (1 + 0.2 * jitter)
        if self._widened > 1:
            return min(WIDEST, blind * self._widened)
        foreseen = self._by_progress() or self._usual
        if foreseen is None:
            return min(LONGEST, blind)
        soonest, latest = foreseen
        near = max(NEAR, (latest - soonest) / LOOKS)
        # Half of the way each time: the nearer the end, the better it is foreseen.
        ahead = (soonest + MARGIN - now) / 2
        return min(LONGEST, max(near, ahead) + LATE * max(0.0, now - latest))

    def _by_progress(self) -> tuple[float, float] | None:
        """When the task ends if it goes on as evenly as before."""
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
    """Seconds that a task which has run for `passed` still needs, judged by the `past` runs that took longer; None for
    want of such.
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
