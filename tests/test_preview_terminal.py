"""The contact sheet on real terminals: the way that each says it knows, and nothing left of the asking."""

from __future__ import annotations

import io
import re
import sys
from base64 import b64decode
from pathlib import Path

import pytest
from conftest import KEY, render_tiny
from terminal import AIRVID, Terminal, environment

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server

av = pytest.importorskip("av")
from footage import red_to_blue  # noqa: E402 - needs PyAV

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")

KITTY_ASKED, NAME_ASKED, CELL_ASKED, ATTRIBUTES_ASKED = b"\x1b_Gi=31", b"\x1b[>q", b"\x1b[16t", b"\x1b[c"
ASKED = re.compile(b"|".join(map(re.escape, (KITTY_ASKED, NAME_ASKED, CELL_ASKED, ATTRIBUTES_ASKED))))
TIME = rb"\b0:0[012]\.\d\b"
CELL = {CELL_ASKED: b"\x1b[6;20;10t"}
# What these terminals answer, as their makers' documents or the terminals themselves tell.
KITTY = {
    **CELL,
    KITTY_ASKED: b"\x1b_Gi=31;OK\x1b\\",
    NAME_ASKED: b"\x1bP>|kitty(0.42.1)\x1b\\",
    b"\x1b[c": b"\x1b[?62;52;c",
}
ITERM2 = {**CELL, NAME_ASKED: b"\x1bP>|iTerm2 3.5.0\x1b\\", b"\x1b[c": b"\x1b[?64;1;2;4;6;17;18;21;22c"}
FOOT = {**CELL, NAME_ASKED: b"\x1bP>|foot(1.20)\x1b\\", b"\x1b[c": b"\x1b[?62;4;22;28;52c"}
VTE = {NAME_ASKED: b"\x1bP>|VTE(7600)\x1b\\", b"\x1b[c": b"\x1b[?61;1;21;22c"}
LINUX = {b"\x1b[c": b"\x1b[?6c"}
SAYS_NO = {**VTE, KITTY_ASKED: b"\x1b_Gi=31;ENOTSUP:no\x1b\\"}


class Answering(Terminal):
    """A terminal that answers what it is asked, in order, as a real one does."""

    answers: dict[bytes, bytes]
    heard = 0

    def read(self) -> bool:
        goes_on = super().read()
        for asked in ASKED.finditer(self.raw, self.heard):
            self.heard = asked.end()
            if asked[0] in self.answers:
                self.process.send(self.answers[asked[0]])
        return goes_on


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return red_to_blue(tmp_path_factory.mktemp("clip") / "fox.mp4")


def shown(
    clip: Path,
    home: Path,
    answers: dict[bytes, bytes],
    env: dict[str, str] | None = None,
    size: tuple[int, int] = (80, 24),
) -> Answering:
    """`airvid preview` on a terminal of so many columns and rows that answers so."""
    columns, rows = size
    about = environment(home, **(env or {}))
    terminal = Answering(["preview", clip.name], cwd=clip.parent, env=about, columns=columns, rows=rows)
    terminal.answers = answers
    assert terminal.end() == 0, terminal.text
    return terminal


def pngs(terminal: Terminal, way: str) -> list[bytes]:
    """The pictures that went over the wire, whole."""
    if way == "iterm2":
        return [b64decode(data) for data in re.findall(rb"\x1b\]1337;File=[^:]*:([^\x07]*)\x07", terminal.raw)]
    found: list[bytes] = []
    for keys, data in re.findall(rb"\x1b_G([^;\x1b]*);([^\x1b]*)\x1b\\", terminal.raw):
        if b"a=T" in keys:
            found.append(b"")
        if b"a=q" not in keys:
            assert len(data) <= 4096
            found[-1] += data
    return [b64decode(each) for each in found]


