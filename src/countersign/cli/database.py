"""Verifies the log as it stands in the broker's database, on one consistent view of it.

Rows are read as bytes whatever their columns have become: somebody may have been at them with an editor of his own.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from countersign.auditlog.anchors import Head
from countersign.auditlog.cosigned import CosignCheck
from countersign.auditlog.leaf import Entry, Leaf, NotALeaf, fact_of
from countersign.auditlog.merkle import HASH_SIZE
from countersign.auditlog.note import NoteRefused, Signature
from countersign.auditlog.openings import check_opening
from countersign.auditlog.report import Failure, Report
from countersign.auditlog.witnessing import with_cosignatures
from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.sources import Trust
from countersign.domain.rule_facts import RulebookAdopted
from countersign.domain.timestamps import spell
from countersign.store import schema
from countersign.store.engine import make_engine
from countersign.store.witness_tables import cosignatures

READ_AT_ONCE = 1000
MOST_MISSING = 10_000
Gone = tuple[int, str, str]
"""Entry, field and time of a text that is not there."""
TEXTS = ("reason", "ticket", "comment", "findings")
"""The fields of entries that only commit to what somebody wrote."""
COPIED = ("type", "actor", "subject")
"""Columns that repeat what the entry says."""
_COMMITMENT = re.compile(rb'"(?:reason|ticket|comment|findings)":"[0-9a-f]{64}"')
_HEX = re.compile("[0-9a-f]{64}")
AFTER_RULES = 20
"""Checkpoints that are looked at for each change of the rules: the old key signs on until it is changed."""


def verify_database(url: str, trust: Trust) -> Report:
    """Verify entries, head, newest checkpoint, that rows repeat their entries, and that kept texts open their commitments.

    Raises:
        CommandFailed: not a database that can be read.
    """
    _demand_fit(url)
    try:
        engine = make_engine(url)
    except (SQLAlchemyError, ValueError, ImportError):
        raise usage(
            "not the URL of a database: sqlite:////path or postgresql://user@host/name", field="--database"
        ) from None
    options: dict[str, Any] = (
        {"reading": True} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    )
    try:
        with engine.connect().execution_options(**options) as connection, connection.begin():
            return _verify(_Log(connection), trust)
    except SQLAlchemyError:
        raise CommandFailed(
            "the database cannot be read, or holds no log",
            exit_code=Exit.AWAY,
            code="log-unavailable",
            hint="check --database",
        ) from None
    finally:
        engine.dispose()


def _verify(log: _Log, trust: Trust) -> Report:
    texts: list[Failure] = []
    missing: deque[Gone] = deque(maxlen=MOST_MISSING)  # the last ones: those before an erasure need no word
    report = trust.verify(
        _opened(log, texts, missing),
        head=log.head(),
        found=log.newest_checkpoint(trust.cosigned),
        handovers=log.after_rules(),
    )
    if trust.meaning is not None:
        texts += _destroyed(missing, erased_before=max((each.before for each in trust.meaning.erased), default=""))
    return replace(report, failures=(*report.failures, *texts))


def _destroyed(missing: Iterable[Gone], *, erased_before: str) -> Iterator[Failure]:
    """Name the texts that are gone although nobody decided to erase them."""
    for index, field, at in missing:
        if at >= erased_before:
            detail = f"the text of {field} is gone, and no two people decided to erase it"
            yield Failure(index=index, code="opening-missing", detail=detail)


class _Log:
    """The log's tables inside one reading transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def head(self) -> Head:
        table = schema.log_head
        size, root = self._connection.execute(sa.select(table.c.size, _raw(table.c.root))).one()
        fits = root is not None and len(root) == HASH_SIZE
        return Head(size=size, root=root if fits else bytes(HASH_SIZE))

    def newest_checkpoint(self, demanded: CosignCheck | None) -> str | None:
        """Return the newest signed note; where witnesses are demanded, the newest for which they vouch, with their lines."""
        table, lines = schema.checkpoints, cosignatures
        newest = sa.select(table.c.size, table.c.note).order_by(table.c.size.desc()).limit(1)
        found = self._connection.execute(newest).one_or_none()
        if demanded is None or found is None:
            return None if found is None else str(found[1])
        keys = {one.vkey(): one for one in demanded.witnesses}
        vouched = (
            sa.select(lines.c.size)
            .where(lines.c.vkey.in_(list(keys)))
            .group_by(lines.c.size)
            .having(sa.func.count() >= demanded.quorum)
        )
        cosigned = self._connection.execute(newest.where(table.c.size.in_(vouched))).one_or_none()
        if cosigned is None:
            return str(found[1])
        said = self._connection.execute(
            sa.select(lines.c.vkey, _raw(lines.c.signature)).where(
                lines.c.size == cosigned[0], lines.c.vkey.in_(list(keys))
            )
        )
        signatures = [Signature(name=keys[vkey].name, key_id=keys[vkey].key_id, signature=raw) for vkey, raw in said]
        try:
            return with_cosignatures(str(cosigned[1]), signatures)
        except NoteRefused:
            return str(cosigned[1])

    def after_rules(self) -> list[str]:
        """Return the first checkpoints after each change of the rules: by one of them a key may have brought in the next."""
        table, facts = schema.checkpoints, schema.facts
        changed = sa.select(facts.c.index).where(facts.c.type == RulebookAdopted.type)
        found: dict[int, str] = {}
        for index in self._connection.execute(changed).scalars():
            after = sa.select(table.c.size, table.c.note).where(table.c.size > index).order_by(table.c.size)
            found |= {size: str(note) for size, note in self._connection.execute(after.limit(AFTER_RULES))}
        return [note for _, note in sorted(found.items())]

    def pages(self) -> Iterator[list[tuple[Entry, Sequence[object]]]]:
        """Yield entries, each with what its row says in the columns of `COPIED` for whoever looks for it."""
        table = schema.facts
        copied = [table.c[name] for name in COPIED]
        query = sa.select(table.c.index, _raw(table.c.leaf), _raw(table.c.leaf_hash), *copied).order_by(table.c.index)
        after = -1
        while page := self._connection.execute(query.where(table.c.index > after).limit(READ_AT_ONCE)).all():
            yield [(Entry(index, leaf or b"", hashed or b""), copies) for index, leaf, hashed, *copies in page]
            after = page[-1][0]

    def openings(self, first: int, last: int) -> list[tuple[int, str, bytes, str]]:
        """Return index, field, salt and text of what is kept beside these entries."""
        table = schema.openings
        query = (
            sa.select(table.c.index, table.c.field, _raw(table.c.salt), table.c.text)
            .where(table.c.index.between(first, last))
            .order_by(table.c.index, table.c.field)
        )
        return [
            (index, str(field), salt or b"", str(text)) for index, field, salt, text in self._connection.execute(query)
        ]


