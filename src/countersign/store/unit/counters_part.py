"""Counter-proposals within a transaction, and which request took one up."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from countersign.domain.counter import CounterProposal
from countersign.store import schema
from countersign.store.counter_tables import counter_proposals
from countersign.store.unit.part import Part


class CountersPart(Part):
    """Counter-proposals."""

    def add_counter(self, counter: CounterProposal) -> None:
        """Keep a counter-proposal; the table demands the review that it belongs to."""
        self._insert(
            counter_proposals,
            {
                "request_id": counter.request_id,
                "person": counter.person,
                "parameters": dict(counter.parameters),
                "duration_s": int(counter.duration.total_seconds()),
                "at": counter.at,
            },
        )

    def counter(self, request_id: str) -> CounterProposal | None:
        """Return the counter-proposal with which a request was denied."""
        row = self._one(counter_proposals, counter_proposals.c.request_id == request_id)
        if row is None:
            return None
        return CounterProposal(
            request_id=row["request_id"],
            person=row["person"],
            parameters=row["parameters"],
            duration=timedelta(seconds=row["duration_s"]),
            at=row["at"],
        )

    def taken_up_by(self, request_id: str) -> str | None:
        """Return the request that took up the counter-proposal on this one."""
        query = sa.select(schema.requests.c.id).where(schema.requests.c.counters == request_id)
        return self._connection.execute(query).scalar_one_or_none()
