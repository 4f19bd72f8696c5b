"""Standard output is data, standard error is talk (contract §2). Stories speak in meanings; this decides how they look.

Every word passes through `text.plain()` or `text.dumps()`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

from airvid import system
from airvid.api.models import COMPLETED, Model
from airvid.errors import AirvidError, FileError, Interrupted, SeveralErrors
from airvid.ui import terminal
from airvid.ui.task_view import TaskView
from airvid.ui.text import dumps, masked, money, plain, size, usd, without_secret

if TYPE_CHECKING:
    from rich.console import Console

    from airvid.ui.progress import Progress
    from airvid.ui.tables import Painter
    from airvid.ui.views import Cell, Column

# What the provider's keys look like: one that was typed in the wrong place is not repeated.
_KEY_LIKE = r"\b(?:sk-air-|airf_oat_|afk-)[\w.-]{8,}"
# In characters.
_LONGEST_SENTENCE, _LONGEST_NAME, _LONGEST_TRACE = 2000, 200, 10_000
SIGPIPE = 13  # contract 2.5; Windows has none of that name
Noun = TypeVar("Noun")


class _LastingStream:
    """A stream whose failure stops no work: what is still to be written then goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            system.forget(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            system.forget(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Output:
    """The two streams of one run."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        color: bool = True,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self._talked = cast("TextIO", _LastingStream(self.stderr))
        self.color = color
        # The key of this run is never printed, whoever repeats it.
        self.secret = ""
        self._lost: OSError | None = None
        self._forces_color = os.environ.get("FORCE_COLOR", "0") not in ("", "0", "false")
        # The bars that are on the screen: results may be written on the same terminal, or get there by a pipe.
        self.bars: Progress | None = None
        for stream in (self.stdout, self.stderr):
            try:
                if hasattr(stream, "reconfigure"):
                    stream.reconfigure(errors="backslashreplace", newline="\n")
            except OSError:
                system.forget(stream)

    @property
    def is_terminal(self) -> bool:
        return self.stdout.isatty()

    # ------------------------------------------------------------------ talk

    @cached_property
    def console(self) -> Console:
        """Standard error as Rich writes on it, above the bars where there are any."""
        from rich.console import Console

        return Console(
            file=self._talked,
            force_terminal=True,
            color_system="standard" if self.color else None,
            soft_wrap=True,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def note(self, message: str) -> None:
        """Something worth knowing; not with `--quiet`."""
        if not self.quiet:
            self._talk((plain(message, _LONGEST_SENTENCE), "dim"))

    def last_word(self, name: str, message: str, is_good: bool) -> None:
        """How something ended that was shown live."""
        if not self.quiet:
            good, bad = "✓✗" if terminal.can_write(self.stderr, "✓✗") else "+x"
            sign = (good, "green") if is_good else (bad, "red")
            self._talk(sign, (f" {plain(f'{name}: {message}', _LONGEST_SENTENCE)}", ""))

    def warn(self, message: str) -> None:
        """Something that may need doing; not with `--quiet`."""
        if not self.quiet:
            self.alarm(message)

    def alarm(self, message: str) -> None:
        """A warning, even with `--quiet`."""
        self._talk(("warning:", "bold yellow"), (f" {plain(message, _LONGEST_SENTENCE)}", ""))

    def trace(self, line: str) -> None:
        """A line of `--debug`."""
        self._talk((plain(line, _LONGEST_TRACE), "dim"))

    def error(self, error: AirvidError) -> None:
        """What happened, and the command that helps (contract 3.1)."""
        for each in error.errors if isinstance(error, SeveralErrors) else [error]:
            if self.as_json:
                self._talk((dumps({"error": {key: _short(value) for key, value in each.record().items()}}), ""))
                continue
            subject = f"{plain(each.task_id, _LONGEST_NAME)}: " if each.task_id else ""
            reference = f" (request {plain(each.request_id, _LONGEST_NAME)})" if each.request_id else ""
            told = f"{subject}{plain(each.message, _LONGEST_SENTENCE)}{reference}"
            self._talk(("error:", "bold red"), (f" {told}", ""))
            if each.hint:
                self._talk(("hint:", "bold cyan"), (f" {plain(each.hint, _LONGEST_SENTENCE)}", ""))

    def _talk(self, *pieces: tuple[str, str]) -> None:
        """Write a line of words and their styles. A log gets the words alone, and does not wait for Rich."""
        shown = [(self._without_keys(words), style) for words, style in pieces]
        if self.stderr.isatty() or (self._forces_color and self.color):
            from rich.text import Text

            self.console.print(Text.assemble(*shown))
        else:
            self._talked.write("".join(words for words, _ in shown) + "\n")
            self._talked.flush()

    def _without_keys(self, words: str) -> str:
        return re.sub(_KEY_LIKE, lambda found: masked(found[0]), self._without_secret(words))

    def confirm(self, question: str) -> bool:
        """A yes or no from the person at the terminal."""
        self.stderr.write(question)
        self.stderr.flush()
        with system.interruptible():
            return sys.stdin.readline().strip().lower() in ("y", "yes")

    def ask_hidden(self, question: str) -> str:
        """A line that is not shown while it is typed."""
        import getpass

        try:
            with system.interruptible():
                return getpass.getpass(question, stream=self.stderr)
        except (EOFError, Interrupted) as end:
            self._talk()
            if isinstance(end, Interrupted):
                raise
            return ""

    # ------------------------------------------------------------------ results

    def line(self, *fields: object, path: str | None = None) -> None:
        """Fields, with tabs between them. On a terminal the line leads to the file at `path`."""
        line = "\t".join("" if field is None else plain(field) for field in fields)
        if path and self.color and self.is_terminal and terminal.can_link():
            from rich.style import Style

            line = Style(link=terminal.file_link(path)).render(line)
        self._say(line)

    def emit(self, record: object) -> None:
        """One JSON object: a compact line, on a terminal indented."""
        self._say(dumps(record, indent=2 if self.is_terminal else None))

    def raw(self, chunk: bytes) -> None:
        """A clip's own bytes."""
        with self._told_when_it_fails(), system.interruptible():
            self.stdout.buffer.write(chunk)
            self.stdout.buffer.flush()

    @contextmanager
    def _told_when_it_fails(self) -> Iterator[None]:
        """Raises: Interrupted where the reader of standard output has gone, FileError where it cannot be written."""
        try:
            if self._lost:
                raise self._lost  # what goes nowhere now must not pass for written
            yield
        except BrokenPipeError:
            raise Interrupted(SIGPIPE) from None
        except OSError as error:
            self._lost = error
            system.forget(self.stdout)
            raise FileError(f"standard output cannot be written: {error.strerror}") from None

    def _takes_bytes(self, path: str) -> bool:
        """Whether a path is no Unicode, but harmless otherwise, and for a program to use."""
        text = path.encode(errors="ignore").decode()
        return text != path and text == plain(text) and not self.is_terminal

    def _without_secret(self, line: str) -> str:
        return without_secret(self.secret, line, masked(self.secret))

    def _say(self, line: str | bytes) -> None:
        with self._told_when_it_fails():
            if self.bars:
                self.bars.clear()
            if isinstance(line, bytes):
                self.stdout.buffer.write(line + b"\n")
            else:
                self.stdout.write(self._without_secret(line) + "\n")
            self.stdout.flush()

    def submitted(self, seen: TaskView) -> None:
        """A task that was just made: its id."""
        self.record(seen.record(), [seen.task_id])

    def finished(self, seen: TaskView, *, wants_file: bool) -> None:
        """What became of a clip: the file where one was wanted, else the URL."""
        where = seen.output if wants_file else seen.task and seen.task.result_url
        if self.as_json:
            self.emit(seen.record())
        elif where and seen.status == COMPLETED:
            if wants_file and self._takes_bytes(where):
                self._say(os.fsencode(where))
            else:
                self.line(where, path=seen.output)

    def ended(self, seen: TaskView, *, wants_file: bool) -> None:
        """A watched task that ended: id, state, file or URL."""
        if not self.as_json:
            self.line(seen.task_id, seen.status, seen.output if wants_file else seen.task and seen.task.result_url)

    def changed(self, seen: TaskView) -> None:
        """A watched task's news, for those who read JSON."""
        if self.as_json:
            self.emit(seen.record())

    def plan(self, body: dict[str, Any], count: int, cents: float | None) -> None:
        """What --dry-run would send for each of `count` clips, and the estimate for all."""
        if self.as_json:
            self.emit({"request": body, "airvid": {"count": count, "estimate_cents": cents}})
            return
        if self.is_terminal:
            images = [
                {**image, "b64_json": f"[{size(len(image['b64_json']))}]"} if "b64_json" in image else image
                for image in body.get("input_images", ())
            ]
            body = body | {"input_images": images} if images else body
        self.emit(body)
        self.line("estimate", "unknown" if cents is None else money(cents) if self.is_terminal else usd(cents))

    def tasks(self, sightings: Sequence[TaskView], *, as_array: bool) -> None:
        """Tasks, a row each; one alone, on a terminal, as a card. As JSON one array, or an object a line."""
        if self.as_json:
            records = [seen.record() for seen in sightings]
            for record in [records] if as_array else records:
                self.emit(record)
            return
        from airvid.ui import views

        if self.is_terminal and not as_array and len(sightings) == 1:
            with self._painter() as painter:
                painter.card(views.task_card(sightings[0]))
        else:
            self._rows(views.TASK_COLUMNS, sightings, views.task_cells, views.task_fields)

    def entries(self, sightings: Sequence[TaskView]) -> None:
        """The journal's entries, a row each. As JSON one array."""
        if self.as_json:
            self.emit([seen.record() for seen in sightings])
            return
        from airvid.ui import views

        self._rows(views.TASK_COLUMNS, sightings, views.task_cells, views.entry_fields)

    def ids(self, ids: Iterable[str]) -> None:
        """Task ids, one a line; as JSON one array."""
        ids = list(ids)
        if self.as_json:
            self.emit(ids)
            return
        for task_id in ids:
            self.line(task_id)

    def models(self, models: Sequence[Model], seconds: float | None) -> None:
        """What each can do, and what a clip of `seconds` (its minimum if None) costs."""
        from airvid.ui import views

        if self.as_json:
            self.emit([views.model_record(model, seconds) for model in models])
            return
        self._rows(
            views.model_columns(seconds),
            models,
            lambda model: views.model_cells(model, seconds),
            lambda model: views.model_fields(model, seconds),
        )

    def model(self, model: Model, seconds: float | None) -> None:
        """One model's whole record: a card, or a key a line."""
        from airvid.ui import views

        if self.is_terminal:
            with self._painter() as painter:
                painter.card(views.model_card(model, seconds))
            return
        for key, value in views.model_record(model, seconds).items():
            self.line(key, value if isinstance(value, str) else dumps(value))

    def settings(self, rows: Sequence[tuple[str, object, str]]) -> None:
        """Settings: name, value, where it comes from."""
        if self.as_json:
            for name, value, source in rows:
                self.emit({"name": name, "value": value, "source": source})
            return
        from airvid.ui.views import Cell, Column

        columns = (Column("SETTING", 9), Column("VALUE", 8, gives="wrap"), Column("FROM", 5, gives="wrap"))
        self._rows(columns, rows, lambda row: [Cell(each) for each in _setting(row)], _setting)

    def record(self, record: dict[str, Any], line: Sequence[object] | None) -> None:
        """One result: an object as JSON, otherwise a line of fields, if any."""
        if self.as_json:
            self.emit(record)
        elif line is not None:
            self.line(*line)

    def _rows(
        self,
        columns: Sequence[Column],
        nouns: Sequence[Noun],
        cells: Callable[[Noun], Sequence[Cell]],
        fields: Callable[[Noun], Sequence[object]],
    ) -> None:
        if not self.is_terminal:
            for noun in nouns:
                self.line(*fields(noun))
        elif nouns:
            with self._painter() as painter:
                painter.table(columns, [cells(noun) for noun in nouns])

    @contextmanager
    def _painter(self) -> Iterator[Painter]:
        from airvid.ui.tables import Painter

        with self._told_when_it_fails():
            yield Painter(self.stdout, hide=self._without_secret, with_color=self.color)
            self.stdout.flush()


def _short(value: object) -> object:
    if isinstance(value, list):
        return [_short(each) for each in value[:100]]
    return value[:_LONGEST_SENTENCE] if isinstance(value, str) else value


def _setting(row: tuple[str, object, str]) -> list[str]:
    name, value, source = row
    shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return [name, shown, source]
