"""The contact sheet on real terminals: what it looks like, and that the terminal is as before."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from program import KEY
from small_files import render_tiny
from terminal import AIRVID, Terminal, environment

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server

pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
from pyav_clips import fading, red_to_blue

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")

SOON = "slow=0.1"  # what the sandbox makes is made in a tenth of the time
TIME = rb"\b0:0[012]\.\d\b"
# Colours; all else that a terminal obeys would be a question or a picture of its own kind.
COLORS = re.compile(rb"\x1b\[[\d;]*m")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return red_to_blue(tmp_path_factory.mktemp("clip") / "fox.mp4")


def shown(clip: Path, home: Path, env: dict[str, str] | None = None, size: tuple[int, int] = (80, 24)) -> Terminal:
    """`airvid preview` on a terminal of so many columns and rows, which is asked nothing."""
    columns, rows = size
    about = environment(home, **(env or {}))
    terminal = Terminal(["preview", clip.name], cwd=clip.parent, env=about, columns=columns, rows=rows)
    assert terminal.end() == 0, terminal.text
    assert b"\x1b" not in COLORS.sub(b"", terminal.raw)
    return terminal


def is_red_to_blue(dots: list[tuple[int, ...]]) -> bool:
    reds = [dot[0] for dot in dots]
    return reds == sorted(reds, reverse=True) and dots[0][0] > 200 > 60 > dots[0][2] and dots[-1][2] > 200


def test_frames_are_half_blocks(clip: Path, tmp_path: Path) -> None:
    terminal = shown(clip, tmp_path, {"COLORTERM": "truecolor"})
    cells = [terminal.screen.buffer[row][column] for row in (2, 10, 18) for column in (3, 30, 57)]
    assert {cell.data for cell in cells} == {"▀"}
    for dots in ([cell.fg for cell in cells], [cell.bg for cell in cells]):
        assert is_red_to_blue([tuple(bytes.fromhex(dot)) for dot in dots])


def test_a_frame_s_dots_stand_as_in_the_clip(tmp_path: Path) -> None:
    terminal = shown(fading(tmp_path / "fading.mp4"), tmp_path, {"COLORTERM": "truecolor"})
    cells = [terminal.screen.buffer[row][3] for row in range(1, 20)]
    dots = [bytes.fromhex(color)[0] for cell in cells if cell.data == "▀" for color in (cell.fg, cell.bg)]
    assert len(dots) > 20
    assert dots == sorted(dots, reverse=True)
    assert dots[0] > 230 > 40 > dots[-1]


@pytest.mark.parametrize(("columns", "rows"), [(40, 24), (80, 24), (200, 50), (200, 24), (12, 8), (5, 3)])
def test_the_sheet_fits_the_screen_and_keeps_the_shape(clip: Path, tmp_path: Path, columns: int, rows: int) -> None:
    terminal = shown(clip, tmp_path, size=(columns, rows))
    lines = terminal.lines
    blocks = [line for line in lines if "▀" in line]
    widths = {len(run) for line in blocks for run in line.split(" ") if run}
    assert len(widths) == 1
    if columns >= 40:
        assert lines[0].startswith("fox.mp4  2.0s  320x180  h264")  # nothing has scrolled away
        rows_of_frames = sum("0:0" in line for line in lines)
        assert (width := widths.pop()) / (len(blocks) / rows_of_frames * 2) == pytest.approx(16 / 9, rel=0.2)
        across = lines[len(blocks) // rows_of_frames + 1].count("0:0")
        assert across * (width + 1) > columns * 0.7 or len(blocks) + rows_of_frames > rows * 0.7


@pytest.mark.parametrize(
    ("env", "pattern"),
    [
        ({"COLORTERM": "truecolor"}, rb"\x1b\[38;2;\d+;\d+;\d+;48;2;"),
        ({}, rb"\x1b\[38;5;\d+;48;5;\d+m"),
        ({"TERM": "xterm"}, rb"\x1b\[(3|9)\d;(4|10)\dm"),
    ],
)
def test_colours_are_those_that_the_terminal_has(
    clip: Path, tmp_path: Path, env: dict[str, str], pattern: bytes
) -> None:
    terminal = shown(clip, tmp_path, env)
    assert re.search(pattern, terminal.raw)
    assert b"38;2" in terminal.raw or "COLORTERM" not in env


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}])
def test_shades_where_there_is_no_colour(clip: Path, tmp_path: Path, env: dict[str, str]) -> None:
    terminal = shown(clip, tmp_path, env)
    assert not re.search(rb"\x1b\[[\d;]*m", terminal.raw)
    assert re.search(r"[-:=+*]{15}", terminal.text)
    assert terminal.text.count("0:0") == 9


def shell(clip: Path, home: Path, script: str, *, columns: int = 80, rows: int = 24, **env: str) -> Terminal:
    """A shell that runs a preview, and goes on."""
    words = ["-c", script.replace("airvid", " ".join(AIRVID))]
    about = environment(home, **env)
    return Terminal(words, cwd=clip.parent, env=about, command=["sh"], columns=columns, rows=rows)


SCRIPT = 'stty echo; airvid preview fox.mp4; stty -a; read line; echo got "$line"'


def test_what_was_typed_before_is_the_shell_s(clip: Path, tmp_path: Path) -> None:
    terminal = shell(clip, tmp_path, SCRIPT)
    terminal.process.send("hello\n")
    assert terminal.end() == 0
    assert "got hello" in terminal.text


def test_the_terminal_is_as_before(clip: Path, tmp_path: Path) -> None:
    terminal = shell(clip, tmp_path, SCRIPT)
    terminal.until(lambda each: b"icanon" in each.raw)
    terminal.process.send("later\n")
    assert terminal.end() == 0
    assert re.search(rb"(?<!-)icanon", terminal.raw)
    assert re.search(rb"(?<!-)echo\b", terminal.raw)
    assert "got later" in terminal.text


def test_in_the_background_it_draws_and_ends(clip: Path, tmp_path: Path) -> None:
    """To touch the terminal's settings from there would stop the process for good."""
    terminal = shell(clip, tmp_path, "set -m; airvid preview fox.mp4 & wait; echo over")
    assert terminal.end() == 0
    assert len(re.findall(TIME, terminal.raw)) == 9
    assert "over" in terminal.text


