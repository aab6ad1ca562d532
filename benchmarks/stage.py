"""What most benchmarks stand on: real servers, and a broker over SQLite on disk that draws from them."""

from __future__ import annotations

import http.client
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from tests.servers import Stack
from tests.world import DIRECTORY, entitlement

from countersign.auditlog.signer import Ed25519Signer, LogSigner
from countersign.bootstrap.assembly import Running, assemble
from countersign.domain.ids import LEASE, RANDOM_BYTES, make_id
from countersign.domain.lease import Lease
from countersign.domain.people import Principal
from countersign.domain.review import Decision
from countersign.domain.timestamps import read, spell
from countersign.providers.base import Issued, Order, Provider, Reservation
from countersign.providers.vault import AppRole, VaultProvider
from countersign.service.deaths import reference
from countersign.service.rules import found
from countersign.service.submission import Ask
from countersign.store import Store, Tx

_T = TypeVar("_T")
_R = TypeVar("_R")
SWEEP_EVERY = timedelta(seconds=0.25)
_MANY = 10_000


def now() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


class TimedStore(Store):
    """A store that remembers how long each writing transaction took, commit included, by thread."""

    spans = threading.local()

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """Open a writing transaction."""
        began = time.perf_counter()
        with super().begin() as tx:
            yield tx
        self.taken().append(time.perf_counter() - began)

    def taken(self) -> list[float]:
        """Return this thread's list of durations, in seconds; the caller empties it."""
        if not hasattr(self.spans, "taken"):
            self.spans.taken = []
        made: list[float] = self.spans.taken
        return made


class TimedVault(VaultProvider):
    """The provider, remembering how long the two calls of a draw took, by thread."""

    spans = threading.local()

    def reserve(self, order: Order) -> Reservation:
        """Reserve."""
        began = time.perf_counter()
        made = super().reserve(order)
        self.spans.reserve = time.perf_counter() - began
        return made

    def issue(self, reservation: Reservation) -> Issued:
        """Issue."""
        began = time.perf_counter()
        made = super().issue(reservation)
        self.spans.issue = time.perf_counter() - began
        return made


@dataclass(kw_only=True)
class Bench:
    """A broker in this process, with rules under which alice draws as often as it takes."""

    store: TimedStore
    provider: Provider
    running: Running

    def principal(self, name: str) -> Principal:
        """Return a principal by id."""
        with self.store.read() as tx:
            return self.running.broker.office.rules.current(tx).directory.principals[name]

    def granted(self, count: int, *, what: str, seconds: int = 120) -> list[str]:
        """Ask and approve so often, and return the grants."""
        alice, bob = self.principal("alice"), self.principal("bob")
        requests, made = self.running.broker.requests, []
        for _ in range(count):
            ask = Ask(entitlement=what, parameters={}, duration_s=seconds, reason="a benchmark", ticket=None)
            request = requests.submit(alice, ask)
            requests.review(bob, request.id, decision=Decision.APPROVE, digest=request.digest)
            with self.store.read() as tx:
                grant = tx.grant_of_request(request.id)
            assert grant is not None
            made.append(grant.id)
        return made

    def end(self, leases: Iterable[Lease]) -> None:
        """Clear leases away at the provider, so that the next round finds the servers as this one did."""
        in_parallel(16, lambda lease: self.provider.end(reference(lease)), list(leases))


@contextmanager
def broker(
    folder: Path,
    provider: Provider,
    *,
    target: Mapping[str, Any],
    name: str,
    direct: Mapping[str, Any] | None = None,
    trust: Mapping[str, Any] | None = None,
    signer: LogSigner | None = None,
) -> Iterator[Bench]:
    """Put a broker together over a fresh SQLite file; its metronome stands still until it is started.

    Args:
        folder: for the file.
        provider: what it draws from.
        target: where to.
        name: of the file.
        direct: what the entitlement `direct` says otherwise.
        trust: whom the catalog trusts.
        signer: signs the log; a fresh key's by default.
    """
    path = folder / f"{name}.db"
    store = TimedStore(f"sqlite:///{path}", clock=now)
    store.migrate()
    caps = {"pending_per_person": _MANY, "open_per_person": _MANY, "open_per_target": _MANY}
    many = {"provider": provider.name, "target": target["id"], "caps": caps | {"seconds_per_person_day": 7 * 86400}}
    catalog: dict[str, Any] = {
        "schema": 1,
        "target": [dict(target)],
        "entitlement": [
            entitlement("direct", **{"delivery": "direct", **many, **(direct or {})}),
            entitlement("wrapped", delivery="wrapped", **many),
        ],
    }
    if trust is not None:
        catalog["trust"] = dict(trust)
    found(store, catalog=catalog, directory=DIRECTORY)
    running = assemble(
        store=store,
        providers={provider.name: provider},
        signer=signer or Ed25519Signer.generate("bench.example/log"),
        tokens_allowed=True,
        sweep_every=SWEEP_EVERY,
    )
    try:
        yield Bench(store=store, provider=provider, running=running)
    finally:
        store.close()


