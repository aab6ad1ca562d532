"""A man in the middle for tests: passes calls on to a real OpenBao, and lies where it was told to."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Body = dict[str, Any]


@dataclass
class Lie:
    """What becomes of a call whose path ends as told.

    Attributes:
        answer: given instead of asking OpenBao at all.
        twist: changes OpenBao's true answer.
        raw: writes whatever it likes to the socket, after OpenBao was asked if `asks`.
    """

    answer: tuple[int, Mapping[str, Any] | bytes] | None = None
    twist: Callable[[Body], object] | None = None
    raw: Callable[[BaseHTTPRequestHandler], None] | None = None
    asks: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(upstream)
        self.upstream = (str(parts.hostname), int(parts.port or 80))
        self.lies: dict[str, Lie] = {}
        self.seen: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_any(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(f"{self.command} {self.path}")
        lie = next((lie for end, lie in self.server.lies.items() if self.path.endswith(end)), Lie())
        if lie.answer is not None:
            status, body = lie.answer
            self.reply(status, body if isinstance(body, bytes) else json.dumps(body).encode(), lie.headers)
            return
        status, answered = (200, b"{}") if not lie.asks else self.ask(content)
        if lie.raw is not None:
            lie.raw(self)
            self.close_connection = True
            return
        if lie.twist is not None:
            twisted = json.loads(answered)
            lie.twist(twisted)
            answered = json.dumps(twisted).encode()
        self.reply(status, answered, lie.headers)

    do_GET = do_POST = do_LIST = handle_any  # noqa: N815 -- names that http.server calls

    def ask(self, content: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.server.upstream, timeout=10)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, self.path, body=content or None, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != http.HTTPStatus.NO_CONTENT:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def proxy_to(upstream: str) -> Iterator[Proxy]:
    server = Proxy(upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
