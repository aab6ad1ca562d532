"""The passkey page's one act: a ticket carries who asked for it from the terminal to the browser, once and for minutes.

The ticket stands in the link's fragment, which no server sees and no proxy logs. The page exchanges it for another secret that
only its memory holds, so a link that somebody finds later is worth nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from countersign.auditlog.passkeys import Registration
from countersign.domain.envelope import DIGEST_LABEL as ENVELOPE_LABEL
from countersign.domain.ids import PAGE
from countersign.domain.passkey import (
    Assertion,
    Enrolment,
    Passkey,
    Signing,
    Word,
    base64url,
    enrolment_digest,
    envelope_challenge,
    fingerprint,
    proof_challenge,
    registration_challenge,
    removal_challenge,
    review_challenge,
    rules_challenge,
    vouch_challenge,
)
from countersign.domain.people import Principal
from countersign.domain.proposal import DIGEST_LABEL as PROPOSAL_LABEL
from countersign.domain.refusals import Invalid, NotFound, Refused, Unauthenticated
from countersign.domain.request import DIGEST_LABEL
from countersign.domain.review import Decision
from countersign.service.envelopes import Envelopes
from countersign.service.office import Office
from countersign.service.passkeys import Passkeys, demand_signing
from countersign.service.requests import Requests
from countersign.service.rulemaking import Rulemaking
from countersign.service.sessions import hashed, spell
from countersign.store import PageTicket, Tx

GOOD_FOR = timedelta(minutes=5)
SECRET_BYTES = 32
ACTS = ("approve", "enrol", "vouch", "remove", "propose", "adopt", "envelope")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the page shows and has signed.

    Attributes:
        label: what kind of digest it is, for the page to compute it anew from `statement`.
        lines: what it means, for people: name and value.
        allow: the caller's keys, credential id to passkey id.
    """

    secret: str
    act: str
    challenge: str
    rp_id: str
    label: str | None
    statement: Mapping[str, Any] | None
    digest: str | None
    fingerprint: str | None
    lines: tuple[tuple[str, str], ...]
    allow: Mapping[str, str]
    person: str


