"""What the program answers to TAB, from the cache and the journal alone, and in silence."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from completion_data import ELSEWHERE, HOSTILE, MODELS, PLAYED, PROMPTS, SERVICE, TASKS, fill, model, note
from program import API, World, json_answer
from terminal import AIRVID, environment

from airvid import model_cache
from airvid.api.models import MODES, STATUSES, Model
from airvid.config import SETTINGS
from airvid.journal.journal import Journal

Complete = Callable[..., list[str]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a cache and journals."""
    home = tmp_path_factory.mktemp("filled")
    fill(environment(home))
    return home


@pytest.fixture
def complete(world: World, tmp_path: Path, filled: Path) -> Complete:
    """Ask as this user's bash would; the answer is silent on standard error, and asks nobody."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    for name in ("AIRVID_API_KEY", "AIRVID_BASE_URL"):
        world.env.delenv(name)
    return lambda line, **env: asked(world, line, **env)


def asked(world: World, line: str, **env: str) -> list[str]:
    words = line.split(" ")
    before = list(world.calls)
    with world.env.context() as patch:
        settings = {"_AIRVID_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words)}
        for name, value in {**settings, "COMP_CWORD": str(len(words) - 1), **env}.items():
            patch.setenv(name, value)
        done = world.airvid()
    assert (done.code, done.err, world.calls) == (0, "", before)
    return done.lines if done.out.strip() else []


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file, with its size and when it was changed."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


# ---------------------------------------------------------------------- what is offered

ANSWERS: dict[str, list[str]] = {
    "airvid cr": ["create"],
    "airvid --json -q --base-url http://x/v1 mod": ["models"],
    "airvid --sandbox auth log": ["login", "logout"],
    "airvid create --se": ["--seed", "--set"],
    "airvid config --sand": ["--sandbox"],
    "airvid list --status ": list(STATUSES),
    "airvid models --sort n": ["name"],
    "airvid create --mode ": ["text", "image"],
    "airvid config get ": list(SETTINGS),
    "airvid config set sound ": ["true", "false"],
    "airvid config set mode ": list(MODES),
    "airvid config set model fox": ["fox-1", "fox-2"],
    "airvid help e": ["exit-codes", "environment"],
    "airvid help cr": ["create"],
    "airvid sandbox ": ["faults", "reset"],
    "airvid --install-completion ": ["bash", "zsh", "fish", "powershell"],
    "airvid create ": [],
    "airvid create --seed ": [],
    "airvid create -i fo": [],
    "airvid create -m ": ["fox-1", "fox-2"],
    "airvid models fox-1 fox": ["fox-1", "fox-2"],
    "airvid list -m fox-2": ["fox-2"],
    "airvid create -m fox-1 --aspect-ratio ": ["16:9", "9:16", "1:1"],
    "airvid create -m fox-1 -a 16": ["16:9"],
    "airvid create --model fox-2 --quality ": ["720P"],
    "airvid create --quality ": ["480p", "1080p", "720P"],
    "airvid create -m unheard-of --mode t": ["text"],
    "airvid create -m fox-1 -d ": ["4", "5", "6"],
    "airvid status ": ["last", *TASKS],
    "airvid watch ": ["last", TASKS[0]],
    "airvid download ": ["last", TASKS[0], TASKS[1]],
    "airvid watch 0a": [TASKS[2]],
    "airvid delete la": ["last"],
    "airvid --sandbox status ": ["last", PLAYED],
    "airvid status --sandbox ": ["last", PLAYED],
    "airvid --base-url https://Other.test status ": ["last", ELSEWHERE],
}


@pytest.mark.parametrize("line", ANSWERS)
def test_tab_offers_what_fits(complete: Complete, line: str) -> None:
    assert complete(line) == ANSWERS[line]


@pytest.mark.parametrize("words", ["status ", "status f", "create -m ", "create -m f", "create --quality "])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_no_name_that_a_shell_would_act_on_is_offered(complete: Complete, words: str, shell: str) -> None:
    line = f"airvid {words}"
    typed = line.rpartition(" ")[2]
    env = {
        "_AIRVID_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    said = "\n".join(complete(line, **env, _TYPER_COMPLETE_WORD_TO_COMPLETE=typed))
    assert said
    said = said.removeprefix("_arguments '*: :((").removesuffix("))'")
    for row in said.split("\n"):
        value = re.split(r"\t|:::|\":\"", row)[0].strip('"')
        assert re.fullmatch(r"[\w.\\:/@+-]+", value), row
        assert value not in HOSTILE or value.startswith("--")
        # What zsh evaluates, and what moves a terminal's cursor.
        assert not re.search(r"[$`\\\[\]();\x1b\u202e]", row.replace(r"\\:", "")), row


@pytest.mark.parametrize("shell", ["zsh", "fish", "powershell"])
def test_prompts_stand_beside_the_tasks(complete: Complete, shell: str) -> None:
    line = "airvid status "
    env = {
        "_AIRVID_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    lines = complete(line, **env)
    for task_id, prompt in zip(TASKS, PROMPTS, strict=True):
        assert [each for each in lines if task_id in each and prompt in each]


def test_models_have_what_they_can_do_beside_them(complete: Complete) -> None:
    env = {"_AIRVID_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "fox-1\ttext, image · 4-6 s · 0.05 USD/s" in complete("", **env, _TYPER_COMPLETE_ARGS="airvid create -m ")
    assert "5\t0.25 USD" in complete("", **env, _TYPER_COMPLETE_ARGS="airvid create -m fox-1 -d ")


def test_the_program_itself_remembers_and_asks_nobody(world: World) -> None:
    world.airvid("models")
    task = world.airvid("create", "fox in snow").lines[0]
    assert "wan-2.6" in asked(world, "airvid create -m ")
    assert asked(world, "airvid status ") == ["last", task]


def test_of_many_the_newest_and_those_that_go_on_from_what_is_typed(complete: Complete, tmp_path: Path) -> None:
    note(tmp_path / "data" / "airvid" / "journal.db", SERVICE, *(f"{number:08}-aaaa" for number in range(70)))
    found = complete("airvid status ")
    assert found[:2] == ["last", "00000069-aaaa"]
    assert len(found) == 51
    assert complete("airvid status f47a") == [TASKS[0]]


def test_what_another_process_has_just_written_is_seen(complete: Complete, tmp_path: Path) -> None:
    path = tmp_path / "data" / "airvid" / "journal.db"
    holding = Journal(path)
    assert holding.running(SERVICE)
    note(path, SERVICE, "new-task")
    assert path.with_name("journal.db-wal").stat().st_size
    before = tree(tmp_path).keys()
    assert complete("airvid status ")[:2] == ["last", "new-task"]
    assert tree(tmp_path).keys() == before
    holding.close()


def test_a_task_that_was_deleted_is_not_offered(complete: Complete, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "data" / "airvid" / "journal.db")
    journal.note_deleted(SERVICE, TASKS[0])
    journal.close()
    assert complete("airvid status ") == ["last", *TASKS[1:]]


def test_the_config_file_counts_too(world: World) -> None:
    world.env.delenv("AIRVID_BASE_URL")
    world.airvid("config", "set", "base-url", API)
    world.airvid("config", "set", "model", "wan-2.6")
    world.airvid("models")
    named = asked(world, "airvid create -m wan-2.6 --quality ")
    assert named
    assert asked(world, "airvid create --quality ") == named
    assert len(asked(world, "airvid models --quality ")) > len(named)


@pytest.mark.parametrize(("least", "most"), [(1, 1e300), (-5e300, 3), (None, 5), (9, 2), ("x", [])])
def test_lengths_without_sense_do_no_harm(complete: Complete, least: Any, most: Any) -> None:
    caps = {"min_duration_s": least, "max_duration_s": most, "price_per_second_cents": 1e300}
    odd = Model.parse({"id": "odd", "video_caps": caps})
    assert odd
    model_cache.keep(SERVICE, [odd])
    assert len(complete("airvid create -d ")) <= 50
    assert complete("airvid create -m ") == ["odd"]


# ---------------------------------------------------------------------- silence


@pytest.mark.parametrize("words", ["status ", "create -m ", "create --quality ", "create -d ", "help "])
def test_a_tab_writes_nothing(complete: Complete, tmp_path: Path, words: str) -> None:
    before = tree(tmp_path)
    assert complete(f"airvid {words}")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("words", ["status ", "status f", "create -m ", "create --quality ", "config set model "])
@pytest.mark.parametrize("state", ["absent", "empty", "garbage", "folder", "unreadable", "cut", "other json"])
def test_whatever_the_disk_holds_nothing_is_said_and_nothing_made(
    complete: Complete, tmp_path: Path, words: str, state: str
) -> None:
    files = [path for path in tmp_path.rglob("*") if path.name == "journal.db" or path.name.startswith("models-")]
    spoilt = {"empty": b"", "garbage": b"\xff\0\n\t" * 4000, "other json": b'{"service": 5, "models": [{}]}'}
    assert files
    for path in files:
        content = path.read_bytes()
        path.unlink()
        if state == "folder":
            path.mkdir()
        elif state != "absent":
            path.write_bytes(spoilt.get(state, content[:-999] if state == "cut" else content))
            path.chmod(0 if state == "unreadable" else 0o600)
    before = tree(tmp_path)
    complete(f"airvid {words}")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("config", ['model = "fox', "sandbox = 1", "model = 5", "\0"])
def test_a_broken_config_file_is_not_told_on_tab(complete: Complete, tmp_path: Path, config: str) -> None:
    (tmp_path / "config" / "airvid").mkdir(parents=True, exist_ok=True)
    (tmp_path / "config" / "airvid" / "config.toml").write_text(config)
    for words in ("status ", "create -m ", "create --quality ", "create -d "):
        complete(f"airvid {words}")


@pytest.mark.parametrize(
    "line", ["airvid --version ", "airvid --base-url x create -m ", 'airvid create "a', "airvid -x "]
)
@pytest.mark.parametrize("env", [{}, {"AIRVID_SANDBOX": "perhaps"}, {"AIRVID_BASE_URL": "nonsense"}], ids=str)
def test_odd_lines_have_silent_answers(complete: Complete, line: str, env: dict[str, str]) -> None:
    complete(line, **env)


def test_without_a_home_or_an_output_there_is_no_complaint(tmp_path: Path) -> None:
    env = {name: value for name, value in environment(tmp_path).items() if not name.startswith(("XDG_", "HOME"))}
    env |= {"_AIRVID_COMPLETE": "complete_bash", "COMP_WORDS": "airvid status ", "COMP_CWORD": "2"}
    for closed in ("1", "2"):
        command = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *AIRVID]
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        assert done.stderr == b""


# ---------------------------------------------------------------------- the models' file


def test_it_is_the_owner_s_alone_and_not_written_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model_cache.keep(SERVICE, MODELS)
    (path,) = (tmp_path / "airvid").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    before = path.stat().st_ino, path.stat().st_mtime_ns
    model_cache.keep(SERVICE, MODELS)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    model_cache.keep(SERVICE, MODELS[:1])
    assert [each.id for each in model_cache.kept(SERVICE)] == ["fox-1"]


def test_services_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model_cache.keep("http://a.b/v1", [model("theirs")])
    # The same file name, but not the same service.
    assert model_cache.kept("http://a-b/v1") == []


def test_commands_that_read_the_list_keep_it_and_need_it_not(world: World, tmp_path: Path) -> None:
    world.airvid("create", "x", "-m", "wan-2.6", "--dry-run")
    (kept,) = (tmp_path / "cache" / "airvid").iterdir()
    content = kept.read_bytes()
    kept.unlink()
    kept.mkdir()
    assert world.airvid("create", "x", "-m", "wan-2.6").code == 0
    kept.rmdir()
    assert world.airvid("models").code == 0
    assert kept.read_bytes() == content


def test_what_is_kept_is_no_answer_to_a_question_about_money(world: World) -> None:
    world.airvid("models")
    world.answer = lambda request: json_answer(200, {"data": []}) if request.path.endswith("/models") else None
    assert world.airvid("create", "x", "-m", "wan-2.6").code == 2


def test_folders_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of an earlier version must be found, whatever platformdirs becomes."""
    from platformdirs.macos import MacOS
    from platformdirs.unix import Unix

    from airvid import places

    kinds = ("config", "data", "cache")
    monkeypatch.setenv("HOME", str(tmp_path))
    for kind in kinds:
        monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", "relative")
    unix, macos = Unix("airvid", False), MacOS("airvid", False)
    support = f"{tmp_path}/Library/Application Support/airvid"
    usual = [f"{tmp_path}/.config/airvid", f"{tmp_path}/.local/share/airvid", f"{tmp_path}/.cache/airvid"]
    assert [getattr(unix, f"user_{kind}_dir") for kind in kinds] == usual
    assert [getattr(macos, f"user_{kind}_dir") for kind in kinds] == [
        support,
        support,
        f"{tmp_path}/Library/Caches/airvid",
    ]
    if sys.platform == "linux":
        assert [places.folder(kind) for kind in kinds] == usual
    for kind in kinds:
        monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", str(tmp_path / "xdg"))
    assert {places.folder(kind) for kind in kinds} == {str(tmp_path / "xdg" / "airvid")}
