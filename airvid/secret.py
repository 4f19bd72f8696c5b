"""What counts as a secret, and how it is left out of a text."""

from __future__ import annotations

# A key of a few letters is no secret, and stands in too many words.
LEAST = 12


def without(key: str | None, value: str, instead: str) -> str:
    """The text with `instead` wherever it holds the key."""
    return value.replace(key, instead) if key and len(key) >= LEAST else value
