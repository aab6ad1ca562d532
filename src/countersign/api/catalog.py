"""Calls about the catalog: what may be asked for, and by whom it is signed."""

from __future__ import annotations

from countersign.api.answers import EntitlementAnswer, Page
from countersign.api.bodies import USUALLY, After, Limit
from countersign.api.problems import documented
from countersign.api.rendering import entitlement_answer, page
from countersign.api.route import Caller, TheBroker, guarded_router

router = guarded_router("catalog")


@router.get("/entitlements", responses=documented(), summary="The catalog, in order of ids")
def list_entitlements(
    broker: TheBroker, caller: Caller, after: After = None, limit: Limit = USUALLY
) -> Page[EntitlementAnswer]:
    """Return the catalog with what the caller may request."""
    found = [item for item in broker.questions.entitlements(caller) if after is None or item[0].id > after]
    return page(found, limit, entitlement_answer, lambda item: item[0].id)
