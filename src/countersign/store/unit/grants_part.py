"""Grants within a transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from countersign.domain.grant import Grant, GrantState
from countersign.domain.request import RequestState
from countersign.store import rows, schema
from countersign.store.unit.part import Part, changes


class GrantsPart(Part):
    """Grants."""

    def add_grant(self, grant: Grant) -> None:
        """Keep a new grant."""
        self._insert(schema.grants, rows.grant_row(grant))

    def grant(self, grant_id: str, *, lock: bool = False) -> Grant | None:
        """Return a grant; with `lock`, nobody else draws under it until the transaction ends."""
        row = self._keyed(schema.grants, id=grant_id, lock=lock)
        return None if row is None else rows.to_grant(row)

    def grant_of_request(self, request_id: str) -> Grant | None:
        """Return the grant that a request's approval created."""
        row = self._keyed(schema.grants, request_id=request_id)
        return None if row is None else rows.to_grant(row)

    def move_grant(self, before: Grant, after: Grant) -> None:
        """Write a grant.

        Raises:
            Conflict: it is no longer as `before` was read.
        """
        self.move_grants([(before, after)])

    def move_grants(self, moves: Iterable[tuple[Grant, Grant]]) -> None:
        """Write many grants at once.

        Raises:
            Conflict: one of them is no longer as it was read; the transaction must not be committed.
        """
        written = [(before, changes(rows.grant_row(before), rows.grant_row(after))) for before, after in moves]
        self._move_all(schema.grants, written)

    def grants(
        self,
        *,
        person: str | None = None,
        entitlements: Iterable[str] | None = None,
        state: GrantState | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Grant]:
        """Return grants, newest first, filtered as `requests` are."""
        table = schema.grants
        query = sa.select(table).order_by(table.c.opened_at.desc(), table.c.id.desc()).limit(limit)
        mine = [] if person is None else [table.c.person == person]
        if entitlements is not None:
            mine.append(table.c.entitlement.in_(sorted(entitlements)))
        if mine:
            query = query.where(sa.or_(*mine))
        if state is not None:
            query = query.where(table.c.state == state.value)
        query = self._page(query, table, table.c.opened_at, before)
        return [rows.to_grant(row) for row in self._connection.execute(query).mappings()]

    def open_grants(self, *, scope: str, target: str | None) -> list[Grant]:
        """Return every open grant that a stop of this scope concerns."""
        table = schema.grants
        query = sa.select(table).where(table.c.state == GrantState.OPEN.value)
        if scope == "person":
            query = query.where(table.c.person == target)
        elif scope == "entitlement":
            query = query.where(table.c.entitlement == target)
        return [rows.to_grant(row) for row in self._connection.execute(query).mappings()]

    def count_open_grants(
        self, *, person: str | None = None, entitlement: str | None = None, target: str | None = None
    ) -> int:
        """Return how many open grants match."""
        table = schema.grants
        query = sa.select(sa.func.count()).select_from(table).where(table.c.state == GrantState.OPEN.value)
        for column, value in ((table.c.person, person), (table.c.entitlement, entitlement), (table.c.target, target)):
            if value is not None:
                query = query.where(column == value)
        return self._connection.execute(query).scalar_one()

    def granted_seconds(self, *, person: str, target: str, since: datetime) -> int:
        """Return the time asked for (pending) and granted to a person on a target since a moment, in seconds."""
        table = schema.requests
        counted = (RequestState.PENDING.value, RequestState.APPROVED.value)
        query = sa.select(sa.func.coalesce(sa.func.sum(table.c.duration_s), 0)).where(
            table.c.person == person,
            table.c.target == target,
            table.c.submitted_at > since,
            table.c.state.in_(counted),
        )
        return int(self._connection.execute(query).scalar_one())

    def ending_grants(self, *, limit: int) -> list[Grant]:
        """Return open grants whose time is over."""
        table = schema.grants
        query = (
            sa.select(table)
            .where(table.c.state == GrantState.OPEN.value, table.c.due <= self.now)
            .order_by(table.c.due)
            .limit(limit)
        )
        return [rows.to_grant(row) for row in self._connection.execute(self._skip_locked(query)).mappings()]
