"""What the entries of a pack tell together: populations, accesses, findings and rules, gathered in one pass into tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

from countersign.auditlog.leaf import NotALeaf, fact_of
from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.meaning.findings import Finding
from countersign.auditlog.pack.accesses import COLUMNS, Accesses
from countersign.auditlog.pack.archive import TEMPORARY, Piece
from countersign.auditlog.pack.populations import CHANGE_COLUMNS, Populations
from countersign.auditlog.pack.rulebooks import Rulebooks
from countersign.auditlog.pack.selection import Selection
from countersign.auditlog.pack.sheet import Sheet
from countersign.auditlog.pack.transcript import refused

_SHEETS = {
    "grants.csv": COLUMNS,
    "changes.csv": CHANGE_COLUMNS,
    "populations.csv": ("population", "type", "in_log", "in_period"),
    "findings.csv": ("entry", "severity", "code", "detail"),
}


class Told:
    """Gathers, and writes what it gathered.

    Args:
        held: closes the files that tables lie in meanwhile.
        piece: takes what is written.
        selection: what is reported on.
        seed: what the sample is drawn by.

    Attributes:
        findings: what stands out in the period, known once `finish` was called.
    """

    def __init__(self, held: ExitStack, piece: Piece, selection: Selection, *, seed: str) -> None:
        self._piece, self._selection = piece, selection
        self._files = {name: _temporary(held) for name in _SHEETS}
        self._sheets = sheets = {name: Sheet(file, _SHEETS[name]) for name, file in self._files.items()}
        self.accesses = Accesses(selection, seed=seed, over=lambda each: sheets["grants.csv"].row(*each.row()))
        self.populations = Populations(selection, sheets["changes.csv"].row)
        self.findings: Sequence[Finding] = ()
        self._detectors, self._rulebooks = Detectors(), Rulebooks()
        self._inside: tuple[int, int] | None = None

    def feed(self, first: int, leaves: Sequence[bytes]) -> None:
        """Take the next entries.

        Raises:
            PackRefused: one is not what an entry of its type says.
        """
        for index, leaf in enumerate(leaves, first):
            try:
                self._entry(index, leaf)
            except (NotALeaf, KeyError, TypeError, ValueError, AttributeError) as error:
                raise refused(index, error) from error

    def _entry(self, index: int, leaf: bytes) -> None:
        fact = fact_of(leaf)
        self.populations.feed(index, fact)
        self.accesses.feed(index, fact, leaf)
        self._detectors.feed(index, fact)
        if fact["type"].startswith("rulebook."):
            for name, raw in self._rulebooks.feed(index, fact):
                self._piece.add(name, raw)
        if self._selection.covers(fact["at"]):
            self._inside = (self._inside or (index, index))[0], index

    def finish(self) -> None:
        """Write the tables and the rules in force; there are no more entries."""
        self.accesses.finish()
        if self._inside is not None:
            first, last = self._inside
            self.findings = [each for each in self._detectors.finish() if first <= each.index <= last]
        for row in self.populations.rows():
            self._sheets["populations.csv"].row(*row)
        for each in self.findings:
            self._sheets["findings.csv"].row(each.index, each.severity.value, each.code, each.detail)
        for name, sheet in self._sheets.items():
            sheet.finish()
            self._files[name].seek(0)
            self._piece.copy(name, self._files[name])
        self._piece.add("rulebooks/in-force.json", self._rulebooks.in_force())


def _temporary(held: ExitStack) -> IO[bytes]:
    return held.enter_context(TemporaryFile(prefix=TEMPORARY))
