"""The tables between two halves that run apart: which issuing processes are at work."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

issuing_processes = sa.Table(
    "issuing_processes",
    metadata,
    column("name", sa.String(32), primary_key=True),
    column("seen_at", Moment),
)


def guards(dialect: str) -> list[str]:
    """Return no statement: what the halves tell each other here, neither believes."""
    del dialect
    return []
