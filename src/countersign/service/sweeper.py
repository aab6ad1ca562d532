"""The sweep: makes what is due end, looks whether it did, and never gives up.

A lease is dead when it was seen dead where it would work. An order that a provider accepted is an answer, not a death. Targets
are swept apart from each other, so that one that is away delays nobody else's end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from threading import Lock

import structlog

from countersign.domain.facts import BROKER, LeaseDead, LeaseEndWritten, LeaseOverdue
from countersign.domain.grant import GrantEvent
from countersign.domain.lease import Cause, Lease, LeaseState, Sighting, Standing
from countersign.domain.refusals import Conflict, Refused
from countersign.domain.request import RequestEvent
from countersign.providers.base import Answer, LeaseRef, Provider, ProviderTrouble
from countersign.service.afterwards import escalate
from countersign.service.endings import ask_for_end, close_grant, decide_request, end_lease
from countersign.service.office import Office
from countersign.store import Tx

logger = structlog.get_logger(__name__)

ACTOR = f"{BROKER}/sweep"
CLAIM = timedelta(seconds=12)
"""How long a claimed lease is left alone: a little more than a provider call may take."""
BATCH = 256
CLOSED_BESIDE_ENDS = 16
HANDS_PER_TARGET = 24
"""How many ends are under way at one target at once."""
OVERDUE_AFTER = timedelta(seconds=5)
FIRST_RETRY = timedelta(milliseconds=250)
LAST_RETRY = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at ending one lease: what was asked of the provider and what it said, or what went wrong."""

    lease: Lease
    answer: Answer | None = None
    trouble: str | None = None


