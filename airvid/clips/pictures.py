"""The pictures of a request: what -i and -r name, read and checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from airvid import system
from airvid.errors import FileError
from airvid.media import picture

# Bytes of a file, far more than the API takes: a pipe may have no end.
_MOST_BYTES = 64 << 20


def is_url(image: str) -> bool:
    return image.lower().startswith(("http://", "https://"))


def check(image: str, contents: dict[str, bytes]) -> None:
    """Check that a picture is a web address or an image. Raises: FileError.

    `contents`: what was read already, by name. What can be read only once (standard input, a pipe) is added to it.
    """
    if is_url(image):
        return
    content, is_regular = _read(image, contents)
    if not picture.is_picture(content):
        raise FileError(f"{_name(image)} is not an image (PNG, JPEG, WebP, GIF, BMP, TIFF, HEIC or AVIF)")
    if not is_regular:
        contents[image] = content


def digest(image: str, contents: dict[str, bytes]) -> str:
    """A picture's identity: its address, or a digest of its content. Raises: FileError."""
    return image if is_url(image) else hashlib.sha256(_read(image, contents)[0]).hexdigest()


def as_sent(image: str, contents: dict[str, bytes]) -> tuple[dict[str, str], str | None]:
    """A picture as it is sent in a create, and a warning about it or None. Raises: FileError."""
    if is_url(image):
        return {"url": image}, None
    content, trouble = picture.cleaned(_read(image, contents)[0])
    warning = f"the picture {_name(image)} {trouble}" if trouble else None
    return {"b64_json": base64.b64encode(content).decode("ascii")}, warning


def _read(image: str, contents: dict[str, bytes]) -> tuple[bytes, bool]:
    """The bytes, and whether they come from a regular file. Raises: FileError."""
    if image in contents:
        return contents[image], False
    if image == "-":
        return system.read_stdin(), False
    if image.lower().startswith("data:"):
        return _embedded(image), False
    try:
        path = path_of(image)
        if path.exists() and not (path.is_file() or path.is_fifo()):
            raise FileError(f"{image!r} is no regular file, and so no image")
        with system.interruptible(), path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"the image {image} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > _MOST_BYTES:
        raise FileError(f"the image {image} is larger than {_MOST_BYTES >> 20} MB")
    return content, path.is_file()


def path_of(image: str) -> Path:
    """The file of a path or a file: address. Raises: ValueError, RuntimeError."""
    if not image.lower().startswith("file:"):
        return Path(image).expanduser()
    from urllib.request import url2pathname

    address = urlsplit(image)
    if address.netloc not in ("", "localhost"):
        raise ValueError("the address is another machine's")
    return Path(url2pathname(address.path))


def _embedded(image: str) -> bytes:
    """What a data: address holds. Raises: FileError."""
    head, comma, data = image.partition(",")
    try:
        content = unquote_to_bytes(data)
        if comma and not re.search(r";\s*base64\s*$", head, re.IGNORECASE):
            return content
        if comma:
            return base64.b64decode(re.sub(rb"\s", b"", content), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        pass
    raise FileError(f"{_name(image)} is not a valid data: address")


def _name(image: str) -> str:
    """The name of a picture in a message. A data: address is shortened."""
    return "standard input" if image == "-" else image if len(image) <= 200 else f"{image[:60]}…"
