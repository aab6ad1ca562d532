"""Leases within a transaction: who holds what, and how it moves on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from countersign.domain.lease import Lease, LeaseState
from countersign.store import rows, schema
from countersign.store.unit.part import Part

ASKED_AT_ONCE = 500


# Built once, as every draw asks.
_OVERDUE = sa.select(sa.func.count()).select_from(schema.leases).where(schema.IS_OVERDUE)
_OVERDUE_AT = _OVERDUE.where(schema.leases.c.target_id == sa.bindparam("target"))


class LeasesPart(Part):
    """Leases."""

    def add_lease(self, lease: Lease) -> None:
        """Keep a new lease."""
        self._insert(schema.leases, rows.lease_row(lease))

    def lease(self, lease_id: str) -> Lease | None:
        """Return a lease."""
        row = self._keyed(schema.leases, id=lease_id)
        return None if row is None else rows.to_lease(row)

    def deaths(self, lease_ids: Iterable[str]) -> dict[str, datetime | None]:
        """Return, of those of these leases that were ever ordered, when each was seen dead; None for those that were not."""
        table = schema.leases
        found: dict[str, datetime | None] = {}
        waiting = iter(sorted(lease_ids))
        while some := list(islice(waiting, ASKED_AT_ONCE)):
            query = sa.select(table.c.id, table.c.dead_at).where(table.c.id.in_(some))
            found.update((lease_id, dead_at) for lease_id, dead_at in self._connection.execute(query))
        return found

    def move_lease(self, before: Lease, after: Lease) -> None:
        """Write a lease.

        Raises:
            Conflict: it is no longer as `before` was read; whoever moved it since has the say.
        """
        self.move_leases([(before, after)])

    def move_leases(self, moves: Iterable[tuple[Lease, Lease]]) -> None:
        """Write many leases at once.

        Raises:
            Conflict: one of them is no longer as it was read; the transaction must not be committed.
        """
        self._move_all(schema.leases, [(before, rows.lease_changes(before, after)) for before, after in moves])

    def leases(
        self,
        *,
        grant_id: str | None = None,
        person: str | None = None,
        entitlements: Iterable[str] | None = None,
        states: Sequence[LeaseState] | None = None,
        before: str | None = None,
        limit: int = 1000,
    ) -> list[Lease]:
        """Return leases, newest first."""
        table = schema.leases
        query = sa.select(table).order_by(table.c.prepared_at.desc(), table.c.id.desc()).limit(limit)
        if grant_id is not None:
            query = query.where(table.c.grant_id == grant_id)
        mine = [] if person is None else [table.c.person == person]
        if entitlements is not None:
            mine.append(table.c.entitlement.in_(sorted(entitlements)))
        if mine:
            query = query.where(sa.or_(*mine))
        if states is not None:
            query = query.where(table.c.state.in_([state.value for state in states]))
        query = self._page(query, table, table.c.prepared_at, before)
        return [rows.to_lease(row) for row in self._connection.execute(query).mappings()]

    def living_leases(self, grant_ids: Sequence[str]) -> list[Lease]:
        """Return the leases of these grants that are not on their way to death."""
        table = schema.leases
        living = table.c.state.in_([LeaseState.PREPARED.value, LeaseState.ACTIVE.value])
        query = sa.select(table).where(table.c.grant_id.in_(grant_ids), living)
        return [rows.to_lease(row) for row in self._connection.execute(query).mappings()]

    def count_overdue(self, *, target: str | None = None) -> int:
        """Return how many leases are past their time and not seen dead, at one target or everywhere."""
        if target is None:
            return self._connection.execute(_OVERDUE).scalar_one()
        return self._connection.execute(_OVERDUE_AT, {"target": target}).scalar_one()

    def make_due(self, *states: LeaseState) -> int:
        """Make every lease in these states due at once; a start forgets who had claimed or begun what."""
        table = schema.leases
        query = sa.update(table).where(table.c.state.in_([state.value for state in states]), table.c.due > self.now)
        return int(self._connection.execute(query.values(due=self.now)).rowcount)

    def live_targets(self) -> list[Mapping[str, Any]]:
        """Return the targets (plain JSON, as drawn) of all leases that are not seen dead."""
        table = schema.leases
        query = sa.select(table.c.target).where(table.c.state != LeaseState.REVOKED.value)
        unique = {target["id"]: target for target in self._connection.execute(query).scalars()}
        return list(unique.values())
