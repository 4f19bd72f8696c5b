"""Hostile text from every side, in every command and every rendering: nothing of it reaches a terminal raw."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

import pytest
from hostile_answers import ALL, TASK, UNSAFE, model, task
from in_process_terminal import run_on_terminal
from program import KEY, World, json_answer
from small_files import tiny_mp4

from airvid.sandbox.emulator import Request, Response

CLIPBOARD = "\x1b]52;c;ZXZpbA==\x07"
MAGENTA = "\x1b[35mmagenta\x1b[0m"
LINK = "\x1b]8;;http://evil.test\x1b\\"
NOTHING_TO_SEE = "a\u200bb\ufeffc\u2060d"
EVIL = f"{CLIPBOARD}{MAGENTA}{LINK}{NOTHING_TO_SEE} 雪 e\u0301 {ALL}"
# What airvid itself says to a terminal: colours, the cursor, clearing, links to web pages and files.
OWN = re.compile(
    r"\x1b\[(?:0|1|2|31|32|33|36|1;3[1236])m|\x1b\[\?25[hl]|\x1b\[\d*[AJK]|\r"
    r"|\x1b\]8;(?:id=[\d-]+)?;(?:https?|file)://[!-~]*\x1b\\|\x1b\]8;;\x1b\\"
)
INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
COMMANDS: list[Sequence[str]] = [
    ["models"],
    ["models", "mine"],
    ["models", EVIL],
    ["create", "a fox", "-m", "mine", "--wait", "--timeout", "40"],
    ["create", "a fox", "-m", "mine", "-o", "{slug}-{model}.mp4", "--timeout", "40"],
    ["create", EVIL.replace("\0", ""), "-m", "mine", "--dry-run"],
    ["create", "a fox", "-m", "mine", "-i", EVIL.replace("\0", "")],
    ["status", TASK],
    ["status", TASK, "last"],
    ["watch", TASK, "--timeout", "40"],
    ["list"],
    ["list", "--local"],
    ["delete", "-y", TASK],
    ["download", TASK, "-o", "{slug}.mp4"],
    ["config", "list"],
    ["config", "get", "model"],
    ["auth", "status"],
]
RENDERINGS = {"terminal": [], "pipe": [], "json": ["--json"], "quiet": ["-q"], "debug": ["--debug"]}


def header(text: str) -> str:
    """As much of a text as a header can carry."""
    return re.sub("[\0\r\n]", "", text.encode("utf-8", "replace").decode("latin-1"))[:4000]


def telling(text: str) -> Callable[[Request], Response | None]:
    """A server that is hostile in all that it tells."""
    mine = {**model(text), "id": "mine"}

    def answer(request: Request) -> Response | None:
        said = {**task(text), "task_id": TASK, "model": "mine"}
        if request.storage:
            return Response(200, {"Content-Disposition": header(f"attachment; filename={text}")}, tiny_mp4())
        if request.route.startswith("/models"):
            return json_answer(200, {"data": [mine, model(text)]}, {"X-Request-ID": header(text)})
        if request.route.endswith("/stream"):
            event = f"event: {text}\nid: {text}\ndata: {json.dumps({**said, 'status': text})}\n\n"
            return Response(200, {"Content-Type": "text/event-stream"}, chunks=[(0, event.encode("utf-8", "replace"))])
        if request.method == "DELETE":
            return json_answer(200, {"deleted": text})
        if request.route.endswith("/tasks"):
            return json_answer(200, {"data": [said, {**said, "task_id": text}, {**said, "task_id": "short-one"}]})
        return json_answer(200, said, {"X-Request-ID": header(text)})

    return answer


def failing(text: str) -> Callable[[Request], Response | None]:
    """One whose tasks fail with hostile words."""
    tell = telling(text)

    def answer(request: Request) -> Response | None:
        if request.method == "GET" and request.route.endswith(TASK):
            return json_answer(200, {"task_id": TASK, "status": "failed", "error": {"message": text, "code": text}})
        return None if request.route.endswith("/stream") else tell(request)

    return answer


def refusing(status: int) -> Callable[[str], Callable[[Request], Response | None]]:
    """One that refuses everything with hostile words, in the body and in the headers."""

    def made(text: str) -> Callable[[Request], Response | None]:
        headers = {"X-Request-ID": header(text), "Retry-After": header(text), "Location": header(text)}
        body = {"error": {"message": text, "code": text, "type": text}, "retry_after": text}
        return lambda _: json_answer(status, body, headers)

    return made


SERVERS = {"telling": telling, "failing": failing, "400": refusing(400), "429": refusing(429), "503": refusing(503)}


def settle_in(world: World) -> None:
    """A machine whose journal, settings and files are as hostile as the server."""
    text = EVIL.replace("\0", "")
    world.airvid("create", text, "-m", "dune-lite")
    config = world.folder.parent / "config" / "airvid" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    told = json.dumps(text.encode("utf-8", "replace").decode())
    config.write_text(f"output = {told}\nquality = {told}\n", "utf-8")
    config.chmod(0o600)
    world.env.setenv("AIRVID_MODEL", text.encode("utf-8", "replace").decode())


def assert_harmless(written: str, *, on_terminal: bool) -> None:
    left = OWN.sub("", written) if on_terminal else written
    assert UNSAFE.findall(left) == []
    assert "http://evil.test\x1b" not in written
    assert "this is a bug" not in written
    assert KEY not in written


@pytest.mark.parametrize("rendering", RENDERINGS)
@pytest.mark.parametrize("server", SERVERS)
def test_nothing_hostile_reaches_a_stream(world: World, server: str, rendering: str) -> None:
    world.env.setenv("FORCE_HYPERLINK", "1")
    world.env.setenv("TERM_PROGRAM", "ghostty")
    settle_in(world)
    for command in COMMANDS:
        world.answer = SERVERS[server](EVIL)
        words = [*command, *RENDERINGS[rendering]]
        if rendering == "terminal":
            played = run_on_terminal(world, *words)
            assert_harmless(played.raw, on_terminal=True)
            assert played.raw, words
        else:
            result = world.airvid(*words)
            assert_harmless(result.out + result.err, on_terminal=False)
            if rendering == "json":
                for line in result.lines:
                    json.loads(line)
            elif rendering != "debug":
                assert INVISIBLE.findall(result.out + result.err) == []


@pytest.mark.parametrize("rendering", ["terminal", "pipe"])
@pytest.mark.parametrize(
    ("server", "commands"),
    [
        ("telling", [["list"], ["status", TASK], ["watch", TASK, "--timeout", "8"], ["models"]]),
        # What else it says, the one before said as well.
        ("failing", [["status", TASK], ["watch", TASK, "--timeout", "8"]]),
        ("400", [["list"], ["status", TASK], ["watch", TASK, "--timeout", "8"], ["models"]]),
    ],
    ids=["telling", "failing", "400"],
)
def test_ten_megabytes_do_no_harm(world: World, server: str, commands: list[list[str]], rendering: str) -> None:
    big = "x[bold]\x1b[35m雪" * 80_000  # in ten fields
    for command in commands:
        world.answer = SERVERS[server](big)
        if rendering == "terminal":
            played = run_on_terminal(world, *command)
            assert len(played.raw) < 200_000
            assert_harmless(played.raw, on_terminal=True)
        else:
            result = world.airvid(*command)
            assert len(result.err) < 50_000


def test_an_error_says_no_more_than_can_be_read(world: World) -> None:
    world.answer = SERVERS["400"]("no " * 3_000_000)
    for more in ([], ["--json"], ["--debug"]):
        assert len(world.airvid("list", *more).err) < 20_000


@pytest.mark.parametrize("name", ["\x1b[35m.mp4", "a\nb.mp4", "\u202egpj.mp4", "[bold]x[nope].mp4", "\udcff.mp4"])
def test_file_names_are_shown_harmless(world: World, name: str) -> None:
    (world.folder / name).write_bytes(b"there already")
    for words in (["create", "x", "-o", name], ["create", "x", "-i", name], ["create", "--prompt-file", name]):
        assert_harmless(run_on_terminal(world, *words).raw, on_terminal=True)
        result = world.airvid(*words)
        assert_harmless(result.out + result.err, on_terminal=False)
    made = run_on_terminal(world, "create", "x", "-m", "wan-2.6", "-o", name, "--force")
    assert made.code == 0
    assert_harmless(made.raw, on_terminal=True)
    assert_harmless(run_on_terminal(world, "list", "--local").raw, on_terminal=True)
    assert_harmless(run_on_terminal(world, "status", "last").raw, on_terminal=True)


def test_a_key_in_an_answer_is_not_shown_in_a_table_or_behind_a_link(world: World) -> None:
    world.env.setenv("FORCE_HYPERLINK", "1")
    told = {"task_id": TASK, "status": "completed", "prompt": f"my key {KEY}", "result_url": f"http://x.test/{KEY}"}
    world.answer = lambda request: json_answer(200, {"data": [told]} if request.route.endswith("/tasks") else told)
    for command in (["list"], ["status", TASK], ["watch", TASK]):
        assert KEY not in run_on_terminal(world, *command).raw


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "http://x.test/\x1b]52;c;x\x07", "http://x.test/\x1b\\", "file:///etc/passwd", "x" * 5000],
)
def test_only_clean_web_addresses_become_links(world: World, url: str) -> None:
    world.env.setenv("FORCE_HYPERLINK", "1")
    told = {"task_id": TASK, "status": "completed", "result_url": url}
    world.answer = lambda _: json_answer(200, {"data": [told]})
    assert_harmless(run_on_terminal(world, "list").raw, on_terminal=True)
    assert re.findall(r"\x1b\]8;[^;]*;((?!https?://|file://)[^\x1b]+)\x1b", run_on_terminal(world, "list").raw) == []
