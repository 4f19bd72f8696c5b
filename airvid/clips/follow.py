"""From a task id to its end: the stream first, polling where it cannot be had; nothing but the task ends it.

A failed reading is never a failed task.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from airvid import clock
from airvid.api import retry
from airvid.api.client import Api
from airvid.api.models import COMPLETED, EXPIRED, FRESH_SECONDS, Task
from airvid.api.retry import LEAST, Pace
from airvid.errors import AirvidError, LimitedError, NotFoundError, UnavailableError, UsageError, as_unavailable
from airvid.ui.text import length

# Seconds that the list alone is believed of a task, and how many more for each that is followed.
READ_AGAIN, READ_AGAIN_EACH = 60.0, 3.0
# Seconds that one reading of the list serves all tasks, and between the polls of a whole run.
LIST_SERVES, TURN = 4.0, 1.0
# A server that asks for more seconds than these between two readings would let a clip expire unseen.
LONGEST_HINT = 120.0
# Seconds of nothing new, and of a stream with whatever news but its end, after which one GET learns the truth.
NEWS_SILENCE, LONGEST_STREAM = 60.0, 120.0
# Seconds between two changes that are told of a task that runs: a stream can flip between two states at full speed.
TELL_EVERY = 1.0
# Seconds between two looks at a stream, and what the two clocks differ by between them where the machine slept: its
# connections died meanwhile, and do not say so.
TICK, ASLEEP = 1.0, 5.0
# So many streams are open at once; tasks beyond them are polled, by the one list.
MOST_STREAMS = 8
# After so many streams in a row without news, polling takes over for so many seconds.
FRUITLESS_STREAMS = 2
STREAM_AGAIN = 120.0
# Seconds that a 404 is not believed of a task that was there before.
GONE_SECONDS = 60.0
# `completed` may come before the URL does.
URL_SECONDS = 30.0


class Trouble(NamedTuple):
    """What keeps the task from being seen just now; it is waited out."""

    what: str
    retry_after: float | None = None
    is_limit: bool = False


class Shared:
    """What all followed tasks of a run share: places for streams, turns to poll, one reading of the list."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._free_streams = self._first_streams = MOST_STREAMS
        self._deaf_streams = 0
        self._streams_at = float("-inf")
        self._line = asyncio.Lock()
        self._turn_at = float("-inf")
        self._list_lock = asyncio.Lock()
        self._listed: dict[str, Task] = {}
        self._list_failure: AirvidError | None = None
        self._listed_at = float("-inf")
        self.followed = 0

    def take_stream(self) -> bool:
        """Whether a stream may be opened; `give_stream` belongs to every True."""
        if not self._free_streams or clock.elapsed() < self._streams_at:
            return False
        # The run's first ones, which open together, do not make the polls of the others wait. Where there are more
        # tasks than places, later ones have to: streams that keep on ending would take every turn.
        if self._first_streams:
            self._first_streams -= 1
        elif self.followed > MOST_STREAMS and clock.elapsed() < self._turn_at:
            return False
        else:
            self.spend()
        self._free_streams -= 1
        return True

    def give_stream(self, *, was_heard: bool) -> None:
        """A stream has ended. Where several in a row were silent, none is opened for a while."""
        self._free_streams += 1
        self._deaf_streams = 0 if was_heard else self._deaf_streams + 1
        if self._deaf_streams >= FRUITLESS_STREAMS:
            self._streams_at = clock.elapsed() + STREAM_AGAIN

    async def turn(self) -> None:
        async with self._line:
            while (left := self._turn_at - clock.elapsed()) > 0:
                await clock.sleep(left)
            self.spend()

    def spend(self) -> None:
        """Count a request that cannot wait for its turn: polls make up for it."""
        self._turn_at = max(self._turn_at, clock.elapsed()) + TURN

    async def glance(self, task_id: str) -> Task | None:
        """The task as the list tells it, some seconds old at the most, if it does. Raises: AirvidError."""
        async with self._list_lock:
            if clock.elapsed() - self._listed_at > LIST_SERVES:
                self._listed, self._list_failure, self._listed_at = {}, None, clock.elapsed()
                await self.turn()
                try:
                    self._listed = {task.task_id: task for task in (await self._api.tasks(patience=0)).tasks}
                except AirvidError as error:
                    self._list_failure = error
                except Exception as error:
                    self._list_failure = as_unavailable(error)
        if self._list_failure:
            raise self._list_failure
        return self._listed.get(task_id)


