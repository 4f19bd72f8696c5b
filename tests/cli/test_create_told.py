"""What create says before it spends anything: what is bought, and only what is wrong."""

from __future__ import annotations

import shlex

import pytest
from creates import CREATE
from in_process_terminal import run_on_terminal
from program import World, json_answer
from small_files import PNG

from airvid.sandbox.emulator import Fault, Request


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "dune-lite (the cheapest that fits): 2 s (its shortest), its own shape, estimated at $0.002"),
        (
            ["-m", "wan-2.6", "-d", "8", "-a", "9:16", "--quality", "720P"],
            "wan-2.6: 8 s, 9:16, 720p, estimated at $0.18",
        ),
        (["-m", "wan-2.6", "-d", "8", "-n", "3"], "3 clips of wan-2.6: 8 s, its own shape, estimated at $0.54 in all"),
        (["-m", "cogvideox-5b"], "cogvideox-5b: its own length, its own shape, price unknown"),
        (["-m", "new", "--no-validate"], "new: its own length, its own shape, price unknown"),
    ],
)
def test_what_is_bought_is_said_before_the_post(world: World, options: list[str], told: str) -> None:
    said: list[str] = []

    def look(request: Request) -> None:
        if request.method == "POST" and not said:
            said.append(world.capture.readouterr()[1].decode())

    world.connect = look
    world.airvid("create", "fox in snow", *options)
    assert said == [f"{told}\n"]
    assert world.airvid("create", "fox in snow", *options, "-q").err.count(told) == 0


@pytest.mark.parametrize("source", ["AIRVID_MODEL", "config.toml"])
def test_a_model_that_a_setting_names_is_told_with_the_setting(world: World, source: str) -> None:
    if source == "AIRVID_MODEL":
        world.env.setenv("AIRVID_MODEL", "wan-2.6")
    else:
        world.airvid("config", "set", "model", "wan-2.6")
    result = world.airvid("create", "fox")
    assert result.err.startswith("wan-2.6 (as ")
    assert f"{source} says): 2 s (its shortest)" in result.err


@pytest.mark.parametrize(
    ("options", "file", "command"),
    [
        ([], None, "airvid watch last -o fox-in-snow.mp4"),
        ([], "fox-in-snow.mp4", "airvid watch -o ./"),
        (["-n", "2"], None, "airvid watch -o ./"),
        (["-q"], None, None),
        (["--json"], None, None),
        (["--wait"], None, None),
    ],
)
def test_on_a_terminal_the_next_command_is_told(
    world: World, options: list[str], file: str | None, command: str | None
) -> None:
    if file:
        (world.folder / file).write_bytes(b"older")
    run = run_on_terminal(world, "create", "fox in snow", "-m", "wan-2.6", *options)
    assert run.code == 0
    next_ = [line.removeprefix("next: ") for line in run.screen.splitlines() if line.startswith("next: ")]
    assert next_ == ([] if command is None else [command])
    if command:
        assert world.airvid(*shlex.split(command)[1:]).code == 0
        assert len(list(world.folder.glob("*fox-in-snow*.mp4"))) == (2 if file or "-n" in options else 1)


def test_in_a_log_there_is_no_next_command(world: World) -> None:
    assert "next:" not in world.airvid(*CREATE).err


def test_the_defaults_are_in_the_help(world: World) -> None:
    shown = " ".join(world.airvid("create", "--help").out.split())
    assert "the cheapest healthy model that fits, its shortest length" in shown
    assert "count up" in shown


