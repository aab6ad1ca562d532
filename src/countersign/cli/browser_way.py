"""Signing in through a browser on this machine: the code comes back to a port on loopback, and the token binds a new key."""

from __future__ import annotations

import secrets
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.cli.client import fit_address
from countersign.cli.failures import CommandFailed, Exit
from countersign.cli.output import text_of
from countersign.domain import device as devices
from countersign.domain.issuer import Issuer, Use
from countersign.domain.refusals import Refused
from countersign.identity import Answer, CodeFlow, IdentityProvider

PATH = "/callback"
SECRET_BYTES = 32
_DONE = b"<!doctype html><meta charset=utf-8><title>Countersign</title><p>You can close this page and go back to the terminal.\n"


@dataclass(frozen=True, kw_only=True)
class NewDevice:
    """A device key that was made for one sign-in, and the random half of what the nonce commits to."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)
    random: str = field(default_factory=lambda: devices.spelled(secrets.token_bytes(devices.RANDOM_BYTES)), repr=False)

    @property
    def public(self) -> str:
        """The public key, base64url."""
        return devices.spelled(self.key.public_key().public_bytes_raw())

    @property
    def private(self) -> str:
        """The private key, base64url; to be kept."""
        return devices.spelled(self.key.private_bytes_raw())

    def shown(self, issuer: str, answer: Answer) -> dict[str, Any]:
        """Return what the broker is shown."""
        signed = self.key.sign(devices.possession_of(key=self.public, token=answer.id_token))
        access = {} if answer.access_token is None else {"access_token": answer.access_token}
        return {
            "issuer": issuer,
            "id_token": answer.id_token,
            "device": {"key": self.public, "random": self.random},
            "signature": devices.spelled(signed),
        } | access


def issuer_of(told: Mapping[str, Any]) -> Issuer:
    """Return the issuer that a broker names, as far as a client must know it.

    Raises:
        CommandFailed: it signs in no command line, or its address is not fit to be asked.
    """
    name, url = text_of(told, "id"), text_of(told, "url")
    fit_address(url, what="the issuer's address")
    client, scopes = told.get("cli_audience"), told.get("scopes")
    if not isinstance(client, str) or not isinstance(scopes, list):
        raise CommandFailed(f"{name} signs in no command line", exit_code=Exit.NOT_SIGNED_IN, code="unauthenticated")
    return Issuer(
        id=name,
        url=url,
        use=Use.PEOPLE,
        audience=client,
        algorithms=(),
        environments={},
        scopes=tuple(str(scope) for scope in scopes),
    )


def sign_in(
    issuer: Issuer, device: NewDevice, *, within: timedelta, tell: Callable[[str], None], browse: bool
) -> Answer:
    """Return the token that a person's browser fetched at the issuer.

    Args:
        issuer: where he signs in.
        device: to whose key the token is bound.
        within: how long he has.
        tell: is told the address.
        browse: open a browser here.

    Raises:
        CommandFailed: the issuer is away or refuses, or nobody came back in time.
    """
    with _listening() as (port, came_back):
        flow = CodeFlow(
            provider=IdentityProvider(issuer),
            secret=secrets.token_bytes(SECRET_BYTES),
            client_id=issuer.audience,
            redirect_uri=f"http://127.0.0.1:{port}{PATH}",
            nonce=devices.nonce_for(key=device.public, random=device.random),
        )
        try:
            location = flow.location()
            tell(location)
            if browse:
                webbrowser.open(location)
            return flow.redeem(came_back(flow.state, within))
        except Refused as refused:
            raise CommandFailed(
                refused.detail,
                exit_code=Exit.AWAY if refused.code == "identity-away" else Exit.NOT_SIGNED_IN,
                code=refused.code,
                rule=refused.rule,
                hint=refused.hint,
            ) from None


@contextmanager
def _listening() -> Iterator[tuple[int, Callable[[str, timedelta], Mapping[str, str]]]]:
    """Listen on a port of loopback; yields it, and what waits for the browser that brings a state."""
    brought: dict[str, dict[str, str]] = {}
    arrived = threading.Condition()

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, max_num_fields=12))
            known = parts.path == PATH and "state" in query
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Connection", "close")
            self.end_headers()
            if known:
                self.wfile.write(_DONE)
                with arrived:
                    brought.setdefault(query["state"], query)
                    arrived.notify_all()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the method it stands in for
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()

    def came_back(state: str, within: timedelta) -> Mapping[str, str]:
        with arrived:
            if not arrived.wait_for(lambda: state in brought, timeout=within.total_seconds()):
                raise CommandFailed(
                    "nobody signed in", exit_code=Exit.NOT_SIGNED_IN, code="unauthenticated", hint="countersign login"
                )
            return brought[state]

    try:
        yield server.server_port, came_back
    finally:
        server.shutdown()
        server.server_close()
