"""What the passkey page does once somebody has signed: each act is passed to the use case that it is one of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from countersign.auditlog.passkeys import Registration
from countersign.domain.passkey import (
    Assertion,
    Enrolment,
    Passkey,
    Word,
    base64url,
    enrolment_digest,
    fingerprint,
    proof_challenge,
)
from countersign.domain.people import Principal
from countersign.domain.refusals import Invalid
from countersign.domain.review import Decision
from countersign.service.envelopes import Envelopes
from countersign.service.office import Office
from countersign.service.passkeys import Passkeys
from countersign.service.requests import Requests
from countersign.service.rulemaking import Rulemaking
from countersign.store import PageTicket


@dataclass(frozen=True, kw_only=True)
class Acts:
    """Does a ticket's act through the use cases that it is about."""

    office: Office
    requests: Requests
    passkeys: Passkeys
    rulemaking: Rulemaking
    envelopes: Envelopes

    def prepared(self, principal: Principal, ticket: PageTicket, made: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take a key that was made, and return what it has to sign next.

        Raises:
            Refused: as `Passkeys.prepare` says.
        """
        registration = Registration(
            client_data=str(made.get("client_data")),
            attestation_object=str(made.get("attestation_object")),
            said_at=str(ticket.wish["said_at"]),
            vouches=bool(ticket.wish.get("vouches", False)),
        )
        passkey = self.passkeys.prepare(principal, registration)
        digest = enrolment_digest(passkey, registration.said_at)
        with self.office.store.begin() as tx:
            kept = {**ticket.wish, "passkey": passkey.document()}
            tx.move_page_ticket(ticket, replace(ticket, wish=kept))
        return {
            "next": {
                "challenge": base64url(proof_challenge(digest)),
                "credential_id": passkey.credential_id,
                "passkey": passkey.id,
                "fingerprint": fingerprint(digest),
            }
        }

    def act(self, principal: Principal, ticket: PageTicket, assertion: Assertion) -> Mapping[str, Any]:
        """Do what a ticket is for with the signature, and return what came of it.

        Raises:
            Refused: as the act's own use case says.
        """
        if ticket.act == "approve":
            request = self.requests.seen(principal, ticket.subject)
            reviewed = self.requests.review(
                principal,
                request.id,
                decision=Decision.APPROVE,
                digest=request.digest,
                comment=ticket.wish.get("comment"),
                signature=assertion,
            )
            return {"id": reviewed.id, "state": reviewed.state.value}
        if ticket.act in {"propose", "adopt"}:
            digest = self.rulemaking.proposal(principal, ticket.subject).proposal.digest
            act = self.rulemaking.sign if ticket.act == "propose" else self.rulemaking.approve
            proposal = act(principal, ticket.subject, digest=digest, signature=assertion).proposal
            return {"id": proposal.id, "state": "signed" if ticket.act == "propose" else proposal.state.value}
        if ticket.act == "envelope":
            digest = self.envelopes.envelope(principal, ticket.subject).envelope.digest
            signed = self.envelopes.sign(principal, ticket.subject, digest=digest, assertion=assertion)
            return {"id": signed.envelope.id, "state": signed.state}
        if ticket.act == "enrol":
            if "passkey" not in ticket.wish:
                raise Invalid("make the key first", field="attestation_object")
            passkey = Passkey.read(ticket.wish["passkey"])
            enrolment = Enrolment(passkey=passkey, said_at=str(ticket.wish["said_at"]), proof=assertion)
            view = self.passkeys.propose(principal, enrolment)
        else:
            word = Word(person=principal.person, assertion=assertion)
            if ticket.act == "vouch":
                view = self.passkeys.vouch(principal, ticket.subject, word)
            else:
                reason = str(ticket.wish.get("reason", "no longer used"))
                view = self.passkeys.remove(principal, ticket.subject, word, reason=reason)
        return {"id": view.passkey.id, "state": view.state}
