"""Verifying again what an issuer signed some time ago: a token that was kept as the proof of who signed in.

Such a token has expired, and lets nobody in. What it still proves is what its issuer said when it was made.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

from countersign.identity.provider import IdentityProvider
from countersign.identity.tokens import (
    BACK_CHANNEL,
    Claims,
    TokenKind,
    claimed_time,
    demand_addressed,
    events_of,
    factors_of,
    refused,
    signed_claims,
    text_of,
)


def verify_kept(
    unverified_token: str,
    *,
    provider: IdentityProvider,
    audience: str,
    now: datetime,
    within: timedelta,
    nonce: str | None = None,
) -> Claims:
    """Return what an identity token says that its issuer made at most so long ago.

    Args:
        unverified_token: in the compact form.
        provider: the one issuer that it can be of.
        audience: whom it must be for.
        now: the time.
        within: how old it may be, by the time that its issuer wrote into it.
        nonce: what it must bear; None where what it is used for does not rest on a nonce.

    Raises:
        IdentityRefused: something of it does not hold; which, without what it said.
        IdentityAway: the issuer's keys cannot be had.
    """
    issuer = provider.issuer
    said, _ = signed_claims(unverified_token, provider, TokenKind.IDENTITY)
    demand_addressed(issuer, said, audience)
    issued_at, expires_at = claimed_time(said, "iat"), claimed_time(said, "exp")
    if issued_at is None or expires_at is None:
        raise refused(issuer, "does not say when it was made and when it ends", "iat and exp are required")
    if issued_at > now + issuer.max_skew:
        raise refused(
            issuer, "is of the future; compare the clocks", f"max_skew_s = {int(issuer.max_skew.total_seconds())}"
        )
    if now - issued_at > within:
        raise refused(issuer, "was made too long ago", f"a sign-in lasts {within}")
    if BACK_CHANNEL in events_of(said):
        raise refused(issuer, "is a logout", "one kind of token is not another")
    if nonce is not None and not hmac.compare_digest(text_of(said, "nonce") or "", nonce):
        raise refused(issuer, "binds another device", "nonce")
    subject = text_of(said, issuer.person_claim)
    if subject is None:
        raise refused(issuer, "names no subject", issuer.person_claim)
    return Claims(
        issuer=issuer,
        subject=subject,
        issued_at=issued_at,
        expires_at=expires_at,
        factors=factors_of(said),
        said=said,
    )
