"""May this be repeated, and after how many seconds: pure functions of values."""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Mapping

from airvid.tasks import number

# Seconds without success, of a file without a byte, after which a command without a --timeout gives up (contract §3).
PATIENCE = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
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


def server_hint(headers: Mapping[str, str], data: object, message: str, now: float) -> float | None:
    """The server's own word on when to come back, in seconds from now, in the order of the API's description:
    `Retry-After` (seconds or a date, against the server's own `Date`), `retry_after`, the message's words."""
    after = headers.get("retry-after", "")
    told: list[object] = [after]
    if (due := http_date(after)) is not None:
        told.append(due - (http_date(headers.get("date", "")) or now))
    if isinstance(data, dict):
        told += [each.get("retry_after") for each in (data, data.get("error")) if isinstance(each, dict)]
    told += [found[1] for words in _WORDS if (found := re.search(words, message, re.IGNORECASE))]
    return next((max(0.0, seconds) for each in told if (seconds := number(each)) is not None), None)


def http_date(value: str) -> float | None:
    """An HTTP date as Unix seconds, None where it is none."""
    try:
        parsed = email.utils.parsedate_to_datetime(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
