"""A film that is interrupted, or that the disk does not take: there is none, and the one before is as it was."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from program_process import User, until
from terminal import AIRVID

pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
resource = pytest.importorskip("resource", reason="Windows has no limit for the size of a file")
from pyav_clips import numbered  # noqa: E402 - needs PyAV


@pytest.fixture
def user(tmp_path: Path) -> User:
    """A user with two clips that are long to join, and a file in the film's place."""
    made = User(tmp_path, "http://127.0.0.1:9")
    numbered(made.here / "a.mp4", size=(640, 360), frames=60, noise=True)
    numbered(made.here / "b.mp4", size=(360, 640), frames=60, noise=True)
    (made.here / "film.mp4").write_bytes(b"the one before")
    return made


JOIN = ("join", "a.mp4", "b.mp4", "-o", "film.mp4", "--force")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_join_that_is_interrupted_leaves_no_film(user: User, how: signal.Signals) -> None:
    before = user.left
    with user.running(*JOIN) as process:
        until(lambda: any(each.stat().st_size > 1000 for each in user.here.glob(".airvid-*")), "bytes of a film")
        process.send_signal(how)
        code = process.wait(30)
    assert code == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[how]
    assert (user.here / "film.mp4").read_bytes() == b"the one before"
    assert {each for each in user.left if not each.startswith(".airvid-")} == before
    assert how == signal.SIGKILL or user.left == before


@pytest.mark.parametrize("clips", [("a.mp4", "a.mp4"), ("a.mp4", "b.mp4")])
def test_a_full_disk_is_told_and_leaves_no_film(user: User, clips: tuple[str, str]) -> None:
    before = user.left
    most = (user.here / "a.mp4").stat().st_size // 2
    done = subprocess.run(
        [*AIRVID, "join", *clips, "-o", "film.mp4", "--force"],
        cwd=user.here,
        env=user.env,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    assert (done.returncode, done.stdout, user.left) == (11, "", before)
    assert "cannot be written" in done.stderr
    assert (user.here / "film.mp4").read_bytes() == b"the one before"
