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


REVISION = "0001"
"""The newest step in `migrations/versions`: a database that is there already needs none."""

metadata = sa.MetaData()


def column(name: str, kind: Any, *more: Any, **options: Any) -> sa.Column[Any]:  # noqa: ANN401 - SQLAlchemy's own typing
    """Return a column that is not null unless said otherwise."""
    return sa.Column(name, kind, *more, nullable=options.pop("nullable", False), **options)


facts = sa.Table(
    "facts",
    metadata,
    column("index", sa.BigInteger, primary_key=True, autoincrement=False),
    column("at", Moment),
    column("type", sa.String(40)),
    column("actor", sa.String(80)),
    column("subject", sa.String(80)),
    column("leaf", sa.LargeBinary),
    column("leaf_hash", sa.LargeBinary(32)),
    sa.Index("facts_by_subject", "subject", "index"),
    sa.Index("facts_by_actor", "actor", "index"),
    sa.Index("facts_by_type", "type", "index"),
    sa.Index("facts_by_time", "at"),
)

openings = sa.Table(
    "openings",
    metadata,
    column("index", sa.BigInteger, sa.ForeignKey("facts.index")),
    column("field", sa.String(40)),
    column("salt", sa.LargeBinary(16)),
    column("text", sa.Text),
    sa.PrimaryKeyConstraint("index", "field"),
)

log_head = sa.Table(
    "log_head",
    metadata,
    column("id", sa.Integer, primary_key=True),
    column("size", sa.BigInteger),
    column("root", sa.LargeBinary(32)),
    column("frontier", sa.LargeBinary),
    column("at", Moment, nullable=True),
    sa.CheckConstraint("id = 1", name="one_head"),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    column("root", sa.LargeBinary(32)),
    column("note", sa.Text),
    column("at", Moment),
)

rulebooks = sa.Table(
    "rulebooks",
    metadata,
    column("seq", sa.Integer, primary_key=True, autoincrement=False),
    column("catalog", sa.JSON),
    column("directory", sa.JSON),
    column("catalog_digest", sa.String(64)),
    column("directory_digest", sa.String(64)),
    column("proposed_by", sa.String(63), nullable=True),
    column("approved_by", sa.String(63), nullable=True),
    column("proposal", sa.String(20), nullable=True),
    column("at", Moment),
    sa.CheckConstraint(
        "seq = 1 OR (proposed_by IS NOT NULL AND approved_by IS NOT NULL AND proposed_by <> approved_by)",
        name="rules_take_two_people",
    ),
)

proposals = sa.Table(
    "proposals",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("base", sa.Integer),
    column("catalog", sa.JSON),
    column("directory", sa.JSON),
    column("catalog_digest", sa.String(64)),
    column("directory_digest", sa.String(64)),
    column("proposed_by", sa.String(63)),
    column("proposed_at", Moment),
    column("state", sa.String(12)),
    column("decided_by", sa.String(63), nullable=True),
    column("version", sa.Integer),
    sa.CheckConstraint("state <> 'approved' OR decided_by <> proposed_by", name="approved_by_another"),
)

rule_authors = sa.Table(
    "rule_authors",
    metadata,
    column("entitlement", sa.String(63)),
    column("person", sa.String(63)),
    sa.PrimaryKeyConstraint("entitlement", "person"),
)

disabled = sa.Table(
    "disabled_persons",
    metadata,
    column("person", sa.String(63), primary_key=True),
    column("at", Moment),
)

tokens = sa.Table(
    "tokens",
    metadata,
    column("id", sa.String(24), primary_key=True),
    column("hash", sa.String(64), unique=True),
    column("principal", sa.String(63), index=True),
    column("issued_at", Moment),
    column("revoked_at", Moment, nullable=True),
)

