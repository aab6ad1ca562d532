"""The judgement that stands between an approval and a credential, made afresh from the record each time.

It believes no column that another part computed: the digest is computed from the request's own words, the reviews are counted
against the rule and the directory in force, and the rule must be the one that was pinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from countersign.domain.entitlement import Entitlement
from countersign.domain.refusals import ApprovalVoid, NotEligible
from countersign.domain.request import Request, RequestState
from countersign.domain.review import Decision, Quorum, Review, count_quorum
from countersign.service.rules import Rules
from countersign.store import Tx


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An approval that holds now: the pinned entitlement and who signed."""

    entitlement: Entitlement
    approvers: tuple[str, ...]


def standing_of(
    request: Request, reviews: Sequence[Review], *, entitlement: Entitlement, rules: Rules
) -> tuple[Quorum, tuple[str, ...]]:
    """Return how far the rule is filled by approvals of the exact digest, and the persons who gave them.

    Who wrote the rule in force does not count under it.
    """
    digest = request.digest
    approvers = tuple(sorted({r.person for r in reviews if r.decision is Decision.APPROVE and r.digest == digest}))
    signers = rules.directory.without(rules.authors_of(entitlement.id))
    quorum = count_quorum(entitlement.review, approvers=approvers, requester=request.person, directory=signers)
    return quorum, approvers


def judge_for_draw(tx: Tx, request: Request, *, granted_digest: str, rules: Rules) -> Judged:
    """Judge an approved request again, as if nobody had before.

    Raises:
        RuleChanged: the entitlement is not the one that was approved.
        NotEligible: the requester may no longer ask for it.
        ApprovalVoid: the approvals no longer suffice, one is a denial, or the record does not add up.
    """
    entitlement = rules.pinned(request.entitlement, request.rule_digest)
    asker = rules.directory.without(rules.authors_of(entitlement.id))
    if not entitlement.may_be_requested_by(request.person, asker):
        raise NotEligible(
            f"{request.person} may no longer request {entitlement.id}", rule=f"entitlement {entitlement.id}: requesters"
        )
    if request.state is not RequestState.APPROVED or not (
        request.digest == granted_digest == tx.stored_digest(request.id)
    ):
        raise ApprovalVoid(
            f"the record of {request.id} does not add up",
            rule="what was approved is what is issued",
            hint="tell security",
        )
    reviews = tx.reviews(request.id)
    if any(review.decision is Decision.DENY for review in reviews):
        raise ApprovalVoid(f"{request.id} was denied by one reviewer", rule="one deny ends it")
    quorum, approvers = standing_of(request, reviews, entitlement=entitlement, rules=rules)
    if not quorum.reached:
        wanting = ", ".join(f"{f.group} {f.have} of {f.count}" for f in quorum.factors if f.have < f.count)
        raise ApprovalVoid(
            f"the approvals of {request.id} no longer satisfy the rule: {wanting or 'the rule names nobody'}",
            rule=f"entitlement {entitlement.id}: review",
            hint="submit the request again",
        )
    return Judged(entitlement=entitlement, approvers=approvers)
