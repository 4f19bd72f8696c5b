"""The smallest files that the program takes for a clip or a picture."""

from __future__ import annotations

from airvid.sandbox.emulator import ClipSpec

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def tiny_mp4(payload: bytes = b"x" * 1000) -> bytes:
    """The least that counts as an MP4: ftyp, moov and mdat boxes that add up."""

    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    return box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"moov", b"\0" * 20) + box(b"mdat", payload)


def render_tiny(spec: ClipSpec) -> bytes:
    """A stand-in for rendering: an MP4 that differs with its prompt."""
    return tiny_mp4(repr((spec.prompt, spec.seed)).encode() * 50)
