"""Calls that ask "why?": of a request, of a grant, and of what somebody might ask for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field

from countersign.api.answers import Answer
from countersign.api.bodies import NAME, GrantId, RequestId
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.service.explaining import Explanation

router = guarded_router("why")

EntitlementId = Annotated[str, Path(pattern=NAME)]
OfPerson = Annotated[str | None, Query(pattern=NAME, description="who would ask; the caller if not given")]


class FilledAnswer(Answer):
    """One demand of the rule, how far it is filled, and by whom."""

    group: str
    count: int
    have: int
    by: list[str]


class WordAnswer(Answer):
    """One person's word; `hindrance` says why it counts for nothing now."""

    person: str
    decision: str
    counts: bool
    hindrance: str | None


class UnableAnswer(Answer):
    """Somebody whom the rule names and who could not sign."""

    person: str
    hindrance: str


class ObstacleAnswer(Answer):
    """What refuses it now, as a caller would be told."""

    code: str
    detail: str
    rule: str | None
    hint: str | None


class WhyAnswer(Answer):
    """Which rule decides, how far it is filled and by whom, what stands in the way, and what would have to change."""

    about: str
    person: str
    entitlement: str
    state: str | None = Field(description="the request's; null where nobody asked yet")
    rule: str
    pinned: str
    factors: list[FilledAnswer]
    words: list[WordAnswer]
    could_sign: list[str]
    could_not: list[UnableAnswer]
    authors: list[str]
    obstacles: list[ObstacleAnswer]
    changes: list[str]


@router.get("/requests/{request_id}/why", responses=documented(404), summary="Why a request stands as it does")
def why_request(broker: TheBroker, caller: Caller, request_id: RequestId) -> WhyAnswer:
    """Explain a request to its parties."""
    return _why(broker.explanations.request(caller, request_id))


@router.get("/grants/{grant_id}/why", responses=documented(404), summary="Why a grant can be drawn, or cannot")
def why_grant(broker: TheBroker, caller: Caller, grant_id: GrantId) -> WhyAnswer:
    """Explain a grant to its parties: what a draw would judge now."""
    return _why(broker.explanations.grant(caller, grant_id))


@router.get(
    "/entitlements/{entitlement_id}/why", responses=documented(403, 404), summary="What would come of asking for it"
)
def why_entitlement(
    broker: TheBroker, caller: Caller, entitlement_id: EntitlementId, person: OfPerson = None
) -> WhyAnswer:
    """Explain who could sign if a person asked; about others to signers, authors, auditors and operators only."""
    return _why(broker.explanations.supposed(caller, entitlement_id, person=person or caller.person))


def _why(found: Explanation) -> WhyAnswer:
    said: dict[str, Any] = {
        "factors": [{"group": f.group, "count": f.count, "have": f.have, "by": list(f.by)} for f in found.factors],
        "words": [
            {
                "person": word.person,
                "decision": word.decision.value,
                "counts": word.counts,
                "hindrance": None if word.hindrance is None else word.hindrance.value,
            }
            for word in found.words
        ],
        "could_sign": list(found.could_sign),
        "could_not": [{"person": person, "hindrance": why.value} for person, why in found.could_not],
        "authors": list(found.authors),
        "obstacles": [
            {"code": each.code, "detail": each.detail, "rule": each.rule, "hint": each.hint} for each in found.obstacles
        ],
        "changes": list(found.changes),
    }
    plain = {name: getattr(found, name) for name in ("about", "person", "entitlement", "state", "rule", "pinned")}
    return WhyAnswer.model_validate(plain | said)
