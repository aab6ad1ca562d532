"""Refusals: every "no" that Countersign says, each with a stable code, the rule behind it and what to do next.

A refusal is an answer, not a fault. HTTP statuses are not known here; `api.problems` maps codes to them.
"""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):
    """Base of all refusals.

    Args:
        detail: a sentence for a person; never holds a secret.
        rule: the rule that refused, if one did (for example `entitlement orders-db-read: draws = 1`).
        hint: what the caller can do next.
        field: the input field at fault, for `invalid`.
    """

    code: ClassVar[str] = "refused"

    def __init__(
        self, detail: str, *, rule: str | None = None, hint: str | None = None, field: str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.rule = rule
        self.hint = hint
        self.field = field


class SelfReview(Refused):
    """The reviewer is the requester, by whatever principal."""

    code = "self-review"


class NotEligible(Refused):
    """The person holds no role or group that the rule asks for."""

    code = "not-eligible"


class NotPermitted(Refused):
    """The call is not among the verbs of the caller's roles."""

    code = "not-permitted"


class NobodyCanApprove(Refused):
    """No set of eligible persons could satisfy the review rule for this requester."""

    code = "nobody-can-approve"


class WrongDigest(Refused):
    """The review names a digest that is not this request's."""

    code = "wrong-digest"


class AlreadyReviewed(Refused):
    """The person has reviewed this request before; reviews are immutable."""

    code = "already-reviewed"


class WrongState(Refused):
    """The step does not exist from the state that the thing is in."""

    code = "wrong-state"


class DrawsExhausted(Refused):
    """All draws of the grant are used."""

    code = "draws-exhausted"


class WindowOver(Refused):
    """The time in which this could be done has passed."""

    code = "window-over"


class RuleChanged(Refused):
    """The entitlement is no longer the one that was approved."""

    code = "rule-changed"


class ApprovalVoid(Refused):
    """The approvals on record no longer satisfy the rule: an approver lost the role, or the record does not add up."""

    code = "approval-void"


class NotYours(Refused):
    """The thing belongs to someone else, and the caller may know that it exists."""

    code = "not-yours"


class NotFound(Refused):
    """There is no such thing, or the caller is a stranger to it."""

    code = "not-found"


class Invalid(Refused):
    """Input outside what is allowed; `field` names the part at fault."""

    code = "invalid"


class TooLarge(Refused):
    """Input beyond its size limit."""

    code = "too-large"


class Limit(Refused):
    """A cap per person, target or day is reached."""

    code = "limit"


class ReviewOutstanding(Refused):
    """An earlier break-glass of this person has not been reviewed."""

    code = "review-outstanding"


class AlreadyDelivered(Refused):
    """A replayed draw: the secret was handed over once and is not kept."""

    code = "already-delivered"


class KeyReused(Refused):
    """An idempotency key that was first used with another body or call."""

    code = "idempotency-key-reused"


class Conflict(Refused):
    """Somebody else moved the same thing at the same moment; nothing was done."""

    code = "conflict"


class ProviderAway(Refused):
    """The provider cannot be reached, is sealed, or refused; no credential exists."""

    code = "provider-away"


class NotCosigned(Refused):
    """Witnesses did not vouch in time for the intent to issue; no credential exists."""

    code = "not-cosigned"


class ProviderRefused(Refused):
    """The provider said no to what was approved; no credential exists."""

    code = "provider-refused"


class Stopped(Refused):
    """A stop is in force, or the broker has stopped issuing to protect an invariant."""

    code = "stopped"


class LogUnavailable(Refused):
    """The log cannot be written, so nothing happens."""

    code = "log-unavailable"


class Unauthenticated(Refused):
    """No token, an unknown one, or one whose person is disabled."""

    code = "unauthenticated"


class SignatureRequired(Refused):
    """The word must be signed with a passkey; a token alone does not give it."""

    code = "signature-required"


class SignatureRefused(Refused):
    """The signature does not verify, is over something else, or by a key that does not count."""

    code = "bad-signature"


class ClonedAuthenticator(Refused):
    """The authenticator's counter did not move on: a copy of it, or a signature that was used before."""

    code = "cloned-authenticator"


class RulesForged(Refused):
    """The rules in the database are not those that two authors signed; nobody may do anything under them."""

    code = "rules-forged"


class LogRewound(Refused):
    """The log is shorter than it was, or has another past; nothing is issued on what it says."""

    code = "log-rewound"
