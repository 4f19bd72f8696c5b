"""Through proxies: CONNECT for https, absolute addresses for http, and never a second POST on the way."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import KEY
from program_process import CLIP, User, free_port, make_tasks, posts
from proxies import Proxy, Relay, certificate, pem

from airvid.sandbox.server import Server

trustme = pytest.importorskip("trustme", reason="trustme is not installed")
CREATE = ["create", "fox", "-m", "wan-2.6", "-o", "fox.mp4"]
WORD = "p@ss:wörd"


@pytest.fixture
def tls(server: Server, tmp_path: Path) -> Iterator[User]:
    """A user of the API and its storage over TLS, whose authority is known."""
    authority: Any = trustme.CA()
    context = certificate(authority.issue_cert("localhost"))
    with (
        Relay(server.api_url, tls=context, name="localhost") as api,
        Relay(server.storage_url, tls=context, name="localhost") as storage,
    ):
        server.emulator.storage = storage.url
        yield User(tmp_path, api.url, SSL_CERT_FILE=pem(tmp_path, authority))


@pytest.fixture
def plain(server: Server, tmp_path: Path) -> User:
    return User(tmp_path, server.api_url)


def assert_saved(user: User, server: Server) -> None:
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})
    assert posts(server) == 1


def dead() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_https_goes_through_connect(server: Server, tls: User, variable: str) -> None:
    with Proxy() as proxy:
        done = tls.airvid(*CREATE, **{variable: proxy.url})
        assert done.returncode == 0, done.stderr
        hosts = {tls.env["AIRVID_BASE_URL"], server.emulator.storage}
        assert set(proxy.asked) == {f"CONNECT {host.removeprefix('https://')} HTTP/1.1" for host in hosts}
        assert KEY not in str(proxy.seen)
    assert_saved(tls, server)


def test_the_way_to_the_proxy_may_be_https_itself(server: Server, tls: User, tmp_path: Path) -> None:
    authority: Any = trustme.CA()
    roots = tmp_path / "both.pem"
    roots.write_bytes(Path(tls.env["SSL_CERT_FILE"]).read_bytes() + authority.cert_pem.bytes())
    with Proxy(tls=certificate(authority.issue_cert("localhost")), name="localhost") as proxy:
        done = tls.airvid(*CREATE, HTTPS_PROXY=proxy.url, SSL_CERT_FILE=str(roots))
        assert done.returncode == 0, done.stderr
        assert proxy.asked
    assert_saved(tls, server)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_http_goes_by_absolute_address(server: Server, plain: User, variable: str) -> None:
    with Proxy() as proxy:
        done = plain.airvid(*CREATE, **{variable: proxy.url.removeprefix("http://")})
        assert done.returncode == 0, done.stderr
        assert f"POST {server.api_url}/video/generations HTTP/1.1" in proxy.asked
        assert len(proxy.asked) == len(server.emulator.requests)
        assert not any("authorization" in each for line, each in proxy.seen if server.storage_url in line)
    assert_saved(plain, server)


@pytest.mark.parametrize(
    ("variable", "hosts"),
    [("NO_PROXY", "localhost,127.0.0.1"), ("no_proxy", "example.com, localhost"), ("NO_PROXY", "*")],
)
def test_no_proxy_is_honoured(server: Server, tls: User, variable: str, hosts: str) -> None:
    done = tls.airvid(*CREATE, HTTPS_PROXY=dead(), **{variable: hosts})
    assert done.returncode == 0, done.stderr
    assert_saved(tls, server)


@pytest.mark.parametrize("networks", ["127.0.0.0/8", "10.0.0.0/8, 127.0.0.1/32", "::1/128,127.0.0.0/8"])
def test_no_proxy_takes_networks(plain: User, networks: str) -> None:
    done = plain.airvid("models", HTTP_PROXY=dead(), NO_PROXY=networks)
    assert done.returncode == 0, done.stderr
    _, said = plain.first_words("models", HTTP_PROXY=dead(), NO_PROXY="10.0.0.0/8,::1/128,nonsense/9")
    assert "proxy" in said


@pytest.mark.parametrize("word", ["s3/cret", "s3@cret", "s3?cret#", "s3:cret", "s3%2Fcret"])
@pytest.mark.parametrize("command", [["models"], ["models", "--debug"], ["list", "--json"]])
def test_a_proxy_s_password_is_never_shown(plain: User, command: list[str], word: str) -> None:
    address = dead()
    code, said = plain.first_words(*command, HTTP_PROXY=address.replace("//", f"//user:{word}@"), upto="again")
    assert code
    assert "proxy" in said
    assert not any(part in said for part in ("s3", "cret", base64.b64encode(f"user:{word}".encode()).decode()))


def test_the_sandbox_asks_no_proxy(plain: User) -> None:
    done = plain.airvid("--sandbox", "models", AIRVID_BASE_URL="", HTTP_PROXY=dead(), ALL_PROXY=dead())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_proxys_password_goes_to_the_proxy_and_nowhere_else(
    server: Server, tls: User, scheme: str, tmp_path: Path
) -> None:
    user = tls if scheme == "https" else User(tmp_path, server.api_url)
    if scheme == "http":
        server.emulator.storage = server.storage_url
    with Proxy(user=f"anna:{WORD}") as proxy:
        address = proxy.url.replace("http://", "http://anna:p%40ss%3Aw%C3%B6rd@")
        done = user.airvid(*CREATE, "--debug", **{f"{scheme.upper()}_PROXY": address})
        assert done.returncode == 0, done.stderr
    encoded = base64.b64encode(f"anna:{WORD}".encode()).decode()
    assert not any(word in done.stderr for word in (WORD, "p%40ss", "w%C3%B6rd", encoded))
    received = str([request.headers for _, request in server.emulator.requests])
    assert "proxy-authorization" not in received
    assert_saved(user, server)


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_refusal_of_the_proxy_is_told_as_the_proxys(server: Server, tls: User, status: int) -> None:
    with Proxy(*[status] * 99) as proxy:
        address = proxy.url.replace("http://", "http://anna:secret@")
        _, said = tls.first_words("--debug", "list", HTTPS_PROXY=address)
    assert re.search(rf"the proxy .*{status}", said), said
    assert "secret" not in said
    assert base64.b64encode(b"anna:secret").decode() not in said
    assert posts(server) == 0


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_says_no_is_not_asked_again(server: Server, tls: User, status: int) -> None:
    with Proxy(*[status] * 99) as proxy:
        code, said = tls.first_words(*CREATE, HTTPS_PROXY=proxy.url)
        assert len(proxy.asked) <= 2  # the models and the tasks, side by side
    assert (code, tls.left, posts(server)) == (9, set(), 0)
    assert "HTTPS_PROXY" in said


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_down_is_named(tls: User, variable: str) -> None:
    address = dead()
    tls.env[variable] = address.replace("//", "//anna:secret@")
    _, said = tls.first_words("models")
    assert "proxy" in said
    assert address.removeprefix("http://") in said
    assert "secret" not in said


def test_a_connect_that_is_refused_now_and_then_is_asked_again(server: Server, tls: User) -> None:
    with Proxy(502, 0, 503, 502) as proxy:
        done = tls.airvid(*CREATE, HTTPS_PROXY=proxy.url)
        assert done.returncode == 0, done.stderr
        assert len(proxy.asked) > 4
    assert_saved(tls, server)


def test_the_posts_own_connect_may_be_repeated(server: Server, tls: User) -> None:
    with Proxy(0, 502, 503) as proxy:
        done = tls.airvid("create", "fox", "-m", "wan-2.6", HTTPS_PROXY=proxy.url)
        assert done.returncode == 0, done.stderr
        assert len(proxy.asked) == 4  # the list of models, and three for the POST
    assert posts(server) == 1


def test_a_post_that_the_proxy_passed_on_is_never_repeated(server: Server, plain: User) -> None:
    with Proxy(on="POST", drops=True) as proxy:
        done = plain.airvid(*CREATE, HTTP_PROXY=proxy.url)
        assert done.returncode == 0, done.stderr
        assert sum(line.startswith("POST") for line in proxy.asked) == 1
    assert "looking in the task list" in done.stderr
    assert_saved(plain, server)


@pytest.mark.parametrize("status", [502, 504])
def test_a_post_that_the_proxy_answers_itself_is_looked_up(server: Server, plain: User, status: int) -> None:
    # Whether this proxy had passed it on is not to be seen in its answer: nothing is sent again.
    with Proxy(status, on="POST") as proxy:
        _, said = plain.first_words(*CREATE, upto="task list", HTTP_PROXY=proxy.url)
    assert "looking in the task list" in said, said
    assert sum(line.startswith("POST") for line in proxy.asked) == 1
    assert posts(server) == 0


@pytest.mark.parametrize("address", ["ftp://127.0.0.1:1", "http://127.0.0.1:99999", "http://[::1", "://"])
def test_an_address_that_no_proxy_can_have_is_an_error_in_plain_words(
    server: Server, plain: User, address: str
) -> None:
    [task] = make_tasks(server)
    code, said = plain.first_words("status", task, HTTP_PROXY=address)
    assert code in (2, 9), said
    assert "proxy" in said.lower()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy"])
def test_socks_needs_one_package_more(plain: User, scheme: str, variable: str) -> None:
    plain.env[variable] = f"{scheme}://127.0.0.1:1"
    code, said = plain.first_words("models")
    assert code == 9
    assert "httpx[socks]" in said
