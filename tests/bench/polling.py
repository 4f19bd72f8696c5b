"""Polling where no stream can be had: follow on a virtual clock, beside a loop that asks every 8 s."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from statistics import mean
from typing import Any

from conftest import VirtualClock

from airvid import clock
from airvid.errors import UnavailableError
from airvid.follow import Shared, follow
from airvid.tasks import Task

from .rows import Line, Sides, Theme, times

TASKS = 120
EVERY = 8.0
Shape = Callable[[random.Random], Callable[[float], float | None]]
"""A task's progress: per cent, or nothing, by the part of its work that is done (0 to 1)."""


def _linear(_: random.Random) -> Callable[[float], float | None]:
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


SHAPES: dict[str, Shape] = {"linear": _linear, "jumpy": _jumpy, "no progress": _silent}
LINES = (
    Line(
        "delay after completion", "delay", "delay of a poll every 8 s", times(0.25),
        "a third of the tasks each: linear progress ×{delay, linear:.2f}, jumpy ×{delay, jumpy:.2f}, "
        "none ×{delay, no progress:.2f}", "s",
    ),
    Line(
        "requests", "requests", "requests of a poll every 8 s", times(1.3),
        "refused streams counted; linear ×{requests, linear:.2f}, jumpy ×{requests, jumpy:.2f}, "
        "none ×{requests, no progress:.2f}", "a task",
    ),
)  # fmt: skip


class _Render:
    """The API of one task, without streams: queued for up to a minute, then at work for half a minute to four."""

    def __init__(self, chance: random.Random, shape: Shape) -> None:
        self._starts = chance.uniform(0.5, 60) if chance.random() < 0.5 else 0.5
        self._seconds = chance.uniform(30, 240)
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

    def server_now(self) -> float:
        return clock.now()


async def _followed(render: _Render) -> float:
    """Seconds from the task's end until follow has seen it."""
    api: Any = render
    task = Task.parse({"status": "queued"}, "task")
    assert task
    async with aclosing(follow(api, task, Shared(api), is_fresh=True, was_seen=True)) as sightings:
        async for _ in sightings:
            pass
    return clock.elapsed() - render.end


def _simulated() -> dict[str, float]:
    """Means by figure, and by figure and shape as ratios. The tasks are the same at each run."""
    found: dict[str, list[float]] = {}
    for shape, progress in SHAPES.items():
        ours, theirs = [], []
        for number in range(TASKS // len(SHAPES)):
            render, world = _Render(random.Random(f"{shape} {number}"), progress), VirtualClock()
            with clock.use(world), asyncio.Runner(loop_factory=world.loop_factory) as loop:
                delay = loop.run(_followed(render))
            polls = math.ceil(render.end / EVERY)
            ours.append((delay, render.requests))
            theirs.append((polls * EVERY - render.end, polls + 1))
        for place, figure in enumerate(("delay", "requests")):
            mine, others = [each[place] for each in ours], [each[place] for each in theirs]
            found[f"{figure}, {shape}"] = [mean(mine) / mean(others)]
            found.setdefault(figure, []).extend(mine)
            found.setdefault(f"{figure} of a poll every {EVERY:g} s", []).extend(others)
    return {name: mean(each) for name, each in found.items()}


@contextmanager
def sides() -> Iterator[Sides]:
    """Each figure of one simulation."""
    random.seed(1)  # the jitter of follow
    yield {name: lambda value=value: value for name, value in _simulated().items()}  # type: ignore[misc]


THEME = Theme("polling", 1, LINES, sides)
