"""From the service's values to what callers get."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from countersign.api.answers import (
    CounterAnswer,
    EmergencyAnswer,
    EndedAnswer,
    EntitlementAnswer,
    EntryAnswer,
    FactorAnswer,
    GrantAnswer,
    LeaseAnswer,
    OpeningAnswer,
    Page,
    PreviewAnswer,
    RequestAnswer,
    ReviewAnswer,
    StopAnswer,
)
from countersign.domain.entitlement import Entitlement
from countersign.domain.grant import Grant
from countersign.domain.lease import Lease
from countersign.domain.passkey import fingerprint
from countersign.domain.request import Sealed
from countersign.domain.timestamps import spell
from countersign.service.control import Ended
from countersign.service.questions import RequestView
from countersign.store import Stop

Item = TypeVar("Item")
Found = TypeVar("Found")


def page(
    found: Sequence[Found], limit: int, shape: Callable[[Found], Item], name: Callable[[Found], str]
) -> Page[Item]:
    """Return the first `limit` of what was found; one more than that was asked for, to know whether there is more."""
    shown = found[:limit]
    return Page(items=[shape(each) for each in shown], next=name(shown[-1]) if len(found) > limit else None)


def _spelled(moment: datetime | None) -> str | None:
    return None if moment is None else spell(moment)


def _opening(sealed: Sealed) -> OpeningAnswer:
    return OpeningAnswer(salt=sealed.salt.hex(), text=sealed.text)


def request_answer(view: RequestView) -> RequestAnswer:
    """Return a request as its parties see it."""
    request, quorum, preview = view.request, view.quorum, view.preview
    sealed = {"reason": request.reason} | ({} if request.ticket is None else {"ticket": request.ticket})
    return RequestAnswer(
        id=request.id,
        digest=request.digest,
        fingerprint=fingerprint(request.digest),
        state=request.state.value,
        lapses_at=spell(request.lapses_at),
        latest_end=_spelled(view.latest_end),
        review=[FactorAnswer(group=f.group, count=f.count, have=f.have) for f in (quorum.factors if quorum else ())],
        grant_id=None if view.grant is None else view.grant.id,
        entitlement=request.entitlement,
        person=request.person,
        parameters=dict(request.parameters),
        duration_s=int(request.duration.total_seconds()),
        reason=request.reason.text,
        ticket=None if request.ticket is None else request.ticket.text,
        emergency=None if request.emergency is None else EmergencyAnswer.model_validate(request.emergency.document()),
        counters=request.counters,
        counter=_counter(view),
        signature="required" if request.signed else None,
        submitted_at=spell(request.submitted_at),
        statement=request.statement(),
        openings={name: _opening(text) for name, text in sealed.items()},
        reviews=[
            ReviewAnswer(
                person=each.person,
                decision=each.decision.value,
                at=spell(each.at),
                comment=view.comments.get(each.person),
                passkey=None if each.signature is None else each.signature.passkey,
            )
            for each in view.reviews
        ],
        may_review=list(view.may_review),
        preview=None
        if preview is None
        else PreviewAnswer(
            privileges=list(preview.privileges), residual=list(preview.residual), dangers=list(preview.dangers)
        ),
    )


def _counter(view: RequestView) -> CounterAnswer | None:
    counter = view.counter
    if counter is None:
        return None
    return CounterAnswer(
        person=counter.person,
        parameters=dict(counter.parameters),
        duration_s=int(counter.duration.total_seconds()),
        taken_up_by=view.taken_up_by,
    )


def lease_answer(lease: Lease) -> LeaseAnswer:
    """Return a lease."""
    return LeaseAnswer(
        id=lease.id,
        grant_id=lease.grant_id,
        request_id=lease.request_id,
        person=lease.person,
        entitlement=lease.entitlement,
        provider=lease.provider,
        target=lease.target["id"],
        state=lease.state.value,
        generation=lease.generation,
        prepared_at=spell(lease.prepared_at),
        not_after=spell(lease.not_after),
        backstop_at=spell(lease.backstop_at),
        cause=None if lease.cause is None else lease.cause.value,
        asked_at=_spelled(lease.asked_at),
        written_at=_spelled(lease.written_at),
        dead_at=_spelled(lease.dead_at),
        evidence=None if lease.evidence is None else lease.evidence.value,
        overdue=lease.overdue,
        idle_s=lease.idle_s,
        last_used_at=_spelled(lease.last_used_at),
    )


def grant_answer(found: tuple[Grant, Sequence[Lease]]) -> GrantAnswer:
    """Return a grant with its leases."""
    grant, leases = found
    return GrantAnswer(
        id=grant.id,
        request_id=grant.request_id,
        digest=grant.request_digest,
        person=grant.person,
        entitlement=grant.entitlement,
        target=grant.target,
        state=grant.state.value,
        duration_s=int(grant.duration.total_seconds()),
        draws=grant.draws,
        draws_used=grant.draws_used,
        opened_at=spell(grant.opened_at),
        draw_by=spell(grant.draw_by),
        not_after=_spelled(grant.not_after),
        leases=[lease_answer(lease) for lease in leases],
    )


def entitlement_answer(found: tuple[Entitlement, bool]) -> EntitlementAnswer:
    """Return a catalog item: what asking and reviewing need, without the target's addresses."""
    entitlement, may_request = found
    document = entitlement.document()
    target = document.pop("target")
    return EntitlementAnswer.model_validate(
        document
        | {
            "target": {"id": target["id"], "kind": target["kind"]},
            "rule": entitlement.rule_digest,
            "may_request": may_request,
        }
    )


def entry_answer(row: Mapping[str, Any]) -> EntryAnswer:
    """Return an entry of the log."""
    leaf = bytes(row["leaf"])
    return EntryAnswer(
        index=row["index"],
        at=spell(row["at"]),
        type=row["type"],
        actor=row["actor"],
        subject=row["subject"],
        data=json.loads(leaf)["data"],
        leaf=base64.b64encode(leaf).decode("ascii"),
        leaf_hash=bytes(row["leaf_hash"]).hex(),
        openings={name: OpeningAnswer(**opening) for name, opening in row["openings"].items()},
    )


def stop_answer(stop: Stop) -> StopAnswer:
    """Return a stop."""
    return StopAnswer(
        id=stop.id,
        scope=stop.scope,
        target=stop.target,
        placed_by=stop.placed_by,
        placed_at=spell(stop.placed_at),
        until=_spelled(stop.until),
        lift_asked_by=stop.lift_asked_by,
    )


def ended_answer(ended: Ended) -> EndedAnswer:
    """Return what was ended."""
    return EndedAnswer(
        stop=None if ended.stop is None else stop_answer(ended.stop),
        grants_revoked=ended.grants,
        requests_ended=ended.requests,
    )