@dataclass(kw_only=True)
class Sweeper:
    """Ends what is due.

    Attributes:
        lanes: at how many targets at once.
        hands: at how many leases of all targets at once; one target gets `HANDS_PER_TARGET` of them.
    """

    office: Office
    providers: Mapping[str, Provider]
    lanes: ThreadPoolExecutor
    hands: ThreadPoolExecutor
    _busy: set[tuple[str, str]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def start(self) -> None:
        """Forget the claims of a former life: whatever was being ended is due at once.

        On an embedded database there is one broker at a time, so a draw that was begun has nobody left to finish it.
        """
        alone = self.office.store.is_embedded
        with self.office.store.begin() as tx:
            tx.make_due(LeaseState.REVOKING, *([LeaseState.PREPARED] if alone else []))

    def sweep(self) -> list[Future[int]]:
        """Start to kill everything due, and lapse and close what is over; return the work begun, one piece per target."""
        begun = self._begin()
        try:
            is_more_due = self._close_what_is_over()
        except Conflict:
            return begun  # somebody moved what was to be closed; the next sweep sees it as it is
        return begun + self._begin() if is_more_due else begun

    def _begin(self) -> list[Future[int]]:
        with self.office.store.read() as tx:
            due = tx.due_targets()
        begun = []
        for provider, target in due:
            with self._lock:
                if (provider, target) in self._busy:
                    continue
                self._busy.add((provider, target))
            begun.append(self.lanes.submit(self._sweep_target, provider, target))
        return begun

    def sweep_and_wait(self) -> int:
        """Sweep once, one part after the other, and wait for all of it; return how many leases were seen dead."""
        dead = sum(piece.result() for piece in self._begin())
        if self._close_what_is_over():
            dead += sum(piece.result() for piece in self._begin())
        return dead

    def _close_what_is_over(self) -> bool:
        """Lapse requests and close grants; say whether anything was, so that leases may have become due with it."""
        with self.office.store.read() as tx:
            if not tx.lapsing_requests(limit=1) and not tx.ending_grants(limit=1) and not tx.unreviewed(limit=1):
                return False
        # Ends come first: while any are under way, the tidying after them takes the database for moments only.
        limit = CLOSED_BESIDE_ENDS if self._busy else BATCH
        with self.office.store.begin() as tx:
            for request in tx.lapsing_requests(limit=limit):
                decide_request(tx, request, RequestEvent.LAPSE, actor=ACTOR)
            for grant in tx.ending_grants(limit=limit):
                close_grant(tx, grant, GrantEvent.END, cause=Cause.EXPIRED, actor=ACTOR)
            for owed in tx.unreviewed(limit=limit):
                escalate(tx, owed, actor=ACTOR)
        return True

    def _sweep_target(self, provider: str, target: str) -> int:
        dead = 0
        try:
            while claimed := self._claim(provider, target):
                dead += self._end_all(self.providers[provider], claimed)
        except Refused as trouble:
            logger.warning("the sweep of a target broke off", provider=provider, target=target, code=trouble.code)
        finally:
            with self._lock:
                self._busy.discard((provider, target))
        return dead

    def _claim(self, provider: str, target: str) -> list[Lease]:
        """Send what is due on its way and take it on for a while, in one transaction."""
        claimed: list[tuple[Lease, Lease]] = []
        waiting = []
        with self.office.store.begin() as tx:
            for lease in tx.due_leases(provider=provider, target=target, limit=BATCH):
                if lease.state is LeaseState.ACTIVE and tx.now < lease.not_after:
                    waiting.append(lease)
                    continue
                before, ending = self._on_its_way(tx, lease)
                claimed.append((before, ending.claimed(tx.now + CLAIM)))
            tx.move_leases(claimed)
        for lease in waiting:
            self._ask_for_receipt(lease)
        return [mine for _, mine in claimed]

    def _on_its_way(self, tx: Tx, lease: Lease) -> tuple[Lease, Lease]:
        """Return the lease as it stands in the database, and on its way to death."""
        match lease.state:
            case LeaseState.PREPARED:
                ending = end_lease(tx, lease, cause=Cause.OUTCOME_UNKNOWN, actor=ACTOR, give_back=True)
                return ending, ending
            case LeaseState.ACTIVE:
                return lease, ask_for_end(tx, lease, cause=Cause.EXPIRED, actor=ACTOR)
            case _:
                return lease, lease

    def _ask_for_receipt(self, lease: Lease) -> None:
        """See whether a wrapped credential was picked up; one that was not is revoked and its draw given back."""
        received = self.providers[lease.provider].received(reference(lease))
        with self.office.store.begin() as tx:
            if received is False:
                end_lease(tx, lease, cause=Cause.UNDELIVERED, actor=ACTOR, give_back=True)
            else:
                tx.move_lease(lease, lease.received())

    def _end_all(self, provider: Provider, leases: Sequence[Lease]) -> int:
        """End leases of one target, a few at once, so that one target that hangs does not hold all hands."""
        waiting = iter(leases)
        pending = {self.hands.submit(self._order_end, provider, lease) for lease in islice(waiting, HANDS_PER_TARGET)}
        dead = 0
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            pending |= {self.hands.submit(self._order_end, provider, lease) for lease in islice(waiting, len(done))}
            dead += self._certify(provider, [piece.result() for piece in done])
        return dead

    def _order_end(self, provider: Provider, lease: Lease) -> Attempt:
        try:
            return Attempt(lease=lease, answer=provider.end(reference(lease)))
        except ProviderTrouble as trouble:
            return Attempt(lease=lease, trouble=f"{type(trouble).__name__}: {trouble}")
        except Exception as fault:  # one lease's fault must not keep the others alive
            logger.exception("ending a lease failed in a way nobody foresaw", lease=lease.id)
            return Attempt(lease=lease, trouble=type(fault).__name__)

    def _certify(self, provider: Provider, attempts: Sequence[Attempt]) -> int:
        """Look at what was ordered to end, and write down what was seen, each on its own."""
        try:
            seen = provider.look([reference(attempt.lease) for attempt in attempts])
        except Exception:  # a look that fails is no sight of anything
            logger.exception("looking at leases failed in a way nobody foresaw", provider=provider.name)
            seen = {}
        try:
            return self._write(attempts, seen)
        except Conflict:
            return sum(self._write_alone(attempt, seen) for attempt in attempts)

    def _write_alone(self, attempt: Attempt, seen: Mapping[str, Sighting]) -> int:
        try:
            return self._write([attempt], seen)
        except Conflict:
            return 0  # whoever moved it since has the say

    def _write(self, attempts: Sequence[Attempt], seen: Mapping[str, Sighting]) -> int:
        dead = 0
        with self.office.store.begin() as tx:
            moves = []
            for attempt in attempts:
                sighting = seen.get(attempt.lease.id, Sighting(standing=Standing.UNKNOWN, at=tx.now))
                moves.append((attempt.lease, self._write_one(tx, attempt, sighting)))
                dead += sighting.is_death
            tx.move_leases(moves)
        return dead

    def _write_one(self, tx: Tx, attempt: Attempt, sighting: Sighting) -> Lease:
        """Record what was seen of one lease and return it as it is now to be kept."""
        lease = attempt.lease
        if attempt.answer is not None and lease.written_at is None:
            tx.record(LeaseEndWritten(actor=ACTOR, subject=lease.id, answer=attempt.answer.said))
        if sighting.is_death:
            return self._bury(tx, lease, sighting)
        overdue = tx.now > due_by(lease) + OVERDUE_AFTER
        if overdue and not lease.overdue:
            trouble = attempt.trouble or "the provider took the order, and the credential was still seen"
            logger.error("a lease is overdue", lease=lease.id, standing=sighting.standing.value, trouble=trouble)
            tx.record(
                LeaseOverdue(
                    actor=ACTOR,
                    subject=lease.id,
                    not_after=lease.not_after,
                    standing=sighting.standing.value,
                    trouble=trouble,
                )
            )
        return lease.still_alive(
            due=tx.now + self._patience(lease),
            written_at=tx.now if attempt.answer is not None else None,
            overdue=overdue,
        )

    def _bury(self, tx: Tx, lease: Lease, sighting: Sighting) -> Lease:
        late = sighting.at - due_by(lease)
        tx.record(
            LeaseDead(
                actor=ACTOR,
                subject=lease.id,
                grant=lease.grant_id,
                cause=(lease.cause or Cause.EXPIRED).value,
                evidence=sighting.evidence.value,
                standing=sighting.standing.value,
                seen=sighting.seen,
                not_after=lease.not_after,
                lateness_ms=max(0, round(late.total_seconds() * 1000)),
            )
        )
        return lease.dead(sighting)

    def _patience(self, lease: Lease) -> timedelta:
        """Return how long to wait before the next try: doubling, capped, and spread by half so that a herd scatters."""
        doublings: int = 2 ** min(lease.tries, 16)
        spread = int.from_bytes(self.office.randomness(2)) / 65535
        return min(LAST_RETRY, FIRST_RETRY * doublings) * (0.5 + spread)


def due_by(lease: Lease) -> datetime:
    """Return when a lease should have been dead: when it was asked to end, or its promised second if that came first."""
    return lease.not_after if lease.asked_at is None else min(lease.asked_at, lease.not_after)


def reference(lease: Lease) -> LeaseRef:
    """Return what a provider needs to end a lease and to look at it."""
    return LeaseRef(
        lease_id=lease.id,
        provider=lease.provider,
        target=lease.target,
        handle=lease.handle,
        prepared_at=lease.prepared_at,
        not_after=lease.not_after,
        backstop_at=lease.backstop_at,
    )
