"""Calls of break-glass: signing and opening envelopes, and the word on an emergency afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Header, Path
from pydantic import Field

from countersign.api.answers import Answer, FactorAnswer, Moment, Page, RequestAnswer
from countersign.api.bodies import INCIDENT, USUALLY, AssertionBody, Body, GrantId, Limit, Name, Text
from countersign.api.problems import documented
from countersign.api.rendering import request_answer
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.canonical import LARGEST_EXACT_INTEGER
from countersign.domain.emergency import AfterReview, Verdict
from countersign.domain.entitlement import LONGEST_PARAMETER
from countersign.domain.passkey import fingerprint
from countersign.domain.refusals import Invalid
from countersign.domain.timestamps import NotATime, read, spell
from countersign.service.envelope_views import EnvelopeView

router = guarded_router("break-glass")

Seconds = Annotated[int, Field(ge=1, le=LARGEST_EXACT_INTEGER, description="whole seconds")]
Parameters = dict[Name, Annotated[str, Field(max_length=LONGEST_PARAMETER)]]
EnvelopeId = Annotated[str, Path(pattern="^env_[a-z2-7]{16}$", description="an envelope's id")]


class EnvelopeBody(Body):
    """Whoever is on call may open this entitlement so often and so long, within these days."""

    entitlement: Name
    not_before: Moment | None = None
    valid_s: Seconds
    uses: int = Field(ge=1, le=1000)
    max_duration_s: Seconds


class SignatureBody(Body):
    """One person's word on exactly the envelope that was shown."""

    digest: str = Field(min_length=1, max_length=128)
    signature: AssertionBody | None = None


class OpeningBody(Body):
    """What is asked for in the emergency, within what was signed."""

    incident: Annotated[str, Field(pattern=INCIDENT)]
    drill: bool = False
    duration_s: Seconds
    parameters: Parameters
    reason: Text


class WordBody(Body):
    """Whether a break-glass access was justified, and why."""

    verdict: Literal["justified", "not-justified"]
    comment: Text


class EnvelopeAnswer(Answer):
    """An envelope. Its digest is recomputed from `statement`."""

    id: str
    digest: str
    fingerprint: str
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
    view = broker.envelopes.propose(
        caller,
        entitlement_id=body.entitlement,
        not_before=None if body.not_before is None else _moment(body.not_before),
        valid_s=body.valid_s,
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
    assertion = None if body.signature is None else body.signature.meaning()
    return _envelope(broker.envelopes.sign(caller, envelope_id, digest=body.digest, assertion=assertion))


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


def _moment(text: str) -> datetime:
    try:
        return read(text)
    except NotATime as error:
        raise Invalid(f"not_before: {error}", field="not_before") from error


def _spelled(moment: datetime | None) -> str | None:
    return None if moment is None else spell(moment)


def _envelope(view: EnvelopeView) -> EnvelopeAnswer:
    envelope = view.envelope
    factors = view.quorum.factors if view.quorum else ()
    return EnvelopeAnswer.model_validate(
        envelope.statement()
        | {
            "digest": envelope.digest,
            "fingerprint": fingerprint(envelope.digest),
            "state": view.state,
            "uses_left": view.uses_left,
            "signers": list(view.signers),
            "review": [{"group": f.group, "count": f.count, "have": f.have} for f in factors],
            "statement": envelope.statement(),
        }
    )


def _after_review(owed: AfterReview) -> AfterReviewAnswer:
    return AfterReviewAnswer(
        id=owed.grant_id,
        request_id=owed.request_id,
        person=owed.person,
        entitlement=owed.entitlement,
        incident=owed.incident,
        drill=owed.drill,
        granters=list(owed.granters),
        opened_at=spell(owed.opened_at),
        due_at=spell(owed.due_at),
        reviewer=owed.reviewer,
        verdict=None if owed.verdict is None else owed.verdict.value,
        reviewed_at=_spelled(owed.reviewed_at),
        escalated_at=_spelled(owed.escalated_at),
    )
