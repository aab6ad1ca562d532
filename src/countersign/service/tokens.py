"""The gate: it turns what a caller presents into a principal, and nothing else does.

Callers present secrets of a session, which a sign-in opened. The embedded stack has bearer tokens besides, made here, shown once
and kept as hashes; elsewhere they do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import BROKER
from countersign.domain.people import Principal
from countersign.domain.people_facts import TokenIssued, TokenRevoked
from countersign.domain.refusals import Invalid, NotPermitted, Unauthenticated
from countersign.domain.session import TokenUse
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.service.sessions import PREFIXES, Sessions, hashed, spell
from countersign.store import Tx

PREFIX = "cst_"
SECRET_BYTES = 32
ID_BYTES = 10


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Who is calling.

    Attributes:
        tokens_allowed: whether bearer tokens are accepted at all; only the embedded stack says yes.
    """

    office: Office
    tokens_allowed: bool

    def admit(self, unverified_token: str) -> Principal:
        """Return the principal behind a session's access token, or behind a bearer token of the embedded stack.

        Raises:
            Unauthenticated: unknown, withdrawn or over, or its person is disabled or not in the directory.
        """
        if unverified_token.startswith(PREFIXES[TokenUse.ACCESS]):
            return Sessions(office=self.office).admit(unverified_token, use=TokenUse.ACCESS)
        if not self.tokens_allowed:
            raise Unauthenticated(
                "bearer tokens are not accepted here",
                rule="tokens belong to the embedded stack",
                hint="sign in: countersign login",
            )
        with self.office.store.read() as tx:
            principal_id = tx.principal_of_token(hashed(unverified_token))
            rules = self.office.rules.current(tx)
        principal = rules.directory.principals.get(principal_id or "")
        if principal is None or not rules.directory.is_active(principal.person):
            raise Unauthenticated("the token is unknown, withdrawn, or its person is disabled", hint="sign in again")
        return principal

    def admit_browser(self, unverified_cookie: str) -> Principal:
        """Return the principal behind a web session's cookie.

        Raises:
            Unauthenticated: unknown or over, or its person is disabled or not in the directory.
        """
        return Sessions(office=self.office).admit(unverified_cookie, use=TokenUse.COOKIE)

    def issue(self, principal_id: str) -> str:
        """Make a token for a principal, withdrawing those before; the only time that it is shown.

        Raises:
            NotPermitted: tokens do not exist here.
            Invalid: no such principal.
        """
        self._demand_tokens()
        with self.office.store.begin() as tx:
            return self._renew(tx, self.office.rules.current(tx), principal_id, actor=f"{BROKER}/start")

    def rotate(self, principal: Principal) -> str:
        """Replace the caller's own token; nobody rotates another's, or he could act as that person.

        Raises:
            NotPermitted: tokens do not exist here.
        """
        self._demand_tokens()
        with self.office.store.begin() as tx:
            return self._renew(tx, self.office.rules.current(tx), principal.id, actor=principal.person)

    def _demand_tokens(self) -> None:
        if not self.tokens_allowed:
            raise NotPermitted("bearer tokens do not exist here", rule="tokens belong to the embedded stack")

    def _renew(self, tx: Tx, rules: Rules, principal_id: str, *, actor: str) -> str:
        principal = rules.directory.principals.get(principal_id)
        if principal is None or not rules.directory.is_active(principal.person):
            raise Invalid(f"there is no active principal {principal_id[:63]!r}", field="principal")
        for old in tx.revoke_tokens(principal.id):
            tx.record(TokenRevoked(actor=actor, subject=principal.person, principal=principal.id, token=old))
        secret = spell(self.office.randomness(SECRET_BYTES))
        token_id = "tok_" + spell(self.office.randomness(ID_BYTES))
        tx.add_token(token_id=token_id, hashed=hashed(PREFIX + secret), principal=principal.id)
        tx.record(TokenIssued(actor=actor, subject=principal.person, principal=principal.id, token=token_id))
        return PREFIX + secret
