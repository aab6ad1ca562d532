"""What the parts of the unit of work share: the open transaction, its time, and compare-and-set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from countersign.domain.grant import Grant
from countersign.domain.lease import Lease
from countersign.domain.proposal import Proposal
from countersign.domain.refusals import Conflict
from countersign.domain.request import Request

Moved = Request | Grant | Lease | Proposal


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
        self._connection.execute(_insert_into(table), dict(row))

    def _one(self, table: sa.Table, where: sa.ColumnElement[bool], *, lock: bool = False) -> sa.RowMapping | None:
        query = sa.select(table).where(where)
        return self._connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()

    def _keyed(self, table: sa.Table, *, lock: bool = False, **key: object) -> sa.RowMapping | None:
        """Return the row whose columns are these, by a statement that is built once for each table and set of columns."""
        query = _select_keyed(table, tuple(key), lock=lock)
        return (
            self._connection.execute(query, {f"at_{name}": value for name, value in key.items()})
            .mappings()
            .one_or_none()
        )

    def _move(self, table: sa.Table, before: Moved, values: Mapping[str, Any]) -> None:
        self._move_all(table, [(before, values)])

    def _move_all(self, table: sa.Table, moves: Iterable[tuple[Moved, Mapping[str, Any]]]) -> None:
        """Write what changed in each row; those that change the same columns go to the database together."""
        alike: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for before, values in moves:
            changes = {f"to_{name}": value for name, value in values.items()}
            alike[tuple(values)].append({"was_id": before.id, "was_version": before.version, **changes})
        for columns, changed in alike.items():
            if self._connection.execute(_update(table, columns), changed).rowcount != len(changed):
                which = changed[0]["was_id"] if len(changed) == 1 else f"one of {len(changed)}"
                raise Conflict(
                    f"{which} was moved by someone else at the same moment; nothing was done", hint="try again"
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


@cache
def _insert_into(table: sa.Table) -> sa.Insert:
    return sa.insert(table)


@cache
def _select_keyed(table: sa.Table, columns: tuple[str, ...], *, lock: bool) -> sa.Select[Any]:
    query = sa.select(table).where(*(table.c[name] == sa.bindparam(f"at_{name}") for name in columns))
    return query.with_for_update() if lock else query


@cache
def _update(table: sa.Table, columns: tuple[str, ...]) -> sa.Update:
    """Return a compare-and-set of these columns, built once: building it costs more than running it."""
    unmoved = sa.and_(table.c.id == sa.bindparam("was_id"), table.c.version == sa.bindparam("was_version"))
    return sa.update(table).where(unmoved).values({name: sa.bindparam(f"to_{name}") for name in columns})


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns in which two rows differ: those alone are written, and only their indexes are touched."""
    return {name: value for name, value in after.items() if before[name] != value}
