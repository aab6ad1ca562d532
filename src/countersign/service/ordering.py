"""Drawing from the half that faces people, when the issuing half is a process of its own: an order goes, a sealed answer comes.

This half only carries. What it brings is opened by the requester's one-time key alone, and it could order nothing by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from countersign.domain.lease import Lease
from countersign.domain.order_refusals import IssuerAway, OrderRequired, OrderVoid
from countersign.domain.people import Principal
from countersign.domain.refusals import Conflict, Refused
from countersign.service.draws import Handed, SignedOrder
from countersign.service.office import Office
from countersign.store import OrderState, Posted

CLAIMED_WITHIN_S = 8.0
SERVED_WITHIN_S = 26.0
"""Less than a caller waits. Providers take ten seconds at each of two steps at the most."""
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, kw_only=True)
class SealedDraw:
    """What comes of an order: for the requester's one-time key, and opaque to everybody on the way."""

    order: str
    lease: Lease
    sealed: str

    @property
    def lease_id(self) -> str:
        """Which lease it is of."""
        return self.lease.id

    def document(self) -> dict[str, Any]:
        """Return what the requester gets, as plain JSON; what is true of the lease stands inside."""
        return {
            "lease": self.lease.handed(),
            "credential": {"kind": "sealed", "order": self.order, "sealed": self.sealed},
        }


@dataclass(frozen=True, kw_only=True)
class DrawsApart:
    """Posts orders to the issuing half, and waits for what comes of them.

    Attributes:
        monotonic: seconds on a clock that nobody can set.
        sleep: waits so many seconds.
    """

    office: Office
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def draw(
        self, principal: Principal, grant_id: str, *, key: str | None = None, signed: SignedOrder | None = None
    ) -> Handed:
        """Have a grant redeemed by the issuing half.

        Raises:
            OrderRequired: there is no order, or nobody's device could have signed one.
            OrderVoid: it is for another grant, or was given before.
            IssuerAway: the issuing half does not answer in time.
            Refused: it refuses, with its code.
        """
        if signed is None or principal.session is None:
            raise OrderRequired(
                "whoever issues here believes the requester's own device alone, and this call bears no order of it",
                rule="two halves: a draw takes an order that the requester's device signed",
                hint="sign in by a browser with: countersign login, and draw with: countersign draw",
            )
        if signed.order.grant != grant_id:
            raise OrderVoid("the order is for another grant", rule="what was ordered is what is drawn")
        self._post(signed, session=principal.session, key=key)
        posted = self._answered(signed.order.id)
        with self.office.store.read() as tx:
            lease = None if posted.lease is None else tx.lease(posted.lease)
        if posted.state is not OrderState.SERVED or lease is None or posted.sealed is None:
            raise _refusal(posted.refusal or {})
        return SealedDraw(order=posted.id, lease=lease, sealed=posted.sealed)

    def undelivered(self, lease_id: str) -> None:
        """Tell the issuing half that what it made reached nobody."""
        with self.office.store.begin() as tx:
            order = tx.order_of_lease(lease_id)
            if order is not None:
                tx.move_order(order, {OrderState.TAKEN, OrderState.SERVED}, OrderState.UNDELIVERED)

    def _post(self, signed: SignedOrder, *, session: str, key: str | None) -> None:
        order = signed.order
        try:
            with self.office.store.begin() as tx:
                order.demand_fresh(tx.now)  # what the other half would take for somebody's attempt is not passed on
                tx.post_order(
                    order=order.id, said=order.statement(), signature=signed.signature, session=session, key=key
                )
        except Conflict:
            raise OrderVoid("this order was given before", rule="an order is good once", hint="draw again") from None

    def _answered(self, order: str) -> Posted:
        """Wait for what comes of an order, and take it; what comes too late is taken back by the issuing half."""
        began = self.monotonic()
        while True:
            with self.office.store.read() as tx:
                posted = tx.posted_order(order)
            if posted is None or posted.state in {OrderState.REFUSED, OrderState.OVER}:
                break
            if posted.state is OrderState.SERVED and self._move(order, OrderState.SERVED, OrderState.TAKEN):
                return posted
            waited = self.monotonic() - began
            if waited > CLAIMED_WITHIN_S and self._move(order, OrderState.ASKED, OrderState.OVER):
                break
            if waited > SERVED_WITHIN_S:
                self._move(order, OrderState.SERVED, OrderState.UNDELIVERED)
                break
            self.sleep(LOOK_EVERY_S)
        if posted is not None and posted.state is OrderState.REFUSED:
            return posted
        raise IssuerAway(
            "the half that issues did not answer in time; no credential is left standing",
            hint="draw again in a while; if it stays, tell the operator (countersign alive, on the issuer's machine)",
        )

    def _move(self, order: str, before: OrderState, after: OrderState) -> bool:
        with self.office.store.begin() as tx:
            return tx.move_order(order, {before}, after)


def _refusal(said: Mapping[str, Any]) -> Refused:
    """Return what the issuing half said as the refusal that it was."""
    known = {kind.code: kind for kind in _kinds(Refused) if kind is not Refused}
    kind = known.get(str(said.get("code")), IssuerAway)
    parts = {name: str(said[name]) for name in ("rule", "hint", "field") if said.get(name) is not None}
    return kind(str(said.get("detail", "the half that issues refused without a reason")), **parts)


def _kinds(base: type[Refused]) -> list[type[Refused]]:
    return [base, *(each for kind in base.__subclasses__() for each in _kinds(kind))]
