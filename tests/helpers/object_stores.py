"""Object stores on loopback: moto's S3, Azurite, a double of Google's, and a relay before any of them that fails."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import httpx
import pytest
from program_process import free_port, until
from proxies import Relay

# The account that Azurite knows, as its documentation gives it.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BUCKET = "clips"
# moto's server with one thread: between a condition and the writing, its many threads let each other in.
_MOTO = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""


@dataclass(frozen=True)
class Store:
    """A store: the address of its bucket, and the variables with which its own tools find it."""

    bucket: str
    env: dict[str, str]
    endpoint: str = ""


@contextmanager
def store(scheme: str, folder: Path) -> Iterator[Store]:
    """A store with an empty bucket. The test is skipped where its server is not installed."""
    with ExitStack() as stack:
        yield {"s3": _s3, "az": _azure, "gs": _google}[scheme](stack, folder)


def _start(stack: ExitStack, command: list[str], url: str) -> None:
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = stack.enter_context(subprocess.Popen(command, **quiet))
    stack.callback(process.terminate)
    until(lambda: process.poll() is not None or _answers(url), command[0])
    assert process.poll() is None


def _answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False, verify=False)
    except httpx.TransportError:
        return False
    return True


def _s3(stack: ExitStack, _: Path) -> Store:
    if not (find_spec("moto") and find_spec("flask_cors")):
        pytest.skip("moto's server is not installed")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    _start(stack, [sys.executable, "-c", _MOTO, str(port)], url)
    headers = {"Authorization": "AWS any"}
    httpx.put(f"{url}/{BUCKET}", headers=headers, trust_env=False, verify=False).raise_for_status()
    return Store(f"s3://{BUCKET}", s3_environment(url), url)


def s3_environment(endpoint: str) -> dict[str, str]:
    """The variables of a user of S3 whose endpoint that is."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"}
    return keys | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}


def _azure(stack: ExitStack, folder: Path) -> Store:
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("Azurite is not installed (npm install -g azurite)")
    port = free_port()
    host = f"http://127.0.0.1:{port}"
    (folder / "azurite").mkdir()
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder / "azurite")]
    _start(stack, [*command, "--silent", "--skipApiVersionCheck"], host)
    url = f"{host}/{AZURE_ACCOUNT}"
    _make_container(url)
    env = {"AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY}
    return Store(f"az://{BUCKET}", env | {"AZURE_STORAGE_ENDPOINT": url}, url)


def _make_container(url: str) -> None:
    """Azurite makes a container for whoever signs with the account's key."""
    import hmac
    from email.utils import formatdate

    date = formatdate(usegmt=True)
    lines = ["PUT", *[""] * 11, f"x-ms-date:{date}", "x-ms-version:2021-08-06"]
    path = urlsplit(url).path
    text = "\n".join([*lines, f"/{AZURE_ACCOUNT}{path}/{BUCKET}", "restype:container"])
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)).decode()
    headers = {
        "x-ms-date": date,
        "x-ms-version": "2021-08-06",
        "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}",
        "Content-Length": "0",
    }
    answer = httpx.put(f"{url}/{BUCKET}?restype=container", headers=headers, trust_env=False)
    assert answer.status_code == 201, answer.text


