"""Followers within a transaction: their cursors, moved by compare-and-set only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from countersign.domain.refusals import Conflict
from countersign.store.follower_tables import followers
from countersign.store.unit.part import Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """How far a follower has come.

    Attributes:
        next: the index of the first entry that it has not handled.
        failures: tries in a row that went wrong; `failing_since` is the first of them, `retry_at` when the next one is due.
        holder: the process that is at it until `held_until`; others leave it alone until then.
    """

    name: str
    next: int
    updated_at: datetime
    failures: int = 0
    failing_since: datetime | None = None
    retry_at: datetime | None = None
    error: str | None = None
    holder: str | None = None
    held_until: datetime | None = None
    version: int = 1


class FollowersPart(Part):
    """The cursors of followers."""

    def cursors(self) -> list[Cursor]:
        """Return the cursors of all followers that there ever were, by name."""
        rows = self._connection.execute(sa.select(followers).order_by(followers.c.name)).mappings()
        return [Cursor(**row) for row in rows]

    def cursor(self, name: str) -> Cursor | None:
        """Return the cursor of a follower, None before its first time."""
        row = self._one(followers, followers.c.name == name)
        return None if row is None else Cursor(**row)

    def add_cursor(self, name: str) -> None:
        """Let a new follower begin at the log's first entry."""
        new = Cursor(name=name, next=0, updated_at=self.now)
        self._insert(followers, {column: getattr(new, column) for column in Cursor.__dataclass_fields__})

    def move_cursor(self, before: Cursor, after: Cursor) -> Cursor:
        """Write the next state of a cursor and return it.

        Raises:
            Conflict: somebody else moved it since it was read.
        """
        moved = replace(after, updated_at=self.now, version=before.version + 1)
        unmoved = sa.and_(followers.c.name == before.name, followers.c.version == before.version)
        values = {column: getattr(moved, column) for column in Cursor.__dataclass_fields__ if column != "name"}
        if self._connection.execute(sa.update(followers).where(unmoved).values(**values)).rowcount != 1:
            raise Conflict(f"follower {before.name} was moved by someone else", hint="read again")
        return moved

    def release_cursors(self, holder: str | None = None) -> None:
        """Let go of the cursors that a process holds; of all, if none is named."""
        held = followers.c.holder.is_not(None) if holder is None else followers.c.holder == holder
        values = {"holder": None, "held_until": None, "version": followers.c.version + 1}
        self._connection.execute(sa.update(followers).where(held).values(**values))
