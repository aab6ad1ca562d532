"""The first schema: every table, the guards, and the head of an empty log."""

import sqlalchemy as sa
from alembic import op

from countersign.auditlog.merkle import EMPTY_ROOT, Frontier
from countersign.store import (
    automatic_tables,
    campaign_tables,
    counter_tables,
    emergency_tables,
    finding_tables,
    follower_tables,
    order_tables,
    passkey_tables,
    retention_tables,
    schema,
    signin_tables,
    witness_tables,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it."""
    connection = op.get_bind()
    schema.metadata.create_all(connection)
    dialect = connection.dialect.name
    for tables in (
        schema,
        emergency_tables,
        automatic_tables,
        counter_tables,
        follower_tables,
        passkey_tables,
        finding_tables,
        signin_tables,
        witness_tables,
        campaign_tables,
        order_tables,
        retention_tables,
    ):
        for statement in tables.guards(dialect):
            connection.execute(sa.text(statement))
    head = {"id": 1, "size": 0, "root": EMPTY_ROOT, "frontier": Frontier().encode(), "at": None}
    connection.execute(sa.insert(schema.log_head).values(**head))
