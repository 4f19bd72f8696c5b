"""Sequences of faults, kills and reruns, drawn at random:

there are never more tasks on the server than intents in the journal, and no task that the journal could not lead to;
and no create is ever sent twice unless the server said that it did not take the first.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program import World

from airvid.sandbox.emulator import Fault, Request, Response
from airvid.sandbox.faults import parse_fault

# How a create can go: sound, its answer lost after it was taken or before, refused, or the process killed on the way.
TAKEN = {
    "sound": None,
    "reset": parse_fault("lost-reply"),
    "silence": Fault("POST /video/generations", ending="silence"),
    "500": Fault("POST /video/generations", Response(500)),
    "empty": Fault("POST /video/generations", Response(200)),
}
NOT_TAKEN = {
    "lost before": parse_fault("reset"),
    "503 before": parse_fault("status=503"),
    "400": Fault("POST /video/generations", Response(400, {}, b'{"error":"no"}'), before=True),
}
FATES = [*TAKEN, *NOT_TAKEN, "killed before", "killed after"]
LISTS = ["sound", "list down"]
AFTER = ["nothing", "list", "watch", "watch last", "an hour"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(FATES), st.sampled_from(LISTS), st.sampled_from(["a fox", "a cat"]), st.sampled_from(AFTER)
    ),
    min_size=1,
    max_size=5,
)


class Killed(BaseException):
    """The process is gone, between two instructions."""


def play(world: World, fate: str, lists: str, prompt: str) -> None:
    """One create, as it goes wrong."""
    emulator = world.emulator
    emulator.faults.clear()
    posted = False

    def answer(request: Request) -> Response | None:
        nonlocal posted
        if request.method == "POST":
            posted = True
            if fate == "killed before":
                raise Killed
            if fate == "killed after":
                emulator.handle(request, world.clock.now())
                raise Killed
        is_list = request.method == "GET" and request.path.endswith("/video/tasks")
        return Response(503) if posted and is_list and lists == "list down" else None

    fault = {**TAKEN, **NOT_TAKEN}.get(fate)
    if fault:
        emulator.faults.append(fault)
    world.answer = answer
    world.airvid("create", prompt, "-m", "wan-2.6", "-d", "2")
    world.answer = lambda _: None
    with closing(sqlite3.connect(journal(world))) as database, database:
        database.execute("UPDATE clip SET process = NULL")  # that process has ended


def journal(world: World) -> Path:
    return world.folder.parent / "data" / "airvid" / "journal.db"


def check(world: World, sent: int) -> None:
    """The invariant, read off the two databases themselves."""
    with closing(sqlite3.connect(journal(world))) as database:
        rows = database.execute("SELECT task_id, fate, prompt FROM clip").fetchall()
    listed = world.objects("list", "--json", "-L", "100")
    known = [task_id for task_id, _, _ in rows if task_id]
    assert len(known) == len(set(known))
    assert len(listed) <= len(rows)
    open_fates = Counter(prompt for _, fate, prompt in rows if fate in ("sent", "unknown"))
    orphans = Counter(task["prompt"] for task in listed if task["task_id"] not in known)
    assert all(count <= open_fates[prompt] for prompt, count in orphans.items())
    assert sum(request.method == "POST" for _, request in world.emulator.requests) <= sent


@given(steps=STEPS)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_task_is_unknown_to_the_journal_whatever_happens(
    world: World, steps: list[tuple[str, str, str, str]]
) -> None:
    world.start_anew()
    for sent, (fate, lists, prompt, after) in enumerate(steps, 1):
        play(world, fate, lists, prompt)
        world.emulator.faults.clear()
        if after == "an hour":
            world.clock.advance(3600)
        elif after != "nothing":
            world.airvid(*after.split(), *(["--timeout", "10m"] if after.startswith("watch") else []))
        else:
            world.clock.advance(200)
        check(world, sent)
