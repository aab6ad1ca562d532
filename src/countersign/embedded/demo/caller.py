"""A person at the API, as a client would be: a URL, a token, and answers as they come."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the broker answered."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The problem's code, or `ok`."""
        return str(self.body.get("code", "ok")) if isinstance(self.body, Mapping) else "ok"

    @property
    def rule(self) -> str:
        """The rule that refused."""
        return str(self.body.get("rule") or self.body.get("detail") or "")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One person, calling."""

    name: str
    url: str
    token: str = field(repr=False)

    def post(self, path: str, body: object = None, **headers: str) -> Reply:
        """POST a JSON body."""
        return self._call("POST", path, {} if body is None else body, headers)

    def get(self, path: str) -> Reply:
        """GET."""
        return self._call("GET", path, None, {})

    def post_and_hang_up(self, path: str, *, once: Callable[[], object]) -> None:
        """POST, and close the line before the answer, as soon as `once` has returned: what a lost connection looks like."""
        at = urlsplit(self.url)
        with socket.create_connection((str(at.hostname), int(at.port or 80)), timeout=TIMEOUT_S) as line:
            request = (
                f"POST /v1{path} HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {self.token}\r\n"
                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
            )
            line.sendall(request.encode("ascii"))
            once()

    def _call(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Reply:
        at = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=TIMEOUT_S)
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        payload = None
        if body is not None:
            payload = json.dumps(body).encode("utf-8")
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, f"/v1{path}", body=payload, headers=sent)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        return Reply(status=answer.status, body=json.loads(raw) if raw else None)
