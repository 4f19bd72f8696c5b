"""Connections to servers: httpx clients by proxy, the trusted certificates, and why a request failed."""

from __future__ import annotations

import functools
import http.cookiejar
import ipaddress
import os
import re
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx

from airvid import system
from airvid.api import redact
from airvid.errors import UnavailableError
from airvid.system import ROOTS_VARIABLES, trust_store

LOCATION = "airvid_location"
"""The response extension that holds the Location header."""
# Each connection serves one request: bytes behind an answer can never be read as the next answer.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)
_PROXY_HINT = "HTTPS_PROXY=http://host:port, or NO_PROXY for this server"
_CERTIFICATE_HINTS = {
    "hostname": "airvid config list, to check the server's address",
    "expired|not yet valid": "check this machine's clock; if it is right, only the server's owner can mend it",
}
_ROOTS_HINT = "behind a company's proxy, set its root certificates: SSL_CERT_FILE=/path/to/roots.pem"


class Clients:
    """The httpx clients of a run, one for each proxy. A TLS context is made once."""

    def __init__(self, use_proxies: bool) -> None:
        self._proxies = urllib.request.getproxies() if use_proxies else {}
        self._clients: dict[tuple[bool, str | None], httpx.AsyncClient] = {}

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def client(self, url: httpx.URL) -> httpx.AsyncClient:
        """The client for a URL. Raises: UnavailableError for a proxy or certificates that cannot be used."""
        proxy = self.proxy_for(url)
        # Plain http needs no certificates: a broken SSL_CERT_FILE must not stop it.
        is_secured = "https" in (url.scheme, (proxy or "").partition(":")[0])
        key = is_secured, proxy
        if key not in self._clients:
            tls = self._trusted if is_secured else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._clients[key] = _make_client(proxy, tls)
        return self._clients[key]

    def proxy_for(self, url: httpx.URL) -> str | None:
        """The proxy's URL, as HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY or the system's settings say."""
        found = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not found or self._is_excepted(url):
            return None
        if found.lower().startswith("socks://"):
            return f"socks5{found[5:]}"
        return found if "://" in found else f"http://{found}"

    def _is_excepted(self, url: httpx.URL) -> bool:
        """Whether NO_PROXY names the host, by its name or by a network."""
        host = url.raw_host.decode("ascii").strip("[]")
        if urllib.request.proxy_bypass(f"{host}:{url.port}" if url.port else host):
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in _networks(self._proxies.get("no", "")))

    @functools.cached_property
    def _trusted(self) -> ssl.SSLContext:
        try:
            return trust_store()
        except OSError as error:
            variable = next((each for each in ROOTS_VARIABLES if os.environ.get(each)), ROOTS_VARIABLES[0])
            raise UnavailableError(
                f"no certificates can be read from {os.environ.get(variable, '')}, which {variable} names:"
                f" {error.strerror or error}",
                sent=False,
                is_final=True,
                hint=f"set {variable} to a file of PEM certificates, or unset it",
            ) from None


def _networks(no_proxy: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for each in no_proxy.split(","):
        if "/" in each:
            try:
                yield ipaddress.ip_network(each.strip().strip("[]"), strict=False)
            except ValueError:
                continue


class _NoCookies(http.cookiejar.CookieJar):
    """No cookie is kept, and no Set-Cookie header is parsed: the API uses none."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        pass


async def _hide_location(response: httpx.Response) -> None:
    """Hide the Location header from httpx, which resolves it though it follows no redirect, and fails on odd ones."""
    if "location" in response.headers:
        response.extensions[LOCATION] = response.headers.pop("location")


def _make_client(proxy: str | None, tls: ssl.SSLContext) -> httpx.AsyncClient:
    """Raises: UnavailableError for a proxy that cannot be used."""
    try:
        address = httpx.URL(proxy) if proxy else None
        if address and (address.port or 0) > 65535:
            raise ValueError("no such port")
        return httpx.AsyncClient(
            verify=tls,
            proxy=httpx.Proxy(address, ssl_context=tls if address.scheme == "https" else None) if address else None,
            trust_env=False,  # proxies are chosen above, which also knows networks in NO_PROXY
            limits=_LIMITS,
            cookies=_NoCookies(),
            event_hooks={"response": [_hide_location]},
        )
    except ImportError:
        message, hint = "a SOCKS proxy is set, which needs another package", system.install_command("httpx[socks]")
    except (ValueError, httpx.InvalidURL):
        message = f"the address of the proxy cannot be used: {redact.proxy(proxy)}"
        hint = "HTTPS_PROXY=http://user:password@host:port, with %2F for / and %40 for @ in the password"
    raise UnavailableError(message, sent=False, is_final=True, hint=hint)


class HeaderError(UnavailableError):
    """An answer has a header line that is not valid HTTP. Other programs accept it."""


def unavailable(error: Exception, url: httpx.URL, proxy: str | None, *, sent: bool) -> UnavailableError:
    """Why a request has no answer, as a sentence. `sent`: whether it may have left this machine."""
    host = url.raw_host.decode("ascii", "replace")
    where = f"{host}:{url.port}" if url.port else host
    is_final, hint = False, None
    if found := re.fullmatch(r"illegal header line: bytearray\(b(.*)\)", str(error)):
        return HeaderError(f"{where} sent a header line that is no HTTP: {found[1]}", sent=sent)
    if found := re.search(r"CERTIFICATE_VERIFY_FAILED\] (?:certificate verify failed: )?([^(]*)", str(error)):
        what, is_final = f"the certificate of {where} cannot be trusted: {found[1].strip()}", True
        hint = next((hint for why, hint in _CERTIFICATE_HINTS.items() if re.search(why, found[1].lower())), _ROOTS_HINT)
    elif re.search(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST", str(error)):
        what, is_final = f"{where} does not speak TLS", True
        hint = f"if it is meant to be unencrypted: --base-url http://{where}"
    elif isinstance(error, httpx.ProxyError):
        what, hint = f"the proxy {redact.proxy(proxy)} refused a connection to {where}: {error}", _PROXY_HINT
        is_final = bool(re.match(r"4\d\d", str(error)))
    elif isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        whom = f"the proxy {redact.proxy(proxy)}" if proxy else where
        why = _reason(error) if isinstance(error, httpx.ConnectError) else "not within the time allowed"
        what, hint = f"no connection to {whom}: {why}", _PROXY_HINT if proxy else None
    elif isinstance(error, httpx.TimeoutException | TimeoutError):
        what = f"{where} did not answer in time"
    else:
        what = f"the connection to {where} broke: {_reason(error)}"
    return UnavailableError(what, sent=sent, is_final=is_final, hint=hint)


def _reason(error: BaseException) -> str:
    """The system's words for the cause of an error of httpx, whose own may repeat addresses or be empty."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror) and cause.strerror:
            return cause.strerror
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
            return os.strerror(cause.errno)
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()  # errors that are raised again can be each other's context
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        first = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = first or error.__cause__ or error.__context__