def sixels(data: bytes) -> list[list[tuple[int, ...]]]:
    """A sixel picture's dots. Source: the VT330/VT340 manual, chapter 14."""
    width, height = map(int, re.match(rb'\x1bP[\d;]*q"1;1;(\d+);(\d+)', data).groups())  # type: ignore[union-attr]
    dots: list[list[tuple[int, ...]]] = [[()] * width for _ in range(height)]
    colors: dict[int, tuple[int, ...]] = {}
    x = top = number = 0
    for sort, count, letter in re.findall(rb"(#[\d;]+|[$-])|(?:!(\d+))?([?-~])", data.split(b'"1;1', 1)[1][:-2]):
        if sort[:1] == b"#":
            number, *rest = map(int, sort[1:].split(b";"))
            if rest:
                colors[number] = tuple(round(part * 2.55) for part in rest[1:])
        elif sort:
            x, top = 0, top + 6 * (sort == b"-")
        for _ in range(int(count or 1) if letter else 0):
            for bit in range(6):
                if (letter[0] - 63) >> bit & 1:
                    dots[top + bit][x] = colors[number]
            x += 1
    return dots


def decoded(png: bytes) -> tuple[int, int, tuple[int, ...]]:
    """Width, height, and the dot in the middle."""
    with av.open(io.BytesIO(png), "r", format="png_pipe") as source:
        frame = next(source.decode(video=0)).reformat(format="rgb24")
    middle = frame.height // 2 * frame.planes[0].line_size + frame.width // 2 * 3
    return frame.width, frame.height, tuple(bytes(frame.planes[0])[middle : middle + 3])


def is_red_to_blue(dots: list[tuple[int, ...]]) -> bool:
    reds = [dot[0] for dot in dots]
    return reds == sorted(reds, reverse=True) and dots[0][0] > 200 > 60 > dots[0][2] and dots[-1][2] > 200


@pytest.mark.parametrize(("answers", "way"), [(KITTY, "kitty"), (ITERM2, "iterm2")])
def test_pictures_go_the_way_that_the_terminal_knows(
    clip: Path, tmp_path: Path, answers: dict[bytes, bytes], way: str
) -> None:
    terminal = shown(clip, tmp_path, answers)
    found = [decoded(each) for each in pngs(terminal, way)]
    assert [(width, height) for width, height, _ in found] == [(210, 118)] * 9
    assert is_red_to_blue([dot for *_, dot in found])
    assert len(re.findall(TIME, terminal.raw)) == 9
    assert "▀".encode() not in terminal.raw


def test_sixels_are_the_frames(clip: Path, tmp_path: Path) -> None:
    terminal = shown(clip, tmp_path, FOOT)
    found = [sixels(each) for each in re.findall(rb"\x1bP0[^\x1b]*\x1b\\", terminal.raw)]
    assert [(len(each[0]), len(each)) for each in found] == [(210, 118)] * 9
    assert all(dot for picture in found for row in picture for dot in row)
    assert is_red_to_blue([picture[59][105] for picture in found])


@pytest.mark.parametrize("answers", [VTE, LINUX, SAYS_NO], ids=["VTE", "linux", "no"])
def test_half_blocks_elsewhere(clip: Path, tmp_path: Path, answers: dict[bytes, bytes]) -> None:
    terminal = shown(clip, tmp_path, answers, {"COLORTERM": "truecolor"})
    first, last = terminal.screen.buffer[2][3], terminal.screen.buffer[20][50]
    assert (first.data, last.data) == ("▀", "▀")
    assert is_red_to_blue([tuple(bytes.fromhex(each.fg)) for each in (first, last)])
    assert not re.search(rb"\x1b(P|\]|_G(?!i=31))", terminal.raw)


@pytest.mark.parametrize(("columns", "rows"), [(40, 24), (80, 24), (200, 50), (200, 24), (12, 8), (5, 3)])
def test_the_sheet_fits_the_screen_and_keeps_the_shape(clip: Path, tmp_path: Path, columns: int, rows: int) -> None:
    terminal = shown(clip, tmp_path, LINUX, size=(columns, rows))
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
    terminal = shown(clip, tmp_path, LINUX, env)
    assert re.search(pattern, terminal.raw)
    assert b"38;2" in terminal.raw or "COLORTERM" not in env


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}])
def test_shades_where_there_is_no_colour(clip: Path, tmp_path: Path, env: dict[str, str]) -> None:
    terminal = shown(clip, tmp_path, LINUX, env)
    assert not re.search(rb"\x1b\[[\d;]*m", terminal.raw)
    assert re.search(r"[-:=+*]{15}", terminal.text)
    assert terminal.text.count("0:0") == 9


