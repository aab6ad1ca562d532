"""The judgement that stands between an approval and a credential, made afresh from the record each time.

It believes no column that another part computed: the digest is computed from the request's own words, the reviews are counted
against the rule and the directory in force, and the rule must be the one that was pinned.
"""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.entitlement import Entitlement
from countersign.domain.envelope import FEWEST_SIGNERS, Envelope
from countersign.domain.people import Role
from countersign.domain.refusals import ApprovalVoid, NotEligible
from countersign.domain.request import Request, RequestState
from countersign.domain.review import Decision, Quorum, count_quorum, eligible_for
from countersign.service.rules import Rules
from countersign.store import Tx


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An approval that holds now: the pinned entitlement and who signed."""

    entitlement: Entitlement
    approvers: tuple[str, ...]


def standing_of(tx: Tx, request: Request, *, entitlement: Entitlement, rules: Rules) -> tuple[Quorum, tuple[str, ...]]:
    """Return how far the rule is filled by approvals of the exact digest, and the persons who gave them.

    Where the request opened an envelope, those are the signatures of the envelope's digest. Who wrote the rule in force does
    not count under it.
    """
    if request.emergency is not None and request.emergency.envelope is not None:
        envelope = tx.envelope(request.emergency.envelope)
        approvers = () if envelope is None else signers_of(tx, envelope)
    else:
        digest = request.digest
        words = tx.reviews(request.id)
        approvers = tuple(sorted({r.person for r in words if r.decision is Decision.APPROVE and r.digest == digest}))
    signers = rules.signers(entitlement, behind=request.behind)
    rule = entitlement.rule_for(request.emergency)
    return count_quorum(rule, approvers=approvers, requester=request.person, directory=signers), approvers


def signers_of(tx: Tx, envelope: Envelope) -> tuple[str, ...]:
    """Return who signed exactly this envelope."""
    digest = envelope.digest
    return tuple(sorted({each.person for each in tx.signatures(envelope.id) if each.digest == digest}))


def still_sign(signers: tuple[str, ...], *, requester: str, entitlement: Entitlement, rules: Rules) -> frozenset[str]:
    """Return those who signed an envelope and still might, for this requester."""
    directory = rules.signers(entitlement)
    return frozenset(
        each
        for each in signers
        if eligible_for(entitlement.review, person=each, requester=requester, directory=directory)
    )


def judge_envelope(tx: Tx, request: Request, *, envelope_id: str, entitlement: Entitlement, rules: Rules) -> None:
    """Judge the envelope that a request opened, as if nobody had before.

    Raises:
        NotEligible: the requester is not on call, signed the envelope or wrote it.
        ApprovalVoid: it is revoked, was opened too often or too long or outside its days, is that of another rule, or fewer
            than two of its signers may still sign.
    """
    envelope = tx.envelope(envelope_id)
    if Role.ON_CALL not in rules.directory_for(entitlement).roles_of(request.person):
        raise NotEligible(f"{request.person} is not on call", rule="whoever is on call opens an envelope")
    signers = () if envelope is None else signers_of(tx, envelope)
    if envelope is None or not envelope.holds_at(request.submitted_at) or request.duration > envelope.max_duration:
        raise ApprovalVoid(f"{request.id} is not covered by its envelope", rule="what was signed is what is issued")
    if request.person == envelope.proposed_by or request.person in signers:
        raise NotEligible(
            f"{request.person} signed or wrote {envelope.id}", rule="who signed or wrote an envelope does not open it"
        )
    if envelope.revoked_at is not None:
        raise ApprovalVoid(f"{envelope.id} was revoked by {envelope.revoked_by}", rule="a revoked envelope is void")
    if envelope.entitlement != entitlement.id or envelope.rule_digest != entitlement.rule_digest:
        raise ApprovalVoid(f"{envelope.id} was signed under another rule", rule="a changed rule voids its envelopes")
    if tx.times_opened(envelope.id) > envelope.uses:
        raise ApprovalVoid(f"{envelope.id} was opened more than {envelope.uses} times", rule=f"uses = {envelope.uses}")
    able = still_sign(signers, requester=request.person, entitlement=entitlement, rules=rules)
    if len(able) < FEWEST_SIGNERS:
        raise ApprovalVoid(
            f"{len(able)} of those who signed {envelope.id} may still sign",
            rule=f"an envelope takes the entitlement's review and at least {FEWEST_SIGNERS} people",
            hint="have others sign a new one",
        )


def judge_for_draw(tx: Tx, request: Request, *, granted_digest: str, rules: Rules) -> Judged:
    """Judge an approved request again, as if nobody had before.

    Raises:
        RuleChanged: the entitlement is not the one that was approved.
        NotEligible: the requester may no longer ask for it.
        ApprovalVoid: the approvals no longer suffice, one is a denial, or the record does not add up.
    """
    entitlement = rules.pinned(request.entitlement, request.rule_digest)
    asker = rules.signers(entitlement)
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
    emergency = request.emergency
    if emergency is not None and emergency.envelope is not None:
        judge_envelope(tx, request, envelope_id=emergency.envelope, entitlement=entitlement, rules=rules)
    quorum, approvers = standing_of(tx, request, entitlement=entitlement, rules=rules)
    if not quorum.reached:
        wanting = ", ".join(f"{f.group} {f.have} of {f.count}" for f in quorum.factors if f.have < f.count)
        raise ApprovalVoid(
            f"the approvals of {request.id} no longer satisfy the rule: {wanting or 'the rule names nobody'}",
            rule=f"entitlement {entitlement.id}: review",
            hint="submit the request again",
        )
    return Judged(entitlement=entitlement, approvers=approvers)
