"""The half that faces people: asking, signing, withdrawing. It holds no provider rights and makes no credential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from countersign.domain.emergency import Emergency
from countersign.domain.entitlement import Entitlement
from countersign.domain.facts import RequestSubmitted, ReviewRecorded
from countersign.domain.ids import GRANT, LEASE, RANDOM_BYTES, REQUEST, make_id
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import (
    AlreadyReviewed,
    Invalid,
    Limit,
    NobodyCanApprove,
    NotEligible,
    NotFound,
    NotYours,
    SelfReview,
    WrongDigest,
)
from countersign.domain.request import Request, RequestEvent, RequestState
from countersign.domain.review import Decision, Review, could_be_reached, eligible_for
from countersign.providers.base import Order, Preview, Unfit
from countersign.service.endings import decide_request
from countersign.service.granting import open_grant, refuse_author, refuse_while_owed
from countersign.service.judgement import standing_of
from countersign.service.office import Office, refuse_if_stopped, remember, replayed
from countersign.service.rules import Rules
from countersign.service.sight import may_see
from countersign.store import Tx

DAY = timedelta(days=1)
Previewer = Callable[[Order], Preview]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a requester says."""

    entitlement: str
    parameters: Mapping[str, object]
    duration_s: int
    reason: str
    ticket: str | None = None
    emergency: Emergency | None = None

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON, to know a repeated call again."""
        return {
            "entitlement": self.entitlement,
            "parameters": {name: str(value) for name, value in self.parameters.items()},
            "duration_s": self.duration_s,
            "reason": self.reason,
            "ticket": self.ticket,
            "emergency": None if self.emergency is None else self.emergency.document(),
        }


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Use cases of requesters and approvers.

    Attributes:
        previews: by provider name, what an order would give; pure, without provider rights.
    """

    office: Office
    previews: Mapping[str, Previewer]

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
            entitlement = rules.entitlement(ask.entitlement)
            refuse_if_stopped(tx, person=principal.person, entitlement=entitlement.id, provider=entitlement.provider)
            if not entitlement.may_be_requested_by(principal.person, rules.directory):
                raise NotEligible(
                    f"{principal.person} may not request {entitlement.id}",
                    rule=f"entitlement {entitlement.id}: requesters",
                )
            refuse_author(principal.person, entitlement.id, rules)
            request = self.draft(tx, principal, entitlement, ask)
            self.preview(request, entitlement)
            signers = rules.directory.without(rules.authors_of(entitlement.id))
            if not could_be_reached(entitlement.rule_for(ask.emergency), requester=principal.person, directory=signers):
                raise NobodyCanApprove(
                    f"no set of persons other than {principal.person} can approve {entitlement.id} today",
                    rule=f"entitlement {entitlement.id}: review",
                    hint="ask the entitlement's owner to mend the groups",
                )
            self.refuse_beyond_caps(tx, request, entitlement)
            if ask.emergency is not None:
                refuse_while_owed(tx, principal.person, ask.emergency, entitlement)
            tx.add_request(request, target=entitlement.target.id)
            remember(tx, principal, key, call="request", body=ask.body(), result=request.id)
            tx.record(
                RequestSubmitted(
                    actor=principal.person,
                    subject=request.id,
                    principal=principal.id,
                    digest=request.digest,
                    statement=request.statement(),
                    lapses_at=request.lapses_at,
                    reason=request.reason,
                    ticket=request.ticket,
                )
            )
        return request

    def review(
        self, principal: Principal, request_id: str, *, decision: Decision, digest: str, comment: str | None = None
    ) -> Request:
        """Record one person's word on exactly the digest that was shown.

        Raises:
            Refused: self-review, not-eligible, wrong-digest, already-reviewed, wrong-state, window-over, rule-changed.
        """
        with self.office.attempt(principal, act=decision.value, subject=request_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            request = self._seen(tx, principal, rules, request_id, lock=True)
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
            review = Review(
                request_id=request.id,
                person=principal.person,
                principal=principal.id,
                decision=decision,
                digest=digest,
                at=tx.now,
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
                )
            )
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

    def withdraw(self, principal: Principal, request_id: str) -> Request:
        """Take a pending request back.

        Raises:
            NotYours, NotFound, WrongState: as the request stands to the principal.
        """
        with self.office.attempt(principal, act="withdraw", subject=request_id), self.office.store.begin() as tx:
            request = self._seen(tx, principal, self.office.rules.current(tx), request_id, lock=True)
            if request.person != principal.person:
                raise NotYours(f"{request.id} was made by someone else", rule="only the requester withdraws")
            return decide_request(tx, request, RequestEvent.WITHDRAW, actor=principal.person)

    def draft(self, tx: Tx, principal: Principal, entitlement: Entitlement, ask: Ask) -> Request:
        """Return what was asked, judged against the entitlement.

        Raises:
            Invalid: naming the field.
        """
        return Request(
            id=self.office.new_id(REQUEST),
            person=principal.person,
            principal=principal.id,
            entitlement=entitlement.id,
            rule_digest=entitlement.rule_digest,
            parameters=entitlement.judge_parameters(ask.parameters),
            duration=entitlement.judge_duration(ask.duration_s, emergency=ask.emergency),
            reason=self.office.seal(ask.reason, field="reason"),
            ticket=None if ask.ticket is None else self.office.seal(ask.ticket, field="ticket"),
            submitted_at=tx.now,
            lapses_at=tx.now + entitlement.review_ttl,
            emergency=ask.emergency,
        )

    def preview(self, request: Request, entitlement: Entitlement) -> Preview:
        """Return what a request would give, in words and exact privileges.

        Raises:
            Invalid: the provider would not serve it.
        """
        order = Order(
            lease_id=make_id(LEASE, bytes(RANDOM_BYTES)),
            grant_id=make_id(GRANT, bytes(RANDOM_BYTES)),
            request_id=request.id,
            person=request.person,
            entitlement=entitlement.id,
            target=entitlement.document()["target"],
            grants=entitlement.grants,
            parameters=request.parameters,
            now=request.submitted_at,
            not_after=request.submitted_at + request.duration,
            backstop_at=request.submitted_at + request.duration + entitlement.backstop,
            delivery=entitlement.delivery,
        )
        try:
            return self.previews[entitlement.provider](order)
        except KeyError as missing:
            raise Invalid(
                f"the provider {entitlement.provider} is not configured here", field="entitlement"
            ) from missing
        except Unfit as unfit:
            raise Invalid(str(unfit), field=unfit.field or "entitlement") from unfit

    def refuse_beyond_caps(self, tx: Tx, request: Request, entitlement: Entitlement) -> None:
        """Refuse what is more than one person, or all together, may hold.

        Raises:
            Limit: naming the cap.
        """
        caps, person, target = entitlement.caps, request.person, entitlement.target.id
        tx.serialise(f"person {person}")
        pending = tx.requests(person=person, state=RequestState.PENDING, limit=caps.pending_per_person)
        if len(pending) >= caps.pending_per_person:
            raise Limit(
                f"{person} has {len(pending)} requests waiting for review",
                rule=f"entitlement {entitlement.id}: caps.pending_per_person = {caps.pending_per_person}",
                hint="withdraw one, or wait for a review",
            )
        if tx.count_open_grants(person=person, entitlement=entitlement.id) >= caps.open_per_person:
            raise Limit(
                f"{person} holds the most open grants of {entitlement.id} that one person may",
                rule=f"entitlement {entitlement.id}: caps.open_per_person = {caps.open_per_person}",
                hint="return one first",
            )
        if tx.count_open_grants(target=target) >= caps.open_per_target:
            raise Limit(
                f"{target} has the most open grants it may have",
                rule=f"entitlement {entitlement.id}: caps.open_per_target = {caps.open_per_target}",
                hint="wait until one ends",
            )
        asked = int(request.duration.total_seconds())
        if tx.granted_seconds(person=person, target=target, since=tx.now - DAY) + asked > caps.seconds_per_person_day:
            raise Limit(
                f"{person} would have more time on {target} within a day than one person may",
                rule=f"entitlement {entitlement.id}: caps.seconds_per_person_day = {caps.seconds_per_person_day}",
                hint="ask for less, or tomorrow",
            )

    def _seen(self, tx: Tx, principal: Principal, rules: Rules, request_id: str, *, lock: bool) -> Request:
        request = tx.request(request_id, lock=lock)
        if request is None or not may_see(
            tx, principal, rules, request_id=request.id, owner=request.person, entitlement=request.entitlement
        ):
            raise NotFound(f"there is no request {request_id[:20]!r} for you")
        return request

    def _demand_reviewer(
        self, principal: Principal, request: Request, entitlement: Entitlement, rules: Rules
    ) -> frozenset[str]:
        if principal.person == request.person:
            raise SelfReview(
                "nobody reviews his own request, by whatever account",
                rule="a different person signs",
                hint="who may: see review in GET /v1/requests/" + request.id,
            )
        if not principal.human:
            raise NotEligible(f"{principal.id} is not a human principal", rule="only people sign")
        refuse_author(principal.person, entitlement.id, rules)
        rule = entitlement.rule_for(request.emergency)
        groups = eligible_for(rule, person=principal.person, requester=request.person, directory=rules.directory)
        if not groups:
            names = ", ".join(f.group for f in rule)
            raise NotEligible(
                f"{principal.person} is no approver of {entitlement.id}",
                rule=f"entitlement {entitlement.id}: review by {names}",
                hint="no role stands in for an approver",
            )
        return groups
