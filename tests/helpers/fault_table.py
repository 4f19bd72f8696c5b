"""The table of faults: what goes wrong, in which call, and how it has to end.

Each cell is one run of

    airvid create fox -m wan-2.6 -o fox.mp4 --timeout N      or, where it is cold,
    airvid watch  ID             -o fox.mp4 --timeout N      of a task that this machine has never seen

What would take longer than some seconds of real time is under test on the virtual clock instead: an unreachable
server given up after a minute (test_http, test_transfer), a task that stays 404 for 20 s and `completed` without a URL
for 30 s (test_follow), keep-alives alone for a minute (test_follow), streams tried again after two minutes
(test_follow); and redirects from https down to http (test_transfer), which are refused before there is a socket.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from faulty_server import ALWAYS, PortState, Rule
from small_files import tiny_mp4

from airvid.sandbox.emulator import Response

CLIP = tiny_mp4(bytes(range(251)) * 300)
POST, LIST, TASK = "POST /video/generations", "GET /video/tasks$", "GET /video/tasks/"
READ, STREAM, FETCH = f"{TASK}[^/]+$", "stream ", "storage GET"
QUICKLY = {"AIRVID_CREATE_TIMEOUT": "1", "AIRVID_READ_TIMEOUT": "1"}


@dataclass(frozen=True)
class Cell:
    """One run: what goes wrong, and its exit code; 0 means that the clip is on disk, byte for byte.

    `posts` is how many creates the server receives, `tasks` how many it makes of them.
    """

    name: str
    rules: tuple[Rule, ...]
    code: int = 0
    posts: int = 1
    tasks: int = 1
    env: dict[str, str] = field(default_factory=dict)
    is_cold: bool = False


# ---------------------------------------------------------------------- faults of any answer


def said(text: bytes, kind: str = "application/json") -> Response:
    return Response(200, {"Content-Type": kind}, text)


def moved(where: str) -> Response:
    return Response(302, {"Location": where})


NO = None  # this fault does not exist there
HTML = said(b"<!doctype html><html><title>Bad gateway</title></html>", "text/html")
GARBAGE = Response(200, {"Content-Encoding": "gzip"}, b"\x1f\x8bgarbage!")
BODIES = {
    "JSON": ("application/json", b'{"error":{"message":"Not now.","type":"x","param":null,"code":"odd"}}'),
    "text": ("text/plain", b"Not now."),
    "HTML": ("text/html", b"<!doctype html><html><head><title>Not now</title></head></html>"),
    "nothing": ("text/plain", b""),
}
COLUMNS: dict[str, dict[str, Any]] = {
    "create, made": {"on": POST},  # the server takes it, and its answer is what goes wrong
    "create, not made": {"on": POST, "before": True},  # the server does not get it
    "stream": {"on": STREAM},
    "reading": {"on": READ},
    "cold, for ever": {"on": f"(stream )?{TASK}", "times": ALWAYS},
    "fetch": {"on": FETCH},
    "fetch, for ever": {"on": FETCH, "times": ALWAYS},
}
# fmt: off
ANSWERS: list[tuple[Any, ...]] = [
    # create    stream       cold      fetch
    # made  not       reading    fetch for ever
    (0,  9,   0,     0,      10,    0,     10, "closed before the head", {"cut": "start", "end": "closed"}),
    (0,  9,   0,     0,      10,    0,     10, "closed in the head", {"cut": "head", "end": "closed"}),
    (0,  9,   0,     0,      10,    0,     10, "closed in the body", {"cut": "body", "end": "closed"}),
    (0,  9,   0,     0,      10,    0,     10, "reset before the head", {"cut": "start", "end": "reset"}),
    (0,  9,   0,     0,      10,    0,     10, "reset in the head", {"cut": "head", "end": "reset"}),
    (0,  9,   0,     0,      10,    0,     10, "reset in the body", {"cut": "body", "end": "reset"}),
    (0,  9,   0,     0,      10,    0,     10, "silent before the head", {"cut": "start", "end": "silent"}),
    (0,  9,   0,     0,      10,    0,     10, "silent in the head", {"cut": "head", "end": "silent"}),
    (0,  9,   0,     0,      10,    0,     10, "silent in the body", {"cut": "body", "end": "silent"}),
    (0,  9,   0,     0,      0,     0,     0,  "drips", {"drip": 0.03}),
    (0,  9,   0,     0,      10,    NO,    NO, "drips too long", {"drip": 0.4}),
    (0,  9,   NO,    0,      10,    0,     10, "announces too much", {"length": 100, "end": "closed"}),
    (0,  9,   NO,    0,      10,    0,     11, "announces too little", {"length": -9}),
    (0,  9,   NO,    0,      0,     0,     0,  "says more than it announces", {"tail": b"123456789"}),
    (0,  9,   0,     0,      10,    0,     10, "chunked, cut", {"chunked": True, "cut": "body", "end": "closed"}),
    (0,  9,   0,     0,      10,    0,     11, "HTML", {"say": HTML}),
    (0,  9,   0,     0,      10,    0,     11, "an error object", {"say": said(b'{"error":{"message":"overloaded"}}')}),
    (0,  9,   0,     0,      10,    0,     11, "an error text", {"say": said(b'{"error":"overloaded"}')}),
    (0,  9,   0,     0,      10,    0,     11, "an XML error", {"say": said(b"<?xml?><Error/>", "text/xml")}),
    (0,  9,   0,     0,      10,    0,     11, "truncated JSON", {"say": said(b'{"task_id":"x","sta')}),
    (0,  9,   0,     0,      10,    0,     11, "no data", {"say": said(b'{"data":[]}')}),
    (0,  9,   0,     0,      10,    0,     11, "empty object", {"say": said(b"{}")}),
    (0,  9,   0,     0,      10,    0,     11, "null", {"say": said(b"null")}),
    (0,  9,   0,     0,      10,    0,     11, "a list", {"say": said(b"[1, 2, 3, 4, 5, 6]")}),
    (0,  9,   0,     0,      10,    0,     11, "a number", {"say": said(b"1234567890.5")}),
    (0,  9,   0,     0,      10,    0,     11, "plain text", {"say": said(b"The model does not exist", "text/plain")}),
    (0,  9,   0,     0,      10,    0,     11, "nothing", {"say": said(b"")}),
    (0,  9,   0,     0,      10,    0,     10, "no content", {"say": Response(204)}),
    (0,  9,   0,     0,      10,    0,     10, "gzip garbage", {"say": GARBAGE}),
    (0,  9,   0,     0,      1,     0,     9,  "redirects in a circle", {"say": moved("/round")}),
    (0,  9,   0,     0,      1,     9,     9,  "redirects to a file", {"say": moved("file:///etc/hosts")}),
    (NO, 9,   0,     0,      1,     9,     9,  "redirects nowhere", {"say": Response(307)}),
]
STATUSES: list[tuple[Any, ...]] = [
    (NO, 1,   0,     0,      1,     0,     9,  400),
    (NO, 3,   0,     0,      3,     0,     9,  401),
    (NO, 7,   0,     0,      7,     0,     10, 402),
    (NO, 3,   0,     0,      3,     0,     9,  403),
    (NO, 4,   0,     0,      4,     0,     9,  404),
    (NO, 1,   0,     0,      1,     0,     10, 409),
    (NO, 4,   0,     0,      4,     0,     9,  410),
    (NO, 1,   0,     0,      1,     0,     10, 422),
    (NO, 8,   0,     0,      10,    0,     10, 429),
    (0,  9,   0,     0,      10,    0,     10, 500),
    (0,  9,   0,     0,      10,    0,     10, 502),
    (0,  9,   0,     0,      10,    0,     10, 503),
    (0,  9,   0,     0,      10,    0,     10, 504),
    (0,  9,   0,     0,      10,    0,     10, 524),
]
# fmt: on


def across(name: str, fault: dict[str, Any], codes: Collection[Any], columns: Collection[str]) -> Iterator[Cell]:
    """A row of the tables above, in some of its columns."""
    is_slow = "silent" in fault.values() or fault.get("drip", 0) > 0.1
    for (column, where), code in zip(COLUMNS.items(), codes, strict=True):
        if code is not NO and column in columns:
            yield Cell(
                f"{name} · {column}",
                (Rule(**where, **fault),),
                code,
                tasks=0 if column == "create, not made" else 1,
                env=QUICKLY if is_slow else {},
                is_cold=column.startswith("cold"),
            )


def answers(*columns: str) -> list[Cell]:
    return [cell for *codes, name, fault in ANSWERS for cell in across(name, fault, codes, columns)]


def statuses(*columns: str) -> list[Cell]:
    """Every status with every body where money is at stake, else with one body after the other."""
    cells: list[Cell] = []
    for place, (*codes, status) in enumerate(STATUSES):
        for n, (name, (kind, body)) in enumerate(BODIES.items()):
            headers = {"Content-Type": kind, **({"Retry-After": "1"} if status == 429 else {})}
            wanted = columns if n == place % len(BODIES) else {"create, not made"} & {*columns}
            cells += across(f"{status} {name}", {"say": Response(status, headers, body)}, codes, wanted)
    return cells


# ---------------------------------------------------------------------- the faults of one phase alone

PORTS = [
    # Without a connection nothing was sent; with one that is closed at once, that is not sure.
    Cell("refused twice · create", (Rule(LIST, port_state=PortState("api", "refused", seconds=0.9)),)),
    Cell("refused · create", (Rule(LIST, port_state=PortState("api", "refused")),), 9, posts=0, tasks=0),
    Cell("closed at once · create", (Rule(LIST, port_state=PortState("api", "closed", 1)),), 9, posts=0, tasks=0),
    Cell("silent · create", (Rule(LIST, port_state=PortState("api", "silent", 1)),), 9, posts=0, tasks=0, env=QUICKLY),
    Cell("refused twice · follow", (Rule(POST, port_state=PortState("api", "refused", seconds=0.9)),)),
    Cell("refused · follow", (Rule(POST, port_state=PortState("api", "refused")),), 10),
    Cell("closed at once · follow", (Rule(POST, port_state=PortState("api", "closed", 2)),)),
    Cell("closed at once, for ever · follow", (Rule(POST, port_state=PortState("api", "closed")),), 10),
    Cell("silent · follow", (Rule(POST, port_state=PortState("api", "silent", 2)),), env=QUICKLY),
    Cell("refused twice · fetch", (Rule(READ, port_state=PortState("storage", "refused", seconds=0.9)),)),
    Cell("refused · fetch", (Rule(READ, port_state=PortState("storage", "refused")),), 10),
    Cell("closed at once · fetch", (Rule(READ, port_state=PortState("storage", "closed", 2)),)),
    Cell("closed at once, for ever · fetch", (Rule(READ, port_state=PortState("storage", "closed")),), 10),
    Cell("silent · fetch", (Rule(READ, port_state=PortState("storage", "silent", 2)),), env=QUICKLY),
]


def post(name: str, code: int = 0, **more: Any) -> Cell:
    counts = {key: more.pop(key) for key in ("posts", "tasks") if key in more}
    return Cell(name, (Rule(POST, **more),), code, **counts)


LIMITED = Response(429, {"Retry-After": "1"}, b'{"error":"Slow down."}')
CREATES = [
    post("a limit that passes", posts=2, before=True, say=LIMITED),
    post("an id that is null", edit={"task_id": None}),
    post("an id that is empty", edit={"task_id": ""}),
    post("an id that is a number", edit={"task_id": 7}),
    post("an id that is a list", edit={"task_id": ["x"]}),
    post("an id that climbs", edit={"task_id": ".."}),
    post("a cost that is text", edit={"cost_cents": "soon", "expires_at": "never", "progress": "none"}),
    post("a cost that is null", edit={"cost_cents": None, "expires_at": None, "progress": None, "created": None}),
    post("done at once", edit={"status": "completed"}),
    *(
        Cell(f"{name} · {on} before the create", (Rule(on, **fault),))
        for on in ("GET /models", LIST)
        for name, fault in (
            ("reset", {"cut": "start", "end": "reset", "times": 2}),
            ("503", {"say": Response(503, {}, b"busy"), "times": 2}),
            ("429", {"say": LIMITED}),
            ("HTML", {"say": HTML}),
        )
    ),
    Cell("401 · before the create", (Rule("GET", say=Response(401, {}, b"who?"), times=ALWAYS),), 3, posts=0, tasks=0),
]


def event(payload: object, name: str = "state") -> bytes:
    return f"event: {name}\ndata: {json.dumps(payload)}\n\n".encode()


ALIVE, DONE, OPEN = b": keepalive\n\n", b"event: done\ndata: [DONE]\n\n", 60.0
HALFWAY, END = event({"status": "processing", "progress": 42}), event({"status": "completed"})
SPLIT = event({"status": "füllt 狐"}).replace(b"\\u00fc", "ü".encode()).replace(b"\\u72d0", "狐".encode())
# What is understood ends the wait although the stream stays open; what is not has to be made up for by readings.
STREAMS: dict[str, tuple[bytes | float, ...]] = {
    "as documented": (HALFWAY, 0.4, END, DONE, OPEN),
    "partial payloads": (event({"progress": 30}), 0.4, event({"status": "completed"}), OPEN),
    "CRLF": (HALFWAY.replace(b"\n", b"\r\n"), 0.4, END.replace(b"\n", b"\r\n"), OPEN),
    "CR": (HALFWAY.replace(b"\n", b"\r"), 0.4, END.replace(b"\n", b"\r"), b"\r", OPEN),
    "keep-alive comments": (ALIVE, HALFWAY, ALIVE, 0.4, ALIVE, END, OPEN),
    "keep-alive data": (b"data: : keepalive\n\n", HALFWAY, 0.4, b"data: : keepalive\n\n", END, OPEN),
    "a wrapper": (
        event({"event": "state", "data": {"status": "processing"}}, "message"),
        *(0.4, event({"event": "state", "data": {"status": "completed"}}, "message"), OPEN),
    ),
    "no event name": (HALFWAY.partition(b"\n")[2], 0.4, END.partition(b"\n")[2], OPEN),
    "characters in pieces": (
        *(piece for place in range(len(SPLIT)) for piece in (SPLIT[place : place + 1], 0.005)),
        *(0.2, END, OPEN),
    ),
    "an end in other words": (0.4, event({"status": "SUCCEEDED"}), OPEN),
    "an unknown state": (event({"status": "upscaling"}), 0.4, END, OPEN),
    "progress null": (event({"status": "processing", "progress": None}), 0.4, END, OPEN),
    "progress text": (event({"status": "processing", "progress": "soon"}), 0.4, END, OPEN),
    "progress backwards": (
        *(event({"status": "processing", "progress": each}) for each in (90, 10, 50)),
        0.4,
        END,
        OPEN,
    ),
    "another task's end": (event({"task_id": "other", "status": "failed"}), 0.4, END, OPEN),
    "noise": (b"data: 7\n\ndata: []\n\ndata\n\nretry: 1\nid: 7\n", 0.4, END, OPEN),
    "nothing": (),
    "keep-alives only": (ALIVE, 0.3, ALIVE, 0.3, ALIVE),
    "event: error": (event({"error": "boom"}, "error"), 0.1),
    "an error in a payload": (event({"error": {"message": "boom"}}), 0.1),
    "DONE at once": (DONE,),
    "DONE too early": (HALFWAY, DONE),
    "half an event": (b'data: {"status":"comple',),
    "no UTF-8": (b"data: \xff\xfe\x00\n\n", HALFWAY),
    "held back until the end": (0.8, HALFWAY, HALFWAY, END, DONE),
    "completed too early": (END, DONE),
    "failed, which is not so": (event({"status": "failed", "error": "glitch"}), DONE),
}


def task(name: str, code: int = 0, times: int = ALWAYS, **keys: Any) -> Cell:
    """The task's record is odd; the stream tells no more than that it ended."""
    return Cell(name, (Rule(STREAM, script=(0.4, END, DONE), times=ALWAYS), Rule(READ, edit=keys, times=times)), code)


