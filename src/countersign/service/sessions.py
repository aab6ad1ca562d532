"""Sessions: opened by a sign-in, used through secrets kept as hashes, ended by their person, by time or by misuse."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from countersign.domain.ids import SESSION
from countersign.domain.people import Principal
from countersign.domain.refusals import Conflict, LogUnavailable, NotFound, Unauthenticated
from countersign.domain.session import (
    ACCESS_LASTS,
    LASTS,
    IdentityProof,
    Session,
    SessionKind,
    SessionToken,
    TokenUse,
)
from countersign.domain.signin_facts import RefreshReused, SessionEnded, SessionOpened
from countersign.identity import Claims
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.store import Tx

PREFIXES: Mapping[TokenUse, str] = {TokenUse.COOKIE: "csw_", TokenUse.ACCESS: "csa_", TokenUse.REFRESH: "csr_"}
SECRET_BYTES = 32
SEEN_EVERY = timedelta(minutes=1)
AGAIN_WITHIN = timedelta(minutes=10)
"""So long an exchange can be asked for again word for word, because its answer was lost."""
_AGAIN = "sign in again: countersign login"


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What the command line gets: shown once, never kept here. Secrets stay out of `repr`."""

    session: Session
    access: str
    refresh: str | None
    access_lasts: timedelta

    def __repr__(self) -> str:
        return f"Tokens({self.session.id})"


