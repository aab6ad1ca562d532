"""Compares a verified log with what others wrote down or still hold: what neither side explains of the other comes out.

Pure: extracts come in as values, from whoever has the right to read them. A log that is complete explains everything that bears a
lease's name, and everything that it says was made stands in the records of where it was made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning import MeaningCheck
from countersign.auditlog.meaning.ledger import MALFORMED
from countersign.auditlog.meaning.stories import LeaseStory, Stories
from countersign.domain.timestamps import read, spell

CLOCKS_MAY_DIFFER = timedelta(seconds=2)
UNDELIVERED = frozenset({"undelivered", "outcome-unknown", "failed"})
"""Causes of leases that may have left no trace elsewhere."""


class Kind(StrEnum):
    """What was seen elsewhere."""

    CREDENTIAL = "credential made"
    USE = "use"
    HELD = "access that stands"
    TRACE = "trace"
    FOREIGN = "foreign"


class Demand(StrEnum):
    """Which leases of the log an extract must show."""

    ISSUED = "those issued in its time"
    LIVING = "those living at its end"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One thing that somebody else wrote down or holds.

    Attributes:
        mark: tells one making of a credential from another.
        served: whether it came to anything; what was refused gives no access.
    """

    kind: Kind
    what: str
    lease: str | None = None
    at: datetime | None = None
    mark: str = ""
    served: bool = True


@dataclass(frozen=True, kw_only=True)
class Extract:
    """What one source showed.

    Attributes:
        sha256: of the bytes, or of the canonical JSON, that it was read from.
        since: from when on it tells; None if from the beginning.
        until: when it was looked at, or its last line's time.
        provider: whose leases it could show; None for any provider's.
        target: at which target; None for all.
    """

    source: str
    sha256: str
    items: Sequence[Seen]
    until: datetime
    since: datetime | None = None
    provider: str | None = None
    target: str | None = None
    demand: Demand = Demand.NONE

    def as_json(self) -> dict[str, Any]:
        """Return what identifies it, without its items."""
        since = None if self.since is None else spell(self.since)
        return {
            "source": self.source,
            "sha256": self.sha256,
            "items": len(self.items),
            "since": since,
            "until": spell(self.until),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmatched:
    """Something that one side says and the other does not bear out.

    Attributes:
        side: who says it: `outside` or `log`.
    """

    side: str
    source: str
    lease: str | None
    detail: str

    def as_json(self) -> dict[str, str | None]:
        """Return it as plain JSON."""
        return {"side": self.side, "source": self.source, "lease": self.lease, "detail": self.detail}


class Replay(MeaningCheck):
    """The replay that judges what a log means, which also keeps its leases."""

    def __init__(self) -> None:
        super().__init__()
        self._stories = Stories()

    def feed(self, index: int, fact: Fact) -> None:
        """Take the next fact; what is not as facts are is the judges' to tell."""
        super().feed(index, fact)
        try:
            self._stories.feed(index, fact)
        except MALFORMED:
            return

    def leases(self) -> dict[str, LeaseStory]:
        """Return every lease of the log by its id."""
        return {lease.id: lease for _, lease in self._stories.leases()}


def reconcile(leases: Mapping[str, LeaseStory], extracts: Iterable[Extract]) -> list[Unmatched]:
    """Return everything that is not matched, source by source."""
    return [each for extract in extracts for each in (*_unexplained(leases, extract), *_unseen(leases, extract))]


def _unexplained(leases: Mapping[str, LeaseStory], extract: Extract) -> Iterator[Unmatched]:
    marks = {(seen.lease, seen.mark) for seen in extract.items if seen.kind is Kind.CREDENTIAL and seen.served}
    times = Counter(lease for lease, _ in marks)
    for seen in extract.items:
        why = _why_not(seen, None if seen.lease is None else leases.get(seen.lease), extract)
        if why is not None:
            yield Unmatched(side="outside", source=extract.source, lease=seen.lease, detail=f"{seen.what}: {why}")
    for lease, count in sorted((name, count) for name, count in times.items() if name is not None and count > 1):
        detail = f"its credential was read {count} times"
        yield Unmatched(side="outside", source=extract.source, lease=lease, detail=detail)


def _why_not(seen: Seen, lease: LeaseStory | None, extract: Extract) -> str | None:
    """Say why the log does not explain what was seen; None when it does."""
    if seen.kind is Kind.FOREIGN:
        return "not Countersign's"
    if seen.lease is None:
        return "no lease explains it" if seen.served else None
    if lease is None:
        return "the log knows no such lease"
    if seen.kind is Kind.HELD and lease.dead_at is not None and read(lease.dead_at) <= extract.until:
        return f"it stands, and the log says that it was dead at {lease.dead_at}"
    if seen.kind in {Kind.USE, Kind.CREDENTIAL} and seen.served and seen.at is not None:
        over = min(lease.dead_at or lease.not_after, lease.not_after)
        if not read(lease.prepared_at) - CLOCKS_MAY_DIFFER <= seen.at <= read(over) + CLOCKS_MAY_DIFFER:
            return f"at {spell(seen.at)}, outside of its life from {lease.prepared_at} to {over}"
    return None


def _unseen(leases: Mapping[str, LeaseStory], extract: Extract) -> Iterator[Unmatched]:
    shown = {seen.lease for seen in extract.items}
    for lease in leases.values():
        if lease.id in shown or not _concerns(lease, extract) or lease.since is None:
            continue
        if extract.demand is Demand.ISSUED and _was_issued_in(lease, extract):
            detail = f"issued at {lease.since}, and there is no record of it"
        elif extract.demand is Demand.LIVING and _lived_at_end_of(lease, extract):
            detail = f"lives until {lease.not_after} by the log, and nothing of it stands"
        else:
            continue
        yield Unmatched(side="log", source=extract.source, lease=lease.id, detail=detail)


def _concerns(lease: LeaseStory, extract: Extract) -> bool:
    return extract.provider in {None, lease.provider} and extract.target in {None, lease.target}


def _was_issued_in(lease: LeaseStory, extract: Extract) -> bool:
    if lease.since is None or lease.cause in UNDELIVERED:
        return False
    began = read(lease.prepared_at)
    earliest = extract.since is None or began >= extract.since + CLOCKS_MAY_DIFFER
    return earliest and read(lease.since) <= extract.until - CLOCKS_MAY_DIFFER


def _lived_at_end_of(lease: LeaseStory, extract: Extract) -> bool:
    if lease.since is None or read(lease.since) > extract.until - CLOCKS_MAY_DIFFER:
        return False
    over = min(lease.asked_at or lease.not_after, lease.not_after)
    return read(over) > extract.until + CLOCKS_MAY_DIFFER