requests = sa.Table(
    "requests",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("person", sa.String(63)),
    column("principal", sa.String(63)),
    column("entitlement", sa.String(63)),
    column("target", sa.String(63)),
    column("rule_digest", sa.String(64)),
    column("digest", sa.String(64)),
    column("parameters", sa.JSON),
    column("duration_s", sa.BigInteger),
    column("reason", sa.Text),
    column("reason_salt", sa.LargeBinary(16)),
    column("ticket", sa.Text, nullable=True),
    column("ticket_salt", sa.LargeBinary(16), nullable=True),
    column("submitted_at", Moment),
    column("lapses_at", Moment),
    column("incident", sa.String(40), nullable=True),
    column("drill", sa.Boolean, nullable=True),
    column("envelope_id", sa.String(20), nullable=True),
    column("counters", sa.String(20), unique=True, nullable=True),
    column("behind", sa.JSON, nullable=True),
    column("signed", sa.Boolean, server_default=sa.false()),
    column("state", sa.String(12)),
    column("version", sa.Integer),
    sa.UniqueConstraint("id", "person", name="request_and_person"),
    sa.ForeignKeyConstraint(["counters", "person"], ["requests.id", "requests.person"], name="counters_his_own"),
    sa.Index("requests_by_person", "person", "submitted_at"),
    sa.Index("requests_due", "state", "lapses_at"),
    sa.CheckConstraint("duration_s > 0", name="duration_positive"),
    sa.CheckConstraint("(incident IS NULL) = (drill IS NULL)", name="whole_mark"),
    sa.CheckConstraint("envelope_id IS NULL OR incident IS NOT NULL", name="envelopes_are_for_emergencies"),
)

reviews = sa.Table(
    "reviews",
    metadata,
    column("request_id", sa.String(20)),
    column("person", sa.String(63)),
    column("requester_person", sa.String(63)),
    column("principal", sa.String(63)),
    column("decision", sa.String(8)),
    column("digest", sa.String(64)),
    column("at", Moment),
    column("signature", sa.JSON, nullable=True),
    sa.PrimaryKeyConstraint("request_id", "person", name="one_review_per_person"),
    sa.ForeignKeyConstraint(["request_id", "requester_person"], ["requests.id", "requests.person"]),
    sa.CheckConstraint("person <> requester_person", name="never_the_requester"),
    sa.CheckConstraint("decision IN ('approve', 'deny')", name="known_decision"),
)

grants = sa.Table(
    "grants",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("request_id", sa.String(20), sa.ForeignKey("requests.id"), unique=True),
    column("request_digest", sa.String(64)),
    column("person", sa.String(63)),
    column("entitlement", sa.String(63)),
    column("target", sa.String(63)),
    column("duration_s", sa.BigInteger),
    column("draws", sa.Integer),
    column("draws_used", sa.Integer),
    column("opened_at", Moment),
    column("draw_by", Moment),
    column("not_after", Moment, nullable=True),
    column("due", Moment),
    column("state", sa.String(12)),
    column("version", sa.Integer),
    sa.Index("grants_by_person", "person", "opened_at"),
    sa.Index("grants_due", "state", "due"),
    sa.CheckConstraint("draws_used >= 0 AND draws_used <= draws", name="draws_within_bounds"),
)

NOT_DEAD = sa.text("state <> 'revoked'")
"""As text, in the index and in each query that wants the index: neither database knows it by a parameter."""
ALIVE: dict[str, Any] = {"sqlite_where": NOT_DEAD, "postgresql_where": NOT_DEAD}
IS_OVERDUE = sa.text("overdue")
OVERDUE: dict[str, Any] = {"sqlite_where": IS_OVERDUE, "postgresql_where": IS_OVERDUE}

