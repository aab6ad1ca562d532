"""After break-glass: somebody who neither asked nor granted says whether it was justified; what nobody says is escalated."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from countersign.domain.emergency import AfterReview, Verdict
from countersign.domain.emergency_facts import BreakGlassReviewed, BreakGlassUnreviewed
from countersign.domain.grant import GrantEvent, GrantState
from countersign.domain.lease import Cause
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import NotEligible, NotFound
from countersign.service.endings import close_grant
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.service.sight import may_see
from countersign.store import Tx

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Afterwards:
    """Use cases of those who look back at emergencies."""

    office: Office

    def review(self, principal: Principal, grant_id: str, *, verdict: Verdict, comment: str) -> AfterReview:
        """Say whether a break-glass access was justified; what was not, and is still open, is revoked.

        Raises:
            NotFound: no such break-glass grant, or the caller is a stranger to it.
            SelfReview: the principal's person asked for it or granted it.
            NotEligible: a machine, or not among the entitlement's `reviewers`.
            AlreadyReviewed: somebody has said it.
        """
        with self.office.attempt(principal, act="after-review", subject=grant_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            grant = tx.grant(grant_id, lock=True)
            owed = tx.after_review(grant_id, lock=True)
            if grant is None or owed is None or not _seen(tx, principal, rules, owed):
                raise NotFound(f"there is no break-glass grant {grant_id[:20]!r} for you")
            given = owed.reviewed(by=principal.person, verdict=verdict, at=tx.now)
            _demand_reviewer(tx, principal, rules, owed)
            sealed = self.office.seal(comment, field="comment")
            tx.give_after_review(given)
            tx.record(
                BreakGlassReviewed(
                    actor=principal.person,
                    subject=grant.id,
                    principal=principal.id,
                    verdict=verdict.value,
                    incident=owed.incident,
                    drill=owed.drill,
                    late=tx.now > owed.due_at,
                    comment=sealed,
                )
            )
            if verdict is Verdict.NOT_JUSTIFIED and grant.state is GrantState.OPEN:
                close_grant(tx, grant, GrantEvent.REVOKE, cause=Cause.REVOKED, actor=principal.person, reason=sealed)
        self.office.nudge()
        return given

    def reviews(self, principal: Principal, *, owed: bool, limit: int) -> list[AfterReview]:
        """Return reviews after the fact that the caller may know of, newest grant first."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            found = tx.after_reviews(owed=owed, limit=limit)
            return [each for each in found if _seen(tx, principal, rules, each)]


def escalate(tx: Tx, owed: AfterReview, *, actor: str) -> None:
    """Say aloud, once, that nobody has reviewed a break-glass access in time; it stays owed."""
    logger.error("a break-glass access was not reviewed in time", grant=owed.grant_id, incident=owed.incident)
    tx.escalated(owed)
    tx.record(
        BreakGlassUnreviewed(
            actor=actor,
            subject=owed.grant_id,
            person=owed.person,
            entitlement=owed.entitlement,
            incident=owed.incident,
            drill=owed.drill,
            due_at=owed.due_at,
        )
    )


def _seen(tx: Tx, principal: Principal, rules: Rules, owed: AfterReview) -> bool:
    return may_see(tx, principal, rules, request_id=owed.request_id, owner=owed.person, entitlement=owed.entitlement)


def _demand_reviewer(tx: Tx, principal: Principal, rules: Rules, owed: AfterReview) -> None:
    """Demand a person of the group that looks back; of an entitlement that has no break-glass any more, an auditor."""
    entitlement = rules.catalog.entitlements.get(owed.entitlement)
    emergency = None if entitlement is None else entitlement.break_glass
    if emergency is None:
        group, members = "auditors, as it has none now", rules.directory.holders(Role.AUDITOR)
    else:
        group, members = emergency.reviewers, rules.directory.members(emergency.reviewers)
    if not principal.human or principal.person not in members or principal.person in tx.granters(owed.request_id):
        raise NotEligible(
            f"{principal.person} does not review break-glass of {owed.entitlement}",
            rule=f"entitlement {owed.entitlement}: break_glass.reviewers = {group}",
        )
