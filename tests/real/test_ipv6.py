"""IPv6, and hosts with several addresses of which not all answer (RFC 8305)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from program_process import CLIP, User, make_tasks, posts
from proxies import Relay

from airvid.sandbox.server import Server

CREATE = ["create", "fox", "-m", "wan-2.6", "-o", "fox.mp4"]
BOTH = ["127.0.0.1", "::1"]


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


def teach(user: User, **hosts: list[str]) -> None:
    """Let the program's resolver know these hosts, underscores for dots, by their addresses in this order."""
    user.customise(
        f"""
import socket
known, ask = {hosts!r}, socket.getaddrinfo
def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    name = (host.decode() if isinstance(host, bytes) else host).replace(".", "_")
    if name not in known or flags & socket.AI_NUMERICHOST:
        return ask(host, port, family, type, proto, flags)
    return [each for address in known[name] for each in ask(address, port, family, type, proto, flags)]
socket.getaddrinfo = getaddrinfo
"""
    )


@contextmanager
def closed_beside(port: int, family: socket.AddressFamily) -> Iterator[None]:
    """Make sure that nobody else takes this port in the other family; it is bound, and refuses."""
    with socket.socket(family) as kept:
        _bind(kept, port)
        yield


def _bind(made: socket.socket, port: int) -> None:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # somebody may call from this port just now
    try:
        made.bind(("::1" if made.family == socket.AF_INET6 else "127.0.0.1", port))
    except OSError:
        pytest.skip("another program uses this port over the other IP version")


@contextmanager
def black_hole(port: int, family: socket.AddressFamily) -> Iterator[None]:
    """A port that answers to no connection, as behind a firewall that drops: its queue is full."""
    address = ("::1" if family == socket.AF_INET6 else "127.0.0.1", port)
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket(family))
        _bind(full, port)
        full.listen(0)
        for _ in range(8):
            caller = stack.enter_context(socket.socket(family))
            caller.settimeout(0.2)
            try:
                caller.connect(address)
            except TimeoutError:
                yield
                return
        pytest.skip("this system accepts connections beyond the backlog")


def test_an_api_and_a_storage_at_an_ipv6_address(server: Server, user: User) -> None:
    with Relay(server.api_url, host="::1") as api, Relay(server.storage_url, host="::1") as storage:
        assert api.url.startswith("http://[::1]:")
        server.emulator.storage = storage.url
        done = user.airvid(*CREATE, AIRVID_BASE_URL=api.url)
        assert done.returncode == 0, done.stderr
        listed = user.airvid("list", "--local", "--ids", AIRVID_BASE_URL=api.url.upper().replace("HTTP", "http"))
        assert len(listed.stdout.split()) == 1  # another way to write it is no other service
    assert (user.target.read_bytes(), posts(server)) == (CLIP, 1)
    assert not any("authorization" in each.headers for _, each in server.emulator.requests if each.storage)


@pytest.mark.parametrize("host", BOTH)
@pytest.mark.parametrize("order", [BOTH, BOTH[::-1]], ids=["4, 6", "6, 4"])
def test_a_host_of_both_families_with_one_that_refuses(server: Server, user: User, host: str, order: list[str]) -> None:
    teach(user, dual_test=order)
    other = socket.AF_INET if ":" in host else socket.AF_INET6
    with Relay(server.api_url, host=host, name="dual.test") as api, closed_beside(api.port, other):
        code, said = user.first_words(*CREATE, AIRVID_BASE_URL=api.url)
    assert (code, posts(server)) == (0, 1), said
    assert user.target.read_bytes() == CLIP


@pytest.mark.parametrize("host", BOTH)
def test_a_host_of_both_families_with_one_that_never_answers(server: Server, user: User, host: str) -> None:
    teach(user, dual_test=[each for each in BOTH if each != host] + [host])
    other = socket.AF_INET if ":" in host else socket.AF_INET6
    with Relay(server.api_url, host=host, name="dual.test") as api, black_hole(api.port, other):
        # One that waited for the first address would be at the end of its wits after two times 4 seconds.
        code, said = user.first_words(*CREATE, AIRVID_BASE_URL=api.url, AIRVID_CONNECT_TIMEOUT="4s")
    assert (code, posts(server)) == (0, 1), said
    assert user.target.read_bytes() == CLIP


def test_where_no_address_answers_the_time_of_connecting_is_kept(server: Server, user: User) -> None:
    teach(user, dual_test=BOTH)
    [task] = make_tasks(server)
    with Relay(server.api_url) as relay:
        port = relay.port
    with black_hole(port, socket.AF_INET), black_hole(port, socket.AF_INET6):
        base_url = f"http://dual.test:{port}"
        _, said = user.first_words("status", task, AIRVID_BASE_URL=base_url, AIRVID_CONNECT_TIMEOUT="0.5s")
    assert f"no connection to dual.test:{port}: not within the time allowed" in said


def test_localhost_is_as_good_as_an_address(server: Server, user: User) -> None:
    # Whatever it resolves to here, in whatever order: the server is bound to one family only.
    base_url = server.api_url.replace("127.0.0.1", "localhost")
    families = {each[0] for each in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    if socket.AF_INET not in families:
        pytest.skip("localhost has no IPv4 address here")
    done = user.airvid("models", AIRVID_BASE_URL=base_url)
    assert done.returncode == 0, done.stderr


def test_a_host_without_an_address_is_said_to_have_none(user: User) -> None:
    _, said = user.first_words("models", AIRVID_BASE_URL="http://nowhere.invalid")
    assert "nowhere.invalid" in said
    assert "bug" not in said
