"""Calls that only ever take access away, and the lifting of a stop by someone else."""

from __future__ import annotations

from countersign.api.answers import EndedAnswer, Page, StopAnswer
from countersign.api.bodies import USUALLY, After, Limit, LockBody, PersonId, ReasonBody, StopBody, StopId
from countersign.api.problems import documented
from countersign.api.rendering import ended_answer, page, stop_answer
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.refusals import Invalid
from countersign.domain.timestamps import NotATime, read

router = guarded_router("control")


@router.post("/stop", responses=documented(403, 408, 409, 413, 415), summary="Stop access at once")
def stop(broker: TheBroker, caller: Caller, body: StopBody) -> EndedAnswer:
    """Stop all access, or that of one person, entitlement or provider, until someone else lifts it."""
    return ended_answer(broker.control.stop(caller, scope=body.scope, target=body.id, reason=body.reason))


@router.post("/lock", responses=documented(403, 408, 409, 413, 415), summary="Lock a person, entitlement or provider")
def lock(broker: TheBroker, caller: Caller, body: LockBody) -> EndedAnswer:
    """Stop reviews and draws until a moment, at which it ends by itself; two people lift a lock on production before."""
    try:
        until = read(body.until)
    except NotATime as error:
        raise Invalid(str(error), field="until") from error
    ended = broker.control.lock(
        caller, scope=body.scope, target=body.id, until=until, reason=body.reason, ends=body.revoke
    )
    return ended_answer(ended)


@router.get("/stops", responses=documented(403), summary="Stops in force, oldest first")
def list_stops(broker: TheBroker, caller: Caller, after: After = None, limit: Limit = USUALLY) -> Page[StopAnswer]:
    """Return the stops in force."""
    found = broker.control.stops(caller)
    begin = next((place + 1 for place, each in enumerate(found) if each.id == after), 0)
    return page(found[begin:], limit, stop_answer, lambda each: each.id)


@router.post("/stops/{stop_id}/lift", responses=documented(403, 404, 408, 409, 413, 415), summary="Lift a stop")
def lift(broker: TheBroker, caller: Caller, stop_id: StopId) -> StopAnswer:
    """Lift a stop that someone else placed."""
    return stop_answer(broker.control.lift(caller, stop_id))


@router.post(
    "/persons/{person_id}/disable", responses=documented(403, 404, 408, 409, 413, 415), summary="Disable a person"
)
def disable(broker: TheBroker, caller: Caller, person_id: PersonId, body: ReasonBody) -> EndedAnswer:
    """Disable a person for good; tokens, requests, grants and leases end with it."""
    return ended_answer(broker.control.disable(caller, person_id, reason=body.reason))
