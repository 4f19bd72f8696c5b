"""A hostile server answers a create: one POST a clip, and its id is printed or its fate is unknown."""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path

import h11
import httpx
import pytest
from faulty_server import FaultyServer, Rule
from program import KEY, World, json_answer
from program_process import User, until
from proxies import Proxy
from small_files import render_tiny, tiny_mp4

from airvid.sandbox.emulator import Emulator, Fault, Pace, Request, Response
from airvid.sandbox.faults import parse_fault

POST = "POST /video/generations"
CREATE = ("create", "a fox", "-m", "wan-2.6", "-d", "8")
# Seconds; a host of the tests is on loopback.
QUICK = {"AIRVID_CONNECT_TIMEOUT": "2", "AIRVID_READ_TIMEOUT": "2"}


class Attacked:
    """A user whose API answers by these rules."""

    def __init__(self, home: Path, faulty: FaultyServer) -> None:
        self.faulty, self.user = faulty, User(home, faulty.api_url, **QUICK)

    @property
    def posts(self) -> int:
        return sum(request.method == "POST" for request in self.faulty.requests)

    @property
    def tasks(self) -> list[str]:
        """The ids of all tasks that were made, the newest first."""
        request = Request("GET", "/v1/video/tasks", {"authorization": f"Bearer {KEY}"})
        listed = json.loads(self.faulty.emulator.handle(request, time.time()).body)["data"]
        return [task["task_id"] for task in listed]


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Callable[..., Attacked]]:
    started: list[FaultyServer] = []

    def start(*rules: Rule) -> Attacked:
        emulator = Emulator(pace=Pace(queued=0, processing=0.1), render=render_tiny)
        started.append(FaultyServer(emulator, rules))
        started[-1].start()
        return Attacked(tmp_path, started[-1])

    yield start
    for faulty in started:
        faulty.close()
        faulty.emulator.close()


# ---------------------------------------------------------------------- redirects

LOCATIONS = (
    "mailto:x",
    "task:7f",
    "https:tasks/7",
    "localhost:8443/tasks/7",
    "about:blank",
    "http://xn--a/",
    "http://[",
    "/tasks/" + "7" * 60_000,
    "//",
    "http://127.0.0.1:1/",
)
REDIRECTS = [(status, LOCATIONS[0]) for status in (301, 302, 303, 307, 308)]
REDIRECTS += [(status, where) for status in (303, 308) for where in LOCATIONS[1:]]


@pytest.mark.parametrize(("status", "where"), REDIRECTS, ids=lambda each: str(each)[:30])
def test_a_create_that_is_answered_with_a_redirect_is_paid_once(
    attacked: Callable[..., Attacked], status: int, where: str
) -> None:
    made = attacked(Rule("POST", say=Response(status, {"Location": where}), times=10))
    done = made.user.airvid(*CREATE)
    assert (done.returncode, made.posts, done.stdout.split()) == (0, 1, made.tasks), done.stderr


@pytest.mark.parametrize("where", LOCATIONS[:3])
def test_a_redirect_that_comes_by_a_proxy_is_paid_once(attacked: Callable[..., Attacked], where: str) -> None:
    made = attacked(Rule("POST", say=Response(303, {"Location": where}), times=10))
    with Proxy() as proxy:
        done = made.user.airvid(*CREATE, "--wait", HTTP_PROXY=proxy.url, http_proxy=proxy.url)
    assert any(line.startswith("POST") for line in proxy.asked)
    assert (done.returncode, made.posts, len(made.tasks)) == (0, 1, 1), done.stderr


@pytest.mark.parametrize("status", [300, 303])
def test_an_id_counts_whatever_the_redirect_says(attacked: Callable[..., Attacked], status: int) -> None:
    made = attacked(Rule("POST", status=status, headers={"Location": "mailto:x"}), Rule("GET /video/tasks", status=503))
    done = made.user.airvid(*CREATE)
    assert (done.returncode, made.posts, done.stdout.split()) == (0, 1, made.tasks), done.stderr


