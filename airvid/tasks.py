"""The nouns, read tolerantly from whatever the server sends. No I/O.

The server's own object is kept whole in `raw`, so that keys this version does not know survive into `--json`.
Money is in cents and may be fractional; times are Unix seconds. Source: the API's description, sections 2 and 5.
"""

import json
import math
from typing import Any, NamedTuple, Self

from airvid.ids import is_task_id as is_task_id  # for all who read tasks

# No `from __future__ import annotations`: NamedTuple compiles each one that is a text, at every start.

QUEUED, PROCESSING = "queued", "processing"
COMPLETED, FAILED, EXPIRED = "completed", "failed", "expired"
# The journal's own word for a task whose history entry was removed.
DELETED = "deleted"
STATUSES = (QUEUED, PROCESSING, COMPLETED, FAILED, EXPIRED)
TERMINAL = frozenset({COMPLETED, FAILED, EXPIRED})
# For so many seconds the server's other half may not know a new task.
FRESH_SECONDS = 20.0

# What this family of APIs also says. A word that is not here counts as still running, and is shown as it is.
_SYNONYMS = {
    **dict.fromkeys(("pending", "submitted", "waiting", "scheduled", "created", "starting"), QUEUED),
    **dict.fromkeys(("in_progress", "running", "started", "generating", "rendering"), PROCESSING),
    **dict.fromkeys(("succeeded", "success", "successful", "complete", "done", "finished"), COMPLETED),
    **dict.fromkeys(("failure", "error", "errored", "canceled", "cancelled", "rejected"), FAILED),
}
MODES = ("text", "image", "reference")
# Bytes of a task's record, as JSON, that are kept over its readings, bytes of one value that is understood where the
# rest had to go, and how deep values are nested.
MOST_RECORD, MOST_VALUE = 256 << 10, 16 << 10
# Beyond this, adding a cent changes nothing: budgets would lose what was spent.
_MOST_CENTS = 2.0**53


def number(value: object) -> float | None:
    """A finite number from a number or a numeric string (`12`, `"12"`, `"12.5%"`), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value.strip().removesuffix("%")) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def cents(value: object) -> float | None:
    """An amount of money, as `number`; None where it is beyond what a float can count."""
    found = number(value)
    return found if found is not None and abs(found) < _MOST_CENTS else None


def text(value: object) -> str | None:
    """A non-empty string, else None."""
    return value if isinstance(value, str) and value.strip() else None


def _size(value: object) -> int:
    return len(json.dumps(value, default=str))


def error_text(value: object, depth: int = 3) -> str | None:
    """The sentence in an error of any shape: text, or an object with a message."""
    if isinstance(value, dict) and depth:
        inner = (error_text(value.get(key), depth - 1) for key in ("message", "detail", "error", "code"))
        return next((found for found in inner if found), None)
    return text(value)


def canonical_status(value: object) -> str:
    """One of STATUSES where the word is known in any spelling, else the server's own word."""
    given = (text(value) or "unknown").strip()
    word = given.lower().replace("-", "_").replace(" ", "_")
    return word if word in STATUSES else _SYNONYMS.get(word, given)


