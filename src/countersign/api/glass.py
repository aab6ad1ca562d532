"""The question after all emergencies, each with the word on it afterwards."""

from __future__ import annotations

from countersign.api.answers import Answer, Moment
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router

router = guarded_router("audit")


class GlassAnswer(Answer):
    """A break-glass: who was skipped and which receivers were told of it, and who said afterwards whether it was justified.

    `late` says that this came after its time, `escalated` that the log said aloud that it was owed. `entries` prove it.
    """

    grant: str
    request: str
    person: str
    entitlement: str
    incident: str
    drill: bool
    envelope: str | None
    approvers: list[str]
    skipped: list[str]
    told: list[str]
    opened_at: Moment
    review_due: Moment
    reviewer: str | None
    verdict: str | None
    reviewed_at: Moment | None
    late: bool
    escalated: bool
    entries: list[int]


class GlassList(Answer):
    """Every break-glass that there ever was, oldest first."""

    items: list[GlassAnswer]


@router.get("/audit/questions/break-glass", responses=documented(403), summary="All break-glass with its review")
def break_glass(broker: TheBroker, caller: Caller) -> GlassList:
    """Return every break-glass as the log tells it, drills marked as drills."""
    found = broker.inquiries.break_glass(caller)
    return GlassList(
        items=[
            GlassAnswer(
                grant=each.grant,
                request=each.request,
                person=each.person,
                entitlement=each.entitlement,
                incident=each.incident,
                drill=each.drill,
                envelope=each.envelope,
                approvers=list(each.approvers),
                skipped=list(each.skipped),
                told=each.told,
                opened_at=each.opened_at,
                review_due=each.review_due,
                reviewer=each.reviewer,
                verdict=each.verdict,
                reviewed_at=each.reviewed_at,
                late=each.late,
                escalated=each.escalated,
                entries=each.entries,
            )
            for each in found
        ]
    )
