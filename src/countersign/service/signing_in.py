"""Signing in: a person at an identity issuer becomes a principal of the directory, through the web or the command line.

The issuer says who somebody is and which groups it knows him in; whether he is anybody here, the countersigned directory says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.domain import device as devices
from countersign.domain.facts import BROKER
from countersign.domain.issuer import GroupWord, Issuer, Use
from countersign.domain.people import Principal
from countersign.domain.refusals import Invalid, Refused
from countersign.domain.session import Session, SessionKind
from countersign.domain.signin_facts import GroupsSaid, SignInRefused
from countersign.domain.signin_refusals import IdentityRefused
from countersign.identity import Claims, CodeFlow, IdentityProvider, TokenKind, verify
from countersign.identity.flow import is_own_path
from countersign.service.identities import Identities
from countersign.service.office import Office
from countersign.service.sessions import DeviceBinding, Sessions, Tokens, hashed, spell
from countersign.service.waiting import Waiting, read_waiting
from countersign.store import Tx

BEGUN_LASTS = timedelta(minutes=10)
SIGNATURE_BYTES = 64
SECRET_BYTES = 32
ACTOR = f"{BROKER}/sign-in"


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A web sign-in that begins: what the browser keeps, and where it goes."""

    kept: str
    location: str

    def __repr__(self) -> str:
        return "Begun(…)"


