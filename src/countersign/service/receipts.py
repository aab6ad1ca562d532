"""Receipts: whether a wrapped credential was picked up is asked in time; one that was not is ended and its draw given back.

Asked in a lane of its own: a provider that does not answer this question delays no end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from countersign.domain.lease import Cause, Lease
from countersign.domain.refusals import Conflict
from countersign.providers.base import Provider
from countersign.service.deaths import ACTOR, CLAIM, reference
from countersign.service.endings import end_lease
from countersign.store import Store

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Receipts:
    """Asks for the receipts of one target.

    Attributes:
        at_once: how many are asked for together.
    """

    store: Store
    provider: Provider
    target: str
    at_once: int

    def claim(self, limit: int) -> list[Lease]:
        """Take on what is to be asked for; none longer than to its own end, which another lane sees to."""
        with self.store.begin() as tx:
            return tx.claim_unreceived(
                provider=self.provider.name, target=self.target, until=tx.now + CLAIM, limit=limit
            )

    def do(self, lease: Lease) -> bool | None:
        """Ask the provider; what it cannot say stays unknown."""
        try:
            return self.provider.received(reference(lease))
        except Exception:  # one lease's fault must not keep the others from being asked for
            logger.exception("asking for a receipt failed in a way nobody foresaw", lease=lease.id)
            return None

    def finish(self, done: Sequence[tuple[Lease, bool | None]]) -> int:
        """Write down the answers; nobody died of them yet."""
        for lease, received in done:
            self._write(lease, received=received)
        return 0

    def _write(self, lease: Lease, *, received: bool | None) -> None:
        try:
            with self.store.begin() as tx:
                if received is False:
                    end_lease(tx, lease, cause=Cause.UNDELIVERED, actor=ACTOR, give_back=True)
                else:
                    tx.move_lease(lease, lease.received())
        except Conflict:
            return  # its time came, or somebody ended it: whoever moved it since has the say
