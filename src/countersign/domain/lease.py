"""A lease: one set of credentials drawn under a grant. It holds a handle that can kill, never a secret.

States: prepared → active → revoking → revoked. `revoked` is written only with a certificate of what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from countersign.domain.refusals import WrongState
from countersign.domain.timestamps import spell

PREPARED_FOR_AT_MOST = timedelta(seconds=15)
"""A draw that has not come to an outcome by then is dead in the water; the sweep kills whatever it made."""


class LeaseState(StrEnum):
    """Where a lease stands."""

    PREPARED = "prepared"
    ACTIVE = "active"
    REVOKING = "revoking"
    REVOKED = "revoked"


class LeaseEvent(StrEnum):
    """What can happen to a lease."""

    ISSUE = "issue"
    REVOKE = "revoke"
    DIE = "die"


TRANSITIONS: Mapping[tuple[LeaseState, LeaseEvent], LeaseState] = MappingProxyType(
    {
        (LeaseState.PREPARED, LeaseEvent.ISSUE): LeaseState.ACTIVE,
        (LeaseState.PREPARED, LeaseEvent.REVOKE): LeaseState.REVOKING,
        (LeaseState.ACTIVE, LeaseEvent.REVOKE): LeaseState.REVOKING,
        (LeaseState.REVOKING, LeaseEvent.DIE): LeaseState.REVOKED,
    }
)


class Due(StrEnum):
    """What is due of a lease: to ask whether it was picked up, to end it, or to end it again after an end that was not seen."""

    RECEIPT = "receipt"
    END = "end"
    AGAIN = "again"


class Cause(StrEnum):
    """Why a lease is being ended."""

    EXPIRED = "expired"
    RETURNED = "returned"
    REVOKED = "revoked"
    STOPPED = "stopped"
    DISABLED = "disabled"
    UNDELIVERED = "undelivered"
    OUTCOME_UNKNOWN = "outcome-unknown"
    FAILED = "failed"
    ANOMALY = "anomaly"
    IDLE = "idle"


class Standing(StrEnum):
    """What the provider was seen to say of a lease."""

    LIVE = "live"
    DENIED = "denied"
    GONE = "gone"
    UNKNOWN = "unknown"


class Evidence(StrEnum):
    """How an end is known: looked at, or a native end that nobody could watch."""

    OBSERVED = "observed"
    COMPUTED = "computed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """One look at a lease where it would work. `seen` says in plain values what was looked at."""

    standing: Standing
    at: datetime
    evidence: Evidence = Evidence.OBSERVED
    seen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_death(self) -> bool:
        """Say whether this sighting certifies the end."""
        return self.standing in {Standing.DENIED, Standing.GONE}


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One set of credentials, known by id, handle and times.

    Attributes:
        target: the target as it was when drawn (plain JSON), so that a later catalog cannot misdirect the end.
        handle: what the provider needs, besides the id, to end and to look (never a secret).
        not_after: the promised second; `backstop_at` the provider's own hard end.
        due: when the sweep must look at it next.
        tries: unsuccessful attempts at seeing it dead.
        idle_s: unused for so many seconds, it ends early; None where that does not matter.
        last_used_at: the newest sign of use that any record gave; kept by who follows the records, never by a transition.
    """

    id: str
    grant_id: str
    request_id: str
    person: str
    entitlement: str
    provider: str
    target: Mapping[str, Any]
    prepared_at: datetime
    not_after: datetime
    backstop_at: datetime
    due: datetime
    handle: Mapping[str, Any] = field(default_factory=dict)
    state: LeaseState = LeaseState.PREPARED
    generation: int = 1
    cause: Cause | None = None
    asked_at: datetime | None = None
    written_at: datetime | None = None
    dead_at: datetime | None = None
    evidence: Evidence | None = None
    overdue: bool = False
    tries: int = 0
    version: int = 1
    idle_s: int | None = None
    last_used_at: datetime | None = None

    def handed(self) -> dict[str, str]:
        """Return what its requester is told with the credential, as plain JSON."""
        return {
            "id": self.id,
            "grant_id": self.grant_id,
            "state": self.state.value,
            "not_after": spell(self.not_after),
        }

    def _after(self, event: LeaseEvent) -> LeaseState:
        next_state = TRANSITIONS.get((self.state, event))
        if next_state is None:
            raise WrongState(f"{self.id} is {self.state}; it can no longer {event}")
        return next_state

    def reserved(self, handle: Mapping[str, Any]) -> Lease:
        """Return the lease with the handle that will kill it; nothing usable exists yet."""
        if self.state is not LeaseState.PREPARED:
            raise WrongState(f"{self.id} is {self.state}; it can no longer be reserved")
        return replace(self, handle={**self.handle, **handle}, version=self.version + 1)

    def issued(self, handle: Mapping[str, Any], *, receipt_due: datetime | None = None) -> Lease:
        """Return the lease as active: the credential exists and may be handed over.

        Args:
            handle: what the provider learned by issuing.
            receipt_due: when to ask whether the requester picked it up; the lease is due then, and again at `not_after`.
        """
        return replace(
            self,
            state=self._after(LeaseEvent.ISSUE),
            handle={**self.handle, **handle},
            due=self.not_after if receipt_due is None else min(receipt_due, self.not_after),
            version=self.version + 1,
        )

    def received(self) -> Lease:
        """Return the active lease as picked up: next due at `not_after`."""
        if self.state is not LeaseState.ACTIVE:
            raise WrongState(f"{self.id} is {self.state}; receipt no longer matters")
        return replace(self, due=self.not_after, version=self.version + 1)

    def claimed(self, until: datetime) -> Lease:
        """Return the lease as being worked on: due again at `until` if whoever claimed it comes to nothing."""
        return replace(self, due=until, version=self.version + 1)

    def revoking(self, *, cause: Cause, now: datetime) -> Lease:
        """Return the lease on its way to death: asked at `now`, due at once."""
        return replace(
            self,
            state=self._after(LeaseEvent.REVOKE),
            cause=cause,
            asked_at=now,
            due=now,
            version=self.version + 1,
        )

    def dead(self, sighting: Sighting) -> Lease:
        """Return the lease as revoked, certified by a sighting.

        Raises:
            WrongState: the sighting shows no death, or the lease was not being ended.
        """
        if not sighting.is_death:
            raise WrongState(f"{self.id} was seen {sighting.standing}; that is no death")
        return replace(
            self,
            state=self._after(LeaseEvent.DIE),
            dead_at=sighting.at,
            evidence=sighting.evidence,
            overdue=False,
            version=self.version + 1,
        )

    def still_alive(self, *, due: datetime, written_at: datetime | None, overdue: bool) -> Lease:
        """Return the lease after an attempt that did not see it dead; it stays due, for ever.

        Raises:
            WrongState: the lease is not being ended; a dead one in particular never becomes due again.
        """
        if self.state is not LeaseState.REVOKING:
            raise WrongState(f"{self.id} is {self.state}; it is not being ended")
        return replace(
            self,
            due=due,
            tries=self.tries + 1,
            written_at=written_at or self.written_at,
            overdue=self.overdue or overdue,
            version=self.version + 1,
        )