@contextmanager
def real_broker(folder: Path, stack: Stack, name: str, *, direct: Mapping[str, Any] | None = None) -> Iterator[Bench]:
    """Put a broker together that draws from real servers; `direct` as `broker` takes it."""
    provider = TimedVault(
        address=stack.vault.address,
        login=AppRole(role_id=stack.vault.role_id, secret_id=stack.vault.secret_id),
        target_dsns={"orders-db": stack.vault.target_dsn},
        clock=now,
    )
    with broker(folder, provider, target=stack.target(), name=name, direct=direct) as made:
        yield made
    provider.close()


def in_parallel(threads: int, do: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """Do something to each item from so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(do, items))


@dataclass(frozen=True, kw_only=True)
class Minted:
    """What the floor made: a role at the target, and the token on which it hangs."""

    name: str
    accessor: str


@dataclass(kw_only=True)
class Direct:
    """The floor: the calls that OpenBao must get for a credential, sent by a program that does nothing else.

    One plain keep-alive connection per thread, an AppRole token got once, the smallest check of each answer.
    """

    stack: Stack
    seconds: list[tuple[float, float, float]] = field(default_factory=list)
    _local: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        """Log in once."""
        body = {"role_id": self.stack.vault.role_id, "secret_id": self.stack.vault.secret_id}
        self._token = str(self._call("POST", "auth/approle/login", body=body)["auth"]["client_token"])

    def draw(self, *, wrapped: bool, ttl_s: int = 150) -> Minted:
        """Mint a child token wrapped, unwrap it, read credentials with it."""
        name = make_id(LEASE, secrets.token_bytes(RANDOM_BYTES))
        body = {
            "policies": [f"countersign-db-{'wrapped' if wrapped else 'direct'}-database-orders-ro"],
            "ttl": f"{ttl_s}s",
            "explicit_max_ttl": f"{ttl_s}s",
            "renewable": False,
            "display_name": name,
            "meta": {"lease": name, "grant": "grt_a", "request": "req_a", "target": "orders-db"},
        }
        began = time.perf_counter()
        minted = self._call("POST", "auth/token/create/countersign", token=self._token, body=body, wrap="10s")
        after_mint = time.perf_counter()
        child = self._call("POST", "sys/wrapping/unwrap", token=minted["wrap_info"]["token"])["auth"]
        after_unwrap = time.perf_counter()
        self._call("GET", "database/creds/orders-ro", token=child["client_token"], wrap="65s" if wrapped else None)
        after_read = time.perf_counter()
        self.seconds.append((after_mint - began, after_unwrap - after_mint, after_read - after_unwrap))
        return Minted(name=name, accessor=str(child["accessor"]))

    def revoke(self, accessor: str) -> None:
        """Revoke a child token; OpenBao drops its role by itself, somewhat later."""
        self._call("POST", "auth/token/revoke-accessor", token=self._token, body={"accessor": accessor})

    def _call(
        self, method: str, path: str, *, token: str = "", body: object = None, wrap: str | None = None
    ) -> dict[str, Any]:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self.stack.openbao.port, timeout=30)
        connection: http.client.HTTPConnection = self._local.connection
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true", "Content-Type": "application/json"}
        if wrap is not None:
            headers["X-Vault-Wrap-TTL"] = wrap
        connection.request(method, f"/v1/{path}", body=None if body is None else json.dumps(body), headers=headers)
        response = connection.getresponse()
        raw = response.read()
        assert response.status in {200, 204}, (response.status, path)
        answer: dict[str, Any] = json.loads(raw) if raw else {}
        return answer


def roles_at(stack: Stack) -> set[str]:
    """Return the roles named as leases that the target has."""
    with stack.owner() as owner:
        rows = owner.execute(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'lse\_%'").fetchall()
    return {str(name) for (name,) in rows}


def until_no_roles(stack: Stack, *, within_s: float = 120) -> None:
    """Wait until nothing that the benchmarks made is left at the target."""
    deadline = time.monotonic() + within_s
    while roles_at(stack):
        assert time.monotonic() < deadline, "the target was not cleared"
        time.sleep(0.05)


def watch_deaths(path: Path, count: int, *, within_s: float = 300) -> list[float]:
    """Wait until all leases are seen dead and return how late each was, in seconds."""
    database = sqlite3.connect(path)
    deadline = time.monotonic() + within_s
    while database.execute("SELECT count(*) FROM leases WHERE state = 'revoked'").fetchone()[0] < count:
        assert time.monotonic() < deadline, "the leases were not all seen dead"
        time.sleep(0.1)
    rows = database.execute("SELECT not_after, dead_at FROM leases").fetchall()
    database.close()
    return [max(0.0, (read(dead) - read(end)).total_seconds()) for end, dead in rows]


def reschedule(path: Path, leases: Sequence[Lease], *, start: datetime) -> None:
    """Move the ends of leases and their grants into the second after `start`, evenly; a window begins with its draw."""
    database = sqlite3.connect(path)
    with database:
        for turn, lease in enumerate(leases):
            end = spell(start + timedelta(seconds=turn / len(leases)))
            database.execute("UPDATE leases SET not_after = ?, due = ? WHERE id = ?", (end, end, lease.id))
            database.execute("UPDATE grants SET not_after = ?, due = ? WHERE id = ?", (end, end, lease.grant_id))
    database.close()


def ready(port: int) -> bool:
    """Say whether the broker that listens there is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