def test_an_interrupted_look_up_keeps_the_entry(attacked: Callable[..., Attacked]) -> None:
    made = attacked(
        Rule("GET /video/tasks$", times=1),
        Rule("GET /video/tasks$", say=Response(503), before=True, times=100),
        Rule("POST", say=Response(303, {"Location": "task:7f"}), times=10),
    )
    with made.user.running(*CREATE) as process:
        until(lambda: made.posts, "the POST")
        said = process.stderr
        assert said
        until(lambda: "looking" in said.readline(), "the look-up")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert made.posts == 1
    done = made.user.airvid("--json", "list", "--local")
    assert [entry["airvid"]["fate"] for entry in json.loads(done.stdout)] == ["unknown"]


# ---------------------------------------------------------------------- whatever a library raises


def raised(kind: type[Exception]) -> Exception:
    """An error of a library, whatever it wants to be told."""
    for values in (("odd",), (), (1, "odd")):
        try:
            return kind(*values)
        except TypeError:
            continue
    raise AssertionError(kind)


OF_HTTPX = [
    each
    for each in vars(httpx).values()
    if isinstance(each, type) and issubclass(each, Exception) and each is not httpx.HTTPStatusError
]
OF_OTHERS = [
    h11.LocalProtocolError,
    h11.RemoteProtocolError,
    *(ssl.SSLError, ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLCertVerificationError),
    *(OSError, ConnectionResetError, ConnectionRefusedError, BrokenPipeError, TimeoutError),
    *(UnicodeError, ValueError, RuntimeError, KeyError, RecursionError, MemoryError),
]
EXCEPTIONS = [raised(each) for each in [*OF_HTTPX, *OF_OTHERS]] + [ExceptionGroup("odd", [OSError("odd")])]


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_what_failed_before_it_left_is_sent_again(world: World, error: Exception) -> None:
    left = 2

    def connect(request: Request) -> None:
        nonlocal left
        if request.method == "POST" and left:
            left -= 1
            raise error

    world.connect = connect
    result = world.airvid(*CREATE)
    assert (result.code, len(world.posts), left) == (0, 1, 0), result.err


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("options", [(), ("--wait",)], ids=["", "wait"])
def test_what_failed_after_it_left_is_looked_up(world: World, error: Exception, options: tuple[str, ...]) -> None:
    def answer(request: Request) -> Response | None:
        if request.method == "POST":
            world.emulator.handle(request, world.clock.now())
            raise error
        return None

    world.answer = answer
    result = world.airvid(*CREATE, *options)
    assert (result.code, len(world.posts)) == (0, 1), result.err


@pytest.mark.parametrize("error", [httpx.RemoteProtocolError("odd"), RuntimeError("can't start new thread")])
def test_what_fails_in_reading_is_waited_out(world: World, error: Exception) -> None:
    left = 12

    def answer(request: Request) -> Response | None:
        nonlocal left
        if request.method == "GET" and left:
            left -= 1
            raise error
        return None

    task = world.airvid(*CREATE).out.strip()
    world.answer = answer
    result = world.airvid("watch", task, "-o", "fox.mp4")
    assert (result.code, left) == (0, 0), result.err


@pytest.mark.parametrize("words", [("models",), ("list",), ("status", "{id}"), ("watch", "{id}", "--timeout", "2")])
def test_a_read_that_leads_to_no_host_is_a_sentence(attacked: Callable[..., Attacked], words: tuple[str, ...]) -> None:
    made = attacked(Rule("POST"), Rule(".*GET", say=Response(302, {"Location": "http://xn--a/"}), times=999))
    task = made.user.airvid(*CREATE, "--no-validate").stdout.strip()
    done = made.user.airvid(*(word.format(id=task) for word in words))
    assert done.returncode in (1, 9, 10)
    assert "error: " in done.stderr
    assert "bug" not in done.stderr


