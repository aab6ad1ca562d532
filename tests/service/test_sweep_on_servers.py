"""The sweep on real servers: a query that cannot be interrupted, and an OpenBao that does not answer, delay nobody else's end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from tests.servers import Stack, now
from tests.stuck import uninterruptible
from tests.world import DIRECTORY, entitlement

from countersign.auditlog.signer import Ed25519Signer
from countersign.bootstrap.assembly import assemble
from countersign.domain.lease import LeaseState
from countersign.domain.review import Decision
from countersign.service.broker import Broker
from countersign.service.issuer import Drawn
from countersign.service.issuing import Issuing
from countersign.service.rules import found
from countersign.service.submission import Ask
from countersign.store import Store, schema

SOON_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A broker over SQLite that draws from real servers."""

    stack: Stack
    store: Store
    broker: Broker
    issuing: Issuing

    def draw(self, what: str) -> Drawn:
        with self.store.read() as tx:
            people = self.broker.office.rules.current(tx).directory.principals
        ask = Ask(entitlement=what, parameters={}, duration_s=120, reason="the test says so", ticket=None)
        request = self.broker.requests.submit(people["alice"], ask)
        self.broker.requests.review(people["bob"], request.id, decision=Decision.APPROVE, digest=request.digest)
        with self.store.read() as tx:
            grant = tx.grant_of_request(request.id)
        assert grant is not None
        return self.issuing.issuer.draw(people["alice"], grant.id)

    def give_back(self, drawn: Drawn) -> None:
        with self.store.read() as tx:
            alice = self.broker.office.rules.current(tx).directory.principals["alice"]
        self.broker.control.give_back(alice, drawn.lease.grant_id)

    def is_dead(self, drawn: Drawn) -> bool:
        with self.store.read() as tx:
            lease = tx.lease(drawn.lease.id)
        return lease is not None and lease.state is LeaseState.REVOKED

    def has_role(self, drawn: Drawn) -> bool:
        with self.stack.owner() as owner:
            return owner.execute("SELECT FROM pg_roles WHERE rolname = %s", [drawn.lease.id]).fetchone() is not None

    def login(self, drawn: Drawn) -> psycopg.Connection[tuple[object, ...]]:
        fields = drawn.credential.fields
        return self.stack.login_as(fields["username"], fields["password"])

    def make_receipts_due(self) -> None:
        with self.store._engine.begin() as connection:
            active = schema.leases.c.state == LeaseState.ACTIVE.value
            connection.execute(sa.update(schema.leases).where(active).values(due=now() - timedelta(seconds=1)))


@pytest.fixture
def desk(openbao_stack: Stack, tmp_path: Path) -> Iterator[Desk]:
    store, provider = Store(f"sqlite:///{tmp_path / 'sweep.db'}", clock=now), openbao_stack.provider()
    store.migrate()
    at = {"provider": "vault", "target": "orders-db", "grants": {"role": "orders-ro"}, "caps": {"open_per_person": 20}}
    catalog = {
        "schema": 1,
        "target": [openbao_stack.target()],
        "entitlement": [
            entitlement("direct", delivery="direct", **at),
            entitlement("wrapped", delivery="wrapped", **at),
        ],
    }
    found(store, catalog=catalog, directory=DIRECTORY)
    running = assemble(
        store=store,
        providers={"vault": provider},
        signer=Ed25519Signer.generate("test.example/log"),
        tokens_allowed=True,
        sweep_every=timedelta(seconds=1),
    )
    yield Desk(stack=openbao_stack, store=store, broker=running.broker, issuing=running.issuing)
    for stray in provider.roll_call([openbao_stack.target()]):
        provider.end_stray(stray)
    provider.close()
    store.close()


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def until(holds: Callable[[], bool], *, within_s: float = SOON_S) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def test_a_query_that_cannot_be_interrupted_delays_no_other_end_at_its_target(desk: Desk) -> None:
    stuck, *others = [desk.draw("direct") for _ in range(4)]
    sweeper = desk.issuing.sweeper
    with uninterruptible(desk.login(stuck)) as over:
        desk.give_back(stuck)
        begun = sweeper.sweep()
        for other in others:
            desk.give_back(other)
            sweeper.sweep()
            until(lambda other=other: desk.is_dead(other))  # type: ignore[misc] # bound to this turn
        assert not over.is_set()
        assert not desk.is_dead(stuck)
        assert desk.has_role(stuck)
        assert desk.issuing.reconciler.reconcile() == 0
    wait(begun, timeout=SOON_S)

    def ended() -> bool:
        sweeper.sweep()
        return desk.is_dead(stuck)

    until(ended, within_s=30)
    assert not desk.has_role(stuck)


def test_receipts_that_a_frozen_openbao_does_not_answer_for_stall_no_end(desk: Desk) -> None:
    wrapped = [desk.draw("wrapped") for _ in range(3)]
    over = desk.draw("direct")
    with frozen(desk.stack.openbao.pid):
        desk.make_receipts_due()
        desk.give_back(over)
        began = time.monotonic()
        begun = desk.issuing.sweeper.sweep()
        until(lambda: not desk.has_role(over))
        assert time.monotonic() - began < SOON_S
        assert all(desk.has_role(one) for one in wrapped)
        wait(begun, timeout=30)

    def ended() -> bool:
        desk.issuing.sweeper.sweep()
        return desk.is_dead(over)

    until(ended, within_s=30)
