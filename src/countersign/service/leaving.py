"""Leaving on an issuer's word: back-channel logout ends a session there, or all that a person has here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from countersign.domain.signin_facts import IssuerLogout
from countersign.domain.signin_refusals import IdentityRefused
from countersign.identity import Claims, TokenKind, verify
from countersign.service.control import Control
from countersign.service.identities import Identities
from countersign.service.office import Office
from countersign.service.sessions import Sessions, hashed
from countersign.service.signing_in import ACTOR
from countersign.store import Tx


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """The use case of OpenID Connect's back-channel logout."""

    office: Office
    identities: Identities
    sessions: Sessions
    control: Control

    def logged_out(self, issuer_id: str, unverified_token: str) -> int:
        """Believe an issuer that somebody left, and return how many sessions ended.

        A token that names one of the issuer's sessions ends what came of that session. One that names a person alone says that
        he is out: all his sessions end, and with them his grants, leases and pending requests, and nothing confirms his groups.

        Raises:
            NotFound: there is no such issuer.
            IdentityRefused: the token does not hold, or was shown before.
            IdentityAway: the issuer's keys cannot be had.
        """
        claims = self._verified(issuer_id, unverified_token)
        with self.office.store.begin() as tx:
            ended = self._end(tx, claims)
        self.office.nudge()
        return ended

    def _verified(self, issuer_id: str, unverified_token: str) -> Claims:
        """Return what a logout token says that is for the web's client or for the command line's."""
        with self.office.store.read() as tx:
            provider, now = self.identities.provider(self.office.rules.current(tx), issuer_id), tx.now
        check = partial(verify, unverified_token, provider=provider, kind=TokenKind.LOGOUT, now=now)
        try:
            return check(audience=provider.issuer.audience)
        except IdentityRefused:
            if provider.issuer.cli_audience is None:
                raise
            return check(audience=provider.issuer.cli_audience)

    def _end(self, tx: Tx, claims: Claims) -> int:
        issuer, sid = claims.issuer, claims.said.get("sid")
        shown = hashed(f"logout {claims.said['jti']}")
        if not tx.show_token(issuer=issuer.id, hashed=shown, expires_at=claims.expires_at + 2 * issuer.max_skew):
            raise IdentityRefused(f"this token of {issuer.id} was shown before", rule="a token is shown once")
        subject = claims.subject
        if isinstance(sid, str):
            there = tx.sessions_at(issuer.id, subject=subject, issuer_session=sid)
            return self.sessions.end_all(tx, there, actor=ACTOR, cause="issuer")
        rules = self.office.rules.current(tx)
        principal = rules.roster.identified(issuer=issuer.id, subject=subject or "")
        if principal is None:
            return 0
        count = self.sessions.end_all(tx, tx.sessions_of(principal.person), actor=ACTOR, cause="issuer")
        tx.forget_groups(issuer=issuer.id, person=principal.person)
        reason = self.office.seal(f"{issuer.id} said that {principal.person} left", field="reason")
        grants, requests = self.control.end_person(tx, rules, principal.person, actor=ACTOR, reason=reason)
        tx.record(
            IssuerLogout(
                actor=ACTOR,
                subject=principal.person,
                issuer=issuer.id,
                sessions=count,
                grants_revoked=grants,
                requests_ended=requests,
            )
        )
        return count
