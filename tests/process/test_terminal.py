"""The program on a terminal, on the sandbox over a real socket."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from terminal import Terminal, environment

pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
WORDS = ["--sandbox", "create", "fox in snow", "-d", "2", "-o", "fox.mp4"]


def percent(terminal: Terminal) -> int:
    found = re.findall(r"(\d+)%", terminal.text)
    return int(found[-1]) if found else -1


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_bar_moves_and_leaves_the_last_word(tmp_path: Path, columns: int) -> None:
    terminal = Terminal(WORDS, cwd=tmp_path, env=environment(tmp_path), columns=columns)
    terminal.until(lambda each: 0 < percent(each) < 60)
    before = percent(terminal)
    terminal.until(lambda each: percent(each) > before)
    assert terminal.end() == 0
    assert terminal.text.count("fox.mp4") == 1
    assert "%" not in terminal.text
    assert not terminal.screen.cursor.hidden
    assert (tmp_path / "fox.mp4").read_bytes()[4:8] == b"ftyp"


def test_ctrl_c_stops_the_waiting_not_the_task_and_gives_the_cursor_back(tmp_path: Path) -> None:
    env = environment(tmp_path)
    terminal = Terminal(WORDS, cwd=tmp_path, env=env)
    terminal.until(lambda each: percent(each) > 0)
    hidden = [bool(terminal.screen.cursor.hidden)]
    terminal.process.sendintr()
    assert terminal.end() == 130
    assert [*hidden, bool(terminal.screen.cursor.hidden)] == [True, False]
    told = re.search(r"airvid (--sandbox watch \S+ -o fox\.mp4)", terminal.text.replace("\n", ""))
    assert told
    again = Terminal(told[1].split(), cwd=tmp_path, env=env)
    assert again.end() == 0
    assert (tmp_path / "fox.mp4").exists()


def test_a_resize_while_live_does_not_tear(tmp_path: Path) -> None:
    terminal = Terminal(WORDS, cwd=tmp_path, env=environment(tmp_path), columns=120)
    terminal.until(lambda each: percent(each) > 0)
    terminal.resize(50)
    before = percent(terminal)
    terminal.until(lambda each: percent(each) > before)
    assert terminal.end() == 0
    assert len(re.findall(r"processing", terminal.text)) <= 1


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_is_as_the_environment_wants_it(tmp_path: Path, more: dict[str, str], coloured: bool) -> None:
    terminal = Terminal(["status", "nope"], cwd=tmp_path, env=environment(tmp_path, **more))
    assert terminal.end() == 3
    assert (b"\x1b[1;31m" in terminal.raw) is coloured


def test_a_clip_s_bytes_are_not_written_onto_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal(["--sandbox", "create", "x", "-o", "-"], cwd=tmp_path, env=environment(tmp_path))
    assert terminal.end() == 2
    assert "onto the terminal" in terminal.text


def test_delete_asks(tmp_path: Path) -> None:
    env = environment(tmp_path)
    made = Terminal(["--sandbox", "-q", "create", "x"], cwd=tmp_path, env=env)
    assert made.end() == 0
    for answer, deleted in (("n", False), ("y", True)):
        terminal = Terminal(["--sandbox", "delete", "last"], cwd=tmp_path, env=env)
        terminal.until(lambda each: "[y/N]" in each.text)
        terminal.process.sendline(answer)
        assert (terminal.end() == 0) is deleted


def test_a_key_is_typed_unseen(tmp_path: Path) -> None:
    terminal = Terminal(["auth", "login", "--no-verify"], cwd=tmp_path, env=environment(tmp_path))
    terminal.until(lambda each: "API key:" in each.text)
    terminal.process.sendline("sk-air-0123456789abcdef")
    assert terminal.end() == 0
    assert b"0123456789" not in terminal.raw
    assert "0123456789" in (tmp_path / "config" / "airvid" / "config.toml").read_text()


def test_ctrl_c_instead_of_a_key_leaves_the_shell_a_line_of_its_own(tmp_path: Path) -> None:
    terminal = Terminal(["auth", "login"], cwd=tmp_path, env=environment(tmp_path))
    terminal.until(lambda each: "API key:" in each.text)
    terminal.process.sendintr()
    assert terminal.end() == 130
    assert (terminal.screen.cursor.x, terminal.screen.cursor.y) == (0, 1)
