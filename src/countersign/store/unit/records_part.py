"""Other people's records within a transaction: cursors, watches over leases, wrappings, and uses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime

import sqlalchemy as sa

from countersign.domain.lease import Lease, LeaseState
from countersign.domain.records import Act, Outcome, SourceState, Use, Watch, Wrapping
from countersign.domain.refusals import Conflict
from countersign.store import records_tables as tables
from countersign.store import rows, schema
from countersign.store.unit.part import Part

MOST_KINDS_OF_USE = 500
REST = "everything else"
"""What further kinds of use of one lease are counted under, so that nothing is missing and no table grows without end."""


class RecordsPart(Part):
    """What other people's records said."""

    def source(self, name: str) -> SourceState | None:
        """Return how far a source was followed."""
        row = self._one(tables.record_sources, tables.record_sources.c.name == name)
        return None if row is None else SourceState(**row)

    def sources(self) -> list[SourceState]:
        """Return every source that was ever followed."""
        query = sa.select(tables.record_sources).order_by(tables.record_sources.c.name)
        return [SourceState(**row) for row in self._connection.execute(query).mappings()]

    def add_source(self, state: SourceState) -> None:
        """Begin to follow a source."""
        self._insert(tables.record_sources, asdict(state))

    def move_source(self, before: SourceState, after: SourceState) -> None:
        """Write how far a source was followed.

        Raises:
            Conflict: somebody else followed it at the same moment; his reading counts.
        """
        table = tables.record_sources
        query = sa.update(table).where(table.c.name == before.name, table.c.version == before.version)
        values = asdict(replace(after, version=before.version + 1))
        if self._connection.execute(query.values(**values)).rowcount != 1:
            raise Conflict(f"{before.name} was followed by someone else at the same moment")

    def watch(self, lease_id: str, *, lock: bool = False) -> Watch:
        """Return what the records said of a lease so far; with `lock`, nobody else adds to it meanwhile."""
        row = self._one(tables.lease_watches, tables.lease_watches.c.lease_id == lease_id, lock=lock)
        return Watch(lease_id=lease_id) if row is None else Watch(**row)

    def keep_watch(self, watch: Watch) -> None:
        """Write what the records said of a lease."""
        table, values = tables.lease_watches, asdict(watch)
        written = self._connection.execute(
            sa.update(table).where(table.c.lease_id == watch.lease_id).values(**values)
        ).rowcount
        if written == 0:
            self._insert(table, values)

    def used(self, lease_id: str, at: datetime) -> None:
        """Note a sign of use of a lease; an older one changes nothing, and no transition is disturbed."""
        table = schema.leases
        newer = sa.or_(table.c.last_used_at.is_(None), table.c.last_used_at < at)
        self._connection.execute(sa.update(table).where(table.c.id == lease_id, newer).values(last_used_at=at))

    def idlers(self) -> list[Lease]:
        """Return the active leases that end when nobody uses them."""
        table = schema.leases
        query = sa.select(table).where(table.c.state == LeaseState.ACTIVE.value, table.c.idle_s.is_not(None))
        return [rows.to_lease(row) for row in self._connection.execute(query).mappings()]

    def wrapping(self, name: str) -> Wrapping | None:
        """Return a wrapping by its pseudonym."""
        row = self._one(tables.wrappings, tables.wrappings.c.name == name)
        return None if row is None else Wrapping(**row)

    def keep_wrapping(self, wrapping: Wrapping) -> None:
        """Write a wrapping; when it was first opened stays."""
        table, values = tables.wrappings, asdict(wrapping)
        known = self.wrapping(wrapping.name)
        if known is None:
            self._insert(table, values)
        elif known.opened_at is None:
            self._connection.execute(sa.update(table).where(table.c.name == wrapping.name).values(**values))

    def add_use(self, use: Use) -> None:
        """Count a use to those alike; beyond `MOST_KINDS_OF_USE` kinds of one lease, to `REST`."""
        table = tables.uses
        alike = _alike(use)
        known = self._one(table, alike)
        if known is None and use.what != REST:
            kinds = sa.select(sa.func.count()).select_from(table).where(table.c.lease_id == use.lease_id)
            if self._connection.execute(kinds).scalar_one() >= MOST_KINDS_OF_USE:
                self.add_use(replace(use, what=REST))
                return
        if known is None:
            self._insert(table, asdict(use) | {"act": use.act.value, "outcome": use.outcome.value})
            return
        values = {
            "count": known["count"] + use.count,
            "first_at": min(known["first_at"], use.first_at),
            "last_at": max(known["last_at"], use.last_at),
        }
        self._connection.execute(sa.update(table).where(alike).values(**values))

    def uses(self, lease_ids: Collection[str]) -> list[Use]:
        """Return all uses of leases, oldest first."""
        table = tables.uses
        query = sa.select(table).where(table.c.lease_id.in_(sorted(lease_ids))).order_by(table.c.first_at, table.c.what)
        return [
            Use(**dict(row) | {"act": Act(row["act"]), "outcome": Outcome(row["outcome"])})
            for row in self._connection.execute(query).mappings()
        ]


def _alike(use: Use) -> sa.ColumnElement[bool]:
    table = tables.uses
    return sa.and_(
        table.c.lease_id == use.lease_id,
        table.c.source == use.source,
        table.c.act == use.act.value,
        table.c.what == use.what,
        table.c.outcome == use.outcome.value,
        table.c.outside.is_(use.outside),
    )
