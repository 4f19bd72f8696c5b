"""The emulator on real sockets: keep-alive, streams in time, every way a connection can end."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import BadStatusLine, HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airvid.sandbox.emulator import Emulator, Fault, Pace, Response
from airvid.sandbox.faults import parse_fault
from airvid.sandbox.server import Server

KEY = {"Authorization": "Bearer sk-air-one"}
CLIP = bytes(range(250)) * 400
CREATE = json.dumps({"model": "wan-2.6", "prompt": "a fox"}).encode()


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(pace=Pace(0, 0), render=lambda _: CLIP)


@pytest.fixture
def wire(server: Server) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection(urlsplit(server.api_url).netloc, timeout=5)) as wire:
        yield wire


def call(wire: HTTPConnection, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    wire.request(method, path, body, {**KEY, **named})
    return wire.getresponse()


def create(wire: HTTPConnection) -> str:
    task_id: str = json.loads(call(wire, "POST", "/v1/video/generations", CREATE).read())["task_id"]
    return task_id


def result_url(wire: HTTPConnection) -> str:
    url: str = json.loads(call(wire, "GET", f"/v1/video/tasks/{create(wire)}").read())["result_url"]
    return url


def raw(server: Server, request: bytes) -> bytes:
    """What the API says to these bytes, until it closes the connection."""
    with socket.create_connection(_address(server.api_url), timeout=5) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def test_two_hosts_and_a_clip_fetched_whole_and_in_part(wire: HTTPConnection, server: Server) -> None:
    assert server.api_url.endswith("/v1")
    url = urlsplit(result_url(wire))
    assert f"http://{url.netloc}" == server.storage_url != server.api_url.removesuffix("/v1")
    with closing(HTTPConnection(url.netloc, timeout=5)) as storage:
        target = f"{url.path}?{url.query}"
        storage.request("GET", target)
        assert storage.getresponse().read() == CLIP
        storage.request("GET", target, headers={"Range": "bytes=99990-"})
        part = storage.getresponse()
        assert (part.status, part.read()) == (206, CLIP[-10:])
        storage.request("HEAD", target)
        head = storage.getresponse()
        assert (head.getheader("Content-Length"), head.read()) == (str(len(CLIP)), b"")
        storage.request("GET", target, headers=KEY)
        assert storage.getresponse().status == 400


def test_a_connection_is_kept_for_the_next_request(wire: HTTPConnection) -> None:
    ports = set()
    for method, path in [("GET", "/v1/models"), ("GET", "/nowhere"), ("PATCH", "/v1/models")]:
        response = call(wire, method, path)
        assert response.getheader("Content-Type") == "application/json"
        response.read()
        ports.add(wire.sock.getsockname()[1])
    assert len(ports) == 1


def test_bodies_come_chunked_large_and_bad(wire: HTTPConnection) -> None:
    assert call(wire, "POST", "/v1/video/generations", iter([CREATE[:9], CREATE[9:]])).status == 200
    wire.close()
    response = call(wire, "POST", "/v1/video/generations", bytes(21 * 2**20))
    assert (response.status, "error" in json.loads(response.read())) == (413, True)
    response = call(wire, "POST", "/v1/video/generations", b"{")
    assert json.loads(response.read())["error"]["code"] == "invalid_json"


@pytest.mark.parametrize(
    ("framing", "body", "status"),
    [
        (b"Content-Length: ten", b"", b"400"),
        (b"Content-Length: -1", b"", b"400"),
        (b"Content-Length: 99999999999", b"", b"413"),
        (b"Transfer-Encoding: chunked", b"xyz\r\n", b"400"),
        (b"Transfer-Encoding: chunked", b"-5\r\n", b"400"),
        (b"Transfer-Encoding: chunked", b"fffffffff\r\n", b"413"),
    ],
)
def test_broken_framing_ends_the_connection(server: Server, framing: bytes, body: bytes, status: bytes) -> None:
    answer = raw(server, b"POST /v1/video/generations HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + body)
    assert answer.split()[1] == status


def test_a_client_that_expects_continue_is_told_to(server: Server) -> None:
    head = b"POST /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n"
    answer = raw(server, head + b"Content-Length: 2\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 405")


def test_events_arrive_when_they_are_due(wire: HTTPConnection, emulator: Emulator) -> None:
    emulator.pace = Pace(0.02, 0.2)
    task_id = create(wire)
    born = time.time()
    response = call(wire, "GET", f"/v1/video/tasks/{task_id}/stream")
    first = response.readline() + response.readline()
    assert time.time() - born < 0.15
    assert b'"queued"' in first
    rest = response.read()
    assert time.time() - born >= 0.15
    assert rest.endswith(b'"completed", "progress": 100}\n\nevent: done\ndata: [DONE]\n\n')
    assert call(wire, "GET", f"/v1/video/tasks/{task_id}").status == 200


def test_a_stream_ends_with_its_client(wire: HTTPConnection, emulator: Emulator, server: Server) -> None:
    emulator.pace = Pace(0, 3600)
    task_id = create(wire)
    before = set(threading.enumerate())
    with socket.create_connection(_address(server.api_url), timeout=5) as connection:
        head = f"GET /v1/video/tasks/{task_id}/stream HTTP/1.1\r\nHost: a\r\n".encode()
        connection.sendall(head + b"Authorization: Bearer sk-air-one\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        (streaming,) = set(threading.enumerate()) - before
    streaming.join(5)
    assert not streaming.is_alive()


def test_a_reset_comes_before_any_byte(wire: HTTPConnection, emulator: Emulator) -> None:
    emulator.faults.append(parse_fault("lost-reply"))
    with pytest.raises(ConnectionResetError):
        create(wire)
    wire.close()
    assert len(json.loads(call(wire, "GET", "/v1/video/tasks").read())["data"]) == 1


def test_silence_is_silence(server: Server, emulator: Emulator) -> None:
    emulator.faults.append(Fault("GET /models", ending="silence"))
    with closing(HTTPConnection(urlsplit(server.api_url).netloc, timeout=0.05)) as wire:
        with pytest.raises(TimeoutError):
            call(wire, "GET", "/v1/models")
        wire.close()
        assert call(wire, "GET", "/v1/models").status == 200


def test_a_truncated_answer_announces_all_and_sends_half(wire: HTTPConnection, emulator: Emulator) -> None:
    url = urlsplit(result_url(wire))
    emulator.faults.append(Fault("storage", ending="truncate"))
    with closing(HTTPConnection(url.netloc, timeout=5)) as storage:
        storage.request("GET", f"{url.path}?{url.query}")
        response = storage.getresponse()
        assert response.getheader("Content-Length") == str(len(CLIP))
        with pytest.raises(IncompleteRead) as error:
            response.read()
    assert error.value.partial == CLIP[: len(CLIP) // 2]


def test_a_cut_answer_ends_in_a_reset(wire: HTTPConnection, emulator: Emulator) -> None:
    url = urlsplit(result_url(wire))
    emulator.faults.append(Fault("storage", ending="cut"))
    with closing(HTTPConnection(url.netloc, timeout=5)) as storage:
        storage.request("GET", f"{url.path}?{url.query}")
        with pytest.raises(ConnectionResetError):
            storage.getresponse().read()


@pytest.mark.parametrize("ending", ["cut", "truncate"])
def test_a_stream_breaks_off(wire: HTTPConnection, emulator: Emulator, ending: Any) -> None:
    task_id = create(wire)
    emulator.faults.append(Fault("stream", ending=ending))
    response = call(wire, "GET", f"/v1/video/tasks/{task_id}/stream")
    with pytest.raises((ConnectionResetError, IncompleteRead)) as error:
        response.read()
    assert isinstance(error.value, ConnectionResetError if ending == "cut" else IncompleteRead)


def test_a_delay_comes_before_the_answer(wire: HTTPConnection, emulator: Emulator) -> None:
    emulator.faults.append(Fault("GET /models", delay=0.1))
    begun = time.monotonic()
    assert call(wire, "GET", "/v1/models").status == 200
    assert time.monotonic() - begun >= 0.09


def test_an_answer_may_come_without_its_length(wire: HTTPConnection, emulator: Emulator) -> None:
    emulator.faults.append(Fault("GET /models", answer=Response(200, {"Connection": "close"}, b"models")))
    response = call(wire, "GET", "/v1/models")
    assert (response.getheader("Content-Length"), response.read()) == (None, b"models")


def test_clients_that_vanish_make_no_noise(
    server: Server, wire: HTTPConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    for request in (b"", b"GET", b"POST /v1/models HTTP/1.1\r\nContent-Length: 5\r\n\r\n{"):
        with socket.create_connection(_address(server.api_url)) as connection:
            connection.sendall(request)
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # to close with a reset
    assert call(wire, "GET", "/v1/models").status == 200
    server.close()
    assert capfd.readouterr() == ("", "")


def test_closing_is_quick_even_with_open_connections(emulator: Emulator) -> None:
    emulator.pace = Pace(0, 3600)
    server = Server(emulator).start()
    netloc = urlsplit(server.api_url).netloc
    with closing(HTTPConnection(netloc, timeout=5)) as streaming, closing(HTTPConnection(netloc)) as idle:
        stream = call(streaming, "GET", f"/v1/video/tasks/{create(streaming)}/stream")
        stream.readline()
        call(idle, "GET", "/v1/models").read()
        begun = time.monotonic()
        server.close()
        assert time.monotonic() - begun < 4  # the stream's next word, and every time-out, would come later
        with pytest.raises((IncompleteRead, ConnectionError)):
            stream.read()
        with pytest.raises((ConnectionError, BadStatusLine)):
            call(idle, "GET", "/v1/models")
    server.close()


def test_a_server_may_be_closed_before_it_started_and_its_port_be_taken(emulator: Emulator) -> None:
    server = Server(emulator)
    with pytest.raises(OSError) as error:  # noqa: PT011 - the number says it, in any language
        Server(emulator, _address(server.api_url)[1])
    assert error.value.errno == errno.EADDRINUSE
    server.close()


def test_a_second_server_goes_on_with_the_first_ones_tasks(tmp_path: Path) -> None:
    task_ids = []
    for _ in range(2):
        emulator = Emulator(path=tmp_path / "sandbox.db")
        with Server(emulator) as server, closing(HTTPConnection(urlsplit(server.api_url).netloc)) as wire:
            create(wire)
            tasks = json.loads(call(wire, "GET", "/v1/video/tasks").read())["data"]
            task_ids.append([task["task_id"] for task in tasks])
        emulator.close()
    assert task_ids[1][1:] == task_ids[0]
