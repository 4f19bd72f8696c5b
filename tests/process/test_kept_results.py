"""What a storage host sends in the place of a plain MP4: a paid clip is saved, or kept, or its address is told."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from program_process import CLIP, LinkedEmulator, User, make_tasks
from proxies import answering

from airvid.sandbox.server import Server

WEBM = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm" + bytes(3000)
MATROSKA = b"\x1aE\xdf\xa3\xa3B\x82\x88matroska" + bytes(3000)
GIF = b"GIF89a" + bytes(3000)
TS = (b"G" + bytes(187)) * 20
MOV = (16).to_bytes(4, "big") + b"wide" + bytes(3000)


@contextmanager
def storing(server: Server, body: bytes, *headers: str) -> Iterator[str]:
    """A storage host with this clip; the link as the API tells it."""
    length = f"Content-Length: {len(body)}"
    head = "\r\n".join(["HTTP/1.1 200 OK", "Connection: close", length, *headers, "", ""])

    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(head.encode() + body)

    with answering(answer) as url:
        assert isinstance(server.emulator, LinkedEmulator)
        server.emulator.links = [f"{url}/clip?signature=abc"]
        yield server.emulator.links[0]


@pytest.mark.parametrize("encoding", ["aws-chunked", "utf-8", "none", "br", "gzip"])
def test_a_name_of_an_encoding_that_was_not_used_costs_no_clip(server: Server, user: User, encoding: str) -> None:
    with storing(server, CLIP, f"Content-Encoding: {encoding}"):
        done = user.airvid("download", *make_tasks(server), "-o", "fox.mp4")
    assert (done.returncode, user.left) == (0, {"fox.mp4"}), done.stderr
    assert user.target.read_bytes() == CLIP


@pytest.mark.parametrize("tail", [bytes(4), b"\n", b"TAG" + b"x" * 125], ids=["zeros", "newline", "tag"])
def test_bytes_behind_the_last_box_cost_no_clip(server: Server, user: User, tail: bytes) -> None:
    with storing(server, CLIP + tail):
        done = user.airvid("download", *make_tasks(server), "-o", "fox.mp4")
    assert (done.returncode, user.target.read_bytes()) == (0, CLIP + tail), done.stderr


@pytest.mark.parametrize(
    ("body", "name"),
    [(WEBM, "webm"), (MATROSKA, "mkv"), (GIF, "gif"), (TS, "ts"), (MOV, "mov")],
    ids=["webm", "mkv", "gif", "ts", "mov"],
)
def test_video_of_another_kind_is_kept_under_its_right_suffix(
    server: Server, user: User, body: bytes, name: str
) -> None:
    with storing(server, body):
        done = user.airvid("download", *make_tasks(server), "-o", "fox.mp4")
        assert (done.returncode, user.left) == (11, {f"fox.{name}"}), done.stderr
        assert (user.here / f"fox.{name}").read_bytes() == body
        assert (name.upper() in done.stderr, f"fox.{name}" in done.stderr) == (True, True)
        again = user.airvid("download", "--all")
    assert "nothing to download" in again.stderr


@pytest.mark.parametrize("body", [CLIP[:-20], CLIP.replace(b"moov", b"free")], ids=["cut", "no moov"])
def test_what_is_paid_for_and_not_whole_is_kept(server: Server, user: User, body: bytes) -> None:
    with storing(server, body) as link:
        done = user.airvid("download", *make_tasks(server), "-o", "fox.mp4")
    assert (done.returncode, user.left, link in done.stderr) == (11, {"fox.mp4.damaged"}, True), done.stderr
    assert (user.here / "fox.mp4.damaged").read_bytes() == body


@pytest.mark.parametrize("body", [b'{"error":"gone"}', b"<html>Gone</html>", b"Gateway time-out"])
def test_an_error_page_is_not_kept_but_the_address_is_told(server: Server, user: User, body: bytes) -> None:
    with storing(server, body) as link:
        done = user.airvid("download", *make_tasks(server), "-o", "fox.mp4")
    assert (done.returncode, user.left, link in done.stderr) == (11, set(), True), done.stderr


def test_what_cannot_go_to_standard_output_is_not_said_to_be_saved(server: Server, user: User) -> None:
    with storing(server, WEBM) as link:
        done = user.airvid("download", *make_tasks(server), "-o", "-")
    assert (done.returncode, done.stdout, link in done.stderr) == (11, "", True)
    assert "saved" not in done.stderr


def test_a_create_that_could_not_save_hints_at_the_download_and_not_at_itself(server: Server, user: User) -> None:
    with storing(server, b"no video"):
        done = user.airvid("create", "fox", "-m", "wan-2.6", "-o", "fox.mp4")
    assert (done.returncode, "hint: airvid download " in done.stderr) == (11, True), done.stderr


@pytest.mark.parametrize(
    "written", [" {}\n", "//{host}", "/clip?signature=abc"], ids=["blanks", "no scheme", "no host"]
)
def test_a_link_is_read_as_a_browser_would(server: Server, user: User, written: str) -> None:
    with storing(server, CLIP) as link:
        server.emulator.links = [written.format(link, host=link.partition("//")[2])]  # type: ignore[attr-defined]
        done = user.airvid("download", *make_tasks(server), "-o", "fox.mp4")
    if written.startswith("/clip"):
        assert "GET /clip" in " ".join(request.call for _, request in server.emulator.requests)
    else:
        assert (done.returncode, user.left) == (0, {"fox.mp4"}), done.stderr


def test_a_header_line_that_is_no_http_is_answered_with_the_curl_command(server: Server, user: User) -> None:
    with storing(server, CLIP, "X Cache Info: hit"):
        done = user.airvid("download", *make_tasks(server), "-o", "fox.mp4")
        assert (done.returncode, user.left) == (9, set()), done.stderr
        assert "X Cache Info: hit" in done.stderr
        hint = shlex.split(done.stderr.partition("hint: ")[2].partition("\n")[0])
        assert hint[0] == "curl"
        if shutil.which("curl"):
            subprocess.run(hint, cwd=user.here, capture_output=True, check=True)
            assert user.target.read_bytes() == CLIP
