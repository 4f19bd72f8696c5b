"""Following a task to its end: by its stream, and by polling where there is none.

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
from airvid.api.models import COMPLETED, EXPIRED, FRESH_SECONDS, TASK_SECONDS, Task
from airvid.api.retry import LEAST, Pace
from airvid.errors import (
    AirvidError,
    AuthError,
    LimitedError,
    NotFoundError,
    UnavailableError,
    UsageError,
    as_unavailable,
)
from airvid.ui.text import length

# Seconds after which a task is read by itself and not only in the list, and how many more for each that is followed.
READ_AGAIN, READ_AGAIN_EACH = 60.0, 3.0
# Seconds for which one reading of the list serves all tasks, and between two polls of a run, whatever their tasks.
LIST_SERVES, TURN = 4.0, 1.0
# Seconds between two readings, though the server asks for more: a clip could expire meanwhile.
LONGEST_HINT = 120.0
# Seconds of a stream without news, and of any stream, after which the task is read by GET.
NEWS_SILENCE, LONGEST_STREAM = 60.0, 120.0
# Seconds between two changes that are yielded of a running task: a stream can flip between two states at full speed.
TELL_EVERY = 1.0
# Seconds between two looks at a stream, and by which wall clock and monotonic clock differ between them where the
# machine slept: its connections died meanwhile, without an error.
TICK, ASLEEP = 1.0, 5.0
# Streams that are open at once. Tasks beyond them are polled by the list.
MOST_STREAMS = 8
# After so many streams in a row without news, the task is polled for STREAM_AGAIN seconds.
FRUITLESS_STREAMS = 2
STREAM_AGAIN = 120.0
# Seconds for which a 404 is no end of a task that was there before.
GONE_SECONDS = 60.0
# Seconds after which a key that is refused ends a wait.
REFUSED_SECONDS = 60.0
# `completed` may come before the URL does.
URL_SECONDS = 30.0


class Trouble(NamedTuple):
    """Why the task cannot be read at present. It is waited out."""

    what: str
    retry_after: float | None = None
    is_limit: bool = False


class Shared:
    """What all followed tasks of a run share: a limit of streams, the pace of polls, one reading of the list."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._free_streams = self._first_streams = MOST_STREAMS
        self._silent_streams = 0
        self._streams_at = float("-inf")
        self._line = asyncio.Lock()
        self._turn_at = float("-inf")
        self._list_lock = asyncio.Lock()
        self._listed: dict[str, Task] = {}
        self._list_failure: AirvidError | None = None
        self._listed_at = float("-inf")
        self.followed = 0

    def take_stream(self) -> bool:
        """Whether a stream may be opened. After True, `give_stream` has to be called when it has ended."""
        if not self._free_streams or clock.elapsed() < self._streams_at:
            return False
        # The first streams of a run open together and delay no poll. Where more tasks are followed than streams can be
        # open, a later one has to wait for its turn: streams that end at once would take every turn.
        if self._first_streams:
            self._first_streams -= 1
        elif self.followed > MOST_STREAMS and clock.elapsed() < self._turn_at:
            return False
        else:
            self.count_request()
        self._free_streams -= 1
        return True

    def give_stream(self, *, had_news: bool) -> None:
        """A stream has ended. After several silent ones in a row, none is opened for STREAM_AGAIN seconds."""
        self._free_streams += 1
        self._silent_streams = 0 if had_news else self._silent_streams + 1
        if self._silent_streams >= FRUITLESS_STREAMS:
            self._streams_at = clock.elapsed() + STREAM_AGAIN

    async def wait_for_turn(self) -> None:
        """Wait until TURN seconds after the last poll of the run."""
        async with self._line:
            while (left := self._turn_at - clock.elapsed()) > 0:
                await clock.sleep(left)
            self.count_request()

    def count_request(self) -> None:
        """Count a request that did not wait for its turn: the next poll waits the longer."""
        self._turn_at = max(self._turn_at, clock.elapsed()) + TURN

    async def from_list(self, task_id: str) -> Task | None:
        """The task as the list has it, LIST_SERVES seconds old at the most; None where it is not in it.

        Raises: AirvidError.
        """
        async with self._list_lock:
            if clock.elapsed() - self._listed_at > LIST_SERVES:
                self._listed, self._list_failure, self._listed_at = {}, None, clock.elapsed()
                await self.wait_for_turn()
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
        self._refused_since: float | None = None
        self._day_ends = api.http.server_now() + TASK_SECONDS
        self._completed_at: float | None = None

    async def read(self) -> Task | Trouble:
        """One GET. Raises: AirvidError where waiting cannot help."""
        self._read_at = clock.elapsed()
        try:
            news = await self.api.task(self.task.task_id, patience=0)
        except NotFoundError as error:
            return self._missing(error)
        except AirvidError as error:
            passes = isinstance(error, LimitedError) or (isinstance(error, UnavailableError) and not error.is_final)
            if isinstance(error, UsageError) or not (passes or self.was_seen):
                raise
            if isinstance(error, AuthError):
                self._check_key(error)
            return _trouble(error)
        except Exception as error:
            return _trouble(as_unavailable(error))
        self._missing_since = None
        return self.learn(news.raw)

    def learn(self, raw: dict[str, Any]) -> Task:
        """The task with a new record of it, which may be partial."""
        self.was_seen, self._refused_since = True, None
        self.task = self.api.at_its_end(self.task.updated(raw), otherwise=self._day_ends)
        return self.task

    def _check_key(self, error: AuthError) -> None:
        """Raises: the refusal where the key has been refused for REFUSED_SECONDS."""
        if self._refused_since is None:
            self._refused_since = clock.elapsed()
        if clock.elapsed() - self._refused_since >= REFUSED_SECONDS:
            error.message += "; the task goes on"
            raise error

    async def poll(self, shared: Shared) -> Task | Trouble:
        """As `read`, at its turn. One of many tasks is looked for in the list, and read where it has ended there.

        A list can be out of date for good, so each task is also read by itself now and then.
        """
        if shared.followed == 1 or clock.elapsed() - self._read_at > READ_AGAIN + READ_AGAIN_EACH * shared.followed:
            await shared.wait_for_turn()
            return await self.read()
        try:
            listed = await shared.from_list(self.task.task_id)
        except (UnavailableError, LimitedError) as error:
            return _trouble(error)
        except AirvidError:
            listed = None
        if listed is None or listed.is_terminal:
            await shared.wait_for_turn()
            return await self.read()
        return self.learn(listed.raw)

    def _missing(self, error: NotFoundError) -> Task | Trouble:
        """A 404: the task has expired, is not known yet, was removed, or never existed."""
        now = clock.elapsed()
        if self.api.is_past(self.task.expires_at):
            self.task = self.task.updated({"status": EXPIRED})
            return self.task
        if self._missing_since is None:
            self._missing_since = now
        allowed = GONE_SECONDS if self.was_seen else FRESH_SECONDS if self._is_fresh else 0.0
        if now - self._missing_since < allowed:
            return Trouble("the server does not know the task yet")
        raise error

    @property
    def is_done(self) -> bool:
        """Whether it has ended, and a completed one has its URL or has had none for URL_SECONDS."""
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
    """Yield the task after each reading until it ends, the last one by GET, and what prevents a reading.

    `is_fresh`: it was just made, so that a 404 may come too early; `was_seen`: the server has told this run of it;
    `usual_ends`: as for `Pace`, by `clock.elapsed`.
    Raises: NotFoundError where the task is gone for good; the server's refusal where it was never seen.
    """
    reader, pace = _Reader(api, task, is_fresh, was_seen), Pace(clock.elapsed(), usual_ends)
    shared.followed += 1
    try:
        async with aclosing(_followed(reader, shared, pace)) as readings:
            async for seen in readings:
                yield seen
    finally:
        shared.followed -= 1


