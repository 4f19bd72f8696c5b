"""What a manifest may say, and every kind of one that says something else: nothing is sent then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from manifests import write
from program import World
from small_files import PNG

DEEP = b'{"prompt": "fox", "set": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


BAD: dict[str, tuple[bytes | Callable[[], bytes], str, int]] = {
    "broken UTF-8": (b'{"prompt": "fo\xffx"}', "m.jsonl:1: column 15: it is not UTF-8 text", 2),
    "broken JSON": (b'\n# a note\n{"prompt": "fox"', "m.jsonl:3: column 17: no valid JSON: Expecting ',' delimiter", 2),
    "no object": (b"[1]", "m.jsonl:1: a row is an object", 2),
    "an empty file": (b"", "m.jsonl has no row", 2),
    "only comments": (b"# nothing\n\n", "m.jsonl has no row", 2),
    "a line of 50 MB": (
        lambda: b'{"prompt": "' + b"x" * (50 << 20) + b'"}',
        "m.jsonl:1: the line is longer than 1 MB",
        2,
    ),
    "a file of 70 MB": (lambda: b" " * (70 << 20), "is larger than 64 MB", 2),
    "NaN": (b'{"prompt": "fox", "seed": NaN}', "m.jsonl:1: NaN is no number in JSON", 2),
    "null": (b'{"prompt": "fox", "seed": null}', "m.jsonl:1: seed is null; leave the key out", 2),
    "null in set": (b'{"prompt": "fox", "set": {"a": null}}', "m.jsonl:1: --set a=null", 2),
    "a key twice": (b'{"prompt": "fox", "prompt": "wolf"}', "the key 'prompt' is there twice", 2),
    "a key in two spellings": (
        b'{"prompt": "f", "aspect-ratio": "1:1", "aspect_ratio": "1:1"}', "the key 'aspect-ratio' is there twice", 2,
    ),
    "an unknown key": (b'{"promt": "fox"}', "m.jsonl:1: unknown key 'promt'; did you mean prompt", 2),
    "a key of another option": (b'{"prompt": "fox", "wait": true}', "m.jsonl:1: unknown key 'wait'", 2),
    "after itself": (b'{"prompt": "fox", "id": "a", "extend": "a"}', "m.jsonl:1: extend makes a circle", 2),
    "in a circle": (
        b'{"prompt": "f", "extend": 2}\n{"prompt": "g", "extend": 1}',
        "m.jsonl:2: extend makes a circle",
        2,
    ),
    "after no row": (b'{"prompt": "fox", "extend": "b"}', "m.jsonl:1: extend 'b': there is no such row", 2),
    "after a row that is after no row": (
        b'{"prompt": "f", "extend": 2}\n{"prompt": "g", "extend": "b"}', "m.jsonl:2: extend 'b': there is no such", 2,
    ),
    "after a row that cannot be read": (b'{"prompt": "f", "extend": "a"}\n{"id": "a"', "m.jsonl:2: column 11: no", 2),
    "after many clips": (
        b'{"prompt": "f", "count": 2}\n{"prompt": "g", "extend": 1}',
        "m.jsonl:2: extend '1': that row has 2 clips",
        2,
    ),
    "after a row with a picture of its own": (
        b'{"prompt": "f"}\n{"prompt": "g", "extend": 1, "image": "http://a.test/b.png"}',
        "m.jsonl:2: extend contradicts image",
        2,
    ),
    "after a row, as text": (
        b'{"prompt": "f"}\n{"prompt": "g", "extend": 1, "mode": "text"}',
        "m.jsonl:2: extend contradicts image",
        2,
    ),
    "no prompt": (b'{"duration": 4}', "m.jsonl:1: no prompt", 2),
    "an empty prompt": (b'{"prompt": "  "}', "m.jsonl:1: the prompt is empty", 2),
    "a prompt of another type": (b'{"prompt": 7}', "m.jsonl:1: prompt is text, and not 7", 2),
    "a prompt that is a file": (b'{"prompt": "m.jsonl"}', "m.jsonl:1: the prompt 'm.jsonl' is the name", 2),
    "a picture from standard input": (b'{"prompt": "f", "image": "-"}', "m.jsonl:1: image is a file here", 2),
    "seeds beyond the largest": (
        b'{"prompt": "f", "seed": 9223372036854775807, "count": 2}', "m.jsonl:1: the seed of clip 2", 2,
    ),
    "half a character": (b'{"prompt": "fox \\ud800"}', "m.jsonl:1: prompt is not valid UTF-8 text", 2),
    "half a character in a name": (
        b'{"prompt": "f", "output": "\\udfff.mp4"}', "m.jsonl:1: output is not valid UTF-8 text", 2,
    ),
    "half a character in a list": (
        b'{"prompt": "f", "reference": ["a", "\\udfff"]}', "m.jsonl:1: reference is not valid UTF-8 text", 2,
    ),
    "a prompt file with a nul": (b'{"prompt-file": "a\\u0000"}', "m.jsonl:1: the prompt file a", 11),
    "a prompt file without an end": (b'{"prompt-file": "/dev/zero"}', "the prompt in /dev/zero is longer than 1 MB", 2),
    "infinity": (b'{"prompt": "fox", "set": {"a": [1e400]}}', "m.jsonl:1: 1e400 is no number in JSON", 2),
    "a duration in words": (b'{"prompt": "f", "duration": "long"}', "m.jsonl:1: duration: 'long' is not", 2),
    "a duration as a list": (b'{"prompt": "f", "duration": [4]}', "m.jsonl:1: duration: '[4]' is not", 2),
    "a huge number": (b'{"prompt": "f", "seed": 1' + b"0" * 5000 + b"}", "m.jsonl:1: no valid JSON", 2),
    "what no model allows": (b'{"prompt": "f", "duration": 99}', "m.jsonl:1: no healthy model makes --duration 99", 2),
    "what the model does not allow": (
        b'{"prompt": "f", "model": "wan-2.6", "duration": 99}', "m.jsonl:1: --duration 99 is not for wan-2.6", 2,
    ),
    "an unknown model": (b'{"prompt": "f", "model": "wan-26"}', "m.jsonl:1: there is no video model 'wan-26'", 2),
    "a missing picture": (b'{"prompt": "f", "image": "none.png"}', "m.jsonl:1: the image none.png cannot be read", 11),
    "picture and reference": (
        b'{"prompt": "f", "image": "http://a/a.png", "reference": "http://a/b.png"}', "m.jsonl:1: --image and", 2,
    ),
    "set is no object": (b'{"prompt": "f", "set": "a=1"}', "m.jsonl:1: set is an object", 2),
    "a deep value": (DEEP, "m.jsonl:1: ", 2),
    "standard output": (b'{"prompt": "f", "output": "-"}', "m.jsonl:1: a batch saves its clips to files", 2),
    "a bad template": (b'{"prompt": "f", "output": "{x}.mp4"}', "m.jsonl:1: -o has no field {x}; there are {id}", 2),
    "a seed in a name": (b'{"prompt": "f", "output": "{seed}.mp4"}', "m.jsonl:1: -o uses {seed}, but no seed", 2),
    "two ids": (b'{"id": "a", "prompt": "f"}\n{"id": "a", "prompt": "g"}', "m.jsonl:2: the id 'a' is that of line 1", 2),  # noqa: E501
    "an id with controls": (b'{"id": "a\\u0007", "prompt": "f"}', "m.jsonl:1: an id has up to 100 characters", 2),
    "one output for two": (
        b'{"prompt": "f", "output": "a.mp4"}\n{"prompt": "g", "output": "./a.mp4"}',
        "m.jsonl:2: its clip and that of line 1 would both be", 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_with_its_line(world: World, name: str) -> None:
    content, said, code = BAD[name]
    (world.folder / "m.jsonl").write_bytes(content if isinstance(content, bytes) else content())
    result = world.airvid("batch", "m.jsonl", "-o", "clips/")
    assert (result.code, world.posts) == (code, [])
    assert f"error: {said}" in result.err or said in result.err
    assert result.err.count("error: ") == 1 or name == "in a circle"
    assert not (world.folder / "clips").exists()


BAD_CSV = {
    "no header": (b"a fox,4\na wolf,4\n", "m.csv:1: a CSV manifest begins with a header"),
    "an unknown column": (b"prompt,lenght\nf,4\n", "m.csv:1: unknown key 'lenght'"),
    "a column in two spellings": (b"prompt,seed,Seed\nf,1,2\n", "m.csv:1: the column 'seed' is there twice"),
    "the same column": (b"prompt,seed,seed\nf,1,2\n", "m.csv:1: the column 'seed' is there twice"),
    "more fields": (b"prompt,seed\nf,1,2\n", "m.csv:2: 3 fields, and the header has 2"),
    "an open quote": (b'prompt\n"a fox\n', "m.csv:2: no valid CSV: unexpected end of data"),
    "broken UTF-8": (b"prompt\na f\xffx\n", "m.csv:2: column 4: it is not UTF-8 text"),
    "a value": (b'prompt,duration\n"two\nlines",4\nf,x\n', "m.csv:4: duration: 'x' is not a whole number"),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_what_is_wrong_in_csv_is_told_with_its_line(world: World, name: str) -> None:
    content, said = BAD_CSV[name]
    (world.folder / "m.csv").write_bytes(content)
    result = world.airvid("batch", "m.csv", "-o", "clips/")
    assert (result.code, world.posts) == (2, [])
    assert f"error: {said}" in result.err


@pytest.mark.parametrize("name", ["folder", "missing", "nul"])
def test_what_is_no_manifest_is_an_error_of_a_file(world: World, name: str) -> None:
    (world.folder / "folder").mkdir()
    result = world.airvid("batch", {"nul": "a\0b"}.get(name, name))
    assert (result.code, world.calls) == (11, [])


def test_all_complaints_come_at_once_and_of_very_many_the_first(world: World) -> None:
    write(world.folder, *({"prompt": f"fox {n}"} for n in range(10_000)))
    result = world.airvid("batch", "m.jsonl", "-o", "fox.mp4")
    assert (result.code, world.posts) == (2, [])
    assert result.err.count("would both be fox.mp4") == 50
    assert "and 9,949 more complaints" in result.err
    extends = {"prompt": "f", "extend": 5}
    write(world.folder, extends, {"prompt": "f", "image": "none.png"}, {"promt": 1}, {"extend": 5}, {"prompt": "g"})
    result = world.airvid("batch", "m.jsonl", "--only", "9")
    assert result.code == 2
    assert [line.split(":")[2] for line in result.err.splitlines() if line.startswith("error: m")] == ["2", "3", "4"]
    write(world.folder, {"id": "fox", "promt": "a fox"})
    for row, count in (("fox", 1), ("1", 1), ("2", 2)):
        assert world.airvid("batch", "m.jsonl", "--only", row).err.count("error: ") == count


@pytest.mark.parametrize(
    ("option", "value"), [("-o", ""), ("-o", "-"), ("-o", "{x}.mp4"), ("-o", "a.mov"), ("-d", "long"), ("-n", "0")]
)
def test_what_is_wrong_with_an_option_is_told_once(world: World, option: str, value: str) -> None:
    write(world.folder, *({"prompt": f"fox {n}"} for n in range(3)))
    result = world.airvid("batch", "m.jsonl", option, value)
    assert (result.code, world.posts, result.err.count("error: ")) == (2, [], 1), result.err


def test_csv_says_the_same_as_jsonl(world: World) -> None:
    (world.folder / "rows").mkdir()
    (world.folder / "rows" / "fox.png").write_bytes(PNG)
    (world.folder / "rows" / "m.csv").write_bytes(
        b"\xef\xbb\xbfid,Prompt,model,duration,aspect_ratio,image,set.fps,output\r\n"
        b"# a note, with a \"quote\r\n\r\n"
        b'one,"a fox,\r\nand ""snow""",wan-2.6,4,,,,\r\n'
        b"two,a wolf,,,1:1,fox.png,24,own.mp4\r\n"
    )  # fmt: skip
    result = world.airvid("batch", "rows/m.csv", "-o", "out/{row}.mp4")
    assert result.code == 0, result.err
    one, two = world.posts
    assert one == {"model": "wan-2.6", "prompt": 'a fox,\r\nand "snow"', "mode": "text", "duration_seconds": 4}
    assert (two["aspect_ratio"], two["fps"], two["mode"]) == ("1:1", 24, "image")
    assert sorted(str(each.relative_to(world.folder)) for each in world.folder.rglob("*.mp4")) == [
        "out/one.mp4",
        "rows/own.mp4",
    ]