def test_standard_input_may_be_a_pipe(clip: Path, tmp_path: Path) -> None:
    """As in a loop over files."""
    terminal = shell(clip, tmp_path, "echo fox.mp4 | while read clip; do airvid preview $clip; done")
    assert terminal.end() == 0
    assert len(re.findall(TIME, terminal.raw)) == 9


def test_a_long_name_takes_one_line(clip: Path, tmp_path: Path) -> None:
    long = tmp_path / ("long-" * 40 + "fox.mp4")
    long.write_bytes(clip.read_bytes())
    terminal = shown(long, tmp_path)
    assert re.fullmatch(r"(long-){5,}\w*-?…  2\.0s  320x180  h264  \S+ kB", terminal.lines[0])
    assert terminal.lines[1].startswith("▀")


# ---------------------------------------------------------------------- with tasks

CREATE = ["--sandbox", "create", "fox in snow", "-d", "2", "--preview"]


@pytest.mark.parametrize(("more", "left"), [(["-o", "fox.mp4"], ["fox.mp4"]), ([], []), (["-n", "2"], [])])
def test_create_shows_the_clip_once_it_is_made(tmp_path: Path, more: list[str], left: list[str]) -> None:
    (tmp_path / "here").mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = environment(tmp_path, TMPDIR=str(scratch), AIRVID_SANDBOX_FAULTS=SOON)
    terminal = Terminal([*CREATE, *more], cwd=tmp_path / "here", env=env)
    assert terminal.end() == 0
    sheets = 2 if "-n" in more else 1
    assert terminal.raw.count(b"  2.0s  ") == sheets
    assert len(re.findall(TIME, terminal.raw)) == 9 * sheets
    assert [each.name for each in (tmp_path / "here").iterdir()] == left
    assert [each.name for each in scratch.iterdir()] == []
    assert not terminal.screen.cursor.hidden


def test_a_clip_that_cannot_be_shown_is_made_all_the_same(tmp_path: Path) -> None:
    with Server(Emulator(pace=Pace(queued=0.1, processing=0.2), render=render_tiny)) as server:
        env = environment(tmp_path, AIRVID_BASE_URL=server.api_url, AIRVID_API_KEY=KEY)
        terminal = Terminal(["create", "x", "--preview", "-o", "x.mp4"], cwd=tmp_path, env=env)
        assert terminal.end() == 0
    assert "no preview: x.mp4" in terminal.text
    assert (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize("more", [["-o", "-"], ["--json"]])
def test_what_else_wants_standard_output_costs_nothing(tmp_path: Path, more: list[str]) -> None:
    terminal = Terminal([*CREATE, *more], cwd=tmp_path, env=environment(tmp_path))
    assert terminal.end() == 2
    listed = Terminal(["-q", "--sandbox", "list", "--local"], cwd=tmp_path, env=environment(tmp_path))
    assert (listed.end(), listed.text) == (0, "")


def test_a_task_that_was_not_saved_is_fetched_for_the_look(tmp_path: Path) -> None:
    env = environment(tmp_path, TMPDIR=str(tmp_path), AIRVID_SANDBOX_FAULTS=SOON)
    made = Terminal(["--sandbox", "create", "fox", "-d", "2", "--wait"], cwd=tmp_path, env=env)
    assert made.end() == 0
    terminal = Terminal(["--sandbox", "preview", "last"], cwd=tmp_path, env=env)
    assert terminal.end() == 0
    assert terminal.text.count("0:0") == 9
    assert not list(tmp_path.glob("airvid-*"))


def test_ctrl_c_while_drawing_leaves_a_sound_terminal(clip: Path, tmp_path: Path) -> None:
    """Colours are ended, so that what comes next is plain text. The sheet is more than the system's buffer holds."""
    script = "trap : INT; airvid preview fox.mp4; echo code $?"
    terminal = shell(clip, tmp_path, script, columns=200, rows=50, COLORTERM="truecolor")
    terminal.until(lambda each: "▀".encode() in each.raw)
    terminal.process.sendintr()
    assert terminal.end() == 0
    assert b"code 130" in terminal.raw
    assert COLORS.findall(terminal.raw)[-1] == b"\x1b[0m"