async def _followed(reader: _Reader, shared: Shared, pace: Pace) -> AsyncGenerator[Task | Trouble, None]:
    fruitless, stream_at = 0, clock.elapsed()
    while True:
        before, began, hint = reader.task, clock.elapsed(), 0.0
        streams = clock.elapsed() >= stream_at and shared.take_stream()
        if streams:
            async with aclosing(_streamed(reader, shared)) as readings:
                async for seen in readings:
                    hint = max(hint, _hint(seen))
                    yield seen
            fruitless = 0 if reader.task.facts != before.facts else fruitless + 1
            # A stream that ends at once is no better than polling, and must not cause more requests.
            hint = max(hint, LEAST - (clock.elapsed() - began))
            if fruitless >= FRUITLESS_STREAMS:
                stream_at = clock.elapsed() + STREAM_AGAIN
            shared.count_request()
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
    """The changes in the stream, one a second at most, until it ends or breaks, or the task has ended by it."""
    had_news, told, told_at = False, reader.task, float("-inf")
    try:
        async with aclosing(_until_get_is_due(reader.api.stream(reader.task.task_id))) as payloads:
            async for payload in payloads:
                if payload is not None:
                    had_news = True
                    reader.learn(payload)
                    if reader.task.is_terminal:
                        return  # the GET tells the whole record
                if reader.task.facts != told.facts and clock.elapsed() - told_at >= TELL_EVERY:
                    told, told_at = reader.task, clock.elapsed()
                    yield told
    except (UnavailableError, LimitedError) as error:
        yield _trouble(error)
    except AirvidError:
        return  # the GET tells what a refusal means
    except Exception as error:
        yield _trouble(as_unavailable(error))
    finally:
        shared.give_stream(had_news=had_news)


async def _until_get_is_due(
    payloads: AsyncGenerator[dict[str, Any], None],
) -> AsyncGenerator[dict[str, Any] | None, None]:
    """The payloads, and None after a TICK without one, until a GET is due or the machine slept."""
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
