"""The README's recipes for CI and cron and the composite action, run in the sandbox as their runners run them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from generated_text import README, ROOT
from small_files import tiny_mp4

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
ACTION = yaml.safe_load((ROOT / ".github/actions/airvid/action.yml").read_text("utf-8"))
TEXT = README.read_text("utf-8")
YAML = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
WORKFLOW, USES, GITLAB = YAML
CRON = re.findall(r"```crontab\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with airvid, python and installers that install nothing: what runs is the working copy."""
    folder = tmp_path / "bin"
    folder.mkdir()
    run = f'PYTHONPATH={shlex.quote(str(ROOT))} exec "{sys.executable}"'
    scripts = {
        "airvid": f'{run} -m airvid "$@"',
        "python": f'case "$1$2" in -mpip) echo "pip $*";; *) {run} "$@";; esac',
        "pip": 'echo "pip $*"',
        "pipx": 'echo "pipx $*"',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def run(script: str, here: Path, path: str, shell: str = "bash", **env: str) -> subprocess.CompletedProcess[str]:
    """As from `env -i`: no HOME, no terminal, nothing that is not named here."""
    options = ["--noprofile", "--norc", "-eo", "pipefail"] if shell == "bash" else []
    sandbox = {"AIRVID_SANDBOX": "1", "AIRVID_SANDBOX_DIR": str(here / "sandbox"), "AIRVID_SANDBOX_FAULTS": "slow=0.1"}
    return subprocess.run(
        [f"/bin/{shell}", *options, "-c", script],
        cwd=here,
        env={"PATH": path, **sandbox, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def is_clip(path: Path) -> bool:
    return path.read_bytes()[4:8] == tiny_mp4()[4:8]


def filled(text: str, **values: str) -> str:
    """A text with its `${{ … }}` as the runner fills them in."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: values[found[1]], text)


# ---------------------------------------------------------------------- the README


def test_the_github_workflow_makes_all_clips_and_pays_nothing_twice(here: Path, path: str) -> None:
    job = WORKFLOW["jobs"]["clips"]
    (here / "clips.jsonl").write_text("".join(f'{{"prompt": "fox {n}", "duration": 2}}\n' for n in range(5)))
    shards = job["strategy"]["matrix"]["shard"]
    steps = [step for step in job["steps"] if "run" in step]
    for _ in range(2):
        for shard in shards:
            values = {"matrix.shard": str(shard), "github.workspace": str(here), "secrets.AIRVID_API_KEY": ""}
            github = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(here / "step.md")}
            for step in steps:
                env = {name: filled(value, **values) for name, value in step.get("env", {}).items()}
                done = run(filled(step["run"], **values), here, path, **env, **github)
                assert done.returncode == 0, done.stderr
        assert len([each for each in (here / "clips").glob("*.mp4") if is_clip(each)]) == 5
    assert len(run("airvid list --ids", here, path).stdout.split()) == 5
    assert (here / "step.md").read_text().count("| total |") == len(shards)
    check_cache(job["steps"])


def check_cache(steps: list[dict[str, Any]]) -> None:
    """The same folders are restored before and saved after, also after a failure: what was paid for is in them."""
    restore, save = (step for step in steps if step.get("uses", "").startswith("actions/cache/"))
    assert restore["uses"] == save["uses"].replace("save", "restore")
    assert save["if"].startswith("always()")
    assert {name: restore["with"][name] for name in save["with"]} == save["with"]


def test_the_gitlab_job_makes_a_clip_again_and_again(here: Path, path: str) -> None:
    job = GITLAB["clip"]
    env = {"CI": "true", "GITLAB_CI": "true", "CI_PROJECT_DIR": str(here)}
    env |= {name: value.replace("$CI_PROJECT_DIR", str(here)) for name, value in job["variables"].items()}
    for _ in range(2):
        for line in job["script"]:
            done = run(line, here, path, **env)
            assert done.returncode == 0, done.stderr
    assert is_clip(here / "clips" / "fox.mp4")
    assert (here / "clips.md").read_text().count("| total |") == 2


def test_the_cron_job_makes_a_clip(here: Path, path: str) -> None:
    *settings, line = CRON[0].strip().splitlines()
    assert all(re.fullmatch(r"\w+=\S+", each) for each in settings)
    minute, hour, *days, command = line.split(" ", 5)
    assert (minute.isdigit(), hour.isdigit(), days) == (True, True, ["*"] * 3)
    assert "%" not in command  # cron ends the command there
    done = run(command.replace("/srv/clips", str(here)), here, path, shell="sh")
    assert done.returncode == 0, (here / "airvid.log").read_text()
    (clip,) = here.glob("*-fox-in-snow.mp4")
    assert is_clip(clip)


# ---------------------------------------------------------------------- the action


def run_action(here: Path, path: str, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run the action's shell steps one after the other; the last one's end, and the action's outputs."""
    given = {name: each.get("default", "") for name, each in ACTION["inputs"].items()} | inputs
    values = {f"inputs.{name}": value for name, value in given.items()} | {"runner.temp": str(here)}
    files = {
        name: here / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
    }
    for file in files.values():
        file.touch()
    github = {"CI": "true", "GITHUB_ACTIONS": "true", "RUNNER_TEMP": str(here), "AIRVID_SANDBOX_DIR": ""}
    github["GITHUB_ACTION_PATH"] = str(ROOT / ".github/actions/airvid")
    for step in ACTION["runs"]["steps"]:
        if "run" not in step:
            continue
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]  # what is pasted into a script could be run
        env = {name: filled(value, **values) for name, value in step["env"].items()}
        done = run(step["run"], here, path, **github, **{name: str(file) for name, file in files.items()}, **env)
    outputs, lines = dict[str, str](), files["GITHUB_OUTPUT"].read_text().splitlines()
    while lines:
        name, _, end = lines.pop(0).partition("<<")
        outputs[name] = "\n".join(lines[: lines.index(end)])
        del lines[: lines.index(end) + 1]
    return done, outputs


def test_the_action_makes_a_clip_and_hands_it_on(here: Path, path: str) -> None:
    (step, then) = USES
    command = step["with"]["command"].replace("--duration 8", "--duration 2")
    assert set(step["with"]) <= set(ACTION["inputs"])
    done, outputs = run_action(here, path, command=command, **{"api-key": "sk-air-test-123456789"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "::add-mask::sk-air-test-123456789"
    assert outputs == {"files": "fox.mp4", "output": "fox.mp4"}
    check_cache(ACTION["runs"]["steps"])
    assert (here / "airvid").is_dir()  # what is cached
    assert is_clip(here / "fox.mp4")
    assert "fox in snow" in (here / "github_step_summary").read_text()
    files = {"steps.clip.outputs.files": outputs["files"]}
    assert run(filled(then["run"], **files), here, path).returncode == 0
    assert {name: each["value"] for name, each in ACTION["outputs"].items()} == {
        name: f"${{{{ steps.run.outputs.{name} }}}}" for name in outputs
    }


def test_the_action_fails_as_airvid_does_and_expands_nothing(here: Path, path: str) -> None:
    done, outputs = run_action(here, path, command="create '[[fail: no]] $(touch spoilt) `touch spoilt` *' -d 2 --wait")
    assert done.returncode == 5, done.stderr
    assert outputs == {"files": "", "output": ""}
    assert not (here / "spoilt").exists()
    assert "::error title=airvid::" in done.stderr
    evil = "files<<x\nspoilt"
    done, outputs = run_action(here, path, command=shlex.join(["create", evil, "-d", "2", "-o", "{slug}.mp4"]))
    assert done.returncode == 0, done.stderr
    assert outputs["files"].endswith(".mp4")


# ---------------------------------------------------------------------- our own workflows


def workflow(name: str) -> Any:
    return yaml.safe_load((ROOT / ".github/workflows" / name).read_text("utf-8"))


def test_every_supported_python_is_tested_on_every_system() -> None:
    matrix = workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert {each.split("-")[0] for each in matrix["os"]} == {"ubuntu", "macos", "windows"}
    supported = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    assert matrix["python"] == [*supported, "3.x"]


@pytest.mark.parametrize(("package", "installed"), [("", str(ROOT)), ("airvid==9", "airvid==9")])
def test_the_action_installs_the_airvid_that_it_comes_with(here: Path, path: str, package: str, installed: str) -> None:
    (step,) = (each for each in ACTION["runs"]["steps"] if "PACKAGE" in each.get("env", {}))
    done = run(step["run"], here, path, PACKAGE=package, GITHUB_ACTION_PATH=str(ROOT / ".github/actions/airvid"))
    what = done.stdout.split()[-1].removesuffix("[media]")
    assert installed == (what if package else os.path.normpath(what))


def test_what_our_workflows_use_cannot_change_under_a_name() -> None:
    files = [*(ROOT / ".github/workflows").iterdir(), ROOT / ".github/actions/airvid/action.yml"]
    used = [line for file in files for line in file.read_text("utf-8").splitlines() if "uses:" in line]
    assert used
    assert not [line for line in used if not re.fullmatch(r" +(- )?uses: [\w./-]+@[0-9a-f]{40} # v[\d.]+", line)]


def test_only_the_job_that_publishes_may_name_itself_to_pypi_and_there_is_no_token() -> None:
    release = workflow("release.yml")
    assert release["permissions"] == {"contents": "read"}
    assert [name for name, job in release["jobs"].items() if "id-token" in job.get("permissions", {})] == ["publish"]
    assert not [step for step in release["jobs"]["publish"]["steps"] if "run" in step]
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text("utf-8")
