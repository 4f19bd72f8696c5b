"""What `airvid __complete` says, from the cache and the journal alone (contract 4.2 and §12)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from completion_desk import MODELS, NO_IDS, SERVICE, TASKS, fill, model, note
from conftest import API, World, json_answer
from terminal import environment

from airvid import completion, places
from airvid.config import normal_base_url
from airvid.journal import Journal
from airvid.places import DEFAULT_BASE_URL
from airvid.tasks import Model

HEAVY = ["typer", "httpx", "rich", "asyncio", "dataclasses", "argparse", "platformdirs", "sqlite3", "json", "re"]
HEAVY += [
    "pathlib",
    "typing",
    "urllib",
    "tomllib",
    "datetime",
    "subprocess",
    "contextlib",
    "airvid.cli",
    "airvid.errors",
]


Complete = Callable[..., list[str]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a cache and journals."""
    home = tmp_path_factory.mktemp("filled")
    fill(environment(home))
    return home


@pytest.fixture
def env(tmp_path: Path, filled: Path) -> dict[str, str]:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return environment(tmp_path)


@pytest.fixture
def complete(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Complete:
    """Ask as this user's shell would; it is silent on standard error and succeeds, whatever there is."""
    for name in list(os.environ):
        if name.startswith(("AIRVID_", "AIRFORCE_", "XDG_")):
            monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    def ask(*arguments: str) -> list[str]:
        code = completion.main(list(arguments))
        out, err = capsysbinary.readouterr()
        assert (code, err) == (0, b"")
        return out.decode().splitlines()

    return ask


def values(lines: Sequence[str]) -> list[str]:
    return [line.partition("\t")[0] for line in lines]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file, with its size and when it was changed."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


# ---------------------------------------------------------------------- by cause


@pytest.mark.parametrize("words", ["tasks=", "tasks=f47 airvid -q watch", "models=", "durations="])
def test_a_tab_loads_nothing_heavy_and_writes_nothing(env: dict[str, str], tmp_path: Path, words: str) -> None:
    before = tree(tmp_path)
    script = (
        "import sys; from airvid.door import main; main(['__complete', *sys.argv[1:]]);"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    # Isolated from the environment's start-up hooks, which load what they like.
    ours = f"import sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r}); "
    command = [sys.executable, "-I", "-c", ours + script, *words.split()]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert done.stdout
    assert tree(tmp_path) == before


def test_the_program_itself_answers_and_asks_nobody(world: World) -> None:
    world.airvid("models")
    task = world.airvid("create", "fox in snow").lines[0]
    calls = list(world.calls)
    models = world.airvid("__complete", "models=", "airvid", "create", "-m")
    tasks = world.airvid("__complete", "tasks=", "airvid", "status")
    assert "wan-2.6" in values(models.lines)
    assert tasks.lines == ["last\tthe newest", f"{task}\tqueued: fox in snow"]
    assert (models.code, models.err, tasks.code, tasks.err) == (0, "", 0, "")
    assert world.calls == calls


# ---------------------------------------------------------------------- silence


@pytest.mark.parametrize(
    "arguments",
    [(), ("",), ("tasks",), ("models",), ("nonsense=", "x"), ("modes=\udcff", "-m"), ("tasks=\udcff",), ("tasks=%",)],
)
def test_odd_questions_have_silent_answers(complete: Complete, arguments: Sequence[str]) -> None:
    complete(*arguments)


@pytest.mark.parametrize("kind", ["tasks=", "tasks=f", "models=", "qualities="])
@pytest.mark.parametrize("state", ["absent", "empty", "garbage", "folder", "unreadable", "cut"])
def test_whatever_the_disk_holds_nothing_is_said_and_nothing_made(
    complete: Complete, tmp_path: Path, kind: str, state: str
) -> None:
    files = [path for path in tmp_path.rglob("*") if path.name == "journal.db" or path.name.startswith("models-")]
    for path in files:
        content = path.read_bytes()
        path.unlink()
        if state == "folder":
            path.mkdir()
        elif state != "absent":
            path.write_bytes({"empty": b"", "garbage": b"\xff\0\n\t" * 4000, "cut": content[:-999]}.get(state, content))
            path.chmod(0 if state == "unreadable" else 0o600)
    before = tree(tmp_path)
    complete(kind, "airvid", "status")
    assert tree(tmp_path) == before


def test_without_a_home_or_an_output_there_is_no_complaint(tmp_path: Path) -> None:
    env = {name: value for name, value in environment(tmp_path).items() if not name.startswith(("XDG_", "HOME"))}
    script = "from airvid.completion import main; main(['models='])"
    for closed in ("1", "2"):
        command = ["sh", "-c", f'exec "{sys.executable}" -c "$0" {closed}>&-', script]
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


# ---------------------------------------------------------------------- tasks


def test_the_newest_come_first_with_their_state_and_prompt(complete: Complete) -> None:
    lines = complete("tasks=", "airvid", "status")
    assert values(lines) == ["last", *TASKS]
    assert lines[1] == f"{TASKS[0]}\tprocessing: fox in snow"


@pytest.mark.parametrize("name", NO_IDS)
def test_what_is_no_id_is_not_offered(complete: Complete, name: str) -> None:
    for prefix in ("", name[:1], name[:4], name):
        assert not {*values(complete(f"tasks={prefix}", "airvid", "status"))} - {"last", *TASKS}


def test_a_prompt_is_one_short_harmless_line(complete: Complete) -> None:
    for line in complete("tasks=", "airvid", "status"):
        _, description = line.split("\t")
        assert description.isprintable()
        assert len(description) <= 38
    # Wide characters take two columns.
    assert line == f"{TASKS[3]}\tqueued: 狐が雪の中を走る 🦊 狐が雪の…"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("status", TASKS),
        ("delete", TASKS),
        ("watch", [TASKS[0], TASKS[3]]),
        ("download", [TASKS[0], TASKS[1], TASKS[3]]),
    ],
)
def test_a_command_is_offered_what_it_can_use(complete: Complete, command: str, expected: list[str]) -> None:
    assert values(complete("tasks=", "airvid", command)) == ["last", *expected]


