"""Speaks HTTP with OpenBao: one deadline for the whole exchange, no redirects, no proxies, a few idle connections.

Written on `http.client` because what matters here is what general clients do not give: a time-out that a server dripping
single bytes cannot stretch, and the certainty that a call which makes something is sent once.
"""

from __future__ import annotations

import io
import json
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from countersign.providers.base import Away, ProviderTrouble

CONNECT_S = 2.0
TOTAL_S = 10.0
_IDLE_CONNECTIONS = 32
_LARGEST_ANSWER = 16 * 1024 * 1024
_PATH = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*")
_SHOWN = 200


class Unsent(Away):
    """No connection: OpenBao never saw the call."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What OpenBao answered. The body may hold secrets and is never shown by repr."""

    status: int
    body: Mapping[str, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Say whether the status is a success."""
        return self.status in {200, 204}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return OpenBao's warnings."""
        return tuple(str(warning) for warning in self.body.get("warnings") or ())

    def table(self, key: str) -> Mapping[str, Any]:
        """Return the object under `key`, empty if it is missing or something else."""
        value = self.body.get(key)
        return value if isinstance(value, dict) else {}

    def complaint(self) -> str:
        """Return the status and the errors' first line. Not for answers to calls that make passwords."""
        errors = self.body.get("errors")
        text = " ".join(str(error) for error in errors) if isinstance(errors, list) else ""
        return f"OpenBao answered {self.status}: {' '.join(text.split())[:_SHOWN]}".rstrip(": ")


class Wire:
    """Connections to one OpenBao; safe from several threads.

    Args:
        address: `http(s)://host[:port]`, nothing more.
        context: TLS trust for `https`; the system's by default.
        monotonic: seconds for deadlines.
    """

    def __init__(
        self,
        address: str,
        *,
        context: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"expected http(s)://host:port as OpenBao's address, got {address!r}")
        self.address = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = (context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._monotonic = monotonic
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Wire({self.address})"

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: Mapping[str, object] | None = None,
        wrap_ttl_s: int | None = None,
        within_s: float = TOTAL_S,
    ) -> Reply:
        """Send one request, once, and return the answer, whatever its status.

        Args:
            method: GET, POST or LIST.
            path: below `/v1/`, made of names only.
            token: sent as a header.
            body: sent as JSON.
            wrap_ttl_s: asks for a response-wrapped answer that lives so long.
            within_s: the whole exchange's time.

        Raises:
            Unsent: no connection.
            Away: time-out, broken connection, sealed, 5xx, a redirect, or no JSON.
        """
        if _PATH.fullmatch(path) is None:
            raise ProviderTrouble("refused to send a path that is not made of names")
        headers = {"Accept": "application/json", "X-Vault-Request": "true"}
        if token:
            headers["X-Vault-Token"] = token
        if wrap_ttl_s is not None:
            headers["X-Vault-Wrap-TTL"] = f"{wrap_ttl_s}s"
        content = None if body is None else json.dumps(body).encode("utf-8")
        if content is not None:
            headers["Content-Type"] = "application/json"
        status, raw = self._exchange(method, f"/v1/{path}", headers, content, self._monotonic() + within_s)
        return _reply(status, raw)

    def close(self) -> None:
        """Close what is idle; calls after this open new connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, until: float
    ) -> tuple[int, bytes]:
        connection = self._take() or self._open(until)
        connection.until = until
        try:
            connection.request(method, url, body=content, headers=dict(headers))
            response = connection.getresponse()
            raw = response.read(_LARGEST_ANSWER + 1)
            if len(raw) > _LARGEST_ANSWER or response.will_close:
                connection.close()
            else:
                self._give_back(connection)
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise Away(f"OpenBao: {type(error).__name__} during {method} {url}") from None
        except BaseException:
            connection.close()
            raise
        return response.status, raw

    def _take(self) -> _Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.is_quiet():
                return connection
            connection.close()

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _open(self, until: float) -> _Connection:
        connection = _Connection(self._host, self._port, self._tls, self._monotonic)
        connection.until = min(until, self._monotonic() + CONNECT_S)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise Unsent(f"OpenBao cannot be reached: {type(error).__name__}") from None
        return connection


def _reply(status: int, raw: bytes) -> Reply:
    if 300 <= status < 400:  # noqa: PLR2004 -- the range of redirects
        raise Away(f"OpenBao answered {status}, a redirect; none is followed")
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise Away(f"OpenBao answered {status} and no JSON") from None
    reply = Reply(status=status, body=body if isinstance(body, dict) else {})
    if status == 429 or status >= 450:  # noqa: PLR2004 -- "too many", standby and sealed (47x, 503), faults
        # The text is left out: a fault may quote the statement that OpenBao ran, with the password it had just made.
        raise Away(f"OpenBao answered {status}")
    return reply


class _Connection(HTTPConnection):
    """A connection on which every wait ends at `until`, however slowly bytes arrive."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, monotonic: Callable[[], float]) -> None:
        super().__init__(host, port)
        self.until = 0.0
        self._tls = tls
        self._monotonic = monotonic

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), timeout=self._left())
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            plain.settimeout(self._left())
            plain = self._tls.wrap_socket(plain, server_hostname=self.host)
        self._plain = plain
        self.sock = _Bounded(plain, self._left)

    def is_quiet(self) -> bool:
        """Say whether an idle connection is still open: nothing to read, no end of file."""
        return self.sock is not None and not select.select([self._plain], [], [], 0)[0]

    def _left(self) -> float:
        left = self.until - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Bounded:
    """The part of a socket that http.client uses, with the remaining time set before every wait.

    http.client closes the socket of an answer that ends the connection before it reads the body; so closing waits for
    the reader, as with a plain socket.
    """

    def __init__(self, plain: socket.socket, left: Callable[[], float]) -> None:
        self._plain = plain
        self._left = left
        self._readers = 0
        self._closing = False

    def sendall(self, data: bytes) -> None:
        self._plain.settimeout(self._left())
        self._plain.sendall(data)

    def receive_into(self, buffer: Any) -> int:  # noqa: ANN401 -- the buffer protocol has no name in Python 3.11
        self._plain.settimeout(self._left())
        return self._plain.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def reader_done(self) -> None:
        self._readers -= 1
        if self._closing and self._readers <= 0:
            self._plain.close()

    def close(self) -> None:
        self._closing = True
        if self._readers <= 0:
            self._plain.close()


class _Reader(io.RawIOBase):
    def __init__(self, source: _Bounded) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- the buffer protocol has no name in Python 3.11
        return self._source.receive_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.reader_done()
