"""Faults: what goes wrong with which calls, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from airvid.sandbox.messages import Ending, Request, Response, refusal


@dataclass(frozen=True)
class Fault:
    """A failure of calls. `on` is a regular expression that matches the beginning of `Request.call`.

    `answer` and `ending` replace those of the real answer, `delay` (seconds) postpones it. With `before` the request
    is not handled at all: no task is made. The first `skip` calls pass, the next `times` calls fail.
    """

    on: str
    answer: Response | None = None
    ending: Ending | None = None
    before: bool = False
    times: int = 1
    skip: int = 0
    delay: float = 0.0

    def apply(self, response: Response | None) -> Response:
        """The answer that the client gets instead of `response` (None: the request was not handled)."""
        response = self.answer or response or refusal(503, "The service is unavailable.", "unavailable")
        chunks, ending = response.chunks, self.ending or response.ending
        if chunks is not None and ending in ("truncate", "cut"):
            chunks = chunks[: (len(chunks) + 1) // 2]
        return replace(response, chunks=chunks, ending=ending, delay=self.delay or response.delay)


def next_fault(faults: list[Fault], request: Request) -> Fault | None:
    """The first fault that matches a request, if its turn has come. `faults` counts down."""
    for place, fault in enumerate(faults):
        if not re.match(fault.on, request.call):
            continue
        if fault.skip:
            faults[place] = replace(fault, skip=fault.skip - 1)
            return None
        if fault.times > 1:
            faults[place] = replace(fault, times=fault.times - 1)
        else:
            del faults[place]
        return fault
    return None
