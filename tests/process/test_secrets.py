"""What the whole program says with `--debug`, and hands to other programs: no secret, whatever the server sends."""

from __future__ import annotations

import json
import re

import pytest
from program import KEY
from program_process import User, free_port, until

from airvid.sandbox.emulator import Fault, Response
from airvid.sandbox.server import Server

TASK = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
WORD = "geheim"
LINKS = [
    f"HTTP://a.test/x?sig={WORD}",
    f"http://a.test/my fox's.mp4?sig={WORD}",
    f"http://a.test/x;sig={WORD}",
    f"http://a.test/x#{WORD}",
    f"http://anna:{WORD}@a.test/x",
]


def answers(server: Server, response: Response) -> None:
    server.emulator.faults.append(Fault("GET", response, before=True, times=99))


@pytest.mark.parametrize("link", LINKS)
def test_debug_shows_no_signature(user: User, server: Server, link: str) -> None:
    headers = {
        "Set-Cookie": f"sid={WORD}",
        "Refresh": f"5; url={link}",
        "Content-Location": link,
        "Link": f"<{link}>; rel=next",
    }
    record = {"task_id": TASK, "status": "failed", "result_url": link, "error": f"see {link} now"}
    answers(server, Response(200, {**headers, "Content-Type": "application/json"}, json.dumps(record).encode()))
    done = user.airvid("--debug", "status", TASK)
    assert done.returncode == 0, done.stderr
    traced = [line for line in done.stderr.splitlines() if re.match(r"\[\d+\] [<>] ", line)]
    assert any("Content-Location" in line or "content-location" in line for line in traced)
    assert WORD not in "".join(traced)


@pytest.mark.parametrize("link", LINKS)
def test_a_redirect_tells_no_signature(user: User, server: Server, link: str) -> None:
    answers(server, Response(302, {"Location": link}))
    for options in ([], ["--debug"], ["--json"]):
        done = user.airvid(*options, "status", TASK)
        assert done.returncode != 0
        assert WORD not in done.stdout + done.stderr


@pytest.mark.parametrize("password", [WORD, f"{WORD}/x", f"12/{WORD}", f"x@{WORD}"])
def test_an_error_tells_no_password_of_a_proxy(user: User, password: str) -> None:
    proxy = f"http://anna:{password}@127.0.0.1:{free_port()}"
    for options in ([], ["--debug"]):
        said = user.first_words(*options, "status", TASK, HTTP_PROXY=proxy, NO_PROXY="")[1]
        assert "proxy" in said
        assert WORD not in said


def test_a_body_without_end_holds_nothing_up(user: User, server: Server) -> None:
    answers(server, Response(200, {}, b"http://" * 1_400_000))
    assert user.first_words("--debug", "status", TASK)[0] == -9


def test_the_player_does_not_get_the_key(user: User) -> None:
    opener, told = user.here.parent / "xdg-open", user.here.parent / "told"
    opener.write_text(f'#!/bin/sh\nenv > "{told}.new"\nmv "{told}.new" "{told}"\n')
    opener.chmod(0o755)
    path = f"{opener.parent}:{user.env['PATH']}"
    done = user.airvid(
        *["create", "fox", "-m", "wan-2.6", "-o", "fox.mp4", "--open"], DISPLAY=":0", PATH=path, AIRFORCE_API_KEY=KEY
    )
    assert done.returncode == 0, done.stderr
    until(told.exists, "the player")
    assert "DISPLAY=:0" in told.read_text()
    assert KEY not in told.read_text()
