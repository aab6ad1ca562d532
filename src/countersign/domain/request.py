"""A request: what was asked, immutable once submitted, and the digest that reviews sign.

States: pending → approved | denied | withdrawn | lapsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from countersign.domain.canonical import commitment, digest
from countersign.domain.emergency import Emergency
from countersign.domain.refusals import WindowOver, WrongState
from countersign.domain.timestamps import spell

DIGEST_LABEL = "countersign/request/v1"


class RequestState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class RequestEvent(StrEnum):
    """What can happen to a request."""

    APPROVE = "approve"
    DENY = "deny"
    WITHDRAW = "withdraw"
    LAPSE = "lapse"


TRANSITIONS: Mapping[tuple[RequestState, RequestEvent], RequestState] = MappingProxyType(
    {
        (RequestState.PENDING, RequestEvent.APPROVE): RequestState.APPROVED,
        (RequestState.PENDING, RequestEvent.DENY): RequestState.DENIED,
        (RequestState.PENDING, RequestEvent.WITHDRAW): RequestState.WITHDRAWN,
        (RequestState.PENDING, RequestEvent.LAPSE): RequestState.LAPSED,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A free text and the salt that commits to it; the text stays out of digests and leaves.

    Attributes:
        erased: the commitment, in hex, of a text that was erased with its salt; None as long as the text is there.
    """

    text: str
    salt: bytes
    erased: str | None = None

    @property
    def commitment(self) -> str:
        """The hex commitment `sha256(salt ‖ text)`."""
        return commitment(self.salt, self.text) if self.erased is None else self.erased


@dataclass(frozen=True, kw_only=True)
class Request:
    """May I have this entitlement, with these parameters, for this long, because of this reason.

    Attributes:
        counters: the denied request whose counter-proposal this one takes up, if it does.
        behind: the persons who made the pipeline run that asks; none of them signs it.
        signed: approvals of it are signed with passkeys, as the entitlement's rule says.
    """

    id: str
    person: str
    principal: str
    entitlement: str
    rule_digest: str
    parameters: Mapping[str, str]
    duration: timedelta
    reason: Sealed
    ticket: Sealed | None
    submitted_at: datetime
    lapses_at: datetime
    emergency: Emergency | None = None
    counters: str | None = None
    behind: frozenset[str] = frozenset()
    signed: bool = False
    state: RequestState = RequestState.PENDING
    version: int = 1

    def statement(self) -> dict[str, object]:
        """Return what a reviewer signs: everything that decides what is given, free texts as commitments.

        The marks of an emergency, of what is countered, of who is behind a pipeline and of approvals that must be signed are
        in it only where there is such a thing.
        """
        said: dict[str, object] = {
            "id": self.id,
            "person": self.person,
            "entitlement": self.entitlement,
            "rule": self.rule_digest,
            "parameters": dict(self.parameters),
            "duration_s": int(self.duration.total_seconds()),
            "reason": self.reason.commitment,
            "ticket": None if self.ticket is None else self.ticket.commitment,
            "submitted_at": spell(self.submitted_at),
        }
        if self.emergency is not None:
            said["emergency"] = self.emergency.document()
        if self.counters is not None:
            said["counters"] = self.counters
        if self.behind:
            said["behind"] = sorted(self.behind)
        if self.signed:
            said["signature"] = "required"
        return said

    @property
    def digest(self) -> str:
        """The hex digest of the statement, computed afresh each time it is asked for."""
        return digest(DIGEST_LABEL, self.statement())

    def can(self, event: RequestEvent) -> bool:
        """Say whether the event exists from this state."""
        return (self.state, event) in TRANSITIONS

    def after(self, event: RequestEvent) -> Request:
        """Return the request after `event`.

        Raises:
            WrongState: the event does not exist from this state.
        """
        next_state = TRANSITIONS.get((self.state, event))
        if next_state is None:
            raise WrongState(f"{self.id} is {self.state}; it can no longer {event}", hint=f"countersign show {self.id}")
        return replace(self, state=next_state, version=self.version + 1)

    def demand_reviewable(self, now: datetime) -> None:
        """Refuse unless the request is pending and its time for review has not run out.

        Raises:
            WrongState: it is decided.
            WindowOver: nobody decided in time.
        """
        if self.state is not RequestState.PENDING:
            raise WrongState(f"{self.id} is {self.state}", hint=f"countersign show {self.id}")
        if now >= self.lapses_at:
            raise WindowOver(f"{self.id} could be reviewed until {spell(self.lapses_at)}", hint="submit it again")
