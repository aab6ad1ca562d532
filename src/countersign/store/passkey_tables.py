"""The tables of passkeys. None of them makes a key count: that does the chain of facts, which is checked at each draw."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

enrolments = sa.Table(
    "enrolments",
    metadata,
    column("passkey_id", sa.String(20), primary_key=True),
    column("person", sa.String(63), index=True),
    column("passkey", sa.JSON),
    column("said_at", sa.String(24)),
    column("proof", sa.JSON),
    column("at", Moment),
)

passkey_words = sa.Table(
    "passkey_words",
    metadata,
    column("passkey_id", sa.String(20), index=True),
    column("act", sa.String(6)),
    column("person", sa.String(63)),
    column("assertion", sa.JSON),
    column("at", Moment),
    sa.PrimaryKeyConstraint("passkey_id", "act", "person", name="one_word_per_person"),
    sa.CheckConstraint("act IN ('vouch', 'remove')", name="known_act"),
)

passkey_counters = sa.Table(
    "passkey_counters",
    metadata,
    column("passkey_id", sa.String(20), primary_key=True),
    column("counter", sa.BigInteger),
    column("at", Moment),
)

rule_signatures = sa.Table(
    "rule_signatures",
    metadata,
    column("proposal_id", sa.String(20)),
    column("act", sa.String(8)),
    column("person", sa.String(63)),
    column("assertion", sa.JSON),
    column("at", Moment),
    sa.PrimaryKeyConstraint("proposal_id", "act", name="one_signature_per_act"),
    sa.CheckConstraint("act IN ('propose', 'approve')", name="known_signing"),
)

page_tickets = sa.Table(
    "page_tickets",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("hash", sa.String(64), unique=True),
    column("principal", sa.String(63)),
    column("act", sa.String(12)),
    column("subject", sa.String(63)),
    column("wish", sa.JSON),
    column("expires_at", Moment),
    column("state", sa.String(8)),
    column("outcome", sa.JSON, nullable=True),
)

APPEND_ONLY = ("enrolments", "passkey_words", "rule_signatures")


def guards(dialect: str) -> list[str]:
    """Return the statements that install the append-only triggers on `sqlite` or `postgresql`."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for table in APPEND_ONLY
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        f"CREATE TRIGGER {table}_refused BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
        for table in APPEND_ONLY
    ]