def _google(stack: ExitStack, folder: Path) -> Store:
    double = GoogleDouble()
    thread = threading.Thread(target=double.serve_forever)
    thread.start()
    stack.callback(thread.join)
    stack.callback(double.server_close)
    stack.callback(double.shutdown)
    url = f"http://127.0.0.1:{double.server_port}"
    account = folder / "account.json"
    account.write_text(
        json.dumps(
            {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        )
    )
    return Store(f"gs://{BUCKET}", {"GOOGLE_SERVICE_ACCOUNT": str(account)}, url)


class GoogleDouble(ThreadingHTTPServer):
    """What of Google's XML interface is needed: objects, conditions, uploads in parts, copies. One bucket."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Google)
        self.lock = threading.Lock()
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.types: dict[str, str] = {}

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that goes away."""


class _Google(BaseHTTPRequestHandler):
    server: GoogleDouble
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_PUT(self) -> None:
        key, query, body = self._read()
        if "uploadId" in query:
            self.server.parts[query["uploadId"][0]][int(query["partNumber"][0])] = body
            self._answer(200, ETag=f'"{query["partNumber"][0]}"')
            return
        kind = self.headers.get("content-type", "")
        with self.server.lock:
            if source := self.headers.get("x-goog-copy-source"):
                body, kind = self.server.objects[unquote(source).split("/", 1)[1]]
            self._keep(key, body, kind)

    def do_POST(self) -> None:
        key, query, _ = self._read()
        if "uploadId" not in query:
            upload = f"upload{len(self.server.parts)}"
            self.server.parts[upload] = {}
            self.server.types[upload] = self.headers.get("content-type", "")
            told = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            self._answer(200, told.encode())
            return
        upload = query["uploadId"][0]
        parts = self.server.parts.pop(upload)
        with self.server.lock:
            self._keep(
                key,
                b"".join(parts[each] for each in sorted(parts)),
                self.server.types[upload],
                b'<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>',
            )

    def do_GET(self) -> None:
        key, query, _ = self._read()
        if "prefix" in query:
            names = [each for each in self.server.objects if each.startswith(query["prefix"][0])]
            self._answer(200, f"<ListBucketResult>{''.join(map(_listed, names))}</ListBucketResult>".encode())
            return
        if key not in self.server.objects:
            self._answer(404)
            return
        body, kind = self.server.objects[key]
        self._answer(
            200, body, ETag=_tag(body), **{"Content-Type": kind, "Last-Modified": "Sun, 29 Nov 2026 00:00:00 GMT"}
        )

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        key, _, _ = self._read()
        self._answer(204 if self.server.objects.pop(key, None) else 404)

    def _keep(self, key: str, body: bytes, kind: str, answer: bytes = b"") -> None:
        wanted = self.headers.get("x-goog-if-generation-match")
        found = self.server.objects.get(key)
        if wanted is not None and wanted != (_generation(found[0]) if found else "0"):
            self._answer(412)
            return
        self.server.objects[key] = (body, kind)
        self._answer(200, answer, ETag=_tag(body), **{"x-goog-generation": _generation(body)})

    def _read(self) -> tuple[str, dict[str, list[str]], bytes]:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        return unquote(address.path).lstrip("/").partition("/")[2], parse_qs(address.query, True), body

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if body and status == 200 and "x-goog-generation" not in headers and "ETag" in headers:
            self.send_header("x-goog-generation", _generation(body))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _listed(name: str) -> str:
    about = "<Size>1</Size><LastModified>2026-11-29T00:00:00Z</LastModified><ETag>1</ETag>"
    return f"<Contents><Key>{escape(name)}</Key>{about}</Contents>"


def _tag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _generation(body: bytes) -> str:
    return str(int(hashlib.md5(body).hexdigest()[:12], 16) + 1)


@dataclass
class Trouble:
    """What a relay does after `passes` connections.

    503 to the next `refusals`; `answer` to each of `methods`; all connections end after so many bytes (`bytes_left`),
    and the next `deaths` at once; of the answers to PUTs with `loses` in their address each second one is lost, from
    the first on; nothing is answered (`hangs`), to so many connections (`hanging`).
    """

    passes: int = 0
    refusals: int = 0
    answer: bytes = b""
    methods: tuple[bytes, ...] = (b"PUT", b"POST")
    loses: bytes = b""
    lost: int = 0
    hangs: bool = False
    hanging: int = 0
    bytes_left: int | None = None
    deaths: int = 0


class FailingRelay(Relay):
    """A relay before a store."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.trouble = Trouble()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trouble = self.trouble
        head = await reader.readuntil(b"\r\n\r\n")
        if trouble.hangs:
            trouble.hanging += 1
            await self._closing.wait()
            return
        if trouble.passes:
            trouble.passes -= 1
        elif trouble.refusals or (trouble.answer and head.startswith(trouble.methods)):
            trouble.refusals -= bool(trouble.refusals)
            writer.write(trouble.answer or b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        elif trouble.bytes_left == 0 and trouble.deaths:
            trouble.deaths -= 1
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", urlsplit(f"//{self._target}").port)
        is_concerned = trouble.loses and head.startswith(b"PUT") and trouble.loses in head.partition(b"\r\n")[0]
        trouble.lost += bool(is_concerned)
        is_lost = bool(is_concerned and trouble.lost % 2)
        back = asyncio.create_task(self._back(far_reader, writer, is_lost=is_lost))
        try:
            chunk = head
            while chunk:
                if trouble.bytes_left and trouble.deaths:
                    trouble.bytes_left = max(0, trouble.bytes_left - len(chunk))
                    if not trouble.bytes_left:
                        return
                await self._pass_on(chunk, far_writer)
                chunk = await reader.read(1 << 16)
        finally:
            back.cancel()
            far_writer.close()

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(chunk)
        await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_lost: bool) -> None:
        while (chunk := await reader.read(1 << 16)) and not is_lost:
            writer.write(chunk)
            await writer.drain()
        writer.close()