LINK = "http://127.0.0.1:1/clip.mp4"
WORDS: tuple[Any, ...] = ("upscaling", "", None, 7, [], "queued")
AMOUNTS: tuple[Any, ...] = (None, "soon", "42%", -5, 1e300, [], {})
TASKS = [
    *(task(f"state {word!r}", status=word) for word in ("COMPLETED", "succeeded", "Success", "done", " finished ")),
    *(task(f"state {word!r}", 5, status=word, error="why") for word in ("failed", "FAILURE", "canceled", "error")),
    task("state 'expired'", 6, status="expired"),
    task("state 'Expired'", 6, status="Expired"),
    *(task(f"state {word!r} at first", status=word, times=1) for word in WORDS),
    task("state 'upscaling' for ever", 10, status="upscaling", result_url=None),
    task("state 'upscaling' with a result", status="upscaling"),
    *(task(f"progress {each!r}", progress=each) for each in AMOUNTS),
    task("everything null", progress=None, model=None, created=None, expires_at=None, cost_cents=None, error=None),
    task("everything text", progress="x", created="x", expires_at="x", cost_cents="x", duration_seconds="x"),
    task("another task's record at first", task_id="other", times=1),
    task("no URL at first", result_url=None, times=2),
    task("an empty URL at first", result_url="", times=1),
    task("no URL for ever", 10, result_url=None),
    task("a URL that is a file", 10, result_url="file:///etc/hosts"),
    task("a URL that is no text", 10, result_url=7),
    task("a URL of nobody", 10, result_url=LINK),
    task("completed, with an error beside it", error="a warning"),
    Cell(
        "a reading that fails, and a stream that stays open after its end",
        (Rule(STREAM, script=(0.4, END, OPEN), times=ALWAYS), Rule(READ, say=Response(503))),
    ),
]

