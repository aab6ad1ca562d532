"""Findings in a replay: what the detectors find again is compared with what was raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.detectors import VERSION
from countersign.auditlog.meaning.findings import Severity
from countersign.auditlog.meaning.ledger import Ledger, past
from countersign.auditlog.meaning.watching import Found

WITHIN = timedelta(hours=1)
"""How long raising a finding may take: the detectors may have been down with everything else."""


@dataclass(slots=True)
class Raised:
    """Judges the facts of findings.

    Attributes:
        since: from which entry on detectors of this version were at work; None while they were not.
        raised: by id, the entry that raised it, and whom it concerns.
    """

    ledger: Ledger
    since: int | None = None
    raised: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    ours: set[str] = field(default_factory=set)

    def began(self, index: int, fact: Fact) -> None:
        """From here on what they find is raised."""
        del index
        if fact["data"]["version"] == VERSION and self.since is None:
            self.since = int(fact["data"]["since"])

    def told(self, index: int, fact: Fact) -> None:
        """A finding is raised once."""
        name, data = fact["subject"], fact["data"]
        if name in self.raised:
            self.ledger.broken(index, "finding-twice", f"{name} was raised before")
        self.raised[name] = (index, tuple(data["persons"]))
        if data["version"] == VERSION:
            self.ours.add(name)

    def acknowledged(self, index: int, fact: Fact) -> None:
        """Somebody whom it does not concern looks at it."""
        name, person = fact["subject"], fact["actor"]
        if name not in self.raised:
            self.ledger.broken(index, "finding-unknown", f"{name} was never raised")
        elif person in self.raised[name][1]:
            self.ledger.broken(index, "finding-own", f"{person} acknowledged {name}, which concerns {person}")

    def finish(self, found: Sequence[Found]) -> None:
        """Compare what was raised with what the detectors found."""
        known = {finding.id for finding, _ in found}
        for name in sorted(self.ours - known):
            index = self.raised[name][0]
            self.ledger.broken(index, "finding-unfounded", f"{name} was raised, and the entries before do not show it")
        if self.since is None:
            return
        latest = max((finding.index for finding, _ in found if finding.id in self.raised), default=-1)
        for finding, at in found:
            if finding.index < self.since or finding.id in self.raised:
                continue
            detail = f"{finding.code} was not raised: {finding.detail}"
            if finding.index < latest:
                self.ledger.broken(finding.index, "finding-missing", detail)
            elif past(self.ledger.at, at, by=WITHIN):
                self.ledger.note(finding.index, "finding-missing", Severity.HIGH, detail)