@dataclass(frozen=True, kw_only=True)
class Ceremonies:
    """Use cases of the passkey page, and of the terminal that waits for it."""

    office: Office
    requests: Requests
    passkeys: Passkeys
    rulemaking: Rulemaking
    envelopes: Envelopes

    def begin(self, principal: Principal, *, act: str, subject: str, wish: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return a ticket's id, the page's address and the ticket itself, shown this once.

        Raises:
            Invalid: no such act, or passkeys are not set up.
        """
        if act not in ACTS:
            raise Invalid(f"act must be one of: {', '.join(ACTS)}", field="act")
        secret = spell(self.office.randomness(SECRET_BYTES))
        with self.office.store.begin() as tx:
            signing = demand_signing(self.office.rules.current(tx))
            ticket = PageTicket(
                id=self.office.new_id(PAGE),
                hash=hashed(secret),
                principal=principal.id,
                act=act,
                subject=subject,
                wish=wish,
                expires_at=tx.now + GOOD_FOR,
                state="new",
            )
            tx.add_page_ticket(ticket)
        return ticket.id, f"{signing.origins[0]}/passkey/{act}/{subject or 'new'}", secret

    def open(self, unverified_ticket: str) -> Task:
        """Spend a ticket, and return what is to be signed and the secret of this one page.

        Raises:
            Unauthenticated: no such ticket, or spent, or over.
            Refused: what is to be signed is not there for the caller.
        """
        secret = spell(self.office.randomness(SECRET_BYTES))
        with self.office.store.begin() as tx:
            ticket, principal = self._admitted(tx, unverified_ticket, state="new")
            opened = replace(ticket, hash=hashed(secret), state="open")
            tx.move_page_ticket(ticket, opened)
        return self._task(principal, opened, secret)

    def finish(self, unverified_secret: str, made: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do the page's act with what the authenticator answered; of an enrolment's first half, return what is to be signed next.

        Raises:
            Unauthenticated: no such page, or over.
            Refused: as the act's own use case says; the page may try again.
        """
        with self.office.store.read() as tx:
            ticket, principal = self._admitted(tx, unverified_secret, state="open")
        try:
            if ticket.act == "enrol" and "attestation_object" in made:
                return self._prepared(principal, ticket, made)
            outcome = self._act(principal, ticket, Assertion.read(made))
        except Refused as refused:
            with self.office.store.begin() as tx:
                said = {"code": refused.code, "detail": refused.detail}
                tx.move_page_ticket(ticket, replace(ticket, outcome=said))
            raise
        with self.office.store.begin() as tx:
            tx.move_page_ticket(ticket, replace(ticket, state="done", outcome=outcome))
        return outcome

    def outcome(self, principal: Principal, ticket_id: str) -> PageTicket:
        """Return what became of one's ticket.

        Raises:
            NotFound: none such, or another's.
        """
        with self.office.store.read() as tx:
            ticket = tx.page_ticket(ticket_id=ticket_id)
            over = ticket is not None and ticket.state != "done" and tx.now >= ticket.expires_at
        if ticket is None or ticket.principal != principal.id:
            raise NotFound("there is no such page for you")
        return replace(ticket, state="over") if over else ticket

    def _admitted(self, tx: Tx, unverified_secret: str, *, state: str) -> tuple[PageTicket, Principal]:
        ticket = tx.page_ticket(hashed=hashed(unverified_secret))
        rules = self.office.rules.current(tx)
        principal = None if ticket is None else rules.directory.principals.get(ticket.principal)
        if ticket is None or ticket.state != state or tx.now >= ticket.expires_at or principal is None:
            raise Unauthenticated("this link was used before, or its time is over", hint="ask for another one")
        if not rules.directory.is_active(principal.person):
            raise Unauthenticated("this link's person is disabled")
        return ticket, principal

    def _signing(self) -> Signing:
        with self.office.store.read() as tx:
            return demand_signing(self.office.rules.current(tx))

    def _allowed(self, principal: Principal) -> dict[str, str]:
        with self.office.store.read() as tx:
            keys = self.office.rules.current(tx).keyring.of(principal.person)
        return {key.credential_id: key.id for key in keys}

    def _task(self, principal: Principal, ticket: PageTicket, secret: str) -> Task:
        task = Task(
            secret=secret,
            act=ticket.act,
            challenge="",
            rp_id=self._signing().rp_id,
            label=None,
            statement=None,
            digest=None,
            fingerprint=None,
            lines=(),
            allow=self._allowed(principal),
            person=principal.person,
        )
        match ticket.act:
            case "approve":
                return self._approval(principal, ticket.subject, task)
            case "enrol":
                challenge = registration_challenge(person=principal.person, said_at=str(ticket.wish["said_at"]))
                return replace(task, challenge=base64url(challenge), lines=(("new key of", principal.person),))
            case "propose" | "adopt":
                return self._rules(principal, ticket, task)
            case "envelope":
                return self._envelope(principal, ticket.subject, task)
            case _:
                return self._word(principal, ticket, task)

    def _approval(self, principal: Principal, request_id: str, task: Task) -> Task:
        request = self.requests.seen(principal, request_id)
        challenge = review_challenge(
            request=request.id, digest=request.digest, decision="approve", approver=principal.person
        )
        lines = (
            ("request", request.id),
            ("who asks", request.person),
            ("for", request.entitlement),
            *((f"with {name}", value) for name, value in sorted(request.parameters.items())),
            ("for so long", f"{int(request.duration.total_seconds())} seconds"),
            ("because", request.reason.text),
        )
        return replace(
            task,
            challenge=base64url(challenge),
            label=DIGEST_LABEL,
            statement=request.statement(),
            digest=request.digest,
            fingerprint=fingerprint(request.digest),
            lines=lines,
        )

    def _word(self, principal: Principal, ticket: PageTicket, task: Task) -> Task:
        view = self.passkeys.passkey(principal, ticket.subject)
        lines = (
            ("key", view.passkey.id),
            ("of", view.passkey.person),
            ("speaks for others", str(view.passkey.vouches)),
        )
        if ticket.act == "remove":
            challenge = removal_challenge(passkey=ticket.subject, remover=principal.person)
            return replace(task, challenge=base64url(challenge), lines=(*lines, ("from now on", "worth nothing")))
        if view.digest is None or view.said_at is None:
            raise NotFound(f"no key {ticket.subject} waits to be enrolled")
        return replace(
            task,
            challenge=base64url(vouch_challenge(enrolment=view.digest, voucher=principal.person)),
            label="countersign/enrolment/v1",
            statement={"passkey": view.passkey.document(), "at": view.said_at},
            digest=view.digest,
            fingerprint=fingerprint(view.digest),
            lines=lines,
        )

    def _rules(self, principal: Principal, ticket: PageTicket, task: Task) -> Task:
        view = self.rulemaking.proposal(principal, ticket.subject)
        proposal = view.proposal
        act = "propose" if ticket.act == "propose" else "approve"
        challenge = rules_challenge(proposal=proposal.id, digest=proposal.digest, act=act, author=principal.person)
        changes = tuple(
            (change.what, f"{change.kind} {change.id}: {', '.join(change.keys)}") for change in view.changes
        )
        return replace(
            task,
            challenge=base64url(challenge),
            label=PROPOSAL_LABEL,
            statement=proposal.statement(),
            digest=proposal.digest,
            fingerprint=fingerprint(proposal.digest),
            lines=(("proposal", proposal.id), ("by", proposal.proposed_by), *changes),
        )

    def _envelope(self, principal: Principal, envelope_id: str, task: Task) -> Task:
        envelope = self.envelopes.envelope(principal, envelope_id).envelope
        challenge = envelope_challenge(envelope=envelope.id, digest=envelope.digest, signer=principal.person)
        statement = envelope.statement()
        return replace(
            task,
            challenge=base64url(challenge),
            label=ENVELOPE_LABEL,
            statement=statement,
            digest=envelope.digest,
            fingerprint=fingerprint(envelope.digest),
            lines=tuple((name.replace("_", " "), str(value)) for name, value in statement.items()),
        )

    def _prepared(self, principal: Principal, ticket: PageTicket, made: Mapping[str, Any]) -> Mapping[str, Any]:
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

    def _act(self, principal: Principal, ticket: PageTicket, assertion: Assertion) -> Mapping[str, Any]:
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
