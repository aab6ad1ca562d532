"""The passkey page's one act: a ticket carries who asked for it from the terminal to the browser, once and for minutes.

The ticket stands in the link's fragment, which no server sees and no proxy logs. The page exchanges it for another secret that
only its memory holds, so a link that somebody finds later is worth nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from countersign.domain.ids import PAGE
from countersign.domain.passkey import Assertion
from countersign.domain.people import Principal
from countersign.domain.refusals import Invalid, NotFound, Refused, Unauthenticated
from countersign.service.office import Office
from countersign.service.page_acts import Acts
from countersign.service.page_tasks import Task, Tasks
from countersign.service.passkeys import demand_signing
from countersign.service.sessions import hashed, spell
from countersign.store import PageTicket, Tx

GOOD_FOR = timedelta(minutes=5)
SECRET_BYTES = 32
ACTS = ("approve", "enrol", "vouch", "remove", "propose", "adopt", "envelope")


@dataclass(frozen=True, kw_only=True)
class Ceremonies:
    """Use cases of the passkey page, and of the terminal that waits for it."""

    office: Office
    tasks: Tasks
    acts: Acts

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
        return self.tasks.task(principal, opened, secret)

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
                return self.acts.prepared(principal, ticket, made)
            outcome = self.acts.act(principal, ticket, Assertion.read(made))
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
