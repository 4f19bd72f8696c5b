"""Answers of the server as sentences and exit codes."""

from __future__ import annotations

import base64
import json
import re

import httpx
import pytest
from program import API, KEY, World, json_answer
from small_files import PNG

from airvid import __version__
from airvid.sandbox.emulator import Fault, Request, Response

TASK = "00000000-0000-4000-8000-000000000000"
CODES = {
    400: 1, 401: 3, 402: 7, 403: 3, 404: 4, 405: 1, 408: 9, 409: 1, 410: 4, 413: 1, 418: 1, 422: 1, 425: 9, 429: 8,
    451: 1, 500: 9, 502: 9, 503: 9, 504: 9, 520: 9, 524: 9, 599: 9,
}  # fmt: skip
ENVELOPES = {
    "long": {"error": {"message": "Just no.", "type": "t", "param": None, "code": "some_code"}},
    "status as code": {"error": {"message": "Just no.", "code": "429"}},
    "short": {"error": "Just no."},
    "code and message": {"error": "some_code", "message": "Just no."},
    "message": {"message": "Just no."},
    "detail": {"detail": "Just no."},
    "wrapped": {"error": {"error": {"message": "Just no."}}},
    "text": "Just no.",
    "HTML": "<!DOCTYPE html><html><head>\n<title>Just no.</title></head><body>" + "x" * 5000,
}


def answer_with(status: int, envelope: object, headers: dict[str, str] | None = None) -> Response:
    if isinstance(envelope, str):
        kind = "text/html" if envelope.startswith("<") else "text/plain"
        return Response(status, {"Content-Type": kind, **(headers or {})}, envelope.encode())
    return json_answer(status, envelope, headers)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize("status", CODES)
def test_each_status_has_its_exit_code(world: World, status: int) -> None:
    world.answer = lambda _: json_answer(status, ENVELOPES["long"])
    result = world.airvid("status", TASK)
    assert (result.code, result.out) == (CODES[status], "")
    assert "Just no." in result.err


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES.keys())
@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_each_envelope_gives_its_sentence(world: World, envelope: object, status: int) -> None:
    world.answer = lambda _: answer_with(status, envelope)
    result = world.airvid("status", TASK)
    assert result.code == CODES[status]
    first = result.err.splitlines()[0]
    assert "Just no." in first
    assert not re.search("[{}<>]|xxx", first)


@pytest.mark.parametrize("body", [b"", b"   \n", b"{}", b"null", b"\xff\xfe\x00", b'{"error":null}', b"<html></html>"])
@pytest.mark.parametrize("status", [400, 500])
def test_an_answer_that_says_nothing_still_gives_a_sentence(world: World, status: int, body: bytes) -> None:
    world.answer = lambda _: Response(status, {}, body)
    result = world.airvid("status", TASK)
    assert result.code == CODES[status]
    assert str(status) in result.err


@pytest.mark.parametrize(
    ("envelope", "told"),
    [
        ({"error": {"message": "No funds.", "code": "insufficient_balance"}}, "insufficient_balance"),
        ({"error": "free_tier_gated", "message": "Not for you."}, "free_tier_gated"),
        ({"error": {"code": "unknown_model"}}, "unknown_model"),
    ],
)
def test_the_server_s_own_code_is_shown(world: World, envelope: object, told: str) -> None:
    world.answer = lambda _: json_answer(402, envelope)
    assert told in world.airvid("status", TASK).err


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (403, "Concurrency limit reached", 8),
        (400, "You have too many tasks", 8),
        (409, "4 running tasks already", 8),
        (403, "Verify your email first", 3),
        (400, "The prompt is too long", 1),
    ],
)
def test_a_concurrency_limit_is_known_by_its_words(world: World, status: int, message: str, code: int) -> None:
    world.answer = lambda _: json_answer(status, {"error": message})
    assert world.airvid("status", TASK).code == code


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "unset AIRVID_API_KEY"), (403, "airvid auth status"), (302, "airvid config set base-url")],
)
def test_where_something_can_be_done_the_command_is_told(world: World, status: int, hint: str) -> None:
    world.answer = lambda _: json_answer(status, {"error": "no"}, {"Location": "http://elsewhere.test/v1"})
    assert f"hint: {hint}" in world.airvid("status", TASK).err


