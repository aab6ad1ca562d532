"""Cosignatures within a transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from countersign.domain.log_facts import WitnessDisputed
from countersign.store.schema import checkpoints, facts
from countersign.store.unit.part import Part
from countersign.store.witness_tables import cosignatures


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosigned:
    """One witness's word on the checkpoint of one size.

    Attributes:
        vkey: the witness's public key.
        signature: its bytes without the key ID.
        at: when this broker was given it.
    """

    size: int
    vkey: str
    signature: bytes
    at: datetime


class WitnessesPart(Part):
    """What witnesses said."""

    def add_cosignature(self, size: int, vkey: str, signature: bytes) -> None:
        """Keep a cosignature; a later one of the same witness for the same size adds nothing and is left out."""
        self.serialise("cosignature")
        table = cosignatures
        if self._one(table, sa.and_(table.c.size == size, table.c.vkey == vkey)) is None:
            self._insert(table, {"size": size, "vkey": vkey, "signature": signature, "at": self.now})

    def cosigned_last(self, vkey: str) -> Cosigned | None:
        """Return the largest size that a witness cosigned."""
        table = cosignatures
        query = sa.select(table).where(table.c.vkey == vkey).order_by(table.c.size.desc()).limit(1)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else Cosigned(**row)

    def cosignatures(self, size: int, vkeys: Sequence[str]) -> list[Cosigned]:
        """Return what these witnesses said of one size."""
        table = cosignatures
        query = sa.select(table).where(table.c.size == size, table.c.vkey.in_(vkeys)).order_by(table.c.vkey)
        return [Cosigned(**row) for row in self._connection.execute(query).mappings()]

    def cosigned_size(self, vkeys: Sequence[str], quorum: int) -> int:
        """Return the largest size that so many of these witnesses cosigned, zero if there is none."""
        table = cosignatures
        query = (
            sa.select(table.c.size)
            .where(table.c.vkey.in_(vkeys))
            .group_by(table.c.size)
            .having(sa.func.count() >= quorum)
            .order_by(table.c.size.desc())
            .limit(1)
        )
        return int(self._connection.execute(query).scalar() or 0)

    def was_disputed(self, witness: str, code: str, *, since: datetime) -> bool:
        """Say whether such a dispute with a witness stands in the log since a moment."""
        query = sa.select(facts.c.leaf).where(
            facts.c.subject == witness, facts.c.type == WitnessDisputed.type, facts.c.at >= since
        )
        return any(json.loads(leaf)["data"]["code"] == code for leaf in self._connection.execute(query).scalars())

    def checkpoint(self, size: int) -> str | None:
        """Return the signed note of one size."""
        query = sa.select(checkpoints.c.note).where(checkpoints.c.size == size)
        found: str | None = self._connection.execute(query).scalar()
        return found

    def checkpoint_size(self, *, at_most: int) -> int | None:
        """Return the largest signed size up to a bound."""
        query = sa.select(sa.func.max(checkpoints.c.size)).where(checkpoints.c.size <= at_most)
        found: int | None = self._connection.execute(query).scalar()
        return found

    def first_signed_after(self, size: int) -> datetime | None:
        """Return when the first checkpoint beyond a size was signed."""
        query = sa.select(checkpoints.c.at).where(checkpoints.c.size > size).order_by(checkpoints.c.size).limit(1)
        found: datetime | None = self._connection.execute(query).scalar()
        return found
