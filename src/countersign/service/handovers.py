"""How the log's keys were handed over: for each that the rules came to name, the checkpoint by which one before brought it in.

It is found in what the database holds and is nothing to be believed: whoever verifies checks notes and entries himself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from countersign.auditlog.note import Ed25519Verifier, parse_note
from countersign.config.logkeys import log_verifier
from countersign.domain.rule_facts import RulebookAdopted
from countersign.store import Tx

LOOKED_AT = 200
"""Checkpoints after a change of keys among which that of an earlier key must be: the old key signs on until it is changed."""
MOST_RULEBOOKS = 1_000_000


KeyId = tuple[str, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """The rules came to name other keys.

    Attributes:
        index: the entry by which they did.
        added: the keys that are new.
        earlier: ids of the keys that could sign until then.
        size: of the checkpoint by which an earlier key brought them in; zero while there is none.
        note: that checkpoint.
    """

    index: int
    added: tuple[str, ...]
    earlier: frozenset[KeyId]
    size: int = 0
    note: str = ""


@dataclass(kw_only=True)
class Handovers:
    """Reads on from where it was; rulebooks and checkpoints never change."""

    _seq: int = 0
    _listed: tuple[str, ...] = ()
    _known: list[str] = field(default_factory=list)
    _found: list[Handover] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def read(self, tx: Tx) -> Sequence[Handover]:
        """Return every change of keys by two people so far, oldest first."""
        with self._lock:
            if tx.rulebook_seq() > self._seq:
                self._read_on(tx)
            self._found = [each if each.size else _looked_for(tx, each) for each in self._found]
            return tuple(self._found)

    def keys(self, tx: Tx) -> Sequence[Ed25519Verifier]:
        """Return every key that the rules ever named."""
        self.read(tx)
        return [log_verifier(vkey) for vkey in self._known]

    def _read_on(self, tx: Tx) -> None:
        adopted: Sequence[Mapping[str, Any]] = ()
        for rulebook in tx.rulebooks_after(self._seq):
            self._seq, before = rulebook.seq, self._listed
            self._listed = tuple(rulebook.catalog.get("trust", {}).get("log_keys", ()))
            added = tuple(vkey for vkey in self._listed if vkey not in before)
            self._known += [vkey for vkey in added if vkey not in self._known]
            if added and rulebook.approved_by is not None:
                adopted = adopted or tx.facts(type_=RulebookAdopted.type, limit=MOST_RULEBOOKS)
                index = adopted[rulebook.seq - 1]["index"]
                signed = tx.checkpoint(tx.checkpoint_size(at_most=index) or 0)
                earlier = _ids(before) | (frozenset() if signed is None else _signers(signed))
                self._found.append(Handover(index=index, added=added, earlier=earlier))


def _looked_for(tx: Tx, change: Handover) -> Handover:
    """Return a change with the first checkpoint over it that an earlier key signed."""
    for size, note in tx.checkpoints_after(change.index, limit=LOOKED_AT):
        if _signers(note) & change.earlier:
            return replace(change, size=size, note=note)
    return change


def _ids(vkeys: Sequence[str]) -> frozenset[KeyId]:
    return frozenset((each.name, each.key_id) for each in map(log_verifier, vkeys))


def _signers(note: str) -> frozenset[KeyId]:
    return frozenset((each.name, each.key_id) for each in parse_note(note.encode()).signatures)
