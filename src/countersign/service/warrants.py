"""Warrants: what the issuing half found out by itself about who orders, before it draws on his word.

Everything in an order, and in the rows that are to bear it out, was written by a half that may be in other hands. So the issuer's
signature over the sign-in is verified anew with keys fetched here, for a client that only a command line on the person's own
machine can be; the nonce in it must commit to the device key; and that key must have signed the order, a moment ago.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.domain import device as devices
from countersign.domain.grant import Grant
from countersign.domain.issuer import GroupWord, Issuer
from countersign.domain.order import SIGNATURE_BYTES, DrawOrder, NotAnOrder, read_order
from countersign.domain.order_facts import OrderAccepted
from countersign.domain.order_refusals import ApprovalUnsigned, OrderVoid, RulesUnsigned
from countersign.domain.people import Principal
from countersign.domain.refusals import Conflict
from countersign.domain.request import Request
from countersign.domain.session import LASTS, SessionKind
from countersign.identity import Claims, verify_kept
from countersign.service.identities import Identities
from countersign.service.judgement import Judged
from countersign.service.memory import LogMemory
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.service.signatures import is_required
from countersign.service.witnessed_words import Kept, read_kept, words_of
from countersign.store import Posted, Tx

SIGN_IN_LASTS = LASTS[SessionKind.CLI]


@dataclass(frozen=True, kw_only=True)
class Warrant:
    """An order that its requester gave, as found out here.

    Attributes:
        claims: what his identity issuer signed of him, for the device that signed the order.
        proof: sha256 of what he signed, that token less its signature.
        words: what issuers signed of the groups of everybody who matters to the request.
        issuers: the identity issuers by which all this was judged.
    """

    order: DrawOrder
    claims: Claims
    proof: str
    session: str
    words: tuple[GroupWord, ...]
    issuers: Mapping[str, Issuer]

    def holder(self, rules: Rules) -> Principal:
        """Return who orders, by the countersigned directory.

        Raises:
            OrderVoid: it knows him not, or no longer.
        """
        found = rules.roster.identified(issuer=self.claims.issuer.id, subject=self.claims.subject or "")
        if found is None or not found.human or not rules.roster.is_active(found.person):
            raise OrderVoid(
                "the directory knows nobody who could have ordered this", rule="an unknown subject is nobody"
            )
        return replace(found, factors=self.claims.factors, session=self.session)

    def grounds(self, tx: Tx, rules: Rules, memory: LogMemory) -> Rules:
        """Return the rules as far as they rest on nothing that the other half wrote.

        Raises:
            RulesUnsigned: they are not signed from the pinned genesis on.
            OrderVoid: the order was served before, or its sign-in has ended.
            Conflict: identity issuers were changed in this moment.
        """
        if not rules.signed:
            raise RulesUnsigned(
                "the rules are not signed from the first on, so nobody can tell them from forged ones",
                rule="two halves: trust.signing.signed_rules = true in the pinned genesis",
            )
        if rules.catalog.trust.issuers != self.issuers:
            raise Conflict("the identity issuers were changed at this moment", hint="draw again")
        if self.order.id in memory.recent or tx.facts(subject=self.order.id, type_=OrderAccepted.type, limit=1):
            raise OrderVoid("this order was served before", rule="an order is good once", hint="draw again")
        if self.proof in memory.recent:
            raise OrderVoid("the sign-in behind this order has ended", hint="countersign login")
        return replace(rules, words=self.words, authors=rules.borne)

    def judge(self, tx: Tx, grant: Grant, request: Request, judged: Judged) -> None:
        """Demand that the order means what is about to be drawn, and that its approvals are signatures.

        Raises:
            OrderVoid: it means something else.
            ApprovalUnsigned: the approvals are rows that anybody with the database can write.
        """
        if (self.order.grant, self.order.digest) != (grant.id, request.digest):
            raise OrderVoid(
                f"the order is for another request than the one of {grant.id}",
                rule="what was ordered is what is drawn",
                hint="draw again",
            )
        if not is_required(judged.entitlement) and tx.automatic_approval(request.id) is None:
            raise ApprovalUnsigned(
                f"approvals of {judged.entitlement.id} are not signed, and in two halves no others count",
                rule=f'entitlement {judged.entitlement.id}: signature = "{judged.entitlement.signature}"',
                hint='have its owner ask for signatures (signature = "required"), and submit the request again',
            )

    def accepted(self, principal: Principal, lease: str) -> OrderAccepted:
        """Return the fact that a lease was begun on it."""
        return OrderAccepted(
            actor=principal.person,
            subject=self.order.id,
            principal=principal.id,
            grant=self.order.grant,
            lease=lease,
            digest=self.order.digest,
            device=self.order.device,
            proof=self.proof,
            seal_to=self.order.seal_to,
        )


@dataclass(frozen=True, kw_only=True)
class Warrants:
    """Finds out whether an order is what it says.

    Attributes:
        identities: reaches the identity issuers that the countersigned catalog names.
        memory: of the log.
    """

    office: Office
    identities: Identities
    memory: LogMemory

    def judged(self, posted: Posted) -> tuple[Warrant, Principal]:
        """Return a warrant for an order, and who holds it.

        Raises:
            OrderVoid: it is not its requester's own word, given just now.
            IdentityRefused: the token behind it proves nobody, or another device.
            IdentityAway: the issuer's keys cannot be had.
        """
        with self.office.store.read() as tx:
            rules, now = self.memory.judged(self.office.rules.current(tx)), tx.now
            order = _fresh(posted, now)
            proof, session = tx.identity_proof(posted.session), tx.session(posted.session)
            kept = read_kept(tx, rules, _persons(tx, order.grant))
        _demand_signed(order, posted.signature)
        issuer = None if proof is None else rules.catalog.trust.issuers.get(proof.issuer)
        if proof is None or issuer is None or issuer.cli_audience is None or proof.device_key != order.device:
            raise OrderVoid(
                "no sign-in of a command line bears this order's device out",
                rule="a device is bound to a person by his issuer's signature",
                hint="countersign login",
            )
        if session is None or session.ended_at is not None:
            raise OrderVoid("the session behind this order has ended", hint="countersign login")
        token = f"{proof.signed}.{proof.signature}"
        claims = verify_kept(
            token,
            provider=self.identities.provider(rules, issuer.id),
            audience=issuer.cli_audience,
            now=now,
            within=SIGN_IN_LASTS,
            nonce=devices.nonce_for(key=order.device, random=proof.random or ""),
        )
        warrant = Warrant(
            order=order,
            claims=claims,
            proof=hashlib.sha256(proof.signed.encode("ascii", "replace")).hexdigest(),
            session=posted.session,
            words=self._words(rules, kept, now=now),
            issuers=rules.catalog.trust.issuers,
        )
        return warrant, warrant.holder(rules)

    def _words(self, rules: Rules, kept: Iterable[Kept], *, now: datetime) -> tuple[GroupWord, ...]:
        return words_of(kept, provider=lambda name: self.identities.provider(rules, name), now=now)


def _fresh(posted: Posted, now: datetime) -> DrawOrder:
    try:
        order = read_order(posted.said)
    except NotAnOrder as error:
        raise OrderVoid(f"that is no draw order: {error}", rule="a draw order has one form") from error
    if order.id != posted.id:
        raise OrderVoid("the order bears another order's name", rule="an order is named by what it says")
    order.demand_fresh(now)
    return order


def _demand_signed(order: DrawOrder, signature: str) -> None:
    key, signed = devices.read(order.device, size=devices.KEY_BYTES), devices.read(signature, size=SIGNATURE_BYTES)
    try:
        Ed25519PublicKey.from_public_bytes(key or b"").verify(signed or b"", order.signed())
    except (InvalidSignature, ValueError):
        raise OrderVoid("its device did not sign this order", rule="an order is signed by the device in it") from None


def _persons(tx: Tx, grant_id: str) -> frozenset[str]:
    """Return everybody whose groups may matter to a grant: who asked, who is behind it, who signed."""
    grant = tx.grant(grant_id)
    request = None if grant is None else tx.request(grant.request_id)
    if request is None:
        return frozenset()
    signed = {review.person for review in tx.reviews(request.id)}
    if request.emergency is not None and request.emergency.envelope is not None:
        signed |= {signature.person for signature in tx.signatures(request.emergency.envelope)}
    return frozenset({request.person, *request.behind, *signed})
