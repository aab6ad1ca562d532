"""A small world for tests: real store and services, a provider in memory, a clock that is moved by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from countersign.auditlog.signer import Ed25519Signer, LogSigner
from countersign.bootstrap.assembly import Running, assemble
from countersign.domain.people import Principal
from countersign.domain.request import Request
from countersign.domain.review import Decision
from countersign.providers.fake import FakeProvider
from countersign.providers.records import RecordSource
from countersign.service.broker import Broker
from countersign.service.followers import Follower
from countersign.service.issuer import Drawn
from countersign.service.issuing import Issuing
from countersign.service.rules import found
from countersign.service.submission import Ask
from countersign.store import Store

SIGNER = Ed25519Signer.generate("test.example/log")
"""The log's key, which outlives a broker."""
BEGINNING = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

DIRECTORY: dict[str, Any] = {
    "schema": 1,
    "person": [
        {"id": person, "name": person.title()}
        for person in ("alice", "dave", "bob", "carol", "erin", "frank", "grace", "olga", "oscar")
    ],
    "principal": [
        {"id": "alice", "person": "alice"},
        {"id": "alice-laptop", "person": "alice"},
        {"id": "bob", "person": "bob"},
        {"id": "bob-bot", "person": "bob", "human": False},
    ],
    "group": [
        {"id": "engineers", "members": ["alice", "dave"], "roles": ["requester"]},
        {"id": "interns", "members": [], "roles": ["requester"]},
        {"id": "orders-owners", "members": ["bob", "carol"], "roles": ["approver"]},
        {"id": "security", "members": ["carol"], "roles": ["approver", "on-call"]},
        {"id": "auditors", "members": ["erin"], "roles": ["auditor"]},
        {"id": "authors", "members": ["frank", "grace"], "roles": ["catalog-author"]},
        {"id": "operators", "members": ["olga", "oscar"], "roles": ["operator"]},
    ],
}


def entitlement(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - catalog values of all kinds
    """Return one catalog entry for the provider in memory."""
    return {
        "id": name,
        "owner": "orders-owners",
        "environment": "production",
        "provider": "fake",
        "target": "orders-db",
        "grants": {"role": "orders-ro"},
        "min_duration_s": 10,
        "max_duration_s": 3600,
        "review_ttl_s": 600,
        "draw_ttl_s": 300,
        "draws": 1,
        "backstop_s": 30,
        "delivery": "direct",
        "review": [{"group": "orders-owners", "count": 1}],
        "requesters": ["engineers"],
    } | changes


CATALOG: dict[str, Any] = {
    "schema": 1,
    "target": [
        {"id": "orders-db", "provider": "fake", "kind": "memory", "settings": {}},
        {"id": "other-db", "provider": "fake", "kind": "memory", "settings": {}},
    ],
    "entitlement": [
        entitlement("orders-db-read"),
        entitlement("orders-db-thrice", draws=3, caps={"open_per_person": 10, "seconds_per_person_day": 86400}),
        entitlement(
            "orders-db-write",
            review=[{"group": "orders-owners", "count": 1}, {"group": "security", "count": 1}],
            parameters={"table": {"values": ["orders", "items"]}},
        ),
        entitlement("orders-db-wrapped", delivery="wrapped", target="other-db"),
        entitlement("orders-db-nobody", requesters=["interns"]),
    ],
}


@dataclass(kw_only=True)
class Clock:
    """A wall clock that stands still until it is moved."""

    at: datetime = BEGINNING

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **span: float) -> None:
        """Move on (or back, with a negative span)."""
        self.at += timedelta(**span)


