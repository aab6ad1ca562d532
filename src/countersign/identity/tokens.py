"""Verifying what an issuer signed: the header, the signature, and every claim that somebody could rest on.

Nothing in a token says how it is to be checked: the algorithm must be on the issuer's list, the key is one of the issuer's own,
and headers that point at other keys refuse the token.
"""

from __future__ import annotations

import base64
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from authlib.oidc.core.util import create_half_hash
from joserfc import jws
from joserfc.errors import JoseError

from countersign.domain.issuer import Issuer
from countersign.domain.signin_refusals import IdentityRefused
from countersign.identity.fetch import strict_json
from countersign.identity.provider import IdentityProvider

LONGEST_TOKEN = 16 * 1024
LONGEST_SUBJECT = 255
LONGEST_LIFE = timedelta(hours=24)
OLDEST = timedelta(minutes=10)
"""A token that was made longer ago than this signs nobody in: it is shown right after it was made."""
POINTING = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"})
"""Headers by which a token would choose its own key or its own reading."""
BACK_CHANNEL = "http://schemas.openid.net/event/backchannel-logout"
PARTS = 3


class TokenKind(StrEnum):
    """What a token is for; one kind is never taken for another."""

    IDENTITY = "identity"
    LOGOUT = "logout"
    PIPELINE = "pipeline"


_TYPES: Mapping[TokenKind, frozenset[str | None]] = {
    TokenKind.IDENTITY: frozenset({None, "jwt"}),
    TokenKind.LOGOUT: frozenset({None, "jwt", "logout+jwt"}),
    TokenKind.PIPELINE: frozenset({None, "jwt"}),
}


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a verified token says.

    Attributes:
        subject: the value of the issuer's person claim (of `sub` for pipelines and logouts); None where a logout names none.
        expires_at: when it ends by its own word.
        factors: `acr` and `amr` together.
        said: all claims.
    """

    issuer: Issuer
    subject: str | None
    issued_at: datetime
    expires_at: datetime
    factors: frozenset[str]
    said: Mapping[str, Any]

    def groups(self) -> frozenset[str] | None:
        """Return the directory's groups that it confirms; None where the issuer asserts none.

        Raises:
            IdentityRefused: the claim is missing or no list of texts.
        """
        if self.issuer.groups_claim is None:
            return None
        claimed = self.said.get(self.issuer.groups_claim)
        if claimed is None or not isinstance(claimed, list) or not all(isinstance(each, str) for each in claimed):
            raise refused(self.issuer, f"says nothing usable in {self.issuer.groups_claim}", "groups_claim")
        return self.issuer.confirmed(claimed)


def verify(
    unverified_token: str,
    *,
    provider: IdentityProvider,
    kind: TokenKind,
    audience: str,
    now: datetime,
    nonce: str | None = None,
    access_token: str | None = None,
) -> Claims:
    """Return what a token says, once all of it holds.

    Args:
        unverified_token: in the compact form.
        provider: the one issuer that it can be of.
        kind: what it is to be used for.
        audience: whom it must be for.
        now: the time at which it must hold.
        nonce: what it must bear; an identity token without one is refused.
        access_token: what came with it, which `at_hash` must match where it is given.

    Raises:
        IdentityRefused: something of it does not hold; which, without what it said.
        IdentityAway: the issuer's keys cannot be had.
    """
    issuer = provider.issuer
    said, algorithm = signed_claims(unverified_token, provider, kind)
    demand_addressed(issuer, said, audience)
    issued_at, expires_at = _demand_timely(issuer, said, kind, now)
    if kind is TokenKind.LOGOUT:
        _demand_logout(issuer, said)
    elif BACK_CHANNEL in events_of(said):
        raise refused(issuer, "is a logout", "one kind of token is not another")
    if kind is TokenKind.IDENTITY:
        if nonce is None or not hmac.compare_digest(text_of(said, "nonce") or "", nonce):
            raise refused(issuer, "does not bear this sign-in's nonce", "nonce")
        _demand_half_hash(issuer, said, algorithm, access_token)
    subject = text_of(said, issuer.person_claim if kind is TokenKind.IDENTITY else "sub")
    if subject is None and not (kind is TokenKind.LOGOUT and text_of(said, "sid")):
        raise refused(issuer, "names no subject", issuer.person_claim)
    return Claims(
        issuer=issuer,
        subject=subject,
        issued_at=issued_at,
        expires_at=expires_at,
        factors=factors_of(said),
        said=said,
    )


def claimed_issuer(unverified_token: str) -> str:
    """Return the issuer that a token claims to be of, only to know whose keys to check it with; empty if it claims none."""
    parts = unverified_token.split(".")
    said = _object(parts[1]) if len(parts) == PARTS and len(unverified_token) <= LONGEST_TOKEN else None
    claimed = None if said is None else said.get("iss")
    return claimed if isinstance(claimed, str) else ""


def signed_claims(token: str, provider: IdentityProvider, kind: TokenKind) -> tuple[dict[str, Any], str]:
    """Return the claims of a token that a key of the issuer signed, and with which algorithm."""
    issuer = provider.issuer
    parts = token.split(".")
    if len(token) > LONGEST_TOKEN or len(parts) != PARTS or not token.isascii():
        raise refused(issuer, "is no signed token", "tokens are compact JWS")
    header = _object(parts[0])
    if header is None:
        raise refused(issuer, "has no readable header", "tokens are compact JWS")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        raise refused(issuer, "is signed in a way that is not accepted", f"algorithms = {', '.join(issuer.algorithms)}")
    if POINTING & header.keys():
        raise refused(issuer, "says itself how to check it", "a token does not choose its key")
    if (kid is not None and not isinstance(kid, str)) or not isinstance(typ, str | None):
        raise refused(issuer, "has an odd header", "tokens are compact JWS")
    if (None if typ is None else typ.lower().removeprefix("application/")) not in _TYPES[kind]:
        raise refused(issuer, f"is no token for {kind}", "one kind of token is not another")
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        key = provider.key(kid)
        key.check_use("sig")
        key.check_alg(algorithm)
        jws.deserialize_compact(token, key, algorithms=[algorithm], registry=registry)
    except (JoseError, ValueError, TypeError):
        raise refused(issuer, "has no signature of the issuer's", "its own keys sign") from None
    said = _object(parts[1])
    if said is None:
        raise refused(issuer, "holds no readable claims", "claims are one JSON object")
    return said, algorithm


def _object(part: str) -> dict[str, Any] | None:
    try:
        value = strict_json(base64.urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4)))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def demand_addressed(issuer: Issuer, said: Mapping[str, Any], audience: str) -> None:
    """Demand that a token is of this issuer, for this audience, and made for nobody else.

    Raises:
        IdentityRefused: it is not.
    """
    if said.get("iss") != issuer.url:
        raise refused(issuer, "is another issuer's", f"url = {issuer.url}")
    given = said.get("aud")
    audiences = [given] if isinstance(given, str) else given
    if not isinstance(audiences, list) or audience not in audiences:
        raise refused(issuer, "is for somebody else", f"audience = {audience}")
    authorized = said.get("azp")
    if (len(audiences) > 1 and authorized is None) or authorized not in {None, audience}:
        raise refused(issuer, "was made for another party", f"azp = {audience}")


def _demand_timely(
    issuer: Issuer, said: Mapping[str, Any], kind: TokenKind, now: datetime
) -> tuple[datetime, datetime]:
    skew = issuer.max_skew
    issued_at, expires_at, not_before = (claimed_time(said, name) for name in ("iat", "exp", "nbf"))
    if issued_at is None or expires_at is None or ("nbf" in said and not_before is None):
        raise refused(issuer, "does not say when it was made and when it ends", "iat and exp are required")
    if now >= expires_at + skew:
        raise refused(issuer, "has expired", f"max_skew_s = {int(skew.total_seconds())}")
    if max(issued_at, not_before or issued_at) > now + skew:
        raise refused(issuer, "is of the future; compare the clocks", f"max_skew_s = {int(skew.total_seconds())}")
    if expires_at - issued_at > LONGEST_LIFE or expires_at <= issued_at:
        raise refused(issuer, "lives for longer than any token should", f"at most {LONGEST_LIFE}")
    if now - issued_at > OLDEST + skew:
        raise refused(issuer, f"is too old to be shown as {kind}; compare the clocks", f"at most {OLDEST} old")
    return issued_at, expires_at


def _demand_logout(issuer: Issuer, said: Mapping[str, Any]) -> None:
    if BACK_CHANNEL not in events_of(said) or "nonce" in said or text_of(said, "jti") is None:
        raise refused(issuer, "is no logout token", "OpenID Connect Back-Channel Logout 2.4")


def events_of(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `events` claim of a security event token; empty without one."""
    events = said.get("events")
    return events if isinstance(events, dict) else {}


