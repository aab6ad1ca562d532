"""From a decided request to the right to draw, within somebody's transaction; an emergency leaves a review owed."""

from __future__ import annotations

from countersign.domain.emergency import AfterReview, Emergency
from countersign.domain.emergency_facts import BreakGlassOpened
from countersign.domain.entitlement import Entitlement
from countersign.domain.grant import Grant
from countersign.domain.grant_facts import GrantOpened
from countersign.domain.ids import GRANT
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import NotEligible, ReviewOutstanding
from countersign.domain.request import Request, RequestEvent
from countersign.service.endings import decide_request
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.store import Tx


def open_grant(
    office: Office,
    tx: Tx,
    request: Request,
    *,
    entitlement: Entitlement,
    rules: Rules,
    approvers: tuple[str, ...],
    actor: str,
) -> tuple[Request, Grant]:
    """Approve a request and open its grant.

    Raises:
        WrongState, Conflict: somebody decided before.
        ReviewOutstanding: an emergency while an earlier one of this person is not reviewed.
    """
    approved = decide_request(tx, request, RequestEvent.APPROVE, actor=actor)
    if request.emergency is not None:
        refuse_while_owed(tx, request.person, request.emergency, entitlement)
    grant = Grant(
        id=office.new_id(GRANT),
        request_id=request.id,
        request_digest=request.digest,
        person=request.person,
        entitlement=entitlement.id,
        target=entitlement.target.id,
        duration=request.duration,
        draws=entitlement.draws,
        opened_at=tx.now,
        draw_by=tx.now + entitlement.draw_ttl,
    )
    tx.add_grant(grant)
    tx.record(
        GrantOpened(
            actor=actor,
            subject=grant.id,
            request=request.id,
            digest=request.digest,
            rule=request.rule_digest,
            person=request.person,
            approvers=approvers,
            draws=grant.draws,
            duration_s=int(grant.duration.total_seconds()),
            draw_by=grant.draw_by,
        )
    )
    if request.emergency is not None:
        _owe_review(tx, grant, request.emergency, entitlement, rules, approvers=approvers, actor=actor)
    return approved, grant


def refuse_while_owed(tx: Tx, person: str, emergency: Emergency, entitlement: Entitlement) -> None:
    """Refuse a further break-glass while one of this person is unreviewed, but for the same incident and within its cap.

    Raises:
        ReviewOutstanding: naming a grant that waits for its review.
    """
    most = entitlement.demand_break_glass().per_incident
    tx.serialise(f"person {person}")
    owed = tx.after_reviews(person=person, owed=True, limit=most + 1)
    another = next((each for each in owed if each.incident != emergency.incident), None)
    if another is None and len(owed) < most:
        return
    first = another or owed[0]
    raise ReviewOutstanding(
        f"the break-glass of {person} under {first.grant_id} for {first.incident} is not reviewed yet",
        rule=f"entitlement {entitlement.id}: break_glass.per_incident = {most}, and one incident at a time",
        hint="have it reviewed, or let somebody else on call ask",
    )


def demand_may_ask(principal: Principal, entitlement: Entitlement, rules: Rules) -> None:
    """Refuse who may not ask for an entitlement, with this account, as the rules stand.

    Raises:
        NotEligible: naming the rule.
    """
    rules.demand_account(principal, entitlement)
    if not entitlement.may_be_requested_by(principal.person, rules.directory_for(entitlement)):
        raise NotEligible(
            f"{principal.person} may not request {entitlement.id}",
            rule=f"entitlement {entitlement.id}: requesters",
            hint="ask a catalog author, if it should be otherwise",
        )
    refuse_author(principal.person, entitlement.id, rules)


def refuse_author(person: str, entitlement_id: str, rules: Rules) -> None:
    """Refuse whoever wrote or approved the rule in force: he neither asks nor signs under it.

    Raises:
        NotEligible: naming the rule.
    """
    if person in rules.authors_of(entitlement_id):
        raise NotEligible(
            f"{person} wrote or approved the rules of {entitlement_id} as they are in force, or let somebody in there",
            rule="nobody profits from a rule he made",
            hint="others may change the entitlement or let somebody in, and then it is theirs",
        )


def _owe_review(
    tx: Tx,
    grant: Grant,
    emergency: Emergency,
    entitlement: Entitlement,
    rules: Rules,
    *,
    approvers: tuple[str, ...],
    actor: str,
) -> None:
    owed = AfterReview(
        grant_id=grant.id,
        request_id=grant.request_id,
        person=grant.person,
        entitlement=entitlement.id,
        incident=emergency.incident,
        drill=emergency.drill,
        granters=approvers,
        opened_at=tx.now,
        due_at=tx.now + entitlement.demand_break_glass().after_review,
    )
    tx.add_after_review(owed)
    normal = {p for factor in entitlement.review for p in rules.directory.members(factor.group)}
    skipped = (normal & rules.directory.holders(Role.APPROVER)) - {grant.person, *approvers}
    tx.record(
        BreakGlassOpened(
            actor=actor,
            subject=grant.id,
            request=grant.request_id,
            person=grant.person,
            entitlement=entitlement.id,
            incident=emergency.incident,
            drill=emergency.drill,
            envelope=emergency.envelope,
            approvers=approvers,
            skipped=tuple(sorted(skipped)),
            review_due=owed.due_at,
        )
    )