# ---------------------------------------------------------------------- a prompt that is the name of a file


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["fox.png"], "airvid create PROMPT -i fox.png"),
        (["./fox.png"], "airvid create PROMPT -i ./fox.png"),
        (["-r", "a.png", "b c.png"], "airvid create PROMPT -r a.png -r 'b c.png'"),
        (["prompt.txt"], "airvid create --prompt-file prompt.txt"),
        (["@prompt.txt"], "airvid create --prompt-file prompt.txt"),
        (["~/prompt.txt"], "airvid create --prompt-file '~/prompt.txt'"),
        (["fox.mp4"], "airvid create PROMPT --extend fox.mp4"),
        (["file:fox.png"], "airvid create PROMPT -i file:fox.png"),
    ],
)
def test_a_prompt_that_is_the_name_of_a_file_is_a_question(world: World, words: list[str], meant: str) -> None:
    for name in ("fox.png", "a.png", "b c.png"):
        (world.folder / name).write_bytes(PNG)
    (world.folder / "prompt.txt").write_text("a fox")
    (world.folder / "fox.mp4").write_text("a clip")
    world.env.setenv("HOME", str(world.folder))
    result = world.airvid("create", *words)
    assert (result.code, world.posts) == (2, [])
    assert f"hint: {meant}; " in result.err
    assert run_on_terminal(world, "create", *words, typed="n\n").code == 2
    assert run_on_terminal(world, "create", *words, "--json", typed="y\n").code == 2
    assert world.posts == []
    assert run_on_terminal(world, "create", *words, typed="y\n").code == 0
    assert [body["prompt"] for body in world.posts] == [words[-1]]


@pytest.mark.parametrize("words", [["takes"], ["none.png"], ["@none"], ["x" * 5000], ["a\nfox"], ["@"], ["-"]])
def test_words_that_name_no_file_are_words(world: World, words: list[str]) -> None:
    (world.folder / "takes").mkdir()
    assert world.airvid("create", *words, stdin=b"fox").code == 0


@pytest.mark.parametrize("content", ["fox in snow".encode("utf-16"), "fox".encode("utf-16-le"), b"a fox\0"])
@pytest.mark.parametrize("source", ["-", "--prompt-file"])
def test_a_prompt_that_is_no_text_is_not_paid_for(world: World, content: bytes, source: str) -> None:
    (world.folder / "p.txt").write_bytes(content)
    result = world.airvid("create", *(["-"] if source == "-" else [source, "p.txt"]), stdin=content)
    assert (result.code, world.posts) == (2, [])
    assert "UTF-8" in result.err


# ---------------------------------------------------------------------- only what is wrong

HEALTHY = "no healthy model makes "
URL = "http://h/fox.png"
OFFER = " (there is 480p, 720p, 768p, 1080p)"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-a", "16x9", "-d", "8"], f"{HEALTHY}--aspect-ratio 16x9; did you mean 16:9?"),
        (["--quality", "1080", "-d", "8"], f"{HEALTHY}--quality 1080; did you mean 1080p?"),
        (["--quality", "1080", "-m", "mochi-1"], "--quality 1080 is not for mochi-1: it takes 480p"),
        (["--quality", "8k"], f"{HEALTHY}--quality 8k{OFFER}"),
        (["-a", "1x1", "--quality", "8k"], f"{HEALTHY}--aspect-ratio 1x1; did you mean 1:1? Nor --quality 8k{OFFER}"),
        (["-d", "99", "--max-cost", "1"], f"{HEALTHY}--duration 99 (there is 2 to 15 seconds)"),
        (["-d", "99", "-a", "16:9"], f"{HEALTHY}--duration 99 (there is 2 to 15 seconds)"),
        (["-d", "13", "-a", "4:3"], f"{HEALTHY}--aspect-ratio 4:3 with --duration 13, though each alone"),
        (["-i", URL, "-d", "13", "-a", "4:3"], f"{HEALTHY}--aspect-ratio 4:3 with --duration 13, though each alone"),
        (["-m", "mochi-1", "-a", "16x9"], "--aspect-ratio 16x9 is not for mochi-1: it takes 16:9; did you mean 16:9?"),
        (["-m", "mochi-1", "-i", URL], "--image is not for mochi-1: it takes mode text"),
        (["-m", "wan-2.6", "-r", URL], "--reference is not for wan-2.6: it takes mode text, image"),
        (["-m", "mochi-1", "--mode", "image", "-i", URL], "--mode image is not for mochi-1: it takes mode text"),
        (["-m", "Wan-2.6"], "there is no video model 'Wan-2.6'; did you mean wan-2.6?"),
        (["-m", ""], "--model is empty; it takes text"),
        (["-o", "a.mp4", "--no-wait"], "--no-wait contradicts -o, which waits for the clip"),
        (["--preview", "--no-wait"], "--no-wait contradicts --preview, which waits for the clip"),
    ],
)  # fmt: skip
def test_a_complaint_names_only_what_is_wrong(world: World, options: list[str], told: str) -> None:
    result = world.airvid("create", "fox", *options)
    assert (result.code, world.posts) == (2, [])
    errors = [line.removeprefix("error: ") for line in result.err.splitlines() if line.startswith("error: ")]
    if "--preview" in options:
        errors = errors[:1]  # a pipe shows no preview, either
    assert errors == [told]


