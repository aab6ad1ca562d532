"""Taking a signature as it is given, and judging one that was kept: the two moments at which a passkey's word counts."""

from __future__ import annotations

from countersign.auditlog.passkeys import BadSignature
from countersign.domain.entitlement import Entitlement, SignatureRule
from countersign.domain.envelope import Signature
from countersign.domain.passkey import Assertion, envelope_challenge, review_challenge
from countersign.domain.refusals import ClonedAuthenticator, SignatureRefused, SignatureRequired
from countersign.domain.review import Review
from countersign.service.rules import Rules
from countersign.store import Tx


def is_required(entitlement: Entitlement) -> bool:
    """Say whether words on this entitlement are signed with passkeys."""
    return entitlement.signature is SignatureRule.REQUIRED


def demand_signature(assertion: Assertion | None, *, rule: str) -> Assertion:
    """Return a signature where one must be given.

    Raises:
        SignatureRequired: there is none.
    """
    if assertion is None:
        raise SignatureRequired(
            "this word is given with a passkey, not with a token alone",
            rule=rule,
            hint="open the page that countersign approve prints, or enrol a key with: countersign passkey enrol",
        )
    return assertion


def take_signature(tx: Tx, rules: Rules, assertion: Assertion, *, person: str, challenge: bytes) -> None:
    """Judge a signature that somebody gives now, and move its key's counter on.

    Raises:
        SignatureRefused: it does not count as this person's word on exactly this.
        ClonedAuthenticator: its counter was seen before.
    """
    try:
        counter = rules.keyring.check(assertion, person=person, challenge=challenge)
    except BadSignature as bad:
        raise refusal_of(bad) from bad
    move_counter(tx, assertion.passkey, counter)


def move_counter(tx: Tx, passkey_id: str, counter: int) -> None:
    """Demand that an authenticator that counts has counted on since it was last seen.

    Raises:
        ClonedAuthenticator: it has not.
    """
    seen = tx.passkey_counter(passkey_id)
    if (counter or seen) and counter <= seen:
        raise ClonedAuthenticator(
            f"the key {passkey_id} says {counter}, and had said {seen} before",
            rule="an authenticator's counter only rises",
            hint="if this was you, the key may have been copied: have it removed and enrol another",
        )
    if counter:
        tx.move_passkey_counter(passkey_id, counter)


def refusal_of(bad: BadSignature) -> SignatureRefused:
    """Return why a signature does not count, as a refusal."""
    return SignatureRefused(f"the signature does not count: {bad}", rule=f"signatures: {bad.code}")


def fault_of(said: Review | Signature, rules: Rules) -> str | None:
    """Return why the passkey's signature under a kept word does not count now, or None if it does."""
    if isinstance(said, Review):
        assertion = said.signature
        challenge = review_challenge(
            request=said.request_id, digest=said.digest, decision=said.decision.value, approver=said.person
        )
    else:
        assertion = said.assertion
        challenge = envelope_challenge(envelope=said.envelope_id, digest=said.digest, signer=said.person)
    if assertion is None:
        return "it is not signed"
    try:
        rules.keyring.check(assertion, person=said.person, challenge=challenge)
    except BadSignature as bad:
        return str(bad)
    return None
