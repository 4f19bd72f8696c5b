"""The scripts of completions/: as the commands are, and where a shell looks for them (contract 12.1)."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import World
from shells import FOLDER, Desk, Fish, Zsh, install, is_there
from terminal import AIRVID, environment

from airvid import cli
from airvid.commands.completion import SHELLS, commands, script

SCRIPTS = {"bash": "airvid.bash", "zsh": "_airvid", "fish": "airvid.fish", "powershell": "airvid.ps1"}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_know_the_commands_as_they_are(shell: str, golden: Callable[[Path, str], None]) -> None:
    golden(FOLDER / SCRIPTS[shell], script(shell, cli.tree()))


def test_the_table_says_nothing_that_a_shell_would_expand_or_airvid_not_answer() -> None:
    for row in commands(cli.tree()):
        for entry in [*row.commands, *row.options, *row.arguments]:
            assert not re.search(r"[*?\[\]\\'\"`$]", entry), entry
            for kind in re.findall(r"@([\w-]+)", entry):
                assert kind in ("tasks", "models", "durations", "modes", "aspect-ratios", "qualities")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_installed_once_and_shown_as_it_is(world: World, tmp_path: Path, shell: str) -> None:
    text = (FOLDER / SCRIPTS[shell]).read_text("utf-8")
    place = {
        "bash": "data/bash-completion/completions/airvid",
        "zsh": "data/zsh/site-functions/_airvid",
        "fish": "config/fish/completions/airvid.fish",
        "powershell": "data/airvid/airvid.ps1",
    }[shell]
    for _ in range(2):
        done = world.airvid("--install-completion", shell)
        assert (done.code, done.lines) == (0, [str(tmp_path / place)])
        assert f"completion for {shell} is installed" in done.err
        assert (tmp_path / place).read_text("utf-8") == text
    assert world.airvid("--show-completion", shell).out == text
    assert world.airvid("--json", "--show-completion", shell).json == {"shell": shell, "script": text}
    assert world.airvid(f"--install-completion={shell}", "-q", "--json").json["path"] == str(tmp_path / place)
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(
    ("login", "shell"), [("/usr/bin/fish", "fish"), ("/bin/zsh", "zsh"), ("/opt/pwsh", "powershell"), ("-bash", "bash")]
)
def test_the_shell_is_the_one_that_the_user_logs_in_with(tmp_path: Path, login: str, shell: str) -> None:
    # The caller of that process is this test, which is no shell.
    done = subprocess.run(
        [*AIRVID, "--json", "--install-completion"],
        env=environment(tmp_path, SHELL=login),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["shell"] == shell


@pytest.mark.parametrize(("arguments", "login"), [([], "/bin/tcsh"), ([], ""), (["nushell"], "/bin/bash")])
@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_a_shell_without_a_script_is_told_which_there_are(
    tmp_path: Path, option: str, arguments: list[str], login: str
) -> None:
    env = environment(tmp_path, SHELL=login)
    done = subprocess.run([*AIRVID, option, *arguments], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "bash, zsh, fish, powershell" in done.stderr


def test_a_caller_that_is_a_shell_goes_before_the_login_shell(tmp_path: Path) -> None:
    if not is_there(Zsh):
        pytest.skip("zsh is not here")
    env = environment(tmp_path, SHELL="/bin/bash")
    # The colon keeps zsh from becoming airvid.
    desk = Desk(tmp_path, env)
    line = f"{desk.env['PYTHON']} -m airvid --install-completion; :"
    done = subprocess.run(["zsh", "-fc", line], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("/zsh/site-functions/_airvid\n")


def test_a_place_that_cannot_be_written_is_a_file_error(world: World, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    done = world.airvid("--install-completion", "bash")
    assert (done.code, done.out) == (11, "")
    assert str(tmp_path / "data" / "bash-completion") in done.err


def test_zsh_completes_after_the_very_lines_that_are_told(tmp_path: Path) -> None:
    if not is_there(Zsh):
        pytest.skip("zsh is not here")
    told = install(Desk(tmp_path, environment(tmp_path)), "zsh").splitlines()

    class Told(Zsh):
        def load(self) -> list[str]:
            return [line.replace("compinit", f"compinit -u -d {tmp_path}/dump", 2) for line in told[-2:]]

    shell = Told(Desk(tmp_path / "again", environment(tmp_path)))
    assert shell.offered("airvid auth ") == ["login", "logout", "status"]
    shell.end()


def test_fish_completes_at_once(tmp_path: Path) -> None:
    if not is_there(Fish):
        pytest.skip("fish is not here")
    desk = Desk(tmp_path, environment(tmp_path))
    install(desk, "fish")
    command = ["fish", "-c", "complete -C 'airvid auth '"]
    done = subprocess.run(command, env=desk.env, capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["login", "logout", "status"]


def test_bash_completes_after_the_very_line_that_is_told(tmp_path: Path) -> None:
    told = install(Desk(tmp_path, environment(tmp_path)), "bash").splitlines()[-1]
    done = subprocess.run(["bash", "-c", f"{told}; complete -p airvid"], capture_output=True, text=True, check=True)
    assert done.stdout == "complete -F _airvid airvid\n"
    assert shlex.split(told)[0] == "."


def test_powershell_s_script_is_whole() -> None:
    """There is no PowerShell to try it in: quotes and brackets balance, and every command and option is in it."""
    text = (FOLDER / "airvid.ps1").read_text("utf-8")
    strings = re.findall(r"'(?:[^']|'')*'", text)
    for row in commands(cli.tree()):
        for entry in [*row.commands, *row.options]:
            assert f"'{entry}'" in strings
    bare = re.sub(r"#[^\n]*", "", re.sub(r"'(?:[^']|'')*'|\"[^\"\n]*\"", "", text))
    assert not re.search(r"['\"]", bare)
    open_: list[str] = []
    for each in bare:
        if each in "([{":
            open_.append(each)
        elif each in ")]}":
            assert open_.pop() + each in ("()", "[]", "{}")
    assert not open_
