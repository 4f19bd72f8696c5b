"""Random answers for the searches: the bytes of an answer in every framing, and bodies of every kind."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from raw_server import Reply, Step

Headers = list[tuple[str, str]]
JSON_TYPE = ("Content-Type", "application/json")
# Pauses in seconds: within every time-out, beyond that of a reading, beyond that of a create.
PAUSES = (0.1, 1.0, 6.0, 29.0, 40.0, 130.0)


def head(status: int | str, headers: Sequence[tuple[str, str]], version: str = "HTTP/1.1") -> bytes:
    lines = [f"{version} {status} Odd", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def plain(status: int | str, headers: Sequence[tuple[str, str]], body: bytes) -> Reply:
    """An answer as any server sends it."""
    return Reply((head(status, [*headers, ("Content-Length", str(len(body)))]) + body,))


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


# ---------------------------------------------------------------------- framing


def framed(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    """An answer in one of many framings, most of which no server should use."""
    return rng.choices([kind for kind, _ in _FRAMINGS], [weight for _, weight in _FRAMINGS])[0](
        rng, status, headers, body
    )


def _plain(_: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    return plain(status, headers, body)


def _chunked(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    end = rng.choice([b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\n\r\n", b"", b"0\r\n", b"zz\r\n", b"-1\r\n"])
    size = rng.choice([1, 7, 1000, 1 << 20])
    if size < 1000 < len(body):
        size = len(body) // 50 + 1  # small enough to be odd, and few enough to be soon through
    whole = head(status, [*headers, ("Transfer-Encoding", "chunked")]) + chunks(body, size)
    return Reply((whole + end,), "close" if end in (b"", b"0\r\n") else "keep")


def _until_closed(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    version = rng.choice(["HTTP/1.1", "HTTP/1.0"])
    return Reply((head(status, [*headers, ("Connection", "close")], version) + body,), rng.choice(["close", "reset"]))


def _wrong_length(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    length = rng.choice([len(body) + rng.choice([1, 1000]), max(0, len(body) - 1), 0, 10**18, 10**30, -1, "x", "1, 2"])
    lengths = [("Content-Length", str(length))]
    if rng.random() < 0.2:
        lengths.append(("Content-Length", str(len(body))))
    if rng.random() < 0.1:
        lengths.append(("Transfer-Encoding", "chunked"))
    return Reply((head(status, [*headers, *lengths]) + body,), rng.choice(["keep", "close", "reset", "silent"]))


def _cut(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    whole = head(status, [*headers, ("Content-Length", str(len(body)))]) + body
    at = rng.choice([0, 1, 9, 12, rng.randrange(len(whole)), len(whole) - len(body), len(whole) - 1])
    return Reply((whole[:at],), rng.choice(["close", "reset", "silent"]))


def _dripping(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    whole = head(status, [*headers, ("Content-Length", str(len(body)))]) + body
    size = max(1, len(whole) // rng.choice([3, 20, 100]))
    pause = rng.choice(PAUSES)
    steps: list[Step] = []
    for at in range(0, len(whole), size):
        steps += [whole[at : at + size], pause]
    return Reply(tuple(steps), rng.choice(["keep", "close"]))


def _late(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    return Reply((rng.choice(PAUSES), *plain(status, headers, body).steps), rng.choice(["keep", "close"]))


def _preliminary(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    before = head(rng.choice([100, 102, 103, 103, 199, 101]), []) * rng.choice([1, 2, 9, 30])
    pause = rng.choice([0.0, *PAUSES])
    if rng.random() < 0.2:
        return Reply((before, pause), rng.choice(["close", "reset", "silent"]))
    return Reply((before, pause, *plain(status, headers, body).steps))


def _more_behind(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    """Bytes are left over: they may come to be taken for the next answer."""
    listed = b'{"data": [], "object": "list", "task_id": "left-over", "status": "failed"}'
    behind = rng.choice(
        [
            b"\r\n",
            b"x" * 100,
            plain(200, [JSON_TYPE], listed).steps[0],
            plain(status, headers, body).steps[0],
            plain(404, [JSON_TYPE], b'{"error": "left over"}').steps[0],
            head(100, []),
        ]
    )
    assert isinstance(behind, bytes)
    pause = rng.choice([0.0, 0.0, 0.2])
    return Reply((*plain(status, headers, body).steps, *([pause] if pause else []), behind))


def _odd_head(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    whole = plain(status, headers, body).steps[0]
    assert isinstance(whole, bytes)
    line, _, rest = whole.partition(b"\r\n")
    kinds: list[Callable[[], bytes]] = [
        lambda: whole.replace(b"\r\n", b"\n"),
        lambda: b"HTTP/1.1 %s\r\n" % str(status).encode() + rest,
        lambda: b"HTTP/2 %s\r\n" % str(status).encode() + rest,
        lambda: b"\r\n\r\n" + whole,
        lambda: b"ICY 200 OK\r\n" + rest,
        lambda: line + b"\r\nX Odd : 1\r\n" + rest,
        lambda: line + b"\r\nX-Odd: a\r\n folded\r\n" + rest,
        lambda: line + b"\r\nX-Odd: \0\x1b[31m\r\n" + rest,
        lambda: line + b"\r\n: nameless\r\n" + rest,
        lambda: line + b"\r\nX-Odd: " + b"x" * rng.choice([60_000, 200_000]) + b"\r\n" + rest,
        lambda: line + b"\r\n" + b"X-Odd: 1\r\n" * 5000 + rest,
        lambda: line + b"\r\nX-Odd: \xff\xfe\r\n" + rest,
        lambda: b"<html><title>busy</title></html>",
        lambda: rng.randbytes(200),
        lambda: b"220 smtp.test ESMTP\r\n",
    ]
    return Reply((rng.choice(kinds)(),), rng.choice(["keep", "close"]))


def _encoded(rng: Random, status: int | str, headers: Headers, body: bytes) -> Reply:
    packed = gzip.compress(body, mtime=0)
    kinds = [
        ("gzip", packed),
        ("gzip", packed[: len(packed) // 2]),
        ("gzip", body),
        ("gzip", packed + b"behind"),
        ("gzip", b""),
        ("gzip", gzip.compress(b" " * (3 << 20) + body, 9, mtime=0)),
        ("x-gzip", packed),
        ("deflate", packed),
        ("br", body),
        ("identity", body),
        ("utf-8", body),
        ("aws-chunked", body),
        ("gzip, gzip", gzip.compress(packed, mtime=0)),
    ]
    encoding, content = rng.choice(kinds)
    return plain(status, [*headers, ("Content-Encoding", encoding)], content)


def _nothing(rng: Random, *_: object) -> Reply:
    return Reply((), rng.choice(["close", "reset", "silent"]))


_FRAMINGS: list[tuple[Callable[[Random, int | str, Headers, bytes], Reply], float]] = [
    (_plain, 8),
    (_chunked, 2),
    (_until_closed, 2),
    (_wrong_length, 2),
    (_cut, 3),
    (_dripping, 1.5),
    (_late, 2),
    (_preliminary, 1.5),
    (_more_behind, 2.5),
    (_odd_head, 2),
    (_encoded, 1.5),
    (_nothing, 1.5),
]


# ---------------------------------------------------------------------- headers


# Where a redirect leads: nowhere on the internet. {here} and {elsewhere} stand for servers.
_LOCATIONS = [
    "",
    "mailto:x",
    "task:7f",
    "https:tasks/7",
    "localhost:8443/tasks/7",
    "about:blank",
    "data:application/json,1",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "/v1/video/tasks",
    "/v1/video/generations",
    "tasks/7",
    "//",
    "///x",
    "?again",
    "#again",
    ".",
    "{here}/v1/video/generations",
    "{elsewhere}/v1/video/generations",
    "http://",
    "http://:80/",
    "http://xn--a/",
    "http://xn--/",
    "http://a..b/",
    "http://{name}/",
    "http://[::1",
    "http://[::1]:1/",
    "http://127.0.0.1:1/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:x/",
    "http://127.0.0.1:0/",
    "http://exa mple/",
    "http://\u00e4\u202e/",
    "http://\udcff\udcfe/",
    "ftp://127.0.0.1/",
    "{shouted}/x",
    "{secret}/x?signature=secret",
    "{here}/{long}",
    "{long}:b",
    "mailto:{long}",
]


def location(rng: Random, here: str, elsewhere: str) -> str:
    """Where a redirect from `here` leads."""
    return rng.choice(_LOCATIONS).format(
        here=here,
        elsewhere=elsewhere,
        shouted=elsewhere.replace("http:", "HTTP:"),
        secret=elsewhere.replace("//", "//user:password@"),
        name="a" * 300,
        long="x" * rng.choice([60_000, 64_000, 66_000]),
    )


def more_headers(rng: Random) -> Headers:
    kinds: Headers = [
        ("Set-Cookie", "a=b; Max-Age=99999999999999999999999; Path=/"),
        ("Set-Cookie", "a=b; Expires=Thu, 99 Foo 99999 99:99:99 GMT"),
        ("Set-Cookie", "\u00e4=\u202e"),
        ("Refresh", "0; url=http://127.0.0.1:1/?signature=secret"),
        ("X-Request-ID", "\u202eodd [red] id"),
        ("X-Request-ID", "x" * 3000),
        ("Date", "yesterday"),
        ("Date", "Thu, 01 Jan 0001 00:00:00 GMT"),
        ("Content-Type", "text/html; charset=nonsense"),
        ("Content-Type", "application/json; charset=utf-16"),
        ("Connection", "close"),
        ("Keep-Alive", "timeout=0"),
        ("Upgrade", "h2c"),
        ("Link", "</x>; rel=next"),
        ("Retry-After", retry_after(rng)),
    ]
    return rng.sample(kinds, rng.choice([0, 0, 0, 1, 2]))


def retry_after(rng: Random) -> str:
    return rng.choice(
        ["0", "1", "20", "70", "-5", "1e9", "99999999", "nan", "inf", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"]
    )


# ---------------------------------------------------------------------- bodies


def odd_value(rng: Random) -> Any:
    """A value of a type and size that the field it stands in does not have."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: True,
        lambda: 0,
        lambda: -1,
        lambda: 1e308,
        lambda: 10**300,
        lambda: 2**63,
        lambda: 99_999_999_999_999,
        lambda: -62_135_596_800 * 2,
        lambda: "",
        lambda: "   ",
        lambda: "NaN",
        lambda: "99999999999999999999%",
        lambda: "\ud800",
        lambda: "\0\x1b[2J\x07",
        lambda: "\u202e[bold red]evil[/]",
        lambda: "::set-output name=x::y",
        lambda: "a\nb\r\nc\td",
        lambda: "x" * 100_000,
        list,
        dict,
        lambda: [None, [], {}],
        lambda: {"message": {"message": {"message": {"message": "deep"}}}},
        lambda: {"": None},
    ]
    return rng.choice(kinds)()


