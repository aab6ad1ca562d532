"""The tables of other people's records: how far each source was followed, and what it told of our leases.

They are what the broker knows, not what convicts: alarms, ends and gaps are facts in the log.
"""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

record_sources = sa.Table(
    "record_sources",
    metadata,
    column("name", sa.String(120), primary_key=True),
    column("cursor", sa.JSON),
    column("since", Moment),
    column("read_at", Moment),
    column("silent_since", Moment, nullable=True),
    column("version", sa.Integer),
)

lease_watches = sa.Table(
    "lease_watches",
    metadata,
    column("lease_id", sa.String(20), sa.ForeignKey("leases.id"), primary_key=True),
    column("read_mark", sa.String(80), nullable=True),
)

wrappings = sa.Table(
    "wrappings",
    metadata,
    column("name", sa.String(80), primary_key=True),
    column("lease_id", sa.String(20), sa.ForeignKey("leases.id"), index=True),
    column("until", Moment),
    column("opened_at", Moment, nullable=True),
)

uses = sa.Table(
    "uses",
    metadata,
    column("lease_id", sa.String(20), sa.ForeignKey("leases.id")),
    column("source", sa.String(120)),
    column("act", sa.String(20)),
    column("what", sa.String(200)),
    column("outcome", sa.String(8)),
    column("outside", sa.Boolean),
    column("count", sa.BigInteger),
    column("first_at", Moment),
    column("last_at", Moment),
    sa.PrimaryKeyConstraint("lease_id", "source", "act", "what", "outcome", "outside"),
)
