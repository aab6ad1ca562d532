"""The table of cosignatures: which witness vouched for which of our checkpoints, and when. Nothing in it is ever changed."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.store.schema import Moment, column, metadata

cosignatures = sa.Table(
    "cosignatures",
    metadata,
    column("size", sa.BigInteger, sa.ForeignKey("checkpoints.size")),
    column("vkey", sa.String(400)),
    column("signature", sa.LargeBinary),
    column("at", Moment),
    sa.PrimaryKeyConstraint("size", "vkey", name="one_cosignature_of_each"),
    sa.Index("cosignatures_by_witness", "vkey", "size"),
)


def guards(dialect: str) -> list[str]:
    """Return the statements that install the append-only triggers on `sqlite` or `postgresql`."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER cosignatures_{verb}_refused BEFORE {verb} ON cosignatures "
            "BEGIN SELECT RAISE(ABORT, 'cosignatures is append-only'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        (
            "CREATE TRIGGER cosignatures_refused BEFORE UPDATE OR DELETE OR TRUNCATE ON cosignatures "
            "FOR EACH STATEMENT EXECUTE FUNCTION countersign_refuse()"
        )
    ]
