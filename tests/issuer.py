"""An identity issuer for tests: a real HTTP server that signs with real keys, and lies, dawdles or fails when told to."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.jwk import RSAKey
from tests.world import Clock

from countersign.domain.device import spelled

CLIENT, CLI_CLIENT = "countersign-web", "countersign-cli"
_KEYS: dict[str, RSAKey] = {}


def key_named(kid: str) -> RSAKey:
    """Return a key, made once for all tests: making one takes a tenth of a second."""
    if kid not in _KEYS:
        _KEYS[kid] = RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})
    return _KEYS[kid]


@dataclass(kw_only=True)
class LocalIssuer:
    """One issuer.

    Attributes:
        clock: of the tokens that it makes.
        kid: of the key that it signs with; the keys of `published` are those that it shows.
        names_itself: whether its answers to browsers bear `iss`.
        lies: by path, what is answered instead: status and bytes.
        delay_s: before each answer.
        drip_s: between one byte of an answer and the next.
    """

    clock: Callable[[], datetime]
    kid: str = "one"
    published: list[str] = field(default_factory=lambda: ["one"])
    names_itself: bool = True
    lies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    url: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "authorization_response_iss_parameter_supported": self.names_itself,
        }

    def keys(self) -> dict[str, Any]:
        return {"keys": [key_named(kid).as_dict(private=False) for kid in self.published]}

    def claims(self, subject: str = "sub-alice", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - claims of any kind; None leaves one out
        now = int(self.clock().timestamp())
        said = {"iss": self.url, "sub": subject, "aud": CLIENT, "iat": now, "exp": now + 300} | self.more | changes
        return {name: value for name, value in said.items() if value is not None}

    def sign(self, claims: Mapping[str, Any], *, key: RSAKey | None = None, **header: Any) -> str:  # noqa: ANN401 - header parameters
        """Sign as told, also what no library would: by hand, so that every header can be had."""
        protected = {"alg": "RS256", "kid": self.kid} | header
        protected = {name: value for name, value in protected.items() if value is not None}
        said = ".".join(spelled(json.dumps(part).encode()) for part in (protected, claims))
        private = (key or key_named(self.kid)).private_key
        assert private is not None
        hashed = hashes.SHA512() if protected.get("alg") == "RS512" else hashes.SHA256()
        return f"{said}.{spelled(private.sign(said.encode(), padding.PKCS1v15(), hashed))}"

    def confuse(self, claims: Mapping[str, Any]) -> str:
        """Sign with HS256, and the public key as the secret: algorithm confusion."""
        said = ".".join(spelled(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": self.kid}, claims))
        secret = key_named(self.kid).as_pem(private=False)
        return f"{said}.{spelled(hmac.digest(secret, said.encode(), 'sha256'))}"

    def authorize(self, location: str, subject: str = "sub-alice", **changes: Any) -> dict[str, str]:  # noqa: ANN401 - claims
        """Do what a browser and a person do there; return what the browser brings back."""
        asked = dict(parse_qsl(urlsplit(location).query))
        assert location.startswith(f"{self.url}/authorize?")
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked | {"subject": subject, "changes": json.dumps(changes)}
        brought = {"code": code, "state": asked["state"]}
        return brought | ({"iss": self.url} if self.names_itself else {})

    def redeem(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        code = self._codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            code is None
            or form.get("redirect_uri") != code["redirect_uri"]
            or spelled(verifier) != code["code_challenge"]
        ):
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        said = {
            "aud": code["client_id"],
            "nonce": code["nonce"],
            "at_hash": spelled(half),
        } | json.loads(code["changes"])
        id_token = self.sign(self.claims(code["subject"], **said))
        return 200, {"access_token": access_token, "token_type": "Bearer", "id_token": id_token}

    def answer(self, path: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        self.asked.append(path)
        time.sleep(self.delay_s)
        if path in self.lies:
            return self.lies[path]
        match path:
            case "/.well-known/openid-configuration":
                return 200, json.dumps(self.document()).encode()
            case "/keys":
                return 200, json.dumps(self.keys()).encode()
            case "/token":
                status, body = self.redeem(form)
                return status, json.dumps(body).encode()
        return 404, b"{}"


def _handler(issuer: LocalIssuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            status, said = issuer.answer(self.path, form)
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                if status == 302:
                    self.send_header("Location", said.decode())
                self.end_headers()
                for byte in said if issuer.drip_s else ():
                    self.wfile.write(bytes([byte]))
                    time.sleep(issuer.drip_s)
                self.wfile.write(b"" if issuer.drip_s else said)
            except OSError:
                pass  # the caller has had enough, as it should

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *args: object) -> None:
            del args

    return Handler


@contextmanager
def serving(clock: Callable[[], datetime] | None = None, **given: Any) -> Iterator[LocalIssuer]:  # noqa: ANN401 - fields of LocalIssuer
    """Serve an issuer on loopback until the end."""
    issuer = LocalIssuer(clock=clock or Clock(), **given)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(issuer))
    server.daemon_threads = True
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def trusted(issuer: LocalIssuer, name: str = "corp", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of the table
    """Return the issuer's `[[trust.issuer]]`."""
    return {
        "id": name,
        "url": issuer.url,
        "use": "people",
        "audience": CLIENT,
        "cli_audience": CLI_CLIENT,
        "algorithms": ["RS256"],
        "environments": {"production": 900, "staging": 86400},
    } | changes
