"""Standard output is for results, standard error for messages.

Every text passes through `text.plain()` or `text.dumps()`: foreign text is never written raw.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO, cast

from airvid import system
from airvid.api.models import COMPLETED
from airvid.errors import AirvidError, FileError, Interrupted, SeveralErrors
from airvid.ui import terminal
from airvid.ui.task_view import TaskView
from airvid.ui.text import dumps, is_in_ci, is_on_github, masked, money, plain, size, usd, without_secret

if TYPE_CHECKING:
    from rich.console import Console

    from airvid.ui.progress import Progress
    from airvid.ui.views import Table

# The provider's keys look so. A key that was typed in the wrong place is masked too.
_KEY_LIKE = r"\b(?:sk-air-|airf_oat_|afk-)[\w.-]{8,}"
# In characters.
_LONGEST_SENTENCE, _LONGEST_NAME, _LONGEST_TRACE = 2000, 200, 10_000
SIGPIPE = 13  # Windows has no such name


class _LastingStream:
    """Standard error for messages: a failure to write is ignored, and later messages are lost."""

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
        self.color = color
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        # The key of this run. It is masked in every text.
        self.secret = ""
        # The bars on the screen: results may go to the same terminal, directly or through a pipe.
        self.bars: Progress | None = None
        self._messages = cast("TextIO", _LastingStream(self.stderr))
        self._forces_color = os.environ.get("FORCE_COLOR", "0") not in ("", "0", "false")
        # The first failure to write a result. All later results fail with it.
        self._lost: OSError | None = None
        for stream in (self.stdout, self.stderr):
            try:
                if hasattr(stream, "reconfigure"):
                    stream.reconfigure(errors="backslashreplace", newline="\n")
            except OSError:
                system.forget(stream)

    @property
    def is_terminal(self) -> bool:
        return self.stdout.isatty()

    @property
    def shows_both(self) -> bool:
        """Whether messages and results go to the same terminal, so that a result would repeat a message."""
        return self.is_terminal and self.stderr.isatty() and not self.quiet and not self.as_json

    # ------------------------------------------------------------------ messages, on standard error

    @cached_property
    def console(self) -> Console:
        """Standard error as Rich writes on it, above the bars."""
        return terminal.console(self._messages, with_color=self.color, soft_wrap=True)

    def note(self, message: str) -> None:
        """Information; not with `--quiet`."""
        if not self.quiet:
            self._message((plain(message, _LONGEST_SENTENCE), "dim"))

    def last_word(self, name: str, message: str, is_good: bool, path: str | None = None) -> None:
        """The end of a row that had a bar; a link to the file at `path`."""
        if not self.quiet:
            good, bad = "✓✗" if terminal.can_write(self.stderr, "✓✗") else "+x"
            sign = (good, "green") if is_good else (bad, "red")
            link = terminal.file_link(path) if self.color and terminal.can_link() else None
            self._message(
                sign, (" ", ""), (plain(f"{name}: {message}", _LONGEST_SENTENCE), f"link {link}" if link else "")
            )

    def warn(self, message: str) -> None:
        """A warning; not with `--quiet`."""
        if not self.quiet:
            self.alarm(message)

    def alarm(self, message: str) -> None:
        """A warning, even with `--quiet`."""
        self._labelled("warning", "yellow", message)

    def ring(self) -> None:
        """Ring the bell of a terminal."""
        if self.stderr.isatty():
            self._messages.write("\a")
            self._messages.flush()

    def trace(self, line: str) -> None:
        """A line of `--debug`."""
        self._message((plain(line, _LONGEST_TRACE), "dim"), is_to_copy=True)

    def error(self, error: AirvidError) -> None:
        """What happened, and the command that helps. Several errors with one command have it once, after the last."""
        errors = error.errors if isinstance(error, SeveralErrors) else [error]
        for each, following in zip(errors, [*errors[1:], None], strict=True):
            if self.as_json:
                self._write_message(dumps({"error": {key: _short(value) for key, value in each.record().items()}}))
                continue
            subject = f"{plain(each.task_id, _LONGEST_NAME)}: " if each.task_id else ""
            reference = f" (request {plain(each.request_id, _LONGEST_NAME)})" if each.request_id else ""
            self._labelled("error", "red", each.message, subject, reference)
            if each.hint and not (following and following.hint == each.hint):
                self._labelled("hint", "cyan", each.hint, is_to_copy=True)
            self.command("error title=airvid", f"{subject}{plain(each.message, _LONGEST_SENTENCE)}")

    def command(self, name: str, text: str = "") -> None:
        """Write a command for the runner of GitHub Actions, where it reads the messages; with --json none."""
        if is_on_github() and not self.as_json:
            self._messages.write(f"::{name}::{self.hidden(plain(text)).replace('%', '%25')}\n")
            self._messages.flush()

    def _labelled(
        self, label: str, color: str, text: str, before: str = "", after: str = "", *, is_to_copy: bool = False
    ) -> None:
        text = f" {before}{plain(text, _LONGEST_SENTENCE)}{after}"
        self._message((f"{label}:", f"bold {color}"), (text, ""), is_to_copy=is_to_copy)

    def _message(self, *pieces: tuple[str, str], is_to_copy: bool = False) -> None:
        """Write a line of texts and their styles. A log gets only the texts, without loading Rich.

        On a terminal the line is broken between words, but not where it has a command or an address to copy, and not
        under a CI: the rest of a foreign text on a new line could be a command for the runner.
        """
        if self.as_json:
            self._write_message(dumps({"note": "".join(text for text, _ in pieces)}))
        elif self.stderr.isatty() or (self._forces_color and self.color):
            from rich.text import Text

            line = Text.assemble(*((self.hidden(text), style) for text, style in pieces))
            longest = max(map(len, line.plain.split()), default=0)
            is_whole = is_to_copy or is_in_ci() or "airvid " in line.plain or longest > self.console.width
            self.console.print(line, soft_wrap=is_whole)
        else:
            self._write_message("".join(text for text, _ in pieces))

    def _write_message(self, line: str = "") -> None:
        self._messages.write(self.hidden(line) + "\n")
        self._messages.flush()

    def hidden(self, text: str) -> str:
        """A text without this run's key, and without what looks like another one."""
        return re.sub(_KEY_LIKE, lambda found: masked(found[0]), self._masked(text))

    def _masked(self, text: str) -> str:
        """A text without the key of this run."""
        return without_secret(self.secret, text, masked(self.secret))

    def confirm(self, question: str) -> bool:
        """Ask for a yes or no at the terminal."""
        self.stderr.write(question)
        self.stderr.flush()
        with system.interruptible():
            return sys.stdin.readline().strip().lower() in ("y", "yes")

    def ask_hidden(self, question: str) -> str:
        """Ask for a line that the terminal does not show."""
        import getpass

        try:
            with system.interruptible():
                return getpass.getpass(question, stream=self.stderr)
        except EOFError:
            self._write_message()
            return ""
        except Interrupted:
            self._write_message()
            raise

    # ------------------------------------------------------------------ results, on standard output

    def line(self, *fields: object, path: str | None = None) -> None:
        """Fields with tabs between them. On a terminal the line is a link to the file at `path`."""
        line = "\t".join("" if field is None else plain(field) for field in fields)
        if path and self.color and self.is_terminal and terminal.can_link():
            from rich.style import Style

            line = Style(link=terminal.file_link(path)).render(line)
        self._write(line)

    def emit(self, record: object) -> None:
        """One JSON value: a compact line, on a terminal indented."""
        self._write(dumps(record, indent=2 if self.is_terminal else None))

    def record(self, record: dict[str, Any], line: Sequence[object] | None) -> None:
        """One result: an object as JSON, otherwise a line of fields, if any."""
        if self.as_json:
            self.emit(record)
        elif line is not None:
            self.line(*line)

    def keys(self, record: dict[str, Any]) -> None:
        """A line for each key of an object."""
        for key, value in record.items():
            self.line(key, value if isinstance(value, str) else dumps(value))

    def raw(self, chunk: bytes) -> None:
        """Bytes of a clip."""
        with self._checking(), system.interruptible():
            self.stdout.buffer.write(chunk)
            self.stdout.buffer.flush()

    def _write(self, line: str | bytes) -> None:
        with self._checking():
            if self.bars:
                self.bars.clear()
            if isinstance(line, bytes):
                self.stdout.buffer.write(line + b"\n")
            else:
                self.stdout.write(self._masked(line) + "\n")
            self.stdout.flush()

    @contextmanager
    def _checking(self) -> Iterator[None]:
        """Raises: Interrupted where the reader of standard output has gone, FileError where it cannot be written."""
        try:
            if self._lost:
                raise self._lost
            yield
        except BrokenPipeError:
            raise Interrupted(SIGPIPE) from None
        except OSError as error:
            self._lost = error
            system.forget(self.stdout)
            raise FileError(f"standard output cannot be written: {error.strerror}") from None

    def show(self, table: Table, rows: Sequence[Any], *, as_array: bool, in_full: bool = False) -> None:
        """Rows as JSON (one array, or an object a line), as lines of fields, or on a terminal as a table.

        `in_full`: on a terminal each row as a card.
        """
        if self.as_json:
            records = [table.record(row) for row in rows]
            for record in [records] if as_array else records:
                self.emit(record)
        elif not self.is_terminal or is_in_ci():
            for row in rows:
                self.line(*table.fields(row))
        elif rows:
            self._draw(table, rows, in_full=in_full)

    def _draw(self, table: Table, rows: Sequence[Any], *, in_full: bool) -> None:
        from airvid.ui.tables import Painter

        with self._checking():
            painter = Painter(self.stdout, hide=self._masked, with_color=self.color)
            if in_full and table.card:
                for row in rows:
                    painter.card(table.card(row))
            else:
                painter.table(table.columns, rows)
            self.stdout.flush()

    # ------------------------------------------------------------------ results of commands

    def submitted(self, view: TaskView) -> None:
        """A new task: its id."""
        self.record(view.record(), [view.task_id])

    def finished(self, view: TaskView, *, wants_file: bool) -> None:
        """A completed clip, or a file that is there: its file if one was asked for, else its URL.

        A file that the row's last line has named is not repeated.
        """
        if wants_file and self.shows_both:
            return
        where = view.output if wants_file else view.task and view.task.result_url
        if self.as_json:
            self.emit(view.record())
        elif where and (wants_file or view.status == COMPLETED):
            if wants_file:
                self._path(where)
            else:
                self.line(where, path=view.output)

    def saved(self, path: str, record: dict[str, Any]) -> None:
        """A file that was made: its path, or as JSON a record. A path that a message has named is not repeated."""
        if self.as_json:
            self.emit(record)
        elif not self.shows_both:
            self._path(path)

    def _path(self, path: str) -> None:
        # A path that is not valid Unicode: a program needs its bytes.
        text = path.encode(errors="ignore").decode()
        if text != path and text == plain(text) and not self.is_terminal:
            self._write(os.fsencode(path))
        else:
            self.line(path, path=path)

    def ended(self, view: TaskView, *, wants_file: bool) -> None:
        """A watched task at its end: id, state, file or URL; nothing where the row's last line has told it."""
        if not self.as_json and not self.shows_both:
            self.line(view.task_id, view.status, view.output if wants_file else view.task and view.task.result_url)

    def changed(self, view: TaskView) -> None:
        """A watched task at each change; only as JSON."""
        if self.as_json:
            self.emit(view.record())

    def plan(
        self, body: dict[str, Any], count: int, seconds: float | None, cents: float | None, files: Sequence[str]
    ) -> None:
        """What --dry-run would send for each of `count` clips; seconds and estimate for all; the first files."""
        if self.as_json:
            plan = {"count": count, "seconds": seconds, "estimate_cents": cents, "files": list(files)}
            self.emit({"request": body, "airvid": plan})
            return
        if self.is_terminal and "input_images" in body:
            images = [
                {**image, "b64_json": f"[{size(len(image['b64_json']))}]"} if "b64_json" in image else image
                for image in body["input_images"]
            ]
            body = body | {"input_images": images}
        self.emit(body)
        self.line("estimate", "unknown" if cents is None else money(cents) if self.is_terminal else usd(cents))
        if count > 1:
            self.line("clips", count)
            self.line("seconds", "unknown" if seconds is None else f"{seconds:g}")
        for file in files:
            self.line("file", file)

    def ids(self, ids: Iterable[str]) -> None:
        """Task ids, one a line; as JSON one array."""
        if self.as_json:
            self.emit(list(ids))
        else:
            for task_id in ids:
                self.line(task_id)


def _short(value: object) -> object:
    if isinstance(value, list):
        return [_short(each) for each in value[:100]]
    return value[:_LONGEST_SENTENCE] if isinstance(value, str) else value