class _Reader:
    """One task's readings, and what their failures mean."""

    def __init__(self, api: Api, task: Task, is_fresh: bool, was_seen: bool) -> None:
        self.api = api
        self.task = task
        self.was_seen = was_seen
        self._is_fresh = is_fresh
        self._read_at = clock.elapsed()
        self._missing_since: float | None = None
        self._completed_at: float | None = None

    async def read(self) -> Task | Trouble:
        """One GET. Raises: AirvidError where waiting on would be in vain."""
        self._read_at = clock.elapsed()
        try:
            news = await self.api.task(self.task.task_id, patience=0)
        except NotFoundError as error:
            return self._missing(error)
        except AirvidError as error:
            passes = isinstance(error, LimitedError) or (isinstance(error, UnavailableError) and not error.is_final)
            if isinstance(error, UsageError) or not (passes or self.was_seen):
                raise
            return _trouble(error)
        except Exception as error:
            return _trouble(as_unavailable(error))
        self.was_seen, self._missing_since = True, None
        self.task = self.task.updated(news.raw)
        return self.task

    async def poll(self, shared: Shared) -> Task | Trouble:
        """As `read`, at its turn; among many, by the list where the task still runs. It may lag behind for good."""
        if shared.followed == 1 or clock.elapsed() - self._read_at > READ_AGAIN + READ_AGAIN_EACH * shared.followed:
            await shared.turn()
            return await self.read()
        try:
            listed = await shared.glance(self.task.task_id)
        except (UnavailableError, LimitedError) as error:
            return _trouble(error)
        except AirvidError:
            listed = None
        if listed is None or listed.is_terminal:
            await shared.turn()
            return await self.read()
        self.was_seen, self.task = True, self.task.updated(listed.raw)
        return self.task

    def _missing(self, error: NotFoundError) -> Task | Trouble:
        """A 404: expired and gone, too fresh to be known, removed, or never there."""
        now = clock.elapsed()
        if self.api.is_past(self.task.expires_at):
            self.task = self.task.updated({"status": EXPIRED})
            return self.task
        if self._missing_since is None:
            self._missing_since = now
        patience = GONE_SECONDS if self.was_seen else FRESH_SECONDS if self._is_fresh else 0.0
        if now - self._missing_since < patience:
            return Trouble("the server does not know the task yet")
        raise error

    @property
    def is_done(self) -> bool:
        """Terminal, and where completed, with its URL, or without it for long enough."""
        if not self.task.is_terminal:
            return False
        if self.task.status != COMPLETED or self.task.result_url:
            return True
        if self._completed_at is None:
            self._completed_at = clock.elapsed()
        return clock.elapsed() - self._completed_at >= URL_SECONDS


def _trouble(error: AirvidError) -> Trouble:
    after = getattr(error, "retry_after", None)
    what = error.message
    if after is not None and after >= retry.TOLD_PAUSE:
        what = f"{what}; waiting {length(min(LONGEST_HINT, after))} to ask again"
    return Trouble(what, after, isinstance(error, LimitedError))


async def follow(
    api: Api,
    task: Task,
    shared: Shared,
    *,
    is_fresh: bool = False,
    was_seen: bool = False,
    usual_ends: Sequence[float] = (),
) -> AsyncGenerator[Task | Trouble, None]:
    """Yield the task as it is seen until it ends, the last one by GET, and what stands in the way.

    `is_fresh`: it was just made, so that a 404 may be early; `was_seen`: this very run has had word of it;
    `usual_ends`: as for `Pace`, by `clock.elapsed`.
    Raises: NotFoundError where the task is gone for good; the server's refusal where it was never seen.
    """
    reader, pace = _Reader(api, task, is_fresh, was_seen), Pace(clock.elapsed(), usual_ends)
    shared.followed += 1
    try:
        async with aclosing(_followed(reader, shared, pace)) as sightings:
            async for seen in sightings:
                yield seen
    finally:
        shared.followed -= 1