def test_a_clip_that_leads_to_no_host_keeps_no_other_from_its_file(attacked: Callable[..., Attacked]) -> None:
    made = attacked(Rule("storage", say=Response(302, {"Location": "http://xn--a/"}), times=1))
    tasks = [made.user.airvid(*CREATE).stdout.strip() for _ in range(2)]
    time.sleep(0.2)
    done = made.user.airvid("download", *tasks, "-o", "out/", "-j", "1")
    assert done.returncode in (1, 9), done.stderr
    assert "bug" not in done.stderr
    assert len(list((made.user.here / "out").iterdir())) == 1


# ---------------------------------------------------------------------- what is sent, and what is told of it


@pytest.mark.parametrize(
    "value",
    ["[" * 976 + "]" * 976, "[" * 100_000 + "]" * 100_000, '{"a":' * 500 + "1" + "}" * 500, '"' + "x" * 200_000 + '"'],
)
def test_what_could_not_be_written_down_is_not_sent(world: World, value: str) -> None:
    result = world.airvid(*CREATE, "--set", f"x={value}")
    assert (result.code, world.posts) == (2, [])
    assert "--set x takes at most" in result.err
    assert len(result.err) < 2000


def test_an_answer_that_is_nested_without_end_is_told(attacked: Callable[..., Attacked]) -> None:
    deep: object = "deep"
    for _ in range(800):
        deep = [deep]
    made = attacked(Rule("POST", edit={"extra": deep}))
    done = made.user.airvid("--json", *CREATE)
    assert (done.returncode, made.posts) == (0, 1), done.stderr
    assert json.loads(done.stdout)["task_id"] == made.tasks[0]


@pytest.mark.parametrize("status", [400, 403, 409, 422, 429, 500])
@pytest.mark.parametrize("options", [(), ("--wait",)], ids=["", "wait"])
def test_a_refusal_that_names_a_task_has_made_it(
    attacked: Callable[..., Attacked], status: int, options: tuple[str, ...]
) -> None:
    made = attacked(Rule("POST", status=status, times=10))
    done = made.user.airvid(*CREATE, *options)
    assert (done.returncode, made.posts, len(made.tasks)) == (0, 1, 1), done.stderr


@pytest.mark.parametrize("message", ["Slow down.", "Concurrency limit reached: 4 concurrent tasks."])
def test_a_refused_create_whose_task_is_in_the_list_is_not_sent_again(world: World, message: str) -> None:
    world.emulator.faults += [Fault(POST, json_answer(429, {"error": message}), times=5)]
    result = world.airvid(*CREATE, "--wait")
    assert (result.code, len(world.posts)) == (0, 1), result.err


def test_a_cached_list_does_not_say_what_was_there_before(world: World) -> None:
    """Somebody else's task of the same words, five minutes old, is in no list of ten minutes ago."""
    other = world.airvid(*CREATE).out.strip()
    (world.folder.parent / "data" / "airvid" / "journal.db").unlink()
    world.clock.advance(300)
    stale = {"Date": formatdate(world.clock.now() - 600, usegmt=True), "Age": "600"}
    lists = 0

    def answer(request: Request) -> Response | None:
        nonlocal lists
        if request.path.endswith("/video/tasks"):
            lists += 1
        return json_answer(200, {"data": []}, stale) if request.path.endswith("/video/tasks") and lists == 1 else None

    world.answer = answer
    world.emulator.faults.append(parse_fault("reset"))
    result = world.airvid(*CREATE)
    assert (result.code, other in result.out) == (9, False), result.err


def test_a_list_that_cannot_be_read_shows_nothing(world: World) -> None:
    world.answer = lambda request: Response(503) if request.path.endswith("/video/tasks") else None
    world.emulator.faults.append(parse_fault("lost-reply"))
    result = world.airvid(*CREATE)
    assert result.code == 9
    assert "the task list could not be read" in result.err
    assert "shows none" not in result.err


# ---------------------------------------------------------------------- connections


