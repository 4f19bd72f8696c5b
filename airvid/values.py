"""Checks of what a user gives: lengths of time, amounts, numbers, addresses.

Each returns the value, or raises a ValueError that names what is allowed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from airvid.api.models import MODES

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_LENGTH = re.compile("".join(rf"(?:(\d+(?:\.\d+)?)\s*{unit}\s*)?" for unit in _UNITS))
# Bounds of numbers: larger ones are typing errors.
_MOST_DAYS = 3650
_MOST_DOLLARS = 1_000_000
# Paths of the API, as people copy them from its documentation.
_ENDPOINT = re.compile(r"/(video/(generations|tasks)|models|chat/completions|images/generations)(/.*)?$")


def seconds(value: object) -> float:
    """A length of time: seconds, or numbers with d, h, m and s, such as `1h30m`."""
    text = str(value).strip().lower()
    found = _LENGTH.fullmatch(f"{text}s" if text[-1:].isdigit() and not re.search("[dhms]", text) else text)
    length = math.inf
    if text and found:
        length = sum(float(number) * unit for number, unit in zip(found.groups("0"), _UNITS.values(), strict=True))
    if length > _MOST_DAYS * 86_400:
        raise ValueError(f"a length of time up to {_MOST_DAYS}d: seconds, or 90s, 10m, 1h30m, 1d")
    return length


def patience(value: object) -> float:
    """Seconds until a connection is given up."""
    found = seconds(value)
    if not 0 < found <= 300:
        raise ValueError("a length of time above 0 and up to 5m: seconds, or 90s, 2m")
    return found


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text")
    return value.strip()


def whole(least: int, most: int) -> Callable[[object], int]:
    """A check for whole numbers between two bounds."""

    def parse(value: object) -> int:
        if not re.fullmatch(r"\s*[+-]?\d{1,20}\s*", str(value)) or not least <= int(str(value)) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(str(value))

    return parse


def clip_seconds(value: object) -> int:
    """The length of a clip in whole seconds."""
    return whole(1, 86_400)(re.sub(r"(?<=\d)\s*s$", "", str(value).strip().lower()))


def money(value: object) -> float:
    """US dollars."""
    try:
        found = float(str(value).strip().removeprefix("$"))
    except ValueError:
        found = math.nan
    if not 0 <= found <= _MOST_DOLLARS:
        raise ValueError(f"an amount in US dollars up to {_MOST_DOLLARS}, such as 2.50")
    return found


def switch(value: object) -> bool:
    """A yes or no."""
    word = str(value).strip().lower()
    if word not in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        raise ValueError("true or false")
    return word in ("true", "yes", "on", "1")


def mode(value: object) -> str:
    if value not in MODES:
        raise ValueError(f"one of {', '.join(MODES)}")
    return str(value)


def bare(text: str) -> str:
    """Pasted text without the byte order mark, blanks and quotes around it."""
    text = text.strip().removeprefix("\ufeff").strip()
    if len(text) > 1 and text[0] + text[-1] in ('""', "''", "“”", "‘’"):
        text = text[1:-1].strip()
    return text


def normal_base_url(value: object) -> str:
    """The API's base as `scheme://host[:port]/…/v1`. Without `/v1` it is added; an endpoint is cut off."""
    given = bare(str(value)).rstrip("/")
    try:
        parts = urlsplit(given)
        usable = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment or not given.isprintable() or " " in given:
        raise ValueError("a web address such as https://host/v1")
    path = _ENDPOINT.sub("", parts.path.rstrip("/"))
    return f"{parts.scheme}://{parts.netloc.lower()}{path if path.endswith('/v1') else path + '/v1'}"
