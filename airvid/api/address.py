"""Web addresses: what their origin is, and where a redirect leads."""

from __future__ import annotations

import httpx

from airvid.errors import UnavailableError


def origin(url: str | httpx.URL) -> tuple[str, bytes, int | None]:
    """Scheme, host and port: what the key belongs to."""
    parsed = httpx.URL(url)
    # Not `host`, which decodes international names and fails on those that are none.
    return parsed.scheme, parsed.raw_host, parsed.port or {"http": 80, "https": 443}.get(parsed.scheme)


def redirected(url: str, location: str) -> str:
    """Where the Location header of an answer from `url` leads. Raises: UnavailableError where nothing may follow it."""
    try:
        target = str(httpx.URL(url).join(location)) if location else ""
    except (httpx.InvalidURL, ValueError):
        target = ""
    if not target.lower().startswith(("http://", "https://")):
        raise UnavailableError("the result redirects to something that is not a web address", is_final=True)
    if url.lower().startswith("https:") and target.lower().startswith("http:"):
        raise UnavailableError("the result redirects from https down to http, which is refused", is_final=True)
    return target
