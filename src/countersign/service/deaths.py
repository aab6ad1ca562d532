"""Ends: leases of one target are ordered to end, looked at where they would work, and certified dead when they were seen to be.

An order that a provider accepted is an answer, not a death.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from countersign.domain.facts import BROKER
from countersign.domain.lease import Cause, Lease, Sighting, Standing
from countersign.domain.lease_facts import LeaseDead, LeaseEndWritten, LeaseOverdue
from countersign.domain.refusals import Conflict
from countersign.domain.timestamps import spell
from countersign.providers.base import Answer, LeaseRef, Provider, ProviderTrouble
from countersign.service.endings import end_asked
from countersign.store import Store, Tx

logger = structlog.get_logger(__name__)

ACTOR = f"{BROKER}/sweep"
CLAIM = timedelta(seconds=12)
"""How long a claimed lease is left alone: a little more than a provider call may take."""
OVERDUE_AFTER = timedelta(seconds=5)
FIRST_RETRY = timedelta(milliseconds=250)
LAST_RETRY = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try at ending one lease: what the provider said to the order, or what went wrong."""

    answer: Answer | None = None
    trouble: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Ends leases of one target.

    Attributes:
        again: those that an earlier try did not see dead, which must not keep the others waiting.
        at_once: how many ends are under way together.
    """

    store: Store
    randomness: Callable[[int], bytes]
    provider: Provider
    target: str
    again: bool
    at_once: int

    def claim(self, limit: int) -> list[Lease]:
        """Send what is over on its way and take it on for a while, in one transaction."""
        with self.store.begin() as tx:
            at, until = {"provider": self.provider.name, "target": self.target}, tx.now + CLAIM
            if self.again:
                return tx.claim_revoking(**at, again=True, until=until, limit=limit)
            asked = tx.claim_revoking(**at, again=False, until=until, limit=limit)
            over = tx.claim_expired(**at, until=until, limit=limit - len(asked)) if len(asked) < limit else []
            tx.record(*(end_asked(lease, cause=Cause.EXPIRED, actor=ACTOR) for lease in over))
            return asked + over

    def do(self, lease: Lease) -> Attempt:
        """Order the end of one lease."""
        try:
            return Attempt(answer=self.provider.end(reference(lease)))
        except ProviderTrouble as trouble:
            return Attempt(trouble=f"{type(trouble).__name__}: {trouble}")
        except Exception as fault:  # one lease's fault must not keep the others alive
            logger.exception("ending a lease failed in a way nobody foresaw", lease=lease.id)
            return Attempt(trouble=type(fault).__name__)

    def finish(self, done: Sequence[tuple[Lease, Attempt]]) -> int:
        """Look at what was ordered to end, and write down what was seen, each on its own."""
        try:
            seen = self.provider.look([reference(lease) for lease, _ in done])
        except Exception:  # a look that fails is no sight of anything
            logger.exception("looking at leases failed in a way nobody foresaw", provider=self.provider.name)
            seen = {}
        try:
            return self._write(done, seen)
        except Conflict:
            return sum(self._write_alone(lease, attempt, seen) for lease, attempt in done)

    def _write_alone(self, lease: Lease, attempt: Attempt, seen: Mapping[str, Sighting]) -> int:
        try:
            return self._write([(lease, attempt)], seen)
        except Conflict:
            return 0  # whoever moved it since has the say

    def _write(self, done: Sequence[tuple[Lease, Attempt]], seen: Mapping[str, Sighting]) -> int:
        dead = 0
        with self.store.begin() as tx:
            moves = []
            for lease, attempt in done:
                sighting = seen.get(lease.id) or Sighting(standing=Standing.UNKNOWN, at=tx.now)
                if attempt.answer is not None and lease.written_at is None:
                    tx.record(LeaseEndWritten(actor=ACTOR, subject=lease.id, answer=attempt.answer.said))
                if sighting.is_death:
                    tx.record(certificate(lease, sighting))
                    moves.append((lease, lease.dead(sighting)))
                    dead += 1
                else:
                    moves.append((lease, self._still_alive(tx, lease, attempt, sighting)))
            tx.move_leases(moves)
        return dead

    def _still_alive(self, tx: Tx, lease: Lease, attempt: Attempt, sighting: Sighting) -> Lease:
        """Return the lease as due again, and raise the alarm once when it is past its time."""
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

    def _patience(self, lease: Lease) -> timedelta:
        """Return how long to wait before the next try: doubling, capped, and spread by half so that a herd scatters."""
        doublings: int = 2 ** min(lease.tries, 16)
        spread = int.from_bytes(self.randomness(2)) / 65535
        return min(LAST_RETRY, FIRST_RETRY * doublings) * (0.5 + spread)


def certificate(lease: Lease, sighting: Sighting) -> LeaseDead:
    """Return the certificate of death that this sighting is worth."""
    late = sighting.at - due_by(lease)
    return LeaseDead(
        actor=ACTOR,
        subject=lease.id,
        grant=lease.grant_id,
        cause=(lease.cause or Cause.EXPIRED).value,
        evidence=sighting.evidence.value,
        standing=sighting.standing.value,
        seen=_with_last_use(lease, sighting.seen),
        not_after=lease.not_after,
        lateness_ms=max(0, round(late.total_seconds() * 1000)),
    )


def _with_last_use(lease: Lease, seen: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a certificate of death shows: what was seen, and when the lease was last used, where that is known."""
    return seen if lease.last_used_at is None else {**seen, "last_used_at": spell(lease.last_used_at)}


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
