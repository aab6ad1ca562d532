"""The table of erasures, and the triggers that keep texts until two people decided that they are erased."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, append_only, column, metadata

erasures = sa.Table(
    "erasures",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("before", Moment),
    column("asked_by", sa.String(63)),
    column("asked_at", Moment),
    column("approved_by", sa.String(63), nullable=True),
    column("approved_at", Moment, nullable=True),
    column("done_at", Moment, nullable=True),
    column("texts", sa.BigInteger, nullable=True),
    sa.CheckConstraint("approved_by <> asked_by", name="erasure_by_two"),
    sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="whole_erasure_approval"),
    sa.CheckConstraint("done_at IS NULL OR approved_by IS NOT NULL", name="erased_once_approved"),
)

_DECIDED = 'SELECT 1 FROM erasures e WHERE e.approved_by IS NOT NULL AND e."before" > '
_WRITTEN = '(SELECT f.at FROM facts f WHERE f."index" = OLD."index")'
_TEXTS = "reason, reason_salt, ticket, ticket_salt"
_WHY = "texts are kept until two people decide that they are erased"


def guards(dialect: str) -> list[str]:
    """Return the statements that install the triggers on `sqlite` or `postgresql`."""
    if dialect == "sqlite":
        return [
            *append_only(dialect, "erasures")[1:],  # moved forward, never removed
            (
                f"CREATE TRIGGER openings_kept BEFORE DELETE ON openings WHEN NOT EXISTS ({_DECIDED}{_WRITTEN}) "
                f"BEGIN SELECT RAISE(ABORT, '{_WHY}'); END"
            ),
            f"CREATE TRIGGER openings_final BEFORE UPDATE ON openings BEGIN SELECT RAISE(ABORT, '{_WHY}'); END",
            (
                f"CREATE TRIGGER requests_texts_kept BEFORE UPDATE OF {_TEXTS} ON requests "
                f"WHEN NEW.reason <> '' OR NOT EXISTS ({_DECIDED}OLD.submitted_at) "
                f"BEGIN SELECT RAISE(ABORT, '{_WHY}'); END"
            ),
        ]
    refuse = f"RAISE EXCEPTION '{_WHY}' USING ERRCODE = 'restrict_violation';"
    opening = f"BEGIN IF NOT EXISTS ({_DECIDED}{_WRITTEN}) THEN {refuse} END IF; RETURN OLD; END"
    request = (
        f"BEGIN IF NEW.reason <> '' OR NOT EXISTS ({_DECIDED}OLD.submitted_at) THEN {refuse} END IF; RETURN NEW; END"
    )
    return [
        (
            "CREATE TRIGGER erasures_kept BEFORE DELETE OR TRUNCATE ON erasures "
            "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
        ),
        f"CREATE FUNCTION countersign_keep_opening() RETURNS trigger LANGUAGE plpgsql AS $${opening}$$",
        f"CREATE FUNCTION countersign_keep_texts() RETURNS trigger LANGUAGE plpgsql AS $${request}$$",
        "CREATE TRIGGER openings_kept BEFORE DELETE ON openings FOR EACH ROW EXECUTE FUNCTION countersign_keep_opening()",
        (
            "CREATE TRIGGER openings_final BEFORE UPDATE OR TRUNCATE ON openings "
            "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
        ),
        (
            f"CREATE TRIGGER requests_texts_kept BEFORE UPDATE OF {_TEXTS} ON requests "
            "FOR EACH ROW EXECUTE FUNCTION countersign_keep_texts()"
        ),
    ]
