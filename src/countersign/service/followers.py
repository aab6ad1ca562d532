"""Followers of the log: each reads it in order from a cursor of its own, catches up after an outage, and shows its lag.

The cursor is written after the entries were handled. A crash between the two lets the same entries be handled again: every
follower gets each entry *at least* once, never out of order, and must bear the repetition. One process holds a follower at a
time; when that process dies, another takes over once its hold is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

import structlog

from countersign.auditlog.leaf import Entry
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import Conflict, LogUnavailable
from countersign.service.office import Office
from countersign.store import Cursor

logger = structlog.get_logger(__name__)

BATCH = 256
HOLD = timedelta(seconds=30)
"""How long a process keeps a follower without a sign of life. `handle` must take well under half of it."""
FIRST_RETRY = timedelta(milliseconds=250)
LAST_RETRY = timedelta(seconds=60)
ALARM_AFTER = timedelta(seconds=30)
LONGEST_ERROR = 200


class Unfinished(Exception):
    """Raised by a follower that handled only the first `done` entries of what it was given.

    Args:
        trouble: what kept it from the others, without secrets; it is tried again after a while. None: it only wants to be
            called again, because it took long enough.
        done: how many entries, from the first, were handled and are not to come again.
    """

    def __init__(self, trouble: str | None = None, *, done: int = 0) -> None:
        super().__init__(trouble or "more to do")
        self.trouble = trouble
        self.done = done


class NotYet(Exception):
    """Raised by a follower that lets a few entries gather first; it is no failure.

    Args:
        after: when to call again.
    """

    def __init__(self, after: timedelta) -> None:
        super().__init__(f"not before {after}")
        self.after = after


class Follower(Protocol):
    """Whoever does something about every entry of the log."""

    @property
    def name(self) -> str:
        """The name of its cursor: 1 to 80 characters, and never changed."""

    def handle(self, entries: Sequence[Entry]) -> None:
        """Do what is to be done about the next entries, in order; the same may come again after a crash.

        Raises:
            NotYet: it waits for more, and handled none.
            Unfinished: not all of them are handled. Anything else that is raised means that none is.
        """


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far a follower is behind the log.

    Attributes:
        behind: entries not handled yet.
        behind_s: how long the first of them has waited, in seconds.
        failing_since: None while its tries go well; with `failures` tries in a row since, and what the last one said.
        attended: whether this process follows with it; another may.
    """

    name: str
    next: int
    size: int
    behind_s: float
    updated_at: datetime
    failures: int
    failing_since: datetime | None
    retry_at: datetime | None
    error: str | None
    attended: bool

    @property
    def behind(self) -> int:
        """Return how many entries it has not handled."""
        return max(0, self.size - self.next)

    @property
    def alarming(self) -> bool:
        """Say whether somebody should look: it has waited or failed for longer than a hiccup lasts."""
        return self.next > self.size or (self.behind > 0 and self.behind_s > ALARM_AFTER.total_seconds())


