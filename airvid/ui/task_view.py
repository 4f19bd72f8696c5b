"""A task as it is shown: the server's record, the journal's entry and the file, read as one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from airvid.api.models import COMPLETED, EXPIRED, FAILED, Task

if TYPE_CHECKING:
    from airvid.journal.entries import Entry


class TaskView(NamedTuple):
    """One task for a table, a line or `--json`: the server's record, the journal's entry, and the clip's file.

    `output` is the file this run saved the clip to (`-`: standard output), `bytes` its size.
    """

    task: Task | None
    entry: Entry | None = None
    output: str | None = None
    bytes: int | None = None

    @property
    def task_id(self) -> str:
        return (self.task and self.task.task_id) or (self.entry and self.entry.task_id) or ""

    @property
    def status(self) -> str:
        return self.task.status if self.task else self.entry.state if self.entry else "refused"

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
        """Whether nothing is charged: the task failed, or it expired and was never seen completed."""
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
        """The API's object with all its keys, and the key `airvid` with what this machine knows."""
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
                "error": entry and entry.error,
                "result_url": entry and entry.result_url,
            }
        record["airvid"] = {
            "status": self.status,
            "prompt": self.prompt,
            "request": entry and entry.request,
            "extends": entry and entry.extends,
            "output": _whole(self.file),
            "bytes": self.bytes if self.bytes is not None else entry and entry.bytes,
            "estimate_cents": entry and entry.estimate_cents,
            "intended_at": entry and entry.intended_at,
            "saved_at": entry and entry.saved_at,
            "took": entry and entry.took,
            "fate": entry and entry.fate,
            "candidates": list(entry.candidates) if entry else [],
        }
        return record


def _whole(file: str | None) -> str | None:
    """The absolute path of a file; standard output and objects in the cloud as they are."""
    return file if not file or file == "-" or "://" in file else os.path.abspath(file)
