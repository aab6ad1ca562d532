"""Calls about the caller: who he is here, and a new token."""

from __future__ import annotations

from countersign.api.answers import MeAnswer, TokenAnswer
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router

router = guarded_router("me")


@router.get("/me", responses=documented(), summary="Who the caller is")
def read_me(broker: TheBroker, caller: Caller) -> MeAnswer:
    """Return the caller's principal, person, groups and roles."""
    groups, roles = broker.questions.roles(caller)
    return MeAnswer(
        principal=caller.id,
        person=caller.person,
        human=caller.human,
        groups=sorted(groups),
        roles=sorted(role.value for role in roles),
    )


@router.post("/me/token", responses=documented(403, 408, 409, 413, 415), summary="Replace the caller's token")
def rotate(broker: TheBroker, caller: Caller) -> TokenAnswer:
    """Return a new token and withdraw those before."""
    return TokenAnswer(token=broker.gate.rotate(caller))
