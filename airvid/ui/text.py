"""Text for a stream: foreign text made harmless, and numbers for readers and for programs.

Only `plain()` and `dumps()` may write foreign text to a stream.
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

# C0, DEL and C1 controls, line and paragraph separators, bidi overrides and isolates, halves of characters.
_HARMFUL = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
# Characters without width: with them two different names look alike. Joiners and marks are left, for emoji, Persian
# and Hebrew need them.
_INVISIBLE = "\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"
# Compiled only when used, which is slow.
_UNSAFE = f"[{_HARMFUL}{_INVISIBLE}]"
_UNSAFE_IN_JSON = f"[{_HARMFUL[_HARMFUL.index(chr(0x7F)) :]}]"
# Commands to a CI's runner: `::` where a line begins, and `##[` and `##vso[` anywhere.
_COMMAND, _COMMAND_ANYWHERE = r"^(\s*):(?=:)", r"(?i)##(?=(?:vso)?\[)"
# A shorter key would be found in ordinary words.
_LEAST_SECRET = 12


def plain(value: object, longest: int | None = None) -> str:
    """Text as one harmless line of at most `longest` characters, with escapes for controls and bidi tricks."""
    text = str(value)
    if longest is not None and len(text) > longest:
        text = f"{text[: longest - 1]}…"
    text = re.sub(_UNSAFE, _escape, re.sub(r"[\t\n\r]+", " ", text))
    if is_in_ci():
        text = re.sub(_COMMAND_ANYWHERE, r"#\\x23", re.sub(_COMMAND, r"\1\\x3a", text))
    return text


def is_in_ci() -> bool:
    """Whether a CI's runner reads what is written."""
    return any(os.environ.get(name) for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD"))


def is_on_github() -> bool:
    """Whether GitHub Actions reads it."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def dumps(record: object, *, indent: int | None = None) -> str:
    """JSON with harmful characters escaped."""
    separators = (",", ":") if indent is None else None
    whole = json.dumps(record, ensure_ascii=False, indent=indent, separators=separators, default=str)
    if is_in_ci():
        whole = re.sub(_COMMAND_ANYWHERE, r"#\\u0023", whole)
    if whole.isascii() and "\x7f" not in whole:
        return whole
    return re.sub(_UNSAFE_IN_JSON, lambda found: f"\\u{ord(found[0]):04x}", whole)


def without_secret(key: str | None, text: str, instead: str) -> str:
    """The text with `instead` wherever it holds the key."""
    return text.replace(key, instead) if key and len(key) >= _LEAST_SECRET else text


def masked(key: str) -> str:
    """A key for display: `sk-air-…last4`."""
    return f"sk-air-…{key[-4:]}" if len(key) > 12 else "sk-air-…"


def short_id(task_id: str) -> str:
    """A task's id for a reader: the beginning of a UUID, which commands accept."""
    return task_id[:8] if len(task_id) == 36 and re.match(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-", task_id) else task_id


# ---------------------------------------------------------------------- numbers for a reader


def counted(count: int, thing: str) -> str:
    """`1 clip`, `2 clips`."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def money(cents: float | Decimal | None) -> str:
    """`$0.80`, with fractions of a cent if there are any."""
    if cents is None:
        return "?"
    exact = f"{cents / 100:.6f}".rstrip("0")
    return f"${max(f'{cents / 100:.2f}', exact, key=len)}"


def length(seconds: float) -> str:
    """A length of time: `42s`, `3m05s`, `2h10m`, `5d`."""
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m" if whole < 172_800 else f"{whole // 86_400}d"


def age(seconds: float) -> str:
    """A length of time in one unit: `42s`, `3m`, `2h`, `5d`."""
    return re.sub(r"(?<=[mh]).+", "", length(seconds))


def size(count: float) -> str:
    """`5.2 MB`, in powers of ten."""
    for unit in ("B", "kB", "MB"):
        if count < 999.95:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def moment(at: float | None) -> str:
    """A Unix time in local time, `2026-11-20 14:03`."""
    try:
        return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M") if at is not None else "?"
    except (ValueError, OverflowError, OSError):
        return "?"


# ---------------------------------------------------------------------- numbers for a program


def usd(cents: float | None) -> str:
    """US dollars as a bare number, `0.8`; empty where they are unknown."""
    return "" if cents is None else f"{cents / 100:.8f}".rstrip("0").rstrip(".")


def unix(at: float | None) -> str:
    """A time as whole Unix seconds; empty where it is unknown."""
    return "" if at is None else f"{at:.0f}"
