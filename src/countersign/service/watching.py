"""Judges other people's records against our leases, within somebody's transaction: counts draws, raises alarms, ends leases.

What OpenBao itself does not enforce is detected here: a second read with a lease's token, a credential that no lease explains, a
wrapped delivery that somebody else opened. Each is a fact, and a living lease that it concerns is sent to its end at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from countersign.domain.facts import BROKER
from countersign.domain.lease import Cause, Lease
from countersign.domain.lease_facts import Anomaly
from countersign.domain.records import CLOCKS_MAY_DIFFER, Act, Outcome, Record, Use, Watch, Wrapping
from countersign.service.endings import LIVE, end_lease
from countersign.store import Tx

logger = structlog.get_logger(__name__)

ACTOR = f"{BROKER}/records"
DATABASE = "postgresql"
_LONGEST_WRAPPING = timedelta(seconds=120)


@dataclass(kw_only=True)
class Watching:
    """One transaction's judging of one source's records.

    Attributes:
        source: its name.
        guarded: places where only the broker's leases may get credentials, each with the provider's name: OpenBao's mounts
            behind our targets.
        ended: how many leases were sent to their end.
    """

    tx: Tx
    source: str
    guarded: Mapping[str, str]
    ended: int = 0
    _leases: dict[str, Lease | None] = field(default_factory=dict)
    _uses: dict[tuple[object, ...], Use] = field(default_factory=dict)
    _used: dict[str, datetime] = field(default_factory=dict)

    def judge(self, record: Record) -> None:
        """Take one record: keep what it says, and act on it where it should not be."""
        if record.act is Act.DELIVERY:
            self._delivery(record)
            return
        lease = self._lease(record.lease_id)
        if lease is None:
            self._unexplained(record)
            return
        if record.act is Act.READ:
            self._read(record, lease, self.tx.watch(lease.id, lock=True))
        elif record.place and lease.target.get("kind") == DATABASE:
            self._alarm(record, lease, "child-token-used", "the token behind a login is for one read and nothing else")
        else:
            self._use(record, lease)

    def finish(self) -> None:
        """Write what was counted, alike acts together: somebody who does much must not hold up everybody else's writing."""
        for lease_id, at in self._used.items():
            self.tx.used(lease_id, at)
        for use in self._uses.values():
            self.tx.add_use(use)

    def _lease(self, lease_id: str | None) -> Lease | None:
        if lease_id is None:
            return None
        if lease_id not in self._leases:
            self._leases[lease_id] = self.tx.lease(lease_id)
        return self._leases[lease_id]

    def _read(self, record: Record, lease: Lease, watch: Watch) -> None:
        """Count draws: one lease, one role, one read."""
        if record.wrapping is not None and record.wrapping_until is not None:
            self.tx.keep_wrapping(Wrapping(name=record.wrapping, lease_id=lease.id, until=record.wrapping_until))
        if lease.target.get("kind") != DATABASE:
            self._use(record, lease)
            return
        self._count(record, lease, outside=False)
        if watch.read_mark is None:
            self.tx.keep_watch(replace(watch, read_mark=record.mark))
        elif watch.read_mark != record.mark:
            self._alarm(record, lease, "read-again", "its credential was read more than once")

    def _use(self, record: Record, lease: Lease) -> None:
        outside = _is_outside(record, lease)
        if record.outcome is not Outcome.REFUSED:
            self._used[lease.id] = max(record.at, self._used.get(lease.id, record.at))
        self._count(record, lease, outside=outside)
        if outside and record.outcome is Outcome.DONE:
            self._alarm(record, lease, "used-outside-its-life", "it served before it was drawn or after it was dead")

    def _count(self, record: Record, lease: Lease, *, outside: bool) -> None:
        """Keep an act with those alike, for whoever asks later what was done."""
        key = (lease.id, record.act, record.what, record.outcome, outside)
        known = self._uses.get(key)
        self._uses[key] = Use(
            lease_id=lease.id,
            source=self.source,
            act=record.act,
            what=record.what,
            outcome=record.outcome,
            outside=outside,
            count=1 if known is None else known.count + 1,
            first_at=record.at if known is None else min(known.first_at, record.at),
            last_at=record.at if known is None else max(known.last_at, record.at),
        )

    def _delivery(self, record: Record) -> None:
        """See who opens what was wrapped: a second one who tries found it opened by the first."""
        if record.wrapping is None:
            return
        known = self.tx.wrapping(record.wrapping)
        lease = self._lease(known.lease_id if known is not None else record.lease_id)
        if lease is None:
            if record.lease_id is not None:
                self._unexplained(record)
            return
        if known is not None:
            self._count(record, lease, outside=False)
        if record.outcome is Outcome.DONE:
            until = known.until if known is not None else record.wrapping_until or record.at + _LONGEST_WRAPPING
            self.tx.keep_wrapping(
                Wrapping(name=record.wrapping, lease_id=lease.id, until=until, opened_at=record.at),
            )
            return
        was_over = lease.asked_at is not None and record.at >= lease.asked_at
        if known is not None and record.at <= known.until and not was_over:
            self._alarm(record, lease, "opened-by-another", "somebody had opened it before, within its time")

    def _unexplained(self, record: Record) -> None:
        """Tell of a credential that no lease of ours explains, where only ours may be."""
        if record.outcome is not Outcome.DONE:
            return
        provider = self.guarded.get(record.place)
        if record.lease_id is None and provider is None:
            return
        logger.error("a credential was issued outside the broker", source=self.source, what=record.what)
        self.tx.record(
            Anomaly(
                actor=ACTOR,
                subject=record.lease_id or record.place[:63] or self.source,
                provider=provider or self.source,
                kind="issued-outside",
                seen=self._seen(record, "no lease explains it"),
            )
        )

    def _alarm(self, record: Record, lease: Lease, kind: str, why: str) -> None:
        logger.error("a record contradicts a lease", source=self.source, lease=lease.id, kind=kind)
        self.tx.record(
            Anomaly(actor=ACTOR, subject=lease.id, provider=lease.provider, kind=kind, seen=self._seen(record, why))
        )
        now = self.tx.lease(lease.id)
        if now is not None and now.state in LIVE:
            end_lease(self.tx, now, cause=Cause.ANOMALY, actor=ACTOR)
            self.ended += 1

    def _seen(self, record: Record, why: str) -> dict[str, object]:
        told = {"source": self.source, "why": why, "at": record.at, "what": record.what}
        return told | {"outcome": record.outcome.value, "shown": dict(record.seen)}


def _is_outside(record: Record, lease: Lease) -> bool:
    """Say whether an act lies outside of a lease's life, by clocks that may differ."""
    over = lease.not_after if lease.dead_at is None else min(lease.dead_at, lease.not_after)
    return not lease.prepared_at - CLOCKS_MAY_DIFFER <= record.at <= over + CLOCKS_MAY_DIFFER
