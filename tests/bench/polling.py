"""Polling where no stream can be had: follow on a virtual clock, beside a loop that asks every 8 s."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from statistics import mean
from typing import Any

from virtual_clock import VirtualClock

from airvid import clock
from airvid.api.models import Task
from airvid.clips.follow import Shared, follow
from airvid.errors import UnavailableError

from .rows import Line, Sides, Theme, times

TASKS = 600
# Past runs that the journal knows of a task's model, as many as are looked at, and how far their lengths spread (the
# standard deviation of their logarithms).
RUNS, SPREAD = 20, 0.1
EVERY = 8.0
Shape = Callable[[random.Random], Callable[[float], float | None]]
"""A task's progress: per cent, or nothing, by the part of its work that is done (0 to 1)."""


def _even(_: random.Random) -> Callable[[float], float | None]:
    return lambda part: int(100 * part)


def _jumpy(chance: random.Random) -> Callable[[float], float | None]:
    """Four or five steps at odd moments, to odd heights, one of them backwards; the last one long before the end."""
    count = chance.randint(4, 5)
    moments = sorted(chance.uniform(0.05, 0.9) for _ in range(count))
    heights = sorted(chance.uniform(3, 99) for _ in range(count))
    swapped = chance.randrange(count - 1)
    heights[swapped], heights[swapped + 1] = heights[swapped + 1], heights[swapped]
    return lambda part: next((high for at, high in zip(moments[::-1], heights[::-1], strict=True) if part >= at), 0)


def _silent(_: random.Random) -> Callable[[float], float | None]:
    return lambda _: None


SHAPES: dict[str, Shape] = {"even progress": _even, "jumpy progress": _jumpy, "no progress": _silent}
THEIRS = f"a poll every {EVERY:g} s"
LINES = (
    Line(
        "delay after completion",
        "delay",
        f"delay of {THEIRS}",
        times(0.35),
        "foreseen by progress and by past runs",
        "s",
    ),
    Line("requests", "requests", f"requests of {THEIRS}", times(1.3), "refused streams counted", "a task"),
)


class _Model:
    """One model's tasks: half of them queue, for up to a minute; all of them work about as long as its others do."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self._usual = chance, chance.uniform(30, 240)

    def run(self) -> tuple[float, float]:
        """Seconds in the queue, and at work."""
        queued = self._chance.uniform(0.5, 60) if self._chance.random() < 0.5 else 0.5
        return queued, self._usual * math.exp(self._chance.gauss(0, SPREAD))


class _Render:
    """The API of one task, without streams."""

    def __init__(self, chance: random.Random, shape: Shape) -> None:
        model = _Model(chance)
        self.past = [sum(model.run()) for _ in range(RUNS)]
        self._starts, self._seconds = model.run()
        self._progress = shape(chance)
        self.end = self._starts + self._seconds
        self.requests = 0

    async def task(self, task_id: str, patience: float) -> Task:
        self.requests += 1
        now = clock.elapsed()
        told: dict[str, Any] = {"status": "queued" if now < self._starts else "processing"}
        if now >= self.end:
            told = {"status": "completed", "progress": 100, "result_url": "http://storage.test/clip.mp4"}
        elif now >= self._starts:
            told["progress"] = self._progress((now - self._starts) / self._seconds)
        task = Task.parse(told, task_id)
        assert task
        return task

    async def stream(self, task_id: str) -> AsyncGenerator[dict[str, Any], None]:
        self.requests += 1
        for _ in ():
            yield {}
        raise UnavailableError("no streams here")

    def is_past(self, moment: float | None) -> bool:
        return moment is not None and clock.now() >= moment


async def _followed(render: _Render) -> float:
    """Seconds from the task's end until follow has seen it."""
    api: Any = render
    task = Task.parse({"status": "queued"}, "task")
    assert task
    async with aclosing(
        follow(api, task, Shared(api), is_fresh=True, was_seen=True, usual_ends=render.past)
    ) as readings:
        async for _ in readings:
            pass
    return clock.elapsed() - render.end


def _simulated() -> dict[str, float]:
    """Means over tasks of all shapes. The tasks are the same at each run."""
    ours, theirs = [], []
    for shape, progress in SHAPES.items():
        for number in range(TASKS // len(SHAPES)):
            render, virtual = _Render(random.Random(f"{shape} {number}"), progress), VirtualClock()
            with clock.use(virtual), asyncio.Runner(loop_factory=virtual.loop_factory) as loop:
                delay = loop.run(_followed(render))
            polls = math.ceil(render.end / EVERY)
            ours.append((delay, render.requests))
            theirs.append((polls * EVERY - render.end, polls + 1))
    found: dict[str, float] = {}
    for place, figure in enumerate(("delay", "requests")):
        found[figure] = mean(each[place] for each in ours)
        found[f"{figure} of {THEIRS}"] = mean(each[place] for each in theirs)
    return found


@contextmanager
def sides() -> Iterator[Sides]:
    """Each figure of one simulation."""
    random.seed(1)  # the jitter of follow
    yield {name: lambda value=value: value for name, value in _simulated().items()}  # type: ignore[misc]


THEME = Theme("polling", 1, LINES, sides)
