"""Two halves over one PostgreSQL, each put together as its own process would be, and an attacker who holds all of the first."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from starlette.testclient import TestClient
from tests.api.calling import READY
from tests.api.signing import Device, directory
from tests.issuer import CLI_CLIENT, LocalIssuer, serving, trusted
from tests.signers import SIGNED, Signers
from tests.world import CATALOG, SIGNER, Clock, entitlement

from countersign.api.app import make_app
from countersign.bootstrap.issuing_half import assemble_desk, assemble_issuing
from countersign.bootstrap.people_half import assemble_people
from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain import device as devices
from countersign.domain.order import DrawOrder, seal_context
from countersign.domain.people import Principal
from countersign.domain.proposal import genesis_digest
from countersign.domain.request import Request
from countersign.domain.review import Decision
from countersign.providers.fake import FakeProvider
from countersign.service.broker import Broker
from countersign.service.checkpoints import Checkpoints
from countersign.service.evidence import Evidence
from countersign.service.followers import Followers
from countersign.service.identities import Identities
from countersign.service.issuing import Issuing
from countersign.service.memory import LogMemory
from countersign.service.office import Office
from countersign.service.order_desk import OrderDesk
from countersign.service.ordering import DrawsApart
from countersign.service.publication import Publication
from countersign.service.rules import RuleReader, found
from countersign.service.sealed import unseal
from countersign.service.submission import Ask
from countersign.store import Store

PLAIN = "orders-db-read"
"""An entitlement whose approvals are no signatures."""


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """Somebody's command line: its device, and his session here."""

    device: Device
    session: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """An order, its signature, and the one-time key that opens what comes of it."""

    order: DrawOrder
    signature: str
    key: X25519PrivateKey

    @property
    def body(self) -> dict[str, Any]:
        return {"order": self.order.statement(), "signature": self.signature}

    def opened(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        context = seal_context(order=self.order.id, lease=answer["lease"]["id"], grant=self.order.grant)
        return unseal(answer["credential"]["sealed"], key=self.key, context=context)


@dataclass(kw_only=True)
class Apart:
    """The two halves, the people, and their identity issuer."""

    url: str
    clock: Clock
    issuer: LocalIssuer
    signers: Signers
    catalog: dict[str, Any]
    directory: dict[str, Any]
    memory: Path
    people_store: Store = field(init=False)
    issuing_store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.people_store = Store(self.url, clock=self.clock, own_clock=True)
        self.issuing_store = Store(self.url, clock=self.clock, own_clock=True)
        found(self.issuing_store, catalog=self.catalog, directory=self.directory)
        self.provider = FakeProvider(clock=self.clock)
        self.issuing, self.desk = self._issuing()
        self.broker = self._people()
        self.app = make_app(self.broker, readiness=lambda: READY)

    def _office(self, store: Store, genesis: str | None) -> Office:
        reader = RuleReader(genesis=genesis)
        return Office(store=store, rules=reader, randomness=secrets.token_bytes, nudge=lambda: None)

    def _issuing(self) -> tuple[Issuing, OrderDesk]:
        genesis = genesis_digest(
            catalog=parse_catalog(self.catalog).digest, directory=parse_directory(self.directory).digest
        )
        office = self._office(self.issuing_store, genesis)
        issuing = assemble_issuing(
            office=office,
            providers={"fake": self.provider},
            sources=(),
            checkpoints=Checkpoints(office=office, signer=SIGNER),
            publication=Publication(
                office=office, evidence=Evidence(office=office, key=SIGNER.verifier()), public=False
            ),
            memory=LogMemory(path=self.memory),
            archive=None,
            followers=(),
        )
        issuing.issuer.memory.wake(self.issuing_store)
        return issuing, assemble_desk(issuing, identities=Identities(public_url=""))

    def _people(self) -> Broker:
        office = self._office(self.people_store, None)
        return assemble_people(
            office=office,
            draws=DrawsApart(office=office),
            previews={"fake": FakeProvider(clock=self.clock).preview},
            sources=(),
            publication=Publication(
                office=office, evidence=Evidence(office=office, key=SIGNER.verifier()), public=True
            ),
            followers=Followers(office=office, followers=(), me="people"),
            troubles={},
            tokens_allowed=True,
            identities=Identities(public_url="http://localhost"),
        )

    def close(self) -> None:
        self.people_store.close()
        self.issuing_store.close()

    def principal(self, name: str) -> Principal:
        with self.people_store.read() as tx:
            return self.broker.office.rules.current(tx).roster.principals[name]

    def signed_in(self, who: str = "alice", **claims: Any) -> SignedIn:  # noqa: ANN401 - claims
        """Sign in as `countersign login` does."""
        device = Device()
        said = {"aud": CLI_CLIENT, "nonce": device.nonce} | claims
        token = self.issuer.sign(self.issuer.claims(f"sub-{who}", **said))
        answer = self.client().post("/v1/sign-in/device", json=device.shows(token))
        assert answer.status_code == 200, answer.text
        return SignedIn(device=device, session=answer.json()["session"], token=answer.json()["access_token"])

    def client(self) -> TestClient:
        return TestClient(self.app, base_url="http://localhost")

    def asked(self, who: str = "alice", what: str = SIGNED, *, seconds: int = 60) -> Request:
        ask = Ask(entitlement=what, parameters={}, duration_s=seconds, reason="invoice 4711", ticket=None)
        return self.broker.requests.submit(self.principal(who), ask)

    def approved(self, request: Request, by: str = "bob") -> str:
        """Have a request approved by a passkey where it must be, and return its grant."""
        signature = self.signers.approval(by, {"id": request.id, "digest": request.digest}) if request.signed else None
        self.broker.requests.review(
            self.principal(by), request.id, decision=Decision.APPROVE, digest=request.digest, signature=signature
        )
        with self.people_store.read() as tx:
            grant = tx.grant_of_request(request.id)
        assert grant is not None
        return grant.id

    def order(self, who: SignedIn, grant: str, digest: str, *, at: datetime | None = None) -> Ordered:
        """Order as the command line does."""
        key = X25519PrivateKey.generate()
        order = DrawOrder(
            grant=grant,
            digest=digest,
            device=who.device.public,
            seal_to=devices.spelled(key.public_key().public_bytes_raw()),
            random=devices.spelled(secrets.token_bytes(32)),
            at=at or self.clock(),
        )
        return Ordered(order=order, signature=devices.spelled(who.device.key.sign(order.signed())), key=key)

    def draw(self, who: SignedIn, ordered: Ordered | None, *, grant: str | None = None) -> httpx2.Response:
        """Call the half that faces people, while the other one is at work."""
        named = grant or (ordered.order.grant if ordered else "")
        with self.at_work():
            return self.client().post(
                f"/v1/grants/{named}/draw",
                headers={"Authorization": f"Bearer {who.token}"},
                json=None if ordered is None else ordered.body,
            )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the issuing half serve orders meanwhile."""
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                wait(self.desk.serve_waiting())
                time.sleep(0.01)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def post(self, ordered: Ordered, *, session: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
        """Write an order as whoever holds the first half can, have it served, and return the row that is left."""
        row = {"said": ordered.order.statement(), "signature": ordered.signature, "order": ordered.order.id} | changes
        with self.people_store.begin() as tx:
            tx.post_order(session=session, key=None, **row)
        wait(self.desk.serve_waiting())
        return self.row(str(row["order"]))

    def row(self, order: str) -> dict[str, Any]:
        with self.people_store.read() as tx:
            posted = tx.posted_order(order)
        assert posted is not None
        return {"state": posted.state, "sealed": posted.sealed, "code": (posted.refusal or {}).get("code")} | {
            "detail": (posted.refusal or {}).get("detail"),
            "lease": posted.lease,
        }

    def write(self, statement: str, **values: Any) -> None:  # noqa: ANN401 - parameters of all kinds
        """Write anything into the database, past every trigger: the attacker is its owner."""
        with self.people_store._engine.begin() as connection:
            connection.execute(sa.text("SET LOCAL session_replication_role = 'replica'"))
            connection.execute(sa.text(statement), values)

    def facts(self, *types: str) -> list[dict[str, Any]]:
        with self.people_store.read() as tx:
            return [dict(row) for row in tx.facts(limit=10_000) if not types or row["type"] in types]


def rules(
    issuer: LocalIssuer,
    signers: Signers,
    terms: dict[str, Any],
    **signing: Any,  # noqa: ANN401 - the table's values
) -> dict[str, Any]:
    """Return a catalog as two halves want it: rules and approvals are signed."""
    trust = signers.trust(**({"signed_rules": True} | signing)) | {"issuer": [trusted(issuer, **terms)]}
    items = [
        entitlement(SIGNED, signature="required", draws=3),
        entitlement(PLAIN),
        entitlement("other", signature="required"),
    ]
    return {**CATALOG, "trust": trust, "entitlement": items}


@contextmanager
def running_apart(
    url: str,
    folder: Path,
    *,
    terms: dict[str, Any] | None = None,
    **signing: Any,  # noqa: ANN401 - the table's values
) -> Iterator[Apart]:
    """Put both halves together over a migrated PostgreSQL."""
    clock, signers = Clock(), Signers()
    with serving(clock) as issuer:
        made = Apart(
            url=url,
            clock=clock,
            issuer=issuer,
            signers=signers,
            catalog=rules(issuer, signers, terms or {}, **signing),
            directory=directory(),
            memory=folder / "log-memory.json",
        )
        try:
            yield made
        finally:
            made.close()
