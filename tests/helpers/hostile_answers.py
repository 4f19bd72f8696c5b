"""Answers of the API that have hostile text in every field."""

from __future__ import annotations

import json
import re
from typing import Any

from program import World, json_answer
from virtual_clock import NOON

from airvid.sandbox.emulator import Request, Response

TASK = "00000000-0000-4000-8000-000000000000"


# What must never reach a terminal raw: C0 but for tab and newline, DEL, C1, line separators, bidi overrides and
# isolates, and halves of characters (which would come out as errors of the encoding).
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffd]")


HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.test\x1b\\click\x1b]8;;\x1b\\",
    "C1": "\x9b31mred\x85",
    "back and over": "safe\rEVIL\b\b\x7f\x00",
    "markup": "[bold red]x[/] [link=http://evil.test]y[/link] [/nope]",
    "bidi": "\u202egpj.exe\u202c \u2066x\u2069",
    "lone surrogate": "a\ud800b\udfff",
    "lines": "one\ntwo\r\nthree\tfour\u2028five",
    "emoji code": ":warning: {0} %s",
}


ALL = " ".join(HOSTILE.values())


def task(text: str) -> dict[str, Any]:
    """A task with the text in every field that can hold any."""
    keys = ("model", "prompt", "mode", "aspect_ratio", "quality", "input_image_url", "status", "error", "news")
    times = {"created": NOON, "expires_at": NOON + 86_400, "progress": 5}
    return {"task_id": TASK, **dict.fromkeys(keys, text), **times, text: text, "result_url": f"http://a.test/{text}"}


def model(text: str) -> dict[str, Any]:
    caps = {"modes": [text], "aspect_ratios": [text], "qualities": [text], "price_per_second_cents": 1, text: text}
    return {"id": f"x{text}", "status": text, "output_modalities": ["video"], "video_caps": caps, text: text}


def serve(world: World, text: str) -> None:
    """Let the server answer with the text in every field."""

    def answer(request: Request) -> Response:
        if request.path.startswith("/v1/models"):
            return json_answer(200, {"data": [model(text)]})
        if request.path.endswith("/tasks"):
            return json_answer(200, {"data": [task(text), {**task(text), "task_id": text}]})
        if request.path.endswith("/stream"):
            event = f"data: {json.dumps(task(text))}\n\n"
            return Response(200, {"Content-Type": "text/event-stream"}, chunks=[(0, event.encode())])
        return json_answer(200, task(text))

    world.answer = answer