class Task(NamedTuple):
    """One generation on the server, as last read. For what is news, compare `facts`."""

    task_id: str
    status: str
    raw: dict[str, Any]
    progress: float | None = None
    model: str | None = None
    prompt: str | None = None
    created: float | None = None
    expires_at: float | None = None
    cost_cents: float | None = None
    result_url: str | None = None
    error: str | None = None
    duration_seconds: float | None = None
    was_cut: bool = False

    @classmethod
    def parse(cls, raw: object, task_id: str | None = None) -> Self | None:
        """The task in an answer, if there is one. `task_id` stands in for an id that is missing."""
        if not isinstance(raw, dict):
            return None
        found = raw.get("task_id")
        task_id = text(found) or (str(found) if isinstance(found, int) and not isinstance(found, bool) else task_id)
        if task_id is None or not is_task_id(task_id):
            return None
        url = text(raw.get("result_url"))
        progress = number(raw.get("progress"))
        return cls(
            task_id=task_id,
            status=canonical_status(raw.get("status")),
            raw=raw,
            progress=None if progress is None else min(100.0, max(0.0, progress)),
            model=text(raw.get("model")),
            prompt=text(raw.get("prompt")),
            created=number(raw.get("created")),
            expires_at=number(raw.get("expires_at")),
            cost_cents=cents(raw.get("cost_cents")),
            result_url=url if url and url.lower().startswith(("http://", "https://")) else None,
            error=error_text(raw.get("error")),
            duration_seconds=number(raw.get("duration_seconds")),
        )

    def updated(self, raw: object) -> Self:
        """This task with the news of a partial payload; what the news leaves out or null stays.

        Where the record would pass MOST_RECORD, of the old one only what is understood stays (`was_cut`).
        """
        if not isinstance(raw, dict) or str(raw.get("task_id") or self.task_id) != self.task_id:
            return self
        kept = {key: value for key, value in self.raw.items() if value is not None and raw.get(key) is None}
        count = len(kept)
        if kept and _size({**raw, **kept}) > MOST_RECORD:
            kept = {key: value for key, value in kept.items() if key in self._fields and _size(value) <= MOST_VALUE}
        news = self.parse({**raw, **kept}, self.task_id) or self
        return news._replace(was_cut=self.was_cut or len(kept) < count)

    @property
    def facts(self) -> Self:
        """What is understood of it: a key of the server's own that changes is no news."""
        return self._replace(raw={})

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    def could_be(self, request: dict[str, Any]) -> bool:
        """Whether the task says nothing else than a request's body, as far as it tells."""
        for key in ("model", "prompt", "mode", "aspect_ratio", "quality"):
            asked, told = request.get(key), self.raw.get(key)
            if isinstance(asked, str) and isinstance(told, str) and asked.strip().lower() != told.strip().lower():
                return False
        asked = request.get("duration_seconds")
        return asked is None or self.duration_seconds is None or asked == self.duration_seconds


class Entry(NamedTuple):
    """What this machine's journal knows of one clip it asked for.

    `fate` is the POST's: intended, waiting (for a slot), sent, known (it has an id), refused, or unknown.
    """

    id: int
    base_url: str
    fate: str
    intended_at: float
    sent_at: float | None = None
    task_id: str | None = None
    status: str | None = None
    model: str | None = None
    prompt: str | None = None
    request: dict[str, Any] = {}  # noqa: RUF012 – shared, and never written to
    target: str | None = None
    estimate_cents: float | None = None
    cost_cents: float | None = None
    created: float | None = None
    expires_at: float | None = None
    file: str | None = None
    bytes: int | None = None
    saved_at: float | None = None
    error: str | None = None
    candidates: tuple[str, ...] = ()
    known_at: float | None = None
    ended_at: float | None = None

    @property
    def took(self) -> float | None:
        """Seconds from the answer to the POST to the end of the task, where that was seen."""
        return None if self.known_at is None or self.ended_at is None else self.ended_at - self.known_at

    @property
    def state(self) -> str:
        """One word for a table: the task's status once there is a task, else the fate of its POST."""
        return (self.status or QUEUED) if self.fate == "known" else self.fate


