"""The table of approvals in advance: which request its rule approved, and the two who had countersigned the rule."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, append_only, column, metadata

automatic_approvals = sa.Table(
    "automatic_approvals",
    metadata,
    column("request_id", sa.String(20), primary_key=True),
    column("requester_person", sa.String(63)),
    column("digest", sa.String(64)),
    column("rule_digest", sa.String(64)),
    column("one", sa.String(63)),
    column("other", sa.String(63)),
    column("at", Moment),
    sa.ForeignKeyConstraint(["request_id", "requester_person"], ["requests.id", "requests.person"]),
    sa.CheckConstraint("one <> other", name="two_distinct_authors"),
    sa.CheckConstraint("requester_person NOT IN (one, other)", name="no_author_asks"),
)


def guards(dialect: str) -> list[str]:
    """Return the statements that install the triggers on `sqlite` or `postgresql`."""
    return append_only(dialect, "automatic_approvals")
