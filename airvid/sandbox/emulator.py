"""The emulator: a function of a request, the time and the stored tasks. It has no socket, no sleep and no clock."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import random
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from airvid.sandbox.catalogue import MODELS
from airvid.sandbox.create import ClipSpec, read_create
from airvid.sandbox.faults import Fault, FaultError, next_fault, parse_fault, prompt_faults
from airvid.sandbox.messages import Json, Refused, Request, Response, json_response, refusal
from airvid.sandbox.state import HIDDEN, State, StateError, Task, stream

__all__ = ["ClipSpec", "Emulator", "Fault", "Pace", "Request", "Response"]


@dataclass(frozen=True)
class Pace:
    """How long a task takes, in seconds."""

    queued: float = 0.5
    processing: float = 3.5


REMEMBERED = 10_000
"""Requests kept, so that the memory of a server has a limit."""
WRONG_KEY = "sk-air-wrong"
"""Keys that begin like this are refused, so that a wrong key can be tested."""
_FOR_BROWSERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Expose-Headers": "*",
}


class Call(NamedTuple):
    """A request to the API whose endpoint and owner are known."""

    owner: str
    task_id: str
    body: bytes
    now: float


def _render(spec: ClipSpec) -> bytes:
    from airvid.sandbox.clip import render  # PyAV loads slowly, and most calls need no picture

    return render(spec)


class Emulator:
    """The API and its storage host.

    `path` is the file of its tasks, which several processes may share (None: memory), `storage` the address of the
    storage host, `slots` the number of running tasks a key may have, and `render` makes the clips. `faults` are those
    still to happen; `seed` makes random ones repeatable. For tests: `keys` are the valid keys (None: any but
    WRONG_KEY), `outcome` tells how a task ends, by its record, and `requests` keeps those received.
    Raises: StateError, OSError.
    """

    def __init__(
        self,
        *,
        path: Path | None = None,
        storage: str = "http://127.0.0.1:2",
        pace: Pace = Pace(),
        slots: int = 4,
        faults: Iterable[Fault] = (),
        seed: int | str | None = None,
        models: Sequence[Json] = MODELS,
        render: Callable[[ClipSpec], bytes] = _render,
    ) -> None:
        self.storage, self.pace, self.slots, self.models = storage, pace, slots, models
        self.faults = list(faults)
        self._seed, self._drawn = random.random() if seed is None else seed, Counter[str]()
        self._used = Counter[tuple[bytes, str]]()
        self.requests: list[tuple[float, Request]] = []
        self.keys: set[str] | None = None
        self.outcome: Callable[[Json], str] = lambda _: "completed"
        self._render = render
        # The error of the file, after the first one.
        self.trouble: str | None = None
        self._state = State(path)
        self._lock, self._rendering = threading.Lock(), threading.Lock()

    def close(self) -> None:
        """Close the file of the tasks."""
        self._state.close()

    def handle(self, request: Request, now: float) -> Response:
        """Answer a request that arrives at `now` (Unix seconds)."""
        with self._lock:
            self.requests.append((now, request))
            del self.requests[:-REMEMBERED]
            fault = next_fault(self.faults, request, self._draw)
        fault = fault or self._prompt_fault(request, now)
        if fault is None:
            response = self._answer(request, now)
        else:
            response = fault.apply(None if fault.before else self._answer(request, now))
        if "origin" in request.headers:
            response = replace(response, headers={**response.headers, **_FOR_BROWSERS})
        return response

    def _draw(self, fault: Fault) -> bool:
        """Whether a random fault happens: with a seed, the nth time that it is asked for always alike."""
        if fault.chance >= 1:
            return True
        self._drawn[fault.spec] += 1
        return random.Random(f"{self._seed}:{fault.spec}:{self._drawn[fault.spec]}").random() < fault.chance

    def _prompt_fault(self, request: Request, now: float) -> Fault | None:
        """The fault of a call that the prompt of its task asks for."""
        try:
            if request.call == "POST /video/generations" and b"[[" in request.body:
                return self._fault_of_create(request)
            found = re.match(r"/v1/video/tasks/([^/]+)|/clips/([^/.]+)\.mp4", request.route)
            task = self._state.task(found[1] or found[2], now) if found else None
            if task is None:
                return None
            for fault in map(parse_fault, task.faults.get("left", ())):
                # `use` comes last, so that a call without a fault writes nothing.
                if re.match(fault.on, request.call) and self._draw(fault) and self._state.use(task.id, fault.spec):
                    return fault
        except (StateError, FaultError, ValueError, RecursionError):
            pass  # the answer says so
        return None

    def _fault_of_create(self, request: Request) -> Fault | None:
        """A create that is refused has no task to count in: equal requests to this emulator are counted."""
        body = json.loads(request.body)
        for fault in prompt_faults(str(body.get("prompt")) if isinstance(body, dict) else ""):
            used = (hashlib.sha256(request.body).digest(), fault.spec)
            if fault.task or not re.match(fault.on, request.call) or not self._draw(fault):
                continue
            if self._used[used] < fault.times:
                self._used[used] += 1
                return fault
        return None

    def _answer(self, request: Request, now: float) -> Response:
        try:
            if request.method == "OPTIONS" and "origin" in request.headers:
                response = Response(204)  # a browser asks before it sends a key
            else:
                response = self._clip(request, now) if request.storage else self._endpoint(request, now)
        except Refused as refused:
            response = refused.response
        except StateError as error:
            # Not a 5xx: a retry does not help, and a create has surely made no task.
            self.trouble = str(error)
            response = refusal(422, f"The sandbox is broken: {error}", "sandbox_broken")
        headers = {"Date": formatdate(now, usegmt=True), "X-Request-ID": f"req_{uuid.uuid4().hex}", **response.headers}
        if response.chunks is None:
            headers["Content-Length"] = str(len(response.body))
        return replace(response, headers=headers, body=b"" if request.method == "HEAD" else response.body)

    def _endpoint(self, request: Request, now: float) -> Response:
        for path, verbs in _ROUTES.items():
            if not (match := re.fullmatch(path, request.route)):
                continue
            run = verbs.get("GET" if request.method == "HEAD" else request.method)
            if run is None:
                raise Refused(json_response(405, {"error": "Method not allowed"}, Allow=", ".join(verbs)))
            owner = self._owner(request, optional=run is Emulator._models)
            answer = run(self, Call(owner, match[match.lastindex or 0], request.body, now))
            return answer if isinstance(answer, Response) else json_response(200, answer)
        raise Refused(json_response(404, {"error": f"Not found: {request.method} {request.route}"}))

    def _owner(self, request: Request, *, optional: bool) -> str:
        """A hash of the key: keys are not stored."""
        header = request.headers.get("authorization")
        if header is None and optional:
            return ""
        scheme, _, key = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Refused(json_response(401, {"error": "Missing API key: send 'Authorization: Bearer sk-air-…'"}))
        is_known = key in self.keys if self.keys is not None else not key.startswith(WRONG_KEY)
        if key != "".join(key.split()) or not is_known:
            raise Refused(refusal(401, "Invalid API key.", "invalid_api_key"))
        return hashlib.sha256(key.encode()).hexdigest()

    def _models(self, call: Call) -> Json:
        return {"object": "list", "data": [{**model, "created": int(call.now)} for model in self.models]}

    def _create(self, call: Call) -> Json:
        record, spec = read_create(call.body, self.models)
        self._check_picture(spec)
        with self._state.writing():
            free = self._state.busy_until(call.owner, call.now, self.slots)
            if free is not None:
                message = f"Concurrency limit reached: at most {self.slots} concurrent video tasks per key."
                wait = str(max(1, math.ceil(free - call.now)))
                raise Refused(refusal(429, message, "concurrency_limit", Retry_After=wait))
            task = self._task_of(record, call)
            self._state.add(task, spec)
        shown = ("task_id", "status", "model", "created", "expires_at", "progress", "cost_cents")
        view = self._view(task, call.now)
        return {key: view[key] for key in shown}

    def _task_of(self, record: Json, call: Call) -> Task:
        """The new task, with the faults that the server's list and its prompt give it. Raises: Refused."""
        try:
            asked = prompt_faults(record["prompt"])
        except FaultError as error:
            raise Refused(refusal(400, f"In the prompt, {error}", "unknown_fault", "prompt")) from None
        changes = dict[str, Any]()
        for fault in [*asked, *self._task_faults()]:
            if fault.task and (fault not in asked or self._draw(fault)):
                changes = fault.task | changes
        left = {fault.spec: fault.times for fault in asked if not fault.task and "POST" not in fault.on}
        hidden = {
            "error": changes.get("fail"),
            "word": changes.get("state"),
            "stall": changes.get("stall"),
            "left": left,
        }
        starts = call.now + self.pace.queued
        ends = starts + self.pace.processing * changes.get("slow", 1) + changes.get("stall", 0.0)
        outcome = "failed" if "fail" in changes else "expired" if "expire" in changes else self.outcome(record)
        if any(hidden.values()):
            record = {**record, HIDDEN: hidden}
        return Task(str(uuid.uuid4()), call.owner, call.now, starts, ends, outcome, record)

    def _task_faults(self) -> list[Fault]:
        """All faults of the server's list that a new task gets."""
        with self._lock:
            found = [fault for fault in self.faults if fault.task and self._draw(fault)]
            for fault in found:
                place = self.faults.index(fault)
                self.faults[place : place + 1] = fault.rest
        return found

    def _check_picture(self, spec: ClipSpec) -> None:
        """Refuse a picture that cannot be rendered. Raises: Refused."""
        if spec.image is None or self._render is not _render:
            return
        from airvid.sandbox.clip import read_picture

        try:
            read_picture(spec.image)
        except ValueError as error:
            raise Refused(refusal(400, str(error), "invalid_image", "input_images")) from None

    def _list(self, call: Call) -> Json:
        return {"data": [self._view(task, call.now) for task in self._state.tasks(call.owner, call.now)]}

    def _get(self, call: Call) -> Json:
        return self._view(self._task(call), call.now)

    def _stream(self, call: Call) -> Response:
        task = self._task(call)
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        return Response(200, headers, chunks=stream(task, call.now, self._result_url(task)))

    def _delete(self, call: Call) -> Json:
        self._state.unlist(call.task_id, call.owner)
        return {"deleted": True}

    def _task(self, call: Call) -> Task:
        task = self._state.task(call.task_id, call.now, call.owner)
        if task is None:  # a task of another key has the same answer
            raise Refused(refusal(404, "Task not found.", "not_found"))
        return task

    def _view(self, task: Task, now: float) -> Json:
        return task.view(now, self._result_url(task))

    def _result_url(self, task: Task) -> str:
        signature = _sign(self._state.secret, task.id, task.expires_at)
        return f"{self.storage}/clips/{task.id}.mp4?expires={task.expires_at}&signature={signature}"

    def _clip(self, request: Request, now: float) -> Response:
        """The answer of the storage host, like that of S3."""
        if request.method not in ("GET", "HEAD"):
            raise _denied(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        if "authorization" in request.headers:
            raise _denied(400, "InvalidArgument", "Only one auth mechanism allowed.")
        path = re.fullmatch(r"/clips/([0-9a-f-]+)\.mp4", request.route)
        if path is None:
            raise _denied(404, "NoSuchKey", "The specified key does not exist.")
        query = parse_qs(urlsplit(request.path).query)
        expires, signature = query.get("expires", [""])[0], query.get("signature", [""])[0]
        if not re.fullmatch("[0-9]{1,12}", expires):
            raise _denied(403, "AccessDenied", "Access denied.")
        if not hmac.compare_digest(signature.encode(), _sign(self._state.secret, path[1], int(expires)).encode()):
            raise _denied(403, "SignatureDoesNotMatch", "The signature does not match.")
        if now >= int(expires):
            raise _denied(403, "AccessDenied", "Request has expired.")
        task = self._state.task(path[1], now)
        if task is None or task.status(now) != "completed":
            raise _denied(404, "NoSuchKey", "The specified key does not exist.")
        return _served(self._rendered(task.id), request, task.ends)

    def _rendered(self, task_id: str) -> bytes:
        with self._rendering:  # two downloads of one clip render it once
            clip = self._state.clip(task_id)
            if clip is None:
                clip = self._render(self._state.spec(task_id))
                self._state.keep(task_id, clip)
            return clip


def _sign(secret: bytes, task_id: str, expires: int) -> str:
    return hmac.new(secret, f"{task_id}:{expires}".encode(), hashlib.sha256).hexdigest()


def _denied(status: int, code: str, message: str) -> Refused:
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'.encode()
    return Refused(Response(status, {"Content-Type": "application/xml"}, body))


def _served(clip: bytes, request: Request, modified: float) -> Response:
    size, etag = len(clip), f'"{hashlib.sha256(clip).hexdigest()}"'
    headers = {
        "Content-Type": "video/mp4",
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": formatdate(modified, usegmt=True),
    }
    condition = request.headers.get("if-range")
    is_same = condition in (None, etag, headers["Last-Modified"])
    span = _span(request.headers.get("range", "") if is_same else "", size)
    if span is None:
        return Response(200, headers, clip)
    if not span:
        return Response(416, {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return Response(206, headers, clip[span.start : span.stop])


def _span(header: str, size: int) -> range | None:
    """The range that the header asks for, empty outside the file; None where the header is ignored."""
    asked = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip())
    first, last = asked.groups() if asked else ("", "")
    if not first:
        return range(max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


_TASK = "/v1/video/tasks/([^/]+)"
_ROUTES: dict[str, dict[str, Callable[[Emulator, Call], Json | Response]]] = {
    "/v1/models": {"GET": Emulator._models},
    "/v1/video/generations": {"POST": Emulator._create},
    "/v1/video/tasks": {"GET": Emulator._list},
    _TASK: {"GET": Emulator._get, "DELETE": Emulator._delete},
    _TASK + "/stream": {"GET": Emulator._stream},
}
