"""What `--debug` shows of addresses, headers and bodies (airvid/redact.py): no secret, in linear time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from airvid.api import redact

WORD = "geheim"
# What an address keeps; whatever else is in it is the secret.
ADDRESSES = {
    f"https://a.test/x.mp4?sig={WORD}": "https://a.test/x.mp4",
    f"HTTP://a.test/x.mp4?sig={WORD}": "HTTP://a.test/x.mp4",
    f"http://a.test/my fox's.mp4?sig={WORD}": "http://a.test/my fox's.mp4",
    f"http://a.test/x.mp4?name=my fox&sig={WORD}": "http://a.test/x.mp4",
    f'http://a.test/x.mp4?name="fox"&sig={WORD}': "http://a.test/x.mp4",
    f"http://a.test/x.mp4;sig={WORD}": "http://a.test/x.mp4",
    f"http://a.test/x.mp4;{WORD}/y": "http://a.test/x.mp4",
    f"http://a.test/x.mp4#{WORD}": "http://a.test/x.mp4",
    f"http://a.test/x.mp4&sig={WORD}": "http://a.test/x.mp4",
    f"http://anna:{WORD}@a.test/x.mp4": "@a.test/x.mp4",
    f"http://{WORD}@a.test/x.mp4": "@a.test/x.mp4",
    f"http://anna:p@{WORD}@a.test/x.mp4": "@a.test/x.mp4",
    f"http://anna:{WORD}/s@a.test/x.mp4": "@a.test/x.mp4",
    f"http://anna:12/{WORD}@a.test/x.mp4": "@a.test/x.mp4",
    f"http://anna:12?{WORD}@a.test/x.mp4": "http://",
    f"http://anna:{WORD}#4@a.test/x.mp4": "http://",
    f"http://{WORD}?3@a.test/x.mp4": "http://",
    f"//a.test/x.mp4?sig={WORD}": "//a.test/x.mp4",
    f"/x.mp4?sig={WORD}": "/x.mp4",
    f"https://p.test/https%3A%2F%2Fa.test%2Fx.mp4%3Fsig%3D{WORD}": "https://p.test/https%3A%2F%2Fa.test%2Fx.mp4",
    f"https://p.test/http://anna:{WORD}@a.test/x.mp4": "@a.test/x.mp4",
}


@pytest.mark.parametrize(("given", "kept"), ADDRESSES.items())
def test_an_address_keeps_host_and_path_alone_wherever_it_stands(given: str, kept: str) -> None:
    shown = [
        redact.address(given),
        redact.header("Location", given),
        redact.header("Content-Location", given),
        redact.header("Link", f"<{given}>; rel=next"),
        redact.header("Refresh", f"5; url={given}"),
        redact.header("X-Media-Url", given),
        redact.text(f"> GET {given}"),
        redact.body(json.dumps({"result_url": given}), 4000),
        redact.body(json.dumps({"n": [{"any": given}]}), 4000),
        redact.body(json.dumps({"result_url": given}).replace("/", "\\/"), 4000),
        redact.body(json.dumps({"error": json.dumps({"url": given})}), 4000),
        redact.body(f"data: {json.dumps({'result_url': given})}\n\n", 4000),
        redact.body(f"see {given} now", 4000),
        redact.body(f'"see {given}', 4000),
    ]
    for each in shown:
        assert WORD not in each
    for each in shown[:2]:
        assert kept in each


@pytest.mark.parametrize(
    "plain",
    [
        "http://a.test/x.mp4",
        "http://a.test:8443/x.mp4",
        "http://[::1]:8080/x.mp4",
        "http://[fe80::a]/x.mp4",
        "no connection to http://a.test: refused",
        "what? is it 3//4",
        "max-age=31536000; includeSubDomains",
    ],
)
def test_what_is_no_secret_is_shown(plain: str) -> None:
    assert redact.text(plain) == plain
    assert json.loads(redact.body(json.dumps({"prompt": plain, "n": [1, None]}), 4000)) == {
        "prompt": plain,
        "n": [1, None],
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Set-Cookie", f"sid={WORD}; Max-Age=1"),
        ("cookie", f"sid={WORD}"),
        ("Authorization", f"Bearer {WORD}"),
        ("Authorization", WORD),
        ("Proxy-Authorization", f"Basic {WORD}"),
        ("X-Api-Key", WORD),
        ("X-Amz-Security-Token", WORD),
        ("Refresh", f"5;URL='/x?sig={WORD}'"),
        ("X-Note", f"Bearer {WORD}{WORD}"),
    ],
)
def test_a_header_that_is_a_secret_is_not_shown(name: str, value: str) -> None:
    assert WORD not in redact.header(name, value)


@pytest.mark.parametrize("encoded", ["A" * 5000, "A+/" * 5000 + "=="])
@pytest.mark.parametrize(
    "shape",
    [
        '{{"b64_json": "{}"}}',
        '{{"image": "{}"}}',
        '["{}"]',
        "see {} now",
        "{}",
        '\ufeff{{"x": "{}"}}',
        '{{"b64_json": "{}',
    ],
)
def test_base64_is_not_shown(shape: str, encoded: str) -> None:
    assert encoded[:300] not in redact.body(shape.format(encoded), 4000)


def test_a_data_address_is_not_shown() -> None:
    for text in (f"data:image/png;base64,{WORD}", f"see data:image/png;base64,{WORD}"):
        assert WORD not in redact.body(text, 4000) + redact.body(json.dumps([text]), 4000)


BIG = 10_000_000
HUGE: dict[str, Callable[[], str]] = {
    "base64": lambda: '{"b64_json":"' + "A" * BIG + '"}',
    "one word": lambda: "a" * BIG,
    "blanks": lambda: " " * BIG,
    "lines": lambda: "\n" * BIG,
    "lists": lambda: "[" * BIG,
    "objects": lambda: "[" + "{}," * (BIG // 3) + "{}]",
    "quotes": lambda: '"' * BIG,
    "escapes": lambda: '"' + '\\"' * (BIG // 2),
    "addresses": lambda: "http://" * (BIG // 7),
    "slashes": lambda: "/" * BIG,
    "users": lambda: "@//" * (BIG // 3),
    "short words": lambda: '["' + '","'.join(["?= " + "x " * 4000] * 1200) + '"]',
    "queries": lambda: '["' + '","'.join(["//u:p@h ?= " + "/u:p@h// " * 900] * 1200) + '"]',
    "JSON in JSON": lambda: json.dumps(json.dumps(json.dumps({"a": "x" * BIG}))),
}


@pytest.mark.parametrize("kind", HUGE)
def test_ten_megabytes_take_no_time(kind: str) -> None:
    text = HUGE[kind]()
    began = time.process_time()
    assert len(redact.body(text, 4000)) <= 4000
    redact.text(text)
    redact.header("Location", text)
    assert time.process_time() - began < 2
