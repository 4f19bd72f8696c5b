"""A real nginx on loopback, which ends with the test."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from program_process import free_port, until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
_NGINX_CONF = """
daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    log_format seen escape=json '{{"status":$status,"path":"$uri","range":"$http_range","if_range":"$http_if_range",'
        '"key":"$http_authorization","sent":$body_bytes_sent,"connection":$connection,"encoding":"$sent_http_content_encoding"}}';
    access_log access.log seen;
    types {{ video/mp4 mp4; text/html html; }}
    {http}
    server {{ listen 127.0.0.1:{port}; root www; if (-f $document_root/metered) {{ set $limit_rate 200k; }} {server} }}
}}
"""


class Nginx:
    """One nginx as a child in the foreground, its prefix under `folder`, with more directives for http and server."""

    def __init__(self, folder: Path, server: str = "", http: str = "") -> None:
        self.www = folder / "www"
        self.www.mkdir(parents=True)
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        (folder / "nginx.conf").write_text(_NGINX_CONF.format(port=self._port, server=server, http=http))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        assert NGINX
        command = [NGINX, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(self._answers, "nginx")
        return self

    def stop(self) -> None:
        """At once: connections under way are cut."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)

    @contextmanager
    def metered(self) -> Iterator[None]:
        """Requests that come in this block are answered slowly, each by itself: 200 kB at once and then a second."""
        (self.www / "metered").touch()
        yield
        (self.www / "metered").unlink()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stop()

    def _answers(self) -> bool:
        assert self._process
        log = self._folder / "error.log"
        assert self._process.poll() is None, log.exists() and log.read_text()
        with suppress(OSError), socket.create_connection(urlsplit(self.url).netloc.split(":"), 1):  # type: ignore[arg-type]
            return True
        return False

    @property
    def log(self) -> list[dict[str, Any]]:
        """The requests that have ended, oldest first."""
        return [json.loads(line) for line in (self._folder / "access.log").read_text().splitlines()]
