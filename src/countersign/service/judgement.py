"""The judgement that stands between an approval and a credential, made afresh from the record each time.

It believes no column that another part computed: the digest is computed from the request's own words, the reviews are counted
against the rule and the directory in force, and the rule must be the one that was pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from countersign.domain.entitlement import Entitlement, Factor
from countersign.domain.envelope import FEWEST_SIGNERS, Envelope, Signature
from countersign.domain.grant import Grant
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import ApprovalVoid, NobodyCanApprove, NotEligible
from countersign.domain.request import Request, RequestState
from countersign.domain.review import Decision, Hindrance, Quorum, Review, could_be_reached, count_quorum, hindrance_to
from countersign.service.automatic import judge_automatic
from countersign.service.granting import demand_may_ask
from countersign.service.rules import Rules
from countersign.service.signatures import fault_of, is_required
from countersign.store import Tx


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An approval that holds now: the pinned entitlement and who signed."""

    entitlement: Entitlement
    approvers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One person's word on a request, or on the envelope that it opened, and why it counts for nothing now, if it does."""

    person: str
    principal: str
    decision: Decision
    hindrance: Hindrance | None

    @property
    def counts(self) -> bool:
        """Say whether it is an approval that counts."""
        return self.decision is Decision.APPROVE and self.hindrance is None


def words_on(tx: Tx, request: Request, *, entitlement: Entitlement, rules: Rules) -> tuple[Word, ...]:
    """Return every word on a request, weighed as people, accounts and rules stand now.

    Where the request opened an envelope, the signatures of the envelope's digest are the words.
    """
    if request.emergency is not None and request.emergency.envelope is not None:
        envelope = tx.envelope(request.emergency.envelope)
        return () if envelope is None else words_on_envelope(tx, envelope, request.person, entitlement, rules)
    return weighed(tx.reviews(request.id), request, entitlement=entitlement, rules=rules)


def weighed(reviews: Iterable[Review], request: Request, *, entitlement: Entitlement, rules: Rules) -> tuple[Word, ...]:
    """Return the reviews of a request as words, weighed as people, accounts and rules stand now."""
    scale = scale_of(request, entitlement=entitlement, rules=rules)
    return tuple(scale.weigh(each, each.decision) for each in reviews)


def scale_of(request: Request, *, entitlement: Entitlement, rules: Rules) -> Scale:
    """Return what words on a request are weighed against."""
    return Scale(
        digest=request.digest,
        rule=entitlement.rule_for(request.emergency),
        requester=request.person,
        behind=request.behind,
        entitlement=entitlement,
        rules=rules,
    )


def words_on_envelope(
    tx: Tx, envelope: Envelope, requester: str, entitlement: Entitlement, rules: Rules
) -> tuple[Word, ...]:
    """Return every signature of an envelope as an approval for a requester, weighed as things stand now."""
    scale = Scale(
        digest=envelope.digest, rule=entitlement.review, requester=requester, entitlement=entitlement, rules=rules
    )
    return tuple(scale.weigh(each, Decision.APPROVE) for each in tx.signatures(envelope.id))


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """What words are weighed against: the digest, the rule and the people, as they stand now."""

    digest: str
    rule: Sequence[Factor]
    requester: str
    entitlement: Entitlement
    rules: Rules
    behind: frozenset[str] = frozenset()

    def weigh(self, said: Review | Signature, decision: Decision) -> Word:
        """Return a word with what it is worth."""
        return Word(person=said.person, principal=said.principal, decision=decision, hindrance=self._hindrance(said))

    def _hindrance(self, said: Review | Signature) -> Hindrance | None:
        """Judge by the account that spoke: whose it is *now* decides whose word it is."""
        account = self.rules.directory.principals.get(said.principal)
        if said.digest != self.digest:
            return Hindrance.OTHER_DIGEST
        if account is not None and account.person == self.requester:
            return Hindrance.OWN_REQUEST
        if account is None or account.person != said.person:
            return Hindrance.UNRESOLVED
        if not account.human:
            return Hindrance.MACHINE
        if not self.rules.believes(account, self.entitlement):
            return Hindrance.OTHER_ENVIRONMENT
        hindrance = self.hindrance_of(said.person)
        if hindrance is None and is_required(self.entitlement) and fault_of(said, self.rules) is not None:
            return Hindrance.UNSIGNED
        return hindrance

    def hindrance_of(self, person: str) -> Hindrance | None:
        """Say why a person's word would not count, whatever his account."""
        if person in self.behind:
            return Hindrance.BEHIND
        if person in self.rules.authors_of(self.entitlement.id):
            return Hindrance.AUTHOR
        people = self.rules.directory_for(self.entitlement)
        if self.rules.directory.is_active(person) and not people.is_active(person):
            return Hindrance.OTHER_ENVIRONMENT
        return hindrance_to(self.rule, person=person, requester=self.requester, directory=people)


def standing_of(tx: Tx, request: Request, *, entitlement: Entitlement, rules: Rules) -> tuple[Quorum, tuple[str, ...]]:
    """Return how far the rule is filled by the words that count, and all persons who approved the exact digest.

    Where the entitlement asks for signatures, who gave none that verifies now approved nothing.
    """
    return filled_by(words_on(tx, request, entitlement=entitlement, rules=rules), request, entitlement, rules)