def test_the_request_s_id_is_shown_where_there_is_one(world: World) -> None:
    world.answer = lambda _: json_answer(400, {"error": "no"}, {"X-Request-ID": "req_123"})
    assert "req_123" in world.airvid("status", TASK).err
    error = json.loads(world.airvid("status", TASK, "--json").err)["error"]
    assert (error["request_id"], error["task_id"]) == ("req_123", TASK)


def test_a_sentence_without_end_is_cut(world: World) -> None:
    world.answer = lambda _: json_answer(400, {"error": "no " * 100_000})
    assert len(world.airvid("status", TASK).err) < 5000


@pytest.mark.parametrize(
    "body", [b"", b"The model does not exist.", b'{"data":[]}', b'{"error":"oops"}', b"[]", b"null", b"<html>", b'{"st']
)
def test_a_200_that_is_no_task_is_no_success(world: World, body: bytes) -> None:
    world.answer = lambda _: Response(200, {}, body)
    result = world.airvid("status", TASK)
    assert (result.code, result.out) == (9, "")


@pytest.mark.parametrize("command", [["status", TASK], ["list"], ["models"], ["delete", "-y", TASK], ["create", "x"]])
@pytest.mark.parametrize(
    "failure", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ProxyError]
)
def test_a_network_that_fails_is_9_after_about_a_minute(
    world: World, command: list[str], failure: type[httpx.TransportError]
) -> None:
    def fail(_: Request) -> None:
        raise failure("the cable is out")

    world.answer = fail
    result = world.airvid(*command)
    assert (result.code, result.out) == (9, "")
    assert "api.test" in result.err
    assert 30 < world.clock.elapsed() < 100


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 524])
def test_what_may_pass_is_asked_again(world: World, status: int) -> None:
    task = world.airvid("create", "x").lines[0]
    world.emulator.faults.append(Fault("GET", json_answer(status, {}), times=2))
    assert world.airvid("status", task).code == 0


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422])
def test_what_will_not_pass_is_asked_once(world: World, status: int) -> None:
    world.emulator.faults.append(Fault("GET", json_answer(status, {}), times=9))
    world.airvid("status", TASK)
    assert len(world.calls) == 1


def test_a_hint_of_the_server_is_waited_for(world: World) -> None:
    task = world.airvid("create", "x").lines[0]
    world.emulator.faults.append(Fault("GET", json_answer(429, {}, {"Retry-After": "20"})))
    before = world.clock.elapsed()
    assert world.airvid("status", task).code == 0
    assert 20 <= world.clock.elapsed() - before < 30


# ---------------------------------------------------------------------- what is sent, and where to


def test_each_request_names_the_program_and_itself(world: World) -> None:
    world.airvid("create", "x", "-o", "x.mp4")
    headers = [request.headers for _, request in world.emulator.requests]
    assert all(each["user-agent"].startswith(f"airvid/{__version__}") for each in headers)
    assert len({each["x-request-id"] for each in headers}) == len(headers)
    assert all(each["authorization"] == f"Bearer {KEY}" for each in headers[:-1])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["http://evil.test/v1/stolen", "//evil.test/stolen", "/v2/stolen", ""])
def test_a_redirect_of_the_api_is_refused(world: World, status: int, where: str) -> None:
    seen: list[str] = []

    def answer(request: Request) -> Response:
        seen.append(request.path)
        return Response(status, {"Location": where})

    world.answer = answer
    result = world.airvid("status", TASK)
    assert (result.code, seen) == (1, [f"/v1/video/tasks/{TASK}"])


@pytest.mark.parametrize("base", ["http://api.test", "http://api.test/", "http://api.test/v1/"])
def test_the_base_may_be_written_in_any_way(world: World, base: str) -> None:
    world.airvid("models", "--base-url", base)
    assert world.calls == ["GET /v1/models"]


# ---------------------------------------------------------------------- what never gets out

