"""The hosted API: one method an endpoint, which makes tasks and models of its answers."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from airvid import clock
from airvid.api import redact
from airvid.api.answers import Answer, refusal
from airvid.api.http import Attempt, HttpClient
from airvid.api.models import EXPIRED, STATUSES, Model, Task, error_text, is_task_id
from airvid.api.retry import PATIENCE
from airvid.errors import NotFoundError, UnavailableError, UsageError
from airvid.ui.text import size

T = TypeVar("T")
# The HTTP status for a request that is too long for the server.
TOO_LARGE = 413
# Events of a stream that may come at once, and per second in the long run: more would keep a processor busy.
MOST_EVENTS, EVENTS_A_SECOND = 500, 10.0
# A task's id in a refusal, of any type but null, and not empty; also where the text ends within it.
_MAY_NAME_TASK = re.compile(r'"task_id"\s*(?::(?!\s*(?:null|""))|$)')


class Listing(NamedTuple):
    """The account's tasks, newest first (at most the server's page).

    `server_time` is when the server made it (Unix seconds by its clock, None where it did not tell), `age` the seconds
    that a cache has kept it since.
    """

    tasks: list[Task]
    server_time: float | None
    age: float = 0.0


class Api:
    """The hosted API. Every method raises the errors of `answers.refusal` and UnavailableError."""

    def __init__(self, http: HttpClient) -> None:
        self.http = http

    def is_past(self, moment: float | None) -> bool:
        """Whether `created` or `expires_at`, which go by the server's clock, lies in the past."""
        return moment is not None and self.http.server_now() >= moment

    def at_its_end(self, task: Task, *, otherwise: float | None = None) -> Task:
        """The task. It counts as expired where its status is an unknown word and its day is over.

        `otherwise`: Unix seconds when its day is over, for a server that does not tell.
        """
        latest = otherwise if task.latest_end is None else task.latest_end
        return task.updated({"status": EXPIRED}) if task.status not in STATUSES and self.is_past(latest) else task

    async def models(self, patience: float = PATIENCE) -> list[Model]:
        """The video models, in the server's order."""
        return await self._whole("/models", _models, patience)

    async def create(self, body: dict[str, Any], attempt: Attempt) -> Task:
        """Submit one clip, sent once; `attempt` tells whether it has left.

        Raises: UnavailableError, with `sent` where it is unknown what became of it; the server's refusal.
        """
        answer = await self.http.post("/video/generations", body, attempt)
        task, told = Task.parse(answer.data, base_url=self.http.base_url), _told_id(answer)
        # Anything but a task id counts as no id.
        if answer.status // 100 in (2, 3) and task is not None and told == task.task_id:
            return task
        if answer.status // 100 not in (2, 3) and not _MAY_NAME_TASK.search(answer.text):
            error = refusal(answer)
            error.http_status = answer.status
            if answer.status == TOO_LARGE:
                pictures = sum(len(image.get("b64_json", "")) for image in body.get("input_images", ()))
                error.message += f"; the pictures in it are {size(pictures * 3 // 4)}"
                error.hint = "-i with a smaller picture, or with a picture's web address: -i https://HOST/fox.jpg"
            raise error
        raise _ambiguous(answer, told)

    async def task(self, task_id: str, patience: float = PATIENCE) -> Task:
        """One reading of a task."""
        return await self.http.get(_path(task_id), lambda answer: self._task(answer, task_id), patience=patience)

    async def tasks(self, patience: float = PATIENCE) -> Listing:
        """The account's recent tasks, one entry an id."""
        return await self._whole("/video/tasks", self._listing, patience)

    async def _whole(self, path: str, parse: Callable[[Answer], T | None], patience: float) -> T:
        """Read an endpoint that every server of the API has. Where it is missing, the base URL is wrong."""
        try:
            return await self.http.get(path, parse, patience=patience)
        except NotFoundError as error:
            where = redact.address(self.http.base_url)
            error.message, error.hint = f"there is no such API at {where}: {error.message}", "airvid config list"
            raise

    async def delete(self, task_id: str, patience: float = PATIENCE) -> None:
        """Remove a history entry; one that is gone is no error."""
        await self.http.get(_path(task_id), lambda _: True, patience=patience, method="DELETE")

    async def stream(self, task_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """The payloads of a task's event stream, often partial. Its end does not tell the task's state.

        Raises: UnavailableError also for a stream with far more events than a task has.
        """
        allowed, counted_at = float(MOST_EVENTS), clock.elapsed()
        async with aclosing(self.http.events(_path(task_id) + "/stream")) as events:
            async for name, payload in events:
                now = clock.elapsed()
                allowed = min(MOST_EVENTS, allowed + EVENTS_A_SECOND * (now - counted_at)) - 1
                counted_at = now
                if allowed < 0:
                    raise UnavailableError("the stream has far more events than a task has")
                if isinstance(payload, dict) and isinstance(payload.get("data"), dict) and "status" not in payload:
                    name, payload = str(payload.get("event") or name), payload["data"]
                if not isinstance(payload, dict):
                    continue  # `[DONE]`, keep-alives in data, or noise
                if name == "error" or (error_text(payload.get("error")) and "status" not in payload):
                    raise UnavailableError(f"the stream reports: {error_text(payload) or 'an error'}")
                yield payload

    def _listing(self, answer: Answer) -> Listing | None:
        entries = answer.data.get("data") if isinstance(answer.data, dict) else answer.data
        if not isinstance(entries, list):
            return None
        found = {
            task.task_id: self.at_its_end(task)
            for entry in reversed(entries)
            if (task := Task.parse(entry, base_url=self.http.base_url))
        }
        as_listed = [*found.values()][::-1]
        return Listing(sorted(as_listed, key=lambda task: -(task.created or 0)), answer.server_time, answer.age)

    def _task(self, answer: Answer, task_id: str) -> Task | None:
        """None for an answer with neither id nor status: an error in a 200."""
        data = answer.data
        if isinstance(data, dict) and isinstance(data.get("data"), dict) and "status" not in data:
            data = data["data"]
        if not isinstance(data, dict) or not (data.get("task_id") or data.get("status")):
            return None
        if str(data.get("task_id") or task_id) != task_id:
            return None  # another task's record is worse than none
        task = Task.parse(data, task_id, base_url=self.http.base_url)
        return task and self.at_its_end(task)


def _ambiguous(answer: Answer, told: object) -> UnavailableError:
    """A create's answer that does not tell whether a task was made. What it gives as an id is kept in full."""
    named = told if isinstance(told, str) and is_task_id(told) else None
    if told is None:
        why = f"the server answered a create without a task id: {answer.message}"
    elif named:
        why = f"the server answered a create with HTTP {answer.status}, but named the task {named}: {answer.message}"
    else:
        why = f"the server answered a create with what is no task id: {json.dumps(told)}"
    return UnavailableError(why, request_id=answer.request_id, task_id=named)


def _told_id(answer: Answer) -> object:
    """What an answer or a refusal gives as a task's id, anywhere in it; None where it gives nothing."""
    found = answer.data.get("task_id") if isinstance(answer.data, dict) else None
    if found in (None, "") and (elsewhere := re.search(r'"task_id"\s*:\s*"([^"]+)"', answer.text)):
        return elsewhere[1]
    return None if found in (None, "") else found


def _path(task_id: str) -> str:
    if not is_task_id(task_id):
        raise UsageError(f"not a task id: {task_id!r}", hint="airvid list")
    return f"/video/tasks/{quote(task_id, safe='')}"


def _models(answer: Answer) -> list[Model] | None:
    entries = answer.data.get("data") if isinstance(answer.data, dict) else answer.data
    if not isinstance(entries, list):
        return None
    found = {model.id: model for entry in reversed(entries) if (model := Model.parse(entry))}
    return list(reversed(found.values()))
