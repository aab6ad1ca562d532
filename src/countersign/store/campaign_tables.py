"""The tables of campaigns: what is asked about, what was said, and which memberships are removed."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

campaigns = sa.Table(
    "campaigns",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("groups", sa.JSON),
    column("started_by", sa.String(63)),
    column("started_at", Moment),
    column("due_at", Moment),
    column("closed_at", Moment, nullable=True),
    sa.Index("campaigns_due", "closed_at", "due_at"),
)

campaign_items = sa.Table(
    "campaign_items",
    metadata,
    column("campaign_id", sa.String(20), sa.ForeignKey("campaigns.id")),
    column("person", sa.String(63)),
    column("group", sa.String(63)),
    column("ruling", sa.String(8), nullable=True),
    column("decided_by", sa.String(63), nullable=True),
    column("decided_at", Moment, nullable=True),
    sa.PrimaryKeyConstraint("campaign_id", "group", "person"),
    sa.CheckConstraint("decided_by <> person", name="membership_decided_by_another"),
    sa.CheckConstraint("ruling IN ('keep', 'remove')", name="known_ruling"),
    sa.CheckConstraint("(ruling IS NULL) = (decided_by IS NULL)", name="whole_ruling"),
)

removed_memberships = sa.Table(
    "removed_memberships",
    metadata,
    column("person", sa.String(63)),
    column("group", sa.String(63)),
    column("at", Moment),
    sa.PrimaryKeyConstraint("person", "group"),
)


def guards(dialect: str) -> list[str]:
    """Return the statements that install the triggers on `sqlite` or `postgresql`."""
    final = "CREATE TRIGGER campaign_items_final BEFORE UPDATE ON campaign_items"
    kept = "CREATE TRIGGER campaign_items_kept BEFORE DELETE"
    if dialect == "sqlite":
        return [
            f"{final} WHEN OLD.ruling IS NOT NULL BEGIN SELECT RAISE(ABORT, 'a ruling is final'); END",
            f"{kept} ON campaign_items BEGIN SELECT RAISE(ABORT, 'what a campaign asks about is kept'); END",
        ]
    return [
        f"{final} FOR EACH ROW WHEN (OLD.ruling IS NOT NULL) EXECUTE FUNCTION countersign_refuse()",
        f"{kept} OR TRUNCATE ON campaign_items FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()",
    ]