@dataclass(frozen=True, kw_only=True)
class DeviceBinding:
    """The device key to which a sign-in's nonce commits, and the random half of the commitment; both base64url."""

    key: str
    random: str


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Use cases around sessions; whom they stand for is judged at every call."""

    office: Office

    def open(
        self,
        tx: Tx,
        principal: Principal,
        claims: Claims,
        *,
        kind: SessionKind,
        token: str,
        device: DeviceBinding | None = None,
        lasts: timedelta | None = None,
    ) -> Session:
        """Open a session for whom an issuer vouched, keep the proof, and record it.

        Args:
            tx: of the sign-in.
            principal: whom the verified claims name, with who is behind it.
            claims: of the token.
            kind: through what he calls.
            token: as the issuer signed it.
            device: what its nonce commits to.
            lasts: shorter than the kind allows.
        """
        session = Session(
            id=self.office.new_id(SESSION),
            kind=kind,
            principal=principal.id,
            person=principal.person,
            issuer=claims.issuer.id,
            subject=claims.subject or "",
            issuer_session=_sid(claims),
            device_key=None if device is None else device.key,
            factors=claims.factors,
            behind=principal.behind,
            revision=principal.revision,
            opened_at=tx.now,
            seen_at=tx.now,
            ends_at=tx.now + min(LASTS[kind], lasts or LASTS[kind]),
        )
        signed, _, signature = token.rpartition(".")
        proof = IdentityProof(
            session=session.id,
            issuer=session.issuer,
            subject=session.subject,
            signed=signed,
            signature=signature,
            device_key=session.device_key,
            random=None if device is None else device.random,
            at=tx.now,
        )
        tx.add_session(session, proof)
        tx.record(
            SessionOpened(
                actor=principal.person,
                subject=principal.person,
                principal=principal.id,
                session=session.id,
                kind=kind.value,
                issuer=session.issuer,
                proof=hashed(proof.signed),
                factors=session.factors,
                device=session.device_key,
                behind=session.behind,
                revision=session.revision,
            )
        )
        return session

    def cookie(self, tx: Tx, session: Session) -> str:
        """Make the one secret of a web session."""
        return self._secret(tx, session, TokenUse.COOKIE, session.ends_at - tx.now)

    def tokens(self, tx: Tx, session: Session) -> Tokens:
        """Make a session's next access token, and for the command line its next refresh token."""
        renewed = session.kind is SessionKind.CLI
        refresh = self._secret(tx, session, TokenUse.REFRESH, session.ends_at - tx.now) if renewed else None
        return self._accessible(tx, session, refresh=refresh)

    def _accessible(self, tx: Tx, session: Session, *, refresh: str | None) -> Tokens:
        lasts = min(ACCESS_LASTS, session.ends_at - tx.now)
        if session.kind is SessionKind.PIPELINE:
            lasts = session.ends_at - tx.now
        return Tokens(
            session=session,
            access=self._secret(tx, session, TokenUse.ACCESS, lasts),
            refresh=refresh,
            access_lasts=lasts,
        )

    def admit(self, unverified_secret: str, *, use: TokenUse) -> Principal:
        """Return the principal behind an access token or a cookie, as the rules know him now.

        Raises:
            Unauthenticated: it is unknown, over, or the person behind it is not in.
        """
        with self.office.store.read() as tx:
            found = tx.session_token(hashed(unverified_secret))
            rules, now = self.office.rules.current(tx), tx.now
        if found is None or found[0].use is not use or found[0].expires_at <= now or not found[1].holds_at(now):
            raise Unauthenticated("the session is unknown or over", hint=_AGAIN)
        session = found[1]
        principal = principal_of(session, rules)
        if principal is None:
            raise Unauthenticated(f"{session.principal} no longer has a place in the directory", hint=_AGAIN)
        if now - session.seen_at >= SEEN_EVERY:
            with suppress(LogUnavailable, Conflict), self.office.store.begin() as tx:
                tx.see_session(session.id)  # a database that cannot be written keeps nobody from reading
        return principal

    def refresh(self, unverified_secret: str, *, following: str | None = None) -> Tokens:
        """Exchange a refresh token for the next pair; the one shown is used up, and showing it again ends the session.

        Args:
            unverified_secret: the refresh token.
            following: the hash of the next one, where its holder makes it himself. Then he can ask again, word for word, when
                the answer was lost, for a while and until he uses it; whoever else shows the first one ends the session.

        Raises:
            Unauthenticated: it is unknown, over or was used before.
        """
        tokens: Tokens | None = None
        with self.office.store.begin() as tx:
            found = tx.session_token(hashed(unverified_secret))
            if found is not None and found[0].use is TokenUse.REFRESH:
                tokens = self._refreshed(tx, *found, following=following)
        if tokens is None:
            raise Unauthenticated("the refresh token is unknown, over or was used before", hint=_AGAIN)
        return tokens

    def _refreshed(self, tx: Tx, token: SessionToken, session: Session, *, following: str | None) -> Tokens | None:
        is_first = token.used_at is None and tx.use_session_token(token.hash)
        if not is_first and not self._is_asked_again(tx, token, session, following):
            if tx.end_session(session.id):
                tx.record(RefreshReused(actor=session.person, subject=session.person, session=session.id))
                self._record_end(tx, session, actor=session.person, cause="reuse")
            return None
        if not session.holds_at(tx.now) or principal_of(session, self.office.rules.current(tx)) is None:
            return None
        if following is None:
            return self.tokens(tx, session)
        if is_first:
            tx.add_session_token(
                SessionToken(hash=following, session=session.id, use=TokenUse.REFRESH, expires_at=session.ends_at)
            )
        return self._accessible(tx, session, refresh=None)

    def _is_asked_again(self, tx: Tx, token: SessionToken, session: Session, following: str | None) -> bool:
        """Say whether a used token is shown by who used it: he names the next one, which nobody used, and it was just now."""
        if following is None or token.used_at is None or tx.now > token.used_at + AGAIN_WITHIN:
            return False
        found = tx.session_token(following)
        if found is None or found[1].id != session.id:
            return False
        return found[0].use is TokenUse.REFRESH and found[0].used_at is None

    def listed(self, principal: Principal) -> list[Session]:
        """Return the caller's own sessions in force, newest first."""
        with self.office.store.read() as tx:
            return [each for each in tx.sessions_of(principal.person) if each.holds_at(tx.now)]

    def revoke(self, principal: Principal, session_id: str) -> Session:
        """End one of the caller's own sessions.

        Raises:
            NotFound: none of his in force has that id.
        """
        with self.office.store.begin() as tx:
            session = tx.session(session_id)
            if session is None or session.person != principal.person or not tx.end_session(session.id):
                raise NotFound(f"you have no session {session_id[:20]!r} in force")
            cause = "left" if principal.session == session.id else "revoked"
            self._record_end(tx, session, actor=principal.person, cause=cause)
        return session

    def leave(self, unverified_cookie: str) -> None:
        """End the session behind a cookie, if there is one: its browser has just got another."""
        with self.office.store.begin() as tx:
            found = tx.session_token(hashed(unverified_cookie))
            if found is not None and found[0].use is TokenUse.COOKIE and tx.end_session(found[1].id):
                self._record_end(tx, found[1], actor=found[1].person, cause="left")

    def end_all(self, tx: Tx, sessions: list[Session], *, actor: str, cause: str) -> int:
        """End these sessions within a transaction and return how many were in force."""
        ended = [each for each in sessions if tx.end_session(each.id)]
        for each in ended:
            self._record_end(tx, each, actor=actor, cause=cause)
        return len(ended)

    def _record_end(self, tx: Tx, session: Session, *, actor: str, cause: str) -> None:
        kept = tx.identity_proof(session.id)
        proof = None if kept is None else hashed(kept.signed)
        tx.record(SessionEnded(actor=actor, subject=session.person, session=session.id, cause=cause, proof=proof))

    def _secret(self, tx: Tx, session: Session, use: TokenUse, lasts: timedelta) -> str:
        secret = PREFIXES[use] + spell(self.office.randomness(SECRET_BYTES))
        tx.add_session_token(SessionToken(hash=hashed(secret), session=session.id, use=use, expires_at=tx.now + lasts))
        return secret


def principal_of(session: Session, rules: Rules) -> Principal | None:
    """Return whom a session stands for now: the same principal at the same identity, active, at an issuer still believed."""
    known = rules.roster.principals.get(session.principal)
    if known is None or known.person != session.person or known.issuer != session.issuer:
        return None
    if session.issuer not in rules.catalog.trust.issuers or not rules.roster.is_active(known.person):
        return None
    if known.human and known.subject != session.subject:
        return None
    if any(not rules.roster.is_active(person) for person in session.behind):
        return None
    return replace(known, behind=session.behind, factors=session.factors, session=session.id, revision=session.revision)


def hashed(secret: str) -> str:
    """Hash a secret for lookup: 256 random bits need no salt and no stretching."""
    return hashlib.sha256(secret.encode("utf-8")).hexdigest()


def spell(raw: bytes) -> str:
    """Spell random bytes in lower-case base32."""
    return base64.b32encode(raw).decode("ascii").lower().rstrip("=")


def _sid(claims: Claims) -> str | None:
    given = claims.said.get("sid")
    return given if isinstance(given, str) and 0 < len(given) <= 255 and given.isascii() else None  # noqa: PLR2004 - the column's width
