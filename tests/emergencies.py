"""Rules with break-glass, for tests: one entitlement that two groups sign for, and in an emergency one of a wider group."""

from __future__ import annotations

from typing import Any

from tests.world import CATALOG, DIRECTORY, entitlement

ROOT = "orders-db-root"
TWO = [{"group": "orders-owners", "count": 1}, {"group": "security", "count": 1}]
GLASS = {
    "review": [{"group": "responders", "count": 1}],
    "max_duration_s": 600,
    "after_review_s": 3600,
    "per_incident": 2,
}
GLASS_CATALOG: dict[str, Any] = {
    **CATALOG,
    "entitlement": [
        *CATALOG["entitlement"],
        entitlement(ROOT, review=TWO, requesters=["engineers", "night-shift"], break_glass=GLASS),
    ],
}


def with_groups(**members: list[str]) -> dict[str, Any]:
    """Return the directory with a wider group of signers, a night shift, and these members in place of others."""
    groups = [
        *DIRECTORY["group"],
        {"id": "responders", "members": ["bob", "carol", "hugo"], "roles": ["approver"]},
        {"id": "night-shift", "members": ["dave", "nina"], "roles": ["requester", "on-call"]},
    ]
    return {
        **DIRECTORY,
        "person": [*DIRECTORY["person"], {"id": "hugo", "name": "Hugo"}, {"id": "nina", "name": "Nina"}],
        "group": [group | {"members": members.get(group["id"], group["members"])} for group in groups],
    }
