"""Evidence: signed checkpoints over the log, and the one that is shown to the world, with what witnesses said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from countersign.auditlog.checkpoint import Checkpoint, open_checkpoint
from countersign.auditlog.note import Ed25519Verifier, NoteRefused, Signature
from countersign.auditlog.witnessing import read_witness_key, with_cosignatures
from countersign.domain.refusals import Invalid, NotFound
from countersign.domain.trust import Trust
from countersign.service.handovers import Handover, Handovers
from countersign.service.office import Office

WITNESSES_WITHIN = timedelta(seconds=60)
"""How long an older checkpoint is shown because the newer ones are not cosigned yet."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Reads what was signed; who signs it is `service.checkpoints`.

    Attributes:
        key: the log's public key; None where it is one of those that the rules name.
    """

    office: Office
    key: Ed25519Verifier | None
    _handovers: Handovers = field(default_factory=Handovers, repr=False)

    def opened(self, note: str) -> tuple[Checkpoint, Ed25519Verifier]:
        """Return what a note of ours says, and the key that signed it.

        Raises:
            NotFound: no key of this log signed it.
        """
        for key in self._keys():
            try:
                return open_checkpoint(note.encode("utf-8"), [key]).checkpoint, key
            except NoteRefused:
                continue
        raise NotFound("no key of this log that is known here signed its newest checkpoint")

    def verifier(self) -> Ed25519Verifier:
        """Return the log's public key: where the rules name several, the one that signed last.

        Raises:
            NotFound: it is not known.
        """
        newest, keys = self.newest_checkpoint(), self._keys()
        if newest is not None and len(keys) > 1:
            return self.opened(newest)[1]
        if not keys:
            raise NotFound("the log's key is not known here", hint="set log_vkey, or have the rules name log_keys")
        return keys[0]

    def handovers(self) -> Sequence[Handover]:
        """Return the changes of the log's key by two people, each with the checkpoint by which an earlier key brought it in."""
        with self.office.store.read() as tx:
            return self._handovers.read(tx)

    def may_sign(self) -> Sequence[str]:
        """Return the keys that the rules let sign; none where they leave it to the settings."""
        with self.office.store.read() as tx:
            return self.office.rules.current(tx).catalog.trust.log_keys

    def demand_keys(self, before: Trust, after: Trust) -> None:
        """Demand that the key which signs now may sign on: nobody else could bring in the next under a checkpoint.

        Raises:
            Invalid: naming `catalog`.
        """
        if not after.log_keys or after.log_keys == before.log_keys:
            return
        try:
            signs = self.verifier().vkey()
        except NotFound:
            return  # nothing is signed yet, and no key is known: the first one is named
        if signs not in after.log_keys:
            raise Invalid(
                "log_keys leaves out the key that signs the log now",
                field="catalog",
                rule="a key is brought in under a checkpoint of the one before",
                hint="name both; leave the old one out once the new one signs (countersign log-key show)",
            )

    def _keys(self) -> list[Ed25519Verifier]:
        """Every key that may have signed our checkpoints: this process's, and those that the rules ever named, newest first."""
        with self.office.store.read() as tx:
            named = self._handovers.keys(tx) if tx.rulebook_seq() else ()
        mine = [] if self.key is None else [self.key]
        return [*mine, *(key for key in reversed(named) if key not in mine)]

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
