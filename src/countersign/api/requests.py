"""Calls about requests: asking, reading, signing, withdrawing."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from countersign.api.answers import Page, RequestAnswer
from countersign.api.bodies import USUALLY, After, AskBody, Limit, RequestId, ReviewBody
from countersign.api.problems import documented
from countersign.api.rendering import page, request_answer
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.counter import Less
from countersign.domain.emergency import Emergency
from countersign.domain.review import Decision
from countersign.service.submission import Ask

router = guarded_router("requests")


@router.post(
    "/requests", status_code=201, responses=documented(403, 408, 409, 413, 415, 429), summary="Ask for an entitlement"
)
def submit(
    broker: TheBroker,
    caller: Caller,
    body: AskBody,
    key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
) -> RequestAnswer:
    """Make a request. The same `Idempotency-Key` with the same body answers with the same request."""
    ask = Ask(
        entitlement=body.entitlement,
        parameters=body.parameters,
        duration_s=body.duration_s,
        reason=body.reason,
        ticket=body.ticket,
        emergency=None
        if body.emergency is None
        else Emergency(incident=body.emergency.incident, drill=body.emergency.drill),
    )
    made = broker.requests.submit(caller, ask, key=key)
    return request_answer(broker.questions.request(caller, made.id))


@router.get("/requests", responses=documented(), summary="Requests that concern the caller, newest first")
def list_requests(
    broker: TheBroker, caller: Caller, after: After = None, limit: Limit = USUALLY
) -> Page[RequestAnswer]:
    """Return the caller's requests and those that he may sign; auditors and operators see all."""
    found = broker.questions.list_requests(caller, after=after, limit=limit + 1)
    return page(found, limit, request_answer, lambda view: view.request.id)


@router.get("/requests/{request_id}", responses=documented(404), summary="One request")
def read_request(broker: TheBroker, caller: Caller, request_id: RequestId) -> RequestAnswer:
    """Return a request to its parties. The first look of somebody who may sign it is recorded."""
    return request_answer(broker.reads.look(caller, request_id))


@router.post(
    "/requests/{request_id}/reviews",
    responses=documented(403, 404, 408, 409, 410, 413, 415),
    summary="Approve or deny what was shown",
)
def review(broker: TheBroker, caller: Caller, request_id: RequestId, body: ReviewBody) -> RequestAnswer:
    """Record one person's word on exactly the digest that was shown."""
    less = None
    if body.counter is not None:
        less = Less(parameters=body.counter.parameters, duration_s=body.counter.duration_s)
    broker.requests.review(
        caller,
        request_id,
        decision=Decision(body.decision),
        digest=body.digest,
        comment=body.comment,
        signature=None if body.signature is None else body.signature.meaning(),
        less=less,
    )
    return request_answer(broker.questions.request(caller, request_id))


@router.post(
    "/requests/{request_id}/resubmit",
    status_code=201,
    responses=documented(403, 404, 408, 409, 413, 415, 429),
    summary="Take up a counter-proposal",
)
def resubmit(
    broker: TheBroker,
    caller: Caller,
    request_id: RequestId,
    key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
) -> RequestAnswer:
    """Ask for what the reviewer who denied would rather see asked: a new request, which others sign."""
    made = broker.requests.resubmit(caller, request_id, key=key)
    return request_answer(broker.questions.request(caller, made.id))


@router.post(
    "/requests/{request_id}/withdraw",
    responses=documented(403, 404, 408, 409, 413, 415),
    summary="Take a pending request back",
)
def withdraw(broker: TheBroker, caller: Caller, request_id: RequestId) -> RequestAnswer:
    """Withdraw a request; only its requester does."""
    broker.requests.withdraw(caller, request_id)
    return request_answer(broker.questions.request(caller, request_id))
