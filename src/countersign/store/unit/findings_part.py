"""Findings within a transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from countersign.domain.refusals import Conflict
from countersign.store.finding_tables import findings
from countersign.store.unit.part import Part


@dataclass(frozen=True, kw_only=True, slots=True)
class RaisedFinding:
    """A finding that was raised; `index` is the entry that shows it."""

    id: str
    index: int
    detector: str
    severity: str
    owner: str
    persons: tuple[str, ...]
    evidence: tuple[int, ...]
    detail: str
    raised_at: datetime
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None


class FindingsPart(Part):
    """Findings."""

    def finding(self, finding_id: str, *, lock: bool = False) -> RaisedFinding | None:
        """Return a finding."""
        row = self._one(findings, findings.c.id == finding_id, lock=lock)
        return None if row is None else _to_finding(row)

    def findings(self, *, open_only: bool, before: int | None, limit: int) -> list[RaisedFinding]:
        """Return findings, newest entry first; those of one entry together.

        Args:
            open_only: leave out what is acknowledged.
            before: only those of entries before this one.
            limit: about so many: an entry's findings are never torn apart.
        """
        query = sa.select(findings).order_by(findings.c.index.desc(), findings.c.id)
        if open_only:
            query = query.where(findings.c.acknowledged_by.is_(None))
        if before is not None:
            query = query.where(findings.c.index < before)
        rows = list(self._connection.execute(query.limit(limit)).mappings())
        if len(rows) == limit:
            last = rows[-1]["index"]
            rows = [row for row in rows if row["index"] > last]
            rows += self._connection.execute(query.where(findings.c.index == last)).mappings()
        return [_to_finding(row) for row in rows]

    def add_finding(self, finding: RaisedFinding) -> None:
        """Keep a finding; the table refuses a second one by its id."""
        row = {name: getattr(finding, name) for name in RaisedFinding.__dataclass_fields__}
        self._insert(findings, row | {"persons": list(finding.persons), "evidence": list(finding.evidence)})

    def acknowledge_finding(self, finding: RaisedFinding, *, by: str) -> RaisedFinding:
        """Note who looked at it, and return the finding with it.

        Raises:
            Conflict: somebody did before.
        """
        unseen = sa.and_(findings.c.id == finding.id, findings.c.acknowledged_by.is_(None))
        query = sa.update(findings).where(unseen).values(acknowledged_by=by, acknowledged_at=self.now)
        if self._connection.execute(query).rowcount != 1:
            raise Conflict(f"{finding.id} is acknowledged already")
        return replace(finding, acknowledged_by=by, acknowledged_at=self.now)


def _to_finding(row: sa.RowMapping) -> RaisedFinding:
    values = {name: row[name] for name in RaisedFinding.__dataclass_fields__}
    return RaisedFinding(**values | {"persons": tuple(row["persons"]), "evidence": tuple(row["evidence"])})
