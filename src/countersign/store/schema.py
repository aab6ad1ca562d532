"""The tables, alike on SQLite and PostgreSQL. What must never change is guarded by triggers in both.

Times are text in the one spelling of `domain.timestamps`, so that they compare, sort and read alike everywhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from countersign.domain.timestamps import read, spell


class Moment(sa.TypeDecorator[datetime]):
    """A moment, stored as RFC 3339 text with milliseconds."""

    impl = sa.String(24)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        """Spell a moment for the database."""
        del dialect
        return None if value is None else spell(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        """Read a moment from the database."""
        del dialect
        return None if value is None else read(value)


metadata = sa.MetaData()


def _column(name: str, kind: Any, *more: Any, **options: Any) -> sa.Column[Any]:  # noqa: ANN401 - SQLAlchemy's own typing
    return sa.Column(name, kind, *more, nullable=options.pop("nullable", False), **options)


facts = sa.Table(
    "facts",
    metadata,
    _column("index", sa.BigInteger, primary_key=True, autoincrement=False),
    _column("at", Moment),
    _column("type", sa.String(40)),
    _column("actor", sa.String(80)),
    _column("subject", sa.String(80)),
    _column("leaf", sa.LargeBinary),
    _column("leaf_hash", sa.LargeBinary(32)),
    sa.Index("facts_by_subject", "subject", "index"),
    sa.Index("facts_by_actor", "actor", "index"),
    sa.Index("facts_by_type", "type", "index"),
    sa.Index("facts_by_time", "at"),
)

openings = sa.Table(
    "openings",
    metadata,
    _column("index", sa.BigInteger, sa.ForeignKey("facts.index")),
    _column("field", sa.String(40)),
    _column("salt", sa.LargeBinary(16)),
    _column("text", sa.Text),
    sa.PrimaryKeyConstraint("index", "field"),
)

log_head = sa.Table(
    "log_head",
    metadata,
    _column("id", sa.Integer, primary_key=True),
    _column("size", sa.BigInteger),
    _column("root", sa.LargeBinary(32)),
    _column("frontier", sa.LargeBinary),
    _column("at", Moment, nullable=True),
    sa.CheckConstraint("id = 1", name="one_head"),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    _column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    _column("root", sa.LargeBinary(32)),
    _column("note", sa.Text),
    _column("at", Moment),
)

rulebooks = sa.Table(
    "rulebooks",
    metadata,
    _column("seq", sa.Integer, primary_key=True, autoincrement=False),
    _column("catalog", sa.JSON),
    _column("directory", sa.JSON),
    _column("catalog_digest", sa.String(64)),
    _column("directory_digest", sa.String(64)),
    _column("proposed_by", sa.String(63), nullable=True),
    _column("approved_by", sa.String(63), nullable=True),
    _column("at", Moment),
    sa.CheckConstraint(
        "seq = 1 OR (proposed_by IS NOT NULL AND approved_by IS NOT NULL AND proposed_by <> approved_by)",
        name="rules_take_two_people",
    ),
)

proposals = sa.Table(
    "proposals",
    metadata,
    _column("id", sa.String(20), primary_key=True),
    _column("base", sa.Integer),
    _column("catalog", sa.JSON),
    _column("directory", sa.JSON),
    _column("catalog_digest", sa.String(64)),
    _column("directory_digest", sa.String(64)),
    _column("proposed_by", sa.String(63)),
    _column("proposed_at", Moment),
    _column("state", sa.String(12)),
    _column("decided_by", sa.String(63), nullable=True),
    _column("version", sa.Integer),
    sa.CheckConstraint("state <> 'approved' OR decided_by <> proposed_by", name="approved_by_another"),
)

rule_authors = sa.Table(
    "rule_authors",
    metadata,
    _column("entitlement", sa.String(63)),
    _column("person", sa.String(63)),
    sa.PrimaryKeyConstraint("entitlement", "person"),
)

disabled = sa.Table(
    "disabled_persons",
    metadata,
    _column("person", sa.String(63), primary_key=True),
    _column("at", Moment),
)

tokens = sa.Table(
    "tokens",
    metadata,
    _column("id", sa.String(24), primary_key=True),
    _column("hash", sa.String(64), unique=True),
    _column("principal", sa.String(63), index=True),
    _column("issued_at", Moment),
    _column("revoked_at", Moment, nullable=True),
)

requests = sa.Table(
    "requests",
    metadata,
    _column("id", sa.String(20), primary_key=True),
    _column("person", sa.String(63)),
    _column("principal", sa.String(63)),
    _column("entitlement", sa.String(63)),
    _column("target", sa.String(63)),
    _column("rule_digest", sa.String(64)),
    _column("digest", sa.String(64)),
    _column("parameters", sa.JSON),
    _column("duration_s", sa.BigInteger),
    _column("reason", sa.Text),
    _column("reason_salt", sa.LargeBinary(16)),
    _column("ticket", sa.Text, nullable=True),
    _column("ticket_salt", sa.LargeBinary(16), nullable=True),
    _column("submitted_at", Moment),
    _column("lapses_at", Moment),
    _column("state", sa.String(12)),
    _column("version", sa.Integer),
    sa.UniqueConstraint("id", "person", name="request_and_person"),
    sa.Index("requests_by_person", "person", "submitted_at"),
    sa.Index("requests_due", "state", "lapses_at"),
    sa.CheckConstraint("duration_s > 0", name="duration_positive"),
)

reviews = sa.Table(
    "reviews",
    metadata,
    _column("request_id", sa.String(20)),
    _column("person", sa.String(63)),
    _column("requester_person", sa.String(63)),
    _column("principal", sa.String(63)),
    _column("decision", sa.String(8)),
    _column("digest", sa.String(64)),
    _column("at", Moment),
    sa.PrimaryKeyConstraint("request_id", "person", name="one_review_per_person"),
    sa.ForeignKeyConstraint(["request_id", "requester_person"], ["requests.id", "requests.person"]),
    sa.CheckConstraint("person <> requester_person", name="never_the_requester"),
    sa.CheckConstraint("decision IN ('approve', 'deny')", name="known_decision"),
)

grants = sa.Table(
    "grants",
    metadata,
    _column("id", sa.String(20), primary_key=True),
    _column("request_id", sa.String(20), sa.ForeignKey("requests.id"), unique=True),
    _column("request_digest", sa.String(64)),
    _column("person", sa.String(63)),
    _column("entitlement", sa.String(63)),
    _column("target", sa.String(63)),
    _column("duration_s", sa.BigInteger),
    _column("draws", sa.Integer),
    _column("draws_used", sa.Integer),
    _column("opened_at", Moment),
    _column("draw_by", Moment),
    _column("not_after", Moment, nullable=True),
    _column("due", Moment),
    _column("state", sa.String(12)),
    _column("version", sa.Integer),
    sa.Index("grants_by_person", "person", "opened_at"),
    sa.Index("grants_due", "state", "due"),
    sa.CheckConstraint("draws_used >= 0 AND draws_used <= draws", name="draws_within_bounds"),
)

leases = sa.Table(
    "leases",
    metadata,
    _column("id", sa.String(20), primary_key=True),
    _column("grant_id", sa.String(20), sa.ForeignKey("grants.id"), index=True),
    _column("request_id", sa.String(20)),
    _column("person", sa.String(63)),
    _column("entitlement", sa.String(63)),
    _column("provider", sa.String(63)),
    _column("target_id", sa.String(63)),
    _column("target", sa.JSON),
    _column("handle", sa.JSON),
    _column("prepared_at", Moment),
    _column("not_after", Moment),
    _column("backstop_at", Moment),
    _column("due", Moment),
    _column("state", sa.String(12)),
    _column("generation", sa.Integer),
    _column("cause", sa.String(20), nullable=True),
    _column("asked_at", Moment, nullable=True),
    _column("written_at", Moment, nullable=True),
    _column("dead_at", Moment, nullable=True),
    _column("evidence", sa.String(10), nullable=True),
    _column("overdue", sa.Boolean),
    _column("tries", sa.Integer),
    _column("version", sa.Integer),
    sa.Index("leases_due", "state", "due"),
    sa.Index("leases_by_person", "person", "prepared_at"),
    sa.CheckConstraint(
        "state <> 'revoked' OR (dead_at IS NOT NULL AND evidence IS NOT NULL)", name="death_is_certified"
    ),
)

stops = sa.Table(
    "stops",
    metadata,
    _column("id", sa.String(20), primary_key=True),
    _column("scope", sa.String(12)),
    _column("target", sa.String(63), nullable=True),
    _column("placed_by", sa.String(63)),
    _column("placed_at", Moment),
    _column("lifted_by", sa.String(63), nullable=True),
    _column("lifted_at", Moment, nullable=True),
    sa.CheckConstraint("lifted_by IS NULL OR lifted_by <> placed_by", name="lifted_by_another"),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    _column("principal", sa.String(63)),
    _column("key", sa.String(128)),
    _column("call", sa.String(80)),
    _column("body", sa.String(64)),
    _column("result", sa.String(20)),
    _column("at", Moment),
    sa.PrimaryKeyConstraint("principal", "key"),
)

APPEND_ONLY = ("facts", "reviews", "checkpoints", "rulebooks")
"""Tables whose rows are never changed or removed."""

PINNED_REQUEST_COLUMNS = tuple(c.name for c in requests.columns if c.name not in {"state", "version"})
"""What a request says is immutable once submitted."""


def guards(dialect: str) -> list[str]:
    """Return the statements that install the append-only triggers on `sqlite` or `postgresql`."""
    if dialect == "sqlite":
        made = [
            f"CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for table in APPEND_ONLY
            for verb in ("UPDATE", "DELETE")
        ]
        pinned = ", ".join(PINNED_REQUEST_COLUMNS)
        made.append(
            f"CREATE TRIGGER requests_pinned BEFORE UPDATE OF {pinned} ON requests "
            "BEGIN SELECT RAISE(ABORT, 'a submitted request is immutable'); END"
        )
        made.append(
            "CREATE TRIGGER requests_kept BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'requests are kept'); END"
        )
        return made
    refuse = "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END"
    made = [f"CREATE FUNCTION countersign_refuse() RETURNS trigger LANGUAGE plpgsql AS $${refuse}$$"]
    made += [
        f"CREATE TRIGGER {table}_refused BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
        for table in APPEND_ONLY
    ]
    pinned = ", ".join(PINNED_REQUEST_COLUMNS)
    made.append(
        f"CREATE TRIGGER requests_pinned BEFORE UPDATE OF {pinned} OR DELETE ON requests "
        "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
    )
    return made
