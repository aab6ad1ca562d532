"""Refusals of sign-in: what was presented proves nobody, or whoever could tell is away."""

from __future__ import annotations

from countersign.domain.refusals import Refused


class IdentityRefused(Refused):
    """What an identity issuer is said to have signed does not hold, or says nothing of anybody here."""

    code = "identity-refused"


class IdentityAway(Refused):
    """The identity issuer cannot be reached, is too slow, or answers what cannot be used; nobody gets in by it."""

    code = "identity-away"


class SecondFactorMissing(Refused):
    """The entitlement demands a way of signing in that the caller did not use."""

    code = "second-factor-missing"


class CrossSite(Refused):
    """A page of another site sent it, or it does not bear its own session's form token."""

    code = "cross-site"
