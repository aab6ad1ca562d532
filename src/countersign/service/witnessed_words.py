"""What identity issuers said of groups, taken from what they signed and not from the rows that tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.domain.issuer import GroupWord, Issuer
from countersign.domain.session import IdentityProof
from countersign.domain.signin_refusals import IdentityRefused
from countersign.identity import Claims, IdentityProvider, verify_kept
from countersign.service.rules import Rules
from countersign.store import Tx

TOKENS_OF_ONE = 4
"""So many of a person's newest sign-ins are looked at: of a row's own time, nobody knows whether it is true."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Tokens that an issuer may have signed of a person."""

    issuer: Issuer
    person: str
    subject: str
    proofs: tuple[IdentityProof, ...]


def read_kept(tx: Tx, rules: Rules, persons: AbstractSet[str]) -> tuple[Kept, ...]:
    """Return what is kept of these persons' sign-ins, where an issuer's word on groups counts and was not taken back."""
    issuers = rules.catalog.trust.issuers
    spoken = {(word.issuer, word.person) for word in rules.words}
    asked = {
        (principal.issuer, principal.person, principal.subject)
        for principal in rules.roster.principals.values()
        if principal.person in persons and principal.human and (principal.issuer, principal.person) in spoken
    }
    return tuple(
        Kept(
            issuer=issuers[issuer],
            person=person,
            subject=subject,
            proofs=tuple(tx.newest_proofs(issuer=issuer, subject=subject, limit=TOKENS_OF_ONE)),
        )
        for issuer, person, subject in sorted((str(i), p, str(s)) for i, p, s in asked)
        if issuer in issuers and issuers[issuer].groups_claim is not None
    )


def words_of(
    kept: Iterable[Kept], *, provider: Callable[[str], IdentityProvider], now: datetime
) -> tuple[GroupWord, ...]:
    """Return the newest word of each issuer on each person that bears the issuer's signature.

    Raises:
        IdentityAway: an issuer's keys cannot be had.
    """
    words: dict[tuple[str, str], GroupWord] = {}
    for each in kept:
        within = each.issuer.freshness(None) or timedelta(0)
        for proof in each.proofs:
            claims = _claims(proof, each, provider=provider(each.issuer.id), now=now, within=within)
            groups = None if claims is None else _groups(claims)
            if claims is None or groups is None or claims.subject != each.subject:
                continue
            word = GroupWord(issuer=each.issuer.id, person=each.person, groups=groups, at=claims.issued_at)
            known = words.get((word.issuer, word.person))
            if known is None or known.at < word.at:
                words[word.issuer, word.person] = word
    return tuple(words.values())


def _claims(
    proof: IdentityProof, kept: Kept, *, provider: IdentityProvider, now: datetime, within: timedelta
) -> Claims | None:
    """Return what a token says that was made for either of our clients; None if it proves nothing."""
    for audience in (kept.issuer.audience, kept.issuer.cli_audience):
        if audience is None:
            continue
        try:
            token = f"{proof.signed}.{proof.signature}"
            return verify_kept(token, provider=provider, audience=audience, now=now, within=within)
        except IdentityRefused:
            continue
    return None


def _groups(claims: Claims) -> frozenset[str] | None:
    try:
        return claims.groups()
    except IdentityRefused:
        return None