def _raw(column: sa.Column[bytes]) -> sa.Cast[bytes]:
    return sa.cast(column, sa.LargeBinary)


def _opened(log: _Log, texts: list[Failure], missing: deque[Gone]) -> Iterator[Entry]:
    for rows in log.pages():
        page = [entry for entry, _ in rows]
        leaves = {entry.index: entry.leaf for entry in page}
        texts.extend(wrong for entry, copies in rows for wrong in _miscopied(entry, copies))
        kept = set()
        for index, field, salt, text in log.openings(page[0].index, page[-1].index):
            kept.add((index, field))
            if index in leaves and not _opens(leaves[index], field, salt, text):
                detail = f"the text kept for {field} is not the one that the entry commits to"
                texts.append(Failure(index=index, code="opening", detail=detail))
        for index, leaf in leaves.items():
            missing.extend((index, *gone) for gone in _bound(leaf) if (index, gone[0]) not in kept)
        yield from page


def _miscopied(entry: Entry, copies: Sequence[object]) -> Iterator[Failure]:
    """Name what a row says beside its entry and the entry does not: by it the entry is found, or hidden."""
    try:
        said = fact_of(entry.leaf)
    except NotALeaf:
        return  # said already, of the entry itself
    for name, copy in zip(COPIED, copies, strict=True):
        if copy != said.get(name):
            detail = (
                f"the row beside the entry says another {name} than the entry, which hides it from who asks for that"
            )
            yield Failure(index=entry.index, code="row-mismatch", detail=detail)


def _bound(leaf: bytes) -> list[tuple[str, str]]:
    """Return the texts that an entry commits to, each with the entry's time."""
    if _COMMITMENT.search(leaf) is None:
        return []
    try:
        said = Leaf.decode(leaf)
    except NotALeaf:
        return []  # said already, of the entry itself
    found = ((name, said.data.get(name)) for name in TEXTS)
    return [(name, spell(said.at)) for name, value in found if isinstance(value, str) and _HEX.fullmatch(value)]


def _opens(leaf: bytes, field: str, salt: bytes, text: str) -> bool:
    try:
        committed = Leaf.decode(leaf).data.get(field)
    except NotALeaf:
        return True  # said already, of the entry itself
    return isinstance(committed, str) and check_opening(committed, salt, text)


def _demand_fit(url: str) -> None:
    parts = urlsplit(url)
    if parts.password is not None:
        raise usage(
            "a password does not belong on a command line, where everybody on the machine reads it",
            field="--database",
            hint="leave it out and set PGPASSWORD or PGPASSFILE",
        )
    # Opening a SQLite file that is not there would make one.
    if parts.scheme.startswith("sqlite") and not Path(unquote(parts.path).removeprefix("/")).is_file():
        raise usage("there is no such database file", field="--database", hint="sqlite:/// and then the path")
