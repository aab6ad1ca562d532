"""The table of followers: how far each has come in the log, who is at it, and what went wrong last."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

followers = sa.Table(
    "followers",
    metadata,
    column("name", sa.String(80), primary_key=True),
    column("next", sa.BigInteger),
    column("updated_at", Moment),
    column("failures", sa.Integer),
    column("failing_since", Moment, nullable=True),
    column("retry_at", Moment, nullable=True),
    column("error", sa.String(200), nullable=True),
    column("holder", sa.String(32), nullable=True),
    column("held_until", Moment, nullable=True),
    column("version", sa.Integer),
    sa.CheckConstraint("next >= 0", name="next_is_an_index"),
    sa.CheckConstraint("(failures = 0) = (error IS NULL)", name="a_failure_says_why"),
)


def guards(dialect: str) -> list[str]:
    """Return the statements that install the trigger by which no cursor ever runs back, on `sqlite` or `postgresql`."""
    made = "CREATE TRIGGER followers_forward BEFORE UPDATE OF next ON followers"
    if dialect == "sqlite":
        refuse = "BEGIN SELECT RAISE(ABORT, 'a follower does not run back'); END"
        return [f"{made} WHEN NEW.next < OLD.next {refuse}"]
    return [f"{made} FOR EACH ROW WHEN (NEW.next < OLD.next) EXECUTE FUNCTION countersign_refuse()"]
