"""Names and connections to the API: one that hangs never holds the program, and nothing was sent."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from program_process import User, catches, free_port, until

QUICK = {"AIRVID_CONNECT_TIMEOUT": "0.5", "AIRVID_READ_TIMEOUT": "0.5"}
# What a resolver does that has no network: it takes its time.
HANGING = """
import socket, time
def hang(*rest, **more):
    open("asked", "w").close()
    time.sleep(100)
socket.getaddrinfo = hang
"""


@contextmanager
def silent() -> Iterator[str]:
    """An address that takes no connection and does not say so: its queue is full."""
    with ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.9", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield "http://{}:{}".format(*listening.getsockname())


def test_a_look_up_that_hangs_is_left_at_ctrl_c(tmp_path: Path) -> None:
    user = User(tmp_path, "http://api.test")
    user.customise(HANGING)
    with user.running("models") as process:
        until((user.here / "asked").exists, "the look-up")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_a_look_up_that_hangs_has_its_time(tmp_path: Path) -> None:
    user = User(tmp_path, "http://api.test", **QUICK)
    user.customise(HANGING)
    _, said = user.first_words("models")
    assert "no connection to api.test: not within the time allowed" in said


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 300 + ".test", "..", "-"])
def test_a_name_that_stands_for_nothing_is_not_sent_to(tmp_path: Path, host: str) -> None:
    _, said = User(tmp_path, f"http://{host}/v1", **QUICK).first_words("models")
    assert host[:60] in said
    assert "bug" not in said


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_create_that_found_no_connection_was_surely_not_sent(tmp_path: Path, is_silent: bool) -> None:
    with silent() as url:
        base = url if is_silent else f"http://127.0.0.1:{free_port()}"
        user = User(tmp_path, base, **QUICK)
        with user.running("create", "fox", "-m", "wan-2.6", "--no-validate") as process:
            until(lambda: catches(process, signal.SIGTERM), "the program's own handlers")
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
    listed = user.airvid("list", "--local", "--json")
    assert [entry["status"] for entry in json.loads(listed.stdout)] in ([], ["refused"])


@pytest.mark.parametrize("limit", [[], ["--timeout", "1"]])
def test_a_proxy_that_is_not_there_has_its_hint_whatever_ends_the_wait(tmp_path: Path, limit: list[str]) -> None:
    user = User(tmp_path, "http://api.test", HTTP_PROXY=f"http://127.0.0.1:{free_port()}", NO_PROXY="")
    done = user.airvid("models", *limit)
    assert (done.returncode, done.stderr.splitlines()[-1][:18]) == (9, "hint: HTTPS_PROXY=")
