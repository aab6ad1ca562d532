"""What the parts of the unit of work share: the open transaction, its time, and compare-and-set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from countersign.domain.grant import Grant
from countersign.domain.lease import Lease
from countersign.domain.proposal import Proposal
from countersign.domain.refusals import Conflict
from countersign.domain.request import Request


class Part:
    """A part of the unit of work, bound to an open transaction."""

    _connection: sa.Connection
    now: datetime

    def serialise(self, name: str) -> None:
        """Let only one transaction at a time pass for `name`: counting and then adding must not race."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
            )

    def _insert(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        self._connection.execute(sa.insert(table).values(**row))

    def _one(self, table: sa.Table, where: sa.ColumnElement[bool], *, lock: bool = False) -> sa.RowMapping | None:
        query = sa.select(table).where(where)
        return self._connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()

    def _move(self, table: sa.Table, before: Request | Grant | Lease | Proposal, values: Mapping[str, Any]) -> None:
        query = sa.update(table).where(table.c.id == before.id, table.c.version == before.version)
        if self._connection.execute(query.values(**values)).rowcount != 1:
            raise Conflict(
                f"{before.id} was moved by someone else at the same moment; nothing was done", hint="try again"
            )

    def _skip_locked(self, query: sa.Select[Any]) -> sa.Select[Any]:
        return query.with_for_update(skip_locked=True)

    def _page(
        self, query: sa.Select[Any], table: sa.Table, order: sa.Column[Any], before: str | None
    ) -> sa.Select[Any]:
        if before is None:
            return query
        last = sa.select(order).where(table.c.id == before).scalar_subquery()
        return query.where(sa.or_(order < last, sa.and_(order == last, table.c.id < before)))