@dataclass(frozen=True, kw_only=True)
class Entered:
    """A web sign-in that came to its end: the session, its cookie, and where the browser wanted to go."""

    session: Session
    cookie: str
    return_to: str

    def __repr__(self) -> str:
        return f"Entered({self.session.id})"


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """Use cases of signing in."""

    office: Office
    identities: Identities
    sessions: Sessions

    def issuers(self) -> list[Issuer]:
        """Return the issuers by which people can sign in."""
        with self.office.store.read() as tx:
            known = self.office.rules.current(tx).catalog.trust.issuers
        return [issuer for _, issuer in sorted(known.items()) if issuer.use is Use.PEOPLE]

    def begin(self, issuer_id: str, *, return_to: str) -> Begun:
        """Begin a web sign-in.

        Raises:
            NotFound: there is no such issuer.
            Invalid: `return_to` leads elsewhere.
            IdentityAway: the issuer cannot be asked.
        """
        if not is_own_path(return_to):
            raise Invalid("return_to must be a path of this site", field="return_to")
        secret = spell(self.office.randomness(SECRET_BYTES))
        location = self._flow(self._provider(issuer_id), secret).location()
        waiting = Waiting(secret=secret, issuer=issuer_id, begun_at=self._now(), return_to=return_to)
        return Begun(kept=waiting.spelled(), location=location)

    def finish(self, unverified_kept: str, query: Mapping[str, str]) -> Entered:
        """Finish a web sign-in with what the browser kept and what it brought back; each works once.

        Raises:
            IdentityRefused: it is no answer to this browser's sign-in, or its token proves nobody.
            IdentityAway: the issuer cannot be asked.
        """
        waiting = read_waiting(unverified_kept)
        if waiting is None or not timedelta(0) <= self._now() - waiting.begun_at <= BEGUN_LASTS:
            raise IdentityRefused(
                "no sign-in of this browser is waiting, or it took too long",
                rule="a sign-in works once",
                hint="begin again",
            )
        provider = self._provider(waiting.issuer)
        flow = self._flow(provider, waiting.secret)
        answer = flow.redeem(query)
        claims = verify(
            answer.id_token,
            provider=provider,
            kind=TokenKind.IDENTITY,
            audience=provider.issuer.audience,
            now=self._now(),
            nonce=flow.expected_nonce,
            access_token=answer.access_token,
        )
        with self._entering(claims) as tx:
            self._demand_first(tx, claims, waiting.secret)
            principal = self._known(tx, claims, answer.id_token)
            session = self.sessions.open(tx, principal, claims, kind=SessionKind.WEB, token=answer.id_token)
            cookie = self.sessions.cookie(tx, session)
        return Entered(session=session, cookie=cookie, return_to=waiting.return_to)

    def by_device(
        self, issuer_id: str, *, id_token: str, device: DeviceBinding, signature: str, access_token: str | None = None
    ) -> Tokens:
        """Sign a command line in with the ID token that it fetched, whose nonce commits to its device key.

        Args:
            issuer_id: whose token it is.
            id_token: for the issuer's `cli_audience`.
            device: the key, and the random half of the commitment.
            signature: the key's, over `possession_of` the token; base64url.
            access_token: what came with the ID token, to compare with `at_hash`.

        Raises:
            NotFound: there is no such issuer.
            IdentityRefused: the token proves nobody, or not this key's holder.
            IdentityAway: the issuer's keys cannot be had.
        """
        provider = self._provider(issuer_id)
        if provider.issuer.cli_audience is None:
            raise IdentityRefused(f"{issuer_id} signs in no command line", rule=f"issuer {issuer_id}: cli_audience")
        _demand_possession(device, id_token, signature)
        claims = verify(
            id_token,
            provider=provider,
            kind=TokenKind.IDENTITY,
            audience=provider.issuer.cli_audience,
            now=self._now(),
            nonce=devices.nonce_for(key=device.key, random=device.random),
            access_token=access_token,
        )
        with self._entering(claims) as tx:
            principal = self._known(tx, claims, id_token)
            session = self.sessions.open(tx, principal, claims, kind=SessionKind.CLI, token=id_token, device=device)
            return self.sessions.tokens(tx, session)

    def _provider(self, issuer_id: str) -> IdentityProvider:
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
        return self.identities.provider(rules, issuer_id)

    def _flow(self, provider: IdentityProvider, secret: str) -> CodeFlow:
        return CodeFlow(
            provider=provider,
            secret=secret.encode("ascii", "replace"),
            client_id=provider.issuer.audience,
            client_secret=self.identities.client_secrets.get(provider.issuer.id),
            redirect_uri=self.identities.redirect_uri,
        )

    def _now(self) -> datetime:
        with self.office.store.read() as tx:
            return tx.now

    @contextmanager
    def _entering(self, claims: Claims) -> Iterator[Tx]:
        """Let somebody in whom an issuer vouched for; that he may not come in is a fact."""
        try:
            with self.office.store.begin() as tx:
                yield tx
        except IdentityRefused as refusal:
            with self.office.store.begin() as tx:
                tx.record(refused_entry(claims, refusal))
            raise

    def _demand_first(self, tx: Tx, claims: Claims, secret: str) -> None:
        """Demand that a browser's sign-in was not finished before."""
        until = tx.now + 2 * BEGUN_LASTS
        if not tx.show_token(issuer=claims.issuer.id, hashed=hashed(f"sign-in {secret}"), expires_at=until):
            raise IdentityRefused("this sign-in was finished before", rule="a sign-in works once", hint="begin again")

    def _known(self, tx: Tx, claims: Claims, token: str) -> Principal:
        """Return whom the claims name in the directory, and keep what they say of his groups.

        Raises:
            IdentityRefused: nobody, somebody disabled, or the token was shown before.
        """
        issuer = claims.issuer
        roster = self.office.rules.current(tx).roster
        principal = roster.identified(issuer=issuer.id, subject=claims.subject or "")
        if principal is None or not roster.is_active(principal.person):
            raise IdentityRefused(
                f"{issuer.id} knows you as {claims.subject}, and the directory does not, or no longer",
                rule="an unknown subject is nobody",
                hint="have a catalog author propose a principal with this issuer and subject",
            )
        signed, _, _ = token.rpartition(".")  # of one ECDSA signature anybody makes another that verifies as well
        if not tx.show_token(
            issuer=issuer.id, hashed=hashed(signed), expires_at=claims.expires_at + 2 * issuer.max_skew
        ):
            raise IdentityRefused(f"this token of {issuer.id} was shown before", rule="a token signs in once")
        groups = claims.groups()
        if groups is not None:
            self._hear(tx, GroupWord(issuer=issuer.id, person=principal.person, groups=groups, at=claims.issued_at))
        return replace(principal, factors=claims.factors)

    def _hear(self, tx: Tx, word: GroupWord) -> None:
        """Keep an issuer's word on groups unless a newer one is known; a change is a fact."""
        before = tx.group_word(word.issuer, word.person)
        if before is not None and before.at > word.at:
            return
        tx.say_groups(word)
        if before is None or before.groups != word.groups:
            tx.record(GroupsSaid(actor=ACTOR, subject=word.person, issuer=word.issuer, groups=word.groups))


def refused_entry(claims: Claims, refusal: Refused) -> SignInRefused:
    """Return the fact that somebody vouched for may not come in; of what the issuer calls him, a hash."""
    who = hashed(f"{claims.issuer.url}\n{claims.subject}")
    return SignInRefused(actor=ACTOR, subject=claims.issuer.id, issuer=claims.issuer.id, who=who, code=refusal.code)


def _demand_possession(device: DeviceBinding, id_token: str, signature: str) -> None:
    """Demand that who shows the token holds the device key.

    Raises:
        Invalid: naming what is malformed.
        IdentityRefused: the signature is not the key's.
    """
    key = devices.read(device.key, size=devices.KEY_BYTES)
    signed = devices.read(signature, size=SIGNATURE_BYTES)
    if key is None or devices.read(device.random, size=devices.RANDOM_BYTES) is None:
        raise Invalid("device is an Ed25519 public key and 32 random bytes, both base64url", field="device")
    if signed is None or not id_token.isascii():
        raise Invalid("signature is 64 bytes in base64url, over an ASCII token", field="signature")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signed, devices.possession_of(key=device.key, token=id_token))
    except (InvalidSignature, ValueError):
        raise IdentityRefused(
            "the device key did not sign this token", rule="who shows a token holds the key that it is bound to"
        ) from None