class Sighting(NamedTuple):
    """A task as told to the user: the server's word, the journal's, and the file it was saved to."""

    task: Task | None
    entry: Entry | None = None
    output: str | None = None
    bytes: int | None = None

    @property
    def task_id(self) -> str:
        return (self.task and self.task.task_id) or (self.entry and self.entry.task_id) or ""

    @property
    def status(self) -> str:
        return self.task.status if self.task else self.entry.state if self.entry else "unknown"

    @property
    def prompt(self) -> str | None:
        return (self.entry and self.entry.prompt) or (self.task and self.task.prompt) or None

    @property
    def model(self) -> str | None:
        return (self.task and self.task.model) or (self.entry and self.entry.model) or None

    @property
    def cost_cents(self) -> float | None:
        if self.task and self.task.cost_cents is not None:
            return self.task.cost_cents
        if self.entry and self.entry.cost_cents is not None:
            return self.entry.cost_cents
        return self.entry.estimate_cents if self.entry else None

    @property
    def is_free(self) -> bool:
        """Whether nothing is charged: it failed, or expired before anyone saw it completed."""
        return self.status == FAILED or (self.status == EXPIRED and (not self.entry or self.entry.status != COMPLETED))

    @property
    def created(self) -> float | None:
        if self.task and self.task.created is not None:
            return self.task.created
        return (self.entry.created or self.entry.intended_at) if self.entry else None

    @property
    def file(self) -> str | None:
        return self.output or (self.entry.file if self.entry else None)

    def record(self) -> dict[str, Any]:
        """The API's object with every key it had, plus `airvid` with what we know (contract 2.2)."""
        entry = self.entry
        record: dict[str, Any] = dict(self.task.raw) if self.task else {}
        record["task_id"] = record.get("task_id") or self.task_id or None
        if not self.task:
            record |= {
                "status": self.status,
                "model": self.model,
                "created": entry and entry.created,
                "expires_at": entry and entry.expires_at,
                "cost_cents": entry and entry.cost_cents,
            }
        record["airvid"] = {
            "status": self.status,
            "prompt": self.prompt,
            "request": entry and entry.request,
            "output": self.file,
            "bytes": self.bytes if self.bytes is not None else entry and entry.bytes,
            "estimate_cents": entry and entry.estimate_cents,
            "intended_at": entry and entry.intended_at,
            "saved_at": entry and entry.saved_at,
            "fate": entry and entry.fate,
            "candidates": list(entry.candidates) if entry else [],
        }
        return record


# ---------------------------------------------------------------------- models

# A model is taken for healthy unless its live status, whose values are undocumented, says otherwise.
_UNHEALTHY = [
    "down",
    "offline",
    "degraded",
    "unavailable",
    "unhealthy",
    "disabled",
    "inactive",
    "maintenance",
    "outage",
    "error",
    "failing",
    "failed",
    "broken",
    "major_outage",
    "partial_outage",
    "deprecated",
    "suspended",
    "paused",
    "dead",
    "critical",
    "red",
]


class Caps(NamedTuple):
    """What a model can do. An empty tuple or None means that the server did not say: send, and let it decide."""

    modes: tuple[str, ...] = ()
    aspect_ratios: tuple[str, ...] = ()
    qualities: tuple[str, ...] = ()
    min_seconds: float | None = None
    max_seconds: float | None = None
    cents_per_second: float | None = None


class Model(NamedTuple):
    """One video model of the listing."""

    id: str
    caps: Caps
    raw: dict[str, Any]
    status: str | None = None

    @classmethod
    def parse(cls, raw: object) -> Self | None:
        """The video model in a listing's entry, if it is one."""
        if not isinstance(raw, dict) or not (model_id := text(raw.get("id"))) or not _makes_video(raw):
            return None
        given = raw.get("video_caps")
        caps = given if isinstance(given, dict) else {}
        price = cents(caps.get("price_per_second_cents"))
        return cls(
            id=model_id,
            raw=raw,
            status=text(raw.get("status")),
            caps=Caps(
                modes=_texts(caps.get("modes")),
                aspect_ratios=_texts(caps.get("aspect_ratios")),
                qualities=_texts(caps.get("qualities")),
                min_seconds=number(caps.get("min_duration_s")),
                max_seconds=number(caps.get("max_duration_s")),
                # 0 or missing means that nobody told, never that it is free.
                cents_per_second=price if price and price > 0 else None,
            ),
        )

    @property
    def is_healthy(self) -> bool:
        return (self.status or "").strip().lower().replace(" ", "_").replace("-", "_") not in _UNHEALTHY

    def cents(self, seconds: float | None) -> float | None:
        """The estimated price of a clip; without a length, of the shortest, which is what the server then makes."""
        seconds = seconds if seconds is not None else self.caps.min_seconds
        if seconds is None or self.caps.cents_per_second is None:
            return None
        return cents(seconds * self.caps.cents_per_second)


def _makes_video(raw: dict[str, Any]) -> bool:
    outputs = raw.get("output_modalities")
    if isinstance(outputs, list) and outputs:
        return any(isinstance(item, str) and item.lower() == "video" for item in outputs)
    media = raw.get("media_type")
    if isinstance(media, str) and media:
        return media.lower() == "video"
    return isinstance(raw.get("video_caps"), dict)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if text(item)) if isinstance(value, list) else ()
