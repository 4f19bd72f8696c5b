"""A journal for tests, and its clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from program import API
from virtual_clock import NOON, VirtualClock

from airvid.api.models import Task
from airvid.journal.entries import Entry
from airvid.journal.journal import Journal


class JournalFixture:
    """A journal and its clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = VirtualClock()
        self._journals: list[Journal] = []
        self.journal = self.another()

    def another(self) -> Journal:
        """The same journal, opened once more, as by another process."""
        journal = Journal(self.path)
        self._journals.append(journal)
        return journal

    def close(self) -> None:
        for journal in self._journals:
            journal.close()

    def intend(self, prompt: str = "a fox", cents: float | None = 10.0, count: int = 1, **more: Any) -> list[Entry]:
        given: dict[str, Any] = {"base_url": API, "account": "", "targets": [None] * count, "budgets": {}, **more}
        requests = [given.pop("request", {"model": "wan", "prompt": prompt})] * len(given["targets"])
        return self.journal.intend(**given, requests=requests, estimate_cents=cents)

    def sent(self, **more: Any) -> Entry:
        return self.journal.mark_sent(self.intend(**more)[0], self.clock.now(), [])

    def known(self, task_id: str, status: str = "queued", **more: Any) -> Entry:
        return self.journal.mark_known(self.sent(**more), task(task_id, status=status))

    def become(self, entry: Entry, fate: str) -> None:
        """What became of an entry's POST."""
        if fate == "sent":
            self.journal.mark_sent(entry, entry.sent_at or self.clock.now(), [])
        elif fate == "unknown":
            self.journal.mark_unknown(entry, "lost", [])
        elif fate == "refused":
            self.journal.mark_refused(entry, "no")
        elif fate == "waiting":
            self.journal.mark_unsent(entry, in_line=True)
        else:
            self.journal.mark_known(entry, task(fate))

    def entry(self, entry: Entry) -> Entry | None:
        return self.journal.entry(entry.id)

    def state(self, entry: Entry) -> str:
        found = self.journal.entry(entry.id)
        assert found
        return found.state


def task(task_id: str = "t-1", **more: Any) -> Task:
    found = Task.parse({"task_id": task_id, "status": "queued", "created": NOON, **more})
    assert found
    return found
