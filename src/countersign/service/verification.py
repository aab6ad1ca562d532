"""Verification of the log as it lies in a database: every row, the head, every checkpoint that was signed, and what it means."""

from __future__ import annotations

from collections.abc import Sequence

from countersign.auditlog.anchors import Head
from countersign.auditlog.meaning import MeaningCheck
from countersign.auditlog.note import Verifier
from countersign.auditlog.report import Report
from countersign.auditlog.verify import verify_entries
from countersign.store import Store


def verify_store(
    store: Store, *, verifiers: Sequence[Verifier], checkpoints: Sequence[str] = (), meaning: bool = True
) -> Report:
    """Verify a database's log.

    Args:
        store: where it lies.
        verifiers: the log's public key, and witnesses' if there are any.
        checkpoints: signed notes that somebody kept elsewhere; these convict a rewrite that also recomputed the hashes.
        meaning: replay the facts as well.
    """
    with store.read() as tx:
        head = tx.head()
        signed = tx.checkpoints()
    check = MeaningCheck() if meaning else None
    report = verify_entries(
        store.entries(end=head.size),
        head=Head(size=head.size, root=head.root),
        checkpoints=[*signed, *checkpoints],
        verifiers=verifiers,
        reader=check,
    )
    return report if check is None else check.joined(report)
