"""What is left of a batch, and what that costs. Amounts are exact decimals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from airvid.clips.rows import FAILURE, NEW, STATES, UNKNOWN, RowClip
from airvid.ui.text import counted, money


class BatchPlan:
    """The clips of a batch by their state, and the costs of those that are left."""

    def __init__(self, source: str, clips: Sequence[RowClip], *, retries: bool) -> None:
        self._source = source
        self._clips = clips
        self._by_state: dict[str, list[RowClip]] = {state: [] for state in STATES}
        for clip in clips:
            self._by_state[clip.state].append(clip)
        self.retries = retries
        self.failed = [] if retries else self.of(FAILURE)
        # Clips to submit. Those of unknown fate count as costs too, as they may have to be submitted.
        self.new = [*self.of(NEW), *(self.of(FAILURE) if retries else [])]
        self.left = [*self.new, *self.of(UNKNOWN)]

    def of(self, state: str) -> list[RowClip]:
        return self._by_state[state]

    @property
    def left_cents(self) -> Decimal | None:
        """What is still to be paid; None where a price is unknown."""
        return total_cents(self.left)

    def record(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        models: dict[str, list[RowClip]] = {}
        for clip in self._clips:
            models.setdefault(str(clip.row.plan.body["model"]), []).append(clip)
        return {
            "manifest": self._source,
            "rows": len({clip.row.id for clip in self._clips}),
            **_amounts(self._clips),
            "models": [{"model": model, **_amounts(models[model])} for model in sorted(models)],
            **{state: len(self.of(state)) for state in STATES if state != NEW},
            "left": _amounts(self.left),
        }

    def lines(self) -> list[str]:
        """The lines that are shown without `--json`."""
        record = self.record()
        models = record["models"]
        of = f" of {models[0]['model']}" if len(models) == 1 else ""
        shown = [f"{counted(record['rows'], 'row')}: {_sentence(record, of)}"]
        if len(models) > 1:
            shown += [f"  {each['model']}: {_sentence(each)}" for each in models]
        states = [f"{record[state]} {state}" for state in STATES if record.get(state)]
        if states:
            left = f"left: {_sentence(record['left'])}" if self.left else "nothing left to pay"
            shown.append(", ".join([*states, left]))
        return shown


def _amounts(clips: Sequence[RowClip]) -> dict[str, Any]:
    cents = total_cents(clips)
    seconds = [_seconds(clip) for clip in clips]
    return {
        "clips": len(clips),
        "seconds": None if None in seconds else float(sum(each or 0 for each in seconds)),
        "cost_usd": None if cents is None else float(cents / 100),
    }


def _sentence(amounts: Mapping[str, Any], of: str = "") -> str:
    seconds, cost = amounts["seconds"], amounts["cost_usd"]
    length = "" if seconds is None else f", {seconds:g} s"
    price = "price unknown" if cost is None else money(Decimal(str(cost)) * 100)
    return f"{counted(amounts['clips'], 'clip')}{of}{length}, {price}"


def _seconds(clip: RowClip) -> Decimal | None:
    asked, model = clip.row.plan.asked.duration, clip.row.model
    seconds = model.seconds(asked) if model else asked
    return None if seconds is None else Decimal(str(seconds))


def total_cents(clips: Sequence[RowClip]) -> Decimal | None:
    """The estimate for some clips, exactly; None where a price is unknown."""
    total = Decimal(0)
    for clip in clips:
        seconds, price = _seconds(clip), clip.row.model and clip.row.model.caps.cents_per_second
        if seconds is None or price is None:
            return None
        total += seconds * Decimal(str(price))
    return total
