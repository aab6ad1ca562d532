"""A lane: what is due of one kind at one target, worked off by a few hands at once and without a halt for the slowest.

Work is claimed, done by hands outside of any transaction, and finished in batches as it comes back; more is claimed meanwhile.
A piece that takes long holds one hand, and nobody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Generic, Protocol, TypeVar

from countersign.domain.lease import Lease

HELD_AT_ONCE = 256
"""How many leases a lane has claimed and not finished, at most."""

Outcome = TypeVar("Outcome")


class Errand(Protocol[Outcome]):
    """What is to be done with leases of one target."""

    @property
    def at_once(self) -> int:
        """With how many at a time."""

    def claim(self, limit: int) -> list[Lease]:
        """Take on what is due, in one transaction."""

    def do(self, lease: Lease) -> Outcome:
        """Call the provider; outside of any transaction, by several hands."""

    def finish(self, done: Sequence[tuple[Lease, Outcome]]) -> int:
        """Write down what came of it, and return how many were seen dead."""


@dataclass(kw_only=True)
class Lane(Generic[Outcome]):
    """Does an errand until nothing is due.

    Attributes:
        hands: do the calls; a lane takes as many of them as the errand allows.
        wanted: set by whoever knows that something is due.
        dead: how many leases were seen dead, once the lane is closed.
    """

    errand: Errand[Outcome]
    hands: Executor
    wanted: Event = field(default_factory=Event)
    dead: Future[int] = field(default_factory=Future)
    _held: dict[str, Lease] = field(default_factory=dict)
    _waiting: deque[str] = field(default_factory=deque)
    _back: SimpleQueue[tuple[str, Outcome] | BaseException | None] = field(default_factory=SimpleQueue)
    _busy_hands: int = 0
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """A lane is opened because something is due."""
        self.wanted.set()

    def tell(self) -> None:
        """Say that more may have become due."""
        self.wanted.set()
        self._back.put(None)

    def run(self) -> int:
        """Work until nothing is due and nothing is under way; return how many leases were seen dead."""
        dead = 0
        try:
            while True:
                self.wanted.clear()
                if len(self._held) < HELD_AT_ONCE:
                    self._hand_out(self.errand.claim(HELD_AT_ONCE - len(self._held)))
                if not self._held:
                    return dead
                if done := self._gather():
                    dead += self.errand.finish(done)
        finally:
            with self._lock:
                self._waiting.clear()

    def _hand_out(self, claimed: Sequence[Lease]) -> None:
        """Queue what was claimed, and start as many more hands as there is work for."""
        with self._lock:
            # A claim that ran out while its lease waited its turn is renewed; the lease is not queued twice.
            self._waiting.extend(lease.id for lease in claimed if lease.id not in self._held)
            self._held.update((lease.id, lease) for lease in claimed)
            more = min(self.errand.at_once - self._busy_hands, len(self._waiting))
            self._busy_hands += more
        for _ in range(more):
            self.hands.submit(self._work)

    def _work(self) -> None:
        """Do one piece after the other; a hand goes when nothing waits."""
        while (lease := self._next()) is not None:
            try:
                outcome = self.errand.do(lease)
            except BaseException as fatal:
                self._back.put(fatal)
                raise
            self._back.put((lease.id, outcome))

    def _next(self) -> Lease | None:
        with self._lock:
            if self._waiting:
                return self._held[self._waiting.popleft()]
            self._busy_hands -= 1
            return None

    def _gather(self) -> list[tuple[Lease, Outcome]]:
        """Wait for something to come back and take all that did; nothing, if only word of more did."""
        back = [self._back.get()]
        try:
            while True:
                back.append(self._back.get_nowait())
        except Empty:
            pass
        done = []
        for each in back:
            if isinstance(each, BaseException):
                raise each
            if each is not None:
                lease_id, outcome = each
                done.append((self._held.pop(lease_id), outcome))
        return done
