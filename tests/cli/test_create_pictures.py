"""Pictures for a create: where they may come from, what counts as one, and what of them is sent."""

from __future__ import annotations

import base64
import io
import os
import sys
import threading
from pathlib import Path

import pytest
from program import World
from small_files import PNG, png, png_chunk

IMAGE_MODEL = ["-m", "wan-2.6", "-d", "8"]
# EXIF of a camera that was held upright: turned by 90 degrees, with a place on earth.
EXIF = bytes.fromhex(
    "4d4d002a000000080002" "011200030000000100060000" "88250004000000010000002600000000"
    "0001" "000100020000000253000000" "00000000"
)  # fmt: skip


def sent_picture(world: World) -> bytes:
    (body,) = world.posts
    assert body["mode"] == "image"
    return base64.b64decode(body["input_images"][0]["b64_json"])


@pytest.mark.parametrize(
    "address",
    ["-", "file://{folder}/a%20fox.png", "file:{folder}/a%20fox.png", "FILE://localhost{folder}/a%20fox.png",
     "data:image/png;base64,{base64}", "data:image/png,{percent}", "{folder}/a fox.png", "{pipe}"],
)  # fmt: skip
def test_a_picture_comes_from_wherever_a_shell_can_name_one(world: World, address: str) -> None:
    (world.folder / "a fox.png").write_bytes(PNG)
    pipe = world.folder / "pipe"
    if "{pipe}" in address:
        if not hasattr(os, "mkfifo"):
            pytest.skip("no FIFO here")
        os.mkfifo(pipe)
        threading.Thread(target=pipe.write_bytes, args=(PNG,), daemon=True).start()
    percent = "".join(f"%{byte:02x}" for byte in PNG)
    word = address.format(folder=world.folder, base64=base64.b64encode(PNG).decode(), percent=percent, pipe=pipe)
    result = world.airvid("create", "it snows", "-i", word, *IMAGE_MODEL, stdin=PNG)
    assert result.code == 0, result.err
    assert sent_picture(world) == PNG


@pytest.mark.parametrize(
    "content",
    [b"BM is how this text begins, and it goes on for a while", PNG[:10], b"\xff\xd8\xff\xe0" + b"\0" * 30, b"GIF89a"],
)
@pytest.mark.parametrize("address", ["a.png", "-", "data:"])
def test_what_only_begins_like_a_picture_is_refused(world: World, content: bytes, address: str) -> None:
    (world.folder / "a.png").write_bytes(content)
    word = address if address != "data:" else f"data:;base64,{base64.b64encode(content).decode()}"
    result = world.airvid("create", "x", "-i", word, *IMAGE_MODEL, stdin=content)
    assert (result.code, world.posts) == (11, [])
    assert "is not an image" in result.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["x", "-i", "data:image/png;base64,%%%"], 11),
        (["x", "-i", "data:image/png"], 11),
        (["x", "-i", "file://elsewhere/fox.png"], 11),
        (["x", "-i", "file:///no/such/fox.png"], 11),
        (["-", "-i", "-"], 2),
        (["--prompt-file", "-", "-i", "-"], 2),
    ],
)
def test_a_picture_that_is_not_there_is_refused(world: World, words: list[str], code: int) -> None:
    result = world.airvid("create", *words, *IMAGE_MODEL, stdin=PNG)
    assert (result.code, world.posts) == (code, []), result.err


# ---------------------------------------------------------------------- rotation and metadata


def photograph(kind: str) -> bytes:
    image = pytest.importorskip("PIL.Image", reason="Pillow (the extra media) is not installed")
    buffer = io.BytesIO()
    picture = image.new("RGB", (64, 48))
    picture.paste((255, 0, 0), (0, 0, 64, 24))  # red above, black below, as the sensor saw it
    picture.save(buffer, kind, exif=b"Exif\0\0" + EXIF)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_is_sent_upright_and_without_its_place(world: World, kind: str) -> None:
    (world.folder / "fox.jpg").write_bytes(photograph(kind))
    result = world.airvid("create", "it snows", "-i", "fox.jpg", *IMAGE_MODEL)
    assert result.code == 0, result.err
    from PIL import Image

    with Image.open(io.BytesIO(sent_picture(world))) as sent:
        assert (sent.format, sent.size) == (kind, (48, 64))
        assert not sent.getexif()
        left, right = sent.convert("RGB").getpixel((5, 30)), sent.convert("RGB").getpixel((43, 30))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] < 60 < 200 < right[0]
    assert "warning" not in result.err


@pytest.mark.parametrize("has_library", [True, False])
def test_words_in_a_picture_stay_here_where_that_can_be_done(world: World, has_library: bool) -> None:
    content = png(4, 3, png_chunk(b"tEXt", b"Author\0a secret"))
    (world.folder / "fox.png").write_bytes(content)
    if has_library:
        pytest.importorskip("PIL", reason="Pillow (the extra media) is not installed")
    else:
        world.env.setitem(sys.modules, "PIL", None)
    assert world.airvid("create", "x", "-i", "fox.png", *IMAGE_MODEL).code == 0
    assert (b"secret" in sent_picture(world)) is not has_library


def test_without_the_library_a_rotation_and_a_place_are_warned_of(world: World) -> None:
    world.env.setitem(sys.modules, "PIL", None)
    content = png(64, 48, png_chunk(b"eXIf", EXIF))
    (world.folder / "fox.png").write_bytes(content)
    result = world.airvid("create", "it snows", "-i", "fox.png", *IMAGE_MODEL)
    assert (result.code, sent_picture(world)) == (0, content)
    (warning,) = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert "lying on its side" in warning
    assert "where it was taken" in warning


@pytest.mark.parametrize(
    "content", [PNG, png(4, 3, png_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"))], ids=["plain", "broken"]
)
def test_a_picture_without_metadata_is_sent_as_it_is(world: World, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fox.png").write_bytes(content)
    result = world.airvid("create", "x", "-i", str(tmp_path / "fox.png"), *IMAGE_MODEL)
    assert (result.code, sent_picture(world)[:8]) == (0, content[:8])
    assert "warning" not in result.err
