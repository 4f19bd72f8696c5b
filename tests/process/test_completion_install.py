"""`--install-completion` and `--show-completion`, which are Typer's; `completions/` holds what the latter prints."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from interactive_shells import FOLDER
from program import World
from terminal import AIRVID, environment

from airvid.cli.app import program

SCRIPTS = {"bash": "airvid.bash", "zsh": "_airvid", "fish": "airvid.fish", "powershell": "airvid.ps1"}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_completions_holds_what_is_shown(world: World, shell: str, golden: Callable[[Path, str], None]) -> None:
    done = world.airvid("--show-completion", shell)
    assert (done.code, done.err) == (0, "")
    golden(FOLDER / SCRIPTS[shell], done.out)
    assert world.airvid(f"--show-completion={shell}", "-q") == done


def test_completions_holds_nothing_else() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(SCRIPTS.values())


@pytest.mark.parametrize(
    ("shell", "place", "start_up"),
    [
        ("bash", ".bash_completions/airvid.sh", ".bashrc"),
        ("zsh", ".zfunc/_airvid", ".zshrc"),
        ("fish", ".config/fish/completions/airvid.fish", None),
    ],
)
def test_a_script_is_installed_with_its_start_up_file(
    world: World, tmp_path: Path, shell: str, place: str, start_up: str | None
) -> None:
    world.env.setenv("HOME", str(tmp_path))
    for _ in range(2):
        done = world.airvid("--install-completion", shell)
        assert (done.code, done.err) == (0, "")
        assert str(tmp_path / place) in done.out
    assert (tmp_path / place).read_text("utf-8").strip() == (FOLDER / SCRIPTS[shell]).read_text("utf-8").strip()
    if start_up:
        lines = (tmp_path / start_up).read_text("utf-8").splitlines()
        assert len([line for line in lines if ("complet" in line and "zstyle" not in line) or "compinit" in line]) == 1


def test_bash_completes_in_a_new_shell_once_it_is_installed(tmp_path: Path) -> None:
    env = environment(tmp_path)
    subprocess.run([*AIRVID, "--install-completion", "bash"], env=env, capture_output=True, check=True)
    command = ["bash", "--rcfile", str(tmp_path / ".bashrc"), "-ic", "complete -p airvid"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "complete -o default -F _airvid_completion airvid\n"


def test_the_shell_that_calls_is_found_out(tmp_path: Path) -> None:
    # The colon keeps bash from becoming airvid.
    line = f"{' '.join(AIRVID)} --install-completion; :"
    done = subprocess.run(["bash", "-c", line], env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert ".bash_completions/airvid.sh" in done.stdout


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
@pytest.mark.parametrize("shell", ["nushell", "tcsh", "Bash "])
def test_a_shell_without_a_script_is_told_which_there_are(world: World, option: str, shell: str) -> None:
    done = world.airvid(option, shell)
    assert (done.code, done.out) == (2, "")
    assert "bash, zsh, fish, powershell" in done.err


def test_a_home_that_cannot_be_written_is_a_file_error(world: World, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    world.env.setenv("HOME", str(tmp_path / "home"))
    done = world.airvid("--install-completion", "bash")
    assert (done.code, done.out) == (11, "")


def test_no_help_of_an_option_has_what_a_shell_or_rich_would_act_on() -> None:
    """Typer's scripts hand it to zsh, which evaluates it."""
    commands = [program(), *program().commands.values()]
    commands += [each for group in commands[1:] for each in getattr(group, "commands", {}).values()]
    for each in commands:
        for param in each.params:
            if param.param_type_name == "option":
                assert not set(param.help or "") & set('`$\\[]"{}'), param.help