def test_where_there_is_nothing_of_use_all_are_offered(complete: Complete) -> None:
    assert values(complete("tasks=0a", "airvid", "watch")) == [TASKS[2]]


def test_of_many_the_newest_and_those_that_go_on_from_what_is_typed(env: dict[str, str], complete: Complete) -> None:
    path = Path(env["XDG_DATA_HOME"]) / "airvid" / "journal.db"
    note(path, SERVICE, *(f"{number:08}-aaaa" for number in range(70)))
    found = values(complete("tasks=", "airvid", "status"))
    assert found[:2] == ["last", "00000069-aaaa"]
    assert len(found) == 51
    assert values(complete("tasks=f47a", "airvid", "status")) == [TASKS[0]]
    assert values(complete("tasks=la", "airvid", "status")) == ["last"]


def test_what_another_process_has_just_written_is_seen(env: dict[str, str], complete: Complete, tmp_path: Path) -> None:
    path = Path(env["XDG_DATA_HOME"]) / "airvid" / "journal.db"
    holding = Journal(path, print)
    assert holding.running(SERVICE)
    note(path, SERVICE, "new-task")
    assert path.with_name("journal.db-wal").stat().st_size
    before = tree(tmp_path).keys()
    assert values(complete("tasks=", "airvid", "status"))[:2] == ["last", "new-task"]
    assert tree(tmp_path).keys() == before
    holding.close()


def test_a_task_that_the_server_forgot_is_not_offered(env: dict[str, str], complete: Complete) -> None:
    journal = Journal(Path(env["XDG_DATA_HOME"]) / "airvid" / "journal.db", print)
    journal.note_deleted(SERVICE, TASKS[0])
    journal.close()
    assert values(complete("tasks=", "airvid", "status")) == ["last", *TASKS[1:]]


# ---------------------------------------------------------------------- which service


