"""The second host: pre-signed links to clips, served the way an S3-style store does."""

from __future__ import annotations

import hashlib
import hmac
import re
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

from airvid.sandbox.messages import Refused, Request, Response

_PATH = re.compile(r"/clips/([0-9a-f-]+)\.mp4")


def link(base: str, secret: bytes, task_id: str, expires: int) -> str:
    """The address of a task's clip, good until `expires` (Unix seconds)."""
    return f"{base}/clips/{task_id}.mp4?expires={expires}&signature={_sign(secret, task_id, expires)}"


def _sign(secret: bytes, task_id: str, expires: int) -> str:
    return hmac.new(secret, f"{task_id}:{expires}".encode(), hashlib.sha256).hexdigest()


def admit(request: Request, secret: bytes, now: float) -> str:
    """The task whose clip this request may have. Raises Refused."""
    if request.method not in ("GET", "HEAD"):
        raise denied(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    if "authorization" in request.headers:
        raise denied(400, "InvalidArgument", "Only one auth mechanism allowed.")
    path = _PATH.fullmatch(request.route)
    if path is None:
        raise denied(404, "NoSuchKey", "The specified key does not exist.")
    query = parse_qs(urlsplit(request.path).query)
    expires, signature = query.get("expires", [""])[0], query.get("signature", [""])[0]
    if not re.fullmatch("[0-9]{1,12}", expires):
        raise denied(403, "AccessDenied", "Access denied.")
    if not hmac.compare_digest(signature.encode(), _sign(secret, path[1], int(expires)).encode()):
        raise denied(403, "SignatureDoesNotMatch", "The signature does not match.")
    if now >= int(expires):
        raise denied(403, "AccessDenied", "Request has expired.")
    return path[1]


def denied(status: int, code: str, message: str) -> Refused:
    """An error as the store words it."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'.encode()
    return Refused(Response(status, {"Content-Type": "application/xml"}, body))


def serve(clip: bytes, request: Request, modified: float) -> Response:
    """The clip, or the part of it that the request asks for; `modified` in Unix seconds."""
    size, etag = len(clip), f'"{hashlib.sha256(clip).hexdigest()}"'
    headers = {
        "Content-Type": "video/mp4",
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": formatdate(modified, usegmt=True),
    }
    condition = request.headers.get("if-range")
    wanted = request.headers.get("range") if condition in (None, etag, headers["Last-Modified"]) else None
    try:
        span = _span(wanted, size) if wanted else None
    except ValueError:
        return Response(416, {"Content-Range": f"bytes */{size}"})
    if span is None:
        return Response(200, headers, clip)
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return Response(206, headers, clip[span.start : span.stop])


def _span(header: str, size: int) -> range | None:
    """The one range asked for; None where the header is to be ignored. Raises ValueError outside the file."""
    asked = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip())
    if asked is None or asked[0] == "bytes=-":
        return None
    first, last = asked.groups()
    if not first:
        span = range(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return None
    else:
        span = range(int(first), min(int(last) + 1, size) if last else size)
    if span.start >= size:
        raise ValueError(header)
    return span
