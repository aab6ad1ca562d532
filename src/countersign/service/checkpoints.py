"""Signing what the log says. Whoever signs it needs the log's key, so it is the issuing half that does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.signer import CannotSign, LogSigner
from countersign.domain.log_facts import CheckpointClock
from countersign.service.office import Office

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Signs what the log says. The head is read committed, so that nothing is signed that a crash could undo.

    Attributes:
        clock: says what is known of the clock; recorded before each checkpoint, which covers it, and so never by itself.
    """

    office: Office
    signer: LogSigner
    clock: Callable[[], CheckpointClock] | None = None

    def sign(self) -> str | None:
        """Sign the log's size and root if it has grown since the last checkpoint; return the newest signed note.

        The key is asked outside any transaction: it may be away for seconds, and nobody's writing waits for it. While it is
        away, or is none of those that were countersigned, checkpoints lag and everything else goes on.

        Returns:
            A C2SP signed note, or None while nothing is signed.
        """
        self._state_clock()
        with self.office.store.read() as tx:
            head, newest = tx.head(), tx.newest_checkpoint()
            keys = self.office.rules.current(tx).catalog.trust.log_keys if tx.rulebook_seq() else ()
        signed = None if newest is None else newest[1]
        if head.size == 0 or (newest is not None and newest[0] == head.size):
            return signed
        if keys and self.signer.verifier().vkey() not in keys:
            logger.error("the log's key is none of those that were countersigned; nothing is signed")
            return signed
        checkpoint = Checkpoint(origin=self.signer.name, size=head.size, root=head.root)
        try:
            note = sign_checkpoint(checkpoint, [self.signer])
        except CannotSign as trouble:
            logger.error("the log's key cannot be used; checkpoints lag", trouble=str(trouble))  # noqa: TRY400 - no fault of ours
            return signed
        with self.office.store.begin() as tx:
            tx.serialise("checkpoint")
            newest = tx.newest_checkpoint()
            if newest is not None and newest[0] >= head.size:
                return newest[1]
            tx.add_checkpoint(head, note)
        return note

    def _state_clock(self) -> None:
        """Record what is known of the clock, if something else happened since the last checkpoint."""
        if self.clock is None:
            return
        with self.office.store.read() as tx:
            size, newest = tx.head().size, tx.newest_checkpoint()
            last = tx.facts(after=size - 2, limit=1)
        is_signed = newest is not None and newest[0] == size
        if last and not is_signed and last[0]["type"] != CheckpointClock.type:
            fact = self.clock()
            with self.office.store.begin() as tx:
                tx.record(fact)