async def _followed(reader: _Reader, shared: Shared, pace: Pace) -> AsyncGenerator[Task | Trouble, None]:
    fruitless, stream_at = 0, clock.elapsed()
    while True:
        before, began, hint = reader.task, clock.elapsed(), 0.0
        streams = clock.elapsed() >= stream_at and shared.take_stream()
        if streams:
            async with aclosing(_streamed(reader, shared)) as sightings:
                async for seen in sightings:
                    hint = max(hint, _hint(seen))
                    yield seen
            fruitless = 0 if reader.task.facts != before.facts else fruitless + 1
            # A stream that ends at once is no better than polling, and must not ask more often.
            hint = max(hint, LEAST - (clock.elapsed() - began))
            if fruitless >= FRUITLESS_STREAMS:
                stream_at = clock.elapsed() + STREAM_AGAIN
            shared.spend()
        seen = await (reader.read() if streams else reader.poll(shared))
        yield seen
        if isinstance(seen, Task) and reader.is_done:
            return
        hint = max(hint, _hint(seen))
        if isinstance(seen, Task):
            pace.learn(clock.elapsed(), seen.progress)
        elif seen.is_limit:
            pace.refused()
        if reader.task.status == COMPLETED:
            pause = 1.0
        elif streams and fruitless < FRUITLESS_STREAMS:
            pause = retry.backoff(fruitless, random.random())
        else:
            pause = pace.pause(clock.elapsed(), random.random())
        await clock.sleep(max(pause, hint))


def _hint(seen: Task | Trouble) -> float:
    """Seconds before which the server does not want the next reading."""
    return min(LONGEST_HINT, seen.retry_after or 0.0) if isinstance(seen, Trouble) else 0.0


async def _streamed(reader: _Reader, shared: Shared) -> AsyncGenerator[Task | Trouble, None]:
    """What the stream tells, a change a second at most, until it ends or breaks, or the task seems to have ended."""
    was_heard, told, told_at = False, reader.task, float("-inf")
    try:
        async with aclosing(_wakeful(reader.api.stream(reader.task.task_id))) as payloads:
            async for payload in payloads:
                if payload is not None:
                    was_heard = reader.was_seen = True
                    reader.task = reader.task.updated(payload)
                    if reader.task.is_terminal:
                        return  # the whole record is for the GET to tell
                if reader.task.facts != told.facts and clock.elapsed() - told_at >= TELL_EVERY:
                    told, told_at = reader.task, clock.elapsed()
                    yield told
    except (UnavailableError, LimitedError) as error:
        yield _trouble(error)
    except AirvidError:
        return  # a refusal means what the GET says it means
    except Exception as error:
        yield _trouble(as_unavailable(error))
    finally:
        shared.give_stream(was_heard=was_heard)


async def _wakeful(payloads: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[dict[str, Any] | None, None]:
    """The payloads, and None after a TICK without one, until it is time for a GET, or the machine slept."""
    last, news_at, began = None, clock.elapsed(), clock.elapsed()
    async with aclosing(payloads):
        coming = asyncio.ensure_future(anext(payloads, None))
        try:
            while True:
                before = clock.now() - clock.elapsed()
                await asyncio.wait({coming}, timeout=TICK)
                now = clock.elapsed()
                if abs(clock.now() - now - before) > ASLEEP:
                    return
                if now - news_at >= NEWS_SILENCE or now - began >= LONGEST_STREAM:
                    return
                if not coming.done():
                    yield None
                    continue
                if (payload := coming.result()) is None:
                    return
                if payload != last:
                    last, news_at = payload, clock.elapsed()
                yield payload
                coming = asyncio.ensure_future(anext(payloads, None))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
