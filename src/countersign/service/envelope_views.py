"""Envelopes as those see them who may know of them: whoever may sign for the entitlement, is on call, audits or operates."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.envelope import FEWEST_SIGNERS, Envelope
from countersign.domain.people import Principal
from countersign.domain.refusals import NotFound
from countersign.domain.review import Quorum, count_quorum
from countersign.service.judgement import signers_of, still_sign
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


def knows_envelope(principal: Principal, rules: Rules, envelope: Envelope) -> bool:
    """Say whether somebody may know of an envelope."""
    return (
        sees_all(principal, rules)
        or envelope.proposed_by == principal.person
        or envelope.entitlement in signs_for(principal.person, rules)
    )


def seen_envelope(tx: Tx, principal: Principal, rules: Rules, envelope_id: str, *, lock: bool = True) -> Envelope:
    """Return an envelope to those who may know of it.

    Raises:
        NotFound: none such, or the caller is a stranger to it.
    """
    envelope = tx.envelope(envelope_id, lock=lock)
    if envelope is None or not knows_envelope(principal, rules, envelope):
        raise NotFound(f"there is no envelope {envelope_id[:20]!r} for you")
    return envelope


def view_of(tx: Tx, rules: Rules, envelope: Envelope) -> EnvelopeView:
    """Return an envelope with how it stands now."""
    signers = signers_of(tx, envelope)
    left = max(0, envelope.uses - tx.times_opened(envelope.id))
    entitlement = rules.catalog.entitlements.get(envelope.entitlement)
    if entitlement is None or entitlement.rule_digest != envelope.rule_digest:
        return EnvelopeView(envelope=envelope, signers=signers, quorum=None, uses_left=left, state="void")
    able = still_sign(tx, envelope, requester=NOBODY, entitlement=entitlement, rules=rules)
    quorum = count_quorum(
        entitlement.review, approvers=able, requester=NOBODY, directory=rules.directory_for(entitlement)
    )
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
