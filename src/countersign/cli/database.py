"""Verifies the log as it stands in the broker's database, on one consistent view of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy.exc import SQLAlchemyError

from countersign.auditlog.anchors import Head
from countersign.auditlog.leaf import Entry, Leaf, NotALeaf
from countersign.auditlog.openings import check_opening
from countersign.auditlog.report import Failure, Report
from countersign.auditlog.verify import verify_entries
from countersign.bootstrap import now
from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.sources import Trust
from countersign.domain.refusals import LogUnavailable
from countersign.store import Store, Tx

READ_AT_ONCE = 1000


def verify_database(url: str, trust: Trust) -> Report:
    """Verify entries, head, newest checkpoint, and that kept texts open their commitments.

    Raises:
        CommandFailed: not a database that can be read.
    """
    _demand_fit(url)
    try:
        store = Store(url, clock=now)
    except (SQLAlchemyError, ValueError, ImportError):
        raise usage(
            "not the URL of a database: sqlite:////path or postgresql://user@host/name", field="--database"
        ) from None
    try:
        with store.read() as tx:
            head, newest = tx.head(), tx.newest_checkpoint()
            texts: list[Failure] = []
            report = verify_entries(
                _entries(tx, texts),
                head=Head(size=head.size, root=head.root),
                checkpoints=trust.with_found(None if newest is None else newest[1]),
                verifiers=trust.verifiers,
            )
    except (LogUnavailable, SQLAlchemyError):
        raise CommandFailed(
            "the database cannot be read, or holds no log",
            exit_code=Exit.AWAY,
            code="log-unavailable",
            hint="check --database",
        ) from None
    finally:
        store.close()
    return replace(report, failures=(*report.failures, *texts))


def _entries(tx: Tx, texts: list[Failure]) -> Iterator[Entry]:
    after = -1
    while page := tx.facts(after=after, limit=READ_AT_ONCE):
        for row in page:
            leaf = bytes(row["leaf"])
            for name, opening in row["openings"].items():
                if not _opens(leaf, name, opening):
                    detail = f"the text kept for {name} is not the one that the entry commits to"
                    texts.append(Failure(index=row["index"], code="opening", detail=detail))
            yield Entry(index=row["index"], leaf=leaf, leaf_hash=bytes(row["leaf_hash"]))
        after = page[-1]["index"]


def _opens(leaf: bytes, name: str, opening: dict[str, str]) -> bool:
    try:
        committed = Leaf.decode(leaf).data.get(name)
    except NotALeaf:
        return True  # said already, of the entry itself
    return isinstance(committed, str) and check_opening(committed, bytes.fromhex(opening["salt"]), opening["text"])


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
