"""Looks from outside: at the database, at OpenBao and at AWS, with rights that the broker does not have or need."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg

from countersign.embedded.stack import EmbeddedStack

LOOK_EVERY_S = 0.02


def roles_named_by_leases(stack: EmbeddedStack) -> list[str]:
    """Return the database users that bear a lease's name."""
    with psycopg.connect(stack.vault.owner_dsn) as connection:
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^lse_' ORDER BY 1").fetchall()
    return [str(row[0]) for row in rows]


def tokens_named_by_leases(stack: EmbeddedStack) -> list[str]:
    """Return the display names of OpenBao tokens that bear a lease's id, looked up with the inspecting token."""
    address = urlsplit(stack.vault.address)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=5)
    headers = {"X-Vault-Token": stack.vault.inspect_token, "Content-Type": "application/json"}

    def call(method: str, path: str, body: str | None = None) -> dict[str, Any]:
        connection.request(method, f"/v1/{path}", body=body, headers=headers)
        answer = connection.getresponse()
        raw = answer.read()
        return dict(json.loads(raw)) if answer.status == http.client.OK else {}

    try:
        keys = call("LIST", "auth/token/accessors").get("data", {}).get("keys", [])
        found = [
            call("POST", "auth/token/lookup-accessor", json.dumps({"accessor": key})).get("data", {}) for key in keys
        ]
    finally:
        connection.close()
    return sorted(token["display_name"] for token in found if "lse" in str(token.get("display_name")))


def log_in(credential: dict[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
    """Log in with a drawn credential.

    Raises:
        psycopg.OperationalError: the database refuses.
    """
    return psycopg.connect(
        host=credential["host"],
        port=credential["port"],
        dbname=credential["dbname"],
        user=credential["username"],
        password=credential["password"],
        autocommit=True,
        connect_timeout=5,
    )


def refuses(credential: dict[str, Any]) -> str | None:
    """Try to log in; return the database's words if it refuses, None if it lets one in."""
    try:
        log_in(credential).close()
    except psycopg.OperationalError as refusal:
        return str(refusal).strip().splitlines()[-1].partition("FATAL: ")[2].strip() or "refused"
    return None


@dataclass(kw_only=True)
class Watch:
    """An open session that keeps reading after `SET ROLE`, and notes when it was cut (wall clock)."""

    credential: dict[str, Any] = field(repr=False)
    cut_at: float | None = None
    reads: int = 0

    def __post_init__(self) -> None:
        """Log in and begin to read."""
        self._connection = log_in(self.credential)
        self._connection.execute("SET ROLE orders_ro")
        self._thread = threading.Thread(target=self._read_on, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until the session was cut, at most so long."""
        self._thread.join(timeout=seconds)
        return self.cut_at is not None

    def _read_on(self) -> None:
        while True:
            try:
                self._connection.execute("SELECT count(*) FROM orders").fetchone()
            except psycopg.Error:
                self.cut_at = time.time()
                return
            self.reads += 1
            time.sleep(LOOK_EVERY_S)