def test_pictures_are_no_colours_of_text(clip: Path, tmp_path: Path) -> None:
    assert len(pngs(shown(clip, tmp_path, KITTY, {"NO_COLOR": "1"}), "kitty")) == 9


@pytest.mark.parametrize("env", [{"TMUX": "/tmp/tmux-0/default,1,0"}, {"STY": "1.x"}, {"TERM": "screen-256color"}])
def test_a_multiplexer_is_not_asked(clip: Path, tmp_path: Path, env: dict[str, str]) -> None:
    terminal = shown(clip, tmp_path, KITTY, env)
    assert not ASKED.search(terminal.raw)
    assert "▀" in terminal.text


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {ATTRIBUTES_ASKED: b"\x1b[?"},
        {ATTRIBUTES_ASKED: b"\xff" * 5000},
        {ATTRIBUTES_ASKED: b"\x1b[?;;;c"},
        {**KITTY, CELL_ASKED: b"\x1b[6;9999;9999t", KITTY_ASKED: b""},
        {**FOOT, CELL_ASKED: b"\x1b[6;0;0t", NAME_ASKED: b"\x1bP>|\xff\xfe\x1b\\"},
    ],
    ids=["silent", "half", "flood", "empty", "huge", "zero"],
)
def test_strange_answers_do_no_harm(clip: Path, tmp_path: Path, answers: dict[bytes, bytes]) -> None:
    terminal = shown(clip, tmp_path, answers)
    assert len(re.findall(TIME, terminal.raw)) == 9
    assert b"Traceback" not in terminal.raw


def shell(clip: Path, home: Path, script: str, answers: dict[bytes, bytes]) -> Answering:
    """A shell that runs a preview, and goes on."""
    words = ["-c", script.replace("airvid", " ".join(AIRVID))]
    terminal = Answering(words, cwd=clip.parent, env=environment(home), command=["sh"])
    terminal.answers = answers
    return terminal


SCRIPT = 'stty echo; airvid preview fox.mp4; stty -a; read line; echo got "$line"'


def test_what_was_typed_before_is_the_shell_s(clip: Path, tmp_path: Path) -> None:
    terminal = shell(clip, tmp_path, SCRIPT, KITTY)
    terminal.process.send("hello\n")
    assert terminal.end() == 0
    assert "got hello" in terminal.text
    assert not ASKED.search(terminal.raw)


def _may_give_back() -> bool:
    setting = Path("/proc/sys/dev/tty/legacy_tiocsti")
    return not setting.exists() or setting.read_text().strip() == "1"


@pytest.mark.skipif(not _may_give_back(), reason="this system takes no input from a program")
def test_what_is_typed_while_the_terminal_answers_is_given_back(clip: Path, tmp_path: Path) -> None:
    terminal = shell(clip, tmp_path, SCRIPT, {**KITTY, NAME_ASKED: b"me" + KITTY[NAME_ASKED] + b"anwhile\n"})
    assert terminal.end() == 0
    assert "got meanwhile" in terminal.text
    assert len(pngs(terminal, "kitty")) == 9


def test_the_terminal_is_as_before(clip: Path, tmp_path: Path) -> None:
    terminal = shell(clip, tmp_path, SCRIPT, KITTY)
    terminal.until(lambda each: b"icanon" in each.raw)
    terminal.process.send("later\n")
    assert terminal.end() == 0
    assert re.search(rb"(?<!-)icanon", terminal.raw)
    assert re.search(rb"(?<!-)echo\b", terminal.raw)
    assert "got later" in terminal.text
    assert "31;OK" not in terminal.text  # no answer is left for the shell to read


