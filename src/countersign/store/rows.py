"""Rows to values and back: the only place that knows how a domain value lies in its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from countersign.domain.emergency import Emergency
from countersign.domain.grant import Grant, GrantState
from countersign.domain.lease import Cause, Evidence, Lease, LeaseState
from countersign.domain.passkey import Assertion, NotASignature
from countersign.domain.request import Request, RequestState, Sealed
from countersign.domain.review import Decision, Review

Row = sa.RowMapping


def request_row(request: Request, *, target: str) -> dict[str, Any]:
    """Return a request as a row."""
    return {
        "id": request.id,
        "person": request.person,
        "principal": request.principal,
        "entitlement": request.entitlement,
        "target": target,
        "rule_digest": request.rule_digest,
        "digest": request.digest,
        "parameters": dict(request.parameters),
        "duration_s": int(request.duration.total_seconds()),
        "reason": request.reason.text,
        "reason_salt": request.reason.salt,
        "ticket": request.ticket.text if request.ticket else None,
        "ticket_salt": request.ticket.salt if request.ticket else None,
        "submitted_at": request.submitted_at,
        "lapses_at": request.lapses_at,
        "incident": request.emergency.incident if request.emergency else None,
        "drill": request.emergency.drill if request.emergency else None,
        "envelope_id": request.emergency.envelope if request.emergency else None,
        "counters": request.counters,
        "behind": sorted(request.behind) or None,
        "signed": request.signed,
        "state": request.state.value,
        "version": request.version,
    }


ERASED = ""
"""In place of a text that was erased; nobody can write an empty one. In place of its salt stands its commitment."""


def erased_texts(row: Row) -> dict[str, object]:
    """Return the columns of a request's texts as they are once the texts are erased."""
    erased: dict[str, object] = {}
    for name in ("reason", "ticket"):
        if row[name] is not None:
            erased |= {name: ERASED, f"{name}_salt": bytes.fromhex(_sealed(row, name).commitment)}
    return erased


def _sealed(row: Row, name: str) -> Sealed:
    text, salt = row[name], bytes(row[f"{name}_salt"])
    return Sealed(text=text, salt=b"", erased=salt.hex()) if text == ERASED else Sealed(text=text, salt=salt)


def to_request(row: Row) -> Request:
    """Return a row as a request; its digest is computed from what the row says, never read from it."""
    ticket = None if row["ticket"] is None else _sealed(row, "ticket")
    emergency = (
        None
        if row["incident"] is None
        else Emergency(incident=row["incident"], drill=bool(row["drill"]), envelope=row["envelope_id"])
    )
    return Request(
        id=row["id"],
        person=row["person"],
        principal=row["principal"],
        entitlement=row["entitlement"],
        rule_digest=row["rule_digest"],
        parameters=row["parameters"],
        duration=timedelta(seconds=row["duration_s"]),
        reason=_sealed(row, "reason"),
        ticket=ticket,
        submitted_at=row["submitted_at"],
        lapses_at=row["lapses_at"],
        emergency=emergency,
        counters=row["counters"],
        behind=frozenset(row["behind"] or ()),
        signed=bool(row["signed"]),
        state=RequestState(row["state"]),
        version=row["version"],
    )


def to_review(row: Row) -> Review:
    """Return a row as a review."""
    return Review(
        request_id=row["request_id"],
        person=row["person"],
        principal=row["principal"],
        decision=Decision(row["decision"]),
        digest=row["digest"],
        at=row["at"],
        signature=to_assertion(row["signature"]),
    )


def to_assertion(document: object) -> Assertion | None:
    """Return the signature that a column holds; what somebody made of it that is none counts as none."""
    if not isinstance(document, dict):
        return None
    try:
        return Assertion.read(document)
    except NotASignature:
        return None


