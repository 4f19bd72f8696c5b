"""What the user sees while a clip is submitted."""

from __future__ import annotations

from airvid.ui.output import Output
from airvid.ui.progress import Row


class SubmitReport:
    """Notes, warnings, and the state of the clip that is being submitted, in its `row` where it has one."""

    def __init__(self, output: Output, row: Row | None = None) -> None:
        self._output = output
        self.row = row

    def note(self, message: str) -> None:
        self._output.note(message)

    def warn(self, message: str) -> None:
        """A warning that money depends on: it is shown even with `--quiet`."""
        self._output.alarm(message)

    def waiting(self) -> None:
        """The clip waits for a slot or for a rate limit."""
        if self.row:
            self.row.phase("waiting")
