"""How many connections fill one file: twice as many at each step, while that pays."""

from __future__ import annotations

from airvid.part import Part, Span

# Seconds between two looks; two of them are a step, of which the second is measured: the first settles.
TICK = 0.025
MOST, GROWTH = 8, 2
# More connections are worth their while where the rest would take so many seconds, and where a step brought so much.
WORTH, GAIN = 2.0, 1.3
# Bytes a second, of all connections together, that are fast enough.
FAST = 50_000_000


class Lanes:
    """Decides by what is seen of a part at each tick.

    A step paid where more came in than at the one before, or where connections wait for bytes: then the server holds
    back each of them, as one that meters them does. On a line that is simply full all of them flow, and none is added.
    """

    def __init__(self) -> None:
        self._most = MOST
        self._rate = 0.0
        self._seen: tuple[float, int, dict[Span, int]] | None = None
        self._is_settled = False
        self._has_grown = False

    def lost(self, working: int) -> None:
        """A connection failed: the server may not want so many."""
        self._most = max(1, working)

    def more(self, now: float, part: Part, working: int) -> int:
        """How many connections to add. `now`: seconds on a clock that only grows."""
        places = {span: span.at for span in part.spans if span.is_taken}
        before, self._seen = self._seen, (now, part.done, places)
        if before is None or part.total is None or now <= before[0]:
            return 0
        if not all(span.is_flowing for span in places):
            return 0  # on a long way, a connection's first bytes take their time
        if not self._is_settled:
            self._is_settled = True
            return 0
        self._is_settled = False
        rate = (part.done - before[1]) / (now - before[0])
        is_starved = any(before[2].get(span) == at for span, at in places.items())
        if self._has_grown and not is_starved and rate < GAIN * self._rate:
            self._most = working
        self._rate = rate
        is_worth_it = rate < FAST and part.total - part.done > WORTH * rate
        added = max(0, min(self._most, GROWTH * working) - working) if is_worth_it else 0
        self._has_grown = added > 0
        return added
