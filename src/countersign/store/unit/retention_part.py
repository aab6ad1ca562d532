"""Erasures within a transaction."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from countersign.domain.refusals import Conflict
from countersign.domain.retention import Erasure
from countersign.store.retention_tables import erasures
from countersign.store.rows import ERASED, erased_texts
from countersign.store.schema import facts, openings, requests
from countersign.store.unit.part import Part

AT_ONCE = 500


class RetentionPart(Part):
    """Erasures, and the erasing itself."""

    def add_erasure(self, erasure: Erasure) -> None:
        """Keep that somebody asked for one."""
        self._insert(erasures, erasure.document())

    def erasure(self, erasure_id: str) -> Erasure | None:
        """Return one; nobody else moves it until the transaction ends."""
        row = self._one(erasures, erasures.c.id == erasure_id, lock=True)
        return None if row is None else Erasure(**row)

    def erasures(self, *, limit: int = 100) -> list[Erasure]:
        """Return them, newest first."""
        query = sa.select(erasures).order_by(erasures.c.asked_at.desc(), erasures.c.id).limit(limit)
        return [Erasure(**row) for row in self._connection.execute(query).mappings()]

    def move_erasure(self, before: Erasure, after: Erasure) -> None:
        """Write its next state.

        Raises:
            Conflict: somebody else was faster.
        """
        query = sa.update(erasures).where(
            erasures.c.id == before.id,
            erasures.c.approved_by.is_not_distinct_from(before.approved_by),
            erasures.c.done_at.is_not_distinct_from(before.done_at),
        )
        if self._connection.execute(query.values(**after.document())).rowcount != 1:
            raise Conflict(f"{before.id} was moved at the same moment")

    def erase_texts(self, before: datetime) -> int:
        """Erase what people wrote in entries and requests before a moment; return how many texts of entries that were.

        The commitments stay: what was said can no longer be read, and that it was said still verifies.
        """
        old = sa.select(facts.c.index).where(facts.c.at < before)
        erased = self._connection.execute(sa.delete(openings).where(openings.c.index.in_(old))).rowcount
        written = sa.select(requests).where(requests.c.submitted_at < before, requests.c.reason != ERASED)
        while rows := self._connection.execute(written.limit(AT_ONCE)).mappings().all():
            for row in rows:
                query = sa.update(requests).where(requests.c.id == row["id"])
                self._connection.execute(query.values(**erased_texts(row)))
        return erased
