"""TAB in real shells with Typer's scripts: what is offered comes into the line, and nothing of it is ever run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from completion_data import PROMPTS, TASKS, fill
from interactive_shells import FOLDER, SHELLS, Interactive, ShellUser, Zsh, is_there
from terminal import environment

from airvid.api.models import STATUSES


@pytest.fixture(scope="module", params=SHELLS, ids=lambda shell: shell.__name__)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interactive]:
    if not is_there(request.param):
        pytest.skip(f"{request.param.name} is not installed")
    home = tmp_path_factory.mktemp("home")
    user = ShellUser(home, environment(home))
    fill(user.env)
    (home / "fox.png").touch()
    running = request.param(user)
    yield running
    running.end()


OFFERED = {
    "airvid cr": ["create"],
    "airvid --sandbox auth log": ["login", "logout"],
    "airvid list --status ": list(STATUSES),
    "airvid create -m fox": ["fox-1", "fox-2"],
    "airvid create -m fox-1 -a 16": ["16:9"],
    "airvid create -m fox-1 -d ": ["4", "5", "6"],
    "airvid create -i fo": ["fox.png"],
    "airvid status ": ["last", *TASKS],
    "airvid watch ": ["last", TASKS[0]],
}


@pytest.mark.parametrize("line", OFFERED)
def test_what_is_offered_comes_into_the_line(shell: Interactive, line: str) -> None:
    assert shell.offered(line) == sorted(OFFERED[line])


def test_nothing_that_anybody_wrote_is_run(shell: Interactive) -> None:
    for words in ("create -m ", "status ", "status f", "create --quality "):
        shown = shell.listed(f"airvid {words}")
        assert "\x1b" not in shown
        shell.offered(f"airvid {words}")  # with Enter behind it
    assert "pwned" not in [path.name for path in shell.user.home.iterdir()]


@pytest.mark.parametrize("shell", [Zsh], indirect=True)
def test_zsh_shows_prompts_beside_the_tasks(shell: Interactive) -> None:
    lines = shell.listed("airvid status ").split("\n")
    for task_id, prompt in zip(TASKS, PROMPTS, strict=True):
        assert [line for line in lines if task_id in line and prompt in line]


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize("line", [each for each in OFFERED if "fox.png" not in OFFERED[each]])
def test_fish_offers_the_same(tmp_path: Path, line: str) -> None:
    user = ShellUser(tmp_path, environment(tmp_path))
    fill(user.env)
    command = ["fish", "--no-config", "-c", f"source {FOLDER / 'airvid.fish'}; complete -C $argv[1]", line]
    done = subprocess.run(command, cwd=tmp_path, env=user.env, capture_output=True, text=True, timeout=30, check=True)
    assert sorted(each.split("\t")[0] for each in done.stdout.splitlines()) == sorted(OFFERED[line])
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "at"), [("airvid cr", "1"), ("airvid nosuch ", "2"), ("airvid create 'x", "2"), ("airvid cr", "x")]
)
@pytest.mark.parametrize("config", ["", "broken ["])
def test_tab_does_not_end_a_bash_with_set_e(tmp_path: Path, words: str, at: str, config: str) -> None:
    user = ShellUser(tmp_path, environment(tmp_path))
    file = tmp_path / "config" / "airvid" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(config)
    script = f"set -e; source {FOLDER / 'airvid.bash'}; COMP_WORDS=({words!r}); COMP_CWORD={at}"
    command = ["bash", "-c", f"{script}; _airvid_completion airvid; echo the shell lives"]
    done = subprocess.run(command, env=user.env, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the shell lives\n", "")