def test_ctrl_c_while_asking_restores_the_terminal(clip: Path, tmp_path: Path) -> None:
    terminal = shell(clip, tmp_path, "stty echo; trap : INT; airvid preview fox.mp4; echo code $?; stty -a", {})
    terminal.until(lambda each: ATTRIBUTES_ASKED in each.raw)
    terminal.process.sendintr()
    assert terminal.end() == 0
    assert "code 130" in terminal.raw.decode()
    assert re.search(rb"(?<!-)icanon", terminal.raw)
    assert re.search(rb"(?<!-)echo\b", terminal.raw)


def test_in_the_background_nothing_is_asked(clip: Path, tmp_path: Path) -> None:
    """To touch the terminal's settings from there would stop the process for good."""
    terminal = shell(clip, tmp_path, "set -m; airvid preview fox.mp4 & wait; echo over", KITTY)
    assert terminal.end() == 0
    assert "over" in terminal.text
    assert not ASKED.search(terminal.raw)


def test_a_long_name_takes_one_line(clip: Path, tmp_path: Path) -> None:
    long = tmp_path / ("long-" * 40 + "fox.mp4")
    long.write_bytes(clip.read_bytes())
    terminal = shown(long, tmp_path, LINUX)
    assert re.fullmatch(r"(long-){5,}\w*-?…  2\.0s  320x180  h264  \S+ kB", terminal.lines[0])
    assert terminal.lines[1].startswith("▀")


# ---------------------------------------------------------------------- with tasks

CREATE = ["--sandbox", "create", "fox in snow", "-d", "2", "--preview"]


@pytest.mark.parametrize(("more", "left"), [(["-o", "fox.mp4"], ["fox.mp4"]), ([], []), (["-n", "2"], [])])
def test_create_shows_the_clip_once_it_is_made(tmp_path: Path, more: list[str], left: list[str]) -> None:
    (tmp_path / "here").mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = environment(tmp_path, TMPDIR=str(scratch))
    terminal = Answering([*CREATE, *more], cwd=tmp_path / "here", env=env)
    terminal.answers = LINUX
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
        terminal = Answering(["create", "x", "--preview", "-o", "x.mp4"], cwd=tmp_path, env=env)
        terminal.answers = LINUX
        assert terminal.end() == 0
    assert "no preview: x.mp4" in terminal.text
    assert (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize("more", [["-o", "-"], ["--json"]])
def test_what_else_wants_standard_output_costs_nothing(tmp_path: Path, more: list[str]) -> None:
    terminal = Answering([*CREATE, *more], cwd=tmp_path, env=environment(tmp_path))
    assert terminal.end() == 2
    listed = Terminal(["-q", "--sandbox", "list", "--local"], cwd=tmp_path, env=environment(tmp_path))
    assert (listed.end(), listed.text) == (0, "")


def test_a_task_that_was_not_saved_is_fetched_for_the_look(tmp_path: Path) -> None:
    env = environment(tmp_path, TMPDIR=str(tmp_path))
    made = Terminal(["--sandbox", "create", "fox", "-d", "2", "--wait"], cwd=tmp_path, env=env)
    assert made.end() == 0
    terminal = Answering(["--sandbox", "preview", "last"], cwd=tmp_path, env=env)
    terminal.answers = LINUX
    assert terminal.end() == 0
    assert terminal.text.count("0:0") == 9
    assert not list(tmp_path.glob("airvid-*"))


def test_ctrl_c_while_drawing_leaves_a_sound_terminal(tmp_path: Path) -> None:
    """A picture under way is ended, so that what comes next is text again."""
    clip = red_to_blue(tmp_path / "fox.mp4", width=1280, height=720)
    terminal = shell(clip, tmp_path, "trap : INT; airvid preview fox.mp4; echo code $?", FOOT)
    terminal.until(lambda each: b"\x1bP0" in each.raw)
    terminal.process.sendintr()
    assert terminal.end() == 0
    tail = terminal.raw[terminal.raw.rindex(b"code") - 60 :]
    assert b"code 130" in tail
    assert b"\x1b\\\x1b[0m" in tail
