"""The half that faces people: asking, signing, withdrawing. It holds no provider rights and makes no credential."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.counter import Less, judge_counter
from countersign.domain.counter_facts import CounterProposed
from countersign.domain.entitlement import Entitlement
from countersign.domain.passkey import Assertion, review_challenge
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import (
    AlreadyReviewed,
    Invalid,
    NotEligible,
    NotYours,
    SelfReview,
    WrongDigest,
    WrongState,
)
from countersign.domain.request import Request, RequestEvent
from countersign.domain.request_facts import ReviewRecorded
from countersign.domain.review import Decision, Review, eligible_for
from countersign.service.automatic import approve_by_rule, authors_of_record
from countersign.service.endings import decide_request
from countersign.service.granting import open_grant, refuse_author
from countersign.service.judgement import demand_reachable, standing_of
from countersign.service.office import Office, refuse_if_stopped, remember, replayed
from countersign.service.rules import Rules
from countersign.service.sight import visible_request
from countersign.service.signatures import demand_signature, is_required, take_signature
from countersign.service.submission import Ask, Submissions
from countersign.store import Tx


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Use cases of requesters and approvers."""

    office: Office
    submissions: Submissions

    def submit(self, principal: Principal, ask: Ask, *, key: str | None = None) -> Request:
        """Make a request.

        Raises:
            Refused: with the code of the rule that refuses, or `invalid` naming the field.
        """
        with self.office.attempt(principal, act="request", subject=ask.entitlement), self.office.store.begin() as tx:
            before = replayed(tx, principal, key, call="request", body=ask.body())
            if before is not None and (known := tx.request(before)) is not None:
                return known
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.REQUESTER)
            request = self._submitted(tx, principal, ask, entitlement=rules.entitlement(ask.entitlement), rules=rules)
            remember(tx, principal, key, call="request", body=ask.body(), result=request.id)
        return request

    def resubmit(self, principal: Principal, request_id: str, *, key: str | None = None) -> Request:
        """Take up the counter-proposal with which a request was denied, as a request of its own that says so.

        Raises:
            NotYours: made by someone else.
            WrongState: no counter-proposal stands, or it was taken up before.
            RuleChanged: the entitlement is another than the one that was asked for.
            Refused: whatever refuses a request.
        """
        with self.office.attempt(principal, act="resubmit", subject=request_id), self.office.store.begin() as tx:
            before = replayed(tx, principal, key, call="resubmit", body=request_id)
            if before is not None and (known := tx.request(before)) is not None:
                return known
            rules = self.office.rules.current(tx)
            denied = visible_request(tx, principal, rules, request_id, lock=True)
            if denied.person != principal.person:
                raise NotYours(f"{denied.id} was made by someone else", rule="only the requester takes a counter up")
            rules.directory.demand(principal, Role.REQUESTER)
            counter = tx.counter(denied.id)
            if counter is None:
                raise WrongState(f"{denied.id} was not denied with a counter-proposal", hint="ask anew")
            if (taken := tx.taken_up_by(denied.id)) is not None:
                raise WrongState(f"{taken} took it up already", hint=f"countersign show {taken}")
            ask = Ask(
                entitlement=denied.entitlement,
                parameters=counter.parameters,
                duration_s=int(counter.duration.total_seconds()),
                reason=denied.reason.text,
                ticket=None if denied.ticket is None else denied.ticket.text,
                emergency=denied.emergency,
                counters=denied.id,
            )
            entitlement = rules.pinned(denied.entitlement, denied.rule_digest)
            request = self._submitted(tx, principal, ask, entitlement=entitlement, rules=rules)
            remember(tx, principal, key, call="resubmit", body=request_id, result=request.id)
        return request

    def review(
        self,
        principal: Principal,
        request_id: str,
        *,
        decision: Decision,
        digest: str,
        comment: str | None = None,
        less: Less | None = None,
        signature: Assertion | None = None,
    ) -> Request:
        """Record one person's word on exactly the digest that was shown; with a denial, what less he would see asked.

        Raises:
            Refused: self-review, not-eligible, wrong-digest, already-reviewed, wrong-state, window-over, rule-changed;
                signature-required, bad-signature or cloned-authenticator.
            Invalid: the counter-proposal goes with an approval, or is not less.
        """
        with self.office.attempt(principal, act=decision.value, subject=request_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            request = visible_request(tx, principal, rules, request_id, lock=True)
            entitlement = rules.pinned(request.entitlement, request.rule_digest)
            groups = self._demand_reviewer(principal, request, entitlement, rules)
            if digest != request.digest:
                raise WrongDigest(
                    f"that is not the digest of {request.id}", hint="read the request again and review what it says now"
                )
            reviews = tx.reviews(request.id)
            if any(review.person == principal.person for review in reviews):
                raise AlreadyReviewed(f"{principal.person} has reviewed {request.id}", rule="one review per person")
            request.demand_reviewable(tx.now)
            if decision is Decision.APPROVE:
                for person in (request.person, principal.person):
                    refuse_if_stopped(tx, person=person, entitlement=entitlement.id, provider=entitlement.provider)
            if decision is Decision.APPROVE and is_required(entitlement):
                demand_signature(signature, rule=f"entitlement {entitlement.id}: signature = required")
            if signature is not None:
                challenge = review_challenge(
                    request=request.id, digest=digest, decision=decision.value, approver=principal.person
                )
                take_signature(tx, rules, signature, person=principal.person, challenge=challenge)
            review = Review(
                request_id=request.id,
                person=principal.person,
                principal=principal.id,
                decision=decision,
                digest=digest,
                at=tx.now,
                signature=signature,
            )
            tx.add_review(review, requester=request.person)
            tx.record(
                ReviewRecorded(
                    actor=principal.person,
                    subject=request.id,
                    principal=principal.id,
                    decision=decision.value,
                    digest=digest,
                    groups=groups,
                    comment=None if comment is None else self.office.seal(comment, field="comment"),
                    signature=None if signature is None else signature.document(),
                )
            )
            if less is not None:
                self._counter(tx, principal, request, less, entitlement=entitlement, decision=decision)
            if decision is Decision.DENY:
                return decide_request(tx, request, RequestEvent.DENY, actor=principal.person)
            quorum, approvers = standing_of(tx, request, entitlement=entitlement, rules=rules)
            if not quorum.reached:
                return request
            approved, _ = open_grant(
                self.office,
                tx,
                request,
                entitlement=entitlement,
                rules=rules,
                approvers=approvers,
                actor=principal.person,
            )
            return approved

    def seen(self, principal: Principal, request_id: str) -> Request:
        """Return a request to those who may know of it.

        Raises:
            NotFound: none such, or the caller is a stranger to it.
        """
        with self.office.store.read() as tx:
            return visible_request(tx, principal, self.office.rules.current(tx), request_id)

    def withdraw(self, principal: Principal, request_id: str) -> Request:
        """Take a pending request back.

        Raises:
            NotYours, NotFound, WrongState: as the request stands to the principal.
        """
        with self.office.attempt(principal, act="withdraw", subject=request_id), self.office.store.begin() as tx:
            request = visible_request(tx, principal, self.office.rules.current(tx), request_id, lock=True)
            if request.person != principal.person:
                raise NotYours(f"{request.id} was made by someone else", rule="only the requester withdraws")
            return decide_request(tx, request, RequestEvent.WITHDRAW, actor=principal.person)

    def _submitted(self, tx: Tx, principal: Principal, ask: Ask, *, entitlement: Entitlement, rules: Rules) -> Request:
        """Make a request that waits for its reviews, if anybody could give them, unless its rule approves it."""
        request = self.submissions.make(tx, principal, ask, entitlement=entitlement, rules=rules)
        authors = authors_of_record(entitlement, rules, person=principal.person, behind=principal.behind)
        if authors is not None and ask.emergency is None:
            return approve_by_rule(self.office, tx, request, entitlement=entitlement, rules=rules, authors=authors)
        rule = entitlement.rule_for(ask.emergency)
        demand_reachable(principal.person, entitlement=entitlement, rule=rule, rules=rules, behind=principal.behind)
        return request

    def _counter(
        self,
        tx: Tx,
        principal: Principal,
        request: Request,
        less: Less,
        *,
        entitlement: Entitlement,
        decision: Decision,
    ) -> None:
        if decision is not Decision.DENY:
            raise Invalid(
                "a counter-proposal goes with a denial", field="counter", rule="what is approved is what is asked"
            )
        counter = judge_counter(entitlement, request, less=less, person=principal.person, at=tx.now)
        tx.add_counter(counter)
        tx.record(
            CounterProposed(
                actor=principal.person,
                subject=request.id,
                principal=principal.id,
                digest=request.digest,
                parameters=counter.parameters,
                duration_s=int(counter.duration.total_seconds()),
            )
        )

    def _demand_reviewer(
        self, principal: Principal, request: Request, entitlement: Entitlement, rules: Rules
    ) -> frozenset[str]:
        if principal.person == request.person:
            raise SelfReview(
                "nobody reviews his own request, by whatever account",
                rule="a different person signs",
                hint="who may: see review in GET /v1/requests/" + request.id,
            )
        if principal.person in request.behind:
            raise SelfReview(
                f"{principal.person} made the pipeline run that asks",
                rule="none of those behind a request signs it",
                hint="a different person signs",
            )
        if not principal.human:
            raise NotEligible(f"{principal.id} is not a human principal", rule="only people sign")
        rules.demand_account(principal, entitlement)
        entitlement.demand_second_factor(principal)
        refuse_author(principal.person, entitlement.id, rules)
        rule = entitlement.rule_for(request.emergency)
        people = rules.directory_for(entitlement)
        groups = eligible_for(rule, person=principal.person, requester=request.person, directory=people)
        if not groups:
            names = ", ".join(f.group for f in rule)
            raise NotEligible(
                f"{principal.person} is no approver of {entitlement.id}",
                rule=f"entitlement {entitlement.id}: review by {names}",
                hint="no role stands in for an approver",
            )
        return groups
