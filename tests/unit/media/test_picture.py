"""What is taken for a picture, and what only begins like one."""

from __future__ import annotations

import io
import struct

import pytest

from airvid.media import picture

pytest.importorskip("PIL", reason="Pillow (the extra media) is not installed")
from PIL import Image

# An AVIF or HEIC as far as it tells its size: a grid of tiles, and the whole.
HEIC = b"\0\0\0\x1cftypheic" + b"\0" * 16
HEIC += b"".join(b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", *size) for size in ((5, 4), (7, 5)))
OLD_BMP = b"BM" + b"\0" * 12 + (12).to_bytes(4, "little") + (7).to_bytes(2, "little") + (5).to_bytes(2, "little")


def made(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (7, 5)).save(buffer, kind, **options)
    return buffer.getvalue()


PICTURES = {
    "PNG": made("PNG"),
    "JPEG": made("JPEG"),
    "progressive JPEG": made("JPEG", progressive=True, comment=b"x" * 300),
    "WebP": made("WEBP"),
    "lossless WebP": made("WEBP", lossless=True),
    "WebP with more": made("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "GIF": made("GIF"),
    "BMP": made("BMP"),
    "old BMP": OLD_BMP,
    "TIFF": made("TIFF"),
    "HEIC": HEIC,
    "AVIF": HEIC.replace(b"heic", b"avif"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_each_kind_is_a_picture(kind: str) -> None:
    assert picture.is_picture(PICTURES[kind])


@pytest.mark.parametrize("kind", PICTURES)
def test_a_beginning_alone_is_no_picture(kind: str) -> None:
    """No length makes it fail in another way, either."""
    found = [picture.is_picture(PICTURES[kind][:length]) for length in range(len(PICTURES[kind]))]
    assert not any(found[:12])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"BMhello and more text that goes on", b"GIF89a" + b"\0" * 30, b"\xff\xd8\xff\xe0" + b"\0" * 30,
        b"\xff\xd8" + b"\xff" * 100, b"RIFF\x10\0\0\0WEBPVP8 ", b"RIFF\x10\0\0\0WAVEfmt ", b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff", b"\0\0\0\x1cftypisom" + b"\0" * 40, b"\0\0\0\x1cftypavif" + b"\0" * 20, b"<svg/>",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x05" + b"\0" * 20, b"BM" + b"\0" * 12 + b"(" + b"\0" * 40,
    ],
)  # fmt: skip
def test_what_only_begins_like_a_picture_is_none(content: bytes) -> None:
    assert not picture.is_picture(content)
