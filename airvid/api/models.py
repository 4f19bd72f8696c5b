"""Task, Model and Caps, read tolerantly from whatever the server sends. No I/O.

`raw` keeps the server's own object whole, so that `--json` also prints keys that this version does not know.
Money is in cents and may be fractional; times are Unix seconds.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple, Self
from urllib.parse import urljoin

QUEUED, PROCESSING = "queued", "processing"
COMPLETED, FAILED, EXPIRED = "completed", "failed", "expired"
# The journal's word for a task that was deleted from the server's history.
DELETED = "deleted"
STATUSES = (QUEUED, PROCESSING, COMPLETED, FAILED, EXPIRED)
TERMINAL = frozenset({COMPLETED, FAILED, EXPIRED})
# Seconds for which another server of the API may not know a new task yet.
FRESH_SECONDS = 20.0
# Seconds from a task's creation to its end, where the server does not tell when it expires.
TASK_SECONDS = 86400.0

# Other words for the states. A word that is not here is shown as it is, and counts as still running until the task has
# a result or its day is over.
_SYNONYMS = {
    **dict.fromkeys(("pending", "submitted", "waiting", "scheduled", "created", "starting"), QUEUED),
    **dict.fromkeys(("in_progress", "running", "started", "generating", "rendering"), PROCESSING),
    **dict.fromkeys(("succeeded", "success", "successful", "complete", "done", "finished"), COMPLETED),
    **dict.fromkeys(("failure", "error", "errored", "canceled", "cancelled", "rejected", "aborted"), FAILED),
    **dict.fromkeys(("timed_out", "timedout", "timeout", "terminated", "killed", "stopped"), FAILED),
    **dict.fromkeys(("blocked", "moderated", "nsfw", "content_filtered", "flagged", "denied"), FAILED),
}
MODES = ("text", "image", "reference")
# Most bytes, as JSON, of a task's merged record; and of one value that stays where the record had to be cut.
MOST_RECORD, MOST_VALUE = 256 << 10, 16 << 10
_LONGEST_ID = 200
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:")
# Beyond this, a float cannot add a single cent any more, and budgets would be wrong.
_MOST_CENTS = 2.0**53


def is_task_id(value: object) -> bool:
    """Whether a value is a task id: ASCII letters, digits, `_`, `-`, and `.` or `:` inside it, up to 200 of them.

    Such an id is one plain word for every shell, and no step up in a path. It does not begin with `-`, for a command
    would read it as an option, and it is not `last`, which every command reads as the newest task.
    """
    return (
        isinstance(value, str)
        and 0 < len(value) <= _LONGEST_ID
        and _ID_CHARACTERS.issuperset(value)
        and value[0] not in "-.:"
        and value[-1] not in ".:"
        and value != "last"
    )


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


def product(amount: float, factor: float) -> float:
    """An amount of money times a factor, without the digits that only binary fractions make: 3 x 0.1 is 0.3."""
    return round(amount * factor, 9)


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
    """One generation on the server, as last read. To see whether it changed, compare `facts`."""

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
    def parse(cls, raw: object, task_id: str | None = None, *, base_url: str = "") -> Self | None:
        """The task in an answer, None where there is none. `task_id` is used where the answer has no id, `base_url`
        where its link has no scheme or host.
        """
        if not isinstance(raw, dict):
            return None
        found = raw.get("task_id")
        task_id = text(found) or (str(found) if isinstance(found, int) and not isinstance(found, bool) else task_id)
        if task_id is None or not is_task_id(task_id):
            return None
        url = (text(raw.get("result_url")) or "").strip()
        if url.startswith("/") and base_url:
            url = urljoin(base_url, url)
        if url and url != raw["result_url"]:
            raw = {**raw, "result_url": url}
        progress = number(raw.get("progress"))
        status = canonical_status(raw.get("status"))
        return cls(
            task_id=task_id,
            status=COMPLETED if url and status not in STATUSES else status,
            raw=raw,
            progress=None if progress is None else min(100.0, max(0.0, progress)),
            model=text(raw.get("model")),
            prompt=text(raw.get("prompt")),
            created=number(raw.get("created")),
            expires_at=number(raw.get("expires_at")),
            cost_cents=cents(raw.get("cost_cents")),
            result_url=url if url.lower().startswith(("http://", "https://")) else None,
            error=error_text(raw.get("error")),
            duration_seconds=number(raw.get("duration_seconds")),
        )

    def updated(self, raw: object) -> Self:
        """This task with a partial payload merged in; keys that are missing or null in the payload stay as they were.

        Where the merged record would pass MOST_RECORD, only the old keys that are fields here stay (`was_cut`).
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
        """The task without `raw`, for comparing: a change in a key that is not understood is no change."""
        return self._replace(raw={})

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def latest_end(self) -> float | None:
        """When the task is over at the latest, Unix seconds; None where the server tells neither time."""
        return self.created + TASK_SECONDS if self.expires_at is None and self.created is not None else self.expires_at

    def could_be(self, request: dict[str, Any]) -> bool:
        """Whether the task can have been made by this request body: no value that both have differs."""
        for key in ("model", "prompt", "mode", "aspect_ratio", "quality"):
            asked, told = request.get(key), self.raw.get(key)
            if isinstance(asked, str) and isinstance(told, str) and asked.strip().lower() != told.strip().lower():
                return False
        asked = request.get("duration_seconds")
        return asked is None or self.duration_seconds is None or asked == self.duration_seconds


# ---------------------------------------------------------------------- models

# A model is taken for healthy unless its live status, whose values are undocumented, says otherwise.
_UNHEALTHY = {
    *("down", "offline", "unavailable", "disabled", "inactive", "paused", "suspended", "deprecated", "dead"),
    *("outage", "major_outage", "partial_outage", "maintenance", "degraded", "unhealthy", "critical", "red"),
    *("error", "failing", "failed", "broken"),
}


class Caps(NamedTuple):
    """What a model can do. An empty tuple or None: the server did not say, so it decides when it gets the request."""

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
        """The video model in one item of a listing, None where it is no video model."""
        if not isinstance(raw, dict) or not (model_id := text(raw.get("id"))) or not _makes_video(raw):
            return None
        given = raw.get("video_caps")
        caps = given if isinstance(given, dict) else {}
        price, least = cents(caps.get("price_per_second_cents")), number(caps.get("min_duration_s"))
        return cls(
            id=model_id,
            raw=raw,
            status=text(raw.get("status")),
            caps=Caps(
                modes=_texts(caps.get("modes")),
                aspect_ratios=_texts(caps.get("aspect_ratios")),
                qualities=_texts(caps.get("qualities")),
                min_seconds=least if least and least > 0 else None,
                max_seconds=number(caps.get("max_duration_s")),
                # 0 or missing means that the price is unknown, never that the clip is free.
                cents_per_second=price if price and price > 0 else None,
            ),
        )

    @property
    def is_healthy(self) -> bool:
        return (self.status or "").strip().lower().replace(" ", "_").replace("-", "_") not in _UNHEALTHY

    def seconds(self, asked: float | None) -> float | None:
        """The length of a clip. `asked` None: that of the shortest clip, which the server makes by default."""
        return self.caps.min_seconds if asked is None else asked

    def cents(self, asked: float | None) -> float | None:
        """The estimated price of a clip of that length; `asked`: as for `seconds`."""
        seconds = self.seconds(asked)
        if seconds is None or self.caps.cents_per_second is None:
            return None
        return cents(product(self.caps.cents_per_second, seconds))


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
