"""What `--debug` and errors may show of an address, a header and a body (pure functions).

Addresses keep scheme, host and path. User, password, parameters, query and fragment go, for any of them may be a
signature. Where a text does not tell where an address ends, everything behind the first of these goes with it. Each
function takes time in proportion to what it is given, and looks at no more than it can show.
"""

from __future__ import annotations

import json

REDACTED = "[redacted]"
# Characters of one text that are looked at; the rest is left out.
_MOST = 1 << 16
# What ends an address's path, as it is or percent-encoded within another address.
_ENDS = ("?", ";", "#", "&", "=", "\\", "%3f", "%3F", "%3b", "%3B", "%3d", "%3D", "%23", "%26", "%5c", "%5C", "%25")
# Names of headers and of JSON keys whose values are secrets.
_SECRET = (
    "authorization",
    "authentication",
    "authkey",
    "apikey",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "signature",
    "credential",
    "b64",
    "base64",
)
# Ends of the names of those whose values are addresses, however they are written.
_ADDRESS = ("url", "uri", "href", "src", "link", "location", "refresh", "referer")
# A longer word is no word, but base64 or the like; so much of it is shown where it could also be a path.
_LONGEST_WORD, _BEGINNING = 200, 100
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
_STRUCTURE = frozenset(" \t\r\n{}[]:,0123456789.+-eEtruefalsn")
_DEEPEST = 3
_DECODER = json.JSONDecoder(strict=False)


def address(value: str) -> str:
    """All of `value` as one address, absolute or relative, blanks and quotation marks within it."""
    if value[:5].lower() == "data:":
        return f"data:{REDACTED}"
    return _without_user(_cut(value[:_MOST], 0))


def proxy(value: str | None) -> str:
    """Only host and port of a proxy's address: `user:password@` may hold any character."""
    rest = (value or "").rpartition("://")[2].rpartition("@")[2]
    for end in ("/", *_ENDS):
        rest = rest.partition(end)[0]
    return rest


def header(name: str, value: str) -> str:
    """A header's value."""
    kind = _kind(name)
    if kind == "secret":
        scheme, blank, _ = value.partition(" ")
        return f"{scheme} {REDACTED}" if blank and scheme.isalpha() else REDACTED
    return address(value) if kind == "address" else text(value)


def body(value: str, longest: int) -> str:
    """At most `longest` characters of a request's or an answer's body: JSON, events, or any text."""
    shown = _json(value, longest, _DEEPEST)
    return shown if shown is not None else text(value, longest)


def text(value: str, longest: int = _MOST) -> str:
    """At most `longest` characters of any text, line by line; a line or an event's data may be JSON."""
    whole = value[:_MOST]
    if len(value) > _MOST:
        whole = whole.rpartition(" ")[0] or REDACTED  # a word that is cut may be part of a secret
    lines: list[str] = []
    left = longest
    for line in whole.split("\n"):
        if left <= 0:
            break
        field = "data: " if line.startswith("data:") else ""
        shown = _json(line[5:].lstrip() if field else line, left, _DEEPEST)
        lines.append(_line(line) if shown is None else field + shown)
        left -= len(lines[-1]) + 1
    return "\n".join(lines)[:longest]


# ---------------------------------------------------------------------- addresses in a line


def _line(line: str) -> str:
    """A line of text: words as they are, up to the first address that has more than a path."""
    line = line.replace("\\/", "/")
    at = line.find("//")
    if at >= 0:
        line = _cut(line, at)
    elif "=" in (query := line.partition("?")[2]):  # without a host, only a query can be told from a sentence
        line = f"{line[: -len(query)]}{REDACTED}"
    words, before = [], ""
    for word in line.split(" "):
        if before in ("bearer", "basic") and len(word) > 7:
            words.append(REDACTED)
        elif word[:5].lower() == "data:" and "," in word:
            words.append(f"data:{REDACTED}")
        elif len(word) > _LONGEST_WORD and word.isascii():
            beginning = "" if _BASE64.issuperset(word.strip("\"'")) else _without_user(word)[:_BEGINNING]
            words.append(beginning + REDACTED)
        else:
            words.append(_without_user(word))
        before = word.strip("\"':,").lower()
    return " ".join(words)


def _cut(value: str, start: int) -> str:
    """Without what comes behind an address's path, which begins at `start`."""
    found = [at for end in _ENDS if (at := value.find(end, start)) >= 0]
    if not found:
        return value
    at = min(found)
    shown, end = value[:at], "" if value[at] == "%" else value[at]
    before, slashes, authority = shown.rpartition("//")
    if slashes and not {"/", " "} & set(authority) and "@" in value[at:]:
        return f"{before}//{REDACTED}"  # a password may hold such a character, too
    return f"{shown}{end}{REDACTED}"


def _without_user(word: str) -> str:
    """Without `user:password@` behind each `//`."""
    first, *rest = word.split("//")
    return "//".join([first, *map(_host_and_path, rest)])


def _host_and_path(value: str) -> str:
    authority, slash, path = value.partition("/")
    if "@" in authority:
        return f"{REDACTED}@{authority.rpartition('@')[2]}{slash}{path}"
    host, colon, port = authority.rpartition(":")
    if colon and "@" in path:  # a password with a slash in it
        return f"{REDACTED}@{path.rpartition('@')[2]}"
    port = port.rstrip("\"'.,)>]}")
    if colon and port and not port.isdigit() and not host.startswith("["):
        return f"{host}:{REDACTED}"  # a password's beginning
    return value


# ---------------------------------------------------------------------- JSON


def _json(value: str, longest: int, depth: int) -> str | None:
    """At most `longest` characters of JSON, or of its beginning; None for what is no JSON.

    It is read string by string, so that no more of it is read than is shown.
    """
    at = len(value) - len(value.lstrip("\ufeff \t\r\n"))
    if not depth or value[at : at + 1] not in ("{", "[", '"'):
        return None
    shown, left, name = [], longest, ""
    while left > 0:
        begin = value.find('"', at)
        gap = value[at : min(begin if begin >= 0 else len(value), at + left)]
        if not _STRUCTURE.issuperset(gap):
            return None
        shown.append(gap)
        left -= len(gap)
        if begin < 0:
            break
        try:
            found, at = _DECODER.raw_decode(value, begin)
        except ValueError:
            found, at = REDACTED, len(value)  # it has no end, or what no JSON can hold
        is_name = value[at : at + 20].lstrip()[:1] == ":"
        shown.append(json.dumps(_string("" if is_name else name, found, left, depth), ensure_ascii=False))
        left -= len(shown[-1])
        if is_name:
            name = found[:_LONGEST_WORD]
    return "".join(shown)[:longest]


def _string(name: str, value: str, longest: int, depth: int) -> str:
    """A string in JSON, which stands under `name`."""
    kind = _kind(name)
    if kind == "secret" and value:
        return REDACTED
    begun = value[:_MOST].lstrip()
    scheme, slashes, _ = begun[:40].replace("\\/", "/").partition("//")
    if kind == "address" or (slashes and (not scheme or (scheme.endswith(":") and " " not in scheme))):
        return address(begun)
    inner = _json(value, longest, depth - 1)
    return inner if inner is not None else "\n".join(map(_line, begun.split("\n")))


def _kind(name: str) -> str:
    folded = name[:_LONGEST_WORD].lower().replace("-", "").replace("_", "")
    if any(each in folded for each in _SECRET):
        return "secret"
    return "address" if folded.rstrip("s0123456789").endswith(_ADDRESS) else ""
