"""Findings that were raised, and the word of somebody independent on each."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query

from countersign.api.answers import Answer, Moment
from countersign.api.bodies import USUALLY, AfterEntry, Body, Limit, Text
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.timestamps import spell
from countersign.store import RaisedFinding

router = guarded_router("audit")

FindingId = Annotated[str, Path(pattern="^fnd_[a-z2-7]{16}$", description="a finding's id")]
State = Annotated[Literal["all", "open"], Query(description="`open`: only those that nobody has acknowledged")]


class AcknowledgeBody(Body):
    """What comes of a finding."""

    comment: Text


class RaisedFindingAnswer(Answer):
    """A finding of a detector: `index` is the entry that shows it, `evidence` all that do together.

    `owner` is the group that answers for it, or a role; `persons` are those whom it names.
    """

    id: str
    index: int
    detector: str
    severity: str
    owner: str
    persons: list[str]
    evidence: list[int]
    detail: str
    raised_at: Moment
    acknowledged_by: str | None
    acknowledged_at: Moment | None


class RaisedFindingPage(Answer):
    """Findings, newest entry first. `next` goes into `after` of the next call; null at the end."""

    items: list[RaisedFindingAnswer]
    next: int | None


@router.get("/findings", responses=documented(), summary="Findings of the detectors, newest first")
def findings(
    broker: TheBroker, caller: Caller, after: AfterEntry = None, limit: Limit = USUALLY, state: State = "all"
) -> RaisedFindingPage:
    """Return findings: all to auditors and operators, and to others those that a group of theirs answers for."""
    found, following = broker.findings.findings(caller, open_only=state == "open", before=after, limit=limit)
    return RaisedFindingPage(items=[_answer(each) for each in found], next=following)


@router.post(
    "/findings/{finding_id}/acknowledge",
    responses=documented(403, 404, 408, 409, 413, 415),
    summary="Acknowledge a finding",
)
def acknowledge(broker: TheBroker, caller: Caller, finding_id: FindingId, body: AcknowledgeBody) -> RaisedFindingAnswer:
    """Say that somebody whom it does not concern has looked at it, and what comes of it. Final."""
    return _answer(broker.findings.acknowledge(caller, finding_id, comment=body.comment))


def _answer(finding: RaisedFinding) -> RaisedFindingAnswer:
    return RaisedFindingAnswer(
        id=finding.id,
        index=finding.index,
        detector=finding.detector,
        severity=finding.severity,
        owner=finding.owner,
        persons=list(finding.persons),
        evidence=list(finding.evidence),
        detail=finding.detail,
        raised_at=spell(finding.raised_at),
        acknowledged_by=finding.acknowledged_by,
        acknowledged_at=spell(finding.acknowledged_at) if finding.acknowledged_at else None,
    )