@dataclass(kw_only=True)
class Followers:
    """Drives the followers of one process.

    Attributes:
        me: a name for this process among the replicas.
    """

    office: Office
    followers: Sequence[Follower]
    me: str
    _busy: set[str] = field(default_factory=set)
    _shorter: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Make a thread for each, so that one that waits keeps no other waiting."""
        names = [follower.name for follower in self.followers]
        if len(set(names)) != len(names):
            raise ValueError(f"two followers share a name: {sorted(names)}")
        self._lanes = ThreadPoolExecutor(max(1, len(names)), thread_name_prefix="countersign-follower")

    def start(self) -> None:
        """Forget the holds of a former life, where there is one broker at a time."""
        if self.office.store.is_embedded:
            with self.office.store.begin() as tx:
                tx.release_cursors()

    def stop(self) -> None:
        """Wait for what is under way, and let go of every cursor so that another process need not wait."""
        self._lanes.shutdown(wait=True)
        try:
            with self.office.store.begin() as tx:
                tx.release_cursors(self.me)
        except LogUnavailable as trouble:
            logger.warning("followers are held until their time is over", trouble=trouble.detail)

    def follow(self) -> list[Future[None]]:
        """Set to work every follower that is behind and not waiting out its trouble; return the work begun."""
        with self.office.store.read() as tx:
            size, now = tx.head().size, tx.now
            cursors = {cursor.name: cursor for cursor in tx.cursors()}
        begun = []
        for follower in self.followers:
            cursor = cursors.get(follower.name)
            if cursor is not None and cursor.next > size:
                self._tell_shorter(cursor, size)
            if cursor is not None and not _is_due(cursor, size=size, now=now, me=self.me):
                continue
            with self._lock:
                if follower.name in self._busy:
                    continue
                self._busy.add(follower.name)
            begun.append(self._lanes.submit(self._attend, follower))
        return begun

    def follow_and_wait(self) -> None:
        """Follow once, and wait until every follower has caught up or is in trouble."""
        for work in self.follow():
            work.result()

    def lags(self, principal: Principal) -> list[Lag]:
        """Return how far every follower is behind, by name.

        Raises:
            NotPermitted: neither operator nor auditor.
        """
        with self.office.store.read() as tx:
            self.office.rules.current(tx).directory.demand(principal, Role.OPERATOR, Role.AUDITOR)
        return self.look()

    def look(self) -> list[Lag]:
        """Return how far every follower is behind, by name, to the broker itself."""
        attended = {follower.name for follower in self.followers}
        with self.office.store.read() as tx:
            found = [(cursor, tx.facts(after=cursor.next - 1, limit=1)) for cursor in tx.cursors()]
            size, now = tx.head().size, tx.now
        return [
            Lag(
                name=cursor.name,
                next=cursor.next,
                size=size,
                behind_s=max(0.0, (now - waiting[0]["at"]).total_seconds()) if waiting else 0.0,
                updated_at=cursor.updated_at,
                failures=cursor.failures,
                failing_since=cursor.failing_since,
                retry_at=cursor.retry_at,
                error=cursor.error,
                attended=cursor.name in attended,
            )
            for cursor, waiting in found
        ]

    def checks(self) -> dict[str, str]:
        """Return a word on each follower for whoever asks whether the broker is well; never raises."""
        try:
            return {f"follower {lag.name}": _told(lag) for lag in self.look()}
        except LogUnavailable as trouble:
            return {"followers": trouble.detail}

    def _tell_shorter(self, cursor: Cursor, size: int) -> None:
        """Say aloud, once, that entries are gone which a follower has seen: somebody put an older database in place."""
        if cursor.name not in self._shorter:
            self._shorter.add(cursor.name)
            logger.error("the log is shorter than what was followed", follower=cursor.name, next=cursor.next, size=size)

    def _attend(self, follower: Follower) -> None:
        try:
            while self._step(follower):
                pass
        except Conflict:
            pass  # another process is at it, or the cursor was let go of
        except LogUnavailable as trouble:
            logger.warning("a follower cannot read its cursor", follower=follower.name, trouble=trouble.detail)
        finally:
            with self._lock:
                self._busy.discard(follower.name)

    def _step(self, follower: Follower) -> bool:
        """Handle the next entries; say whether to go on."""
        held = self._hold(follower.name)
        if held is None:
            return False
        cursor, size = held
        entries = list(self.office.store.entries(start=cursor.next, end=min(size, cursor.next + BATCH)))
        if not entries:
            return False
        try:
            done, trouble = _handled(follower, entries)
        except NotYet as later:
            with self.office.store.begin() as tx:
                waiting = replace(cursor, failures=0, failing_since=None, error=None, retry_at=tx.now + later.after)
                tx.move_cursor(cursor, replace(waiting, holder=self.me, held_until=tx.now + HOLD))
            return False
        with self.office.store.begin() as tx:
            moved = replace(cursor, next=cursor.next + done, holder=self.me, held_until=tx.now + HOLD)
            if trouble is None:
                tx.move_cursor(cursor, replace(moved, failures=0, failing_since=None, retry_at=None, error=None))
                return True
            failed = self._failed(moved, trouble, tx.now)
            tx.move_cursor(cursor, failed)
        said = logger.error if tx.now - (failed.failing_since or tx.now) >= ALARM_AFTER else logger.warning
        said("a follower is behind", follower=follower.name, next=failed.next, tries=failed.failures, trouble=trouble)
        return False

    def _hold(self, name: str) -> tuple[Cursor, int] | None:
        """Return the cursor, held by this process for a while, and the log's size; None if there is nothing to do now."""
        with self.office.store.read() as tx:
            cursor, size, now = tx.cursor(name), tx.head().size, tx.now
        if cursor is None:
            with self.office.store.begin() as tx:
                tx.add_cursor(name)
                cursor = tx.cursor(name)
        if cursor is None or not _is_due(cursor, size=size, now=now, me=self.me):
            return None
        if cursor.holder == self.me and cursor.held_until is not None and cursor.held_until - now > HOLD / 2:
            return cursor, size
        with self.office.store.begin() as tx:
            return tx.move_cursor(cursor, replace(cursor, holder=self.me, held_until=tx.now + HOLD)), size

    def _failed(self, cursor: Cursor, trouble: str, now: datetime) -> Cursor:
        """Return the cursor after a try that went wrong: tried again ever more rarely, and for ever."""
        pause = min(LAST_RETRY, FIRST_RETRY * 2 ** min(cursor.failures, 20))
        spread = int.from_bytes(self.office.randomness(2)) / 65535
        return replace(
            cursor,
            failures=cursor.failures + 1,
            failing_since=cursor.failing_since or now,
            retry_at=now + pause * (0.5 + spread / 2),
            error=trouble[:LONGEST_ERROR] or "it did not say why",
        )


def _handled(follower: Follower, entries: Sequence[Entry]) -> tuple[int, str | None]:
    """Let a follower handle entries; return how many it did, and its trouble if it had any."""
    try:
        follower.handle(entries)
    except NotYet:
        raise
    except Unfinished as unfinished:
        done = max(0, min(unfinished.done, len(entries)))
        if unfinished.trouble is None and done == 0:
            return 0, "it did nothing and did not say why"
        return done, unfinished.trouble
    except Exception as fault:  # what is wrong with one follower is told like any trouble of its, and stops no other
        logger.exception("a follower failed", follower=follower.name)
        return 0, f"a fault of its own: {type(fault).__name__}"
    return len(entries), None


def _is_due(cursor: Cursor, *, size: int, now: datetime, me: str) -> bool:
    if cursor.next >= size or (cursor.retry_at is not None and cursor.retry_at > now):
        return False
    return cursor.holder in {None, me} or cursor.held_until is None or cursor.held_until <= now


def _told(lag: Lag) -> str:
    if lag.next > lag.size:
        return f"has followed {lag.next} entries of a log that has {lag.size}"
    if not lag.alarming:
        return "ok"
    return f"{lag.behind} entries behind for {lag.behind_s:.0f} s" + (f": {lag.error}" if lag.error else "")
