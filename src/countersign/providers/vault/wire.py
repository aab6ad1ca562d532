"""Speaks HTTP with OpenBao: one deadline for the whole exchange, no redirects, no proxies, a few idle connections.

Written on `http.client` because what matters here is what general clients do not give: a time-out that a server dripping
single bytes cannot stretch, and the certainty that a call which makes something is sent once.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from countersign.providers.base import Away, ProviderTrouble
from countersign.providers.bounded import BoundedConnection

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
        self._idle: list[BoundedConnection] = []
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

    def _take(self) -> BoundedConnection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.is_quiet():
                return connection
            connection.close()

    def _give_back(self, connection: BoundedConnection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _open(self, until: float) -> BoundedConnection:
        connection = BoundedConnection(self._host, self._port, self._tls, self._monotonic)
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
