"""Which keys may sign a log, as the log itself goes on: those trusted from outside, and those that two people put in their place.

The rules list the keys that may sign (`trust.log_keys`), word for word in the log, and change by two people. A key that the list
newly names is followed once a key that counted before has signed a checkpoint over that entry; one that it names no more signs
nothing beyond it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from countersign.auditlog.note import Ed25519Verifier, NotAKey, Verifier, read_vkey

MARK = b'"rulebook.'
"""Stands in the bytes of every entry that says something about the rules, and in few others."""
WRITTEN, ADOPTED, SECTION = "rulebook.written", "rulebook.adopted", "catalog/trust"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyChange:
    """A key that was not trusted from outside, and is followed.

    Attributes:
        index: the entry by which the rules came into force that name it.
        by: who proposed and who approved them.
    """

    verifier: Ed25519Verifier
    index: int
    by: tuple[str, str]


class LogKeys:
    """Reads a log's entries in order and knows at each size whose signature counts."""

    def __init__(self, trusted: Sequence[Verifier]) -> None:
        self._trusted: list[Verifier] = list(trusted)
        self._names = {verifier.name for verifier in trusted}
        self._said: tuple[str, ...] | None = None
        self._listed: tuple[str, ...] = ()
        self._listed_at = self._read = -1
        self._waiting: dict[str, KeyChange] = {}
        self.changes: list[KeyChange] = []

    def read(self, index: int, leaf: bytes) -> None:
        """Take an entry; one that was read already changes nothing, and one that is none is judged elsewhere."""
        if MARK not in leaf or index <= self._read:
            return
        self._read = index
        try:
            fact = json.loads(leaf)
            if fact["type"] == WRITTEN:
                self._wrote(fact["data"]["rows"])
            elif fact["type"] == ADOPTED:
                self._adopted(index, fact["data"])
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return

    def covered(self, size: int) -> None:
        """Follow the keys that came in before `size`: a key that counts has signed a checkpoint of that size, and it fits."""
        for vkey, change in list(self._waiting.items()):
            if change.index < size:
                del self._waiting[vkey]
                self._trusted.append(change.verifier)
                self.changes.append(change)

    @property
    def verifiers(self) -> Sequence[Verifier]:
        """Every key that was ever trusted or followed; whether it may sign at a size is asked apart."""
        return tuple(self._trusted)

    def objection(self, name: str, key_id: bytes) -> str | None:
        """Say why a key does not sign for the log as far as it was read; None if it may, or if no rule speaks of it."""
        if not self._listed or not any(each.name == name for each in _keys(self._listed)):
            return None
        if any((each.name, each.key_id) == (name, key_id) for each in _keys(self._listed)):
            return None
        return f"the rules of entry {self._listed_at} let the key {name}+{key_id.hex()} sign no more"

    def _wrote(self, rows: Iterable[Any]) -> None:
        for row in rows:
            if row["section"] == SECTION and row["id"] is None:
                said = (row["value"] or {}).get("log_keys", ())
                self._said = tuple(str(each) for each in said)

    def _adopted(self, index: int, data: Any) -> None:  # noqa: ANN401 - whatever stands in an entry
        said, self._said = self._said, None
        if said is None or said == self._listed:
            return
        self._listed, self._listed_at = said, index
        self._waiting = {vkey: change for vkey, change in self._waiting.items() if vkey in said}
        by = (data.get("proposed_by"), data.get("approved_by"))
        if data.get("genesis") or not all(by) or by[0] == by[1]:
            return  # one person's word brings no key in
        known = {each.vkey() for each in self._trusted if isinstance(each, Ed25519Verifier)}
        for verifier in _keys(said):
            vkey = verifier.vkey()
            if vkey not in known and vkey not in self._waiting and verifier.name in self._names:
                self._waiting[vkey] = KeyChange(verifier=verifier, index=index, by=by)


def _keys(listed: Iterable[str]) -> list[Ed25519Verifier]:
    found = []
    for each in listed:
        try:
            verifier = read_vkey(each)
        except NotAKey:
            continue
        if isinstance(verifier, Ed25519Verifier):
            found.append(verifier)
    return found