def second_answer(body: bytes, kind: str) -> bytes:
    """A whole answer that stands behind another one on a connection."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_bytes_behind_a_clip_are_not_the_next_clip(attacked: Callable[..., Attacked]) -> None:
    other = second_answer(tiny_mp4(b"somebody else's"), "video/mp4")
    made = attacked(Rule("storage", tail=other, times=100))
    tasks = [made.user.airvid("create", words, "-m", "wan-2.6").stdout.strip() for words in ("a fox", "an owl")]
    time.sleep(0.2)
    done = made.user.airvid("download", *tasks, "-o", "{id}.mp4", "-j", "1")
    assert done.returncode == 0, done.stderr
    for task, words in zip(tasks, ("a fox", "an owl"), strict=True):
        assert words.encode() in (made.user.here / f"{task}.mp4").read_bytes()


def test_bytes_behind_an_answer_of_the_api_are_not_the_next_answer(attacked: Callable[..., Attacked]) -> None:
    wrong = second_answer(json.dumps({"task_id": "wrong-1", "status": "queued"}).encode(), "application/json")
    made = attacked(Rule("GET", tail=wrong, times=100))
    done = made.user.airvid(*CREATE)
    assert (done.returncode, made.posts, done.stdout.split()) == (0, 1, made.tasks), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process")
def test_an_answer_that_came_while_the_program_was_stopped_is_read(attacked: Callable[..., Attacked]) -> None:
    made = attacked(Rule("POST", drip=0.05), Rule("GET /video/tasks$", times=1))
    with made.user.running("-q", "--json", *CREATE, AIRVID_CREATE_TIMEOUT="2") as process:
        until(lambda: made.posts, "the POST")
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(4)
        lists = len(made.faulty.requests)
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(20) == 0, process.stderr and process.stderr.read()
    assert (made.posts, len(made.faulty.requests)) == (1, lists)


def test_a_body_that_goes_out_slowly_has_its_time(tmp_path: Path) -> None:
    """Bytes that flow are no silence, however long the whole takes."""
    import socket

    picture = tmp_path / "fox.png"
    picture.write_bytes(PNG + os.urandom(3_000_000))
    taken = bytearray()
    emulator = Emulator(pace=Pace(queued=0, processing=0.1), render=render_tiny)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

        def serve() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(4096)
                    head, _, body = head.partition(b"\r\n\r\n")
                    line, *fields = head.decode("latin-1").split("\r\n")
                    headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
                    while len(body) < int(headers.get("content-length", 0)):
                        body += connection.recv(100_000)
                        taken.extend(b"x")
                        time.sleep(0.1)
                    method, path, _ = line.split()
                    answer = emulator.handle(Request(method, path, headers, body), time.time())
                    connection.sendall(
                        f"HTTP/1.1 {answer.status} OK\r\nContent-Length: {len(answer.body)}\r\n\r\n".encode()
                        + answer.body
                    )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        user = User(tmp_path, f"http://127.0.0.1:{port}/v1", AIRVID_CREATE_TIMEOUT="1", AIRVID_READ_TIMEOUT="1")
        done = user.airvid("create", "a fox", "-m", "wan-2.6", "-i", str(picture), "--no-validate")
        listener.shutdown(socket.SHUT_RDWR)
    emulator.close()
    assert done.returncode == 0, done.stderr
    assert len(taken) > 5


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc000000301010018dd8db0"
    "0000000049454e44ae426082"
)


def test_what_may_be_paid_for_counts_for_the_budget(world: World) -> None:
    world.emulator.faults.append(Fault(POST, Response(303, {"Location": "https:tasks/7"})))
    world.env.setenv("AIRVID_BUDGET_DAY", "0.20")
    unread = 0

    def answer(request: Request) -> Response | None:
        nonlocal unread
        unread += request.path.endswith("/video/tasks") and len(world.posts) > 0
        return Response(503) if request.path.endswith("/video/tasks") and 0 < unread <= 6 else None

    world.answer = answer
    assert [world.airvid(*CREATE).code for _ in range(2)] == [9, 7]
    assert [each["airvid"]["fate"] for each in world.objects("list", "--local", "--json")] == ["unknown"]