def test_what_a_row_does_not_say_the_options_say(world: World) -> None:
    (world.folder / "text.txt").write_text("from a file\n")
    write(
        world.folder,
        {"prompt": "fox", "duration": 4, "set": {"fps": "24"}},
        {"prompt-file": "text.txt", "model": "wan-2.6", "reference": []},
    )
    options = ["-d", "8", "--seed", "3", "--set", "fps=30", "--set", "style=noir", "-r", "http://a.test/a.png"]
    result = world.airvid("batch", "m.jsonl", "-m", "dune-lite", "-o", "{row}-{line}.mp4", *options)
    assert result.code == 0, result.err
    one, two = world.posts
    assert (one["model"], one["duration_seconds"], one["fps"], one["style"]) == ("dune-lite", 4, "24", "noir")
    assert one["input_images"] == [{"url": "http://a.test/a.png"}]
    assert (two["prompt"], two["model"], two["fps"], two["seed"]) == ("from a file", "wan-2.6", 30, 3)
    assert "input_images" not in two
    names = sorted(each.name for each in world.folder.glob("*.mp4"))
    assert [name[8:] for name in names] in (["-1.mp4", "-2.mp4"], ["-2.mp4", "-1.mp4"])


def test_standard_input_is_jsonl(world: World) -> None:
    result = world.airvid("batch", "-", "-o", "{row}.mp4", stdin=b'{"prompt": "fox", "id": "a"}\n\n# x\n')
    assert (result.code, result.lines[0].split("\t")[::3]) == (0, ["a", "a.mp4"])
    again = world.airvid("batch", "-", "-o", "{row}.mp4", stdin=b'{"prompt": "fox", "id": "a"}')
    assert (again.code, again.out, len(world.posts)) == (0, "", 1)
