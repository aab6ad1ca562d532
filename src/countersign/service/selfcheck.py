"""The self-check: the broker verifies its own log, bytes and meaning, and says so in it; what does not verify stops issuing.

It reads on from where it was, so that a round costs what was written since; once a day, and at a start, it reads all of it.
What it remembers lies in memory: nobody can hand it a state in which something was checked that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from countersign.auditlog.leaf import Leaf
from countersign.auditlog.meaning import MeaningCheck
from countersign.auditlog.meaning.findings import Severity
from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.auditlog.report import Failure
from countersign.domain.check_facts import SELF_CHECK, LogChecked, LogFailed
from countersign.domain.ids import STOP
from countersign.domain.stop_facts import StopPlaced
from countersign.service.office import Office
from countersign.store import Stop, Tx
from countersign.store.log import LogHead

logger = structlog.get_logger(__name__)

EVERY = timedelta(minutes=10)
ALL_OF_IT_EVERY_S = 24 * 3600.0
RECENTLY = EVERY * 0.8
"""A check by another process that is no older will do."""
REST_AFTER = 2000
REST_S = 0.01
"""After so many entries it rests, so that a long log leaves the processor to others."""
MOST_CODES = 20
IN_ONE_FACT, MOST_TOLD = 500, 10_000


@dataclass(kw_only=True)
class _Read:
    """What was read so far."""

    size: int = 0
    frontier: Frontier = field(default_factory=Frontier)
    meaning: MeaningCheck = field(default_factory=MeaningCheck)
    failures: list[Failure] = field(default_factory=list)


@dataclass(kw_only=True)
class SelfCheck:
    """Verifies the log of its own store."""

    office: Office
    monotonic: Callable[[], float] = time.monotonic
    rest: Callable[[float], object] = time.sleep
    _read: _Read = field(default_factory=_Read, repr=False)
    _began: float = field(default=float("-inf"))

    def check_if_due(self) -> bool | None:
        """Check, unless another process has done so lately; return whether the log verifies, None if it was not checked."""
        with self.office.store.read() as tx:
            last = tx.newest_fact(LogChecked.type)
            if last is not None and tx.now - last["at"] < RECENTLY:
                return None
        return self.check()

    def check(self) -> bool:
        """Verify what was written since the last time, or all of it once a day; return whether everything does."""
        begun = self.monotonic()
        if begun - self._began >= ALL_OF_IT_EVERY_S:
            self._read, self._began = _Read(), begun
        since = self._read.size
        with self.office.store.read() as tx:
            head, roots = tx.head(), dict(tx.checkpoint_roots(after=since))
        self._read_on(head, roots)
        failures = [*self._read.failures, *_contradictions(self._read.meaning)]
        with self.office.store.begin() as tx:
            tx.record(
                LogChecked(
                    actor=SELF_CHECK,
                    subject="log",
                    ok=not failures,
                    since=since,
                    size=self._read.size,
                    root=self._read.frontier.root().hex(),
                    codes=tuple(sorted({failure.code for failure in failures}))[:MOST_CODES],
                    first=min((failure.index for failure in failures if failure.index is not None), default=None),
                    duration_ms=int((self.monotonic() - begun) * 1000),
                )
            )
            self._stop_issuing(tx, failures)
        return not failures

    def _read_on(self, head: LogHead, roots: dict[int, bytes]) -> None:
        read = self._read
        for entry in self.office.store.entries(start=read.size, end=head.size):
            if entry.index != read.size:
                self._fail(read.size, "index-gap", f"entry {entry.index} stands where {read.size} is due")
                return
            hashed = leaf_hash(entry.leaf)
            if entry.leaf_hash != hashed:
                self._fail(entry.index, "leaf-hash", f"the bytes of entry {entry.index} do not give its hash")
            read.frontier = read.frontier.append(hashed)
            read.meaning.read(entry.index, entry.leaf)
            read.size += 1
            if read.size in roots and roots[read.size] != read.frontier.root():
                self._fail(read.size - 1, "root-mismatch", f"the checkpoint of {read.size} entries has another root")
            if read.size % REST_AFTER == 0:
                self.rest(REST_S)
        if read.size != head.size:
            self._fail(read.size, "truncated", f"the head covers {head.size} entries, there are {read.size}")
        elif read.frontier.root() != head.root:
            self._fail(read.size - 1, "root-mismatch", f"the head of {head.size} entries has another root")

    def _fail(self, index: int, code: str, detail: str) -> None:
        if code == "root-mismatch" and self._read.failures:
            return  # what was found before gives other roots from there on
        self._read.failures.append(Failure(index=index, code=code, detail=detail))

    def _stop_issuing(self, tx: Tx, failures: list[Failure]) -> None:
        """Stop all issuing for what does not verify and was not told before; two who may lift a stop decide."""
        told = _told(tx) if failures else frozenset()
        fresh = [failure for failure in failures if (failure.index, failure.code) not in told]
        if not fresh:
            return
        for failure in fresh[:MOST_CODES]:
            logger.error("the log does not verify", entry=failure.index, code=failure.code, detail=failure.detail)
        standing = next((stop for stop in tx.stops() if stop.placed_by == SELF_CHECK), None)
        stop = standing or self._stopped(tx, fresh[0].code)
        for start in range(0, len(fresh), IN_ONE_FACT):
            named = tuple((failure.index, failure.code) for failure in fresh[start : start + IN_ONE_FACT])
            tx.record(LogFailed(actor=SELF_CHECK, subject=stop.id, failures=named))

    def _stopped(self, tx: Tx, code: str) -> Stop:
        reason = self.office.seal(f"the log does not verify: {code}", field="reason")
        stop = Stop(id=self.office.new_id(STOP), scope="all", target=None, placed_by=SELF_CHECK, placed_at=tx.now)
        tx.add_stop(stop)
        said: dict[str, Any] = {"actor": SELF_CHECK, "subject": stop.id, "principal": SELF_CHECK, "scope": "all"}
        tx.record(StopPlaced(**said, reason=reason, grants_revoked=0, requests_ended=0))
        return stop


def _told(tx: Tx) -> frozenset[tuple[int | None, str]]:
    """Return what was a reason to stop before, by the log's own word."""
    said: list[Any] = [Leaf.decode(bytes(row["leaf"])).data for row in tx.facts(type_=LogFailed.type, limit=MOST_TOLD)]
    return frozenset((index, code) for data in said for index, code in data["failures"])


def _contradictions(meaning: MeaningCheck) -> list[Failure]:
    found = (each for each in meaning.judged_now() if each.severity is Severity.BROKEN)
    return [Failure(index=each.index, code=each.code, detail=each.detail) for each in found]
