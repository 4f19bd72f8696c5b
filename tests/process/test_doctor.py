"""airvid doctor: each check once fine and once with a finding, its exit code, and a bundle without secrets."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from program import KEY
from program_process import User
from terminal import AIRVID

from airvid.commands.doctor import CHECKS
from airvid.sandbox.emulator import Emulator, Fault
from airvid.sandbox.messages import refusal
from airvid.sandbox.server import Server
from airvid.system import CLOCK_COMMAND

PROMPT = "a secret fox in snow"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Emulator(render=lambda _: b"")) as running:
        yield running
    running.emulator.close()


@pytest.fixture
def user(tmp_path: Path, server: Server) -> User:
    return User(tmp_path, server.api_url)


def found(user: User, *arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
    command = [*AIRVID, "doctor", "--json", *arguments]  # a process of its own, for it reads the locale at its start
    result = subprocess.run(
        command, cwd=user.here, env=user.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in result.stderr
    return result.returncode, {each["check"]: each for each in map(json.loads, result.stdout.splitlines())}


def config(user: User, text: str, mode: int = 0o600) -> None:
    path = user.here.parent / "config" / "airvid" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(mode)


def journal(user: User) -> Path:
    return user.here.parent / "data" / "airvid" / "journal.db"


def change_journal(user: User, statement: str) -> None:
    assert user.airvid("create", PROMPT, "-m", "wan-2.6").returncode == 0
    with closing(sqlite3.connect(journal(user), isolation_level=None)) as database:
        database.execute(statement)


def lost(user: User) -> None:
    change_journal(user, "UPDATE clip SET fate = 'unknown', task_id = NULL")


def running(user: User) -> None:
    change_journal(user, "UPDATE clip SET status = 'processing'")


def no_journal(user: User) -> None:
    journal(user).mkdir(parents=True)


def old_package(user: User) -> None:
    user.customise(
        "from importlib import metadata; real = metadata.version\n"
        "metadata.version = lambda name: '1.0' if name == 'rich' else real(name)"
    )


def no_extra(user: User, more: str = "") -> None:
    user.customise(
        "from importlib import metadata; real = metadata.version\n"
        "def version(name):\n"
        "    if name == 'av': raise metadata.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        f"metadata.version = version\n{more}"
    )


def of_pipx(user: User) -> None:
    folder = user.here.parent / "airvid-2"
    folder.mkdir()
    (folder / "pipx_metadata.json").touch()
    no_extra(user, f"import sys; sys.prefix = {str(folder)!r}")


def of_uv(user: User) -> None:
    find = (
        "importlib.util.find_spec = lambda name, find=importlib.util.find_spec: None if name == 'pip' else find(name)"
    )
    no_extra(user, f"import importlib.util; {find}")


def no_key_file(user: User) -> None:
    del user.env["AIRVID_API_KEY"]
    user.env["AIRVID_API_KEY_FILE"] = "/nowhere"


def wrong_setting(user: User) -> None:
    user.env["AIRVID_COUNT"] = "x"


def full_disk(user: User) -> None:
    user.customise("import shutil; shutil.disk_usage = lambda path: shutil._ntuple_diskusage(9, 8, 1)")


def wrong_clock(user: User) -> None:
    user.customise("import time; real = time.time; time.time = lambda: real() + 7200")


def wrong_key(user: User) -> None:
    user.env["AIRVID_API_KEY"] = "sk-air-wrong-one"


def no_server(user: User) -> None:
    user.env["AIRVID_BASE_URL"] = "http://127.0.0.1:1/v1"


def no_key(user: User) -> None:
    del user.env["AIRVID_API_KEY"]


def no_roots(user: User) -> None:
    user.env |= {"AIRVID_BASE_URL": "https://127.0.0.1:1/v1", "SSL_CERT_FILE": "/nowhere.pem"}


def no_proxy(user: User) -> None:
    user.env |= {"http_proxy": "http://name:hushhush@x:99999", "AIRVID_BASE_URL": "http://a.test/v1"}


def ascii_locale(user: User) -> None:
    user.env |= {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


WRONG: list[tuple[str, Callable[[User], None], str, int, str]] = [
    ("versions", old_package, "wrong", 1, f"{sys.executable} -m pip install --upgrade rich"),
    ("config", lambda user: config(user, "count = 'x'"), "wrong", 2, "airvid config unset count"),
    ("config", wrong_setting, "wrong", 2, "unset AIRVID_COUNT"),
    ("config", lambda user: config(user, "model = "), "wrong", 11, "airvid config path"),
    ("config", lambda user: config(user, f"api-key = '{KEY}'", 0o644), "wrong", 11, "chmod 600"),
    ("config", lambda user: config(user, "colour = 1"), "note", 0, "airvid help"),
    ("key", no_key, "wrong", 3, "airvid auth login"),
    ("key", no_key_file, "wrong", 11, "unset AIRVID_API_KEY_FILE"),
    ("tls and proxy", no_roots, "wrong", 9, "set SSL_CERT_FILE"),
    ("tls and proxy", no_proxy, "wrong", 9, "HTTPS_PROXY"),
    ("api", wrong_key, "wrong", 3, "airvid auth login"),
    ("api", no_server, "wrong", 9, "curl -v http://127.0.0.1:1/v1/models"),
    ("clock", wrong_clock, "wrong", 1, CLOCK_COMMAND),
    ("clock", no_server, "note", 0, ""),
    ("journal", no_journal, "wrong", 11, "airvid list"),
    ("journal", lost, "note", 0, "airvid list --local --status unknown"),
    ("running tasks", running, "note", 0, "airvid watch"),
    ("disk", full_disk, "wrong", 11, "free some space"),
    ("terminal", ascii_locale, "note", 0, "LC_ALL=C.UTF-8"),
    ("extras", no_extra, "note", 0, f"{sys.executable} -m pip install 'airvid["),
    ("extras", of_pipx, "note", 0, "pipx runpip airvid-2 install 'airvid["),
    ("extras", of_uv, "note", 0, f"uv pip install --python {sys.executable} 'airvid["),
    ("completion", lambda _: None, "note", 0, "airvid --install-completion"),
]


def test_every_check_is_tried() -> None:
    assert {check for check, *_ in WRONG} == set(CHECKS)


def test_all_is_fine(user: User) -> None:
    script = user.here.parent / ".zfunc" / "_airvid"
    script.parent.mkdir()
    script.touch()
    code, checks = found(user)
    assert code == 0
    states = {check: each["state"] for check, each in checks.items() if check != "extras"}
    assert states == dict.fromkeys(CHECKS.keys() - {"extras"}, "ok")
    assert KEY not in json.dumps(checks)


def test_the_sandbox_has_no_key_that_it_could_accept(user: User) -> None:
    assert user.airvid("--sandbox", "create", PROMPT).returncode == 0
    _, checks = found(user, "--sandbox")
    assert checks["api"]["message"] == "sandbox answers; 1 task"


@pytest.mark.parametrize(
    ("check", "spoil", "state", "code", "hint"), WRONG, ids=lambda each: getattr(each, "__name__", None)
)
def test_a_check_finds_what_is_wrong(
    user: User, check: str, spoil: Callable[[User], None], state: str, code: int, hint: str
) -> None:
    spoil(user)
    exit_code, checks = found(user)
    assert checks[check]["state"] == state, checks
    assert checks[check]["exit_code"] == code
    assert hint in str(checks[check]["hint"])
    first = next((each["exit_code"] for each in checks.values() if each["state"] == "wrong"), 0)
    assert exit_code == first
    assert set(checks) == set(CHECKS)
    assert "hushhush" not in json.dumps(checks)


def test_settings_are_told_with_their_sources_and_one_fault_once(user: User) -> None:
    config(user, "model = 'wan-2.6'\n")
    user.env["AIRVID_JOBS"] = "2"
    _, checks = found(user, "--offline")
    assert re.search(r"config\.toml: model; .*AIRVID_JOBS: jobs$", str(checks["config"]["message"]))
    assert KEY[-4:] in str(checks["key"]["message"])
    user.env["AIRVID_BASE_URL"] = "http://joe:hushhush@127.0.0.1:1/v1"
    _, checks = found(user, "--offline", "--bundle", "b.zip")
    assert [name for name, each in checks.items() if each["state"] == "wrong"] == ["config"]
    assert checks["journal"]["message"] == "not checked: config is wrong"
    assert b"hushhush" not in zipfile.ZipFile(user.here / "b.zip").read("report.json")


def test_a_silent_server_is_waited_for_no_longer_than_is_said(user: User, server: Server) -> None:
    server.emulator.faults.append(Fault("GET /video/tasks", ending="silence", times=9))
    code, checks = found(user, "--timeout", "1")
    assert (code, checks["api"]["state"], checks["completion"]["state"]) == (9, "wrong", "note")


def test_offline_asks_nothing_and_a_line_has_four_fields(user: User, server: Server) -> None:
    result = user.airvid("doctor", "--offline")
    assert result.returncode == 0, result.stderr
    assert {line.count("\t") for line in result.stdout.splitlines()} == {3}
    assert server.emulator.requests == []


def test_a_bundle_can_be_shown_to_all(user: User, server: Server) -> None:
    config(user, f"api-key = '{KEY}x'\noutput = '~/clips/{{n}}.mp4'\n")
    user.env["http_proxy"], user.env["no_proxy"] = "http://name:hushhush@proxy.test:1", "127.0.0.1"
    assert user.airvid("create", PROMPT, "-m", "wan-2.6", "-o", "x.mp4", "--timeout", "1").returncode == 10
    refused = refusal(401, f"{KEY} is not sk-air-another-key-0123", "wrong")
    server.emulator.faults.append(Fault("GET /video/tasks", refused, before=True))
    assert user.airvid("doctor", "--bundle", "b.zip").returncode == 3
    path = user.here / "b.zip"
    assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(parts) == {"report.json", "journal.json", "settings.json", "packages.json"}
    whole = "".join(parts.values())
    for secret in (KEY, "another-key", "fox", "hushhush", str(user.here.parent)):
        assert secret not in whole
    assert sum(json.loads(parts["journal.json"]).values()) >= 1
    assert '"output"' in parts["settings.json"]


def test_a_broken_journal_is_reported_in_the_bundle(user: User) -> None:
    journal(user).parent.mkdir(parents=True)
    journal(user).write_text("no database" * 100)
    assert user.airvid("doctor", "--offline", "--bundle", "b.zip").returncode == 11
    with zipfile.ZipFile(user.here / "b.zip") as archive:
        assert b"the journal was broken" in archive.read("report.json")


@pytest.mark.parametrize(("name", "code"), [("b.txt", 2), ("there.zip", 11), ("no/folder.zip", 11)])
def test_a_bundle_goes_nowhere_else(user: User, name: str, code: int) -> None:
    (user.here / "there.zip").write_text("mine")
    result = user.airvid("doctor", "--offline", "--bundle", name)
    assert result.returncode == code, result.stderr
    assert (user.here / "there.zip").read_text() == "mine"
    assert os.listdir(user.here) == ["there.zip"]
