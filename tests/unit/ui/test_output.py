"""Two streams: data and talk; tables and lines, JSON and text, and nothing that can harm a terminal."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_clock import NOON, VirtualClock

from airvid import clock
from airvid.api.models import Caps, Model, Task
from airvid.config import Setting
from airvid.errors import AirvidError, SeveralErrors, TaskFailedError, UnknownFateError, UsageError
from airvid.journal.entries import Entry
from airvid.ui import views
from airvid.ui.output import Output
from airvid.ui.task_view import TaskView
from airvid.ui.text import dumps, length, moment, money, plain, size

few = settings(max_examples=60, deadline=None, database=None, derandomize=True)
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
EVIL = "\x1b[31mred\x07\x9b2J\u202egnp\u2066\r\nnext\ttab\x7f\udcff[bold]m[/bold]"
EVIL_MODEL = Model(EVIL, Caps(modes=(EVIL,)), raw={"id": EVIL, EVIL: [EVIL]}, status=EVIL)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def spoken(say: Callable[[Output], None], *, on_terminal: bool = False, **options: Any) -> tuple[str, str]:
    """What one call leaves on standard output and on standard error."""
    made = Terminal if on_terminal else io.StringIO
    out = Output(stdout=made(), stderr=made(), **options)
    with clock.use(VirtualClock()):
        say(out)
    assert isinstance(out.stdout, io.StringIO)
    assert isinstance(out.stderr, io.StringIO)
    return out.stdout.getvalue(), out.stderr.getvalue()


def seen(**raw: Any) -> TaskView:
    task = Task.parse({"task_id": "t-1", "status": "completed", **raw})
    return TaskView(task, Entry(1, "b", "known", NOON - 90, task_id="t-1", prompt=EVIL, estimate_cents=80), "fox.mp4")


# ---------------------------------------------------------------------- taming


@few
@given(st.text())
def test_plain_is_one_harmless_line(value: str) -> None:
    assert not UNSAFE.search(plain(value))


@few
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"])))
def test_plain_leaves_decent_text_alone(value: str) -> None:
    assert plain(value) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\tb\r\nc", "a b c"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\u2066", "\\u2066"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("雪 🦊 é", "雪 🦊 é"),
        (None, "None"),
        (8, "8"),
    ],
)
def test_plain_shows_what_could_do_harm_as_an_escape(value: object, expected: str) -> None:
    assert plain(value) == expected


@few
@given(json_values)
def test_dumps_is_one_harmless_line_that_means_the_same(value: Any) -> None:
    shown = dumps(value)
    assert not UNSAFE.search(shown)
    assert json.loads(shown) == value


def test_dumps_leaves_letters_readable_and_has_no_spare_room() -> None:
    assert dumps({"prompt": "Füchse 雪", "n": [1, 2]}) == '{"prompt":"Füchse 雪","n":[1,2]}'


# ---------------------------------------------------------------------- words for numbers


@pytest.mark.parametrize(
    ("cents", "shown"),
    [
        (80, "$0.80"),
        (0, "$0.00"),
        (0.1, "$0.001"),
        (2.25, "$0.0225"),
        (100, "$1.00"),
        (123456, "$1234.56"),
        (10.0, "$0.10"),
        (None, "?"),
    ],
)
def test_money_keeps_fractions_of_a_cent(cents: float | None, shown: str) -> None:
    assert money(cents) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (-5, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (185, "3m05s"),
        (3600, "1h00m"),
        (7800, "2h10m"),
        (432_000, "5d"),
    ],
)
def test_a_length_of_time_is_told_as_a_reader_says_it(seconds: float, shown: str) -> None:
    assert length(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5_200_000, "5.2 MB"), (999_999, "1.0 MB"), (3e12, "3000.0 GB")],
)
def test_a_size_is_told_in_powers_of_ten(count: float, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize("at", [None, float("nan"), float("inf"), 1e18, -1e18])
def test_a_moment_that_no_calendar_has_is_a_question_mark(at: float | None) -> None:
    assert moment(at) == "?"


# ---------------------------------------------------------------------- the two streams


@pytest.mark.parametrize(
    "say",
    [
        lambda out: out.line(EVIL, None, 3),
        lambda out: out.show(views.TASKS, [seen()], as_array=True),
        lambda out: out.finished(seen(), wants_file=True),
        lambda out: out.ended(seen(), wants_file=True),
        lambda out: out.error(AirvidError(EVIL, hint=EVIL, task_id=EVIL, request_id=EVIL)),
        lambda out: out.note(EVIL),
        lambda out: out.warn(EVIL),
        lambda out: out.trace(EVIL),
        lambda out: out.show(views.models(None), [EVIL_MODEL], as_array=True),
        lambda out: out.show(views.models(None), [EVIL_MODEL], as_array=True, in_full=True),
        lambda out: out.keys({EVIL: [EVIL]}),
        lambda out: out.show(views.TASKS, [seen()], as_array=False, in_full=True),
        lambda out: out.show(views.SETTINGS, [Setting(EVIL, EVIL, EVIL)], as_array=False),
        lambda out: out.plan({"prompt": EVIL}, 2, 8, 80, [EVIL]),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("on_terminal", [False, True])
def test_no_foreign_text_reaches_a_stream_raw(
    say: Callable[[Output], None], as_json: bool, on_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")  # no escapes of our own
    for written in spoken(say, on_terminal=on_terminal, as_json=as_json, color=False):
        assert not UNSAFE.search(written.replace("\n", "").replace("\t", ""))
        assert on_terminal or "next\n" not in written.replace("\\n", "")  # a table folds where it likes


def test_markup_in_foreign_text_is_shown_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out, _ = spoken(lambda out: out.show(views.TASKS, [seen()], as_array=True), on_terminal=True, color=False)
    assert "[bold]m[/bold]" in out


def test_elsewhere_a_table_is_tab_separated_lines_without_header_or_colour() -> None:
    out, _ = spoken(lambda out: out.show(views.TASKS, [seen(model="wan", created=NOON, cost_cents=2.5)], as_array=True))
    prompt = plain(EVIL)
    assert out == f"t-1\tcompleted\t\t{NOON:.0f}\t0.025\twan\t{prompt}\tfox.mp4\n"


def test_on_a_terminal_a_table_has_a_header_and_stays_straight_with_wide_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "dumb")
    rows = [TaskView(Task.parse({"task_id": "t", "status": "queued", "model": name})) for name in ("wan", "雪の狐")]
    rows = [TaskView(each.task, Entry(1, "b", "known", NOON, prompt="PROMPT")) for each in rows]
    out, _ = spoken(lambda out: out.show(views.TASKS, rows, as_array=True), on_terminal=True, color=False)
    lines = [line for line in out.splitlines() if "PROMPT" in line]
    columns = [
        sum(1 + (unicodedata.east_asian_width(each) in "WF") for each in line[: line.index("PROMPT")]) for line in lines
    ]
    assert len(lines) == 3
    assert len(set(columns)) == 1


@pytest.mark.parametrize(("as_array", "lines"), [(True, 1), (False, 2)])
def test_several_tasks_as_json_are_an_array_or_an_object_a_line(as_array: bool, lines: int) -> None:
    out, _ = spoken(lambda out: out.show(views.TASKS, [seen(), seen()], as_array=as_array), as_json=True)
    assert len(out.splitlines()) == lines
    records = json.loads(out) if as_array else [json.loads(line) for line in out.splitlines()]
    assert [record["airvid"]["prompt"] for record in records] == [EVIL, EVIL]


@pytest.mark.parametrize(("on_terminal", "is_compact"), [(False, True), (True, False)])
def test_json_is_a_compact_line_and_on_a_terminal_indented(on_terminal: bool, is_compact: bool) -> None:
    out, _ = spoken(lambda out: out.submitted(seen()), as_json=True, on_terminal=on_terminal)
    assert (len(out.splitlines()) == 1) is is_compact
    assert json.loads(out)["task_id"] == "t-1"


@pytest.mark.parametrize(
    ("quiet", "expected"), [(False, "n\nwarning: w\nerror: e\nhint: h\n"), (True, "error: e\nhint: h\n")]
)
def test_quiet_is_silent_but_for_errors_and_results(quiet: bool, expected: str) -> None:
    def say(out: Output) -> None:
        out.note("n")
        out.warn("w")
        out.error(UsageError("e", hint="h"))
        out.submitted(seen())

    assert spoken(say, quiet=quiet) == ("t-1\n", expected)


@pytest.mark.parametrize(
    ("on_terminal", "color", "is_coloured"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_colour_is_for_terminals_that_want_it(
    on_terminal: bool, color: bool, is_coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def say(out: Output) -> None:
        out.error(UsageError("e"))
        out.show(views.TASKS, [seen()], as_array=True)

    written = spoken(say, on_terminal=on_terminal, color=color)
    assert all(bool(re.search(r"\x1b\[(1;)?3\d", each)) is is_coloured for each in written)


@pytest.mark.parametrize(
    ("sighting", "line"),
    [
        (seen(), "fox.mp4\n"),
        (TaskView(Task.parse({"task_id": "t", "status": "completed", "result_url": "http://h/x"})), "http://h/x\n"),
        (TaskView(Task.parse({"task_id": "t", "status": "failed", "result_url": "http://h/x"})), ""),
        (TaskView(Task.parse({"task_id": "t", "status": "completed"})), ""),
    ],
)
def test_a_create_that_waited_prints_the_file_else_the_url(sighting: TaskView, line: str) -> None:
    assert spoken(lambda out: out.finished(sighting, wants_file=sighting.output is not None))[0] == line


def test_no_url_stands_where_a_file_was_wanted() -> None:
    task = Task.parse({"task_id": "t", "status": "completed", "result_url": "http://h/x"})
    assert spoken(lambda out: out.finished(TaskView(task), wants_file=True))[0] == ""
    assert spoken(lambda out: out.ended(TaskView(task), wants_file=True))[0] == "t\tcompleted\t\n"


def test_a_plan_on_a_terminal_does_not_show_a_pictures_megabytes() -> None:
    body = {"prompt": "x", "input_images": [{"b64_json": "QUJD" * 1000}]}
    out, _ = spoken(lambda out: out.plan(body, 2, None, 12.5, []), on_terminal=True)
    assert "QUJD" not in out
    assert out.endswith("estimate\t$0.125\nclips\t2\nseconds\tunknown\n")


# ---------------------------------------------------------------------- errors


def test_several_errors_are_reported_one_by_one() -> None:
    errors = SeveralErrors([TaskFailedError("no", task_id="t-1"), UsageError("bad", hint="airvid list")], 1)
    _, err = spoken(lambda out: out.error(errors))
    assert err == "error: t-1: no\nerror: bad\nhint: airvid list\n"


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (UsageError("no"), {"code": "usage", "exit_code": 2}),
        (
            TaskFailedError("no", task_id="t", request_id="r"),
            {"code": "task_failed", "task_id": "t", "request_id": "r"},
        ),
        (UnknownFateError("no", candidates=["a"]), {"code": "unavailable", "exit_code": 9, "candidates": ["a"]}),
        (AirvidError("no", hint="h"), {"code": "failure", "exit_code": 1, "hint": "h", "message": "no"}),
    ],
)
def test_an_error_as_json_is_one_object(error: AirvidError, more: dict[str, Any]) -> None:
    out, err = spoken(lambda out: out.error(error), as_json=True)
    record = json.loads(err)["error"]
    assert out == ""
    assert {"code", "message", "hint", "exit_code"} <= record.keys()
    assert {key: record[key] for key in more} == more


def test_an_endless_message_is_cut() -> None:
    assert len(spoken(lambda out: out.error(AirvidError("x" * 100_000)))[1]) < 3000


def test_text_that_the_locale_cannot_write_is_escaped() -> None:
    written = io.BytesIO()
    narrow = io.TextIOWrapper(written, encoding="ascii")
    Output(stdout=narrow, stderr=narrow).line("雪", "é")
    assert written.getvalue() == b"\\u96ea\t\\xe9\n"
