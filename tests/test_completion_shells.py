"""TAB in real shells: the same lines in each, and the same answers (contract §12)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from completion_desk import ELSEWHERE, HOSTILE_MODELS, PLAYED, PROMPTS, TASKS, fill
from shells import SHELLS, Desk, Interactive, Shell, is_there
from terminal import environment

from airvid import cli
from airvid.commands.completion import commands
from airvid.config import SETTINGS
from airvid.tasks import MODES, STATUSES
from airvid.topics import TOPICS

RATIOS = ["16:9", "9:16", "1:1"]


@pytest.fixture(scope="module", params=SHELLS, ids=lambda shell: shell.__name__)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    if not is_there(request.param):
        pytest.skip(f"{request.param.name} is not here")
    home = tmp_path_factory.mktemp("home")
    desk = Desk(home, environment(home))
    fill(desk.env)
    (home / "clips").mkdir()
    for name in ("fox.png", "my fox.png"):
        (home / name).touch()
    running = request.param(desk)
    yield running
    running.end()


def options(path: str) -> set[str]:
    """The long names of a command's options."""
    (row,) = [row for row in commands(cli.tree()) if row.path == path]
    return {name for entry in row.options for name in entry.split() if name.startswith("--")}


ALONE: dict[str, list[str] | set[str]] = {
    "airvid ": [row.path for row in commands(cli.tree()) if row.path and " " not in row.path],
    "airvid cr": ["create"],
    "airvid --json -q --base-url http://x/v1 mod": ["models"],
    "airvid config ": ["list", "get", "set", "unset", "path"],
    "airvid --sandbox auth log": ["login", "logout"],
    "airvid create --": options("create"),
    "airvid create --s": ["--sandbox", "--seed", "--set", "--sound"],
    "airvid config set --": options("config set"),
    # What is given is not offered again, in none of its spellings, before the command or after it, unless it may be.
    "airvid create -m x --": options("create") - {"--model"},
    "airvid create --model=x -wn 4 --": options("create") - {"--model", "--wait", "--no-wait", "--count"},
    "airvid --json -q create --no-sound -- --": [],
    "airvid --json -q create --no-sound --": options("create") - {"--json", "--quiet", "--sound", "--no-sound"},
    "airvid create -r a.png --set a=1 --": options("create"),
    # A value is no command and no option.
    "airvid --base-url create --js": ["--json"],
    "airvid create --prompt-file --json --js": ["--json"],
    # Fixed values.
    "airvid list --status ": list(STATUSES),
    "airvid list --status queued --status=pro": ["processing"],
    "airvid models --sort ": ["price", "name"],
    "airvid models --sort=n": ["name"],
    "airvid create --mode ": list(MODES),
    "airvid create --mode=": list(MODES),
    "airvid config get ": list(SETTINGS),
    "airvid help ": list(TOPICS),
    "airvid config set sound ": ["true", "false"],
    "airvid config set mode ": list(MODES),
    "airvid config set --json budget.": ["budget.day", "budget.month"],
    "airvid --install-completion ": ["bash", "zsh", "fish", "powershell"],
    # There is nothing to say.
    "airvid create ": [],
    'airvid create "status" ': [],
    "airvid create --seed ": [],
    "airvid config get model ": [],
    "airvid config set seed ": [],
    "airvid list ": [],
    "airvid nonsense ": [],
    # Files.
    "airvid create -i fo": ["fox.png"],
    "airvid create --image=fo": ["fox.png"],
    "airvid create -wi my": ["my fox.png"],
    "airvid watch -o cl": ["clips"],
    "airvid config set output cl": ["clips"],
}
ASKED = {
    "airvid create -m ": ["fox-1", "fox-2", *HOSTILE_MODELS],
    "airvid create --model=fox": ["fox-1", "fox-2"],
    "airvid models fox-1 fox": ["fox-1", "fox-2"],
    "airvid list -m fox-2": [],
    "airvid config set model fox": ["fox-1", "fox-2"],
    "airvid create -m fox-1 --aspect-ratio ": ["16:9", "9:16", "1:1"],
    "airvid create -m fox-1 -a 16": ["16:9"],
    "airvid create -m fox-1 -a 16:": ["16:9"],
    "airvid create --aspect-ratio=9:": ["9:16"],
    "airvid create --model fox-2 --quality ": ["720P"],
    "airvid create --quality ": ["480p", "1080p", "720P"],
    "airvid create --model fox-1 --mode ": ["text", "image"],
    "airvid create -m unheard-of --mode=t": ["text"],
    "airvid create -m fox-1 -d ": ["4", "5", "6"],
    "airvid status ": ["last", *TASKS],
    "airvid watch ": ["last", TASKS[0], TASKS[3]],
    f"airvid download {TASKS[1][:6]}": [TASKS[1]],
    f"airvid delete {TASKS[0]} ": ["last", *TASKS[1:]],
    "airvid --sandbox status ": ["last", PLAYED],
    "airvid --base-url https://Other.test status ": ["last", ELSEWHERE],
}


@pytest.mark.parametrize("line", ALONE)
def test_the_shell_alone_knows(shell: Shell, line: str) -> None:
    before = shell.desk.calls
    assert shell.offered(line) == sorted(ALONE[line])
    assert shell.desk.calls == before


@pytest.mark.parametrize("line", ASKED)
def test_cache_and_journal_know_the_rest(shell: Shell, line: str) -> None:
    before = len(shell.desk.calls)
    assert shell.offered(line) == sorted(ASKED[line])
    assert len(shell.desk.calls) == before + 1


def test_nothing_that_anybody_wrote_is_run_or_breaks_a_list(shell: Shell) -> None:
    for words in ("create -m ", "status ", "status f", "create -m 'a", 'create -m "a', "create -m $"):
        shown = shell.listed(f"airvid {words}")
        assert "pwned" not in [path.name for path in shell.desk.home.iterdir()]
        assert "\x1b" not in shown
        assert shown.count("\n") < 45


def test_prompts_stand_beside_the_tasks(shell: Shell) -> None:
    lines = shell.listed("airvid status ").split("\n")
    for task_id, prompt in zip(TASKS, PROMPTS, strict=True):
        assert [line for line in lines if prompt in line and task_id in line.replace("\\", "")]


def test_what_stands_beside_a_candidate_is_never_inserted(shell: Shell) -> None:
    if not isinstance(shell, Interactive):
        pytest.skip("fish keeps them apart by itself")
    assert shell.typed("airvid status f\t") == ["status", "f47"]
    assert shell.typed("airvid status f47a\t") == ["status", TASKS[0]]
    assert shell.typed("airvid create -m \\;\t") == ["create", "-m", "; touch pwned"]


def test_what_an_attacker_gave_for_an_id_is_not_inserted(shell: Shell) -> None:
    if isinstance(shell, Interactive):
        for command in ("watch", "preview"):
            assert shell.typed(f"airvid {command} n\t") == [command, TASKS[3]]
    assert "pwned" not in [path.name for path in shell.desk.home.iterdir()]
