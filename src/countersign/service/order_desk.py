"""The issuing half's own desk: takes orders, finds out whose they are, draws, and seals what came of it to the orderer's key."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog

from countersign.domain.facts import BROKER
from countersign.domain.order import seal_context
from countersign.domain.order_facts import OrderRefused
from countersign.domain.order_refusals import IssuerAway, OrderVoid
from countersign.domain.refusals import LogRewound, LogUnavailable, Refused
from countersign.domain.signin_refusals import IdentityRefused
from countersign.service.issuer import Drawn, Issuer
from countersign.service.office import Office
from countersign.service.sealed import NotSealed, seal
from countersign.service.warrants import Warrant, Warrants
from countersign.store import OrderState, Posted

logger = structlog.get_logger(__name__)

AT_ONCE = 32
TAKEN_WITHIN = timedelta(seconds=10)
"""A sealed credential that nobody took by then is revoked, and the draw given back."""
KEPT_FOR = timedelta(minutes=10)
ACTOR = f"{BROKER}/orders"
LONGEST_GRANT = 63


@dataclass(frozen=True, kw_only=True)
class OrderDesk:
    """Serves draw orders.

    Attributes:
        hands: serve one order each.
    """

    office: Office
    warrants: Warrants
    issuer: Issuer
    hands: Executor

    def serve_waiting(self) -> list[Future[None]]:
        """Set hands to work on the orders that nobody serves yet; return the work begun."""
        with self.office.store.begin() as tx:
            claimed = tx.claim_orders(limit=AT_ONCE)
        return [self.hands.submit(self._serve, posted) for posted in claimed]

    def tidy(self) -> None:
        """Take back what reached nobody, forget what is over, and remember the log as it has grown."""
        with suppress(LogRewound):  # it is told aloud there, and refuses every draw
            self._remember()
        with self.office.store.begin() as tx:
            lost = tx.undelivered_orders(since=tx.now - TAKEN_WITHIN, limit=AT_ONCE)
            tx.forget_orders(before=tx.now - KEPT_FOR)
        for posted in lost:
            if posted.lease is not None:
                logger.warning("a credential did not reach its requester and is revoked", lease=posted.lease)
                self.issuer.undelivered(posted.lease)

    def _remember(self) -> None:
        """Read what the log grew by, so that an end which somebody hides a second later is known all the same."""
        memory = self.warrants.memory
        memory.wake(self.office.store)
        with self.office.store.begin() as tx:  # a view of its own could be older than what a draw has read meanwhile
            memory.demand_growth(tx)
        memory.keep()

    def _serve(self, posted: Posted) -> None:
        try:
            warrant, drawn = self._drawn(posted)
        except Refused as refusal:
            self._answer(posted, refusal)
        except Exception as fault:  # the outermost handler of a hand: the caller is told, and others are served
            logger.exception("an order could not be served", order=posted.id)
            self._answer(posted, IssuerAway(f"a fault of the half that issues: {type(fault).__name__}"))
        else:
            self._hand_over(posted, warrant, drawn)

    def _drawn(self, posted: Posted) -> tuple[Warrant, Drawn]:
        try:
            warrant, principal = self.warrants.judged(posted)
        except (OrderVoid, IdentityRefused) as refusal:
            self._tell(posted, refusal)
            raise
        return warrant, self.issuer.draw(principal, warrant.order.grant, key=posted.key, warrant=warrant)

    def _hand_over(self, posted: Posted, warrant: Warrant, drawn: Drawn) -> None:
        """Put what came of an order where it is taken, sealed; what cannot be handed over is revoked."""
        handed = False
        context = seal_context(order=posted.id, lease=drawn.lease.id, grant=drawn.lease.grant_id)
        try:
            sealed = seal(drawn.document(), to=warrant.order.seal_to, context=context)
            with self.office.store.begin() as tx:
                claimed = {OrderState.CLAIMED}
                handed = tx.move_order(posted.id, claimed, OrderState.SERVED, lease=drawn.lease.id, sealed=sealed)
        except (NotSealed, Refused) as trouble:
            logger.warning("a credential could not be handed over", lease=drawn.lease.id, why=type(trouble).__name__)
        if not handed:
            self.issuer.undelivered(drawn.lease.id)
            self._answer(posted, OrderVoid("what came of the order could not be handed over", hint="draw again"))

    def _tell(self, posted: Posted, refusal: Refused) -> None:
        """Record an order that proves nobody."""
        grant = str(posted.said.get("grant", ""))[:LONGEST_GRANT]
        logger.warning("an order proves nobody", order=posted.id, code=refusal.code, why=refusal.detail)
        with self.office.store.begin() as tx:
            tx.record(OrderRefused(actor=ACTOR, subject=posted.id, grant=grant, code=refusal.code))

    def _answer(self, posted: Posted, refusal: Refused) -> None:
        said = {
            "code": refusal.code,
            "detail": refusal.detail,
            "rule": refusal.rule,
            "hint": refusal.hint,
            "field": refusal.field,
        }
        with (
            suppress(LogUnavailable),
            self.office.store.begin() as tx,
        ):  # then the other half waits no longer than it does
            tx.move_order(posted.id, {OrderState.CLAIMED}, OrderState.REFUSED, refusal=said)
