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


class ControlPart(Part):
    """Stops and remembered calls."""

    def stops(self) -> list[Stop]:
        """Return the stops in force."""
        table = schema.stops
        still = sa.or_(table.c.until.is_(None), table.c.until > self.now)
        query = sa.select(table).where(table.c.lifted_at.is_(None), still).order_by(table.c.placed_at)
        return [
            Stop(**{name: row[name] for name in Stop.__dataclass_fields__})
            for row in self._connection.execute(query).mappings()
        ]

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
        """Note the first of two who lift a stop."""
        table = schema.stops
        self._connection.execute(sa.update(table).where(table.c.id == stop.id).values(lift_asked_by=by))

    def remembered(self, principal: str, key: str) -> Remembered | None:
        """Return what an idempotency key was first used for."""
        table = schema.idempotency
        row = self._one(table, sa.and_(table.c.principal == principal, table.c.key == key))
        return None if row is None else Remembered(call=row["call"], body=row["body"], result=row["result"])

    def remember(self, principal: str, key: str, what: Remembered) -> None:
        """Keep what an idempotency key was used for, replacing a use that came to nothing."""
        table = schema.idempotency
        self._connection.execute(sa.delete(table).where(table.c.principal == principal, table.c.key == key))
        row = {"principal": principal, "key": key, "call": what.call, "body": what.body, "result": what.result}
        self._insert(table, row | {"at": self.now})
