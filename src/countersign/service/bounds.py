"""The latest moments that an approved request allows, from its own signed words, whatever the grant's row says."""

from __future__ import annotations

from datetime import datetime

from countersign.domain.entitlement import Entitlement
from countersign.domain.grant import Grant
from countersign.domain.refusals import ApprovalVoid
from countersign.domain.request import Request


def demand_in_time(prepared: Grant, request: Request, entitlement: Entitlement, *, now: datetime) -> None:
    """Demand that a grant about to be drawn is no later, and ends no later, than what was approved allows.

    Nobody approves after the request has lapsed, and nobody has access for longer than he asked. Both times are bounded by the
    request's statement, which the digest covers.

    Raises:
        ApprovalVoid: the grant's row says more.
    """
    approved_by = request.submitted_at + entitlement.review_ttl
    too_late = prepared.draw_by > approved_by + entitlement.draw_ttl
    too_long = prepared.not_after is not None and prepared.not_after > now + request.duration
    if too_late or too_long:
        raise ApprovalVoid(
            f"{prepared.id} lasts longer than {request.id} allows",
            rule="what was approved is what is issued",
            hint="tell security",
        )
