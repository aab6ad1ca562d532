"""The tables of break-glass, and what the database refuses of them by itself: envelopes, signatures, reviews after the fact."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

envelopes = sa.Table(
    "envelopes",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("entitlement", sa.String(63)),
    column("rule_digest", sa.String(64)),
    column("not_before", Moment),
    column("not_after", Moment),
    column("uses", sa.Integer),
    column("max_duration_s", sa.BigInteger),
    column("proposed_by", sa.String(63)),
    column("proposed_at", Moment),
    column("revoked_by", sa.String(63), nullable=True),
    column("revoked_at", Moment, nullable=True),
    sa.CheckConstraint("uses > 0 AND max_duration_s > 0 AND not_after > not_before", name="envelope_makes_sense"),
)

envelope_signatures = sa.Table(
    "envelope_signatures",
    metadata,
    column("envelope_id", sa.String(20), sa.ForeignKey("envelopes.id")),
    column("person", sa.String(63)),
    column("principal", sa.String(63)),
    column("digest", sa.String(64)),
    column("at", Moment),
    column("assertion", sa.JSON, nullable=True),
    sa.PrimaryKeyConstraint("envelope_id", "person", name="one_signature_per_person"),
)

after_reviews = sa.Table(
    "after_reviews",
    metadata,
    column("grant_id", sa.String(20), sa.ForeignKey("grants.id"), primary_key=True),
    column("request_id", sa.String(20), sa.ForeignKey("requests.id")),
    column("person", sa.String(63)),
    column("entitlement", sa.String(63)),
    column("incident", sa.String(40)),
    column("drill", sa.Boolean),
    column("granters", sa.JSON),
    column("opened_at", Moment),
    column("due_at", Moment),
    column("reviewer", sa.String(63), nullable=True),
    column("verdict", sa.String(16), nullable=True),
    column("reviewed_at", Moment, nullable=True),
    column("escalated_at", Moment, nullable=True),
    sa.CheckConstraint("reviewer <> person", name="reviewed_by_another"),
    sa.CheckConstraint("verdict IN ('justified', 'not-justified')", name="known_verdict"),
    sa.CheckConstraint("(reviewer IS NULL) = (verdict IS NULL)", name="whole_word"),
    sa.Index("after_reviews_owed", "person", "verdict"),
)

_OWED = ("grant_id", "request_id", "person", "entitlement", "incident", "drill", "granters", "opened_at", "due_at")
_WRITTEN = tuple(c.name for c in envelopes.columns if c.name not in {"revoked_by", "revoked_at"})

_SIGNED = (
    "SELECT 1 FROM reviews WHERE request_id = NEW.request_id AND person = NEW.reviewer "
    "UNION ALL SELECT 1 FROM envelope_signatures s JOIN requests r ON r.envelope_id = s.envelope_id "
    "WHERE r.id = NEW.request_id AND s.person = NEW.reviewer"
)
_OWN_ENVELOPE = (
    "SELECT 1 FROM envelope_signatures WHERE envelope_id = NEW.envelope_id AND person = NEW.person "
    "UNION ALL SELECT 1 FROM envelopes WHERE id = NEW.envelope_id AND proposed_by = NEW.person"
)
_OPENED_BEFORE = "SELECT 1 FROM requests WHERE envelope_id = NEW.envelope_id AND person = NEW.person"


def guards(dialect: str) -> list[str]:
    """Return the statements that install the triggers on `sqlite` or `postgresql`."""
    kept = (("envelopes", _WRITTEN), ("after_reviews", _OWED))
    refused = (
        ("after_reviews", "UPDATE", _SIGNED, "who signed does not review afterwards"),
        ("requests", "INSERT", _OWN_ENVELOPE, "who signed or wrote an envelope does not open it"),
        ("envelope_signatures", "INSERT", _OPENED_BEFORE, "who opened an envelope does not sign it"),
    )
    if dialect == "sqlite":
        return [
            *(
                f"CREATE TRIGGER envelope_signatures_{verb}_refused BEFORE {verb} ON envelope_signatures "
                "BEGIN SELECT RAISE(ABORT, 'envelope_signatures is append-only'); END"
                for verb in ("UPDATE", "DELETE")
            ),
            *(
                f"CREATE TRIGGER {table}_pinned BEFORE UPDATE OF {', '.join(pinned)} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are pinned'); END"
                for table, pinned in kept
            ),
            *(
                f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{table} are kept'); END"
                for table, _ in kept
            ),
            (
                "CREATE TRIGGER after_reviews_final BEFORE UPDATE ON after_reviews WHEN OLD.verdict IS NOT NULL "
                "BEGIN SELECT RAISE(ABORT, 'a verdict is final'); END"
            ),
            (
                "CREATE TRIGGER envelopes_final BEFORE UPDATE ON envelopes WHEN OLD.revoked_at IS NOT NULL "
                "BEGIN SELECT RAISE(ABORT, 'a revocation is final'); END"
            ),
            *(
                f"CREATE TRIGGER {table}_two_people BEFORE {verb} ON {table} WHEN EXISTS ({query}) "
                f"BEGIN SELECT RAISE(ABORT, '{why}'); END"
                for table, verb, query, why in refused
            ),
        ]
    made = [
        (
            "CREATE TRIGGER envelope_signatures_refused BEFORE UPDATE OR DELETE OR TRUNCATE ON envelope_signatures "
            "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
        ),
        (
            "CREATE TRIGGER after_reviews_final BEFORE UPDATE ON after_reviews FOR EACH ROW "
            "WHEN (OLD.verdict IS NOT NULL) EXECUTE FUNCTION countersign_refuse()"
        ),
        (
            "CREATE TRIGGER envelopes_final BEFORE UPDATE ON envelopes FOR EACH ROW "
            "WHEN (OLD.revoked_at IS NOT NULL) EXECUTE FUNCTION countersign_refuse()"
        ),
    ]
    for table, pinned in kept:
        made.append(
            f"CREATE TRIGGER {table}_pinned BEFORE UPDATE OF {', '.join(pinned)} OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
        )
    for table, verb, query, why in refused:
        raised = f"RAISE EXCEPTION '{why}' USING ERRCODE = 'restrict_violation'"
        made.append(
            f"CREATE FUNCTION {table}_two_people() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$BEGIN IF EXISTS ({query}) THEN {raised}; END IF; RETURN NEW; END$$"
        )
        made.append(
            f"CREATE TRIGGER {table}_two_people BEFORE {verb} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_two_people()"
        )
    return made