def _demand_half_hash(issuer: Issuer, said: Mapping[str, Any], algorithm: str, access_token: str | None) -> None:
    """Demand that a token which names its access token came with that one."""
    given = said.get("at_hash")
    if given is None or access_token is None:
        return
    made = create_half_hash(access_token, algorithm)
    if not isinstance(given, str) or made is None or not hmac.compare_digest(given.encode(), made):
        raise refused(issuer, "came with another access token", "at_hash")


def claimed_time(said: Mapping[str, Any], name: str) -> datetime | None:
    """Return the time that a claim says, None if it says none."""
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def text_of(said: Mapping[str, Any], name: str) -> str | None:
    """Return a claim that is a short and plain text, None if it is none."""
    value = said.get(name)
    fit = isinstance(value, str) and 0 < len(value) <= LONGEST_SUBJECT and value.isascii() and value.isprintable()
    return value if isinstance(value, str) and fit else None


def factors_of(said: Mapping[str, Any]) -> frozenset[str]:
    """Return `acr` and `amr` together."""
    given, methods = said.get("acr"), said.get("amr")
    listed = [given, *(methods if isinstance(methods, list) else [])]
    return frozenset(each for each in listed[:20] if isinstance(each, str) and len(each) <= LONGEST_SUBJECT)


def refused(issuer: Issuer, what: str, rule: str) -> IdentityRefused:
    """Return why a token of an issuer is refused."""
    return IdentityRefused(f"the token of {issuer.id} {what}", rule=f"issuer {issuer.id}: {rule}", hint="sign in again")
