"""Erasures of what people wrote: asked for by one, approved by another."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import Field

from countersign.api.answers import Answer, Moment
from countersign.api.bodies import USUALLY, Body, Limit, Text
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.refusals import Invalid
from countersign.domain.retention import Erasure
from countersign.domain.timestamps import NotATime, read, spell

router = guarded_router("audit")

ErasureId = Annotated[str, Path(pattern="^ers_[a-z2-7]{16}$", description="an erasure's id")]


class ErasureBody(Body):
    """Erase the texts of all entries before a moment, because of this reason."""

    before: Annotated[str, Field(min_length=24, max_length=24, json_schema_extra={"format": "date-time"})]
    reason: Text


class ErasureAnswer(Answer):
    """An erasure: approved by another person or not yet; `texts` says how many there were once it was carried out."""

    id: str
    before: Moment
    asked_by: str
    asked_at: Moment
    approved_by: str | None
    approved_at: Moment | None
    done_at: Moment | None
    texts: int | None


class ErasureList(Answer):
    """Erasures, newest first."""

    items: list[ErasureAnswer]


@router.get("/retention/erasures", responses=documented(403), summary="Erasures, newest first")
def erasures(broker: TheBroker, caller: Caller, limit: Limit = USUALLY) -> ErasureList:
    """Return erasures to auditors and operators."""
    return ErasureList(items=[_answer(each) for each in broker.retention.erasures(caller, limit=limit)])


@router.post(
    "/retention/erasures", status_code=201, responses=documented(403, 408, 409, 413, 415), summary="Ask for an erasure"
)
def ask(broker: TheBroker, caller: Caller, body: ErasureBody) -> ErasureAnswer:
    """Ask that what people wrote before a moment be erased; its retention must be over, and no legal hold in force."""
    try:
        before = read(body.before)
    except NotATime as error:
        raise Invalid(str(error), field="before") from error
    return _answer(broker.retention.ask(caller, before=before, reason=body.reason))


@router.post(
    "/retention/erasures/{erasure_id}/approve",
    responses=documented(403, 404, 408, 409, 413, 415),
    summary="Approve an erasure",
)
def approve(broker: TheBroker, caller: Caller, erasure_id: ErasureId) -> ErasureAnswer:
    """Approve another person's erasure; one of the two is an auditor. The database's owner carries it out."""
    return _answer(broker.retention.approve(caller, erasure_id))


def _answer(erasure: Erasure) -> ErasureAnswer:
    return ErasureAnswer(
        id=erasure.id,
        before=spell(erasure.before),
        asked_by=erasure.asked_by,
        asked_at=spell(erasure.asked_at),
        approved_by=erasure.approved_by,
        approved_at=None if erasure.approved_at is None else spell(erasure.approved_at),
        done_at=None if erasure.done_at is None else spell(erasure.done_at),
        texts=erasure.texts,
    )
