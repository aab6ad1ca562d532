"""Follows sources of records: reads each from its cursor, has every record judged, and moves the cursor with what came of it.

Cursor, facts and ended leases commit together, so a crash neither misses a record nor judges one twice. What cannot be read is
said: a gap is a fact, and so is a source that has fallen silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from countersign.domain.lease import Lease, LeaseState
from countersign.domain.records import SourceState
from countersign.domain.records_facts import RecordsBegan, RecordsGap, RecordsHeard, RecordsSilent
from countersign.domain.refusals import Conflict
from countersign.providers.base import Away, LeaseRef
from countersign.providers.records import Batch, RecordSource
from countersign.service.deaths import reference
from countersign.service.office import Office
from countersign.service.watching import ACTOR, DATABASE, Watching
from countersign.store import Tx

logger = structlog.get_logger(__name__)

SILENT_AFTER = timedelta(seconds=30)
SEEN_AGAIN_EVERY = timedelta(seconds=15)
"""How often it is written down that a source was read to its end and had nothing new."""
MOST_AT_ONCE = 16
"""Readings of one source before the next source has its turn."""
ASKED_ABOUT = 500
FRESH = timedelta(seconds=10)
"""A source that was not read for longer says nothing of what was not used."""
ALIVE = (LeaseState.PREPARED, LeaseState.ACTIVE, LeaseState.REVOKING)


@dataclass(kw_only=True, slots=True)
class _Failing:
    """A source that could not be read, since when by both clocks, and whether that was said."""

    since: datetime
    began: float
    told: bool


@dataclass(kw_only=True)
class Records:
    """Reads every declared source in turn.

    Attributes:
        monotonic: seconds on a clock that nobody can set.
    """

    office: Office
    sources: Sequence[RecordSource]
    monotonic: Callable[[], float] = time.monotonic
    _read_at: dict[str, float] = field(default_factory=dict)
    _asked: dict[str, frozenset[str]] = field(default_factory=dict)
    _failing: dict[str, _Failing] = field(default_factory=dict)

    def follow(self) -> int:
        """Read what is new at every source that is due; return how many leases were sent to their end."""
        ended = 0
        for source in self.sources:
            if self.heard_within(source, source.every):
                continue
            for _ in range(MOST_AT_ONCE):
                more, now_ended = self._follow_one(source)
                ended += now_ended
                if not more:
                    break
        if ended:
            self.office.nudge()
        return ended

    def heard_within(self, source: RecordSource, span: timedelta) -> bool:
        """Say whether a source was read to its end by this process within a span; of nothing, False."""
        read_at = self._read_at.get(source.name)
        return read_at is not None and self.monotonic() - read_at < span.total_seconds()

    def hears(self, lease: Lease) -> timedelta | None:
        """Say how late at most a use of this lease would have been told by now; None where it might not be told at all."""
        delays = [
            source.delay
            for source in self.sources
            if source.concerns(lease.target)
            and self.heard_within(source, FRESH + source.every)
            and (not source.by_lease or lease.id in self._asked.get(source.name, ()))
        ]
        return min(delays, default=None)

    def _follow_one(self, source: RecordSource) -> tuple[bool, int]:
        with self.office.store.read() as tx:
            state = tx.source(source.name)
            leases = self._asked_about(tx, source) if source.by_lease else []
        try:
            if state is None:
                self._begin(source, source.begin())
                return True, 0
            batch = source.read(state.cursor, leases)
        except Away as trouble:
            self._not_read(source, state, str(trouble))
            return False, 0
        except Conflict:
            return False, 0  # somebody else began with it at the same moment
        try:
            ended = self._keep(source, state, batch)
        except Conflict:
            return (
                False,
                0,
            )  # somebody else follows it, or moved a lease that is concerned: read again from the old place
        self._failing.pop(source.name, None)
        if not batch.more:
            self._read_at[source.name] = self.monotonic()
            self._asked[source.name] = batch.asked
        return batch.more, ended

    def _asked_about(self, tx: Tx, source: RecordSource) -> list[LeaseRef]:
        """Return the leases that a source could still tell something of."""
        since = tx.now - 2 * source.delay
        living = tx.leases(states=ALIVE, limit=ASKED_ABOUT)
        dead = tx.leases(states=[LeaseState.REVOKED], limit=ASKED_ABOUT) if source.delay else []
        lately = [lease for lease in dead if lease.dead_at is not None and lease.dead_at >= since]
        return [reference(lease) for lease in (*living, *lately) if source.concerns(lease.target)]

    def _begin(self, source: RecordSource, cursor: Mapping[str, Any]) -> None:
        with self.office.store.begin() as tx:
            tx.add_source(SourceState(name=source.name, cursor=cursor, since=tx.now, read_at=tx.now))
            tx.record(RecordsBegan(actor=ACTOR, subject=source.name))

    def _keep(self, source: RecordSource, state: SourceState, batch: Batch) -> int:
        is_news = bool(batch.records or batch.gaps or state.silent_since) or dict(batch.cursor) != dict(state.cursor)
        with self.office.store.read() as tx:
            if not is_news and tx.now - state.read_at < SEEN_AGAIN_EVERY:
                return 0
        with self.office.store.begin() as tx:
            watching = Watching(tx=tx, source=source.name, guarded=self._guarded(tx))
            for why in batch.gaps:
                logger.error("records were lost", source=source.name, why=why)
                tx.record(RecordsGap(actor=ACTOR, subject=source.name, why=why, since=state.read_at, until=tx.now))
            if state.silent_since is not None:
                tx.record(RecordsHeard(actor=ACTOR, subject=source.name, since=state.silent_since))
            for record in batch.records:
                watching.judge(record)
            watching.finish()
            tx.move_source(state, replace(state, cursor=batch.cursor, read_at=tx.now, silent_since=None))
        return watching.ended

    def _guarded(self, tx: Tx) -> dict[str, str]:
        """Return OpenBao's mounts behind targets of the catalog, each with its provider: only our leases read there."""
        targets = (each.target for each in self.office.rules.current(tx).catalog.entitlements.values())
        return {
            str(target.settings["mount"]): target.provider
            for target in targets
            if target.kind == DATABASE and "mount" in target.settings
        }

    def _not_read(self, source: RecordSource, state: SourceState | None, trouble: str) -> None:
        """Note that a source could not be read; after a while, say so once."""
        failing = self._failing.get(source.name)
        if failing is None:
            with self.office.store.read() as tx:
                told = state is not None and state.silent_since is not None
                failing = self._failing[source.name] = _Failing(since=tx.now, began=self.monotonic(), told=told)
        if failing.told or self.monotonic() - failing.began < SILENT_AFTER.total_seconds():
            return
        logger.error("a source of records is silent", source=source.name, trouble=trouble)
        with self.office.store.begin() as tx:
            if state is not None:
                tx.move_source(state, replace(state, silent_since=failing.since))
            tx.record(RecordsSilent(actor=ACTOR, subject=source.name, trouble=trouble[:200], since=failing.since))
        failing.told = True
