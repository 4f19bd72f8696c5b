"""From a task id to its end: the stream first, polling where it cannot be had; nothing but the task ends it.

A failed reading is never a failed task. What is yielded is the task as it is seen, and what stands in the way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from airvid import clock, retry
from airvid.api import Api
from airvid.errors import AirvidError, LimitedError, NotFoundError, UnavailableError, UsageError
from airvid.tasks import COMPLETED, EXPIRED, Task

# Seconds without a byte, keep-alives included, after which a stream counts as dead (contract 6.1).
SILENCE = 30.0
# Seconds that the list alone is believed of a task.
READ_AGAIN = 60.0
# A server that asks for more seconds than these between two readings would let a clip expire unseen.
LONGEST_HINT = 120.0
# Seconds of keep-alives alone after which one GET learns the truth.
NEWS_SILENCE = 60.0
POLL_FIRST, POLL_LAST = 5.0, 15.0
# So many streams in a row without news, and polling takes over; the stream gets another try after so many seconds.
FRUITLESS_STREAMS = 2
STREAM_AGAIN = 120.0
# A fresh task may be unknown to the server's other half for its first seconds.
FRESH_SECONDS = 20.0
# `completed` may come before the URL does.
URL_SECONDS = 30.0


@dataclass(frozen=True)
class Trouble:
    """What keeps the task from being seen just now; it is waited out."""

    what: str
    retry_after: float | None = None


class Polls:
    """The task list, read once for all tasks that are polled at the same time."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turn = asyncio.Lock()
        self._tasks: dict[str, Task] = {}
        self._read_at = float("-inf")
        self.followed = 0

    async def glance(self, task_id: str) -> Task | None:
        """The task as the list tells it, some seconds old at the most; None where it does not. Raises: AirvidError."""
        async with self._turn:
            if clock.elapsed() - self._read_at > POLL_FIRST - 1:
                self._read_at = clock.elapsed()
                self._tasks = {task.task_id: task for task in (await self._api.tasks(patience=0)).tasks}
        return self._tasks.get(task_id)


class _Reader:
    """One task's readings: the last one, and what its failures mean."""

    def __init__(self, api: Api, task: Task, is_fresh: bool, was_seen: bool) -> None:
        self.api = api
        self.task = task
        self.was_seen = was_seen
        self._is_fresh = is_fresh
        self._read_at = float("-inf")
        self._missing_since: float | None = None
        self._completed_at: float | None = None

    async def read(self) -> Task | Trouble:
        """One GET. Raises: AirvidError where waiting on would be in vain."""
        self._read_at = clock.elapsed()
        try:
            news = await self.api.task(self.task.task_id, patience=0)
        except NotFoundError as error:
            return self._missing(error)
        except (UnavailableError, LimitedError) as error:
            return Trouble(error.message, error.retry_after)
        except UsageError:
            raise
        except AirvidError as error:
            if not self.was_seen:
                raise
            return Trouble(error.message)
        self.was_seen, self._missing_since = True, None
        self.task = self.task.updated(news.raw)
        return self.task

    async def glance(self, polls: Polls) -> Task | Trouble:
        """As `read`, by the list where that tells of a task that still runs: one request serves all of them.

        The list may lag behind for good; from time to time the task itself is asked.
        """
        if clock.elapsed() - self._read_at > READ_AGAIN:
            return await self.read()
        try:
            listed = await polls.glance(self.task.task_id)
        except (UnavailableError, LimitedError) as error:
            return Trouble(error.message, error.retry_after)
        except AirvidError:
            listed = None
        if listed is None or listed.is_terminal:
            return await self.read()
        self.was_seen, self.task = True, self.task.updated(listed.raw)
        return self.task

    def _missing(self, error: NotFoundError) -> Task | Trouble:
        """A 404: too fresh to be known, expired and gone, removed, or never there."""
        now = clock.elapsed()
        if self.task.expires_at is not None and clock.now() >= self.task.expires_at:
            self.task = self.task.updated({"status": EXPIRED})
            return self.task
        if self._missing_since is None:
            self._missing_since = now
        patience = FRESH_SECONDS if self._is_fresh or self.was_seen else 0.0
        if now - self._missing_since < patience:
            return Trouble("the server does not know the task yet")
        raise error

    @property
    def is_done(self) -> bool:
        """Terminal, and where completed, with its URL (or without one for long enough to say so)."""
        if not self.task.is_terminal:
            return False
        if self.task.status != COMPLETED or self.task.result_url:
            return True
        if self._completed_at is None:
            self._completed_at = clock.elapsed()
        return clock.elapsed() - self._completed_at >= URL_SECONDS


