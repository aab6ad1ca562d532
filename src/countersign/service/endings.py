"""How things are made to end, within somebody's transaction: leases are sent on their way to death, grants are closed.

Nothing here calls a provider; the sweep does, and what is written here makes it due at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from countersign.domain.grant import Grant, GrantEvent, GrantState
from countersign.domain.grant_facts import GrantClosed
from countersign.domain.lease import Cause, Lease, LeaseState
from countersign.domain.lease_facts import LeaseEndAsked
from countersign.domain.request import Request, RequestEvent, Sealed
from countersign.domain.request_facts import RequestDecided
from countersign.store import Tx

LIVE = (LeaseState.PREPARED, LeaseState.ACTIVE)


def end_lease(tx: Tx, lease: Lease, *, cause: Cause, actor: str, give_back: bool = False) -> Lease:
    """Send a lease on its way to death, and give its draw back where the credential never served.

    Raises:
        Conflict: somebody else moved it.
    """
    ending = lease.revoking(cause=cause, now=tx.now)
    tx.record(end_asked(lease, cause=cause, actor=actor, give_back=give_back))
    tx.move_lease(lease, ending)
    if give_back:
        give_draw_back(tx, lease)
    return ending


def end_asked(lease: Lease, *, cause: Cause, actor: str, give_back: bool = False) -> LeaseEndAsked:
    """Return the fact that a lease is to end; it goes into the transaction that sends it on its way."""
    return LeaseEndAsked(
        actor=actor, subject=lease.id, cause=cause.value, not_after=lease.not_after, draw_given_back=give_back
    )


def give_draw_back(tx: Tx, lease: Lease) -> None:
    """Return the draw of a lease to its grant; the clock stops if nothing else was ever handed over under it."""
    grant = tx.grant(lease.grant_id, lock=True)
    if grant is None or grant.state is not GrantState.OPEN or grant.draws_used == 0:
        return
    others = [other for other in tx.leases(grant_id=grant.id) if other.id != lease.id]
    served = any(other.state in LIVE or other.cause not in NEVER_SERVED for other in others)
    tx.move_grant(grant, grant.given_back(clock_stops=not served))


NEVER_SERVED = frozenset({Cause.UNDELIVERED, Cause.OUTCOME_UNKNOWN, Cause.FAILED})
"""Causes of leases whose credential never reached the requester."""


def close_grant(
    tx: Tx, grant: Grant, event: GrantEvent, *, cause: Cause, actor: str, reason: Sealed | None = None
) -> Grant:
    """Close a grant and send on their way all its leases that live; those whose second has come go by themselves.

    Raises:
        WrongState: it is closed already.
        Conflict: somebody else moved it.
    """
    closed = grant.after(event)
    tx.move_grant(grant, closed)
    tx.record(GrantClosed(actor=actor, subject=grant.id, state=closed.state.value, reason=reason))
    for lease in tx.leases(grant_id=grant.id, states=LIVE):
        if not _goes_by_itself(lease, tx.now):
            end_lease(tx, lease, cause=cause, actor=actor)
    return closed


def end_grants(tx: Tx, grants: Sequence[Grant], *, actor: str) -> int:
    """Close grants whose time is over, all at once, and return how many leases that sent on their way before their second.

    Raises:
        Conflict: somebody else moved one of them.
    """
    tx.move_grants([(grant, grant.after(GrantEvent.END)) for grant in grants])
    tx.record(
        *(GrantClosed(actor=actor, subject=grant.id, state=GrantState.ENDED.value, reason=None) for grant in grants)
    )
    early = [lease for lease in tx.living_leases([grant.id for grant in grants]) if not _goes_by_itself(lease, tx.now)]
    for lease in early:
        end_lease(tx, lease, cause=Cause.EXPIRED, actor=actor)
    return len(early)


def _goes_by_itself(lease: Lease, now: datetime) -> bool:
    return lease.state is LeaseState.ACTIVE and lease.not_after <= now


def decide_request(tx: Tx, request: Request, event: RequestEvent, *, actor: str) -> Request:
    """Move a request out of the pending state, with its fact.

    Raises:
        WrongState: it was decided before.
        Conflict: somebody else decided at the same moment.
    """
    decided = request.after(event)
    tx.move_request(request, decided)
    tx.record(RequestDecided(actor=actor, subject=request.id, state=decided.state.value, digest=request.digest))
    return decided
