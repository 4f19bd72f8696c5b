"""A task of the emulator whose event stream the test writes."""

from __future__ import annotations

import json
from typing import Any

from program import World, fields

from airvid.sandbox.emulator import Response

SSE = {"Content-Type": "text/event-stream"}


HALFWAY = {"status": "processing", "progress": 42}


def event(payload: object, name: str = "state") -> bytes:
    return f"event: {name}\ndata: {json.dumps(payload)}\n\n".encode()


ALIVE = b": keepalive\n\n"


DONE = b"event: done\ndata: [DONE]\n\n"


class Stream:
    """A task of the emulator whose event stream is written by the test: chunks at seconds after its creation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.born = world.clock.now()
        self.task = world.airvid("create", "fox", "-m", "wan-2.6").lines[0]
        world.emulator.requests.clear()

    def says(self, *chunks: tuple[float, bytes], is_alive: bool = True, **more: Any) -> None:
        """Send these chunks; with `is_alive` also a keep-alive, so that the stream does not count as silent."""
        timed = sorted([(self.born + due, chunk) for due, chunk in chunks] + [(self.born + 45, ALIVE)] * is_alive)
        answer = Response(200, SSE, chunks=timed, **more)
        self.world.answer = lambda request: answer if request.route.endswith("/stream") else None

    def watch(self) -> tuple[str, str]:
        """Standard output and error of a watch, which has to end well and soon after the task."""
        result = self.world.airvid("watch", self.task)
        assert (result.code, fields(result.out)[:2]) == (0, [self.task, "completed"]), result.err
        assert self.world.clock.now() - self.born < 65 + 70
        return result.out, result.err

    @property
    def readings(self) -> int:
        return self.world.calls.count(f"GET /v1/video/tasks/{self.task}")
