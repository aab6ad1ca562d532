"""Envelopes: two people sign before the emergency what one on call may open in it, when nobody answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.domain.emergency import Emergency
from countersign.domain.emergency_facts import EnvelopeProposed, EnvelopeRevoked, EnvelopeSigned
from countersign.domain.entitlement import Entitlement
from countersign.domain.envelope import FEWEST_SIGNERS, LONGEST_ENVELOPE, MOST_USES, Envelope, Signature
from countersign.domain.facts import BROKER, RequestSubmitted
from countersign.domain.ids import ENVELOPE
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import (
    AlreadyReviewed,
    ApprovalVoid,
    Invalid,
    Limit,
    NotEligible,
    NotFound,
    SelfReview,
    WindowOver,
    WrongDigest,
    WrongState,
)
from countersign.domain.request import Request
from countersign.domain.review import Quorum, count_quorum, eligible_for
from countersign.domain.timestamps import spell
from countersign.service.granting import open_grant, refuse_author, refuse_while_owed
from countersign.service.judgement import judge_envelope, signers_of, standing_of, still_sign
from countersign.service.office import Office, refuse_if_stopped, remember, replayed
from countersign.service.requests import Ask, Requests
from countersign.service.rules import Rules
from countersign.service.sight import sees_all, signs_for
from countersign.store import Tx

NOBODY = ""
"""Who opens an envelope is not known when it is signed."""


@dataclass(frozen=True, kw_only=True)
class EnvelopeView:
    """An envelope as those see it who may know of it.

    Attributes:
        signers: who signed exactly this.
        quorum: how far those who still may fill the entitlement's review rule; None when the rule has changed since.
        uses_left: how often it may still be opened.
        state: `unsigned`, `waiting`, `in-force`, `used-up`, `over`, `revoked` or `void`.
    """

    envelope: Envelope
    signers: tuple[str, ...]
    quorum: Quorum | None
    uses_left: int
    state: str


@dataclass(frozen=True, kw_only=True)
class Envelopes:
    """Use cases of those who sign in advance, and of who is on call."""

    office: Office
    requests: Requests

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
            return _view(tx, rules, envelope)

    def sign(self, principal: Principal, envelope_id: str, *, digest: str) -> EnvelopeView:
        """Sign exactly the envelope that was shown.

        Raises:
            NotEligible: not among those who may sign for the entitlement.
            WrongDigest, AlreadyReviewed, WrongState, WindowOver, RuleChanged, NotFound: as the envelope stands.
        """
        with self.office.attempt(principal, act="sign", subject=envelope_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            envelope = _seen(tx, principal, rules, envelope_id)
            entitlement = rules.pinned(envelope.entitlement, envelope.rule_digest)
            groups = _demand_signer(principal, entitlement, rules)
            if digest != envelope.digest:
                raise WrongDigest(f"that is not the digest of {envelope.id}", hint="read what it says now")
            _demand_standing(envelope, tx.now)
            if any(each.person == principal.person for each in tx.signatures(envelope.id)):
                raise AlreadyReviewed(f"{principal.person} has signed {envelope.id}", rule="one signature per person")
            tx.add_signature(
                Signature(
                    envelope_id=envelope.id,
                    person=principal.person,
                    principal=principal.id,
                    digest=digest,
                    at=tx.now,
                )
            )
            tx.record(
                EnvelopeSigned(
                    actor=principal.person, subject=envelope.id, principal=principal.id, digest=digest, groups=groups
                )
            )
            return _view(tx, rules, envelope)

    def revoke(self, principal: Principal, envelope_id: str) -> EnvelopeView:
        """Make an envelope worth nothing: who may know of it may do so, auditors excepted.

        Raises:
            NotEligible: an auditor.
            Conflict: it is revoked already.
        """
        with self.office.attempt(principal, act="revoke", subject=envelope_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            envelope = _seen(tx, principal, rules, envelope_id)
            if Role.AUDITOR in rules.directory.roles_of(principal.person):
                raise NotEligible("an auditor changes nothing", rule="signers, on call and operators revoke envelopes")
            tx.revoke_envelope(envelope, by=principal.person)
            tx.record(EnvelopeRevoked(actor=principal.person, subject=envelope.id, principal=principal.id))
            return _view(tx, rules, tx.envelope(envelope.id) or envelope)

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
            envelope = _seen(tx, principal, rules, envelope_id)
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
            return _view(tx, rules, _seen(tx, principal, rules, envelope_id, lock=False))

    def envelopes(self, principal: Principal, *, limit: int) -> list[EnvelopeView]:
        """Return envelopes that the caller may know of, newest first."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            return [_view(tx, rules, each) for each in tx.envelopes(limit=limit) if _knows(principal, rules, each)]

    def _opened(
        self, tx: Tx, principal: Principal, ask: Ask, *, envelope: Envelope, entitlement: Entitlement, rules: Rules
    ) -> Request:
        """Judge as a submission is judged, then the envelope as a draw judges it."""
        refuse_if_stopped(tx, person=principal.person, entitlement=entitlement.id, provider=entitlement.provider)
        if not entitlement.may_be_requested_by(principal.person, rules.directory):
            raise NotEligible(
                f"{principal.person} may not request {entitlement.id}",
                rule=f"entitlement {entitlement.id}: requesters",
            )
        refuse_author(principal.person, entitlement.id, rules)
        request = self.requests.draft(tx, principal, entitlement, ask)
        if request.duration > envelope.max_duration:
            raise Invalid(
                "duration_s is longer than the envelope allows",
                field="duration_s",
                rule=f"envelope {envelope.id}: max_duration_s = {int(envelope.max_duration.total_seconds())}",
            )
        self.requests.preview(request, entitlement)
        self.requests.refuse_beyond_caps(tx, request, entitlement)
        if ask.emergency is not None:
            refuse_while_owed(tx, principal.person, ask.emergency, entitlement)
        tx.add_request(request, target=entitlement.target.id)
        judge_envelope(tx, request, envelope_id=envelope.id, entitlement=entitlement, rules=rules)
        quorum, approvers = standing_of(tx, request, entitlement=entitlement, rules=rules)
        if not quorum.reached:
            raise ApprovalVoid(
                f"the signatures of {envelope.id} do not fill the rule of {entitlement.id}",
                rule=f"entitlement {entitlement.id}: review",
                hint="have others sign it",
            )
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
    refuse_author(principal.person, entitlement.id, rules)
    groups = eligible_for(entitlement.review, person=principal.person, requester=NOBODY, directory=rules.directory)
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


