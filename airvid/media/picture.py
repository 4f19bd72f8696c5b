"""Whether bytes are a picture, and its orientation; with Pillow it is turned upright and loses its metadata."""

from __future__ import annotations

import io
import re
import struct
from contextlib import suppress
from typing import Any

from airvid import system

# Where EXIF begins, in a TIFF header of its own: a segment of JPEG or HEIC, a chunk of PNG or WebP.
_EXIF = re.compile(rb"(?:Exif\0\0|eXIf|EXIF.{4})(?=II\*\0|MM\0\*)", re.DOTALL)
_WIDTH, _HEIGHT, _ORIENTATION, _GPS = 256, 257, 274, 34853  # tags of TIFF
# Width and height in 2 or 4 bytes each, neither of them 0.
_SHORT, _LONG = rb"(?!\0{2})..(?!\0{2})..", rb"(?!\0{4}).{4}(?!\0{4}).{4}"
# How a picture begins, up to its width and height. (A TIFF has them in a directory.)
_BEGINNINGS = (
    rb"\x89PNG\r\n\x1a\n.{4}IHDR" + _LONG,
    rb"GIF8[79]a" + _SHORT + rb".{3}",
    rb"\xff\xd8\xff.*?\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf].{3}" + _SHORT,  # JPEG
    rb"BM.{12}\x0c\0{3}" + _SHORT,
    rb"BM.{12}[(48@l|]\0{3}" + _LONG,  # the lengths of newer headers
    rb"RIFF.{4}WEBPVP8 .{7}\x9d\x01\x2a" + _SHORT,
    rb"RIFF.{4}WEBP(VP8L.{4}/.{4}|VP8X.{14})",
    rb".{4}ftyp(avi[fs]|hei[cx]|m[is]f1).*?ispe\0{4}" + _LONG,  # AVIF, HEIC
)
# What Pillow writes as the same picture. A phone's MPO is a JPEG with more pictures behind it.
_WRITTEN_AS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}


def is_picture(content: bytes) -> bool:
    """Whether it is a PNG, JPEG, WebP, GIF, BMP, TIFF, HEIC or AVIF that tells its width and height."""
    if content.startswith((b"II*\0", b"MM\0*")):
        with suppress(struct.error):
            tags = _tags(content)
            return bool(tags.get(_WIDTH) and tags.get(_HEIGHT))
    return any(re.match(beginning, content, re.DOTALL) for beginning in _BEGINNINGS)


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
