"""Standard output is data, standard error is talk. Stories speak in meanings; this decides how they look.

On a terminal results are tables, elsewhere tab-separated lines, with `--json` one object a line (contract §2).
`plain()` is the one place that tames text from the server and from files, and every word passes through it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

from airvid import clock, secret, system
from airvid.errors import AirvidError, FileError, Interrupted, SeveralErrors
from airvid.tasks import COMPLETED, Model, Sighting

# C0, DEL and C1 controls, line and paragraph separators, bidi overrides and isolates, halves of characters.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# What the provider's keys look like: one that was typed in the wrong place is not repeated.
_KEY_LIKE = re.compile(r"\b(?:sk-air-|airf_oat_|afk-)[\w.-]{8,}")
_STYLES = {"red": "31", "yellow": "33", "green": "32", "dim": "2", "bold": "1", "cyan": "36"}
# A sentence of an error is for reading; what goes on beyond this is not.
_LONGEST_SENTENCE = 2000
# The signal that a Unix tool dies of when its reader has gone (contract 2.5); Windows has none of that name.
SIGPIPE = 13


def plain(value: object) -> str:
    """Text as one harmless line: white space folded, control characters and bidi tricks shown as escapes."""
    return _UNSAFE.sub(_escape, re.sub(r"[\t\n\r]+", " ", str(value)))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def dumps(record: object, *, indent: int | None = None) -> str:
    """JSON that any terminal and any locale can print: what could do harm is escaped, the rest is as it is."""
    separators = (",", ":") if indent is None else None
    whole = json.dumps(record, ensure_ascii=False, indent=indent, separators=separators, default=str)
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", whole)


def masked(key: str) -> str:
    """A key as it may be shown: `sk-air-…last4`."""
    return f"sk-air-…{key[-4:]}" if len(key) > 12 else "sk-air-…"


def money(cents: float | None) -> str:
    """`$0.80`; fractions of a cent are kept where there are any."""
    if cents is None:
        return "?"
    dollars = cents / 100
    exact = f"{dollars:.6f}".rstrip("0")
    return f"${dollars:.2f}" if len(exact) <= len(f"{dollars:.2f}") else f"${exact}"


def length(seconds: float) -> str:
    """A length of time as a reader says it: `42s`, `3m05s`, `2h10m`, `5d`."""
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m" if whole < 172_800 else f"{whole // 86_400}d"


def size(count: float) -> str:
    """`5.2 MB`, in powers of ten as curl and file managers do."""
    for unit in ("B", "kB", "MB"):
        if count < 999.95:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def moment(at: float | None) -> str:
    """A Unix time in local time, `2026-11-20 14:03`."""
    try:
        return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M") if at is not None else "?"
    except (ValueError, OverflowError, OSError):
        return "?"


class Output:
    """The two streams of one run, and how to speak on them."""

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
        self.color = color
        # The key of this run: whoever repeats it, it is never printed.
        self.secret = ""
        self._lost: OSError | None = None
        self.forces_color = bool(os.environ.get("FORCE_COLOR"))
        # While bars are live on this terminal, they print what is said above themselves.
        self.above_bars: Callable[[str], None] | None = None
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
    def can_move(self) -> bool:
        """Whether standard error's terminal can move its cursor."""
        return os.environ.get("TERM") != "dumb"

    # ------------------------------------------------------------------ talk

    def note(self, message: str) -> None:
        """Something worth knowing; not with `--quiet`."""
        if not self.quiet:
            self._talk(plain(message), "dim")

    def warn(self, message: str) -> None:
        """Something that may need doing; not with `--quiet`."""
        if not self.quiet:
            self._talk(f"warning: {plain(message)}", "yellow")

    def alarm(self, message: str) -> None:
        """A warning that not even `--quiet` may swallow."""
        self._talk(f"warning: {plain(message)}", "yellow")

    def trace(self, line: str) -> None:
        """A line of `--debug`."""
        self._talk(plain(line), "dim")

    def error(self, error: AirvidError) -> None:
        """What happened, and the command that helps; with `--json` as an object (contract 3.1)."""
        for each in error.errors if isinstance(error, SeveralErrors) else [error]:
            if self.as_json:
                record = each.record()
                record["message"] = str(record["message"])[:_LONGEST_SENTENCE]
                self._talk(dumps({"error": record}), None)
                continue
            subject = f"{each.task_id}: " if each.task_id else ""
            reference = f" (request {each.request_id[:100]})" if each.request_id else ""
            self._talk(plain(f"error: {subject}{each.message[:_LONGEST_SENTENCE]}{reference}"), "red")
            if each.hint:
                self._talk(plain(f"hint: {each.hint}"), "cyan")

    def _talk(self, line: str, style: str | None) -> None:
        line = _KEY_LIKE.sub(lambda found: masked(found[0]), self._without_secret(line))
        try:
            if self.above_bars:
                self.above_bars(line)
                return
            if style and self.color and (self.stderr.isatty() or self.forces_color):
                line = f"\x1b[{_STYLES[style]}m{line}\x1b[0m"
            self.stderr.write(line + "\n")
            self.stderr.flush()
        except OSError:
            system.forget(self.stderr)  # nobody listens any more, or the terminal is gone; the work goes on

    def confirm(self, question: str) -> bool:
        """A yes or no from the person at the terminal."""
        self.stderr.write(question)
        self.stderr.flush()
        with system.interruptible():
            return sys.stdin.readline().strip().lower() in ("y", "yes")

    def ask_hidden(self, question: str) -> str:
        """A line from the terminal that is not shown while it is typed."""
        import getpass

        with system.interruptible():
            return getpass.getpass(question, stream=self.stderr)

    # ------------------------------------------------------------------ results

    def line(self, *fields: object) -> None:
        """One line of result: its fields, with tabs between them."""
        self._say("\t".join("" if field is None else plain(field) for field in fields))

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

    def _without_secret(self, line: str) -> str:
        return secret.without(self.secret, line, masked(self.secret))

    def _say(self, line: str) -> None:
        line = self._without_secret(line)
        if self.above_bars and self.is_terminal:
            self.above_bars(line)
            return
        with self._told_when_it_fails():
            self.stdout.write(line + "\n")
            self.stdout.flush()

    def submitted(self, seen: Sighting) -> None:
        """A task that was just made: its id."""
        if self.as_json:
            self.emit(seen.record())
        else:
            self.line(seen.task_id)

    def finished(self, seen: Sighting, *, wants_file: bool) -> None:
        """What became of a clip: the file where one was wanted, else the URL."""
        where = seen.output if wants_file else seen.task and seen.task.result_url
        if self.as_json:
            self.emit(seen.record())
        elif seen.status == COMPLETED and where:
            self.line(where)

    def ended(self, seen: Sighting, *, wants_file: bool) -> None:
        """A watched task that ended: id, state, file or URL."""
        if not self.as_json:
            self.line(seen.task_id, seen.status, seen.output if wants_file else seen.task and seen.task.result_url)

    def changed(self, seen: Sighting) -> None:
        """A watched task's news, for those who read JSON."""
        if self.as_json:
            self.emit(seen.record())

    def plan(self, body: dict[str, Any], count: int, cents: float | None) -> None:
        """What --dry-run would send for each of `count` clips, and the estimate for all of them."""
        if self.as_json:
            self.emit({"request": body, "airvid": {"count": count, "estimate_cents": cents}})
            return
        if self.is_terminal:
            images = [
                {**image, "b64_json": f"[{size(len(image['b64_json']))}]"} if "b64_json" in image else image
                for image in body.get("input_images", ())
            ]
            self._say(dumps(body | ({"input_images": images} if images else {}), indent=2))
        else:
            self._say(dumps(body))
        self.line("estimate", "unknown" if cents is None else money(cents))

    def tasks(self, sightings: Sequence[Sighting], *, as_array: bool) -> None:
        """Several tasks, a row each. As JSON one array, or an object a line."""
        if self.as_json:
            records = [seen.record() for seen in sightings]
            for record in [records] if as_array else records:
                self.emit(record)
            return
        header = ["ID", "STATUS", "%", "AGE", "COST", "MODEL", "PROMPT", "FILE"]
        self._table(header, (self._task_row(seen) for seen in sightings))

    def entries(self, sightings: Sequence[Sighting]) -> None:
        """The journal's entries, with the estimate beside what was settled. As JSON one array."""
        if self.as_json:
            self.emit([seen.record() for seen in sightings])
            return
        header = ["ID", "STATUS", "AGE", "ESTIMATE", "COST", "MODEL", "PROMPT", "FILE"]
        self._table(header, (self._entry_row(seen) for seen in sightings))

    def _task_row(self, seen: Sighting) -> list[str]:
        percent = "" if seen.task is None or seen.task.progress is None else f"{seen.task.progress:.0f}"
        cost = self._amount(seen.cost_cents)
        return [self._name(seen), seen.status, percent, self._age(seen), cost, *self._about(seen)]

    def _entry_row(self, seen: Sighting) -> list[str]:
        estimate = self._amount(seen.entry.estimate_cents if seen.entry else None)
        settled = self._amount(seen.entry.cost_cents if seen.entry else None)
        return [self._name(seen), seen.status, self._age(seen), estimate, settled, *self._about(seen)]

    def _name(self, seen: Sighting) -> str:
        """The id; for a reader its beginning, which commands take as well where it tells tasks apart."""
        if not seen.task_id:  # a create of unknown fate has none: its number in the journal stands for it
            return f"(intent {seen.entry.id if seen.entry else ''})"
        is_uuid = len(seen.task_id) == 36 and seen.task_id[8] == "-"
        return seen.task_id[:8] if self.is_terminal and is_uuid else seen.task_id

    def _about(self, seen: Sighting) -> tuple[str, str, str]:
        """Model, prompt and file; for a reader only the file's name."""
        file = seen.file or ""
        return seen.model or "", seen.prompt or "", os.path.basename(file) if self.is_terminal else file

    def _age(self, seen: Sighting) -> str:
        """For a reader how long ago, for a program the Unix time."""
        if seen.created is None:
            return ""
        return length(clock.now() - seen.created) if self.is_terminal else f"{seen.created:.0f}"

    def _amount(self, cents: float | None) -> str:
        """For a reader `$0.80`, for a program `0.8`."""
        if cents is None:
            return ""
        return money(cents) if self.is_terminal else f"{cents / 100:.6g}"

    def ids(self, ids: Iterable[str]) -> None:
        """Task ids, one a line; as JSON one array."""
        ids = list(ids)
        if self.as_json:
            self.emit(ids)
            return
        for task_id in ids:
            self.line(task_id)

    def models(self, models: Sequence[Model], seconds: float | None) -> None:
        """The listing: what each can do, and what a clip of `seconds` (its minimum if None) costs."""
        if self.as_json:
            self.emit([model_record(model, seconds) for model in models])
            return
        header = ["MODEL", "MODES", "SECONDS", "ASPECT RATIOS", "QUALITIES", "$/S", "$/CLIP", "STATUS"]
        comma = ", " if self.is_terminal else ","
        self._table(header, (_model_row(model, seconds, comma) for model in models))

    def model(self, model: Model, seconds: float | None) -> None:
        """One model's whole record, a key a line."""
        record = model_record(model, seconds)
        rows = [[key, value if isinstance(value, str) else dumps(value)] for key, value in record.items()]
        self._table(["KEY", "VALUE"], rows)

    def settings(self, rows: Sequence[tuple[str, object, str]]) -> None:
        """Settings: name, value, where it comes from."""
        if self.as_json:
            for name, value, source in rows:
                self.emit({"name": name, "value": value, "source": source})
            return
        self._table(["SETTING", "VALUE", "FROM"], ([name, _shown(value), source] for name, value, source in rows))

    def record(self, record: dict[str, Any], line: Sequence[object] | None) -> None:
        """A single result that is an object as JSON and a line of fields, if any, otherwise."""
        if self.as_json:
            self.emit(record)
        elif line is not None:
            self.line(*line)

    def _table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        if not self.is_terminal:
            for row in rows:
                self.line(*row)
            return
        if rows := list(rows):
            from airvid import tables

            with self._told_when_it_fails():
                tame = [[plain(cell)[:500] for cell in row] for row in rows]
                tables.draw(header, tame, self.stdout, with_color=self.color)


def model_record(model: Model, seconds: float | None) -> dict[str, Any]:
    """A model as the API tells it, plus what a clip costs."""
    cents = model.cents(seconds)
    clip = {
        "seconds": seconds if seconds is not None else model.caps.min_seconds,
        "cost_usd": None if cents is None else round(cents / 100, 8),
    }
    return model.raw | {"airvid": {"clip": clip, "healthy": model.is_healthy}}


def _model_row(model: Model, seconds: float | None, comma: str) -> list[str]:
    caps = model.caps
    per_second = caps.cents_per_second
    return [
        model.id,
        comma.join(caps.modes),
        f"{_whole(caps.min_seconds)}-{_whole(caps.max_seconds)}",
        comma.join(caps.aspect_ratios),
        comma.join(caps.qualities),
        money(per_second) if per_second else "?",
        money(model.cents(seconds)),
        model.status or "",
    ]


def _whole(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"


def _shown(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
