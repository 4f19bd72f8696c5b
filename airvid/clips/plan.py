"""A plan for a create: what is sent for each clip, what it costs, and where the clips go."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airvid import system
from airvid.api.models import Model, product
from airvid.clips import naming, part_file, request
from airvid.clips.naming import Naming
from airvid.clips.request import Request, collected
from airvid.destinations import cloud
from airvid.destinations.cloud import CloudObject
from airvid.destinations.local import LocalFile
from airvid.errors import AirvidError, FileError, PaymentError, UsageError
from airvid.ui.text import money


@dataclass
class Plan:
    """`count` clips of one request, each with this `body` and a seed of its own.

    `cents` and `seconds` are the estimate and the length of one (None: unknown). `output` is what -o says, and `name`
    is made of it; both None: the clips are not saved. `at`: Unix seconds for the names. `force`: existing files are
    replaced. `more_fields`: the further fields of a manifest's row.
    """

    asked: Request
    body: dict[str, Any]
    output: str | None
    name: Naming | None
    count: int
    at: float
    force: bool
    cents: float | None = None
    seconds: float | None = None
    more_fields: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name and self.count > 1:
            self.name.tell_apart([self.fields(n, "") for n in range(1, self.count + 1)])

    @property
    def total_cents(self) -> float | None:
        return None if self.cents is None else product(self.cents, self.count)

    @property
    def saves_files(self) -> bool:
        """Whether the clips go to files, and not to standard output or nowhere."""
        return self.name is not None and self.name.template is not None

    def seed(self, n: int) -> object:
        """The seed of clip `n`; None without a seed. Seeds count up, as equal seeds make equal clips."""
        first = self.asked.effective_seed
        return first + n - 1 if isinstance(first, int) and not isinstance(first, bool) else first

    def body_of(self, n: int) -> dict[str, Any]:
        """What is sent for clip `n`."""
        return self.body if self.seed(n) is None else self.body | {"seed": self.seed(n)}

    def targets(self) -> list[str | None]:
        """The -o of each clip for the journal, independent of the working folder."""
        if self.name is None or self.name.template is None:
            return [None] * self.count
        if self.name.is_known:
            return [place.absolute for place in self.places()]
        is_url = cloud.is_url(self.name.template)
        return [self.name.template if is_url else os.path.abspath(self.name.template)] * self.count

    def fields(self, n: int, task_id: str) -> dict[str, str]:
        """The fields of a template, for clip `n`."""
        found = naming.values(
            prompt=self.asked.prompt,
            model=self.body.get("model"),
            at=self.at,
            n=n,
            seed=self.seed(n),
            task_id=task_id,
        )
        return found | self.more_fields

    def places(self) -> list[LocalFile | CloudObject]:
        """Where the clips go, if they are saved. An id that is not known yet has 36 characters, as most have."""
        if self.name is None or not self.saves_files:
            return []
        return [self.name.destination(self.fields(n, "0" * 36)) for n in range(1, self.count + 1)]

    def first_files(self) -> list[str]:
        """Where the first clips go; a name that needs an id is the template itself."""
        if self.name is None or self.name.template is None:
            return []
        return [str(place) for place in self.places()[:3]] if self.name.is_known else [self.name.template]

    def output_of(self, n: int) -> str | None:
        """The -o with which `watch` saves clip `n` to the same file."""
        if self.name is None or not self.saves_files:
            return None if self.name is None else "-"
        return str(self.name.destination(self.fields(n, ""))) if self.name.is_known else self.output

    async def check_places(self, complaints: list[AirvidError]) -> None:
        """See that the clips can be saved where they go."""
        for place in self.places():
            with collected(complaints):
                await self.check_place(place)

    async def check_place(self, place: LocalFile | CloudObject) -> None:
        """Raises: FileError."""
        await place.check(force=self.force)
        if isinstance(place, LocalFile):
            part_file.check_part(place.file)

    async def claim(self, *, shows_preview: bool) -> None:
        """Make the folders, and see that files can be written there, before a clip is paid. Raises: AirvidError."""
        system.check_thread()
        places = self.places()
        if self.name and places and not self.name.is_known:
            places = [self.name.any_destination()]
        if not places and (self.name or shows_preview):
            places = [LocalFile(_temporary())]
        for place in {os.path.dirname(place.absolute): place for place in places}.values():
            await place.check_writable()


def _temporary() -> Path:
    """A file in the folder for temporary files. Raises: FileError."""
    try:
        return Path(tempfile.gettempdir(), "clip.mp4")
    except OSError as error:
        raise FileError(f"there is no folder for temporary files: {error.strerror}", hint="set TMPDIR") from None


def model_for(
    asked: Request, models: Sequence[Model], complaints: list[AirvidError], *, no_validate: bool
) -> Model | None:
    """The model that is named, else the cheapest that fits; None, with a complaint, where there is none.

    `no_validate`: a model that is named is taken whatever its caps, and may be missing in the list.
    """
    try:
        if asked.model is None:
            return request.choose_model(models, asked)
        model = request.find_model(models, asked.model)
    except UsageError as error:
        if not (no_validate and asked.model):
            complaints.append(error)
        return None
    if not no_validate:
        complaints += request.model_complaints(asked, model)
    return model


def check_cost(max_cost: float | None, cents: float | None) -> None:
    """See that an estimate of `cents` is within --max-cost (USD). Raises: PaymentError."""
    if max_cost is None:
        return
    if cents is None:
        raise PaymentError(
            f"the price is unknown, so --max-cost {max_cost:g} cannot be kept; name a --model and a --duration",
            hint="airvid models",
        )
    if cents > max_cost * 100 + 1e-6:
        raise PaymentError(f"the estimate of {money(cents)} passes --max-cost {max_cost:g}; nothing was sent")