leases = sa.Table(
    "leases",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("grant_id", sa.String(20), sa.ForeignKey("grants.id"), index=True),
    column("request_id", sa.String(20)),
    column("person", sa.String(63)),
    column("entitlement", sa.String(63)),
    column("provider", sa.String(63)),
    column("target_id", sa.String(63)),
    column("target", sa.JSON),
    column("handle", sa.JSON),
    column("prepared_at", Moment),
    column("not_after", Moment),
    column("backstop_at", Moment),
    column("due", Moment),
    column("state", sa.String(12)),
    column("generation", sa.Integer),
    column("cause", sa.String(20), nullable=True),
    column("asked_at", Moment, nullable=True),
    column("written_at", Moment, nullable=True),
    column("dead_at", Moment, nullable=True),
    column("evidence", sa.String(10), nullable=True),
    column("overdue", sa.Boolean),
    column("tries", sa.Integer),
    column("version", sa.Integer),
    column("idle_s", sa.Integer, nullable=True),
    column("last_used_at", Moment, nullable=True),
    # Holds all that decides what is due, and the living only: its size does not grow with history.
    sa.Index("leases_due", "state", "due", "provider", "target_id", "tries", "not_after", **ALIVE),
    sa.Index("leases_overdue", "target_id", **OVERDUE),
    sa.Index("leases_by_person", "person", "prepared_at"),
    sa.CheckConstraint(
        "state <> 'revoked' OR (dead_at IS NOT NULL AND evidence IS NOT NULL)", name="death_is_certified"
    ),
)

stops = sa.Table(
    "stops",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("scope", sa.String(12)),
    column("target", sa.String(63), nullable=True),
    column("placed_by", sa.String(63)),
    column("placed_at", Moment),
    column("until", Moment, nullable=True),
    column("lift_asked_by", sa.String(63), nullable=True),
    column("lifted_by", sa.String(63), nullable=True),
    column("lifted_at", Moment, nullable=True),
    sa.CheckConstraint(
        "lifted_by IS NULL OR lift_asked_by IS NOT NULL OR lifted_by <> placed_by", name="lifted_by_another"
    ),
    sa.CheckConstraint("lifted_by IS NULL OR lifted_by <> lift_asked_by", name="lifted_by_two"),
    sa.CheckConstraint(
        "scope <> 'person' OR (coalesce(lifted_by, '') <> target AND coalesce(lift_asked_by, '') <> target)",
        name="lifted_by_whom_it_does_not_concern",
    ),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    column("principal", sa.String(63)),
    column("key", sa.String(128)),
    column("call", sa.String(80)),
    column("body", sa.String(64)),
    column("result", sa.String(20)),
    column("at", Moment),
    sa.PrimaryKeyConstraint("principal", "key"),
)

APPEND_ONLY = ("facts", "reviews", "checkpoints", "rulebooks")
"""Tables whose rows are never changed or removed."""

PINNED_REQUEST_COLUMNS = tuple(c.name for c in requests.columns if c.name not in {"state", "version"})
"""What a request says is immutable once submitted."""

TEXT_COLUMNS = ("reason", "reason_salt", "ticket", "ticket_salt")
"""Of these, `retention_tables` says when they may be erased; otherwise they are as immutable as the rest."""


def append_only(dialect: str, *tables: str) -> list[str]:
    """Return the triggers that let nobody change or remove a row of these tables, once the refusing function exists."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for table in tables
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        f"CREATE TRIGGER {table}_refused BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
        for table in tables
    ]


def guards(dialect: str) -> list[str]:
    """Return the statements that install the append-only triggers on `sqlite` or `postgresql`."""
    if dialect == "sqlite":
        made = append_only(dialect, *APPEND_ONLY)
        pinned = ", ".join(name for name in PINNED_REQUEST_COLUMNS if name not in TEXT_COLUMNS)
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
    made += append_only(dialect, *APPEND_ONLY)
    pinned = ", ".join(name for name in PINNED_REQUEST_COLUMNS if name not in TEXT_COLUMNS)
    made.append(
        f"CREATE TRIGGER requests_pinned BEFORE UPDATE OF {pinned} OR DELETE ON requests "
        "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
    )
    return made