@pytest.mark.parametrize(
    "given",
    [
        "https://api.test",
        "https://api.test/",
        " HTTPS://API.Test:8443/v1/ ",
        "http://127.0.0.1:9999/a/V1//",
        "http://[::1]:80/x/v1",
        DEFAULT_BASE_URL,
    ],
)
def test_a_base_url_is_read_as_everywhere(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRVID_BASE_URL", given)
    assert completion._service([]) == normal_base_url(given)


@pytest.mark.parametrize(
    ("more", "words", "service", "journal"),
    [
        ({}, [], "https://api.airforce/v1", "journal.db"),
        ({"AIRFORCE_BASE_URL": "http://b"}, [], "http://b/v1", "journal.db"),
        ({"AIRFORCE_BASE_URL": "http://b"}, ["--base-url", "http://c"], "http://c/v1", "journal.db"),
        ({}, ["--base-url=http://c/v1", "status"], "http://c/v1", "journal.db"),
        ({}, ["--sandbox"], "sandbox", "sandbox/journal.db"),
        ({"AIRVID_SANDBOX": "1"}, [], "sandbox", "sandbox/journal.db"),
        ({"AIRVID_SANDBOX": "no"}, [], "https://api.airforce/v1", "journal.db"),
        # What `airvid sandbox` says to export.
        ({"AIRVID_API_KEY": "sk-air-sandbox", "AIRVID_BASE_URL": "http://x"}, [], "http://x/v1", "sandbox/journal.db"),
    ],
)
def test_it_is_the_service_that_the_line_and_the_environment_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], words: list[str], service: str, journal: str
) -> None:
    for name in ("AIRVID_API_KEY", "AIRFORCE_API_KEY", "AIRVID_BASE_URL", "AIRFORCE_BASE_URL", "AIRVID_SANDBOX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**more, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    assert completion._service(words) == service
    assert completion._journal(words) == str(tmp_path / "airvid" / journal)


def test_the_config_file_counts_too(world: World) -> None:
    world.env.delenv("AIRVID_BASE_URL")
    world.airvid("config", "set", "base-url", API)
    world.airvid("config", "set", "model", "wan-2.6")
    world.airvid("models")
    named = world.airvid("__complete", "qualities=", "airvid", "create", "-m", "wan-2.6").lines
    assert named
    assert world.airvid("__complete", "qualities=", "airvid", "create", "--quality").lines == named
    assert len(world.airvid("__complete", "qualities=", "airvid", "models", "--quality").lines) > len(named)


# ---------------------------------------------------------------------- the models' file


def test_what_a_model_takes_is_offered_with_what_it_costs(complete: Complete) -> None:
    assert complete("durations=", "airvid", "create", "-m", "fox-1", "-d") == ["4\t$0.20", "5\t$0.25", "6\t$0.30"]
    assert "fox-1\ttext, image · 4-6 s · $0.05/s" in complete("models=")
    assert complete("modes=", "airvid", "create", "--model=FOX-1") == ["text\t", "image\t"]


@pytest.mark.parametrize(("least", "most"), [(1, 1e300), (-5e300, 3), (None, 5), (9, 2), ("x", [])])
def test_lengths_without_sense_do_no_harm(complete: Complete, least: Any, most: Any) -> None:
    caps = {"min_duration_s": least, "max_duration_s": most, "price_per_second_cents": 1e300}
    odd = Model.parse({"id": "odd", "video_caps": caps})
    assert odd
    completion.keep_models(SERVICE, [odd])
    assert len(complete("durations=")) <= 50
    assert values(complete("models=")) == ["odd"]


def test_it_is_the_owner_s_alone_and_not_written_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    completion.keep_models(SERVICE, MODELS)
    (path,) = (tmp_path / "airvid").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    before = path.stat().st_ino, path.stat().st_mtime_ns
    completion.keep_models(SERVICE, MODELS)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    completion.keep_models(SERVICE, MODELS[:1])
    assert [each.id for each in completion.kept_models(SERVICE)] == ["fox-1"]


def test_services_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    completion.keep_models("http://a.b/v1", [model("theirs")])
    # The same file name, but not the same service.
    assert completion.kept_models("http://a-b/v1") == []


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


# ---------------------------------------------------------------------- where it is


@pytest.mark.parametrize("kind", ["config", "data", "cache"])
def test_folders_are_where_platformdirs_says(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs.macos import MacOS
    from platformdirs.unix import Unix

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        monkeypatch.delenv(name)
    for system, dirs in (("linux", Unix("airvid", False)), ("darwin", MacOS("airvid", False))):
        monkeypatch.setattr(sys, "platform", system)
        assert places.folder(kind) == getattr(dirs, f"user_{kind}_dir")
