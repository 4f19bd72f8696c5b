"""Server-sent events of an answer, each of a bounded length."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import httpx

from airvid.errors import UnavailableError

if TYPE_CHECKING:
    from httpx_sse import ServerSentEvent

# Bytes without the end of an event: no task has that much to say.
LONGEST_EVENT = 4 << 20


async def read_events(response: httpx.Response) -> AsyncGenerator[ServerSentEvent, None]:
    """The events of a stream until it ends.

    Raises: UnavailableError for what is no event stream, or an event that does not end; httpx's errors where it breaks.
    """
    import httpx_sse

    response.encoding = "utf-8"  # whatever its header says
    response.stream = bounded = _BoundedStream(response)
    try:
        async with aclosing(httpx_sse.EventSource(response).aiter_sse()) as events:
            async for event in events:
                bounded.restart()
                yield event
    except httpx_sse.SSEError:
        raise UnavailableError("the server does not stream this task's progress") from None


class _BoundedStream(httpx.AsyncByteStream):
    """The bytes of an event stream, which break off where an event does not end: it would fill the memory."""

    def __init__(self, response: httpx.Response) -> None:
        self._stream = response.stream
        self._length = 0

    def restart(self) -> None:
        """An event has ended."""
        self._length = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._stream, httpx.AsyncByteStream)
        async for chunk in self._stream:
            self._length += len(chunk)
            if self._length > LONGEST_EVENT:
                raise UnavailableError("an event of the stream does not end")
            yield chunk

    async def aclose(self) -> None:
        assert isinstance(self._stream, httpx.AsyncByteStream)
        await self._stream.aclose()
