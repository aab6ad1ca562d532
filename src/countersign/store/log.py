"""The log's own tables: appending in the transaction of the state change, and reading what was appended.

The head row is written last, so that on PostgreSQL its lock is held only for the end of a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry

from countersign.auditlog.leaf import Entry, Leaf
from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.domain.facts import Fact
from countersign.domain.timestamps import spell
from countersign.store import schema

READ_AT_ONCE = 2000
BEHIND_ALL = 2**62
RAW = tuple(
    sa.cast(column, sa.LargeBinary).label(column.name) for column in (schema.facts.c.leaf, schema.facts.c.leaf_hash)
)
"""Leaf and hash as bytes, whatever an edit behind the broker's back made of them: such a row is named, not stumbled over."""

# Built once: building a statement costs about as much as running it, and every transaction reads the head.
_READ_HEAD = sa.select(schema.log_head)
_LOCK_HEAD = _READ_HEAD.with_for_update()
_PAGE = (
    sa.select(schema.facts.c.index, *RAW)
    .where(schema.facts.c.index > sa.bindparam("after"), schema.facts.c.index < sa.bindparam("before"))
    .order_by(schema.facts.c.index)
    .limit(READ_AT_ONCE)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogHead:
    """Size and root of the whole log, and the time of its newest entry."""

    size: int
    root: bytes
    frontier: Frontier
    at: datetime | None


def read_head(connection: sa.Connection, *, lock: bool = False) -> LogHead:
    """Return the head; an empty log has one too (the first migration writes it).

    Args:
        connection: inside a transaction.
        lock: keep others from appending until the transaction ends.
    """
    row = connection.execute(_LOCK_HEAD if lock else _READ_HEAD).one()
    return LogHead(size=row.size, root=row.root, frontier=Frontier.decode(row.frontier), at=row.at)


def append(connection: sa.Connection, facts: Sequence[Fact], *, now: datetime, head: LogHead) -> LogHead:
    """Append facts and move the head; commits or vanishes with the caller's transaction.

    The time of an entry never runs behind that of the entry before it.

    Args:
        connection: inside a writing transaction.
        facts: in order.
        now: the transaction's time.
        head: the head as this transaction read it, which nobody else can have moved since.
    """
    at = now if head.at is None else max(now, head.at)
    spelled = spell(at)
    rows: list[dict[str, Any]] = []
    openings: list[dict[str, Any]] = []
    for index, fact in enumerate(facts, start=head.size):
        leaf = Leaf(type=fact.type, at=at, actor=fact.actor, subject=fact.subject, data=fact.data()).encode()
        rows.append(
            {
                "index": index,
                "at": spelled,
                "type": fact.type,
                "actor": fact.actor,
                "subject": fact.subject,
                "leaf": leaf,
                "leaf_hash": leaf_hash(leaf),
            }
        )
        openings += [
            {"index": index, "field": name, "salt": sealed.salt, "text": sealed.text}
            for name, sealed in fact.openings().items()
        ]
    frontier = head.frontier.extend([row["leaf_hash"] for row in rows])
    grown = LogHead(size=frontier.size, root=frontier.root(), frontier=frontier, at=at)
    moved = {"size": grown.size, "root": grown.root, "frontier": frontier.encode(), "at": spelled}
    add_facts, add_openings, move_head = _statements(f"{connection.dialect.name}.{connection.dialect.driver}")
    for statement, written in ((add_facts, rows), (add_openings, openings), (move_head, [moved])):
        if written:
            connection.exec_driver_sql(statement, written[0] if len(written) == 1 else written)
    return grown


@cache
def _statements(dialect: str) -> tuple[str, ...]:
    """Return how to add facts and openings and how to move the head, as the driver takes it, with parameters by name.

    Every state change passes here, and SQLAlchemy's own work around a statement takes longer than the database with it.
    """
    speaks = registry.load(dialect)(paramstyle="named" if dialect.startswith("sqlite") else "pyformat")
    columns: list[str] = [each.name for each in schema.log_head.columns if each.name != "id"]
    move_head = sa.update(schema.log_head).values({name: sa.bindparam(name) for name in columns})
    made = (sa.insert(schema.facts), sa.insert(schema.openings), move_head)
    return tuple(str(statement.compile(dialect=speaks)) for statement in made)


def entries(connection: sa.Connection, *, start: int = 0, end: int | None = None) -> Iterator[Entry]:
    """Yield entries in order, from `start` up to but not including `end`, holding few in memory."""
    after, before = start - 1, BEHIND_ALL if end is None else end
    while True:
        page = connection.execute(_PAGE, {"after": after, "before": before}).all()
        for index, leaf, hashed in page:
            yield Entry(index=index, leaf=bytes(leaf), leaf_hash=bytes(hashed))
        if len(page) < READ_AT_ONCE:
            return
        after = page[-1][0]
