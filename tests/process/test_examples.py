"""Every example in the README and in the help does what it is there to show, on the emulator or in the sandbox."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import generated_text
import pytest
from program import KEY, PACE, STORAGE, World
from shell_scripts import Run, emulator, env, sh
from small_files import PNG
from terminal import AIRVID, Terminal, environment

from airvid.cli import topics
from airvid.sandbox.emulator import Emulator

__all__ = ["emulator", "env", "sh"]

# Blocks of the README that no test can run, and why.
NOT_RUN = {"pip install": "CI runs these two to begin with (.ci/run), in an environment that they make"}


def readme_blocks() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", generated_text.README.read_text("utf-8"), re.DOTALL)
    return [block.splitlines() for block in blocks if not any(each in block for each in NOT_RUN)]


def topic_examples() -> list[str]:
    return [
        line.strip() for text in topics.TOPICS.values() for line in text.splitlines() if line.startswith("  airvid ")
    ]


EXAMPLES: list[Sequence[str]] = [
    *readme_blocks(),
    *(each.examples for each in generated_text.commands()),
    topic_examples(),
]


def needs(lines: Sequence[str]) -> str:
    """What the lines of an example take: a terminal, a shell, the sandbox with its renderer, or just the program."""
    if any("preview" in line for line in lines):
        return "terminal"
    if any(re.search(r"\| |\$\(|> ", line) for line in lines):
        return "shell"
    return "sandbox" if any(re.search("airvid (--sandbox|sandbox)", line) for line in lines) else "program"


def of_kind(kind: str) -> pytest.MarkDecorator:
    found = [lines for lines in EXAMPLES if needs(lines) == kind]
    assert found
    return pytest.mark.parametrize("lines", found, ids=lambda lines: lines[0])


def prepare(folder: Path) -> None:
    (folder / "fox.png").write_bytes(PNG)
    (folder / "prompt.txt").write_text("fox in snow\n")
    (folder / "key.txt").write_text(KEY)
    (folder / "clips.jsonl").write_text('{"prompt": "fox in snow"}\n{"prompt": "red kite", "duration": 4}\n')
    (folder / "clips.csv").write_text("prompt,duration\nwolf,4\nowl,8\n")


def prepare_shots(world: World) -> None:
    """Clips that can be decoded, here and from the API."""
    pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
    from pyav_clips import numbered

    for n in (1, 2):
        numbered(world.folder / f"shot-{n}.mp4")
    (world.folder / "clips").symlink_to(world.folder)
    content = (world.folder / "shot-1.mp4").read_bytes()
    world.emulator.close()
    world.emulator = Emulator(storage=STORAGE, pace=PACE, render=lambda _: content)


@of_kind("program")
def test_an_example_works(world: World, lines: list[str]) -> None:
    prepare(world.folder)
    for line in ('create "a fox" --wait', "config set model wan-2.6", "config set budget.day 50"):
        assert world.airvid(*shlex.split(line)).code == 0
    if any(re.search("join|gallery|--extend", line) for line in lines):
        prepare_shots(world)
    for line in lines:
        words, _, file = line.partition(" < ")
        program, *arguments = shlex.split(words, comments=True)
        given = (world.folder / file.split()[0]).read_bytes() if file else KEY.encode()
        result = world.airvid(*arguments, stdin=given)
        assert (program, result.code) == ("airvid", 0), result.err


@of_kind("shell")
def test_an_example_in_a_script_works(sh: Run, lines: list[str], tmp_path: Path) -> None:
    prepare(tmp_path)
    done = sh('airvid -q create "a fox" --wait > before.txt; airvid -q config set model wan-2.6\n' + "\n".join(lines))
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout


@of_kind("sandbox")
def test_an_example_in_the_sandbox_works(lines: list[str], tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
    for line in lines:
        _, *arguments = shlex.split(line.replace("8080", "0"), comments=True)  # any port will do
        command, env = [*AIRVID, "-q", *arguments], environment(tmp_path, AIRVID_SANDBOX="1")
        with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE) as process:
            serves = "--port" in arguments
            assert process.stdout
            assert process.stdout.readline() or "reset" in arguments
            if serves:
                process.send_signal(signal.SIGINT)
            assert process.wait(60) == (130 if serves else 0)


@of_kind("terminal")
def test_an_example_on_a_terminal_works(lines: list[str], tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
    (tmp_path / "open").symlink_to("/bin/true")
    (tmp_path / "xdg-open").symlink_to("/bin/true")
    env = environment(tmp_path, AIRVID_SANDBOX="1", TERM="dumb", DISPLAY=":0")
    env["PATH"] = f"{tmp_path}{os.pathsep}{env['PATH']}"
    for line in ["airvid create fox -d 2 -o fox.mp4", *lines]:
        arguments = shlex.split(line, comments=True)[1:]
        terminal = Terminal(arguments, cwd=tmp_path, env=env)
        assert terminal.end() == 0, terminal.text


def test_what_is_not_run_is_there_and_as_few_as_can_be() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", generated_text.README.read_text("utf-8"), re.DOTALL)
    assert sum(any(each in block for each in NOT_RUN) for block in blocks) == 2
    assert os.linesep.join(blocks).count("airvid ") > 15
