"""Who may know that something exists: its requester, those who may sign it, auditors and operators. To all others it does not."""

from __future__ import annotations

from collections.abc import Iterable

from countersign.domain.entitlement import Entitlement
from countersign.domain.grant import Grant
from countersign.domain.lease import Lease
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import NotFound
from countersign.domain.request import Request
from countersign.service.rules import Rules
from countersign.store import Tx


def sees_all(principal: Principal, rules: Rules) -> bool:
    """Say whether the principal's roles let him see everybody's requests, grants and leases."""
    return bool(rules.directory.roles_of(principal.person) & {Role.AUDITOR, Role.OPERATOR, Role.ON_CALL})


def signs_for(person: str, rules: Rules) -> Iterable[str]:
    """Return the entitlements that a person may sign for, now or in an emergency, or whose emergencies he reviews."""
    groups = rules.directory.groups_of(person)
    signing = Role.APPROVER in rules.directory.roles_of(person)
    return [e.id for e in rules.catalog.entitlements.values() if _concerns(e, groups, signing=signing)]


def _concerns(entitlement: Entitlement, groups: frozenset[str], *, signing: bool) -> bool:
    emergency = entitlement.break_glass
    rule = entitlement.review if emergency is None else (*entitlement.review, *emergency.review)
    if signing and any(factor.group in groups for factor in rule):
        return True
    return emergency is not None and emergency.reviewers in groups


def may_see(tx: Tx, principal: Principal, rules: Rules, *, request_id: str, owner: str, entitlement: str) -> bool:
    """Say whether a principal may know of a request and what came of it."""
    return (
        owner == principal.person
        or sees_all(principal, rules)
        or entitlement in signs_for(principal.person, rules)
        or any(review.person == principal.person for review in tx.reviews(request_id))
        or principal.person in tx.granters(request_id)
    )


def visible_request(tx: Tx, principal: Principal, rules: Rules, request_id: str, *, lock: bool = False) -> Request:
    """Return a request to somebody who may know of it, and with `lock` hold its row until the transaction ends.

    Raises:
        NotFound: none such, or the caller is a stranger to it; which of the two is not told.
    """
    request = tx.request(request_id, lock=lock)
    if request is None or not may_see(
        tx, principal, rules, request_id=request.id, owner=request.person, entitlement=request.entitlement
    ):
        raise NotFound(f"there is no request {request_id[:20]!r} for you")
    return request


def visible_grant(tx: Tx, principal: Principal, rules: Rules, grant_id: str, *, lock: bool = False) -> Grant:
    """Return a grant to somebody who may know of it.

    Raises:
        NotFound: as `visible_request`.
    """
    grant = tx.grant(grant_id, lock=lock)
    if grant is None or not _came_of_his(tx, principal, rules, grant):
        raise NotFound(f"there is no grant {grant_id[:20]!r} for you")
    return grant


def visible_lease(tx: Tx, principal: Principal, rules: Rules, lease_id: str) -> Lease:
    """Return a lease to somebody who may know of it.

    Raises:
        NotFound: as `visible_request`.
    """
    lease = tx.lease(lease_id)
    if lease is None or not _came_of_his(tx, principal, rules, lease):
        raise NotFound(f"there is no lease {lease_id[:20]!r} for you")
    return lease


def _came_of_his(tx: Tx, principal: Principal, rules: Rules, made: Grant | Lease) -> bool:
    return may_see(tx, principal, rules, request_id=made.request_id, owner=made.person, entitlement=made.entitlement)


def knows_of(tx: Tx, principal: Principal, rules: Rules, subject: str) -> bool:
    """Say whether a principal may know of what a request, grant or lease by this id is about; nothing else is known to him."""
    thing = tx.request(subject) or tx.grant(subject) or tx.lease(subject)
    if thing is None:
        return False
    if isinstance(thing, Request):
        return may_see(tx, principal, rules, request_id=thing.id, owner=thing.person, entitlement=thing.entitlement)
    return _came_of_his(tx, principal, rules, thing)
