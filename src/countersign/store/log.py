"""The log's own tables: appending in the transaction of the state change, and reading what was appended.

The head row is written with the entries, at the end of a transaction, so that on PostgreSQL others wait for it only that long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

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
_ADD_OPENINGS = sa.insert(schema.openings)
_MOVE_HEAD = "UPDATE log_head SET size = ?, root = ?, frontier = ?, at = ? WHERE size = ?"
_ADD_FACTS = 'INSERT INTO facts ("index", at, type, actor, subject, leaf, leaf_hash) VALUES (?, ?, ?, ?, ?, ?, ?)'
_WRITE = {
    "sqlite": (_MOVE_HEAD, _ADD_FACTS),
    "postgresql": (_MOVE_HEAD.replace("?", "%s"), _ADD_FACTS.replace("?", "%s")),
}
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


def append(connection: sa.Connection, facts: Sequence[Fact], *, now: datetime, head: LogHead) -> LogHead | None:
    """Append facts behind a head and move it, or do nothing; commits or vanishes with the caller's transaction.

    Once it is moved nobody else can append until the transaction ends. The time of an entry never runs behind that of the
    entry before it.

    Args:
        connection: inside a writing transaction.
        facts: in order, at least one.
        now: the transaction's time.
        head: the head as this transaction read it.

    Returns:
        The head as it is now; None if somebody else has appended since it was read, and nothing was written.
    """
    at = now if head.at is None else max(now, head.at)
    leaves = [
        Leaf(type=fact.type, at=at, actor=fact.actor, subject=fact.subject, data=fact.data()).encode() for fact in facts
    ]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    frontier = head.frontier.extend(hashes)
    grown = LogHead(size=frontier.size, root=frontier.root(), frontier=frontier, at=at)
    # SQLAlchemy's own work around a statement takes longer than the database with it, and every state change passes here: these
    # statements go to the driver as they are, with what the database stores.
    move_head, add_facts = _WRITE[connection.dialect.name]
    values = (grown.size, grown.root, frontier.encode(), spell(at), head.size)
    if not connection.exec_driver_sql(move_head, values).rowcount:
        return None
    told = zip(range(head.size, grown.size), facts, leaves, hashes, strict=True)
    rows = [(index, spell(at), fact.type, fact.actor, fact.subject, leaf, hashed) for index, fact, leaf, hashed in told]
    connection.exec_driver_sql(add_facts, rows if len(rows) > 1 else rows[0])
    openings = [
        {"index": index, "field": name, "salt": sealed.salt, "text": sealed.text}
        for index, fact in enumerate(facts, start=head.size)
        for name, sealed in fact.openings().items()
    ]
    if openings:
        connection.execute(_ADD_OPENINGS, openings)
    return grown


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
