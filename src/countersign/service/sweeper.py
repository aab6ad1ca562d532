"""The sweep: makes what is due end, looks whether it did, and never gives up.

It asks the database what is due, and puts each kind of it at each target into a lane of its own: a target that is away delays
nobody's end at another one, and a lease that would not die delays none at its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import structlog

from countersign.domain.lease import Cause, Due, LeaseState
from countersign.domain.refusals import Conflict, Refused
from countersign.domain.request import RequestEvent
from countersign.providers.base import Provider
from countersign.service.afterwards import escalate
from countersign.service.deaths import ACTOR, Ends
from countersign.service.endings import decide_request, end_grants, end_lease
from countersign.service.lane import Errand, Lane
from countersign.service.office import Office
from countersign.service.receipts import Receipts

logger = structlog.get_logger(__name__)

CLOSED_AT_ONCE, CLOSED_BESIDE_ENDS = 256, 64
RECEIPTS_AT_ONCE = 4

Key = tuple[str, str, Due]


@dataclass(kw_only=True)
class Sweeper:
    """Ends what is due.

    Attributes:
        lanes: runs the lanes, each of which is one kind of work at one target.
        hands: calls the providers for them.
    """

    office: Office
    providers: Mapping[str, Provider]
    lanes: Executor
    hands: Executor
    _open: dict[Key, Lane[Any]] = field(default_factory=dict)
    _strangers: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def start(self) -> None:
        """Forget the claims of a former life: whatever was being ended is due at once.

        On an embedded database there is one broker at a time, so a draw that was begun has nobody left to finish it.
        """
        alone = self.office.store.is_embedded
        with self.office.store.begin() as tx:
            tx.make_due(LeaseState.REVOKING, *([LeaseState.PREPARED] if alone else []))

    def sweep_and_wait(self) -> int:
        """Sweep once and wait for all of it; return how many leases were seen dead."""
        return sum(piece.result() for piece in self.sweep())

    def sweep(self) -> list[Future[int]]:
        """Start to kill everything due, and meanwhile lapse and close what is over; return the work under way."""
        under_way = self._begin()
        if self._close_what_is_over():
            under_way += [piece for piece in self._begin() if piece not in under_way]
        return under_way

    def _begin(self) -> list[Future[int]]:
        with self.office.store.read() as tx:
            due = tx.due()
        self._name_strangers({provider for provider, _, _ in due} - self.providers.keys())
        return [self._see_to(key) for key in due if key[0] in self.providers]

    def _name_strangers(self, strangers: set[str]) -> None:
        """Say once that leases are due at a provider that was taken out of the settings: nobody ends them."""
        for provider in strangers - self._strangers:
            logger.error("leases are due at a provider that this broker does not have", provider=provider)
        self._strangers = strangers

    def _see_to(self, key: Key) -> Future[int]:
        """Open a lane, or tell the one that is open that there is more; return what it comes to."""
        with self._lock:
            if (lane := self._open.get(key)) is not None:
                lane.tell()
                return lane.dead
            lane = self._open[key] = Lane(errand=self._errand(*key), hands=self.hands)
        self.lanes.submit(self._run, key, lane)
        return lane.dead

    def _errand(self, provider_name: str, target: str, what: Due) -> Errand[Any]:
        provider, store = self.providers[provider_name], self.office.store
        if what is Due.RECEIPT:
            return Receipts(store=store, provider=provider, target=target, at_once=RECEIPTS_AT_ONCE)
        again = what is Due.AGAIN
        return Ends(
            store=store,
            randomness=self.office.randomness,
            provider=provider,
            target=target,
            again=again,
            at_once=max(1, provider.ends_at_once // 2) if again else provider.ends_at_once,
        )

    def _run(self, key: Key, lane: Lane[Any]) -> None:
        dead = 0
        try:
            while self._is_wanted(key, lane):
                dead += lane.run()
        except Refused as trouble:
            logger.warning("a lane of the sweep broke off", provider=key[0], target=key[1], code=trouble.code)
        except BaseException as fatal:
            logger.exception("a lane of the sweep broke down", provider=key[0], target=key[1])
            lane.dead.set_exception(fatal)
            raise
        finally:
            with self._lock:
                self._open.pop(key, None)
        lane.dead.set_result(dead)

    def _is_wanted(self, key: Key, lane: Lane[Any]) -> bool:
        """Say whether a lane has work; one that has none is closed in the same breath, so that no word of more is lost."""
        with self._lock:
            if lane.wanted.is_set():
                return True
            del self._open[key]
            return False

    def _close_what_is_over(self) -> bool:
        """Lapse requests, close grants, give up draws without outcome; say whether leases may be due through it.

        Ends come first: while any are under way, this takes the database for moments only. Somebody who moved the same at
        the same moment has the say; the next sweep sees it as it is.
        """
        limit = CLOSED_BESIDE_ENDS if self._open else CLOSED_AT_ONCE
        with self.office.store.read() as tx:
            stillborn = tx.stillborn(limit=limit)
            over = tx.lapsing_requests(limit=1) or tx.ending_grants(limit=1) or tx.unreviewed(limit=1)
        is_more_due = bool(stillborn)
        for lease in stillborn:
            with suppress(Conflict), self.office.store.begin() as tx:
                end_lease(tx, lease, cause=Cause.OUTCOME_UNKNOWN, actor=ACTOR, give_back=True)
        if over:
            with suppress(Conflict), self.office.store.begin() as tx:
                for request in tx.lapsing_requests(limit=limit):
                    decide_request(tx, request, RequestEvent.LAPSE, actor=ACTOR)
                is_more_due |= end_grants(tx, tx.ending_grants(limit=limit), actor=ACTOR) > 0
                for owed in tx.unreviewed(limit=limit):
                    escalate(tx, owed, actor=ACTOR)
        return is_more_due
