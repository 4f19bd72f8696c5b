"""An emulator whose clock can be set ahead: what only minutes prove is proved at once."""

from __future__ import annotations

from dataclasses import replace

from airvid.sandbox.emulator import Emulator, Request, Response


class LaterEmulator(Emulator):
    """An emulator whose clock can be set ahead by `later` seconds."""

    later = 0.0

    def handle(self, request: Request, now: float) -> Response:
        response = super().handle(request, now + self.later)
        if response.chunks is None:
            return response
        return replace(response, chunks=[(due - self.later, chunk) for due, chunk in response.chunks])
