"""The tables between two halves that run apart: draw orders and what came of them, and which issuing processes are at work.

Neither half believes what the other writes here. A sealed credential lies here until it is taken, seconds later.
"""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

draw_orders = sa.Table(
    "draw_orders",
    metadata,
    column("id", sa.String(64), primary_key=True),
    column("said", sa.JSON),
    column("signature", sa.String(86)),
    column("session", sa.String(20)),
    column("key", sa.String(128), nullable=True),
    column("state", sa.String(12)),
    column("asked_at", Moment),
    column("moved_at", Moment),
    column("lease", sa.String(20), nullable=True),
    column("sealed", sa.Text, nullable=True),
    column("refusal", sa.JSON, nullable=True),
    sa.CheckConstraint(
        "state IN ('asked', 'claimed', 'served', 'refused', 'taken', 'undelivered', 'over')", name="known_order"
    ),
    sa.CheckConstraint("sealed IS NULL OR state = 'served'", name="sealed_until_taken"),
    sa.Index("draw_orders_by_state", "state", "moved_at"),
)

issuing_processes = sa.Table(
    "issuing_processes",
    metadata,
    column("name", sa.String(32), primary_key=True),
    column("seen_at", Moment),
)


def guards(dialect: str) -> list[str]:
    """Return no statement: nothing here is evidence of anything."""
    del dialect
    return []