ECHOES = {
    "message": lambda: json_answer(401, {"error": f"Invalid key {KEY}"}),
    "text": lambda: Response(400, {}, f"{KEY} is bad".encode()),
    "request id": lambda: json_answer(400, {"error": "no"}, {"X-Request-ID": KEY}),
    "header": lambda: json_answer(400, {"error": "no"}, {"X-Your-Key": f"Bearer {KEY}"}),
    "location": lambda: Response(302, {"Location": f"http://a.test/{KEY}?key={KEY}"}),
    "task": lambda: json_answer(200, {"task_id": TASK, "status": KEY, "error": KEY, KEY: KEY}),
    "html": lambda: Response(502, {}, f"<html><title>{KEY}</title>".encode()),
    "escaped": lambda: Response(400, {}, json.dumps({"error": KEY}).replace("s", "\\u0073").encode()),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
@pytest.mark.parametrize("options", [[], ["--debug"], ["--json"], ["--json", "--debug"]])
def test_the_key_is_in_no_output_even_where_the_server_repeats_it(
    world: World, echo: object, options: list[str]
) -> None:
    world.answer = lambda _: echo()  # type: ignore[operator]
    result = world.airvid("status", TASK, *options)
    assert KEY not in result.out + result.err


def test_the_key_is_in_no_file_of_ours(world: World) -> None:
    task = world.airvid("create", "x").lines[0]
    echo = b'data: {"status":"failed","error":"' + KEY.encode() + b'"}\n\n'
    world.answer = lambda request: (
        Response(200, {"Content-Type": "text/event-stream"}, chunks=[(0, echo)])
        if request.route.endswith("/stream")
        else json_answer(200, {"task_id": task, "status": "failed", "error": KEY})
    )
    world.airvid("watch", task, "--debug")
    data = world.folder.parent / "data"
    assert not any(KEY.encode() in each.read_bytes() for each in data.rglob("*") if each.is_file())


def test_debug_traces_each_request_and_its_answer(world: World) -> None:
    result = world.airvid("status", TASK, "--debug")
    assert f"> GET {API}/video/tasks/{TASK}" in result.err
    assert "< 404" in result.err
    assert "Task not found" in result.err
    assert KEY[-8:] not in result.err


def test_debug_shows_no_signed_link(world: World) -> None:
    result = world.airvid("create", "x", "-o", "x.mp4", "--debug")
    assert result.code == 0
    assert "/clips/" in result.err
    assert "signature=" not in result.err


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param('"{0}"', id="plain"),
        pytest.param('"{1}"', id="escaped slashes"),
        pytest.param('"see {0} now"', id="in a sentence"),
        pytest.param('["{0}"]', id="in a list"),
    ],
)
def test_debug_shows_no_signed_link_however_it_is_written(world: World, spelled: str) -> None:
    link = "https://a.test/x.mp4?X-Amz-Signature=geheim"
    shown = spelled.format(link, link.replace("/", "\\/"))
    body = f'{{"task_id": "{TASK}", "status": "failed", "link": {shown}}}'
    world.answer = lambda _: Response(200, {}, body.encode())
    result = world.airvid("status", TASK, "--debug")
    assert "a.test" in result.err
    assert "geheim" not in result.err


@pytest.mark.parametrize(
    "location", ["http://storage.test/y?sig=geheim", "/y?sig=geheim", "//storage.test/y?sig=geheim"]
)
def test_debug_shows_no_signed_redirect(world: World, location: str) -> None:
    task = world.airvid("create", "x").lines[0]
    world.clock.advance(100)
    world.emulator.faults.append(Fault("storage", Response(302, {"Location": location})))
    result = world.airvid("download", task, "--debug")
    assert "/y" in result.err
    assert "geheim" not in result.err


def test_debug_shows_no_picture(world: World) -> None:
    picture = PNG + bytes(range(256)) * 2000
    (world.folder / "fox.png").write_bytes(picture)
    result = world.airvid("create", "x", "-i", "fox.png", "--debug")
    assert result.code == 0
    assert base64.b64encode(picture)[:40].decode() not in result.err
    assert len(result.err) < 20_000


def test_quiet_still_tells_errors(world: World) -> None:
    result = world.airvid("status", TASK, "-q")
    assert result.code == 4
    assert "error: " in result.err


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_a_sentence_of_the_server_tells_no_secret_of_an_address(world: World, status: int) -> None:
    link = "http://user:word@storage.test/a.mp4?X-Amz-Signature=abcdef"
    world.answer = lambda _: json_answer(status, {"error": {"message": f"see {link}"}})
    result = world.airvid("status", TASK)
    assert result.code != 0
    assert "storage.test" in result.err
    assert "abcdef" not in result.err
    assert "word@" not in result.err
