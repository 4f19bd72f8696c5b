"""The hosted API of the random searches: a true one, whose answers are spoilt at random on their way out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection
from email.utils import formatdate
from random import Random
from typing import Any

import random_answers as odd
import random_stream
from program import KEY
from random_storage import Storage
from raw_server import Received, Reply, SharedClock
from small_files import tiny_mp4

MODEL = {
    "id": "wan-2.6",
    "object": "model",
    "status": "healthy",
    "output_modalities": ["video"],
    "media_type": "video",
    "video_caps": {
        "modes": ["text"],
        "aspect_ratios": ["16:9"],
        "qualities": ["720p"],
        "min_duration_s": 4,
        "max_duration_s": 8,
        "price_per_second_cents": 2,
    },
}
# Answers to a create that say that no task was made, unless they carry one's id.
REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 418, 422, 423, 429, 451})
STATUSES: dict[str, list[int | str]] = {
    "2xx": [200, 200, 200, 201, 202, 204, 205, 206, 299],
    "3xx": [300, 301, 302, 303, 304, 307, 308, 399],
    "4xx": sorted(REFUSALS),
    "429": [429, 429, 409],
    "5xx": [500, 502, 503, 504, 520, 524, 599],
    "odd": [408, 425, 600, 999, "000", "2000", "abc", "-1"],
}
# How many answers of an endpoint are spoilt at the most: after them every run comes to its end.
MOST_ODD = {"create": 5, "list": 6, "task": 6, "stream": 4, "models": 2, "delete": 2, "clip": 8}


class Case:
    """One run of a search: all that is random in it follows from its name.

    `kept` are the only answers that may be odd, where a failure is made smaller. `used` are those that were.
    """

    def __init__(self, name: str, kept: Collection[str] | None = None) -> None:
        self.name = name
        self.kept = kept
        self.used: list[str] = []
        self.traffic: list[str] = []

    def random(self, what: str) -> Random:
        return Random(f"{self.name} {what}")

    def is_odd(self, label: str, share: float) -> bool:
        """Whether the answer called `label` is spoilt, and so is one of those `used`."""
        wanted = self.random(f"{label}?").random() < share and (self.kept is None or label in self.kept)
        if wanted:
            self.used.append(label)
        return wanted


class RandomApi:
    """The server of one run. `paid` are the ids of the tasks that were made, by the seed that their create carried.

    `lied` are those of them whose create was answered with a lie that nothing could tell: that no task was made, or
    which one. `strays` are creates elsewhere than there, and keys sent to others.
    """

    def __init__(self, case: Case, clock: SharedClock, urls: dict[str, str], *, shares: dict[str, float]) -> None:
        self.case, self.clock, self.urls, self.shares = case, clock, urls, shares
        self.paid: dict[int, list[str]] = {}
        self.lied: set[str] = set()
        self.strays: list[str] = []
        self.storage = Storage(case, urls)
        rng = case.random("server")
        self.lists_are_true = rng.random() < 0.5
        self.echoes_prompt = rng.random() < 0.85
        self.tells_date = rng.random() < 0.8
        self.ahead = rng.choice([0, 0, 0, -3600, 3600, 7]) if self.tells_date else 0
        self.queued, self.running = rng.choice([(0, 0), (1, 5), (5, 60)])
        self.outcomes = rng.choices(["completed", "failed", "expired"], [8, 1, 1], k=20)
        self._tasks: dict[str, dict[str, Any]] = {}
        self._counts: dict[str, int] = {}
        self._shown: set[str] | None = None
        for n in range(rng.choice([0, 0, 1, 3])):
            self._older(rng, n)
        self._at_first = self._listing()

    # ------------------------------------------------------------------ the truth

    def now(self) -> float:
        return self.clock.now() + self.ahead

    def make(self, request: dict[str, Any], *, at: float | None = None, outcome: str | None = None) -> str:
        """A new task; its id."""
        rng = self.case.random(f"task {len(self._tasks)}")
        task_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        made = int(self.now() if at is None else at)
        self._tasks[task_id] = {
            "created": made,
            "request": request,
            "outcome": outcome or self.outcomes[len(self._tasks) % len(self.outcomes)],
        }
        size = rng.choice([100, 1000, 50_000, 300_000])
        self.storage.put(task_id, [tiny_mp4(rng.randbytes(size)) for _ in range(3)])
        return task_id

    def _older(self, rng: Random, n: int) -> None:
        """A task from before, of this very prompt perhaps."""
        prompt = rng.choice(["fox in snow", "owl at night"])
        request = {"model": "wan-2.6", "prompt": prompt, "duration_seconds": 4}
        self.make(request, at=self.now() - 300 - 1000 * n, outcome=rng.choice(["completed", "failed"]))

    def record(self, task_id: str) -> dict[str, Any]:
        """A task as it is now."""
        task = self._tasks[task_id]
        passed = self.now() - task["created"]
        status = "queued" if passed < self.queued else "processing" if passed < self.running else task["outcome"]
        found = {
            "task_id": task_id,
            "status": status,
            "model": "wan-2.6",
            "progress": 100 if status == "completed" else min(99, int(100 * passed / max(1, self.running))),
            "created": task["created"],
            "expires_at": task["created"] + 86_400,
            "cost_cents": 8,
            "duration_seconds": task["request"].get("duration_seconds"),
        }
        if self.echoes_prompt:
            found["prompt"] = task["request"].get("prompt")
        if status == "completed":
            found["result_url"] = self.storage.url(task_id)
        if status == "failed":
            found["error"] = "moderated"
        return found

    def _listing(self) -> dict[str, Any]:
        newest_first = sorted(self._tasks, key=lambda each: -self._tasks[each]["created"])
        return {"object": "list", "data": [self.record(each) for each in newest_first]}

    # ------------------------------------------------------------------ answering

    def answer(self, request: Received) -> Reply:
        """What is sent in answer to a request that came whole."""
        reply = self._answer(request)
        sent = b"".join(step for step in reply.steps if isinstance(step, bytes))
        pauses = [step for step in reply.steps if isinstance(step, float)]
        self.case.traffic.append(
            f"{self.clock.elapsed():9.2f} {request.port}: {request.method} {request.path[:100]}"
            f" {request.body[:200]!r}\n"
            f"          {sent[:400]!r} ({len(sent)} bytes, pauses {pauses[:3]}) {reply.end}"
        )
        return reply

    def hurry(self, request: Received) -> Reply | None:
        """Sometimes the connection breaks before a create was read whole."""
        if request.method != "POST":
            return None
        n = self._counts.get("create", 0)
        if self.case.random(f"create {n} unread").random() > 0.06 or not self._is_odd("create", n):
            return None
        self._counts["create"] = n + 1
        rng = self.case.random(f"create {n}")
        early = rng.choice([b"", odd.head(100, []), odd.head(413, [("Content-Length", "0")])])
        self.case.traffic.append(f"{self.clock.elapsed():9.2f} POST, not read whole: {early!r}")
        return Reply((early,), rng.choice(["close", "reset"]))

    def _answer(self, request: Received) -> Reply:
        if request.port != "api":
            if KEY.encode() in request.raw + request.body:
                self.strays.append(f"the key went to {request.port}: {request.raw!r}")
            if request.method != "GET":
                self.strays.append(f"{request.method} to {request.port}")
            return self.storage.answer(request)
        path = request.path.partition("?")[0]
        if request.method == "POST":
            if path != "/v1/video/generations":
                self.strays.append(f"POST to {path}")
            return self._next("create", lambda n, is_odd: self._create(json.loads(request.body), n, is_odd))
        if path == "/v1/models":
            return self._next("models", lambda n, is_odd: self._models(n, is_odd))
        if path == "/v1/video/tasks":
            return self._next("list", lambda n, is_odd: self._list(n, is_odd))
        task_id, _, rest = path.removeprefix("/v1/video/tasks/").partition("/")
        if task_id not in self._tasks:
            return self._told(404, {"error": "task not found"})
        if request.method == "DELETE":
            return self._next("delete", lambda n, is_odd: self._delete(n, is_odd))
        if rest == "stream":
            return self._next("stream", lambda n, is_odd: self._stream(task_id, n, is_odd))
        return self._next("task", lambda n, is_odd: self._task(task_id, n, is_odd))

    def _next(self, endpoint: str, answer: Callable[[int, bool], Reply]) -> Reply:
        n = self._counts.get(endpoint, 0)
        self._counts[endpoint] = n + 1
        return answer(n, self._is_odd(endpoint, n))

    def _is_odd(self, endpoint: str, n: int) -> bool:
        if n >= MOST_ODD[endpoint] or (endpoint == "list" and self.lists_are_true):
            return False
        return self.case.is_odd(f"{endpoint} {n}", self.shares.get(endpoint, 0.0))

    def _told(self, status: int, value: object) -> Reply:
        return odd.plain(status, self._headers(), json.dumps(value).encode())

    def _headers(self) -> odd.Headers:
        return [odd.JSON_TYPE, *([("Date", formatdate(self.now(), usegmt=True))] if self.tells_date else [])]

    # ------------------------------------------------------------------ endpoints

    def _create(self, body: dict[str, Any], n: int, is_odd: bool) -> Reply:
        seed = body.get("seed", 0)
        if not is_odd:
            task_id = self.make(body)
            self.paid.setdefault(seed, []).append(task_id)
            return self._told(200, self.record(task_id))
        rng = self.case.random(f"create {n}")
        kind = rng.choices(["2xx", "3xx", "4xx", "429", "5xx", "odd"], [9, 4, 2, 3, 3, 2])[0]
        status = rng.choice(STATUSES[kind])
        carries_task = rng.random() < (0.75 if status not in REFUSALS else 0.3)
        # A refusal without an id can be believed, but for a limit's where the list shows that it lied.
        lies_as_limit = status in (429, 409) and self.lists_are_true and rng.random() < 0.3
        is_made = rng.random() < 0.75 if status not in REFUSALS else carries_task or lies_as_limit
        made = self.make(body) if is_made else None
        if made:
            self.paid.setdefault(seed, []).append(made)
        content = self._create_body(rng, made, status) if carries_task else odd.noise(rng, status)
        says_none = not carries_task or any(none in content for none in (b'"task_id": null', b'"task_id": ""'))
        if made and status in REFUSALS and says_none:
            self.lied.add(made)
        headers = [*self._headers(), *odd.more_headers(rng)]
        if kind == "3xx" or rng.random() < 0.05:
            headers.append(("Location", odd.location(rng, self.urls["api"], self.urls["stranger"])))
        if status in (429, 409, 503):
            headers.append(("Retry-After", odd.retry_after(rng)))
        return odd.framed(rng, status, headers, content)

    def _create_body(self, rng: Random, task_id: str | None, status: int | str) -> bytes:
        """A body that says, well or badly, which task was made."""
        told = self.record(task_id) if task_id else {"task_id": str(uuid.UUID(int=rng.getrandbits(128)))}
        told.pop("result_url", None)
        as_json = json.dumps(told)
        kinds: list[tuple[Callable[[], bytes], int]] = [
            (lambda: as_json.encode(), 5),
            (lambda: json.dumps(odd.spoilt(rng, told, ["task_id"])).encode(), 5),
            (lambda: odd.nested(rng, told), 3),
            (
                lambda: json.dumps(
                    told | {"task_id": rng.choice([None, 7, "", [], {}, True, 1.5, "x" * 300])}
                ).encode(),
                2,
            ),
            (lambda: json.dumps(told | {"task_id": rng.choice(HOSTILE_IDS)}).encode(), 2),
            (lambda: json.dumps({"data": told}).encode(), 1),
            (lambda: json.dumps([told]).encode(), 1),
            (lambda: json.dumps(told | {"error": {"message": "too many concurrent tasks"}}).encode(), 1),
            (lambda: b"\xef\xbb\xbf" + as_json.encode(), 1),
            (lambda: as_json.encode("utf-16"), 1),
            (lambda: as_json.encode() + rng.choice([b"\n\n", b"\0", b"}", b"\n" + as_json.encode()]), 1),
            (lambda: f"<html>{as_json}</html>".encode(), 1),
            (lambda: json.dumps(told | {"more": "x" * 1_000_000}).encode(), 1),
            (lambda: self._of_older_task(told), 2),
        ]
        made = rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]()
        if status in REFUSALS and b'"task_id": "' not in made:
            self.lied.add(told["task_id"])  # nothing in it that says that there is a task
        return made

    def _of_older_task(self, told: dict[str, Any]) -> bytes:
        """An answer that names a task which was there before."""
        older = [task_id for task_id in self._tasks if task_id != told["task_id"]]
        if not older:
            return b"{}"
        if self._shown is None or older[0] not in self._shown:
            self.lied.add(told["task_id"])  # the program could not know
        return json.dumps(self.record(older[0])).encode()

    def _models(self, n: int, is_odd: bool) -> Reply:
        listing = {"object": "list", "data": [MODEL]}
        if not is_odd:
            return self._told(200, listing)
        rng = self.case.random(f"models {n}")
        content = rng.choice([json.dumps(listing).encode(), odd.noise(rng), odd.nested(rng, listing)])
        return odd.framed(rng, rng.choice([200, 200, 200, 500, 429, 302]), self._headers(), content)

    def _list(self, n: int, is_odd: bool) -> Reply:
        if not is_odd:
            self._shown = (self._shown or set()) | set(self._tasks)
            return self._told(200, self._listing())
        rng, listing, headers = self.case.random(f"list {n}"), self._listing(), self._headers()
        kind = rng.choice(["stale", "stale", "framing", "framing", "spoilt", "noise", "status", "nested", "mixed"])
        if kind == "stale":  # from a cache, which says so
            headers = [odd.JSON_TYPE, ("Age", str(rng.choice([30, 600, 86_400])))]
            headers += [("Date", formatdate(self.now() - 700, usegmt=True))] if self.tells_date else []
            told = rng.choice([self._at_first, {"object": "list", "data": []}])
            return odd.plain(200, headers, json.dumps(told).encode())
        if kind == "spoilt":
            listing["data"] = [odd.spoilt(rng, each, ["task_id", "created", "prompt"]) for each in listing["data"]]
        if kind == "mixed":
            listing["data"] += [odd.odd_value(rng), {"task_id": rng.choice(HOSTILE_IDS)}, None, 7, [], {"task_id": ""}]
        content = json.dumps(listing).encode()
        if kind == "noise":
            content = odd.noise(rng)
        if kind == "nested":
            content = odd.nested(rng, listing)
        status = rng.choice([429, 500, 503, 404, 301, 204]) if kind == "status" else 200
        if status == 301:
            headers.append(("Location", odd.location(rng, self.urls["api"], self.urls["stranger"])))
        return odd.framed(rng, status, headers, content)

    def _delete(self, n: int, is_odd: bool) -> Reply:
        if not is_odd:
            return self._told(200, {"deleted": True})
        rng = self.case.random(f"delete {n}")
        return odd.framed(rng, rng.choice([200, 404, 500, 302, 429]), self._headers(), odd.noise(rng))

    def _task(self, task_id: str, n: int, is_odd: bool) -> Reply:
        if not is_odd:
            return self._told(200, self.record(task_id))
        rng, told, headers = self.case.random(f"task {n}"), self.record(task_id), self._headers()
        contents: list[Callable[[], bytes]] = [
            lambda: json.dumps(told).encode(),
            lambda: json.dumps(told).encode(),
            lambda: json.dumps(odd.spoilt(rng, told)).encode(),
            lambda: json.dumps(odd.spoilt(rng, told, ["task_id", "status"])).encode(),
            lambda: json.dumps(told | {"status": rng.choice(random_stream.ODD_STATES)}).encode(),
            lambda: json.dumps(told | {"task_id": "another"}).encode(),
            lambda: json.dumps(told | {"status": "completed", "result_url": self._odd_link(rng)}).encode(),
            lambda: json.dumps({"event": "state", "data": told}).encode(),
            lambda: odd.nested(rng, told),
            lambda: odd.noise(rng),
        ]
        status = rng.choice([200, 200, 200, 200, 404, 429, 500, 302, 401, 204])
        if status == 302:
            headers.append(("Location", odd.location(rng, self.urls["api"], self.urls["stranger"])))
        return odd.framed(rng, status, [*headers, *odd.more_headers(rng)], rng.choice(contents)())

    def _odd_link(self, rng: Random) -> object:
        where = odd.location(rng, self.urls["api"], self.urls["stranger"])
        return rng.choice([None, "", where, f" {where} ", odd.odd_value(rng)])

    def _stream(self, task_id: str, n: int, is_odd: bool) -> Reply:
        if is_odd:
            return random_stream.spoilt(self.case.random(f"stream {n}"), self.record(task_id))
        made = self._tasks[task_id]
        states = {0.0: "queued", self.queued: "processing", self.running: made["outcome"]}
        return random_stream.true(task_id, self.now() - made["created"], states)


# No API gives these for ids.
HOSTILE_IDS = [
    "`touch x`",
    "7f$AIRVID_API_KEY",
    "--base-url=http://127.0.0.1:1",
    "::set-output name=a::b",
    "../../etc/passwd",
    "a b",
    "\u202eabcd",
    "\x1b[2J",
    "-",
    ".",
    "..",
    "a/b",
    "a\nb",
    "caf\u00e9",
    "\ud800",
]
