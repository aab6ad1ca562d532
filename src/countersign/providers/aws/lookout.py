"""Looks at many leases at once, politely, and says what was seen: live, denied or unknown.

A refused canary shows that the end has arrived only if a sibling of the same role, tried after it, is still served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from countersign.domain.lease import Evidence, Sighting, Standing
from countersign.providers.aws.box import spell_box
from countersign.providers.aws.canary import NOT_TRIED, REFUSED, SERVED, Canary, Tried
from countersign.providers.aws.clock import AwsClock
from countersign.providers.aws.connection import Connection
from countersign.providers.aws.settings import RoleTarget

START_CANARIES_WITHIN_S = 4.0
START_SIBLINGS_WITHIN_S = 6.0
LANES = 4
_NO_TIME = Tried(outcome=NOT_TRIED, why="no time left in this pass")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A lease as the lookout needs it.

    Attributes:
        target: None where it could not be read.
        box_end: the end that the session's own policy names, by AWS's clock.
        box_is_over: whether that end has passed.
        written_at: monotonic second at which the Deny was written, if this process wrote it.
    """

    lease_id: str
    target: RoleTarget | None
    box_end: datetime
    box_is_over: bool
    written_at: float | None


class Lookout:
    """Tries canaries and siblings.

    Args:
        connection: the clients.
        clock: AWS's clock.
        now: our clock.
    """

    def __init__(self, *, connection: Connection, clock: AwsClock, now: Callable[[], datetime]) -> None:
        self._canary = Canary(connection=connection, clock=clock)
        self._now = now

    def look(self, leases: Sequence[Watched]) -> dict[str, Sighting]:
        """Return a sighting for each lease, whatever happens on the way."""
        began = monotonic()
        with ThreadPoolExecutor(max_workers=LANES, thread_name_prefix="aws-look") as pool:
            tried = dict(zip(leases, pool.map(lambda lease: self._try(lease, began), leases), strict=True))
        siblings: dict[str, Tried] = {}
        for lease, canary in tried.items():
            if lease.target is not None and canary is not None and canary.outcome == REFUSED:
                siblings.setdefault(lease.target.role_arn, _NO_TIME)
                if siblings[lease.target.role_arn] is _NO_TIME and monotonic() - began < START_SIBLINGS_WITHIN_S:
                    siblings[lease.target.role_arn] = self._sibling(lease.target, lease.lease_id)
        return {lease.lease_id: self._sighting(lease, canary, siblings) for lease, canary in tried.items()}

    def _try(self, lease: Watched, began: float) -> Tried | None:
        if lease.target is None or lease.target.probe is None:
            return None
        if monotonic() - began > START_CANARIES_WITHIN_S:
            return _NO_TIME
        return self._canary.of_lease(lease.target, lease.target.probe, lease.lease_id, lease.box_end)

    def _sibling(self, target: RoleTarget, lease_id: str) -> Tried:
        if target.probe is None:
            return _NO_TIME
        return self._canary.sibling(target, target.probe, lease_id)

    def _sighting(self, lease: Watched, canary: Tried | None, siblings: Mapping[str, Tried]) -> Sighting:
        seen: dict[str, Any] = {"box_end": spell_box(lease.box_end)}
        if lease.target is None or lease.target.probe is None or canary is None:
            return Sighting(
                standing=Standing.DENIED if lease.box_is_over and lease.target is not None else Standing.UNKNOWN,
                at=self._now(),
                evidence=Evidence.COMPUTED,
                seen={**seen, "probe": "none configured" if lease.target is not None else "the target cannot be read"},
            )
        sibling = siblings.get(lease.target.role_arn) if canary.outcome == REFUSED else None
        delay = None if lease.written_at is None else round((monotonic() - lease.written_at) * 1000)
        return Sighting(
            standing=_standing(canary, sibling),
            at=self._now(),
            seen={
                **seen,
                "probe": f"{lease.target.probe.action} on {lease.target.probe.resource}",
                "canary": canary.spoken(),
                "sibling": "not needed" if sibling is None else sibling.spoken(),
                "delay_ms": delay,
            },
        )


def _standing(canary: Tried, sibling: Tried | None) -> Standing:
    if canary.outcome == SERVED:
        return Standing.LIVE
    if canary.outcome == REFUSED and sibling is not None and sibling.outcome == SERVED:
        return Standing.DENIED
    return Standing.UNKNOWN
