"""A picture's size and orientation, read from its bytes; with Pillow it is turned upright and loses its metadata."""

from __future__ import annotations

import io
import re
import struct
from typing import Any

from airvid import system

# Where EXIF begins, in a TIFF header of its own: a segment of JPEG or HEIC, a chunk of PNG or WebP.
_EXIF = re.compile(rb"(?:Exif\0\0|eXIf|EXIF.{4})(?=II\*\0|MM\0\*)", re.DOTALL)
_WIDTH, _HEIGHT, _ORIENTATION, _GPS = 256, 257, 274, 34853  # tags of TIFF
# JPEG's segments that hold the size, and those without a length.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_BARE = {0x01, *range(0xD0, 0xD9)}
# The sizes of a BMP's header: older ones count in 16 bits.
_OLD_BMP, _BMP = 12, (40, 52, 56, 64, 108, 124)
_GIF_HEAD = 13  # bytes
# What Pillow writes as the same picture. A phone's MPO is a JPEG with more pictures behind it.
_WRITTEN_AS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}


def dimensions(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, JPEG, WebP, GIF, BMP, TIFF, HEIC or AVIF; None where it is none."""
    try:
        width, height = _dimensions(content)
    except (struct.error, IndexError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _dimensions(content: bytes) -> tuple[int, int]:
    """Raises: struct.error, IndexError where the content ends too early."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR":
        return _pair(">II", content, 16)
    if content.startswith((b"GIF87a", b"GIF89a")) and len(content) >= _GIF_HEAD:
        return _pair("<HH", content, 6)
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content.startswith(b"BM"):
        (size,) = struct.unpack_from("<I", content, 14)
        width, height = _pair("<HH", content, 18) if size == _OLD_BMP else _pair("<ii", content, 18)
        return (width, abs(height)) if size in (_OLD_BMP, *_BMP) else (0, 0)
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return _webp(content)
    if content.startswith((b"II*\0", b"MM\0*")):
        tags = _tags(content)
        return tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    if re.match(rb".{4}ftyp(avi[fs]|hei[cx]|m[is]f1)", content, re.DOTALL):
        found = [struct.unpack(">II", each) for each in re.findall(rb"ispe\0{4}(.{8})", content, re.DOTALL)]
        return max(found, default=(0, 0))  # the whole picture is larger than its tiles
    return 0, 0


def _pair(shape: str, content: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(shape, content, at)
    return first, second


def _jpeg(content: bytes) -> tuple[int, int]:
    at = 2
    while content[at] == 0xFF:
        kind = content[at + 1]
        if kind in _FRAMES:
            height, width = _pair(">HH", content, at + 5)
            return width, height
        at += 1 if kind == 0xFF else 2 if kind in _BARE else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return 0, 0


def _webp(content: bytes) -> tuple[int, int]:
    kind = content[12:16]
    if kind == b"VP8X":
        if len(content) < 30:
            return 0, 0
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if kind == b"VP8L" and content[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = _pair("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _tags(tiff: bytes) -> dict[int, int]:
    """The numbers in the first directory of a TIFF file. Raises: struct.error where it is cut."""
    order = "<" if tiff.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, at)
    found = dict[int, int]()
    for each in range(count):
        tag, kind, _ = struct.unpack_from(f"{order}HHI", tiff, at + 2 + 12 * each)
        (found[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), tiff, at + 10 + 12 * each)
    return found


def cleaned(content: bytes) -> tuple[bytes, str | None]:
    """The picture upright and without metadata, and what is left of both where that cannot be done.

    Only PNG, JPEG and WebP can be written anew, and only with Pillow.
    """
    try:
        return _written_anew(content) or content, None
    except ImportError:
        hint = f"{system.install_command('airvid[media]')} has it turned and cleaned"
    except Exception as error:  # a library that reads a hostile file may fail in any way
        hint = f"it cannot be written anew: {error}"
    left = _left(content)
    return content, f"{left}; {hint}" if left else None


def _left(content: bytes) -> str:
    """What the server would get with the picture: a rotation that it may ignore, a location."""
    try:
        found = _EXIF.search(content)
        tags = _tags(content[found.end() :]) if found else {}
    except struct.error:
        return ""
    turned = "is turned by its EXIF and may be animated lying on its side" if tags.get(_ORIENTATION, 1) != 1 else ""
    placed = "tells where it was taken" if tags.get(_GPS) else ""
    return ", and ".join(filter(None, (turned, placed)))


def _written_anew(content: bytes) -> bytes | None:
    """Raises: ImportError without Pillow; any exception of it. None where there is nothing to change."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content)) as image:
        private = {"exif", "xmp", "XML:com.adobe.xmp", "photoshop", "comment", *getattr(image, "text", ())}
        if not private & image.info.keys() and not image.getexif():
            return None
        kind = _WRITTEN_AS.get(image.format or "")
        if kind is None or (image.format != "MPO" and getattr(image, "n_frames", 1) > 1):
            raise ValueError(f"{getattr(image, 'n_frames', 1)} pictures of the kind {image.format}")
        is_upright = image.getexif().get(_ORIENTATION, 1) == 1
        quality: Any = "keep" if image.format == "JPEG" and is_upright else 95
        made = image if is_upright else ImageOps.exif_transpose(image)
        made.load()
        # Colours need these two; whatever else stays in `info` would be written.
        made.info = {key: image.info[key] for key in ("icc_profile", "transparency") if key in image.info}
        buffer = io.BytesIO()
        made.save(buffer, kind, quality=quality, exif=b"", icc_profile=made.info.get("icc_profile"))
        return buffer.getvalue()
