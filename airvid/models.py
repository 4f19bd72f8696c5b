"""The nouns of a model, read tolerantly as in `tasks` (the API's description, section 2). No I/O."""

from __future__ import annotations

from typing import Any, NamedTuple

from airvid.tasks import cents, number, text

# A model is taken for healthy unless its live status, whose values are undocumented, says otherwise.
_UNHEALTHY = frozenset(
    {
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
    }
)


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
    def parse(cls, raw: object) -> Model | None:
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
