"""What a stop or a lock reaches: whether there is such a thing, who must lift it, and how all of it is ended."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.check_facts import SELF_CHECK
from countersign.domain.environment import Environment
from countersign.domain.grant import GrantEvent
from countersign.domain.lease import Cause
from countersign.domain.refusals import Invalid
from countersign.domain.request import RequestEvent, RequestState, Sealed
from countersign.service.endings import close_grant, decide_request
from countersign.service.rules import Rules
from countersign.store import Stop, Tx

SCOPES = ("all", "person", "entitlement", "provider")
_EVERYTHING = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Reach:
    """All access, or that of one person, entitlement or provider."""

    rules: Rules
    scope: str
    target: str | None

    def demand_known(self) -> None:
        """Demand that there is what it names.

        Raises:
            Invalid: there is not, or a stop of all names something.
        """
        if self.scope not in SCOPES:
            raise Invalid(f"scope must be one of: {', '.join(SCOPES)}", field="scope")
        known = {
            "person": self.rules.directory.persons.keys(),
            "entitlement": self.rules.catalog.entitlements.keys(),
            "provider": {e.provider for e in self.rules.catalog.entitlements.values()},
        }
        if self.scope == "all" and self.target is not None:
            raise Invalid("a stop of all takes no id", field="id")
        if self.scope != "all" and self.target is None:
            raise Invalid(f"say which {self.scope}", field="id")
        if self.scope != "all" and self.target not in known[self.scope]:
            raise Invalid(f"there is no {self.scope} {str(self.target)[:63]!r}", field="id")

    @property
    def is_production(self) -> bool:
        """Say whether production is concerned; what cannot be told does."""
        concerned = [
            each
            for each in self.rules.catalog.entitlements.values()
            if self.scope in {"all", "person"} or self.target in {each.id, each.provider}
        ]
        return not concerned or any(each.environment is Environment.PRODUCTION for each in concerned)

    def end(self, tx: Tx, *, cause: Cause, actor: str, reason: Sealed) -> tuple[int, int]:
        """Close all grants and withdraw all pending requests within it; return how many that were."""
        grants = [
            each
            for each in tx.open_grants(scope=self.scope, target=self.target)
            if self._holds(each.person, each.entitlement)
        ]
        for grant in grants:
            close_grant(tx, grant, GrantEvent.REVOKE, cause=cause, actor=actor, reason=reason)
        pending = [
            each
            for each in tx.requests(state=RequestState.PENDING, limit=_EVERYTHING)
            if self._holds(each.person, each.entitlement)
        ]
        for request in pending:
            decide_request(tx, request, RequestEvent.WITHDRAW, actor=actor)
        return len(grants), len(pending)

    def _holds(self, person: str, entitlement: str) -> bool:
        found = self.rules.catalog.entitlements.get(entitlement)
        return (self.scope, self.target) in {
            ("all", None),
            ("person", person),
            ("entitlement", entitlement),
            ("provider", found.provider if found else None),
        }


def takes_two(stop: Stop, rules: Rules) -> bool:
    """Say whether two people must say that a stop is lifted: a lock on production, or a stop of the self-check."""
    if stop.placed_by == SELF_CHECK:
        return True
    return stop.until is not None and Reach(rules=rules, scope=stop.scope, target=stop.target).is_production
