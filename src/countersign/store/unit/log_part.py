"""The log as a transaction sees it: head, rows with their openings, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from countersign.store import log, schema
from countersign.store.log import LogHead
from countersign.store.unit.part import Part


class LogPart(Part):
    """Reads of the log, and its checkpoints."""

    _head: LogHead

    def head(self) -> LogHead:
        """Return the log's head; as it was read before, where nobody else can have moved it since."""
        # At PostgreSQL others commit while a writing transaction waits for a lock: what it then judges must be in the head.
        return self._head if self._connection.dialect.name == "sqlite" else log.read_head(self._connection)

    def leaves(self, *, start: int, end: int) -> list[bytes]:
        """Return the leaves from an index up to but not including another, in order, as they are stored."""
        table = schema.facts
        query = sa.select(log.RAW[0]).where(table.c.index >= start, table.c.index < end).order_by(table.c.index)
        return [bytes(leaf) for leaf in self._connection.execute(query).scalars()]

    def facts(
        self, *, after: int = -1, limit: int = 100, subject: str | None = None, type_: str | None = None
    ) -> list[Mapping[str, Any]]:
        """Return log rows in order after an index, with their openings under `openings`."""
        table = schema.facts
        plain = [column for column in table.columns if column.name not in {raw.name for raw in log.RAW}]
        query = sa.select(*plain, *log.RAW).where(table.c.index > after).order_by(table.c.index).limit(limit)
        if subject is not None:
            query = query.where(table.c.subject == subject)
        if type_ is not None:
            query = query.where(table.c.type == type_)
        found = [dict(row) for row in self._connection.execute(query).mappings()]
        opened = sa.select(schema.openings).where(schema.openings.c.index.in_([row["index"] for row in found]))
        by_index: dict[int, dict[str, Any]] = {}
        for row in self._connection.execute(opened).mappings():
            by_index.setdefault(row["index"], {})[row["field"]] = {
                "salt": bytes(row["salt"]).hex(),
                "text": row["text"],
            }
        return [row | {"openings": by_index.get(row["index"], {})} for row in found]

    def opened(self, *, type_: str, subject: str, field: str) -> dict[str, str]:
        """Return one free text of a subject's facts of a type, by actor; what was left unsaid is absent."""
        facts, openings = schema.facts, schema.openings
        query = (
            sa.select(facts.c.actor, openings.c.text)
            .join(openings, openings.c.index == facts.c.index)
            .where(facts.c.subject == subject, facts.c.type == type_, openings.c.field == field)
            .order_by(facts.c.index)
        )
        return {row[0]: row[1] for row in self._connection.execute(query)}

    def newest_checkpoint(self) -> tuple[int, str] | None:
        """Return size and signed note of the newest checkpoint."""
        table = schema.checkpoints
        query = sa.select(table.c.size, table.c.note).order_by(table.c.size.desc()).limit(1)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else (row[0], row[1])

    def has_fact(self, type_: str, *, subject: str, actor: str) -> bool:
        """Say whether somebody did something of this kind to a thing before."""
        table = schema.facts
        query = sa.select(table.c.index).where(
            table.c.subject == subject, table.c.type == type_, table.c.actor == actor
        )
        return self._connection.execute(query.limit(1)).one_or_none() is not None

    def newest_fact(self, type_: str) -> Mapping[str, Any] | None:
        """Return index and time of the newest fact of a type."""
        table = schema.facts
        query = sa.select(table.c.index, table.c.at).where(table.c.type == type_).order_by(table.c.index.desc())
        row = self._connection.execute(query.limit(1)).mappings().one_or_none()
        return None if row is None else dict(row)

    def checkpoint_roots(self, *, after: int) -> list[tuple[int, bytes]]:
        """Return sizes and roots of the checkpoints beyond a size."""
        table = schema.checkpoints
        query = sa.select(table.c.size, table.c.root).where(table.c.size > after).order_by(table.c.size)
        return [(size, bytes(root)) for size, root in self._connection.execute(query)]

    def checkpoints_after(self, size: int, *, limit: int) -> list[tuple[int, str]]:
        """Return sizes and signed notes of the checkpoints beyond a size, smallest first."""
        table = schema.checkpoints
        query = sa.select(table.c.size, table.c.note).where(table.c.size > size).order_by(table.c.size).limit(limit)
        return [(found, note) for found, note in self._connection.execute(query)]

    def checkpoints(self) -> list[str]:
        """Return every signed note that was kept, smallest first."""
        table = schema.checkpoints
        return list(self._connection.execute(sa.select(table.c.note).order_by(table.c.size)).scalars())

    def add_checkpoint(self, head: LogHead, note: str) -> None:
        """Keep a signed checkpoint; a second one of the same size is refused by the table."""
        self._insert(schema.checkpoints, {"size": head.size, "root": head.root, "note": note, "at": self.now})
