"""Long logs of one shape, for what depends on a log's length and not on what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from countersign.auditlog.leaf import Leaf
from countersign.auditlog.merkle import leaf_hash
from countersign.domain.timestamps import spell
from countersign.store import schema
from countersign.store.engine import make_engine
from countersign.store.log import read_head

_AT_ONCE = 20_000
_COLUMNS = ("index", "at", "type", "actor", "subject", "leaf", "leaf_hash")


def leaves(count: int) -> Iterator[bytes]:
    """Yield entries of about 400 bytes, spelled as those of the log are, all different."""
    at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    data = {
        "cause": "expired",
        "draw_given_back": False,
        "note": "x" * 90,
        "not_after": "2026-11-22T09:00:00.000Z",
        "seen": {"role": "absent", "sessions": 0, "token": "gone", "valid_until": "2026-11-22T09:00:00.000Z"},
    }
    leaf = Leaf(type="lease.dead", at=at, actor="countersign/sweep", subject="lse_" + "a" * 16, data=data).encode()
    before, after = leaf.split(b"lse_" + b"a" * 16)
    assert json.loads(leaf)["type"] == "lease.dead"
    for index in range(count):
        yield before + b"lse_" + index.to_bytes(8, "big").hex().encode() + after


def grow(url: str, size: int) -> None:
    """Fill the log up to `size` entries, as if they had been recorded one by one."""
    engine = make_engine(url)
    with engine.begin() as connection:
        head = read_head(connection)
        frontier, at = head.frontier, datetime.now(UTC)
        source: Iterable[tuple[int, bytes]] = enumerate(leaves(size - head.size), start=head.size)
        while block := list(islice(source, _AT_ONCE)):
            hashes = [leaf_hash(leaf) for _, leaf in block]
            frontier = frontier.extend(hashes)
            _write(
                connection,
                [
                    (index, spell(at), "lease.dead", "countersign/sweep", f"lse_{index:016d}", leaf, hashed)
                    for (index, leaf), hashed in zip(block, hashes, strict=True)
                ],
            )
        values = {"size": frontier.size, "root": frontier.root(), "frontier": frontier.encode(), "at": at}
        connection.execute(sa.update(schema.log_head).values(**values))
    engine.dispose()


def _write(connection: sa.Connection, rows: list[tuple[Any, ...]]) -> None:
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.executemany(f"INSERT INTO facts ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 - names of ours
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY facts ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
