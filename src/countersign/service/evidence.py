"""Evidence: signed checkpoints over the log, and the one that is shown to the world, with what witnesses said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.note import Signature
from countersign.auditlog.signer import CannotSign, LogSigner
from countersign.auditlog.witnessing import read_witness_key, with_cosignatures
from countersign.domain.log_facts import CheckpointClock
from countersign.service.office import Office

logger = structlog.get_logger(__name__)

WITNESSES_WITHIN = timedelta(seconds=60)
"""How long an older checkpoint is shown because the newer ones are not cosigned yet."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Signs what the log says. The head is read committed, so that nothing is signed that a crash could undo.

    Attributes:
        clock: says what is known of the clock; recorded before each checkpoint, which covers it, and so never by itself.
    """

    office: Office
    signer: LogSigner
    clock: Callable[[], CheckpointClock] | None = None

    def sign_checkpoint(self) -> str | None:
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

    def newest_checkpoint(self) -> str | None:
        """Return the newest signed note, or None before the first."""
        with self.office.store.read() as tx:
            newest = tx.newest_checkpoint()
        return None if newest is None else newest[1]

    def published_checkpoint(self) -> str | None:
        """Return the checkpoint that is shown to the world, with its cosignatures; None before the first.

        It is the newest that a quorum of witnesses cosigned. While they have been away for longer than `WITNESSES_WITHIN` it is
        the newest, with as many as there are: whoever demands a quorum sees for himself that it is missing.
        """
        with self.office.store.read() as tx:
            newest = tx.newest_checkpoint()
            if newest is None or not tx.rulebook_seq():
                return None if newest is None else newest[1]
            trust = self.office.rules.current(tx).catalog.trust
            if not trust.witnesses:
                return newest[1]
            keys = {each.vkey: read_witness_key(each.vkey) for each in trust.witnesses}
            size = tx.cosigned_size(list(keys), trust.witness_quorum)
            waiting_since = tx.first_signed_after(size)
            if size == 0 or (waiting_since is not None and tx.now - waiting_since > WITNESSES_WITHIN):
                size = newest[0]
            found = tx.cosignatures(size, list(keys))
            note = newest[1] if size == newest[0] else tx.checkpoint(size)
        lines = [
            Signature(name=keys[each.vkey].name, key_id=keys[each.vkey].key_id, signature=each.signature)
            for each in found
        ]
        return None if note is None else with_cosignatures(note, lines)
