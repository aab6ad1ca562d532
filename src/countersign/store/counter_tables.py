"""The table of counter-proposals: what a reviewer who denied would rather see asked. Each belongs to his review, for ever."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, append_only, column, metadata

counter_proposals = sa.Table(
    "counter_proposals",
    metadata,
    column("request_id", sa.String(20), primary_key=True),
    column("person", sa.String(63)),
    column("parameters", sa.JSON),
    column("duration_s", sa.BigInteger),
    column("at", Moment),
    sa.ForeignKeyConstraint(["request_id", "person"], ["reviews.request_id", "reviews.person"]),
    sa.CheckConstraint("duration_s > 0", name="counter_duration_positive"),
)


def guards(dialect: str) -> list[str]:
    """Return the statements that install the triggers on `sqlite` or `postgresql`."""
    return append_only(dialect, "counter_proposals")
