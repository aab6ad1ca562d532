"""Calls of break-glass: signing and opening envelopes, and the word on an emergency afterwards."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Header, Path
from pydantic import Field

from countersign.api.answers import Answer, FactorAnswer, Moment, Page, RequestAnswer
from countersign.api.bodies import USUALLY, AskParameters, Body, EmergencyBody, GrantId, Limit, Name, Seconds, Text
from countersign.api.problems import documented
from countersign.api.rendering import request_answer
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.emergency import AfterReview, Verdict
from countersign.domain.refusals import Invalid
from countersign.domain.timestamps import read, spell
from countersign.service.envelopes import EnvelopeView

router = guarded_router("break-glass")

EnvelopeId = Annotated[str, Path(pattern="^env_[a-z2-7]{16}$", description="an envelope's id")]


class EnvelopeBody(Body):
    """Whoever is on call may open this entitlement so often and so long, within these days."""

    entitlement: Name
    not_before: Moment | None = None
    not_after: Moment
    uses: int = Field(ge=1, le=1000)
    max_duration_s: Seconds


class SignatureBody(Body):
    """One person's word on exactly the envelope that was shown."""

    digest: str = Field(min_length=1, max_length=128)


class OpeningBody(EmergencyBody):
    """What is asked for in the emergency, within what was signed."""

    duration_s: Seconds
    parameters: AskParameters
    reason: Text


class WordBody(Body):
    """Whether a break-glass access was justified, and why."""

    verdict: Literal["justified", "not-justified"]
    comment: Text


class EnvelopeAnswer(Answer):
    """An envelope. Its digest is recomputed from `statement`."""

    id: str
    digest: str
    state: Literal["unsigned", "waiting", "in-force", "used-up", "over", "revoked", "void"]
    entitlement: str
    not_before: Moment
    not_after: Moment
    uses: int
    uses_left: int
    max_duration_s: int
    proposed_by: str
    signers: list[str]
    review: list[FactorAnswer] = Field(description="empty when the rule has changed since")
    statement: dict[str, Any]


class AfterReviewAnswer(Answer):
    """The word on a break-glass grant, owed or given; `id` is the grant's."""

    id: str
    request_id: str
    person: str
    entitlement: str
    incident: str
    drill: bool
    granters: list[str]
    opened_at: Moment
    due_at: Moment
    reviewer: str | None
    verdict: Literal["justified", "not-justified"] | None
    reviewed_at: Moment | None
    escalated_at: Moment | None


@router.get("/envelopes", responses=documented(), summary="Envelopes, newest first")
def list_envelopes(broker: TheBroker, caller: Caller, limit: Limit = USUALLY) -> Page[EnvelopeAnswer]:
    """Return envelopes of entitlements that the caller signs for; who is on call, auditors and operators see all."""
    found = broker.envelopes.envelopes(caller, limit=limit)
    return Page(items=[_envelope(view) for view in found], next=None)


@router.post(
    "/envelopes",
    status_code=201,
    responses=documented(403, 408, 409, 413, 415),
    summary="Write an envelope to be signed",
)
def propose_envelope(broker: TheBroker, caller: Caller, body: EnvelopeBody) -> EnvelopeAnswer:
    """Write an envelope; it is worth nothing until two people, and the whole review rule, have signed it."""
    not_before = None if body.not_before is None else _moment(body.not_before, "not_before")
    view = broker.envelopes.propose(
        caller,
        entitlement_id=body.entitlement,
        not_before=not_before,
        not_after=_moment(body.not_after, "not_after"),
        uses=body.uses,
        max_duration_s=body.max_duration_s,
    )
    return _envelope(view)


@router.get("/envelopes/{envelope_id}", responses=documented(404), summary="One envelope")
def read_envelope(broker: TheBroker, caller: Caller, envelope_id: EnvelopeId) -> EnvelopeAnswer:
    """Return an envelope to those who may know of it."""
    return _envelope(broker.envelopes.envelope(caller, envelope_id))


@router.post(
    "/envelopes/{envelope_id}/sign",
    responses=documented(403, 404, 408, 409, 410, 413, 415),
    summary="Sign what was shown",
)
def sign_envelope(broker: TheBroker, caller: Caller, envelope_id: EnvelopeId, body: SignatureBody) -> EnvelopeAnswer:
    """Sign exactly the envelope that was shown."""
    return _envelope(broker.envelopes.sign(caller, envelope_id, digest=body.digest))


@router.post(
    "/envelopes/{envelope_id}/revoke",
    responses=documented(403, 404, 408, 409, 413, 415),
    summary="Make an envelope worth nothing",
)
def revoke_envelope(broker: TheBroker, caller: Caller, envelope_id: EnvelopeId) -> EnvelopeAnswer:
    """Revoke an envelope; nothing more is opened or drawn by it."""
    return _envelope(broker.envelopes.revoke(caller, envelope_id))


@router.post(
    "/envelopes/{envelope_id}/open",
    status_code=201,
    responses=documented(403, 404, 408, 409, 410, 413, 415, 429),
    summary="Open an envelope in an emergency",
)
def open_envelope(
    broker: TheBroker,
    caller: Caller,
    envelope_id: EnvelopeId,
    body: OpeningBody,
    key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
) -> RequestAnswer:
    """Open an envelope: a request that its signers approved in advance, and the grant of it."""
    made = broker.envelopes.open(
        caller,
        envelope_id,
        incident=body.incident,
        drill=body.drill,
        duration_s=body.duration_s,
        parameters=body.parameters,
        reason=body.reason,
        key=key,
    )
    return request_answer(broker.questions.request(caller, made.id))


@router.get("/after-reviews", responses=documented(), summary="Reviews after the fact, owed and given")
def list_after_reviews(broker: TheBroker, caller: Caller, limit: Limit = USUALLY) -> Page[AfterReviewAnswer]:
    """Return reviews of emergencies that the caller may know of, newest grant first."""
    found = broker.afterwards.reviews(caller, owed=False, limit=limit)
    return Page(items=[_after_review(each) for each in found], next=None)


@router.post(
    "/grants/{grant_id}/after-review",
    responses=documented(403, 404, 408, 409, 413, 415),
    summary="Say whether a break-glass access was justified",
)
def review_afterwards(broker: TheBroker, caller: Caller, grant_id: GrantId, body: WordBody) -> AfterReviewAnswer:
    """Review an emergency afterwards; neither who asked nor who granted does."""
    return _after_review(
        broker.afterwards.review(caller, grant_id, verdict=Verdict(body.verdict), comment=body.comment)
    )
