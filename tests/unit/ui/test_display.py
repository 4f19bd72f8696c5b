"""Progress: bars on a terminal, lines in a log, and the estimate of the time left."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process_terminal import NO_WIDTH
from rich.cells import cell_len
from virtual_clock import VirtualClock

from airvid import clock
from airvid.api.models import Task
from airvid.api.retry import is_overdue, seconds_left
from airvid.ui import display
from airvid.ui.output import Output
from airvid.ui.progress import Progress, Row

few = settings(max_examples=60, deadline=None, database=None, derandomize=True)
Story = Callable[[Progress], Awaitable[None]]


class Stream(io.StringIO):
    """Standard error, with the time at which each piece was written to it."""

    def __init__(self, is_terminal: bool, now: Callable[[], float]) -> None:
        super().__init__()
        self._is_terminal = is_terminal
        self._now = now
        self.encoding_ = "utf-8"
        self.pieces: list[tuple[float, str]] = []

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.encoding_

    def write(self, text: str) -> int:
        self.pieces.append((self._now(), text))
        return len(text)

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)

    @property
    def lines(self) -> list[tuple[int, str]]:
        return [(int(at), text.rstrip("\n")) for at, text in self.pieces]


class Stage:
    """A stream and a clock, on which a story is told."""

    def __init__(self, keep: pytest.MonkeyPatch, *, is_terminal: bool) -> None:
        self.env = keep
        self.clock = VirtualClock()
        self.stream = Stream(is_terminal, self.clock.elapsed)
        keep.setenv("TERM", "xterm-256color")
        self.resize(80, 24)
        for name in ("CI", "NO_COLOR"):
            keep.delenv(name, raising=False)

    def resize(self, columns: int, lines: int) -> None:
        self.env.setenv("COLUMNS", str(columns))
        self.env.setenv("LINES", str(lines))

    def tell(self, story: Story, count: int | None = None) -> str:
        async def whole() -> None:
            with display.choose(Output(stdout=io.StringIO(), stderr=self.stream), count) as shown:
                await story(shown)

        with clock.use(self.clock), asyncio.Runner(loop_factory=self.clock.loop_factory) as runner:
            runner.run(whole())
        return self.stream.text

    def screen(self, columns: int = 80, lines: int = 24) -> list[str]:
        """What is to be seen on the terminal after all that was written."""
        screen = pyte.Screen(columns, lines)
        pyte.Stream(screen).feed(NO_WIDTH.sub("", self.stream.text).replace("\n", "\r\n"))
        return [line.rstrip() for line in screen.display]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch, is_terminal=False)


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch, is_terminal=True)


def task(status: str = "processing", percent: float | None = None, **more: object) -> Task:
    found = Task.parse({"task_id": "t", "status": status, "progress": percent, **more})
    assert found
    return found


async def hundred(shown: Progress) -> list[Row]:
    rows = [shown.row(f"task{n:03}", about="雪の中のキツネ", past=[60.0] * 5) for n in range(100)]
    for n, row in enumerate(rows):
        row.task(task("processing" if n % 3 == 0 else "queued", n % 100, cost_cents=18))
    return rows


# ---------------------------------------------------------------------- in a log


def test_a_change_of_state_is_told_at_once_and_progress_every_ten_seconds(log: Stage) -> None:
    async def story(shown: Progress) -> None:
        row = shown.row("fox")
        row.task(task("queued"))
        for percent in range(60):
            await clock.sleep(1)
            row.task(task("processing", percent))
        row.end("saved fox.mp4")

    log.tell(story)
    times = [at for at, _ in log.stream.lines]
    assert [line for _, line in log.stream.lines[:3]] == [
        "fox: queued 0s", "fox: processing 1s", "fox: processing 10% 11s",
    ]  # fmt: skip
    assert log.stream.lines[-1][1] == "fox: saved fox.mp4"
    assert all(later - earlier >= 10 for earlier, later in pairwise(times[1:-1]))
    assert len(times) <= 9


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_log_is_never_silent_for_longer_than_a_minute(log: Stage, rows: int) -> None:
    async def story(shown: Progress) -> None:
        for n in range(rows):
            shown.row(f"fox-{n}").task(task("processing", 40))
        await clock.sleep(3600)

    log.tell(story, rows)
    times = [0, *(at for at, _ in log.stream.lines), 3600]
    assert max(later - earlier for earlier, later in pairwise(times)) <= 60
    assert len(times) <= 65
    words = {
        0: "still waiting after 1m00s",
        1: "fox-0: processing 40% 1m00s",
        3: "0 of 3 done, 3 processing after 1m00s",
    }
    assert any(line.endswith(words[rows]) for _, line in log.stream.lines)


def test_a_hundred_rows_do_not_flood_a_log(log: Stage) -> None:
    async def story(shown: Progress) -> None:
        rows = await hundred(shown)
        for percent in range(100):
            await clock.sleep(1)
            for row in rows:
                row.task(task(row.state, percent))

    log.tell(story)
    assert len(log.stream.lines) - 100 <= 11


def test_trouble_is_told_once_and_that_it_is_over(log: Stage) -> None:
    async def story(shown: Progress) -> None:
        row = shown.row("fox")
        row.task(task("processing", 10))
        for _ in range(3):
            row.trouble("the server is busy")
            await clock.sleep(1)
        row.task(task("processing", 20))

    log.tell(story)
    assert [line for _, line in log.stream.lines] == [
        "fox: processing 10% 0s", "fox: the server is busy", "fox: processing 20% 3s",
    ]  # fmt: skip


def test_where_quiet_is_wanted_there_is_nothing(live: Stage) -> None:
    with display.choose(Output(quiet=True, stderr=live.stream)) as shown:
        shown.row("fox").task(task("processing", 40))
    assert live.stream.text == ""


async def _one(shown: Progress) -> None:
    row = shown.row("fox")
    row.task(task("processing", 40, cost_cents=18))
    await clock.sleep(2)
    row.end("saved fox.mp4")


# ---------------------------------------------------------------------- live


def test_the_last_word_stays_and_the_bar_goes(live: Stage) -> None:
    live.tell(_one)
    assert "━" in live.stream.text
    assert [line for line in live.screen() if line] == ["✓ fox: saved fox.mp4"]
    assert live.stream.text.index("\x1b[?25l") < live.stream.text.rindex("\x1b[?25h")


def test_a_row_that_has_ended_may_be_dropped_too(live: Stage) -> None:
    async def story(shown: Progress) -> None:
        row = shown.row("fox")
        row.end("saved fox.mp4")
        row.drop()
        row.task(task("completed"))
        await clock.sleep(2)
        assert [line for line in live.screen() if line] == ["✓ fox: saved fox.mp4"]

    live.tell(story)


def test_more_rows_than_lines_are_summed_up(live: Stage) -> None:
    async def story(shown: Progress) -> None:
        await hundred(shown)
        await clock.sleep(3)
        lines = live.screen()
        shown_rows = [line for line in lines if line.startswith("task")]
        assert len([line for line in lines if line]) == 23
        assert len(shown_rows) == 21
        assert all("processing" in line for line in shown_rows)
        assert re.match(r"79 more +66 queued, 13 processing$", lines[21])
        assert re.match(r"all +0 of 100", lines[22])

    live.tell(story, 100)
    assert [line for line in live.screen() if line] == []


def test_a_hundred_rows_that_rest_are_drawn_once_a_second(live: Stage) -> None:
    async def story(shown: Progress) -> None:
        await hundred(shown)
        await clock.sleep(1)
        before = len(live.stream.pieces)
        await clock.sleep(20)
        assert len(live.stream.pieces) - before <= 21

    live.tell(story)


def test_a_thousand_steps_in_a_second_are_a_few_frames(live: Stage) -> None:
    async def story(shown: Progress) -> None:
        row = shown.row("fox")
        for step in range(1000):
            row.bytes(step << 20, 1000 << 20)
            await clock.sleep(0.001)

    live.tell(story)
    assert len(live.stream.pieces) <= 10


@pytest.mark.parametrize(
    ("columns", "seen", "unseen"),
    [
        (40, "40%", "$0.18"),
        (50, "left", "fox in snow"),
        (70, "fox in snow", "…"),
        (80, "fox in snow", "…"),
        (200, "fox in snow", "…"),
    ],
)
def test_what_there_is_room_for(live: Stage, columns: int, seen: str, unseen: str) -> None:
    async def story(shown: Progress) -> None:
        shown.row("f47ac10b", about="fox in snow", past=[60.0] * 3).task(task("processing", 40, cost_cents=18))
        await clock.sleep(2)

    live.resize(columns, 24)
    frame = live.tell(story)
    assert seen in frame
    assert unseen not in frame
    assert "processing" in frame


@settings(few, max_examples=30)
@given(
    st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40), st.none() | st.floats(0, 100)), max_size=40),
    st.integers(10, 220),
    st.integers(3, 50),
    st.sampled_from(["utf-8", "ascii", "latin-1"]),
)
def test_no_frame_is_wider_or_higher_than_the_terminal(
    rows: list[tuple[str, str, float | None]], columns: int, height: int, encoding: str
) -> None:
    async def story(shown: Progress) -> None:
        for label, state, percent in rows:
            row = shown.row(label, about=state, past=[1.0, 2.0, 3.0])
            row.task(task(state or "queued", percent, cost_cents=1))
            if percent and percent > 90:
                row.trouble(label * 5)
            elif percent and percent > 50:
                row.bytes(int(percent), 100)
        await clock.sleep(2)
        frame = terminal.stream.pieces[-1][1]
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", frame).split("\n")
        assert len(lines) <= height
        assert max(map(cell_len, lines)) <= columns
        assert frame.encode(encoding, "strict")
        assert "\x1b]" not in frame

    with pytest.MonkeyPatch.context() as keep:
        terminal = Stage(keep, is_terminal=True)
        terminal.stream.encoding_ = encoding
        terminal.resize(columns, height)
        terminal.tell(story, len(rows))


@pytest.mark.parametrize("ending", [None, KeyboardInterrupt, ValueError])
def test_the_cursor_comes_back(live: Stage, ending: type[BaseException] | None) -> None:
    async def story(shown: Progress) -> None:
        shown.row("fox").task(task("processing", 40))
        await clock.sleep(1)
        if ending:
            raise ending

    with suppress(KeyboardInterrupt, ValueError):
        live.tell(story)
    written = live.stream.text
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert [line for line in live.screen() if line] == []


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_a_log_has_lines_even_on_a_terminal(live: Stage, name: str, value: str) -> None:
    live.env.setenv(name, value)
    written = live.tell(_one)
    assert "fox: processing 40%" in written
    assert "\x1b[?25l" not in written


@pytest.mark.parametrize("columns", [40, 80])
def test_trouble_stands_in_the_bar_s_place(live: Stage, columns: int) -> None:
    async def story(shown: Progress) -> None:
        shown.row("f47ac10b", about="fox in snow").task(task("processing", 40, cost_cents=18))
        row = shown.row("6fa459ea", about="a wolf")
        row.task(task("processing", 40, cost_cents=18))
        row.trouble("the server is busy [bold]here[/]")
        await clock.sleep(2)
        (line,) = [each for each in live.screen() if each.startswith("6fa459ea")]
        assert "the server is busy" in line
        assert "[bold]" in line or columns == 40

    live.resize(columns, 24)
    live.tell(story)


def test_several_files_have_a_bar_for_all_of_them(live: Stage) -> None:
    async def story(shown: Progress) -> None:
        for n in (1, 2):
            shown.row(f"clip-{n}").bytes(n * 10_000_000, 50_000_000)
        await clock.sleep(2)
        (total,) = [line for line in live.screen() if line.startswith("all")]
        assert "0 of 5" in total
        assert "30.0 MB of 100.0 MB" in total
        assert " 12%" in total

    live.tell(story, 5)


def test_work_on_this_machine_has_a_bar_and_an_estimate(live: Stage) -> None:
    async def story(shown: Progress) -> None:
        row = shown.row("film.mp4")
        for step in range(4):
            row.part("joining", step / 10)
            await clock.sleep(10)
        (line,) = [line for line in live.screen() if line.startswith("film.mp4")]
        assert re.search(r" 30% .* ~70s left", line)

    live.tell(story)


def test_what_was_rendered_is_not_unmade_by_its_saving(live: Stage) -> None:
    async def story(shown: Progress) -> None:
        shares = []
        rows = [shown.row(f"clip-{n}") for n in range(2)]
        for row in rows:
            row.task(task("processing", 90))
        for received in (None, 0, 1_000_000):
            for row in rows if received is not None else ():
                row.bytes(received or 0, 50_000_000 if received else None)
            await clock.sleep(2)
            (total,) = [line for line in live.screen() if line.startswith("all")]
            found = re.search(r"(\d+)%", total)
            assert found
            shares.append(int(found[1]))
        assert shares == [90, 100, 100]

    live.tell(story, 2)


def test_what_is_said_meanwhile_stands_above(live: Stage) -> None:
    async def whole() -> None:
        out = Output(stdout=live.stream, stderr=live.stream)
        with display.choose(out) as shown:
            shown.row("fox").task(task("processing", 40))
            await clock.sleep(1)
            out.note("a word")
            out.line("a result")
            await clock.sleep(1)
            assert [line.split(" processing")[0] for line in live.screen() if line] == ["a word", "a result", "fox"]

    with clock.use(live.clock), asyncio.Runner(loop_factory=live.clock.loop_factory) as runner:
        runner.run(whole())


# ---------------------------------------------------------------------- how long is left


@pytest.mark.parametrize(
    ("past", "passed", "left"),
    [
        ([], 5, None),
        ([60, 70], 5, None),
        ([60, 70, 80], 10, 60),
        ([60, 70, 80], 65, 10),
        ([60, 70, 80], 79, 1),
        ([60, 70, 80], 80, None),
        ([10, 10, 10, 500], 11, 489),
    ],
)
def test_what_is_left_is_told_by_the_runs_that_took_as_long(
    past: list[float], passed: float, left: float | None
) -> None:
    assert seconds_left(past, passed) == left
    assert is_overdue(past, passed) is (left is None and len(past) >= 3)


@few
@given(st.lists(st.floats(0.1, 10_000), min_size=3), st.floats(0, 20_000))
def test_an_estimate_is_never_negative_and_never_longer_than_the_longest_run(past: list[float], passed: float) -> None:
    left = seconds_left(past, passed)
    assert left is None or 0 < left <= max(past)


@pytest.mark.parametrize(
    ("passed", "shown"), [(0, "~2m left"), (60, "~60s left"), (113, "~7s left"), (500, "longer than ever")]
)
def test_an_estimate_is_told_no_more_exactly_than_it_is(live: Stage, passed: float, shown: str) -> None:
    async def story(shown: Progress) -> None:
        shown.row("fox", past=[120.0] * 3, passed=passed).task(task("processing", 40))
        await clock.sleep(0.3)

    assert shown in live.tell(story)


def test_plain_words_have_no_styles_outside_a_terminal() -> None:
    stream = io.StringIO()
    Output(stderr=stream).last_word("fox", "saved", is_good=True)
    assert re.fullmatch(r"✓ fox: saved\n", stream.getvalue())
