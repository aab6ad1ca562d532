"""Real servers for tests: one PostgreSQL and one OpenBao, provisioned as the embedded stack does it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from countersign.domain.entitlement import Delivery
from countersign.domain.ids import LEASE, make_id
from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.postgres import EmbeddedPostgres
from countersign.embedded.provision_vault import ProvisionedVault, provision_vault
from countersign.providers.base import Issued, LeaseRef, Order, Reservation
from countersign.providers.vault import AppRole, VaultProvider


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The two servers and what was provisioned on them."""

    postgres: EmbeddedPostgres
    openbao: EmbeddedOpenBao
    vault: ProvisionedVault

    def target(self) -> dict[str, Any]:
        return {
            "id": "orders-db",
            "provider": "vault",
            "kind": "postgresql",
            "settings": dict(self.vault.settings),
        }

    def provider(self, *, address: str | None = None, dsn: str | None = None, wrap_ttl_s: int = 60) -> VaultProvider:
        return VaultProvider(
            address=address or self.vault.address,
            login=AppRole(role_id=self.vault.role_id, secret_id=self.vault.secret_id),
            target_dsns={"orders-db": dsn or self.vault.target_dsn},
            clock=now,
            wrap_ttl_s=wrap_ttl_s,
        )

    def owner(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.vault.owner_dsn, autocommit=True)

    def login(self, issued: Issued) -> psycopg.Connection[tuple[Any, ...]]:
        fields = issued.credential.fields
        return self.login_as(fields["username"], fields["password"])

    def login_as(self, user: str, password: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.postgres.dsn("orders", user, password), autocommit=True)


def order(stack: Stack, **changes: Any) -> Order:  # noqa: ANN401 -- fields of Order, and seconds and backstop
    moment = now()
    not_after = changes.pop("not_after", moment + timedelta(seconds=changes.pop("seconds", 60)))
    values: dict[str, Any] = {
        "lease_id": make_id(LEASE, secrets.token_bytes(10)),
        "grant_id": "grt_aaaaaaaaaaaaaaaa",
        "request_id": "req_aaaaaaaaaaaaaaaa",
        "person": "alice",
        "entitlement": "orders-db-read",
        "target": stack.target(),
        "grants": {"role": "orders-ro"},
        "parameters": {},
        "now": moment,
        "not_after": not_after,
        "backstop_at": not_after + timedelta(seconds=changes.pop("backstop", 30)),
        "delivery": Delivery.DIRECT,
    }
    return Order(**{**values, **changes})


def ref_of(reservation: Reservation, issued: Issued | None = None, **changes: Any) -> LeaseRef:  # noqa: ANN401 -- fields of LeaseRef
    made = reservation.order
    values: dict[str, Any] = {
        "lease_id": made.lease_id,
        "provider": "vault",
        "target": made.target,
        "handle": {**reservation.handle, **(issued.handle if issued else {})},
        "prepared_at": made.now,
        "not_after": made.not_after,
        "backstop_at": made.backstop_at,
    }
    return LeaseRef(**{**values, **changes})


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Start both servers side by side, provision them, and stop them at the end."""
    postgres, openbao = EmbeddedPostgres(folder / "postgres"), EmbeddedOpenBao(folder / "openbao")
    # Children die with the thread that started them: these threads live until the servers are stopped.
    with ThreadPoolExecutor(2) as starters:
        try:
            database = starters.submit(postgres.start)
            root_token = starters.submit(openbao.start).result()
            database.result()
            assert root_token is not None
            yield Stack(
                postgres=postgres,
                openbao=openbao,
                vault=provision_vault(postgres, openbao, root_token, people=("alice", "bob")),
            )
        finally:
            openbao.kill()
            postgres.stop_immediate()