def counter() -> Callable[[int], bytes]:
    """Return a source of distinct bytes that is the same in every run."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(max(size, 8))[-size:]


@dataclass(kw_only=True)
class World:
    """Everything a test of the services touches."""

    store: Store
    clock: Clock = field(default_factory=Clock)
    catalog: dict[str, Any] = field(default_factory=lambda: CATALOG)
    directory: dict[str, Any] = field(default_factory=lambda: DIRECTORY)
    followers: Sequence[Follower] = field(default=(), init=False)
    sources: list[RecordSource] = field(default_factory=list, init=False)
    signer: LogSigner = field(default=SIGNER, init=False)
    archive: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.provider = FakeProvider(clock=self.clock)
        self.randomness = counter()
        self.adopt()
        self.restart()

    def adopt(self, *, catalog: dict[str, Any] | None = None, directory: dict[str, Any] | None = None) -> None:
        """Bring rules into force: the first as they are, later ones proposed by frank and approved by grace."""
        self.catalog, self.directory = catalog or self.catalog, directory or self.directory
        if found(self.store, catalog=self.catalog, directory=self.directory):
            return
        rulemaking = self.broker.rulemaking
        proposal = rulemaking.propose(
            self.principal("frank"), catalog=self.catalog, directory=self.directory, reason="the test says so"
        ).proposal
        rulemaking.approve(self.principal("grace"), proposal.id, digest=proposal.digest)

    def restart(self) -> None:
        """Begin a new life of the broker on the same database and the same outside world."""
        self.running: Running = assemble(
            store=self.store,
            providers={"fake": self.provider},
            sources=self.sources,
            signer=self.signer,
            archive=self.archive,
            tokens_allowed=True,
            sweep_every=timedelta(seconds=1),
            followers=self.followers,
            randomness=self.randomness,
        )
        self.running.issuing.sweeper.start()
        self.running.broker.followers.start()

    @property
    def broker(self) -> Broker:
        """The use cases."""
        return self.running.broker

    @property
    def issuing(self) -> Issuing:
        """The use cases that face providers, and sign the log."""
        return self.running.issuing

    def principal(self, name: str) -> Principal:
        """Return a principal by id."""
        with self.store.read() as tx:
            return self.broker.office.rules.current(tx).directory.principals[name]

    def ask(self, who: str = "alice", what: str = "orders-db-read", *, seconds: int = 60, **more: Any) -> Request:  # noqa: ANN401 - fields of Ask
        """Submit a request."""
        ask = Ask(
            entitlement=what,
            parameters=more.pop("parameters", {}),
            duration_s=seconds,
            reason=more.pop("reason", "invoice 4711 is stuck"),
            ticket=more.pop("ticket", "OPS-1"),
            emergency=more.pop("emergency", None),
        )
        return self.broker.requests.submit(self.principal(who), ask, **more)

    def review(self, request: Request, who: str = "bob", *, deny: bool = False, digest: str | None = None) -> Request:
        """Review a request."""
        return self.broker.requests.review(
            self.principal(who),
            request.id,
            decision=Decision.DENY if deny else Decision.APPROVE,
            digest=digest or request.digest,
        )

    def granted(self, who: str = "alice", what: str = "orders-db-read", **more: Any) -> str:  # noqa: ANN401 - as ask
        """Ask and have it approved; return the grant's id."""
        request = self.ask(who, what, **more)
        self.review(request)
        with self.store.read() as tx:
            grant = tx.grant_of_request(request.id)
        assert grant is not None
        return grant.id

    def draw(self, grant_id: str, who: str = "alice", *, key: str | None = None) -> Drawn:
        """Draw under a grant."""
        return self.issuing.issuer.draw(self.principal(who), grant_id, key=key)

    def sweep(self) -> int:
        """Sweep once and wait for it; return how many leases were seen dead."""
        return self.issuing.sweeper.sweep_and_wait()

    def follow(self, *followers: Follower) -> None:
        """Let the followers of the world handle what is new; those that are named join it first."""
        if followers:
            self.running.broker.followers.stop()
            self.followers = followers
            self.restart()
        self.broker.followers.follow_and_wait()

    def facts(self, *types: str) -> list[dict[str, Any]]:
        """Return the log's rows of these types, all without any."""
        with self.store.read() as tx:
            rows = [dict(row) for row in tx.facts(limit=10_000)]
        return [row for row in rows if not types or row["type"] in types]
