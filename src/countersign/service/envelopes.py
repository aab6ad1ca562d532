"""Envelopes: two people sign before the emergency what one on call may open in it, when nobody answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.domain.emergency import Emergency
from countersign.domain.emergency_facts import EnvelopeProposed, EnvelopeRevoked, EnvelopeSigned
from countersign.domain.entitlement import Entitlement
from countersign.domain.envelope import LONGEST_ENVELOPE, MOST_USES, Envelope, Signature
from countersign.domain.facts import BROKER
from countersign.domain.ids import ENVELOPE
from countersign.domain.passkey import Assertion, envelope_challenge
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import (
    AlreadyReviewed,
    ApprovalVoid,
    Invalid,
    Limit,
    NotEligible,
    SelfReview,
    WindowOver,
    WrongDigest,
    WrongState,
)
from countersign.domain.request import Request
from countersign.domain.review import eligible_for
from countersign.domain.timestamps import spell
from countersign.service.envelope_views import NOBODY, EnvelopeView, knows_envelope, seen_envelope, view_of
from countersign.service.granting import open_grant, refuse_author
from countersign.service.judgement import judge_envelope, signers_of, standing_of
from countersign.service.office import Office, remember, replayed
from countersign.service.rules import Rules
from countersign.service.signatures import demand_signature, is_required, take_signature
from countersign.service.submission import Ask, Submissions
from countersign.store import Tx


@dataclass(frozen=True, kw_only=True)
class Envelopes:
    """Use cases of those who sign in advance, and of who is on call."""

    office: Office
    submissions: Submissions

    def propose(
        self,
        principal: Principal,
        *,
        entitlement_id: str,
        not_before: datetime | None,
        valid_s: int,
        uses: int,
        max_duration_s: int,
    ) -> EnvelopeView:
        """Write an envelope; it is worth nothing until others signed it.

        Raises:
            NotEligible: not among those who may sign for the entitlement.
            Invalid: naming the field.
        """
        with self.office.attempt(principal, act="envelope", subject=entitlement_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            entitlement = rules.entitlement(entitlement_id)
            _demand_signer(principal, entitlement, rules)
            longest = int(entitlement.demand_break_glass().max_duration.total_seconds())
            begins = tx.now if not_before is None else not_before
            if not 1 <= valid_s <= LONGEST_ENVELOPE.total_seconds():
                raise Invalid(f"valid_s must lie between 1 and {LONGEST_ENVELOPE.days} days", field="valid_s")
            if not tx.now <= begins <= tx.now + LONGEST_ENVELOPE - timedelta(seconds=valid_s):
                raise Invalid(
                    f"not_before must lie ahead, and the end within {LONGEST_ENVELOPE.days} days", field="not_before"
                )
            if not 1 <= uses <= MOST_USES:
                raise Invalid(f"uses must lie between 1 and {MOST_USES}", field="uses")
            if not int(entitlement.min_duration.total_seconds()) <= max_duration_s <= longest:
                raise Invalid(
                    f"max_duration_s must lie between the entitlement's shortest and {longest}", field="max_duration_s"
                )
            envelope = Envelope(
                id=self.office.new_id(ENVELOPE),
                entitlement=entitlement.id,
                rule_digest=entitlement.rule_digest,
                not_before=begins,
                not_after=begins + timedelta(seconds=valid_s),
                uses=uses,
                max_duration=timedelta(seconds=max_duration_s),
                proposed_by=principal.person,
                proposed_at=tx.now,
            )
            tx.add_envelope(envelope)
            tx.record(
                EnvelopeProposed(
                    actor=principal.person,
                    subject=envelope.id,
                    principal=principal.id,
                    digest=envelope.digest,
                    statement=envelope.statement(),
                )
            )
            return view_of(tx, rules, envelope)

    def sign(
        self, principal: Principal, envelope_id: str, *, digest: str, assertion: Assertion | None = None
    ) -> EnvelopeView:
        """Sign exactly the envelope that was shown, with a passkey where the entitlement asks for one.

        Raises:
            NotEligible: not among those who may sign for the entitlement.
            SignatureRequired, SignatureRefused, ClonedAuthenticator: as the passkey's signature stands.
            WrongDigest, AlreadyReviewed, WrongState, WindowOver, RuleChanged, NotFound: as the envelope stands.
        """
        with self.office.attempt(principal, act="sign", subject=envelope_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            envelope = seen_envelope(tx, principal, rules, envelope_id)
            entitlement = rules.pinned(envelope.entitlement, envelope.rule_digest)
            groups = _demand_signer(principal, entitlement, rules)
            if digest != envelope.digest:
                raise WrongDigest(f"that is not the digest of {envelope.id}", hint="read what it says now")
            _demand_standing(envelope, tx.now)
            if any(each.person == principal.person for each in tx.signatures(envelope.id)):
                raise AlreadyReviewed(f"{principal.person} has signed {envelope.id}", rule="one signature per person")
            if is_required(entitlement):
                demand_signature(assertion, rule=f"entitlement {entitlement.id}: signature = required")
            if assertion is not None:
                challenge = envelope_challenge(envelope=envelope.id, digest=digest, signer=principal.person)
                take_signature(tx, rules, assertion, person=principal.person, challenge=challenge)
            tx.add_signature(
                Signature(
                    envelope_id=envelope.id,
                    person=principal.person,
                    principal=principal.id,
                    digest=digest,
                    at=tx.now,
                    assertion=assertion,
                )
            )
            tx.record(
                EnvelopeSigned(
                    actor=principal.person,
                    subject=envelope.id,
                    principal=principal.id,
                    digest=digest,
                    groups=groups,
                    signature=None if assertion is None else assertion.document(),
                )
            )
            return view_of(tx, rules, envelope)

    def revoke(self, principal: Principal, envelope_id: str) -> EnvelopeView:
        """Make an envelope worth nothing: who may know of it may do so, auditors excepted.

        Raises:
            NotEligible: an auditor.
            Conflict: it is revoked already.
        """
        with self.office.attempt(principal, act="revoke", subject=envelope_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            envelope = seen_envelope(tx, principal, rules, envelope_id)
            if Role.AUDITOR in rules.directory.roles_of(principal.person):
                raise NotEligible("an auditor changes nothing", rule="signers, on call and operators revoke envelopes")
            tx.revoke_envelope(envelope, by=principal.person)
            tx.record(EnvelopeRevoked(actor=principal.person, subject=envelope.id, principal=principal.id))
            return view_of(tx, rules, tx.envelope(envelope.id) or envelope)

    def open(
        self,
        principal: Principal,
        envelope_id: str,
        *,
        incident: str,
        drill: bool,
        duration_s: int,
        parameters: Mapping[str, object],
        reason: str,
        key: str | None = None,
    ) -> Request:
        """Open an envelope in an emergency: a request that its signers approved in advance, and the grant of it.

        Raises:
            NotPermitted: not on call.
            NotEligible: may not request the entitlement.
            SelfReview: signed the envelope or wrote it.
            WrongState, WindowOver, Limit, RuleChanged, ApprovalVoid, ReviewOutstanding, NotFound: as the envelope stands.
        """
        body = {
            "envelope": envelope_id,
            "incident": incident,
            "drill": drill,
            "duration_s": duration_s,
            "parameters": {name: str(value) for name, value in parameters.items()},
            "reason": reason,
        }
        with self.office.attempt(principal, act="open", subject=envelope_id), self.office.store.begin() as tx:
            before = replayed(tx, principal, key, call="open", body=body)
            if before is not None and (known := tx.request(before)) is not None:
                return known
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.ON_CALL)
            envelope = seen_envelope(tx, principal, rules, envelope_id)
            if principal.person in {envelope.proposed_by, *signers_of(tx, envelope)}:
                raise SelfReview(
                    f"{principal.person} signed or wrote {envelope.id}",
                    rule="who signed or wrote an envelope does not open it",
                    hint="somebody else on call opens it",
                )
            _demand_standing(envelope, tx.now)
            if tx.now < envelope.not_before:
                raise WrongState(f"{envelope.id} holds from {spell(envelope.not_before)} on")
            if tx.times_opened(envelope.id) >= envelope.uses:
                raise Limit(f"{envelope.id} is used up", rule=f"envelope {envelope.id}: uses = {envelope.uses}")
            entitlement = rules.pinned(envelope.entitlement, envelope.rule_digest)
            ask = Ask(
                entitlement=entitlement.id,
                parameters=parameters,
                duration_s=duration_s,
                reason=reason,
                emergency=Emergency(incident=incident, drill=drill, envelope=envelope.id),
            )
            request = self._opened(tx, principal, ask, envelope=envelope, entitlement=entitlement, rules=rules)
            remember(tx, principal, key, call="open", body=body, result=request.id)
        return request

    def envelope(self, principal: Principal, envelope_id: str) -> EnvelopeView:
        """Return an envelope.

        Raises:
            NotFound: none such, or the caller is a stranger to it.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            return view_of(tx, rules, seen_envelope(tx, principal, rules, envelope_id, lock=False))

    def envelopes(self, principal: Principal, *, limit: int) -> list[EnvelopeView]:
        """Return envelopes that the caller may know of, newest first."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            return [
                view_of(tx, rules, each) for each in tx.envelopes(limit=limit) if knows_envelope(principal, rules, each)
            ]

    def _opened(
        self, tx: Tx, principal: Principal, ask: Ask, *, envelope: Envelope, entitlement: Entitlement, rules: Rules
    ) -> Request:
        """Make a request, and judge its envelope as a draw does."""
        request = self.submissions.make(tx, principal, ask, entitlement=entitlement, rules=rules)
        if request.duration > envelope.max_duration:
            raise Invalid(
                "duration_s is longer than the envelope allows",
                field="duration_s",
                rule=f"envelope {envelope.id}: max_duration_s = {int(envelope.max_duration.total_seconds())}",
            )
        judge_envelope(tx, request, envelope_id=envelope.id, entitlement=entitlement, rules=rules)
        quorum, approvers = standing_of(tx, request, entitlement=entitlement, rules=rules)
        if not quorum.reached:
            raise ApprovalVoid(
                f"the signatures of {envelope.id} do not fill the rule of {entitlement.id}",
                rule=f"entitlement {entitlement.id}: review",
                hint="have others sign it",
            )
        approved, _ = open_grant(
            self.office,
            tx,
            request,
            entitlement=entitlement,
            rules=rules,
            approvers=approvers,
            actor=f"{BROKER}/envelope",
        )
        return approved


def _demand_signer(principal: Principal, entitlement: Entitlement, rules: Rules) -> frozenset[str]:
    rules.demand_account(principal, entitlement)
    entitlement.demand_second_factor(principal)
    refuse_author(principal.person, entitlement.id, rules)
    groups = eligible_for(
        entitlement.review, person=principal.person, requester=NOBODY, directory=rules.directory_for(entitlement)
    )
    if not groups or not principal.human:
        raise NotEligible(
            f"{principal.id} does not sign for {entitlement.id}",
            rule=f"entitlement {entitlement.id}: review by {', '.join(f.group for f in entitlement.review)}",
        )
    return groups


def _demand_standing(envelope: Envelope, now: datetime) -> None:
    if envelope.revoked_at is not None:
        raise WrongState(f"{envelope.id} was revoked by {envelope.revoked_by}", hint="have a new one signed")
    if now >= envelope.not_after:
        raise WindowOver(f"{envelope.id} held until {spell(envelope.not_after)}", hint="have a new one signed")
