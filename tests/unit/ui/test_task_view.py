"""What is shown of a task: the server's record, the journal's entry and the file, read as one."""

from __future__ import annotations

from typing import Any

import pytest

from airvid.api.models import Task
from airvid.journal.entries import Entry
from airvid.ui.task_view import TaskView


def task(raw: dict[str, Any]) -> Task:
    found = Task.parse(raw)
    assert found
    return found


ENTRY = Entry(
    1, "http://api.test/v1", "known", 50.0, task_id="t", status="completed", model="m", prompt="a fox", estimate_cents=9
)


@pytest.mark.parametrize(
    ("fate", "status", "word"),
    [
        ("known", "failed", "failed"),
        ("known", None, "queued"),
        ("unknown", None, "unknown"),
        ("refused", None, "refused"),
    ],
)
def test_the_state_of_an_entry_is_its_tasks_status_once_there_is_a_task(
    fate: str, status: str | None, word: str
) -> None:
    assert Entry(1, "b", fate, 0.0, status=status).state == word


def test_a_record_keeps_every_key_of_the_api_and_adds_one() -> None:
    raw = {"task_id": "t", "status": "SUCCEEDED", "unheard_of": [1], "error": None}
    record = TaskView(task(raw), ENTRY, "/fox.mp4", 7).record()
    ours = record.pop("airvid")
    assert record == raw
    assert (ours["prompt"], ours["output"], ours["bytes"], ours["status"]) == ("a fox", "/fox.mp4", 7, "completed")


def test_a_record_from_the_journal_alone_has_the_apis_keys() -> None:
    record = TaskView(None, ENTRY).record()
    assert (record["task_id"], record["status"], record["model"]) == ("t", "completed", "m")


@pytest.mark.parametrize(
    ("cost", "settled", "shown"), [(5, 3.0, 5.0), (None, 3.0, 3.0), (None, None, 9.0), (None, 0.0, 0.0)]
)
def test_the_cost_is_the_servers_else_the_settled_else_the_estimate(
    cost: int | None, settled: float | None, shown: float
) -> None:
    entry = Entry(1, "b", "known", 0.0, task_id="t", cost_cents=settled, estimate_cents=9.0)
    assert TaskView(task({"task_id": "t", "cost_cents": cost}), entry).cost_cents == shown