def _knows(principal: Principal, rules: Rules, envelope: Envelope) -> bool:
    return (
        sees_all(principal, rules)
        or envelope.proposed_by == principal.person
        or envelope.entitlement in signs_for(principal.person, rules)
    )


def _seen(tx: Tx, principal: Principal, rules: Rules, envelope_id: str, *, lock: bool = True) -> Envelope:
    envelope = tx.envelope(envelope_id, lock=lock)
    if envelope is None or not _knows(principal, rules, envelope):
        raise NotFound(f"there is no envelope {envelope_id[:20]!r} for you")
    return envelope


def _view(tx: Tx, rules: Rules, envelope: Envelope) -> EnvelopeView:
    signers = signers_of(tx, envelope)
    left = max(0, envelope.uses - tx.times_opened(envelope.id))
    entitlement = rules.catalog.entitlements.get(envelope.entitlement)
    if entitlement is None or entitlement.rule_digest != envelope.rule_digest:
        return EnvelopeView(envelope=envelope, signers=signers, quorum=None, uses_left=left, state="void")
    able = still_sign(signers, requester=NOBODY, entitlement=entitlement, rules=rules)
    quorum = count_quorum(entitlement.review, approvers=able, requester=NOBODY, directory=rules.directory)
    if envelope.revoked_at is not None:
        state = "revoked"
    elif tx.now >= envelope.not_after:
        state = "over"
    elif left == 0:
        state = "used-up"
    elif not quorum.reached or len(able) < FEWEST_SIGNERS:
        state = "unsigned"
    else:
        state = "in-force" if envelope.holds_at(tx.now) else "waiting"
    return EnvelopeView(envelope=envelope, signers=signers, quorum=quorum, uses_left=left, state=state)