def filled_by(
    words: Sequence[Word], request: Request, entitlement: Entitlement, rules: Rules
) -> tuple[Quorum, tuple[str, ...]]:
    """Return how far words fill the rule of a request, and all persons who approved the exact digest; see `standing_of`."""
    approvers = {
        word.person
        for word in words
        if word.decision is Decision.APPROVE and word.hindrance not in {Hindrance.OTHER_DIGEST, Hindrance.UNSIGNED}
    }
    quorum = count_quorum(
        entitlement.rule_for(request.emergency),
        approvers=[word.person for word in words if word.counts],
        requester=request.person,
        directory=rules.signers(entitlement, behind=request.behind),
    )
    return quorum, tuple(sorted(approvers))


def signers_of(tx: Tx, envelope: Envelope) -> tuple[str, ...]:
    """Return who signed exactly this envelope."""
    digest = envelope.digest
    return tuple(sorted({each.person for each in tx.signatures(envelope.id) if each.digest == digest}))


def still_sign(tx: Tx, envelope: Envelope, *, requester: str, entitlement: Entitlement, rules: Rules) -> frozenset[str]:
    """Return those who signed an envelope and whose signature counts now, for this requester."""
    return frozenset(
        word.person for word in words_on_envelope(tx, envelope, requester, entitlement, rules) if word.counts
    )


def demand_reachable(
    person: str, *, entitlement: Entitlement, rule: Sequence[Factor], rules: Rules, behind: Iterable[str] = ()
) -> None:
    """Refuse what no set of other persons could approve today.

    Raises:
        NobodyCanApprove: naming the rule.
    """
    if not could_be_reached(rule, requester=person, directory=rules.candidates(entitlement, behind=behind)):
        raise NobodyCanApprove(
            f"no set of persons other than {person} can approve {entitlement.id} today",
            rule=f"entitlement {entitlement.id}: review",
            hint="ask the entitlement's owner to mend the groups",
        )


def demand_requester(request: Request, rules: Rules) -> Principal:
    """Return the account that asked, which must lead to the same person still.

    Raises:
        NotEligible: it is gone, or somebody else's.
    """
    account = rules.directory.principals.get(request.principal)
    if account is None or account.person != request.person:
        raise NotEligible(
            f"{request.principal} no longer leads to {request.person}",
            rule="what cannot be resolved to a person is part of no approval",
            hint="ask again, with an account of yours",
        )
    return account


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
    able = still_sign(tx, envelope, requester=request.person, entitlement=entitlement, rules=rules)
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
    demand_may_ask(demand_requester(request, rules), entitlement, rules)
    if (
        request.state is not RequestState.APPROVED
        or not (request.digest == granted_digest == tx.stored_digest(request.id))
        or request.signed != is_required(entitlement)
    ):
        raise ApprovalVoid(
            f"the record of {request.id} does not add up",
            rule="what was approved is what is issued",
            hint="tell security",
        )
    reviews = tx.reviews(request.id)
    if any(review.decision is Decision.DENY for review in reviews):
        raise ApprovalVoid(f"{request.id} was denied by one reviewer", rule="one deny ends it")
    automatic = tx.automatic_approval(request.id)
    if automatic is not None:
        authors = judge_automatic(tx, automatic, request, entitlement=entitlement, rules=rules)
        return Judged(entitlement=entitlement, approvers=authors)
    emergency = request.emergency
    if emergency is not None and emergency.envelope is not None:
        judge_envelope(tx, request, envelope_id=emergency.envelope, entitlement=entitlement, rules=rules)
        words = words_on(tx, request, entitlement=entitlement, rules=rules)
    else:
        words = weighed(reviews, request, entitlement=entitlement, rules=rules)
    quorum, approvers = filled_by(words, request, entitlement, rules)
    if not quorum.reached:
        wanting = ", ".join(f"{f.group} {f.have} of {f.count}" for f in quorum.factors if f.have < f.count)
        wanting += _unsigned(tx, request, entitlement, rules)
        raise ApprovalVoid(
            f"the approvals of {request.id} no longer satisfy the rule: {wanting or 'the rule names nobody'}",
            rule=f"entitlement {entitlement.id}: review",
            hint="submit the request again",
        )
    return Judged(entitlement=entitlement, approvers=approvers)


def demand_as_approved(grant: Grant, request: Request, entitlement: Entitlement) -> None:
    """Demand that a grant gives what was approved and no more: a grant is a row that somebody may have widened.

    Raises:
        ApprovalVoid: it gives something else.
    """
    given = (grant.person, grant.entitlement, grant.duration, grant.draws, grant.draw_by - grant.opened_at)
    approved = (request.person, entitlement.id, request.duration, entitlement.draws, entitlement.draw_ttl)
    if given != approved:
        raise ApprovalVoid(
            f"{grant.id} gives something else than {request.id} asked for",
            rule="what was approved is what is issued",
            hint="tell security",
        )


def _unsigned(tx: Tx, request: Request, entitlement: Entitlement, rules: Rules) -> str:
    """Say which approvals do not count for want of a signature, and why."""
    if not is_required(entitlement):
        return ""
    approvals = [each for each in tx.reviews(request.id) if each.decision is Decision.APPROVE]
    faults = [(each.person, fault_of(each, rules)) for each in approvals]
    return "".join(f"; the approval of {person} does not count: {fault}" for person, fault in faults if fault)
