"""Calls about grants and leases: drawing, reading, handing back, taking away."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import Header, Request
from starlette.responses import JSONResponse

from countersign.api.answers import DrawAnswer, GrantAnswer, LeaseAnswer, Page
from countersign.api.bodies import USUALLY, After, GrantId, LeaseId, Limit, ReasonBody
from countersign.api.delivery import PARCEL, Parcel
from countersign.api.ordering import OrderBody, order_of
from countersign.api.problems import documented
from countersign.api.rendering import grant_answer, lease_answer, page
from countersign.api.route import Caller, TheBroker, guarded_router

router = guarded_router("grants")


@router.post(
    "/grants/{grant_id}/draw",
    response_model=DrawAnswer,
    responses=documented(403, 404, 408, 409, 410, 413, 415, 502),
    summary="Redeem a grant for one set of credentials",
)
async def draw(
    request: Request,
    broker: TheBroker,
    caller: Caller,
    grant_id: GrantId,
    *,
    body: OrderBody | None = None,
    key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
) -> JSONResponse:
    """Draw. The secret stands in this answer and nowhere else; an answer that is lost on the way is revoked and given back.

    Where the issuing half runs apart, the draw takes the order that the caller's device signed, and the credential is of kind
    `sealed`: for the one-time key in that order alone.
    """
    parcel: Parcel = request.scope[PARCEL]
    signed = None if body is None else order_of(body)
    handed = await parcel.fetch(partial(broker.draws.draw, caller, grant_id, key=key, signed=signed))
    return JSONResponse(handed.document())


@router.post(
    "/grants/{grant_id}/return", responses=documented(403, 404, 408, 409, 413, 415), summary="Hand a grant back early"
)
def give_back(broker: TheBroker, caller: Caller, grant_id: GrantId) -> GrantAnswer:
    """Return a grant; what was drawn under it is ended."""
    broker.control.give_back(caller, grant_id)
    return grant_answer(broker.questions.grant(caller, grant_id))


@router.post(
    "/grants/{grant_id}/revoke", responses=documented(403, 404, 408, 409, 413, 415), summary="Take a grant away"
)
def revoke(broker: TheBroker, caller: Caller, grant_id: GrantId, body: ReasonBody) -> GrantAnswer:
    """Revoke a grant: its requester, who approved it, and operators may."""
    broker.control.revoke(caller, grant_id, reason=body.reason)
    return grant_answer(broker.questions.grant(caller, grant_id))


@router.get("/grants", responses=documented(), summary="Grants that concern the caller, newest first")
def list_grants(broker: TheBroker, caller: Caller, after: After = None, limit: Limit = USUALLY) -> Page[GrantAnswer]:
    """Return the caller's grants and those of entitlements that he signs for; auditors and operators see all."""
    found = broker.questions.list_grants(caller, after=after, limit=limit + 1)
    return page(found, limit, grant_answer, lambda item: item[0].id)


@router.get("/grants/{grant_id}", responses=documented(404), summary="One grant and its leases")
def read_grant(broker: TheBroker, caller: Caller, grant_id: GrantId) -> GrantAnswer:
    """Return a grant to its parties."""
    return grant_answer(broker.questions.grant(caller, grant_id))


@router.get("/leases", responses=documented(), summary="Leases that concern the caller, newest first")
def list_leases(broker: TheBroker, caller: Caller, after: After = None, limit: Limit = USUALLY) -> Page[LeaseAnswer]:
    """Return leases, as grants are."""
    found = broker.questions.list_leases(caller, after=after, limit=limit + 1)
    return page(found, limit, lease_answer, lambda lease: lease.id)


@router.get("/leases/{lease_id}", responses=documented(404), summary="One lease")
def read_lease(broker: TheBroker, caller: Caller, lease_id: LeaseId) -> LeaseAnswer:
    """Return a lease to its parties."""
    return lease_answer(broker.questions.lease(caller, lease_id))