BROKEN = Rule(FETCH, cut="body", end="reset")


def second(name: str, code: int = 0, **fault: Any) -> Cell:
    """What comes after a download that broke in the middle."""
    return Cell(f"broken, then {name}", (BROKEN, Rule(FETCH, **fault)), code)


def instead(name: str, content: bytes, ever: int) -> list[Cell]:
    """Other bytes than the clip's, by all appearances well."""
    spoilt = Rule(FETCH, say=Response(200, {"Content-Type": "video/mp4", "ETag": '"other"'}, content))
    return [Cell(f"{name} once", (spoilt,)), Cell(f"{name} for ever", (replace(spoilt, times=ALWAYS),), ever)]


ZIPPED = Response(200, {"Content-Encoding": "gzip"}, gzip.compress(CLIP))
PARTIAL = Response(206, {"Content-Range": f"bytes 9-{len(CLIP) - 1}/{len(CLIP)}"}, CLIP[9:])
DEAD = Response(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
FETCHES = [
    second("as it should"),
    second("416", say=Response(416, {"Content-Range": "bytes */5"})),
    second("416 without a word", say=Response(416)),
    second("200, the Range ignored", ignore="range"),
    *(
        second(f"206 of {span!r}", headers={"Content-Range": span}, garble=True)
        for span in (None, "", "nonsense", "bytes 0-9/10", f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}", "bytes 9-1/*")
    ),
    second("206 that nobody can use", say=Response(206, {}, b"x" * 99)),
    second("206 of another ETag", headers={"ETag": '"changed"'}, garble=True),
    second("206 with more than announced", tail=b"junk"),
    second("206 with more than there is", tail=b"junk", length=4),
    second("206 broken again", cut="body", end="reset"),
    second("503", say=Response(503, {"Retry-After": "1"}, b"")),
    second("a dead link", say=DEAD),
    second("HTML", say=HTML),
    Cell("broken, its ETag weak", (replace(BROKEN, headers={"ETag": 'W/"weak"'}),)),
    Cell("broken, no ETag", (replace(BROKEN, headers={"ETag": None}),)),
    Cell("broken, no ETag, no length", (replace(BROKEN, headers={"ETag": None, "Content-Length": None}),)),
    Cell("cut, of no length", (Rule(FETCH, cut="body", end="closed", headers={"Content-Length": None}),)),
    Cell("whole, of no length", (Rule(FETCH, end="closed", headers={"Content-Length": None}),)),
    Cell("chunked", (Rule(FETCH, chunked=True),)),
    Cell("gzip that nobody asked for", (Rule(FETCH, say=ZIPPED),)),
    Cell("206 unasked", (Rule(FETCH, status=206, headers={"Content-Range": "bytes 0-9/10"}, garble=True),)),
    Cell("206 unasked, of another part", (Rule(FETCH, say=PARTIAL),)),
    Cell("no Range for ever", (BROKEN, Rule(FETCH, ignore="range", headers={"Accept-Ranges": "none"}, times=ALWAYS))),
    *instead("not a video", b"no video" * 50, 11),
    *instead("a video without its moov", tiny_mp4().replace(b"moov", b"free"), 11),
    *instead("half a video", CLIP[: len(CLIP) // 2], 11),
    Cell("a dead link, and a fresh one", (Rule(READ, edit={"result_url": "{storage}/no.mp4"}),)),
    Cell("a dead link once", (Rule(FETCH, say=DEAD),)),
    Cell("a dead link for ever", (Rule(FETCH, say=DEAD, times=ALWAYS),), 9),
    Cell(
        "a dead link past its time",
        (Rule(FETCH, say=DEAD, times=ALWAYS), Rule(READ, edit={"expires_at": 9}, times=ALWAYS)),
        6,
    ),
]

# A task that was seen is waited for, whatever is said of it afterwards.
SEEN = [
    Cell(f"{status} for ever, of a task that was seen", (Rule(READ, say=Response(status), times=ALWAYS),), 10)
    for *_, status in STATUSES
]
TABLES: dict[str, list[Cell]] = {
    "ports": PORTS,
    "creates": [*answers("create, made", "create, not made"), *CREATES],
    "creates by status": statuses("create, made", "create, not made"),
    "follows": [*answers("stream", "reading"), *TASKS],
    "follows for ever": answers("cold, for ever"),
    "follows by status": [*statuses("stream", "reading", "cold, for ever"), *SEEN],
    "streams": [Cell(name, (Rule(STREAM, script=script, times=ALWAYS),)) for name, script in STREAMS.items()],
    "fetches": [*answers("fetch", "fetch, for ever"), *FETCHES],
    "fetches by status": statuses("fetch", "fetch, for ever"),
}


# ---------------------------------------------------------------------- through a proxy


QUICKER = {**QUICKLY, "AIRVID_CONNECT_TIMEOUT": "1"}
MADE: dict[str, Any] = {"code": 0, "posts": 1, "tasks": 1}
# What ends otherwise than without a proxy: the TLS in the tunnel had not begun, so that nothing can have been sent.
THROUGH_PROXY = {"closed at once · create": MADE, "silent · create": {**MADE, "env": QUICKER}}


def tunnelled(cell: Cell) -> Cell:
    """The same cell through a proxy."""
    return replace(cell, **THROUGH_PROXY.get(cell.name, {}))


# What the proxy does when a call has come: at its next connection, or, cut, at once to the one that is open.
PROXY_FAULTS: list[tuple[Any, ...]] = [
    # create follow fetch
    (0, 0, 0, "refuses connections for a second", ("refused", ALWAYS, 0.9)),
    (9, 10, 10, "refuses connections", ("refused",)),
    (0, 0, 0, "closes", ("closed", 2)),
    (0, 0, 0, "resets", ("reset", 2)),
    (0, 0, 0, "is silent", ("silent", 1)),
    (9, 10, 9, "wants a password", (407,)),
    (9, 10, 9, "forbids it", (403,)),
    (0, 0, 0, "answers 502 twice", (502, 2)),
    (9, 10, 10, "answers 502", (502,)),
    (0, 0, 0, "answers 504 twice", (504, 2)),
    (0, 0, 0, "resets the tunnel", ("200 reset", 2)),
    (0, 0, 0, "is silent in the tunnel", ("200 silent", 1)),
    (9, 0, 0, "cuts the tunnel as the request leaves", ("request", 1)),
]


def proxy_faults() -> Iterator[Cell]:
    for *codes, name, state in PROXY_FAULTS:
        for call, phase, code in zip((LIST, POST, READ), ("create", "follow", "fetch"), codes, strict=True):
            count = 0 if phase == "create" and code else 1
            env = QUICKER if "silent" in name else {}
            rule = Rule(call, port_state=PortState("proxy", *state))
            yield Cell(f"{name} · {phase}", (rule,), code, posts=count, tasks=count, env=env)


CUT = PortState("proxy", "answer")
OF_THE_PROXY = [
    *proxy_faults(),
    post("cuts the tunnel when the server has the create", port_state=CUT),
    post("cuts the tunnel with a create that is not made", 9, tasks=0, before=True, port_state=CUT),
    Cell("cuts the tunnel of a stream", (Rule(STREAM, port_state=CUT),)),
    Cell("cuts the tunnel of a reading", (Rule(READ, port_state=CUT),)),
    Cell("cuts the tunnel of a clip", (Rule(FETCH, drip=0.02, port_state=CUT),)),
]
PROXY_TABLES = {"the proxy": OF_THE_PROXY, **{name: list(map(tunnelled, table)) for name, table in TABLES.items()}}
