"""The bodies of answers: decompressed a piece at a time, so that a few bytes never fill the memory."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import AsyncIterator

import httpx

from airvid.errors import UnavailableError

# Bytes that one step of decompression may give.
PIECE = 1 << 16
# Bytes of a stream without one event in them; no task has that much to say.
LONGEST_EVENT = 4 << 20
_GZIP = 31  # zlib's word for a gzip header and 32 kB of window


async def inflated(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body's bytes; where it was asked for in bulk and is not encoded, its chunks as they come (`http.Chunk`).

    Raises: UnavailableError where it is encoded otherwise than by gzip, or ends in the midst of it; as the response.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if encoding not in ("gzip", "x-gzip"):
        raise UnavailableError(f"the answer is encoded as {encoding[:50]!r}, which nobody asked for")
    member = zlib.decompressobj(_GZIP)
    try:
        async for chunk in response.aiter_raw():
            while chunk:
                if member.eof:  # several may stand one after the other
                    member = zlib.decompressobj(_GZIP)
                if piece := member.decompress(chunk, PIECE):
                    yield piece
                chunk = member.unconsumed_tail or member.unused_data
    except zlib.error as error:
        raise UnavailableError(f"the answer cannot be decompressed: {error}") from None
    if not member.eof:
        raise UnavailableError("the answer ended in the midst of its compression")


class EventText:
    """The text of a stream of events, as httpx-sse wants to read it: UTF-8, whatever its header says.

    It breaks off where an event does not end; `rested` says that one has.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self._response = response
        self._length = 0

    def rested(self) -> None:
        self._length = 0

    async def aiter_text(self) -> AsyncIterator[str]:
        """Raises: UnavailableError, also as `inflated`."""
        decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        async for chunk in inflated(self._response):
            self._length += len(chunk)
            if self._length > LONGEST_EVENT:
                raise UnavailableError("an event of the stream does not end")
            if text := decoder.decode(chunk):
                yield text
