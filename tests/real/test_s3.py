"""Clips from S3: moto's server keeps them, boto3 signs the links, and a strict relay before it checks what S3 checks.

moto itself looks at neither signature nor expiry, lets an `Authorization` header beside a signed query pass, and
ignores `If-Range`. The relay does the former three as S3 documents them; the last is left as it is: such stores exist.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import hmac
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from program import KEY
from program_process import CLIP, OTHER, LinkedEmulator, User, calls, free_port, make_tasks, until
from proxies import Relay, read_head

from airvid.sandbox.server import Server

boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
botocore_config = pytest.importorskip("botocore.config", reason="boto3 is not installed")
pytestmark = pytest.mark.skipif(
    not (find_spec("moto") and find_spec("flask_cors")), reason="moto's server is not installed"
)
SECRET, TOKEN = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "IQoJb3JpZ2lu+X2Vj/EJ==&x"
# Whatever has a meaning in an address: a link whose spelling is touched on the way is a forged one.
NAME = "clips/fox in snow + 雪 (1)&a=b%20c~'.mp4"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: process.poll() is not None or _answers(url), "moto's server")
            assert process.poll() is None
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


class S3(Relay):
    """A relay before a bucket. `ahead` sets its clock, in seconds; after `stalls` bytes its next answer stops short."""

    def __init__(self, moto: str) -> None:
        super().__init__(moto)
        self._moto = moto
        self.asked: list[dict[str, str]] = []
        self.answered: list[int] = []
        self.ahead, self.stalls = 0.0, 0

    def put(self, content: bytes) -> None:
        self._manage("PUT", "bucket")
        self._manage("PUT", f"bucket/{quote(NAME)}", content)

    def remove(self) -> None:
        self._manage("DELETE", f"bucket/{quote(NAME)}")

    def _manage(self, method: str, path: str, content: bytes = b"") -> None:
        """As the owner, whom moto knows by having any key at all."""
        url, headers = f"{self._moto}/{path}", {"Authorization": "AWS any"}
        httpx.request(method, url, content=content, headers=headers, trust_env=False).raise_for_status()

    def link(self, seconds: int = 3600, version: str = "s3v4") -> str:
        """A pre-signed address of the clip, as boto3 makes it."""
        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="eu-central-1",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key=SECRET,
            aws_session_token=TOKEN,
            config=botocore_config.Config(signature_version=version, s3={"addressing_style": "path"}),
        )
        wanted = {"Bucket": "bucket", "Key": NAME, "ResponseContentDisposition": 'attachment; filename="fox + 1.mp4"'}
        return str(client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds))

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, fields, headers = await read_head(reader)
        self.asked.append(headers)
        if refused := refusal(line, headers, time.time() + self.ahead):
            status, code, message = refused
            body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            writer.write(b"HTTP/1.1 %d No\r\nContent-Type: application/xml\r\n" % status)
            writer.write(b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
            await writer.drain()
            self.answered.append(status)
            return
        host, port = urlsplit(self._moto).netloc.split(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        far_writer.write("\r\n".join([line, *fields, "Connection: close", "", ""]).encode("latin-1"))
        left, self.stalls = self.stalls or sys.maxsize, 0
        try:
            while left > 0 and (chunk := await far_reader.read(min(left, 1 << 16))):
                if left > sys.maxsize // 2 and chunk.startswith(b"HTTP/1.1 "):
                    self.answered.append(int(chunk[9:12]))
                left -= len(chunk)
                writer.write(chunk)
                await writer.drain()
            if left <= 0:
                await reader.read()  # until the client gives up
        finally:
            far_writer.close()


def refusal(line: str, headers: dict[str, str], now: float) -> tuple[int, str, str] | None:
    """What S3 answers to a signed link that it does not take: status, code and message; None for one that it takes.

    Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" and "Error Responses" in
    Amazon's S3 API reference; version 2 by its "REST authentication" page.
    """
    path, _, query = line.split()[1].partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if "authorization" in headers:
        return 400, "InvalidArgument", "Only one auth mechanism allowed"
    if "X-Amz-Signature" in given:
        signed = datetime.datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        expires, expected = signed.timestamp() + int(given["X-Amz-Expires"]), _version_4(path, query, headers, given)
    else:
        expires, expected = int(given["Expires"]), given["Signature"]
    if now > expires:
        return 403, "AccessDenied", "Request has expired"
    if expected != given.get("X-Amz-Signature", given.get("Signature")):
        return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match"
    return None


def _version_4(path: str, query: str, headers: dict[str, str], given: dict[str, str]) -> str:
    pairs = sorted(each for each in query.split("&") if not each.startswith("X-Amz-Signature="))
    request = f"GET\n{path}\n{'&'.join(pairs)}\nhost:{headers['host']}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = given["X-Amz-Credential"].partition("/")[2]
    words = f"AWS4-HMAC-SHA256\n{given['X-Amz-Date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = b"AWS4" + SECRET.encode()
    for word in (*scope.split("/"), words):
        key = hmac.digest(key, word.encode(), "sha256")
    return key.hex()


@pytest.fixture
def s3(moto: str) -> Iterator[S3]:
    with S3(moto) as relay:
        relay.put(CLIP)
        yield relay


def test_the_door_is_as_strict_as_s3(s3: S3) -> None:
    def ask(url: str, **headers: str) -> tuple[int, bytes]:
        # The address as it stands: no client's idea of it comes between.
        from http.client import HTTPConnection

        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc)
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    link = s3.link()
    assert ask(link) == (200, CLIP)
    status, words = ask(link, Authorization=f"Bearer {KEY}")
    assert (status, b"InvalidArgument" in words) == (400, True)
    assert ask(link.replace("%20", "+"))[0] == 403
    s3.ahead = 7200
    status, words = ask(link)
    assert (status, b"Request has expired" in words) == (403, True)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_pre_signed_clip_is_saved_without_the_key(s3: S3, emulator: LinkedEmulator, user: User, version: str) -> None:
    emulator.links = [s3.link(version=version)]
    done = user.airvid("create", "fox", "-m", "wan-2.6", "-o", "fox.mp4", "--debug")
    assert done.returncode == 0, done.stderr
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})
    assert s3.answered == [200]
    assert not any("authorization" in headers or KEY in str(headers) for headers in s3.asked)
    assert not any(secret in done.stderr for secret in ("Signature=", "Security-Token", TOKEN[:8], KEY))


def test_an_expired_link_is_read_afresh_once(s3: S3, emulator: LinkedEmulator, server: Server, user: User) -> None:
    [task] = make_tasks(server)
    emulator.links = [s3.link(60), s3.link(86400)]
    s3.ahead = 3600
    done = user.airvid("download", task, "-o", "fox.mp4")
    assert done.returncode == 0, done.stderr
    assert (s3.answered, calls(server)) == ([403, 200], [f"GET /video/tasks/{task}"] * 2)
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


def test_a_link_that_stays_expired_is_9_while_the_task_is_not(
    s3: S3, emulator: LinkedEmulator, server: Server, user: User
) -> None:
    [task] = make_tasks(server)
    emulator.links = [s3.link(60)]
    s3.ahead = 3600
    done = user.airvid("download", task, "-o", "fox.mp4")
    assert (done.returncode, user.left) == (9, set())
    assert (s3.answered, calls(server)) == ([403, 403], [f"GET /video/tasks/{task}"] * 2)
    assert "HTTP 403" in done.stderr
    assert "Signature=" not in done.stderr


def test_a_link_that_expires_midway_is_replaced_and_the_rest_fetched(
    s3: S3, emulator: LinkedEmulator, server: Server, user: User
) -> None:
    [task] = make_tasks(server)
    emulator.links = [s3.link(60), s3.link(60), s3.link(86400)]
    s3.stalls = 250_000
    had = user.kill_midway("download", task, "-o", "fox.mp4")
    s3.ahead = 3600
    done = user.airvid("download", task, "-o", "fox.mp4")
    assert done.returncode == 0, done.stderr
    assert s3.answered == [403, 206]
    assert s3.asked[-1]["range"] == f"bytes={had}-"
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})


def test_an_object_replaced_between_is_never_mixed(
    s3: S3, emulator: LinkedEmulator, server: Server, user: User
) -> None:
    [task] = make_tasks(server)
    emulator.links = [s3.link()]
    s3.stalls = 250_000
    user.kill_midway("download", task, "-o", "fox.mp4")
    s3.put(OTHER)
    done = user.airvid("download", task, "-o", "fox.mp4")
    assert done.returncode == 0, done.stderr
    assert s3.answered == [206, 200]  # the condition was ignored; the part that came had another ETag
    assert (user.target.read_bytes(), user.left) == (OTHER, {"fox.mp4"})


def test_an_object_that_is_gone_is_a_dead_link(s3: S3, emulator: LinkedEmulator, server: Server, user: User) -> None:
    [task] = make_tasks(server)
    emulator.links = [s3.link()]
    s3.remove()
    done = user.airvid("download", task, "-o", "fox.mp4")
    assert (done.returncode, user.left) == (9, set())
    assert s3.answered == [403, 403]  # S3, too, tells 404 only those who may list the bucket
