"""How long to wait between two polls of one task: decided by what they told so far, and by how long such tasks take."""

from __future__ import annotations

# Seconds between two polls (contract 6.1), and how far a limit that refuses them can widen that.
LEAST, LONGEST, WIDEST = 5.0, 15.0, 60.0
GROWTH = 1.3
# Seconds after the foreseen end at which it is looked for, and until the next look where it has not come.
MARGIN, NEAR = 0.3, 1.5
# So many looks around the foreseen end before they grow rare again.
PATIENT_LOOKS = 6
# Per cent between two readings before their slope foretells anything.
TELLING = 10.0


class Pace:
    """The pauses of one task: sparse while its end is far, so that there are polls to spare around it.

    Where nothing foretells the end they grow. A limit that refuses us widens them, and they narrow again.
    Times are seconds on one clock that only grows; `usual_end` is when the task would end if it took as long as others
    of its model did.
    """

    def __init__(self, usual_end: float | None = None) -> None:
        self._usual_end = usual_end
        self._interval = LEAST
        self._widened = 1.0
        self._overdue = 0
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None

    def learn(self, now: float, progress: float | None) -> None:
        """Take in what a poll told."""
        self._widened = max(1.0, self._widened / 2)
        self._interval = min(LONGEST, self._interval * GROWTH)
        if not progress:
            return
        if self._first is None or progress < self._first[1]:
            self._first = (now, progress)
        self._last = (now, progress)

    def refused(self) -> None:
        """A limit refused the poll."""
        self._widened = min(WIDEST / LEAST, 2 * self._widened)

    def pause(self, now: float, jitter: float) -> float:
        """Seconds until the next poll; `jitter` (0 to 1) spreads those who began together."""
        if self._widened > 1:
            return min(WIDEST, self._interval * self._widened * (1 + 0.2 * jitter))
        end = self._foreseen()
        if end is None:
            return min(LONGEST, self._interval * (1 + 0.2 * jitter))
        left = end + MARGIN - now
        if left > NEAR:
            # Half of the way each time: the nearer the end, the better it is foreseen.
            return min(LONGEST, max(NEAR, left / 2))
        self._overdue += 1
        return min(LONGEST, NEAR * GROWTH ** max(0, self._overdue - PATIENT_LOOKS))

    def _foreseen(self) -> float | None:
        """When the task ends if it goes on as it did, or else as others of its model."""
        if self._first and self._last and self._last[1] - self._first[1] >= TELLING:
            (began, low), (now, high) = self._first, self._last
            return now + (100.0 - high) * (now - began) / (high - low)
        return self._usual_end
