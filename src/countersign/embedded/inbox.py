"""The receiver of the embedded stack's notices: whoever is told of an emergency reads them in a file.

It does what a receiver has to: takes a post only if it is signed with the secret that it shares with the broker.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from countersign.service.streams.webhook import sign

NAME = "inbox"
LARGEST_NOTICE = 1024 * 1024
_SECRET_BYTES = 32
_TAKEN, _REFUSED = 204, 401
_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


@dataclass(kw_only=True)
class EmbeddedInbox:
    """A server on loopback that writes each notice as a line of JSON.

    Attributes:
        path: the file; for our eyes only.
        port: where it listens; 0 until it is started.
    """

    path: Path
    port: int = 0
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(_SECRET_BYTES), repr=False)
    _server: ThreadingHTTPServer | None = field(default=None, repr=False)

    def start(self) -> None:
        """Listen."""
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                given = {name: self.headers.get(name, "") for name in _SIGNED}
                body = self.rfile.read(min(int(self.headers.get("content-length") or 0), LARGEST_NOTICE))
                self.send_response(_TAKEN if inbox.take(given, body) else _REFUSED)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing: the file is what there is to read."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="inbox", daemon=True).start()

    def stop(self) -> None:
        """Listen no longer; idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def take(self, given: dict[str, str], body: bytes) -> bool:
        """Keep a post that the broker signed; say whether it was one.

        Args:
            given: its headers that the signature covers, and the signature.
            body: its bytes.
        """
        message_id, timestamp, signature = (given[name] for name in _SIGNED)
        if not timestamp.isdecimal():
            return False
        expected = sign(self._secret, message_id=message_id, timestamp=int(timestamp), body=body)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return False
        with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            file.write(body + b"\n")
        return True

    def settings(self) -> dict[str, str]:
        """Return how the broker reaches it; holds the secret."""
        return {
            "url": f"http://127.0.0.1:{self.port}/notices",
            "secret": "whsec_" + base64.b64encode(self._secret).decode("ascii"),
        }
