"""Stops and idempotency keys within a transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from countersign.domain.refusals import Conflict
from countersign.store import schema
from countersign.store.unit.part import Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """A stop in force: of everything, or of one person, entitlement or provider.

    Attributes:
        until: when it ends by itself, which makes it a lock; None for one that somebody has to lift.
        lift_asked_by: the first of the two who lift it, where two must.
    """

    id: str
    scope: str
    target: str | None
    placed_by: str
    placed_at: datetime
    until: datetime | None = None
    lift_asked_by: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """What an idempotency key was first used for."""

    call: str
    body: str
    result: str


# Built once, as every draw asks.
_STOPS = (
    sa.select(schema.stops)
    .where(
        schema.stops.c.lifted_at.is_(None),
        sa.or_(schema.stops.c.until.is_(None), schema.stops.c.until > sa.bindparam("now")),
    )
    .order_by(schema.stops.c.placed_at)
)


class ControlPart(Part):
    """Stops and remembered calls."""

    def stops(self) -> list[Stop]:
        """Return the stops in force."""
        found = self._connection.execute(_STOPS, {"now": self.now}).mappings()
        return [Stop(**{name: row[name] for name in Stop.__dataclass_fields__}) for row in found]

    def add_stop(self, stop: Stop) -> None:
        """Place a stop."""
        values = {name: getattr(stop, name) for name in Stop.__dataclass_fields__}
        self._insert(schema.stops, values | {"lifted_by": None, "lifted_at": None})

    def lift_stop(self, stop: Stop, *, by: str) -> None:
        """Lift a stop.

        Raises:
            Conflict: it is lifted already.
        """
        table = schema.stops
        query = sa.update(table).where(table.c.id == stop.id, table.c.lifted_at.is_(None))
        if self._connection.execute(query.values(lifted_by=by, lifted_at=self.now)).rowcount != 1:
            raise Conflict(f"{stop.id} is lifted already")

    def ask_to_lift(self, stop: Stop, *, by: str) -> None:
        """Note the first of two who lift a stop.

        Raises:
            Conflict: somebody else was the first, or it is lifted.
        """
        table = schema.stops
        query = sa.update(table).where(
            table.c.id == stop.id, table.c.lift_asked_by.is_(None), table.c.lifted_at.is_(None)
        )
        if self._connection.execute(query.values(lift_asked_by=by)).rowcount != 1:
            raise Conflict(f"somebody else asked to lift {stop.id} at the same moment", hint="lift it, as the second")

    def remembered(self, principal: str, key: str) -> Remembered | None:
        """Return what an idempotency key was first used for."""
        row = self._keyed(schema.idempotency, principal=principal, key=key)
        return None if row is None else Remembered(call=row["call"], body=row["body"], result=row["result"])

    def remember(self, principal: str, key: str, what: Remembered) -> None:
        """Keep what an idempotency key was used for, replacing a use that came to nothing."""
        table = schema.idempotency
        self._connection.execute(sa.delete(table).where(table.c.principal == principal, table.c.key == key))
        row = {"principal": principal, "key": key, "call": what.call, "body": what.body, "result": what.result}
        self._insert(table, row | {"at": self.now})
