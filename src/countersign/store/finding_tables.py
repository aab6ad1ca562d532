"""The table of findings that were raised, and what the database refuses of them by itself."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

findings = sa.Table(
    "findings",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("index", sa.BigInteger),
    column("detector", sa.String(40)),
    column("severity", sa.String(10)),
    column("owner", sa.String(63)),
    column("persons", sa.JSON),
    column("evidence", sa.JSON),
    column("detail", sa.Text),
    column("raised_at", Moment),
    column("acknowledged_by", sa.String(63), nullable=True),
    column("acknowledged_at", Moment, nullable=True),
    sa.CheckConstraint("(acknowledged_by IS NULL) = (acknowledged_at IS NULL)", name="whole_acknowledgement"),
    sa.Index("findings_by_entry", "index"),
)

_RAISED = tuple(c.name for c in findings.columns if not c.name.startswith("acknowledged_"))


def guards(dialect: str) -> list[str]:
    """Return the statements that install the triggers on `sqlite` or `postgresql`."""
    pinned = ", ".join(f'"{name}"' for name in _RAISED)
    if dialect == "sqlite":
        refused = (
            (f"findings_pinned BEFORE UPDATE OF {pinned}", "", "what was found is pinned"),
            ("findings_final BEFORE UPDATE", " WHEN OLD.acknowledged_by IS NOT NULL", "an acknowledgement is final"),
            ("findings_kept BEFORE DELETE", "", "findings are kept"),
        )
        return [
            f"CREATE TRIGGER {when} ON findings{only} BEGIN SELECT RAISE(ABORT, '{why}'); END"
            for when, only, why in refused
        ]
    kept = (
        (f"findings_pinned BEFORE UPDATE OF {pinned} OR DELETE OR TRUNCATE", "STATEMENT"),
        ("findings_final BEFORE UPDATE", "ROW WHEN (OLD.acknowledged_by IS NOT NULL)"),
    )
    refuse = "EXECUTE FUNCTION countersign_refuse()"
    return [f"CREATE TRIGGER {when} ON findings FOR EACH {each} {refuse}" for when, each in kept]