def spoilt(rng: Random, record: Mapping[str, Any], kept: Sequence[str] = ()) -> dict[str, Any]:
    """A record whose fields, but for those `kept`, may be missing, of other types, or more than there should be."""
    found = dict(record)
    for name in [each for each in found if each not in kept]:
        if rng.random() < 0.3:
            found[name] = odd_value(rng)
        elif rng.random() < 0.1:
            del found[name]
    for name in rng.sample(["airvid", "error", "message", "data", "result_url", "retry_after", "\x1b[2J", ""], 2):
        if rng.random() < 0.2:
            found[name] = odd_value(rng)
    return found


def nested(rng: Random, record: Mapping[str, Any]) -> bytes:
    """A record that holds a value as deep as parsers go, or deeper."""
    depth = rng.choice([50, 300, 900, 960, 985, 995, 1100, 3000, 100_000])
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
    deep = opening * depth + "1" + closing * depth
    return f'{json.dumps(record)[:-1]}, "more": {deep}}}'.encode()


_MESSAGES = [
    "no",
    "too many concurrent tasks",
    "rate limited. Try again in 1.0 seconds. Your next guaranteed response is in 19 seconds",
    "model does not exist; visit http://127.0.0.1:1/?sale=now",
    "\x1b]0;evil\x07\u202e[red]",
    "x" * 5000,
    "::error::x\n::set-env name=A::b",
]


def noise(rng: Random, status: int | str = 200) -> bytes:
    """A body that is no record: errors of all shapes, pages, text, other JSON, and garbage."""
    message = rng.choice(_MESSAGES)
    shapes: list[Any] = [
        {"error": {"message": message, "type": "t", "param": None, "code": str(status)}},
        {"error": message},
        {"error": "code", "message": message},
        {"message": message, "retry_after": odd_value(rng)},
        {"error": odd_value(rng)},
        {"detail": [{"msg": message}]},
        {"data": []},
        {"data": odd_value(rng)},
        {},
        [],
        None,
        odd_value(rng),
    ]
    texts = [
        b"",
        message.encode(),
        b"<!DOCTYPE html><title>502 Bad Gateway</title>" + b"<" * rng.choice([0, 50_000]),
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        b"[" * 100_000,
        b'{"a":' * 5000,
        b'{"task_id": ',
        b"\xff\xfe\x00\x80" * 50,
        json.dumps({"error": message}).encode("utf-16"),
        b"1" * 10_000,
        b"NaN",
    ]
    return rng.choice([*texts, *(json.dumps(shape).encode() for shape in shapes)])
