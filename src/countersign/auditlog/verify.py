"""Verification of a log's entries as they are stored: streaming, in constant memory, naming the row that is wrong.

Everything is recomputed from the bytes. What the rows cannot give away themselves, a rewrite that also recomputed every
hash, is caught by a checkpoint that somebody kept.

| code | `index` | means |
|---|---|---|
| `index-gap` | first missing | entries are missing between two that stand |
| `index-order` | the entry | an entry stands again, or behind one that follows it |
| `leaf-hash` | the entry | its bytes do not hash to the hash stored beside them: the row, or its hash, was edited |
| `leaf-format` | the entry | its bytes are not the canonical spelling of a leaf |
| `time-backwards` | the entry | it says an earlier time than one before it, by more than the tolerance |
| `node-mismatch` | first covered | a stored inner hash is not what the leaves below it give |
| `root-mismatch` | first suspect | head or checkpoint has another root at its size: edit, reordering, removal or fork |
| `truncated` | first missing | head or checkpoint covers more entries than there are |
| `beyond-head` | first beyond | there are entries that the head does not cover |
| `checkpoint-signature` | none | no note, by no trusted key nor one that was brought in, or such a key's signature fails |
| `key-retired` | none | signed by a key that the rules in the log let sign no more at its size (`log_keys`) |
| `checkpoint-origin` | none | signed, but by the key of another log than it names; or checkpoints of several logs |
| `checkpoint-format` | none | a signed text that is no checkpoint |
| `not-cosigned` | first unvouched | too few trusted witnesses vouch for it, or not for its newest entries (`cosigned`) |
| `bundle-format` | its first entry | an entry bundle is missing, cut or of another width (`verify_directory`) |
| `tile-format` | first covered | a tile is missing or of another length (`verify_directory`) |

`verify_entries` checks all of it except the last three. `verify_directory` in `bulk` checks bytes, tiles, tree and
checkpoints, and on demand how leaves are spelled (`leaf-format`), and knows no head; times (`time-backwards`) are judged there
by who replays what the leaves say (`meaning`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from countersign.auditlog.anchors import Anchors, Head
from countersign.auditlog.clock import TOLERANCE, Clock
from countersign.auditlog.leaf import Entry, Fact, NotALeaf, read_fact
from countersign.auditlog.merkle import Frontier, leaf_hash, node_hash
from countersign.auditlog.note import Verifier
from countersign.auditlog.report import Findings, Report

NodeLookup = Callable[[int, int], bytes | None]
"""Stored hash of node (level, index), where level 0 holds leaf hashes; None where none is stored."""

_BLOCK = 256


class Reader(Protocol):
    """Somebody who is told what the entries say, each once and in their order."""

    def feed(self, index: int, fact: Fact) -> None:
        """Take what the next entry says."""
        ...

    def take(self, index: int, leaf: bytes) -> None:
        """Take the bytes of an entry that is no leaf, or not in a leaf's spelling."""
        ...


def verify_entries(
    entries: Iterable[Entry],
    *,
    head: Head | None,
    checkpoints: Sequence[str],
    verifiers: Sequence[Verifier],
    handovers: Sequence[str] = (),
    nodes: NodeLookup | None = None,
    tolerance: timedelta = TOLERANCE,
    reader: Reader | None = None,
) -> Report:
    """Verify a log from its first entry on; `verify` in this module's docstring lists what is found.

    Args:
        entries: every row, in the order of its place.
        head: size and root as the store has them, or None where only checkpoints count.
        checkpoints: signed notes, in any order; an earlier one from outside is what makes a rewrite visible.
        verifiers: keys that are trusted for the log, whose name is its origin, and for witnesses.
        handovers: signed notes by which other keys may have come in; those by strangers say nothing.
        nodes: inner hashes that the store keeps, to be compared as well.
        tolerance: how far `at` may lie before the latest time seen.
        reader: is told what the entries say, so that they are decoded once.
    """
    findings = Findings()
    anchors = Anchors(head=head, checkpoints=checkpoints, verifiers=verifiers, findings=findings, handovers=handovers)
    growth = _Growth(anchors)
    place, clock = _Place(findings), Clock(tolerance)
    inner = _Nodes(findings, nodes) if nodes else None
    for entry in entries:
        place.check(entry.index)
        hashed = leaf_hash(entry.leaf)
        if entry.leaf_hash is not None and entry.leaf_hash != hashed:
            findings.add(
                entry.index, "leaf-hash", f"the bytes hash to {hashed.hex()}, stored is {entry.leaf_hash.hex()}"
            )
        try:
            fact = read_fact(entry.leaf)
        except NotALeaf as error:
            findings.add(entry.index, "leaf-format", str(error))
            if reader:
                reader.take(entry.index, entry.leaf)
        else:
            if back := clock.back(fact["at"]):
                findings.add(entry.index, "time-backwards", back)
            if reader:
                reader.feed(entry.index, fact)
        if inner:
            inner.check(hashed)
        anchors.read(entry.index, entry.leaf)
        growth.add(hashed)
    if head and growth.size > head.size:
        findings.add(head.size, "beyond-head", f"the head covers {head.size} entries, there are {growth.size}")
    anchors.finish(growth.size)
    return findings.report(size=growth.size, root=growth.frontier().root(), keys=anchors.key_changes)


class _Growth:
    """The tree as it grows, hashed in blocks; stops wherever an anchor is due."""

    def __init__(self, anchors: Anchors) -> None:
        self._anchors = anchors
        self._blocks = Frontier()
        self._pending: list[bytes] = []
        self.size = 0
        anchors.meet(0, self._blocks.root)

    def add(self, hashed: bytes) -> None:
        self._pending.append(hashed)
        self.size += 1
        if len(self._pending) == _BLOCK:
            self._blocks, self._pending = self.frontier(), []
        self._anchors.meet(self.size, lambda: self.frontier().root())

    def frontier(self) -> Frontier:
        return self._blocks.extend(self._pending)


class _Place:
    """Indexes count up by one from zero."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._expected = 0

    def check(self, index: int) -> None:
        if index > self._expected:
            self._findings.add(self._expected, "index-gap", f"entry {index} stands where {self._expected} is due")
        elif index < self._expected:
            self._findings.add(index, "index-order", f"entry {index} stands where {self._expected} is due")
        self._expected = max(index, self._expected - 1) + 1


class _Nodes:
    """Every node that a leaf completes equals the stored one."""

    def __init__(self, findings: Findings, stored: NodeLookup) -> None:
        self._findings = findings
        self._stored = stored
        self._before = Frontier()

    def check(self, hashed: bytes) -> None:
        end, carry = self._before.size + 1, hashed
        for level in range((end & -end).bit_length()):
            if level:
                carry = node_hash(self._before.peaks[-level], carry)
            index = (end >> level) - 1
            stored = self._stored(level, index)
            if stored is not None and stored != carry:
                detail = f"node {index} at level {level} is {carry.hex()}, stored is {stored.hex()}"
                self._findings.add(index << level, "node-mismatch", detail)
        self._before = self._before.append(hashed)
