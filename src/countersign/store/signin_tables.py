"""The tables of sign-in: sessions, hashes of their secrets, what issuers signed and said, and what was shown before."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

sessions = sa.Table(
    "sessions",
    metadata,
    column("id", sa.String(20), primary_key=True),
    column("kind", sa.String(10)),
    column("principal", sa.String(63)),
    column("person", sa.String(63), index=True),
    column("issuer", sa.String(63)),
    column("subject", sa.String(255)),
    column("issuer_session", sa.String(255), nullable=True),
    column("device_key", sa.String(43), nullable=True),
    column("factors", sa.JSON),
    column("behind", sa.JSON),
    column("revision", sa.String(64), nullable=True),
    column("opened_at", Moment),
    column("seen_at", Moment),
    column("ends_at", Moment),
    column("ended_at", Moment, nullable=True),
    sa.CheckConstraint("kind IN ('web', 'cli', 'pipeline')", name="known_session"),
    sa.Index("sessions_by_identity", "issuer", "subject"),
)

session_tokens = sa.Table(
    "session_tokens",
    metadata,
    column("hash", sa.String(64), primary_key=True),
    column("session", sa.String(20), sa.ForeignKey("sessions.id"), index=True),
    column("use", sa.String(10)),
    column("expires_at", Moment),
    column("used_at", Moment, nullable=True),
    sa.CheckConstraint("\"use\" IN ('cookie', 'access', 'refresh')", name="known_use"),
)

identity_proofs = sa.Table(
    "identity_proofs",
    metadata,
    column("session", sa.String(20), sa.ForeignKey("sessions.id"), primary_key=True),
    column("issuer", sa.String(63)),
    column("subject", sa.String(255)),
    column("signed", sa.Text),
    column("signature", sa.Text),
    column("device_key", sa.String(43), nullable=True, index=True),
    column("random", sa.String(43), nullable=True),
    column("at", Moment),
)

shown_tokens = sa.Table(
    "shown_tokens",
    metadata,
    column("issuer", sa.String(63)),
    column("hash", sa.String(64)),
    column("expires_at", Moment, index=True),
    sa.PrimaryKeyConstraint("issuer", "hash", name="shown_once"),
)

group_words = sa.Table(
    "group_words",
    metadata,
    column("issuer", sa.String(63)),
    column("person", sa.String(63)),
    column("groups", sa.JSON),
    column("at", Moment),
    sa.PrimaryKeyConstraint("issuer", "person"),
)

_OPENED = tuple(c.name for c in sessions.columns if c.name not in {"seen_at", "ended_at"})


def guards(dialect: str) -> list[str]:
    """Return the statements that install the triggers on `sqlite` or `postgresql`."""
    opened = ", ".join(_OPENED)
    if dialect == "sqlite":
        return [
            *(
                f"CREATE TRIGGER identity_proofs_{verb}_refused BEFORE {verb} ON identity_proofs "
                "BEGIN SELECT RAISE(ABORT, 'identity_proofs is append-only'); END"
                for verb in ("UPDATE", "DELETE")
            ),
            (
                f"CREATE TRIGGER sessions_pinned BEFORE UPDATE OF {opened} ON sessions "
                "BEGIN SELECT RAISE(ABORT, 'what a session stands for is pinned'); END"
            ),
            (
                "CREATE TRIGGER sessions_final BEFORE UPDATE ON sessions WHEN OLD.ended_at IS NOT NULL "
                "BEGIN SELECT RAISE(ABORT, 'an end is final'); END"
            ),
            (
                "CREATE TRIGGER refresh_once BEFORE UPDATE ON session_tokens WHEN OLD.used_at IS NOT NULL "
                "BEGIN SELECT RAISE(ABORT, 'a token is used once'); END"
            ),
        ]
    refuse = "EXECUTE FUNCTION countersign_refuse()"
    return [
        (
            "CREATE TRIGGER identity_proofs_refused BEFORE UPDATE OR DELETE OR TRUNCATE ON identity_proofs "
            f"FOR EACH STATEMENT {refuse}"
        ),
        f"CREATE TRIGGER sessions_pinned BEFORE UPDATE OF {opened} ON sessions FOR EACH STATEMENT {refuse}",
        (
            "CREATE TRIGGER sessions_final BEFORE UPDATE ON sessions FOR EACH ROW "
            f"WHEN (OLD.ended_at IS NOT NULL) {refuse}"
        ),
        (
            "CREATE TRIGGER refresh_once BEFORE UPDATE ON session_tokens FOR EACH ROW "
            f"WHEN (OLD.used_at IS NOT NULL) {refuse}"
        ),
    ]
