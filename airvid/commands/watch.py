"""airvid watch: follow tasks live until they end, and with -o save each clip as it does (contract §6)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from airvid.api.models import QUEUED, Task
from airvid.clips.naming import Naming
from airvid.commands import common, finish
from airvid.commands.finish import Clips
from airvid.config import checked
from airvid.errors import AirvidError, WaitTimeoutError, settle
from airvid.session import Session
from airvid.ui.progress import Progress
from airvid.ui.task_view import TaskView


async def run(
    session: Session,
    *,
    ids: Sequence[str],
    output: str | None,
    timeout: str | None,
    fail_fast: bool,
    force: bool,
    opens: bool,
) -> None:
    limit = None if timeout is None else checked("timeout", timeout, "--timeout")
    errors: list[AirvidError] = []
    if output is not None:
        finish.check_stdout(session, Naming.parse(output, 1), opens=opens)
    watch = None
    try:
        async with asyncio.timeout(limit):
            if ids:
                found, errors = await common.resolve(session, common.given(ids), patience=math.inf)
            else:
                found = await _running(session)
            if not found and not errors:
                session.out.note("nothing is running")
                return
            name = None if output is None else Naming.parse(output, max(1, len(found)))
            watch = _Watch(session, name, found, where=output, fail_fast=fail_fast, force=force, opens=opens)
            with session.progress(len(found)) as progress:
                await watch.follow_all(progress)
    except TimeoutError:
        if not watch:
            raise WaitTimeoutError("the time was up before the server had told its tasks") from None
    except asyncio.CancelledError:
        if watch:
            watch.tell_how_to_go_on()
        raise
    settle([*errors, *watch.outcomes()])


async def _running(session: Session) -> list[str]:
    """All that run: what the server lists, and what the journal last knew to be under way."""
    listing = await session.api().tasks(patience=math.inf)  # a wait gives up on no server
    common.take_note(session, listing)
    found = [str(entry.task_id) for entry in session.journal.running(session.service)]
    found += [task.task_id for task in listing.tasks if not task.is_terminal]
    return list(dict.fromkeys(found))


class _Watch(Clips):
    """Several tasks, followed side by side."""

    def __init__(
        self,
        session: Session,
        name: Naming | None,
        found: list[str],
        *,
        where: str | None,
        fail_fast: bool,
        force: bool,
        opens: bool,
    ) -> None:
        """`where` is what -o says, of which `name` is made."""
        entries = session.journal.by_task(session.service, found)
        seen = []
        for each in found:
            entry = entries.get(each)
            # As far as the task is known before its first reading.
            raw = {"status": (entry and entry.status) or QUEUED, "expires_at": entry and entry.expires_at}
            seen.append(TaskView(Task.parse(raw, each), entry))
        super().__init__(session, name, seen, session.out.ended, force=force, opens=opens)
        self._output = where
        self._fail_fast = fail_fast

    def outcomes(self) -> list[AirvidError | None]:
        """What each task came to, once all that can be seen of them is."""
        # Where it was stopped on purpose, the failure is the answer.
        left = [] if self._is_to_stop() else self._left()
        return [*self._outcomes.values(), *(self._timed_out(n) for n in left)]

    def _is_to_stop(self) -> bool:
        return self._fail_fast and any(self._outcomes.values())

    async def follow_all(self, progress: Progress) -> None:
        running = {asyncio.ensure_future(self._one(n, progress)) for n in self._seen}
        try:
            while running and not self._is_to_stop():
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                # Every result is taken, or a second error would be told by the event loop, in its own words.
                for error in [task.exception() for task in done]:
                    if error:
                        raise error
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _one(self, n: int, progress: Progress) -> None:
        seen = self._seen[n]
        await self._finish(n, progress.row(seen.task_id), is_ours=False, about=seen.prompt or "")

    def _changed(self, n: int, seen: TaskView) -> None:
        super()._changed(n, seen)
        self._say(n, lambda: self._session.out.changed(seen))

    def _where(self, n: int) -> str | None:
        return self._output

    def tell_how_to_go_on(self) -> None:
        if left := self._left():
            self._session.out.note(f"the tasks go on; to pick them up: {self._how_to_go_on(*left)}")
