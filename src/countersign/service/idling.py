"""Ends leases that nobody uses: early, never late, and only where a use would have been told.

What is not known counts as use. So a source that was not read lately, or that never concerns a target, ends nothing; and a
source that tells late moves the end back by as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from countersign.domain.entitlement import Entitlement
from countersign.domain.facts import BROKER
from countersign.domain.lease import Cause, Lease
from countersign.domain.records_facts import LeaseIdle
from countersign.domain.refusals import Conflict
from countersign.providers.records import RecordSource
from countersign.service.endings import end_lease
from countersign.service.office import Office
from countersign.service.records import Records
from countersign.store import Tx

logger = structlog.get_logger(__name__)

ACTOR = f"{BROKER}/idle"


@dataclass(frozen=True, kw_only=True)
class Idling:
    """Looks through the leases that are to end when they are not used."""

    office: Office
    records: Records

    def end_unused(self) -> int:
        """Send every lease on its way that was not used for as long as its entitlement says; return how many."""
        with self.office.store.read() as tx:
            unused = [lease.id for lease in tx.idlers() if self._is_unused(tx, lease)]
        ended = 0
        for lease_id in unused:
            try:
                with self.office.store.begin() as tx:
                    lease = next((each for each in tx.idlers() if each.id == lease_id), None)
                    if lease is not None and self._is_unused(tx, lease):
                        self._end(tx, lease)
                        ended += 1
            except Conflict:
                continue  # somebody else moved it; the next look sees it as it is
        if ended:
            self.office.nudge()
        return ended

    def _is_unused(self, tx: Tx, lease: Lease) -> bool:
        delay = self.records.hears(lease)
        if delay is None or lease.idle_s is None:
            return False
        return tx.now - delay - (lease.last_used_at or lease.prepared_at) >= timedelta(seconds=lease.idle_s)

    def _end(self, tx: Tx, lease: Lease) -> None:
        delay = self.records.hears(lease) or timedelta(0)
        logger.info("a lease ends unused", lease=lease.id)
        tx.record(
            LeaseIdle(
                actor=ACTOR,
                subject=lease.id,
                grant=lease.grant_id,
                idle_s=lease.idle_s or 0,
                last_used_at=lease.last_used_at,
                heard_until=tx.now - delay,
            )
        )
        end_lease(tx, lease, cause=Cause.IDLE, actor=ACTOR)


def why_use_is_unknown(entitlement: Entitlement, sources: Sequence[RecordSource]) -> str | None:
    """Say why the last use of an entitlement's leases cannot be known from these sources; None when it can, or need not."""
    if entitlement.idle is None:
        return None
    concerned = [source for source in sources if source.concerns(entitlement.document()["target"])]
    if not concerned:
        return f"idle_s needs a source that tells of uses at {entitlement.target.id}, and the settings declare none"
    blind = [source.blind_to(entitlement.grants) for source in concerned]
    return None if None in blind else f"idle_s needs all uses to be told, and no source sees {blind[0]}"
