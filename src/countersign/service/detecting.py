"""Detectors at work: a follower that runs them over every entry as it is written, and records what they find."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from countersign.auditlog.leaf import Entry, fact_of
from countersign.auditlog.meaning.detectors import VERSION, Detectors
from countersign.auditlog.meaning.findings import Finding, Severity
from countersign.domain.facts import BROKER
from countersign.domain.finding_facts import DetectorsBegan, FindingRaised
from countersign.service.followers import Unfinished
from countersign.store import RaisedFinding, Store, Tx

logger = structlog.get_logger(__name__)

ACTOR = f"{BROKER}/detectors"
NOBODY_IN_PARTICULAR = "role:auditor"
READING_S = 8.0
"""How long a start may read what was written before; then it goes on where it was, at the next call."""


@dataclass(kw_only=True)
class Detecting:
    """Runs the detectors. What they must remember lies in memory, and is read from the log again after a start.

    An id is computed from what was found and where, so that finding it again never raises it twice.
    """

    store: Store
    name: str = "detectors"
    _detectors: Detectors = field(default_factory=Detectors, repr=False)
    _next: int = 0

    def handle(self, entries: Sequence[Entry]) -> None:
        """Judge these entries and record what they show.

        Raises:
            Unfinished: what was written before is still being read.
        """
        first = entries[0].index
        if self._next > first:
            entries = [
                entry for entry in entries if entry.index >= self._next
            ]  # judged and recorded, the cursor was not
        else:
            self._read_until(first)
        found: list[Finding] = []
        try:
            for entry in entries:
                found += self._detectors.feed(entry.index, fact_of(entry.leaf))
            self._raise(found, since=first)
        except BaseException:
            self._detectors, self._next = Detectors(), 0  # it knows more than is recorded: read all of it again
            raise
        if entries:
            self._next = entries[-1].index + 1

    def _read_until(self, first: int) -> None:
        begun = time.monotonic()
        for entry in self.store.entries(start=self._next, end=first):
            self._detectors.feed(entry.index, fact_of(entry.leaf))
            self._next = entry.index + 1
            if time.monotonic() - begun > READING_S:
                raise Unfinished(f"reading what was written before: {self._next} of {first} entries")

    def _raise(self, found: Iterable[Finding], *, since: int) -> None:
        with self.store.read() as tx:
            fresh = [finding for finding in found if tx.finding(finding.id) is None]
            known = any(
                fact_of(row["leaf"])["data"]["version"] == VERSION for row in tx.facts(type_=DetectorsBegan.type)
            )
        if not fresh and known:
            return
        with self.store.begin() as tx:
            if not known:
                tx.record(DetectorsBegan(actor=ACTOR, subject="detectors", version=VERSION, since=since))
            for finding in fresh:
                _record(tx, finding)


def _record(tx: Tx, finding: Finding) -> None:
    said = logger.error if finding.severity is Severity.HIGH else logger.warning
    said("a detector found something", finding=finding.id, detector=finding.code, entry=finding.index)
    owner = finding.owner or NOBODY_IN_PARTICULAR
    tx.add_finding(
        RaisedFinding(
            id=finding.id,
            index=finding.index,
            detector=finding.code,
            severity=finding.severity.value,
            owner=owner,
            persons=finding.persons,
            evidence=finding.evidence,
            detail=finding.detail,
            raised_at=tx.now,
        )
    )
    tx.record(
        FindingRaised(
            actor=ACTOR,
            subject=finding.id,
            version=VERSION,
            detector=finding.code,
            severity=finding.severity.value,
            owner=owner,
            persons=finding.persons,
            evidence=finding.evidence,
            detail=finding.detail,
        )
    )