@pytest.mark.parametrize("source", ["AIRVID_", "config.toml"])
@pytest.mark.parametrize(
    ("name", "value", "code"),
    [("mode", "image", 2), ("model", "no-such", 2), ("quality", "1080", 2), ("max-cost", "0.001", 7)],
)  # fmt: skip
def test_an_option_that_was_not_typed_is_told_with_its_setting(
    world: World, source: str, name: str, value: str, code: int
) -> None:
    if source == "config.toml":
        world.airvid("config", "set", name, value)
    else:
        source = f"AIRVID_{name.upper().replace('-', '_')}"
        world.env.setenv(source, value)
    result = world.airvid("create", "fox")
    assert (result.code, world.posts) == (code, [])
    told = next(line for line in result.err.splitlines() if line.startswith("error: "))
    assert f"(--{name} is what " in told
    assert f"{source} says)" in told


@pytest.mark.parametrize(
    ("name", "value", "options", "saved"),
    [("output", "fox.mp4", ["--no-wait"], False), ("open", "true", [], False), ("output", "fox.mp4", [], True)],
)
def test_a_stored_setting_stands_in_no_line_s_way(
    world: World, name: str, value: str, options: list[str], saved: bool
) -> None:
    world.airvid("config", "set", name, value)
    assert world.airvid("create", "fox", *options).code == 0
    assert (world.folder / "fox.mp4").exists() is saved


@pytest.mark.parametrize(("cost", "told"), [(None, "submitted"), (24, "submitted, for $0.24")])
def test_the_price_is_told_again_only_where_the_server_says_another(world: World, cost: int | None, told: str) -> None:
    if cost is not None:
        made = {"task_id": "5e6a1f00-0000-4000-8000-000000000000", "status": "queued", "cost_cents": cost}
        world.emulator.faults.append(Fault("POST", json_answer(200, made)))
    said = world.airvid(*CREATE, "--wait", "--timeout", "1").err.splitlines()
    assert (said[0].count("estimated at $0.18"), said[1].partition(" ")[2].partition(" ")[2]) == (1, told)


@pytest.mark.parametrize(
    ("word", "is_hinted"), [("-fox", True), ("--a fox runs", True), ("--bogus", False), ("-z", False)]
)
def test_a_prompt_that_begins_with_a_dash_is_hinted_at(world: World, word: str, is_hinted: bool) -> None:
    result = world.airvid("create", word)
    assert result.code == 2
    assert (f"airvid create -- {shlex.quote(word)}" in result.err) == is_hinted
    assert world.airvid("create", "--", word).code == 0


@pytest.mark.parametrize(
    ("length", "code"), [("0", 0), ("1h30m", 0), ("1h 30m", 0), ("1m30s", 0), ("20s", 10), ("0.3m", 10), ("20", 10)]
)
@pytest.mark.parametrize("command", ["create", "watch"])
def test_a_time_has_several_units_and_0_is_no_limit(world: World, length: str, code: int, command: str) -> None:
    if command == "watch":
        world.airvid(*CREATE)
    line = [*CREATE, "--wait"] if command == "create" else ["watch", "last"]
    assert world.airvid(*line, "--timeout", length).code == code


@pytest.mark.parametrize("length", ["", "1h30", "30m1h", "1h1h", "m", "-1", "1e3", "1d x", "9" * 400])
def test_what_is_no_length_of_time_is_refused(world: World, length: str) -> None:
    result = world.airvid(*CREATE, "--wait", f"--timeout={length}")
    assert (result.code, world.posts) == (2, [])
