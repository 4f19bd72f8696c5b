"""The smallest files that the program takes for a clip or a picture."""

from __future__ import annotations

import struct
import zlib

from airvid.sandbox.emulator import ClipSpec


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A black picture, with these chunks in it."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = png_chunk(b"IDAT", zlib.compress(bytes((width + 1) * height)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + rows + png_chunk(b"IEND", b"")


PNG = png(4, 3)


def tiny_mp4(payload: bytes = b"x" * 1000) -> bytes:
    """The least that counts as an MP4: ftyp, moov and mdat boxes that add up."""

    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    return box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"moov", b"\0" * 20) + box(b"mdat", payload)


def render_tiny(spec: ClipSpec) -> bytes:
    """A stand-in for rendering: an MP4 that differs with its prompt."""
    return tiny_mp4(repr((spec.prompt, spec.seed)).encode() * 50)
