"""What two halves that run apart tell each other, within a transaction: orders, what came of them, and who is at work."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from countersign.store.order_tables import draw_orders, issuing_processes
from countersign.store.unit.part import Part

FORGOTTEN_AFTER = timedelta(hours=1)


class OrderState(StrEnum):
    """How far a draw order has come."""

    ASKED = "asked"
    CLAIMED = "claimed"
    SERVED = "served"
    REFUSED = "refused"
    TAKEN = "taken"
    UNDELIVERED = "undelivered"
    OVER = "over"


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """A draw order as it lies between the halves; nobody believes it for lying there.

    Attributes:
        session: whose identity proof bears it out, as the half that faces people says.
        key: the caller's idempotency key.
        sealed: what only the orderer opens, base64; gone once it is taken.
        refusal: why nothing came of it.
    """

    id: str
    said: Mapping[str, Any]
    signature: str
    session: str
    key: str | None
    state: OrderState
    asked_at: datetime
    lease: str | None = None
    sealed: str | None = None
    refusal: Mapping[str, Any] | None = None


class OrdersPart(Part):
    """Orders, and the issuing processes that are at work."""

    def post_order(self, *, order: str, said: Mapping[str, Any], signature: str, session: str, key: str | None) -> None:
        """Put an order where an issuing process finds it.

        Raises:
            Conflict: when the transaction ends, if the same order was posted before.
        """
        row = {"id": order, "said": dict(said), "signature": signature, "session": session, "key": key}
        self._insert(draw_orders, row | {"state": OrderState.ASKED.value, "asked_at": self.now, "moved_at": self.now})

    def posted_order(self, order: str) -> Posted | None:
        """Return an order, None if it is not there."""
        row = self._one(draw_orders, draw_orders.c.id == order)
        return None if row is None else _posted(row)

    def claim_orders(self, *, limit: int) -> list[Posted]:
        """Return orders that nobody serves yet, which are the caller's to serve from now on."""
        return self._moved_orders(draw_orders.c.state == OrderState.ASKED, OrderState.CLAIMED, limit)

    def undelivered_orders(self, *, since: datetime, limit: int) -> list[Posted]:
        """Return orders whose credential reached nobody, or was not taken in time; they are over."""
        table = draw_orders
        late = sa.and_(table.c.state == OrderState.SERVED, table.c.moved_at < since)
        return self._moved_orders(sa.or_(late, table.c.state == OrderState.UNDELIVERED), OrderState.OVER, limit)

    def move_order(
        self,
        order: str,
        before: Collection[OrderState],
        after: OrderState,
        *,
        lease: str | None = None,
        sealed: str | None = None,
        refusal: Mapping[str, Any] | None = None,
    ) -> bool:
        """Move an order on; False when it is in none of the states before."""
        table = draw_orders
        values: dict[str, Any] = {"state": after.value, "moved_at": self.now, "sealed": sealed}
        values |= {} if lease is None else {"lease": lease}
        values |= {} if refusal is None else {"refusal": dict(refusal)}
        here = sa.and_(table.c.id == order, table.c.state.in_([each.value for each in before]))
        return self._connection.execute(sa.update(table).where(here).values(**values)).rowcount == 1

    def order_of_lease(self, lease: str) -> str | None:
        """Return the order that a lease came of."""
        query = sa.select(draw_orders.c.id).where(draw_orders.c.lease == lease)
        found: str | None = self._connection.execute(query).scalars().first()
        return found

    def forget_orders(self, *, before: datetime) -> None:
        """Forget orders that are long over, whatever came of them."""
        self._connection.execute(sa.delete(draw_orders).where(draw_orders.c.moved_at < before))

    def see_issuing_process(self, name: str) -> None:
        """Note that an issuing process is at work now, and forget those that have not been for long."""
        table = issuing_processes
        over = sa.or_(table.c.name == name, table.c.seen_at < self.now - FORGOTTEN_AFTER)
        self._connection.execute(sa.delete(table).where(over))
        self._insert(table, {"name": name, "seen_at": self.now})

    def issuing_process_seen_at(self) -> datetime | None:
        """Return when an issuing process was last at work; None if none was lately."""
        seen: datetime | None = self._connection.execute(sa.select(sa.func.max(issuing_processes.c.seen_at))).scalar()
        return seen

    def _moved_orders(self, which: sa.ColumnElement[bool], after: OrderState, limit: int) -> list[Posted]:
        table = draw_orders
        query = self._skip_locked(sa.select(table).where(which).order_by(table.c.asked_at).limit(limit))
        found = [_posted(row) for row in self._connection.execute(query).mappings()]
        if found:
            moved = sa.update(table).where(table.c.id.in_([each.id for each in found]))
            self._connection.execute(moved.values(state=after.value, moved_at=self.now, sealed=None))
        return found


def _posted(row: Mapping[str, Any] | sa.RowMapping) -> Posted:
    values = {name: row[name] for name in Posted.__dataclass_fields__}
    return Posted(**values | {"state": OrderState(values["state"])})