async def follow(
    api: Api, task: Task, polls: Polls, *, is_fresh: bool = False, was_seen: bool = False
) -> AsyncGenerator[Task | Trouble, None]:
    """Yield the task at each change until it ends; the last one is whole, by GET.

    `is_fresh`: it was made moments ago, so that a 404 may be early; `was_seen`: this very run has had word of it.
    Raises: NotFoundError where the task is gone for good; the server's refusal where the task was never seen.
    """
    polls.followed += 1
    try:
        async with aclosing(_followed(_Reader(api, task, is_fresh, was_seen), polls)) as sightings:
            async for seen in sightings:
                yield seen
    finally:
        polls.followed -= 1


async def _followed(reader: _Reader, polls: Polls) -> AsyncGenerator[Task | Trouble, None]:
    fruitless, interval, stream_at = 0, POLL_FIRST, clock.elapsed()
    while True:
        hint = 0.0
        if clock.elapsed() >= stream_at:
            before, began = reader.task, clock.elapsed()
            async with aclosing(_streamed(reader)) as sightings:
                async for seen in sightings:
                    hint = max(hint, _hint(seen))
                    yield seen
            fruitless = 0 if reader.task != before else fruitless + 1
            # A stream that ends at once is no better than polling, and must not ask more often.
            hint = max(hint, POLL_FIRST - (clock.elapsed() - began))
            if fruitless >= FRUITLESS_STREAMS:
                stream_at = clock.elapsed() + STREAM_AGAIN
        is_polling = clock.elapsed() < stream_at
        seen = await (reader.glance(polls) if is_polling and polls.followed > 1 else reader.read())
        yield seen
        if isinstance(seen, Task) and reader.is_done:
            return
        hint = max(hint, _hint(seen))
        if reader.task.status == COMPLETED:
            pause = 1.0
        elif is_polling:
            pause, interval = min(POLL_LAST, interval * (1 + 0.2 * random.random())), min(POLL_LAST, interval * 1.3)
        else:
            pause, interval = retry.backoff(fruitless, random.random()), POLL_FIRST
        await clock.sleep(max(pause, hint))


def _hint(seen: Task | Trouble) -> float:
    """The server's word on when to come back, in seconds: a floor for the next reading."""
    return min(LONGEST_HINT, seen.retry_after or 0.0) if isinstance(seen, Trouble) else 0.0


async def _streamed(reader: _Reader) -> AsyncGenerator[Task | Trouble, None]:
    """What the stream tells, until it ends or breaks, the task seems to have ended, or there was no news for long."""
    news_at = clock.elapsed()
    try:
        async with aclosing(reader.api.stream(reader.task.task_id, SILENCE)) as payloads:
            while (left := news_at + NEWS_SILENCE - clock.elapsed()) > 0:
                async with asyncio.timeout(left):
                    payload = await anext(payloads, None)
                if payload is None:
                    return
                reader.was_seen = True
                news = reader.task.updated(payload)
                if news == reader.task:
                    continue
                reader.task, news_at = news, clock.elapsed()
                if news.is_terminal:
                    return  # the whole record is for the GET to tell
                yield news
    except TimeoutError:
        return
    except (UnavailableError, LimitedError) as error:
        yield Trouble(error.message, error.retry_after)
    except AirvidError:
        return  # a refusal means what the GET says it means
