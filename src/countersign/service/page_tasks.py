"""What the passkey page shows before it has anything signed: for each act its words, its digest and its challenge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from countersign.domain.envelope import DIGEST_LABEL as ENVELOPE_LABEL
from countersign.domain.passkey import (
    Signing,
    base64url,
    envelope_challenge,
    fingerprint,
    registration_challenge,
    removal_challenge,
    review_challenge,
    rules_challenge,
    vouch_challenge,
)
from countersign.domain.people import Principal
from countersign.domain.proposal import DIGEST_LABEL as PROPOSAL_LABEL
from countersign.domain.refusals import NotFound
from countersign.domain.request import DIGEST_LABEL
from countersign.service.envelopes import Envelopes
from countersign.service.office import Office
from countersign.service.passkeys import Passkeys, demand_signing
from countersign.service.requests import Requests
from countersign.service.rulemaking import Rulemaking
from countersign.store import PageTicket


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
class Tasks:
    """Makes a ticket's task from the use cases that it is about."""

    office: Office
    requests: Requests
    passkeys: Passkeys
    rulemaking: Rulemaking
    envelopes: Envelopes

    def task(self, principal: Principal, ticket: PageTicket, secret: str) -> Task:
        """Return what a ticket's page shows.

        Args:
            principal: whose ticket it is.
            ticket: what the page is for.
            secret: what the page proves itself with.

        Raises:
            Refused: what is to be signed is not there for him.
        """
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

    def _signing(self) -> Signing:
        with self.office.store.read() as tx:
            return demand_signing(self.office.rules.current(tx))

    def _allowed(self, principal: Principal) -> dict[str, str]:
        with self.office.store.read() as tx:
            keys = self.office.rules.current(tx).keyring.of(principal.person)
        return {key.credential_id: key.id for key in keys}

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
