"""What the log says of those who look at it from outside, in a replay."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import Severity
from countersign.auditlog.meaning.ledger import Ledger

MOST_OFFSET_MS = 2000


@dataclass(slots=True)
class Outside:
    """Tells of disputes with witnesses. A dispute breaks nothing by itself: whether the log or the witness lied is not in it."""

    ledger: Ledger

    def clocked(self, index: int, fact: Fact) -> None:
        """The clock's standing is told of where it is bad."""
        data = fact["data"]
        if data["offset_ms"] is not None and abs(data["offset_ms"]) > MOST_OFFSET_MS:
            told = f"the database's clock was {data['offset_ms']} ms ahead of the broker's"
            self.ledger.note(index, "clock-step", Severity.HIGH, told)

    def disputed(self, index: int, fact: Fact) -> None:
        """A witness contradicted the log."""
        data = fact["data"]
        told = f"{fact['subject']} contradicted the log: {data['code']}, ours {data['ours']}, theirs {data['theirs']}"
        self.ledger.note(index, "witness-disputed", Severity.HIGH, told)
