"""Approval in advance: outside production, a rule that two people countersigned may approve what it lets people ask for.

Those two are the approvers of record. They are judged when the request is made and again at the draw, and whatever is not
certain about them leaves the request to its reviewers.
"""

from __future__ import annotations

from countersign.domain.automatic import AutomaticApproval
from countersign.domain.automatic_facts import RequestApprovedAutomatically
from countersign.domain.entitlement import Entitlement
from countersign.domain.facts import BROKER
from countersign.domain.people import Role
from countersign.domain.refusals import ApprovalVoid
from countersign.domain.request import Request
from countersign.service.granting import open_grant
from countersign.service.office import Office, refuse_if_stopped
from countersign.service.rules import Rules
from countersign.store import Tx

ACTOR = f"{BROKER}/automatic"
RULE = "two authors, neither of whom benefits, countersigned the rule"


def authors_of_record(
    entitlement: Entitlement, rules: Rules, *, person: str, behind: frozenset[str] = frozenset()
) -> tuple[str, str] | None:
    """Return the two whose approval a rule is, for what a person asks; None where it approves nothing.

    That is where the rule stood from the start, or where one of the two is an author no more, is no human, asks or is behind it.
    """
    authors = rules.authors.get(entitlement.id, frozenset())
    able = (authors & rules.directory.holders(Role.CATALOG_AUTHOR)) - rules.directory.machines_only - {person} - behind
    if not entitlement.approves_itself or authors != able or len(authors) != 2:  # noqa: PLR2004 - two people countersign
        return None
    one, other = sorted(authors)
    return one, other


def approve_by_rule(
    office: Office, tx: Tx, request: Request, *, entitlement: Entitlement, rules: Rules, authors: tuple[str, str]
) -> Request:
    """Approve a request in the name of those who countersigned its rule, and open its grant.

    Raises:
        Stopped: one of the two is stopped.
    """
    for author in authors:
        refuse_if_stopped(tx, person=author, entitlement=entitlement.id, provider=entitlement.provider)
    approval = AutomaticApproval(
        request_id=request.id,
        digest=request.digest,
        rule=entitlement.rule_digest,
        requester=request.person,
        approvers=authors,
        at=tx.now,
    )
    tx.add_automatic_approval(approval)
    tx.record(
        RequestApprovedAutomatically(
            actor=ACTOR, subject=request.id, digest=request.digest, rule=entitlement.rule_digest, approvers=authors
        )
    )
    approved, _ = open_grant(office, tx, request, entitlement=entitlement, rules=rules, approvers=authors, actor=ACTOR)
    return approved


def judge_automatic(
    tx: Tx, approval: AutomaticApproval, request: Request, *, entitlement: Entitlement, rules: Rules
) -> tuple[str, str]:
    """Judge an approval in advance as if nobody had before, and return who gave it.

    Raises:
        ApprovalVoid: the rule approves nothing, or not in the name of these two, or people reviewed the request besides.
    """
    authors = authors_of_record(entitlement, rules, person=request.person, behind=request.behind)
    same = (approval.digest, approval.rule, approval.requester) == (request.digest, request.rule_digest, request.person)
    if authors is None or authors != approval.approvers or not same or request.emergency or tx.reviews(request.id):
        raise ApprovalVoid(
            f"the rule that approved {request.id} no longer approves it in the name of {' and '.join(approval.approvers)}",
            rule=f"entitlement {entitlement.id}: automatic, where {RULE}",
            hint="submit the request again",
        )
    return authors
