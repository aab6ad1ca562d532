"""Evidence: signed checkpoints over the log, and verification of the log as it stands in the database."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.note import Signer
from countersign.service.office import Office


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Signs what the log says. The head is read committed, so that nothing is signed that a crash could undo."""

    office: Office
    signer: Signer

    def sign_checkpoint(self) -> str | None:
        """Sign the log's size and root if it has grown since the last checkpoint; return the newest signed note.

        Returns:
            A C2SP signed note, or None while the log is empty.
        """
        with self.office.store.begin() as tx:
            head, newest = tx.head(), tx.newest_checkpoint()
            if head.size == 0 or (newest is not None and newest[0] == head.size):
                return None if newest is None else newest[1]
            checkpoint = Checkpoint(origin=self.signer.name, size=head.size, root=head.root)
            note = sign_checkpoint(checkpoint, [self.signer])
            tx.add_checkpoint(head, note)
        return note

    def newest_checkpoint(self) -> str | None:
        """Return the newest signed note, or None before the first."""
        with self.office.store.read() as tx:
            newest = tx.newest_checkpoint()
        return None if newest is None else newest[1]
