"""Receivers of webhooks for tests: a real server on the loopback that verifies signatures as its own code understands them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECRET = bytes(range(32))
SPELLED_SECRET = "whsec_" + base64.b64encode(SECRET).decode("ascii")


@dataclass(kw_only=True)
class Received:
    """One post, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def said(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def index(self) -> int:
        return int(self.said["data"]["index"])

    def verifies(self, secret: bytes = SECRET) -> bool:
        covered = b".".join(
            [self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body]
        )
        expected = base64.b64encode(hmac.digest(secret, covered, hashlib.sha256)).decode()
        return self.headers["webhook-signature"] == f"v1,{expected}"


@dataclass(kw_only=True)
class Inbox:
    """A receiver that keeps what it got. `answer` says what it does about a post: a status, or None to hang up."""

    posts: list[Received] = field(default_factory=list)
    answer: Callable[[Received], int | None] = lambda _: 204
    location: str | None = None
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    def wait_for(self, wanted: Callable[[Received], bool], *, within: float = 10) -> Received:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for post in list(self.posts):
                if wanted(post):
                    return post
            time.sleep(0.005)
        raise AssertionError("nothing of the kind arrived")


@contextmanager
def receiving(*, context: ssl.SSLContext | None = None) -> Iterator[Inbox]:
    """Serve an inbox; stop it at the end."""
    inbox = Inbox(scheme="http" if context is None else "https")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            named = {name.lower(): value for name, value in self.headers.items()}
            post = Received(path=self.path, headers=named, body=body)
            inbox.posts.append(post)
            status = inbox.answer(post)
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            if inbox.location:
                self.send_header("Location", inbox.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    inbox.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate file that vouches for itself, for `name` and 127.0.0.1, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
