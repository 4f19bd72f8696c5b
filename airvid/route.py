"""The way to a server: through which proxy, trusting which certificates, and in plain words what is wrong with it."""

from __future__ import annotations

import os
import re
import ssl
import urllib.request

import httpx

from airvid.errors import UnavailableError
from airvid.system import IS_WINDOWS, trust_store
from airvid.transport import Transport

# What surely never reached the server.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
_PROXY_HINT = "HTTPS_PROXY=http://host:port, or NO_PROXY for this server"
_CERTIFICATE_HINTS = {
    "hostname": "see that the address is the server's own: airvid config get base-url",
    "expired": "see that this machine's clock is right; else only the server can mend it",
    "not yet valid": "see that this machine's clock is right; else only the server can mend it",
}
_ROOTS_HINT = "behind a company's proxy, name its root certificates: SSL_CERT_FILE=/path/to/roots.pem"


class Routes:
    """The connections of a run: one client a scheme and proxy, for a TLS context costs more than a request."""

    def __init__(self, use_proxies: bool) -> None:
        self._proxies = urllib.request.getproxies() if use_proxies else {}
        self._clients: dict[tuple[str, str | None, bool], httpx.AsyncClient] = {}
        self._tls: ssl.SSLContext | None = None

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def client(self, url: str, *, fresh: bool = False) -> httpx.AsyncClient:
        """The client for a URL. `fresh`: its connections serve one request each.

        Raises: UnavailableError for a proxy or certificates that cannot be used.
        """
        scheme = "https" if url.lower().startswith("https") else "http"
        proxy = self.proxy_of(url)
        if (scheme, proxy, fresh) not in self._clients:
            limits = httpx.Limits(max_keepalive_connections=0 if fresh else 20, max_connections=100)
            if proxy is None and not IS_WINDOWS:  # whose event loop has none of what our sockets wait by
                client = httpx.AsyncClient(transport=Transport(self._trusted, limits), trust_env=False)
            else:
                tls = self._trusted() if "https" in (scheme, (proxy or "")[:5]) else _trusting_nobody()
                client = _stock_client(proxy, tls, limits)
            self._clients[scheme, proxy, fresh] = client
        return self._clients[scheme, proxy, fresh]

    def proxy_of(self, url: str) -> str | None:
        """The proxy for a URL, as HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY or the system's settings say."""
        if not self._proxies:
            return None
        parsed = httpx.URL(url)
        if urllib.request.proxy_bypass(f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host):
            return None
        found = self._proxies.get(parsed.scheme) or self._proxies.get("all")
        return found if not found or "://" in found else f"http://{found}"

    def _trusted(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = trust_store()
                self._tls.set_alpn_protocols(["http/1.1"])
            except OSError as error:
                named = os.environ.get("SSL_CERT_FILE", "")
                raise UnavailableError(
                    f"SSL_CERT_FILE names {named}, of which no certificates can be read: {error.strerror or error}",
                    sent=False,
                    is_final=True,
                    hint="name a file of PEM certificates, or unset SSL_CERT_FILE",
                ) from None
        return self._tls


def _stock_client(proxy: str | None, tls: ssl.SSLContext, limits: httpx.Limits) -> httpx.AsyncClient:
    """httpx as it comes, which speaks all kinds of proxy. Raises: UnavailableError for one that cannot be used."""
    try:
        if proxy and not 0 < (httpx.URL(proxy).port or 80) < 65536:
            raise ValueError("no such port")
        return httpx.AsyncClient(verify=tls, proxy=proxy, trust_env=False, limits=limits)
    except ImportError:
        message, hint = "a SOCKS proxy is set, which needs one package more", "pip install 'httpx[socks]'"
    except (ValueError, httpx.InvalidURL):
        message, hint = f"the proxy that is set has no usable address: {_shown(proxy)}", _PROXY_HINT
    raise UnavailableError(message, sent=False, is_final=True, hint=hint)


def _trusting_nobody() -> ssl.SSLContext:
    """For plain http, which never needs the trust store; it fails closed should TLS come up all the same."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def unavailable(error: Exception, url: httpx.URL, proxy: str | None) -> UnavailableError:
    """What kept a request from its answer, in plain words."""
    where = f"{url.host}:{url.port}" if url.port else url.host
    is_final, hint = False, None
    if found := re.search(r"CERTIFICATE_VERIFY_FAILED\] (?:certificate verify failed: )?([^(]*)", str(error)):
        what, is_final = f"the certificate of {where} cannot be trusted: {found[1].strip()}", True
        hint = next((hint for word, hint in _CERTIFICATE_HINTS.items() if word in found[1].lower()), _ROOTS_HINT)
    elif re.search(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST", str(error)):
        what, is_final = f"{where} does not speak TLS", True
        hint = f"if it is meant to be unencrypted: --base-url http://{where}"
    elif isinstance(error, httpx.ProxyError):
        what, hint = f"the proxy {_shown(proxy)} refused the way to {where}: {error}", _PROXY_HINT
        is_final = bool(re.match(r"4\d\d", str(error)))
    elif isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ConnectError):
        whom = f"the proxy {_shown(proxy)}" if proxy else where
        why = str(error) if isinstance(error, httpx.ConnectError) else "not within the time allowed"
        what, hint = f"no connection to {whom}: {why}", _PROXY_HINT if proxy else None
    elif isinstance(error, httpx.TimeoutException | TimeoutError):
        what = f"{where} fell silent"
    else:
        what = f"the connection to {where} broke: {error or type(error).__name__}"
    return UnavailableError(what, sent=not isinstance(error, _NOT_SENT), is_final=is_final, hint=hint)


def _shown(proxy: str | None) -> str:
    """A proxy without its user and password."""
    return re.sub(r"^(\w+)://", "", re.sub(r"//[^/]*@", "//", proxy or ""))
