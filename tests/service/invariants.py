"""What must hold after every step, whoever did what: the tables against the log, and both against the outside world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.service.oracle import Log
from tests.world import World

from countersign.domain.grant import GrantState
from countersign.domain.lease import LeaseState
from countersign.domain.request import RequestState
from countersign.service.verification import verify_store
from countersign.store import Tx


class Broken(AssertionError):
    """An invariant does not hold."""


def check(world: World) -> None:
    """Raise with everything that does not hold.

    Raises:
        Broken: naming it.
    """
    log = Log(world=world)
    with world.store.read() as tx:
        found = [*_outside(world, tx), *_requests(tx, log), *_grants(tx, log), *_leases(tx, log), *_disabled(tx, log)]
    report = verify_store(
        world.store, verifiers=[], meaning=False
    )  # what stands open past its time is judged elsewhere
    found += [f"the log does not verify: {failure}" for failure in report.failures]
    if found:
        raise Broken("\n".join(found))


def _outside(world: World, tx: Tx) -> Iterator[str]:
    """What works outside is a lease that is not said to be dead, was made once, and is before its backstop."""
    target = world.provider.target
    for lease_id in [lease_id for lease_id in target.live if world.provider.works(lease_id)]:
        lease = tx.lease(lease_id)
        if lease is None or not lease.handle:
            yield f"{lease_id} works and nothing is kept that could kill it"
        elif lease.state is LeaseState.REVOKED:
            yield f"{lease_id} works and has a certificate of death"
        elif world.provider.clock() >= lease.backstop_at:
            yield f"{lease_id} works past its backstop"
    yield from (f"{lease_id} was issued {times} times" for lease_id, times in target.issued.items() if times > 1)


def _requests(tx: Tx, log: Log) -> Iterator[str]:
    for request in tx.requests(limit=10_000):
        decided = [fact["data"]["state"] for fact in log.about(request.id, "request.decided")]
        if decided != ([] if request.state is RequestState.PENDING else [request.state.value]):
            yield f"{request.id} is {request.state} and the log says {decided}"
        recorded = {(f["actor"], f["data"]["decision"]) for f in log.about(request.id, "review.recorded")}
        kept = {(review.person, review.decision.value) for review in tx.reviews(request.id)}
        if recorded != kept:
            yield f"{request.id} has the reviews {kept} and the log says {recorded}"
        if request.person in {person for person, _ in kept}:
            yield f"{request.id} was reviewed by its requester"
        if (request.state is RequestState.APPROVED) != (tx.grant_of_request(request.id) is not None):
            yield f"{request.id} is {request.state} and its grant does not fit that"


def _grants(tx: Tx, log: Log) -> Iterator[str]:
    opened = Counter(fact["subject"] for fact in log.of("grant.opened"))
    for grant in tx.grants(limit=10_000):
        closed = [fact["data"]["state"] for fact in log.about(grant.id, "grant.closed")]
        if opened[grant.id] != 1 or closed != ([] if grant.state is GrantState.OPEN else [grant.state.value]):
            yield f"{grant.id} is {grant.state}; the log opens it {opened[grant.id]} times and closes it {closed}"
        if not 0 <= grant.draws_used <= grant.draws:
            yield f"{grant.id} has used {grant.draws_used} of {grant.draws} draws"
        live = [
            lease for lease in tx.leases(grant_id=grant.id) if lease.state in (LeaseState.PREPARED, LeaseState.ACTIVE)
        ]
        due = [lease for lease in live if lease.state is LeaseState.ACTIVE and lease.not_after <= tx.now]
        if grant.state is not GrantState.OPEN and (left := [lease for lease in live if lease not in due]):
            yield f"{grant.id} is {grant.state} and {left[0].id} is {left[0].state}"
        yield from (f"{lease.id} is past its time and not due" for lease in due if lease.due > tx.now)
        if len(live) > grant.draws_used:
            yield f"{grant.id} counts {grant.draws_used} draws and has {len(live)} leases"


def _leases(tx: Tx, log: Log) -> Iterator[str]:
    for lease in tx.leases(limit=10_000):
        types = Counter(fact["type"] for fact in log.about(lease.id))
        expected = {
            "lease.prepared": {1},
            "lease.issued": {1} if lease.state is LeaseState.ACTIVE else {0, 1},
            "lease.end-asked": {1} if lease.state in (LeaseState.REVOKING, LeaseState.REVOKED) else {0},
            "lease.dead": {1} if lease.state is LeaseState.REVOKED else {0},
        }
        for kind, times in expected.items():
            if types[kind] not in times:
                yield f"{lease.id} is {lease.state} and the log has {types[kind]} times {kind}"


def _disabled(tx: Tx, log: Log) -> Iterator[str]:
    for person in log.disabled():
        if any(grant.state is GrantState.OPEN for grant in tx.grants(person=person, limit=1000)):
            yield f"{person} is disabled and has an open grant"
        if tx.requests(person=person, state=RequestState.PENDING, limit=1):
            yield f"{person} is disabled and has a pending request"