def grant_row(grant: Grant) -> dict[str, Any]:
    """Return a grant as a row."""
    return {
        "id": grant.id,
        "request_id": grant.request_id,
        "request_digest": grant.request_digest,
        "person": grant.person,
        "entitlement": grant.entitlement,
        "target": grant.target,
        "duration_s": int(grant.duration.total_seconds()),
        "draws": grant.draws,
        "draws_used": grant.draws_used,
        "opened_at": grant.opened_at,
        "draw_by": grant.draw_by,
        "not_after": grant.not_after,
        "due": grant.due,
        "state": grant.state.value,
        "version": grant.version,
    }


def to_grant(row: Row) -> Grant:
    """Return a row as a grant."""
    return Grant(
        id=row["id"],
        request_id=row["request_id"],
        request_digest=row["request_digest"],
        person=row["person"],
        entitlement=row["entitlement"],
        target=row["target"],
        duration=timedelta(seconds=row["duration_s"]),
        draws=row["draws"],
        draws_used=row["draws_used"],
        opened_at=row["opened_at"],
        draw_by=row["draw_by"],
        not_after=row["not_after"],
        state=GrantState(row["state"]),
        version=row["version"],
    )


def lease_row(lease: Lease) -> dict[str, Any]:
    """Return a lease as a row."""
    return {
        "id": lease.id,
        "grant_id": lease.grant_id,
        "request_id": lease.request_id,
        "person": lease.person,
        "entitlement": lease.entitlement,
        "provider": lease.provider,
        "target_id": lease.target["id"],
        "target": dict(lease.target),
        "handle": dict(lease.handle),
        "prepared_at": lease.prepared_at,
        "not_after": lease.not_after,
        "backstop_at": lease.backstop_at,
        "due": lease.due,
        "state": lease.state.value,
        "generation": lease.generation,
        "cause": lease.cause.value if lease.cause else None,
        "asked_at": lease.asked_at,
        "written_at": lease.written_at,
        "dead_at": lease.dead_at,
        "evidence": lease.evidence.value if lease.evidence else None,
        "overdue": lease.overdue,
        "tries": lease.tries,
        "version": lease.version,
        "idle_s": lease.idle_s,
        "last_used_at": lease.last_used_at,
    }


def lease_changes(before: Lease, after: Lease) -> dict[str, Any]:
    """Return the columns in which two leases differ, without spelling out the others: the sweep moves thousands in a second."""
    changed = {name: now for name in _LEASE_FIELDS if (now := getattr(after, name)) != getattr(before, name)}
    return {name: _LEASE_SPELLINGS[name](now) if name in _LEASE_SPELLINGS else now for name, now in changed.items()}


_LEASE_FIELDS = tuple(field.name for field in fields(Lease))
_LEASE_SPELLINGS: dict[str, Callable[[Any], Any]] = {
    "handle": dict,
    "state": attrgetter("value"),
    "cause": attrgetter("value"),
    "evidence": attrgetter("value"),
}
"""How the fields that ever change lie in their columns; a cause or evidence is never taken back."""


def to_lease(row: Row) -> Lease:
    """Return a row as a lease."""
    return Lease(
        id=row["id"],
        grant_id=row["grant_id"],
        request_id=row["request_id"],
        person=row["person"],
        entitlement=row["entitlement"],
        provider=row["provider"],
        target=row["target"],
        handle=row["handle"],
        prepared_at=row["prepared_at"],
        not_after=row["not_after"],
        backstop_at=row["backstop_at"],
        due=row["due"],
        state=LeaseState(row["state"]),
        generation=row["generation"],
        cause=Cause(row["cause"]) if row["cause"] else None,
        asked_at=row["asked_at"],
        written_at=row["written_at"],
        dead_at=row["dead_at"],
        evidence=Evidence(row["evidence"]) if row["evidence"] else None,
        overdue=row["overdue"],
        tries=row["tries"],
        version=row["version"],
        idle_s=row["idle_s"],
        last_used_at=row["last_used_at"],
    )
